"""Orders whose answer proves nothing: unknown within a second, then settled by evidence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import fleetkit as fk
from fleetkit.clock import SystemClock
from fleetkit.sim import Faults, SimProcess

HELD = 7_100_001  # of seed 7: has an open position, so that a list can show an absence
FLAT = 7_100_003  # has none
GRACE_S = 0.5
SETTLES_S = 15.0
KINDS: dict[str, dict[str, Any]] = {"base": {"layer": "base"}, "extended": {"layer": "extended"}}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def served(kind: str) -> Iterator[SimProcess]:
    """A fleet of its own for every test: what one left open would be evidence in the next."""
    with SimProcess.start(accounts=3, seed=7, keep_alive_s=60, **KINDS[kind]) as process:
        yield process


@pytest.fixture
def connect(served: SimProcess, tmp_path, nothing_left_behind):
    """``connect()`` → the fleet on one store, with a grace that a test can wait for."""
    made: list[fk.Fleet] = []

    def connected(**more: object) -> fk.Fleet:
        agents = [dict(agent, time_zone="UTC", stops_unit="price") for agent in served.agents]
        made.append(
            fk.connect(
                agents,
                home=tmp_path,
                progress=False,
                trading=fk.TradingSettings(grace_s=GRACE_S),
                timeouts=fk.Timeouts(trade_deadline_s=1.0),
                **more,
            )
        )
        return made[-1]

    yield connected
    served.faults.clear()
    for fleet in made:
        fleet.close()


def opened(fleet: fk.Fleet, account: int = HELD, symbol: str = "EURUSD", **more: Any) -> fk.Receipt:
    """The receipt of an order that is told within a second of its answer."""
    clock = SystemClock()
    started = clock.elapsed()
    with fleet.armed(minutes=5, max_volume=5, max_orders=50):
        receipt = fleet.open_position(account, symbol, "buy", 0.2, **more)
    assert clock.elapsed() - started < 2.5
    return receipt


def settled(fleet: fk.Fleet, receipt: fk.Receipt) -> dict[str, Any]:
    """The journal's row of an order once reconciliation is done with it."""
    fleet.reconcile(wait_s=SETTLES_S)
    row: dict[str, Any] = fleet.orders().loc[receipt.order_id].to_dict()
    return row


@pytest.mark.parametrize(
    "faults",
    [
        Faults(lost_answer=True),
        Faults(executed_as_400="Exception: list index out of range"),
        Faults(late_execution_s=0.2),
        Faults(status_code=302, routes=("open",)),
        Faults(html_error=True, routes=("open",)),
        Faults(malformed_json=True, routes=("open",)),
    ],
    ids=["lost", "as 400", "late", "redirect", "proxy", "cut off"],
)
def test_executed_and_not_told(kind: str, served: SimProcess, connect, faults: Faults) -> None:
    """Unknown at first, then filled: by the agent's log, or because only it explains the ticket."""
    fleet = connect()
    served.faults[HELD] = faults
    receipt = opened(fleet)
    assert receipt.outcome == "unknown"
    served.faults.clear()
    row = settled(fleet, receipt)
    (executed,) = served.persons.executed(HELD)
    assert (row["outcome"], row["ticket"]) == ("filled", executed.ticket)
    assert row["evidence"] == ("inferred" if kind == "base" else "by_id")


def test_never_executed(kind: str, served: SimProcess, connect) -> None:
    """A timeout of the broker: proven absent by two readings where something can be proven."""
    fleet = connect()
    served.faults[HELD] = Faults(retcode=10012)
    receipt = opened(fleet)
    assert receipt.outcome == "unknown"
    served.faults.clear()
    row = settled(fleet, receipt)
    assert served.persons.executed(HELD) == []
    assert (kind, row["outcome"]) in {("base", "not_executed"), ("extended", "unknown")}


def test_an_account_that_was_flat_proves_no_absence(kind: str, served: SimProcess, connect) -> None:
    """It stays unknown, locks its symbol, and a person settles it."""
    fleet = connect()
    served.faults[FLAT] = Faults(retcode=10012)
    receipt = opened(fleet, FLAT)
    served.faults.clear()
    fleet.reconcile(wait_s=4 * GRACE_S)
    assert fleet.orders(open_only=True).index.tolist() == [receipt.order_id]
    locked = opened(fleet, FLAT)
    assert locked.outcome == "not_sent"
    assert receipt.order_id in locked.reason
    assert opened(fleet, FLAT, override=True).outcome == "filled"
    resolved = fleet.resolve(receipt.order_id, executed=False)
    assert (resolved.outcome, resolved.evidence) == ("not_executed", "person")
    with pytest.raises(fk.UsageError, match="is settled"):
        fleet.resolve(receipt.order_id, executed=True)
    with pytest.raises(fk.UsageError, match="There is no order"):
        fleet.resolve("nothing", executed=True)


def test_a_person_trades_the_same_at_that_moment(kind: str, served: SimProcess, connect) -> None:
    """Two tickets fit: the agent's log tells which, and without one nobody guesses."""
    fleet = connect()
    served.faults[HELD] = Faults(lost_answer=True, foreign_trade="identical")
    receipt = opened(fleet)
    served.faults.clear()
    if kind == "base":
        fleet.reconcile(wait_s=4 * GRACE_S)
        assert fleet.orders().loc[receipt.order_id, "outcome"] == "unknown"
        return
    row = settled(fleet, receipt)
    (executed,) = served.persons.executed(HELD)
    assert (row["outcome"], row["ticket"]) == ("filled", executed.ticket)


@pytest.mark.parametrize("kind", ["base"], indirect=True)
def test_an_order_that_stays_unknown_does_not_keep_a_later_one_unknown(
    served: SimProcess, connect
) -> None:
    """Once it is too late for the first, what is new after that is the second one's."""
    fleet = connect()
    served.faults[HELD] = Faults(lost_answer=True, foreign_trade="identical")
    first = opened(fleet)
    served.faults.clear()
    fleet.reconcile(wait_s=8 * GRACE_S)
    assert fleet.orders().loc[first.order_id, "outcome"] == "unknown"
    served.faults[HELD] = Faults(lost_answer=True)
    second = opened(fleet, override=True)
    assert second.outcome == "unknown"
    served.faults.clear()
    fleet.reconcile(wait_s=4 * GRACE_S)
    row = fleet.orders().loc[second.order_id]
    assert (row["outcome"], row["evidence"]) == ("filled", "inferred")
    assert row["ticket"] == served.persons.executed(HELD)[-1].ticket
    assert fleet.orders().loc[first.order_id, "outcome"] == "unknown"


@pytest.mark.parametrize("kind", ["base"], indirect=True)
@pytest.mark.parametrize("what", ["close", "modify"])
def test_what_was_closed_already_can_be_neither_closed_nor_modified(
    served: SimProcess, connect, what: str
) -> None:
    """The agent does not find it, which refuses nothing; that it was gone before does."""
    fleet = connect()
    ticket = opened(fleet).ticket
    assert ticket is not None
    assert fleet.close_position(HELD, ticket).outcome == "filled"
    served.faults[HELD] = Faults(lost_answer=True)
    if what == "close":
        lost = fleet.close_position(HELD, ticket, again=True)
    else:
        lost = fleet.modify_position(HELD, ticket, sl_price=1.0)
    assert lost.outcome == "unknown"
    served.faults.clear()
    row = settled(fleet, lost)
    assert (row["outcome"], row["evidence"]) == ("not_executed", "position")


@pytest.mark.parametrize("what", ["close", "modify"])
def test_a_close_and_a_modify_that_were_not_told(
    kind: str, served: SimProcess, connect, what: str
) -> None:
    """The position itself, or the history, says what became of them."""
    fleet = connect()
    receipt = opened(fleet)
    assert receipt.ticket is not None
    level = round(fleet.quote(HELD, "EURUSD").bid - 0.01, 5)
    served.faults[HELD] = Faults(lost_answer=True)
    if what == "close":
        lost = fleet.close_position(HELD, receipt.ticket)
    else:
        lost = fleet.modify_position(HELD, receipt.ticket, sl_price=level)
    assert lost.outcome == "unknown"
    served.faults.clear()
    assert settled(fleet, lost)["outcome"] == "filled"
    held = fleet.positions(HELD, refresh=True)
    assert (receipt.ticket in held.index) == (what == "modify")


def test_a_stop_in_the_wrong_unit_is_corrected_once(served: SimProcess, connect) -> None:
    """An agent that takes prices for pips: the position is read back and put right (T6)."""
    fleet = connect()
    served.faults[HELD] = Faults(stops_unit="pips")
    level = round(fleet.quote(HELD, "USDJPY").bid - 2.5, 3)  # taken for some 150 pips
    receipt = opened(fleet, symbol="USDJPY", sl_price=level)
    assert (receipt.outcome, receipt.stops_ok, receipt.sl) == ("filled", True, level)
    assert receipt.ticket is not None
    assert fleet.positions(HELD, refresh=True).loc[receipt.ticket, "sl"] == level
    kinds = [each.kind for each in served.persons.executed(HELD)]
    assert kinds == ["open", "modify"]


@pytest.mark.parametrize("kind", ["base"], indirect=True)
def test_an_inferred_ticket_is_never_modified(served: SimProcess, connect) -> None:
    """It may be a person's position: its stops are told, and left alone."""
    fleet = connect()
    served.faults[HELD] = Faults(lost_answer=True, stops_unit="pips")
    level = round(fleet.quote(HELD, "USDJPY").bid - 2.5, 3)
    receipt = opened(fleet, symbol="USDJPY", sl_price=level)
    served.faults.clear()
    row = settled(fleet, receipt)
    assert (row["outcome"], row["evidence"], row["stops_ok"]) == ("filled", "inferred", False)
    assert [each.kind for each in served.persons.executed(HELD)] == ["open"]


def test_another_kernel_takes_up_what_one_left_open(kind: str, served: SimProcess, connect) -> None:
    """A fleet that is closed leaves its unknown order to the next one on the store."""
    fleet = connect()
    served.faults[HELD] = Faults(lost_answer=True)
    receipt = opened(fleet)
    served.faults[HELD] = Faults(refuse=True)
    fleet.close()
    served.faults.clear()
    later = connect()
    assert settled(later, receipt)["outcome"] == "filled"


def test_no_reconnect_while_an_order_is_open(served: SimProcess, connect) -> None:
    """Auto-recovery would make its fate harder to find out: it waits."""
    fleet = connect(recovery=fk.RecoveryPolicy(failures=1, pause_s=0.0))
    served.faults[FLAT] = Faults(lost_answer=True)
    opened(fleet, FLAT)
    served.faults[FLAT] = Faults(disconnected=True)
    for _ in range(3):
        fleet.refresh(FLAT)
    names = {agent["account"]: agent["name"] for agent in served.agents}
    assert served.requests()[names[FLAT]].get("refresh", 0) == 0
