"""Orders in a real kernel: cells interrupted in mid-order, and cells that are run again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

from fleetkit.clock import SystemClock
from fleetkit.sim import Faults, Latency, SimProcess
from tests.story.test_kernel import Kernel
from tests.support.order_storm import write_config
from tests.support.other_process import ROOT

SLOW_MS = 600
PATIENCE_S = 20.0

pytestmark = pytest.mark.filterwarnings(
    # jupyter_client's own, not ours: it sets its sockets up outside of a loop.
    "ignore::DeprecationWarning:jupyter_client",
    "ignore::DeprecationWarning:zmq",
    "ignore::DeprecationWarning:traitlets",
)


@pytest.fixture(scope="module")
def agents() -> Iterator[SimProcess]:
    with SimProcess.start(accounts=1, seed=7) as process:
        yield process


@pytest.fixture(scope="module")
def kernel(agents: SimProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """One kernel for this module, with a fleet that may trade one account."""
    home = tmp_path_factory.mktemp("kernel-home")
    config = write_config(home, agents.agents)
    patch = pytest.MonkeyPatch()
    patch.setenv("PYTHONPATH", str(ROOT))
    patch.setenv("FLEETKIT_HOME", str(home))
    manager, client = start_new_kernel(kernel_name="python3", startup_timeout=60)
    patch.undo()
    kernel = Kernel(manager, client)
    kernel.run(f"import json, fleetkit as fk\nfleet = fk.connect({str(config)!r}, progress=False)")
    kernel.run("account = int(fleet.agents()['account'].iloc[0])")
    kernel.run("arming = fleet.armed(minutes=10, max_volume=10.0, max_orders=100)")
    kernel.run("arming.__enter__()")
    yield kernel
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    manager.cleanup_resources()


@pytest.fixture
def account(agents: SimProcess) -> Iterator[int]:
    """The account, healthy again afterwards."""
    number: int = agents.agents[0]["account"]
    yield number
    agents.faults.clear()


def wait_for(condition: Any) -> None:
    """Until something is so, within a bound."""
    clock = SystemClock()
    until = clock.elapsed() + PATIENCE_S
    while not condition():
        assert clock.elapsed() < until, "it did not happen"


def asked(agents: SimProcess, route: str) -> int:
    return agents.requests().get(agents.agents[0]["name"], {}).get(route, 0)


def run_cell(kernel: Kernel, code: str, cell_id: str) -> str:
    """Run a cell as a front end does that names its cells."""
    session, channel = kernel.client.session, kernel.client.shell_channel
    content = {
        **{"code": code, "silent": False, "store_history": True, "user_expressions": {}},
        **{"allow_stdin": False, "stop_on_error": False},
    }
    message = session.msg("execute_request", content, metadata={"cellId": cell_id})
    channel.send(message)
    cell = message["header"]["msg_id"]
    shown = kernel.printed(cell)
    assert kernel.end(cell)["status"] == "ok", shown
    return shown


OPEN = "fleet.open_position(account, 'EURUSD', 'buy', 0.1, comment={comment!r})"
JOURNAL = (
    "rows = fleet.orders().query('symbol == \"EURUSD\"')\n"
    "print(json.dumps([str(outcome) for outcome in rows['outcome']]))"
)


@pytest.mark.parametrize("awaited", [False, True])
@pytest.mark.parametrize("moment", ["before the send", "during the send"])
def test_an_interrupted_order_has_its_receipt(
    kernel: Kernel, agents: SimProcess, account: int, awaited: bool, moment: str
) -> None:
    """The cell ends with the order's id, the order goes on to its end, and is in the journal."""
    comment = f"cut {awaited} {moment}"
    route = "positions" if moment == "before the send" else "open"
    agents.faults[account] = Faults(routes=(route,), latency=Latency.fixed(SLOW_MS))
    executed, requests = len(agents.persons.executed(account)), asked(agents, route)
    known = len(journal(kernel))
    call = OPEN.format(comment=comment)
    running = kernel.start(f"await {call.replace('fleet.', 'fleet.aio.', 1)}" if awaited else call)
    wait_for(lambda: asked(agents, route) > requests)
    kernel.manager.interrupt_kernel()
    shown = kernel.printed(running)
    reply = kernel.end(running)
    assert reply["status"] == "error"
    assert reply["ename"] in ("KeyboardInterrupt", "CancelledError")

    # Nobody waits for it any more, and it goes on to its end all the same.
    wait_for(lambda: journal(kernel)[known:] == ["filled"])
    assert [e.comment for e in agents.persons.executed(account)[executed:]] == [comment]
    if not awaited:
        assert kernel.run("print(rows.index[-1])").strip() in shown


def journal(kernel: Kernel) -> list[str]:
    outcomes: list[str] = json.loads(kernel.run(JOURNAL))
    return outcomes


def test_a_cell_that_is_run_again_replays(kernel: Kernel, agents: SimProcess, account: int) -> None:
    """While the arming lasts: the same receipts, in their order; another cell sends anew."""
    code = (
        "receipts = [fleet.open_position(account, 'GBPUSD', 'buy', 0.1) for _ in range(2)]\n"
        "print([(r.outcome.value, r.order_id, r.replayed) for r in receipts])"
    )
    before = len(agents.persons.executed(account))
    first = eval(run_cell(kernel, code, "cell-a"))
    again = eval(run_cell(kernel, code, "cell-a"))
    assert [(outcome, replayed) for outcome, _, replayed in first] == [("filled", False)] * 2
    assert len({order_id for _, order_id, _ in first}) == 2
    assert again == [(outcome, order_id, True) for outcome, order_id, _ in first]
    assert len(agents.persons.executed(account)) == before + 2

    changed = eval(run_cell(kernel, code.replace("0.1", "0.2"), "cell-a"))
    other = eval(run_cell(kernel, code, "cell-b"))
    assert [each[2] for each in changed + other] == [False] * 4
    assert len(agents.persons.executed(account)) == before + 6


def test_again_sends(kernel: Kernel, agents: SimProcess, account: int) -> None:
    """`again=True` is a new order each time the cell is run."""
    code = "print(fleet.open_position(account, 'AUDUSD', 'buy', 0.1, again=True).order_id)"
    before = len(agents.persons.executed(account))
    assert run_cell(kernel, code, "cell-c") != run_cell(kernel, code, "cell-c")
    assert len(agents.persons.executed(account)) == before + 2


def test_a_cell_run_again_after_its_arming(
    kernel: Kernel, agents: SimProcess, account: int
) -> None:
    """Sends nothing, says not_sent, and shows the old receipt's order."""
    kernel.run("arming.__exit__(None, None, None)")
    code = (
        "with fleet.armed(minutes=1, max_volume=1.0, max_orders=4):\n"
        "    receipt = fleet.open_position(account, 'GBPUSD', 'sell', 0.1)\n"
        "print(receipt.outcome.value, receipt.order_id, receipt.reason)"
    )
    before = len(agents.persons.executed(account))
    outcome, order_id, _ = run_cell(kernel, code, "cell-d").split(" ", 2)
    assert outcome == "filled"
    shown = run_cell(kernel, code, "cell-d")
    assert shown.startswith("not_sent")
    assert order_id in shown
    assert len(agents.persons.executed(account)) == before + 1
