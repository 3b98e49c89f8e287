"""What storms, killings and strangers found the desk to get wrong: each stays mended."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections import Counter

import pytest

import fleetkit as fk
from fleetkit.sim import Faults, SimProcess
from tests.contract.test_orders_cost import flat, of, spent
from tests.contract.test_orders_kernels import SLOW, stopped_owner, take_over
from tests.support.order_storm import GRACE_S, write_config
from tests.support.order_truth import journal_of
from tests.support.turned_clock import TurnedClock


@pytest.fixture
def base(tmp_path):
    """A base agent with a hedging account that holds a position, and a fleet on a clock."""
    with SimProcess.start(accounts=12, seed=11) as process:
        clock = TurnedClock()
        config = write_config(tmp_path, process.agents)
        with fk.connect(config, home=tmp_path / "home", progress=False, clock=clock) as fleet:
            held = set(fleet.positions()["account"])
            account = next(
                a["account"]
                for a in process.agents
                if a["margin_mode"] == "hedging" and a["account"] in held
            )
            yield process, fleet, clock, account


def settle(fleet, clock):
    for _ in range(8):
        if fleet.reconcile(wait_s=0.5).empty:
            return
        clock.let_pass(10 * GRACE_S)


def test_a_ticket_that_a_modify_touched_is_not_the_modifys_result(base):
    """An executed open must not be told not_executed because its position was modified."""
    process, fleet, clock, account = base
    with fleet.armed(minutes=5, max_volume=1.0, max_orders=5):
        # Two candidates: it stays unknown, and a person looks after both positions meanwhile.
        process.faults[account] = Faults(
            routes=("open",), lost_answer=True, foreign_trade="identical"
        )
        receipt = fleet.open_position(account, "EURUSD", "buy", 0.1, comment="mine")
    assert receipt.outcome is fk.Outcome.UNKNOWN
    process.faults.clear()
    positions = fleet.positions(refresh=True)
    mine = positions[(positions["account"] == account) & (positions["symbol"] == "EURUSD")]
    for ticket in mine.index:
        fleet.modify_position(account, int(ticket), sl_price=0.5)
    settle(fleet, clock)
    (told,) = [each for each in journal_of(fleet_home(fleet)) if each.kind == "open"]
    assert [each.comment for each in process.persons.executed(account)][:1] == ["mine"]
    assert told.outcome in ("unknown", "filled")


def fleet_home(fleet):
    return fleet._target.store.path.parent


def test_lease_s_of_the_config_is_the_leases(base):
    """A lease lasts `[trading] lease_s`."""
    process, fleet, _, account = base
    process.faults[account] = Faults(routes=("open",), latency=fk.sim.Latency.fixed(300))
    with fleet.armed(minutes=5, max_volume=1.0, max_orders=5):
        fleet.open_position(account, "EURUSD", "buy", 0.1)
    with sqlite3.connect(fleet_home(fleet) / "orders.db") as db:
        renewed, expires = db.execute("SELECT renewed_s, expires_s FROM leases").fetchone()
    db.close()
    assert expires - renewed == pytest.approx(4.0)


def test_an_owner_that_lost_its_lease_answers_its_caller(tmp_path):
    """It knows that it sent nothing, or says unknown; within a second, not never."""
    with SimProcess.start(accounts=2, seed=7, faults=SLOW) as process:
        config, home = write_config(tmp_path, process.agents), tmp_path / "home"
        account = process.agents[0]["account"]
        with stopped_owner(config, home, 1) as stopped:
            take_over(config, home, account)
            os.kill(stopped.pid, signal.SIGCONT)
            output, _ = stopped.communicate(timeout=10)
    told = json.loads(output.strip().splitlines()[-1])
    assert told["outcome"] in ("not_sent", "unknown")


@pytest.mark.parametrize("layer", ["base", "extended"])
def test_a_modifys_requests_are_listed(layer):
    """Each request is in receipt.timings, also one that is made twice."""
    with fk.demo(accounts=8, seed=7, layer=layer, progress=False) as fleet:
        account = int(fleet.accounts().index[5])
        with fleet.armed(minutes=5, max_volume=1.0, max_orders=4):
            opened = fleet.open_position(account, "EURUSD", "buy", 0.1)
        fleet.accounts()
        before = flat(fleet)
        receipt = fleet.modify_position(account, opened.ticket, sl_price=0.5)
        fleet.accounts()
        extra = spent(fleet, before) - of(receipt)
    assert extra == Counter({(receipt.agent, "accounts"): 1})


def test_a_close_says_what_was_closed(base):
    """Not the volume that the position had when somebody last looked."""
    process, fleet, clock, account = base
    with fleet.armed(minutes=5, max_volume=1.0, max_orders=5):
        opened = fleet.open_position(account, "EURUSD", "buy", 0.04)
    fleet.positions(refresh=True)
    process.faults[account] = Faults(routes=("close",), partial_fill=0.5)
    first = fleet.close_position(account, opened.ticket)
    process.faults.clear()
    second = fleet.close_position(account, opened.ticket)
    settle(fleet, clock)
    truth = [e.volume for e in process.persons.executed(account) if e.kind == "close"]
    assert truth == [0.02, 0.02]
    assert first.outcome in (fk.Outcome.UNKNOWN, fk.Outcome.FILLED)
    assert float(second.filled_volume or 0.02) == 0.02
