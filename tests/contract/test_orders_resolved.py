"""A person settles an order while others are under way: nobody waits for anybody for ever."""

from __future__ import annotations

import asyncio

import pytest

import fleetkit as fk
from fleetkit.sim import Faults, SimProcess
from tests.support.one_agent import until
from tests.support.order_storm import write_config
from tests.support.order_truth import journal_of

STOP = 0.5
SOON_S = 10.0


@pytest.fixture
def base(tmp_path, nothing_left_behind):
    """A base agent with a hedging account, a fleet on it, and the fleet's home."""
    with SimProcess.start(accounts=1, seed=7) as process:
        config, home = write_config(tmp_path, process.agents), tmp_path / "home"
        with fk.connect(config, home=home, progress=False) as fleet:
            yield process, fleet, process.agents[0]["account"], home
            process.faults.clear()


def unknown_open(process, fleet, account):
    """An open with a stop that two tickets fit, and so nobody can settle but a person."""
    process.faults[account] = Faults(routes=("open",), lost_answer=True, foreign_trade="identical")
    with fleet.armed(minutes=5, max_volume=1.0, max_orders=5):
        receipt = fleet.open_position(account, "EURUSD", "buy", 0.1, sl_price=STOP)
    assert receipt.outcome is fk.Outcome.UNKNOWN
    process.faults.clear()
    (executed,) = process.persons.executed(account)
    return receipt, executed.ticket


def outcome_of(home, order_id):
    (told,) = [each.outcome for each in journal_of(home) if each.order_id == order_id]
    return told


def asked(process, route):
    return sum(counts.get(route, 0) for counts in process.requests().values())


def test_an_order_is_resolved_while_another_one_has_the_account(base):
    """Its stops are read back when the account is free, beside a read that waits for it too."""
    process, fleet, account, home = base
    receipt, ticket = unknown_open(process, fleet, account)
    process.faults[account] = Faults(routes=("close",), hang=True)

    async def scenario():
        aio = fleet.aio
        closing = asyncio.ensure_future(aio.close_position(account, 1))
        await until(lambda: asked(process, "close"))
        await aio.reconcile(wait_s=0.0)  # a read of the unknown order waits for the account
        resolving = asyncio.ensure_future(
            aio.resolve(receipt.order_id, executed=True, ticket=ticket)
        )
        await until(lambda: outcome_of(home, receipt.order_id) == "filled")
        process.faults.clear()
        await closing
        return await asyncio.wait_for(resolving, SOON_S)

    resolved = asyncio.run(scenario())
    assert (resolved.outcome, resolved.evidence) == ("filled", "person")
    assert (resolved.ticket, resolved.stops_ok) == (ticket, True)
    with fleet.armed(minutes=5, max_volume=1.0, max_orders=5):
        assert fleet.open_position(account, "EURUSD", "sell", 0.1).outcome == "filled"


def test_a_resolved_order_is_told_though_its_agent_is_silent(base):
    """That it was executed is on disk; that its stops are not shown comes later."""
    process, fleet, account, home = base
    receipt, ticket = unknown_open(process, fleet, account)
    process.faults[account] = Faults(routes=("positions",), hang=True)
    resolved = fleet.resolve(receipt.order_id, executed=True, ticket=ticket)
    assert (resolved.outcome, resolved.ticket) == ("filled", ticket)
    process.faults.clear()
    assert outcome_of(home, receipt.order_id) == "filled"
