"""Looks at an account: exact numbers, moments only where they mean something, far enough back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from fleetkit.contract import TradeHistoryWire
from fleetkit.desk import looks
from fleetkit.errors import TerminalDisconnected
from fleetkit.model import MarginMode, Position, Side
from fleetkit.orders.readings import SeenPosition, SeenTrade
from fleetkit.trading import OrderKind
from tests.support.agents import Reply, ScriptedAgent, served
from tests.support.bodies import account_body, history_body, position, positions_body, trade
from tests.support.one_gateway import one_gateway, run

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
HOLD_S = 5.0


def history(*trades: dict[str, Any]) -> TradeHistoryWire:
    """A trade history as it is decoded from the wire."""
    return msgspec.json.decode(
        msgspec.json.encode(history_body(7_100_001, list(trades))), type=TradeHistoryWire
    )


def listed(**changes: Any) -> Position:
    """An open position as the gateway makes it."""
    fields: dict[str, Any] = {
        "ticket": 11, "account": 7_100_001, "symbol": "EURUSD", "side": Side.SELL, "volume": 0.07,
        "open_time": NOW, "open_price": 1.0861, "current_price": 1.0869, "sl": None, "tp": None,
        "profit": -4.2, "swap": 0.0, "commission": 0.0,
    }  # fmt: skip
    return Position(**fields | changes)


# Exact numbers


@pytest.mark.parametrize(
    ("volume", "exact"),
    [(0.07, "0.07"), (0.1, "0.1"), (0.30000000000000004, "0.3"), (2.0, "2"), (0.00000001, "1e-8")],
)
def test_lots_are_what_the_agent_meant(volume: float, exact: str) -> None:
    """A terminal that adds binary floats means 0.3; open and closed lots are read alike."""
    assert looks.seen_position(listed(volume=volume)).volume == Decimal(exact)
    [seen] = looks.seen_trades(history(trade(11, lot=volume)), None) or ()
    assert seen.volume == Decimal(exact)


def test_a_position_is_seen_with_every_digit() -> None:
    """Stops as they were written, and nothing of what the market moves."""
    seen = looks.seen_position(listed(sl=1.08345, tp=1.1))
    assert seen == SeenPosition(
        ticket=11,
        symbol="EURUSD",
        side=Side.SELL,
        volume=Decimal("0.07"),
        sl=Decimal("1.08345"),
        tp=Decimal("1.1"),
        open_time=NOW,
        open_price=1.0861,
    )
    assert seen.signed == Decimal("-0.07")
    assert looks.seen_position(listed()).sl is None


def test_a_trade_is_seen_with_every_digit() -> None:
    """The side is the position's, the volume what this row closed."""
    [seen] = looks.seen_trades(history(trade(77, side="Sell", lot=0.07)), UTC) or ()
    assert seen == SeenTrade(
        position_id=77,
        symbol="EURUSD",
        side=Side.SELL,
        volume=Decimal("0.07"),
        entry_time=datetime(2026, 2, 1, 8, tzinfo=UTC),
        entry_price=1.08412,
        exit_price=1.08535,
    )


def test_of_a_partial_close_only_the_closed_part_counts() -> None:
    """Our own agent says both; `lot` is the whole position's there."""
    [seen] = looks.seen_trades(history(trade(77, lot=1.0, closed_volume=0.3)), UTC) or ()
    assert seen.volume == Decimal("0.3")


# What counts as not read


def test_an_empty_history_was_read() -> None:
    """Empty is not the same as not read."""
    assert looks.seen_trades(history(), UTC) == ()


@pytest.mark.parametrize("change", [{"position_id": None}, {"side": "balance"}, {"side": ""}])
def test_one_row_that_cannot_be_told_makes_the_history_unread(change: dict[str, Any]) -> None:
    """A trade without its id could be any position's, also the one that is looked for."""
    assert looks.seen_trades(history(trade(76), trade(77) | change, trade(78)), UTC) is None


def test_a_row_without_the_field_is_one_without_an_id() -> None:
    """Old agents leave it out."""
    old = trade(77)
    del old["position_id"]
    assert looks.seen_trades(history(old), UTC) is None


# Times


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("2026-02-01T09:00:00", None, None),
        ("2026-02-01T09:00:00", UTC, datetime(2026, 2, 1, 9, tzinfo=UTC)),
        ("2026-02-01T09:00:00", BERLIN, datetime(2026, 2, 1, 8, tzinfo=UTC)),
        ("2026-07-01T09:00:00", BERLIN, datetime(2026, 7, 1, 7, tzinfo=UTC)),
        ("2026-10-25T02:30:00", BERLIN, datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("2026-02-01T09:00:00Z", None, datetime(2026, 2, 1, 9, tzinfo=UTC)),
        ("2026-02-01T09:00:00+03:00", BERLIN, datetime(2026, 2, 1, 6, tzinfo=UTC)),
        ("yesterday", UTC, None),
        ("", UTC, None),
    ],
)
def test_a_time_means_something_only_where_its_zone_is_known(
    text: str, zone: Any, moment: datetime | None
) -> None:
    """Naive without a zone is nothing; an ambiguous hour is the earlier one (T7)."""
    [seen] = looks.seen_trades(history(trade(77, entry_time=text)), zone) or ()
    assert seen.entry_time == moment


# How far back


@pytest.mark.parametrize(
    ("kind", "open_days", "days"),
    [
        (OrderKind.OPEN, None, 30),
        (OrderKind.OPEN, 200.0, 30),
        (OrderKind.CLOSE, 0.0, 30),
        (OrderKind.CLOSE, 27.0, 30),
        (OrderKind.CLOSE, 28.0, 31),
        (OrderKind.CLOSE, 100.5, 103),
        (OrderKind.CLOSE, 362.0, 365),
        (OrderKind.CLOSE, 5_000.0, 365),
        (OrderKind.CLOSE, -9.0, 30),
        (OrderKind.CLOSE, None, 365),
    ],
)
def test_a_look_goes_back_to_where_the_position_was_opened(
    kind: OrderKind, open_days: float | None, days: int
) -> None:
    """The history has a trade only if its entry lies in the window (T8); 365 is the most (T9)."""
    opened = None if open_days is None else NOW - timedelta(days=open_days)
    look = looks.Look(kind, opened=opened, now=NOW)
    assert look.query == {"days": str(days)}
    assert look.wants_history


def test_a_modify_needs_no_history() -> None:
    """It shows in the position itself."""
    assert not looks.Look(OrderKind.MODIFY, opened=None, now=NOW).wants_history


# Against an agent


@pytest.fixture
def agent() -> Iterator[ScriptedAgent]:
    """A base agent with one position and two closed trades."""
    with served() as fleet:
        fleet[0].positions = [position(11)]
        fleet[0].trades = [trade(9, lot=0.3), trade(9, lot=0.2), trade(10)]
        yield fleet[0]


def look(kind: OrderKind) -> looks.Look:
    return looks.Look(kind, opened=None, now=NOW)


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_before_an_order_everything_is_read_once_and_in_order(
    agent: ScriptedAgent, zone: str | None, nothing_left_behind: None
) -> None:
    """Positions, history, balance; what was closed of the ticket already; whether zones count."""
    agent.account = account_body(agent.number, balance=100_012.34)
    config = agent.config(account=agent.number, **({} if zone is None else {"time_zone": zone}))

    async def scenario() -> None:
        async with one_gateway(config) as gateway, gateway.hold(HOLD_S) as hold:
            seen = await looks.before(
                hold, gateway, look(OrderKind.CLOSE), ticket=9, mode=MarginMode.HEDGING, now=NOW
            )
        paths = [each.path for each in agent.requests]
        assert paths == ["/positions", "/trade-history", "/accounts"]
        assert (seen.account, seen.as_of, seen.margin_mode) == (
            agent.number,
            NOW,
            MarginMode.HEDGING,
        )
        assert seen.balance == Decimal("100012.34")
        assert seen.tickets == {11}
        assert seen.closed_ids == {9, 10}
        assert seen.closed_volume == Decimal("0.5")
        assert seen.zone_known is (zone is not None)

    run(scenario())


def test_a_history_that_cannot_be_told_is_none_before_as_well(
    agent: ScriptedAgent, nothing_left_behind: None
) -> None:
    """Then no closed id is known, and none may be taken for new."""
    agent.trades = [trade(9), trade(0) | {"position_id": None}]

    async def scenario() -> None:
        config = agent.config(account=agent.number)
        async with one_gateway(config) as gateway, gateway.hold(HOLD_S) as hold:
            seen = await looks.before(
                hold, gateway, look(OrderKind.OPEN), ticket=None, mode=MarginMode.HEDGING, now=NOW
            )
        assert seen.closed_ids is None
        assert seen.closed_volume == 0

    run(scenario())


@pytest.mark.parametrize("path", ["/positions", "/trade-history"])
def test_account_0_before_an_order_keeps_it_back(
    agent: ScriptedAgent, path: str, nothing_left_behind: None
) -> None:
    """There is no before-snapshot of nobody, so nothing is sent; after it that half is unread."""
    bodies = {"/positions": positions_body(0, []), "/trade-history": history_body(0, [])}
    agent.always(path, Reply(bodies[path]))

    async def scenario() -> None:
        config = agent.config(account=agent.number)
        async with one_gateway(config) as gateway, gateway.hold(HOLD_S) as hold:
            with pytest.raises(TerminalDisconnected, match="account 0"):
                await looks.before(
                    hold, gateway, look(OrderKind.OPEN), ticket=None, mode=MarginMode.NETTING,
                    now=NOW,
                )  # fmt: skip
            sighting = await looks.sight(hold, gateway, look(OrderKind.OPEN), elapsed=lambda: 5.0)
        assert (sighting.positions is None) is (path == "/positions")
        assert (sighting.history is None) is (path == "/trade-history")
        assert (sighting.at, sighting.account) == (5.0, agent.number)
        assert sighting.balance == Decimal(str(agent.account["balance"]))

    run(scenario())


def test_a_modify_is_looked_at_without_the_history(
    agent: ScriptedAgent, nothing_left_behind: None
) -> None:
    """One request less on the terminal's only lane."""

    async def scenario() -> None:
        config = agent.config(account=agent.number)
        async with one_gateway(config) as gateway, gateway.hold(HOLD_S) as hold:
            sighting = await looks.sight(hold, gateway, look(OrderKind.MODIFY), elapsed=lambda: 5.0)
        assert sighting.history is None
        assert [seen.ticket for seen in sighting.positions or ()] == [11]
        assert agent.count("/trade-history") == 0

    run(scenario())
