"""One simulated account and a clock to turn, for tests of how it trades.

The trap: a simulated terminal never waits, so its calls are driven by hand here;
one that did wait fails at once instead of hanging a test.
"""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

from fleetkit.agent.terminal import (
    AccountState,
    CloseOrder,
    Deal,
    ModifyOrder,
    OpenOrder,
    OpenPosition,
    Tick,
    TradeResult,
)
from fleetkit.contract import DealType
from fleetkit.model import MarginMode, Side
from fleetkit.sim.fleet import SimFleet
from fleetkit.sim.terminal import SimTerminal
from tests.support.fake_clock import FakeClock

Result = TypeVar("Result")

MONDAY = datetime(2026, 2, 2, tzinfo=UTC)
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
HEDGING = 7_100_012
NETTING = 7_100_005
NETTING_FLAT = 7_100_015


def done(call: Coroutine[Any, Any, Result]) -> Result:
    """What a call of a simulated terminal returns."""
    try:
        call.send(None)
    except StopIteration as ended:
        result: Result = ended.value
        return result
    raise AssertionError(f"{call!r} waited for something")


class SimAccount:
    """A terminal of a fleet made on a Monday, asked in one line each."""

    def __init__(
        self,
        account: int = HEDGING,
        *,
        seed: int = 7,
        hour: float = 10.0,
        start: datetime = MONDAY,
        sessions: bool = False,
    ) -> None:
        self.clock = FakeClock(start)
        self.clock.advance(hour * 3600)
        self.fleet = SimFleet(
            accounts=69, seed=seed, clock=self.clock, start=start, sessions=sessions
        )
        self.terminal: SimTerminal = self.fleet.terminal(account)

    def wait(self, *, minutes: float = 0.0, hours: float = 0.0, days: float = 0.0) -> None:
        """Let time go by without a question."""
        self.clock.advance(60 * minutes + 3600 * hours + 86_400 * days)

    def buy(self, volume: float = 0.1, symbol: str = "EURUSD", **more: Any) -> TradeResult:
        more = {"deviation": 1000, **more}
        order = OpenOrder(symbol=symbol, side=Side.BUY, volume=volume, **more)
        return done(self.terminal.open(order))

    def sell(self, volume: float = 0.1, symbol: str = "EURUSD", **more: Any) -> TradeResult:
        more = {"deviation": 1000, **more}
        order = OpenOrder(symbol=symbol, side=Side.SELL, volume=volume, **more)
        return done(self.terminal.open(order))

    def close(self, ticket: int | None, volume: float | None = None, **more: Any) -> TradeResult:
        assert ticket is not None
        more = {"deviation": 1000, **more}
        return done(self.terminal.close(CloseOrder(ticket=ticket, volume=volume, **more)))

    def modify(self, ticket: int | None, **stops: float) -> TradeResult:
        assert ticket is not None
        return done(self.terminal.modify(ModifyOrder(ticket=ticket, **stops)))

    def quote(self, symbol: str = "EURUSD") -> Tick:
        return done(self.terminal.quote(symbol))

    @property
    def state(self) -> AccountState:
        return done(self.terminal.account())

    @property
    def positions(self) -> list[OpenPosition]:
        return list(done(self.terminal.positions()).positions)

    def position(self, ticket: int | None) -> OpenPosition | None:
        return next((each for each in self.positions if each.ticket == ticket), None)

    @property
    def deals(self) -> list[Deal]:
        return list(done(self.terminal.deals(BEGINNING, self.clock.now())).deals)

    @property
    def new_deals(self) -> list[Deal]:
        """Those of after the anchor."""
        return [deal for deal in self.deals if deal.time >= self.fleet.anchor]

    def flatten(self) -> None:
        """Close everything."""
        for position in self.positions:
            self.close(position.ticket)

    def check_books(self) -> None:
        """What must hold at any time, whatever was traded."""
        state, deals, terminal = self.state, self.deals, self.terminal
        positions = self.positions
        balance = 0
        for deal, left in zip(deals, terminal.ledger.balances, strict=True):
            balance += net_cents(deal)
            assert left == balance / 100
        assert state.balance == balance / 100
        floating = sum(cents(p.profit) + cents(p.swap) for p in positions)
        assert state.equity == (balance + floating) / 100
        assert all(position.volume > 0 for position in positions)
        tickets = [deal.ticket for deal in deals]
        assert tickets == sorted(set(tickets))
        orders = [deal.order for deal in terminal.ledger.deals if deal.order]
        assert len(set(orders)) == len(orders)
        new = [deal.order for deal in self.new_deals if deal.order]
        assert new == sorted(new)
        assert state.margin is not None
        assert (state.margin > 0) == bool(positions)
        self._check_trades(deals)

    def _check_trades(self, deals: list[Deal]) -> None:
        """The rows of a position add up to its deals, but for what its open lots cost."""
        booked: dict[int, int] = {}
        canceled = set()
        for deal in deals:
            booked[deal.position_id] = booked.get(deal.position_id, 0) + net_cents(deal)
            if deal.type in (DealType.BUY_CANCELED, DealType.SELL_CANCELED):
                canceled.add(deal.position_id)
        rows: dict[int, int] = {}
        for trade in self.terminal.trades:
            rows[trade.position_id] = rows.get(trade.position_id, 0) + net_cents(trade)
        still_open = {position.position_id for position in self.positions}
        for number in booked.keys() - still_open - canceled - {0}:
            assert booked[number] == rows.get(number, 0), number
        if self.terminal.margin_mode is MarginMode.HEDGING:  # it pays when it closes
            for number in still_open - canceled:
                assert number is not None
                assert booked[number] == rows.get(number, 0), number
        open_costs = sum(booked[n] - rows.get(n, 0) for n in (still_open | canceled) - {None})
        initial = cents(self.terminal.person.initial_balance)
        assert sum(rows.values()) + open_costs + booked[0] - initial == (
            cents(self.state.balance) - initial
        )


def cents(money: float) -> int:
    return round(money * 100)


def net_cents(what: Any) -> int:
    return sum(cents(getattr(what, name)) for name in ("profit", "swap", "commission", "fee"))
