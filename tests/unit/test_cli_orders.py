"""``fleetkit orders``, ``reconcile``, ``halt`` and ``resume``, against a real fleet and store."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

import pytest

import fleetkit as fk
from fleetkit import frames, sim
from fleetkit.cli import main
from fleetkit.sim import Faults

ACCOUNT = 7_100_003  # seed 7: flat at first, so that nothing can be proven from a list


@pytest.fixture(scope="module")
def process() -> Iterator[sim.SimProcess]:
    """Five agents of the base layer."""
    with sim.SimProcess.start(accounts=5, seed=7) as started:
        yield started


@pytest.fixture
def agents(process: sim.SimProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[sim.SimProcess]:
    """The same five, healthy, as the fleet that the environment names."""
    monkeypatch.setenv("FLEETKIT_AGENTS_JSON", json.dumps(process.agents))
    monkeypatch.setenv("COLUMNS", "200")
    process.faults.clear()
    yield process
    process.faults.clear()


LOST_AND_BLIND = Faults(lost_answer=True, empty_positions="right")
LOST = Faults(lost_answer=True, routes=("open",))


def traded(
    symbol: str = "GBPUSD",
    *,
    lose_the_answer_of: sim.SimProcess | None = None,
    faults: Faults = LOST_AND_BLIND,
) -> list[fk.Receipt]:
    """Two orders of the fleet that the environment names; it is closed right after them."""
    with fk.connect() as fleet, fleet.armed(minutes=5, max_volume=1.0, max_orders=2):
        first = fleet.open_position(ACCOUNT, "EURUSD", "buy", 0.1)
        if lose_the_answer_of is not None:
            lose_the_answer_of.faults[ACCOUNT] = faults
        return [first, fleet.open_position(ACCOUNT, symbol, "sell", 0.1)]


def test_the_journal_as_a_table(agents, capfd, nothing_left_behind) -> None:
    """One line per order, exit status 0 where all are settled, and no agent is asked."""
    receipts = traded()
    agents.faults.set(None, Faults(refuse=True))
    assert main(["orders"]) == 0
    said = capfd.readouterr()
    heading, _, *rows = said.out.splitlines()
    assert heading.split()[:2] == ["order", "account"]
    assert [row.split()[0] for row in rows] == [receipt.order_id for receipt in receipts]
    assert said.err == ""


def test_every_column_for_programs_and_the_accounts_asked_for(agents, capfd) -> None:
    """CSV has what the frame has; accounts and days narrow it."""
    traded()
    assert main(["orders", "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capfd.readouterr().out)))
    assert list(rows[0]) == ["order_id", *frames.ORDERS.names]
    assert main(["orders", "7100001", "--format", "csv"]) == 0
    assert len(capfd.readouterr().out.splitlines()) == 1
    assert main(["orders", str(ACCOUNT), "--days", "1", "--format", "csv"]) == 0
    assert len(capfd.readouterr().out.splitlines()) == 3


def test_an_unknown_order_is_told_and_never_to_be_sent_again(agents, capfd) -> None:
    """Exit status 3, a sentence for it, and what to do; --open shows it alone."""
    _, unknown = traded(lose_the_answer_of=agents)
    assert unknown.outcome is fk.Outcome.UNKNOWN
    assert main(["orders", "--open"]) == 3
    said = capfd.readouterr()
    assert len(said.out.splitlines()) == 3
    assert f"order {unknown.order_id} (open on {ACCOUNT}) is unknown" in said.err
    assert "Send none of them again" in said.err


def test_reconcile_finds_the_proof(agents, capfd) -> None:
    """What was left open by one process another one settles from evidence."""
    # Its list of before must be true: beside one that lacked what was known nothing is new.
    _, lost = traded("USDCAD", lose_the_answer_of=agents, faults=LOST)
    assert lost.outcome is fk.Outcome.UNKNOWN
    agents.faults.clear()
    assert main(["reconcile", "--wait", "20"]) == 0
    assert main(["orders", "--format", "json"]) == 0
    orders = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert [order["outcome"] for order in orders] == ["filled", "filled"]
    assert orders[1]["evidence"] == "inferred"


def test_a_halt_refuses_opens_everywhere_until_it_is_over(agents, capfd) -> None:
    """It outlives the command, needs no agent, and lets closes pass."""
    first, _ = traded()
    agents.faults.set(None, Faults(refuse=True))
    assert main(["halt", "--why", "news"]) == 0
    agents.faults.clear()
    assert "Trading is halted" in capfd.readouterr().err
    with fk.connect() as fleet, fleet.armed(minutes=5, max_volume=1.0, max_orders=4):
        refused = fleet.open_position(ACCOUNT, "EURUSD", "buy", 0.1)
        assert refused.outcome is fk.Outcome.NOT_SENT
        assert "halted" in refused.reason
        assert first.ticket is not None
        assert fleet.close_position(ACCOUNT, first.ticket).outcome is fk.Outcome.FILLED
    assert main(["resume"]) == 0
    with fk.connect() as fleet, fleet.armed(minutes=5, max_volume=1.0, max_orders=4):
        assert fleet.open_position(ACCOUNT, "EURUSD", "buy", 0.1).outcome is fk.Outcome.FILLED


@pytest.mark.parametrize(
    "words", [["orders", "--days", "0"], ["reconcile", "--wait", "-1"], ["orders", "abc"]]
)
def test_a_mistake_in_the_command_line(words: list[str], capfd) -> None:
    """Exit status 2."""
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
