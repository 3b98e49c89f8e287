"""Several processes trade the same accounts on one store, and one of them is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

import fleetkit as fk
from fleetkit.sim import Faults, SimProcess
from fleetkit.store import Store, events, live, orders
from tests.support.order_judge import Truth, judge
from tests.support.order_storm import write_config
from tests.support.order_truth import journal_of
from tests.support.other_process import environment
from tests.support.trading_process import trading
from tests.support.turned_clock import TurnedClock

ACCOUNTS = 2
PATIENCE_S = 30.0
WOKEN_S = 0.5  # many times what is between a lease's check and the first byte
LOOKS = ("positions", "trade_history")
SLOW = Faults(latency=fk.sim.Latency.fixed(5))


@pytest.fixture
def agents():
    with SimProcess.start(accounts=ACCOUNTS, seed=7, faults=SLOW) as process:
        yield process


def truth(process):
    """What was executed; every ticket counts as open, for nobody closes by hand here."""
    executed = {a["account"]: process.persons.executed(a["account"]) for a in process.agents}
    tickets = {n: frozenset(each.ticket for each in all_) for n, all_ in executed.items()}
    return Truth(executed, tickets)


def spans(home):
    """account → for each order when it looked, when its answer was on disk, and whose it was."""
    found = {}
    with Store(home) as store:
        run = store.orders.run_blocking
        for row in run(orders):
            life = run(lambda c, name=row.terms.order_id: events(c, name))
            facts = life[1].facts
            if facts.outcome == "not_sent":
                continue
            # What was read right before the send was read under the same lease.
            looked_ms = sum((facts.timings or {}).get(name, 0.0) for name in LOOKS)
            span = (facts.sent_s - looked_ms / 1000, life[1].at_s, life[1].owner)
            found.setdefault(row.terms.account, []).append(span)
    return {account: sorted(each) for account, each in found.items()}


@pytest.mark.parametrize("kernels", [2, 4])
def test_kernels_take_turns_and_share_the_limits(kernels, agents, tmp_path) -> None:
    """On one account an order ends before the next one begins; the arming's orders are shared."""
    config, home = write_config(tmp_path, agents.agents), tmp_path / "home"
    limit = 8 * kernels
    with ExitStack() as stack:
        children = [
            stack.enter_context(trading(config, home, seed=number + 1, rounds=12, max_orders=limit))
            for number in range(kernels)
        ]
        for child in children:
            child.wait_until_ready()
        for child in children:
            child.go()
        receipts = [child.rest() for child in children]  # until each is done, none disarmed
        with Store(home) as store:
            arming = store.orders.run_blocking(lambda c: live(c, 0.0 + now_s()))
        for child in children:
            child.go()
        for child in children:
            child.process.wait(PATIENCE_S)

    assert judge(journal_of(home), truth(agents)) == []
    opened = [e for all_ in truth(agents).executed.values() for e in all_ if e.kind == "open"]
    assert arming is not None
    assert arming.used_orders <= limit
    assert 0 < len(opened) <= arming.used_orders
    filled = sum(each["outcome"] == "filled" for all_ in receipts for each in all_)
    assert filled == sum(len(all_) for all_ in truth(agents).executed.values())

    owners = set()
    for account, all_ in spans(home).items():
        owners |= {owner for _, _, owner in all_}
        for (_, ended, one), (began, _, other) in pairwise(all_):
            assert one == other or ended <= began, f"interleaved on {account}: {all_}"
    # One that was slow to begin may have found the limit used up, and only then.
    idle = [all_ for all_ in receipts if all(each["outcome"] == "not_sent" for each in all_)]
    assert len(owners) + len(idle) >= kernels


def now_s() -> float:
    """The wall clock, as the store counts it."""
    return TurnedClock().now().timestamp()


STOPPED = """
import json, os, signal, sqlite3, sys
import fleetkit as fk
from fleetkit.store.database import Database

config, home, after = sys.argv[1], sys.argv[2], int(sys.argv[3])
original, seen = Database.run, 0

async def run(self, work):
    # Whatever the store is asked: once the intent is on disk, stop before the answer to
    # the n-th question is known.
    global seen
    result = await original(self, work)
    with sqlite3.connect(f"file:{home}/orders.db?mode=ro", uri=True) as journal:
        if journal.execute("SELECT count(*) FROM orders").fetchone()[0]:
            seen += 1
            if seen == after:
                os.kill(os.getpid(), signal.SIGSTOP)
            if seen > after:
                print("asked", flush=True)
    return result

Database.run = run
with fk.connect(config, home=home, progress=False) as fleet:
    account = int(fleet.agents()["account"].iloc[0])
    with fleet.armed(minutes=5, max_volume=1.0, max_orders=5):
        receipt = fleet.open_position(account, "EURUSD", "buy", 0.1, comment="stopped")
    print(json.dumps({"outcome": receipt.outcome.value, "reason": receipt.reason}), flush=True)
"""


def wait_until_stopped(process):
    """Until the process has stopped itself."""
    for _ in range(3000):
        stat = Path(f"/proc/{process.pid}/stat").read_text()
        state = stat.rpartition(")")[2].split()[0]
        if state == "T":
            return
        assert process.poll() is None, process.communicate()
        threading.Event().wait(0.01)
    raise AssertionError("it never stopped")


def take_over(config, home, account):
    """Trade the account when the lease of who has stopped has run out."""
    clock = TurnedClock()
    clock.let_pass(120.0)
    with (
        fk.connect(config, home=home, progress=False, clock=clock) as fleet,
        fleet.armed(minutes=5, max_volume=1.0, max_orders=5),
    ):
        mine = fleet.open_position(account, "GBPUSD", "sell", 0.2, comment="taken over")
    assert mine.outcome is fk.Outcome.FILLED, mine


@contextmanager
def stopped_owner(config, home, after):
    """A process that has stopped itself between intent and send; killed at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED, str(config), str(home), str(after)],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_until_stopped(process)
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("after", [1, 2])
def test_an_owner_that_lost_its_lease_asleep_sends_nothing(after, agents, tmp_path) -> None:
    """Stopped between intent and send, taken over meanwhile: not one byte goes out at waking."""
    config, home = write_config(tmp_path, agents.agents), tmp_path / "home"
    account, name = agents.agents[0]["account"], agents.agents[0]["name"]
    with stopped_owner(config, home, after) as stopped:
        assert agents.persons.executed(account) == []
        take_over(config, home, account)
        sent = agents.requests()[name]["open"]
        os.kill(stopped.pid, signal.SIGCONT)
        # Once it asks the store again, it has passed the place where it would have sent.
        assert stopped.stdout.readline() == "asked\n"
        assert stopped.stdout.readline()
        threading.Event().wait(WOKEN_S)
        assert agents.requests()[name]["open"] == sent
    assert [each.comment for each in agents.persons.executed(account)] == ["taken over"]
    assert judge(journal_of(home), truth(agents)) == []
