"""Closing a fleet with orders in flight: waits within a bound, and the journal knows the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pandas as pd
import pytest

import fleetkit as fk
from fleetkit.config import TradingSettings
from fleetkit.errors import FleetClosed
from fleetkit.store import Store, lease_of
from tests.support.agents import Reply, ScriptedAgent, served, until
from tests.support.bodies import position

pytestmark = pytest.mark.usefixtures("nothing_left_behind")

PATIENCE_S = 10.0
LONG = TradingSettings(drain_s=PATIENCE_S)
SHORT = TradingSettings(drain_s=0.05)
FILLED = Reply({"success": True, "ticket": 12, "message": "", "price": 1.0863, "error_code": 0})


@pytest.fixture
def agent() -> Iterator[ScriptedAgent]:
    """A base agent with one open position."""
    with served() as fleet:
        fleet[0].positions = [position(11)]
        yield fleet[0]


@contextmanager
def thread() -> Iterator[ThreadPoolExecutor]:
    """Somebody else's thread, gone at the end."""
    with ThreadPoolExecutor(2) as pool:
        yield pool


def connect(agent: ScriptedAgent, trading: TradingSettings) -> fk.Fleet:
    config = agent.config(account=agent.number, margin_mode="hedging", stops_unit="price")
    return fk.connect([config], trading=trading)


def order(
    fleet: fk.Fleet, agent: ScriptedAgent, receipts: list[fk.Receipt] | None = None
) -> fk.Receipt:
    """Open a position; `receipts` has the receipt also where disarming finds the fleet closed."""
    with fleet.armed(minutes=5, max_volume=1.0, max_orders=4):
        receipt = fleet.open_position(agent.number, "EURUSD", "buy", 0.1)
        if receipts is not None:
            receipts.append(receipt)
        return receipt


def journal(agent: ScriptedAgent) -> pd.DataFrame:
    """What the next kernel finds, before it asked anybody anything."""
    for path in ("/positions", "/accounts", "/trade-history", "/health"):
        agent.always(path, Reply({"detail": "boom"}, status=500))
    with connect(agent, SHORT) as fleet:
        return fleet.orders()


def in_the_drain(fleet: fk.Fleet) -> Callable[[], bool]:
    return lambda: "closed" in repr(fleet)


def test_closing_waits_for_the_answer_of_an_order_in_flight(agent: ScriptedAgent) -> None:
    """The caller gets its receipt, and the journal has it settled."""
    held = agent.hold("/positions/open", FILLED)
    with thread() as pool:
        fleet = connect(agent, LONG)
        receipts: list[fk.Receipt] = []
        ordering = pool.submit(order, fleet, agent, receipts)
        held.wait()
        closing: Future[None] = pool.submit(fleet.close, PATIENCE_S)
        until(in_the_drain(fleet))
        assert not closing.done()
        held.release()
        closing.result(PATIENCE_S)
        ordering.exception(PATIENCE_S)
        assert [receipt.outcome for receipt in receipts] == [fk.Outcome.FILLED]
    rows = journal(agent)
    assert rows["outcome"].tolist() == ["filled"]
    assert rows["ticket"].tolist() == [12]
    assert agent.count("/positions/open") == 1


def test_what_is_not_answered_within_the_bound_is_left_open_in_the_journal(
    agent: ScriptedAgent,
) -> None:
    """Closing ends in time; its byte may have left, so nobody calls it anything else."""
    held = agent.hold("/positions/open", FILLED)
    with thread() as pool:
        fleet = connect(agent, SHORT)
        receipt = pool.submit(order, fleet, agent)
        held.wait()
        pool.submit(fleet.close, PATIENCE_S).result(PATIENCE_S)
        told = receipt.result(PATIENCE_S)
        held.release()
    assert told.outcome is fk.Outcome.UNKNOWN
    rows = journal(agent)
    assert len(rows) == 1
    assert rows["settled_at"].isna().all()
    assert rows["outcome"].fillna("unknown").tolist() == ["unknown"]
    assert agent.count("/positions/open") == 1, "and the next kernel does not send it again"


def test_closing_gives_the_account_back(agent: ScriptedAgent) -> None:
    """The next fleet of this process trades at once; no lease lies about."""
    held = agent.hold("/positions/open", FILLED)
    with thread() as pool:
        fleet = connect(agent, SHORT)
        left = pool.submit(order, fleet, agent)
        held.wait()
        fleet.close(PATIENCE_S)
        left.exception(PATIENCE_S)
        held.release()
    with Store() as store:
        lease = store.orders.run_blocking(lambda connection: lease_of(connection, agent.number))
    assert lease is None


def test_an_order_that_waits_for_its_lane_is_not_sent_by_a_closed_fleet(
    agent: ScriptedAgent,
) -> None:
    """It had not left when the fleet was closed, so it never does."""
    reading = agent.hold("/positions")
    with thread() as pool:
        fleet = connect(agent, SHORT)
        left = pool.submit(order, fleet, agent)
        reading.wait()
        fleet.close(PATIENCE_S)
        assert left.result(PATIENCE_S).outcome is fk.Outcome.NOT_SENT
        reading.release()
    assert agent.count("/positions/open") == 0
    agent.heal()
    assert [each for each in journal(agent)["outcome"].dropna() if each == "filled"] == []


def test_a_fleet_with_an_unknown_order_closes_at_once(agent: ScriptedAgent) -> None:
    """Following it in the background is nothing to wait for; the journal keeps it open."""
    agent.then("/positions/open", Reply({"detail": "Exception: boom"}, status=400))
    fleet = connect(agent, LONG)
    receipt = order(fleet, agent)
    assert receipt.outcome is fk.Outcome.UNKNOWN
    closed = threading.Event()
    with thread() as pool:
        pool.submit(fleet.close, PATIENCE_S).add_done_callback(lambda _: closed.set())
        assert closed.wait(PATIENCE_S / 4), "it waited for reconciliation"
    rows = journal(agent)
    assert rows["outcome"].tolist() == ["unknown"]
    assert rows["settled_at"].isna().all()


def test_a_closed_fleet_takes_no_orders(agent: ScriptedAgent) -> None:
    """With a sentence that says how to go on, and without a request."""
    fleet = connect(agent, SHORT)
    fleet.close()
    with pytest.raises(FleetClosed, match=r"fleetkit\.connect"):
        fleet.close_position(agent.number, 11)
    assert agent.count() == 0
