"""A simulated MetaTrader terminal: one account over the seeded market.

Why: it implements the same protocol as the real terminal, so the agent cannot
tell them apart. May import `agent.terminal` and the rest of the simulator below.
The trap: history is made when it is first asked for and then never changes.
Only prices move, with the clock that was handed in.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

import msgspec

from fleetkit.agent.terminal import (
    AccountState,
    ClosedTrade,
    OpenPosition,
    PositionBook,
    Tick,
    TradeBook,
    UnknownSymbolError,
)
from fleetkit.clock import Clock
from fleetkit.sim.ledger import Ledger
from fleetkit.sim.market import DAY_S, Market, TradingCalendar
from fleetkit.sim.people import Person
from fleetkit.sim.trader import Holding, Trader

NO_SHIFT: Final = timedelta(0)


class SimTerminal:
    """One account's terminal, healthy; `fleetkit.sim.faulty` makes it misbehave.

    Parameters
    ----------
    person
        Whose account it is.
    market, calendar
        Shared by the whole fleet.
    clock
        What time it is.
    """

    def __init__(
        self, person: Person, market: Market, calendar: TradingCalendar, clock: Clock
    ) -> None:
        self.person = person
        self._market = market
        self._calendar = calendar
        self._clock = clock
        self._trader = Trader(person, market, calendar)

    def __repr__(self) -> str:
        return f"<fleetkit.sim SimTerminal of account {self.person.account}>"

    @cached_property
    def trades(self) -> list[ClosedTrade]:
        """Every closed trade in UTC, newest exit first."""
        return self._trader.trades()

    @cached_property
    def ledger(self) -> Ledger:
        """What the broker booked."""
        opened = self._calendar.date(-self.person.days_operating * DAY_S)
        return Ledger(
            initial_balance=self.person.initial_balance,
            opened=opened,
            trades=self.trades,
            positions=self._open_now(),
        )

    def warm_up(self) -> None:
        """Make the history now instead of at the first question."""
        _ = self.ledger.balance

    def now(self) -> datetime:
        """UTC, naive: a machine and a broker in Greenwich."""
        return self._clock.now().replace(tzinfo=None)

    async def initialised(self) -> bool:
        """Always."""
        return True

    async def account(self) -> AccountState:
        """Balance from the ledger, equity from the market."""
        person, balance = self.person, self.ledger.balance
        open_now = self._open_now()
        profit = round(sum(position.profit + position.swap for position in open_now), 2)
        return AccountState(
            number=person.account,
            name=person.name,
            balance=balance,
            connected=True,
            days_operating=person.days_operating,
            has_open_position=bool(open_now),
            holder=person.holder,
            firm=person.firm,
            initial_balance=person.initial_balance,
            currency=person.currency,
            leverage=person.leverage,
            server=person.server,
            equity=round(balance + profit, 2),
            profit=profit,
        )

    async def positions(self) -> PositionBook:
        """The open positions at current prices."""
        return PositionBook(self.person.account, self._open_now())

    async def history(self, since: datetime) -> TradeBook:
        """The closed trades whose entry lies between ``since`` and now."""
        return self.history_seen(since, broker=NO_SHIFT, machine=NO_SHIFT, lag=NO_SHIFT)

    def history_seen(
        self, since: datetime, *, broker: timedelta, machine: timedelta, lag: timedelta
    ) -> TradeBook:
        """The history as a terminal with shifted clocks sees it (T7, T8).

        ``since`` and the times of the answer are wall times: UTC, plus the
        broker's offset, plus that of the terminal's machine. The upper end is
        the machine's own "now", so a broker whose clock is ahead hides what
        just happened; ``lag`` hides more of it.
        """
        shift, until = broker + machine, self.now() + machine - lag
        seen = [
            _shifted(trade, shift)
            for trade in self.trades
            if trade.entry_time + shift >= since and trade.exit_time + shift <= until
        ]
        return TradeBook(self.person.account, seen)

    async def quote(self, symbol: str) -> Tick:
        """Bid and ask now."""
        instrument = self._market.instruments.get(symbol)
        if instrument is None:
            raise UnknownSymbolError(f"Symbol {symbol} not found")
        moment_s = self._market_s()
        bid, ask = self._market.bid_ask(symbol, moment_s)
        rate = self._market.rate(instrument.quote, self.person.currency, moment_s)
        return Tick(
            symbol=symbol,
            bid=bid,
            ask=ask,
            digits=instrument.digits,
            point=instrument.point,
            tick_value=round(instrument.point * instrument.contract_size * rate, 5),
            time=self.now(),
        )

    async def refresh(self) -> None:
        """Connected already."""

    def _open_now(self) -> list[OpenPosition]:
        moment_s = self._market_s()
        return [self._trader.position(holding, moment_s) for holding in self._holdings]

    @cached_property
    def _holdings(self) -> list[Holding]:
        return self._trader.holdings()

    def _market_s(self) -> float:
        return self._calendar.market_s(self.now())


def _shifted(trade: ClosedTrade, shift: timedelta) -> ClosedTrade:
    if not shift:
        return trade
    return msgspec.structs.replace(
        trade, entry_time=trade.entry_time + shift, exit_time=trade.exit_time + shift
    )
