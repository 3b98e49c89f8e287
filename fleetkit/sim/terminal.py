"""A simulated MetaTrader terminal: one account over the seeded market.

Why: it implements the same protocol as the real terminal, so the agent cannot
tell them apart. May import `agent.terminal`, `contract`, `model` and the rest of
the simulator below.
The trap: history is made when it is first asked for and then never changes.
Only prices move, with the clock that was handed in. It keeps books and does not
trade yet: every order is refused before it could do anything.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cached_property
from typing import Final, NoReturn

from fleetkit.agent.terminal import (
    AccountState,
    ClosedTrade,
    CloseOrder,
    DealBook,
    ModifyOrder,
    OpenOrder,
    OpenPosition,
    PositionBook,
    SymbolInfo,
    Tick,
    TradeBook,
    TradeRefusedError,
    TradeResult,
    UnknownSymbolError,
)
from fleetkit.clock import Clock
from fleetkit.contract import Retcode
from fleetkit.model import MarginMode
from fleetkit.sim.ledger import Ledger
from fleetkit.sim.market import DAY_S, Instrument, Market, TradingCalendar
from fleetkit.sim.people import Person
from fleetkit.sim.trader import Holding, Trader

GREENWICH: Final = timedelta(0)
LEAST_LOTS: Final = 0.01
MOST_LOTS: Final = 100.0
FILL_OR_KILL: Final = 1  # MetaTrader's flags of a filling mode
IMMEDIATE_OR_CANCEL: Final = 2
TRADED_BOTH_WAYS: Final = 4  # MetaTrader's trade mode "full"


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
        """Every closed trade, newest exit first."""
        return self._trader.trades()

    @cached_property
    def ledger(self) -> Ledger:
        """What the broker booked."""
        opened = self._calendar.date(-self.person.days_operating * DAY_S)
        return Ledger(
            account=self.person.account,
            initial_balance=self.person.initial_balance,
            opened=opened,
            trades=self.trades,
            positions=self._open_now(),
        )

    def warm_up(self) -> None:
        """Make the history now instead of at the first question."""
        _ = self.ledger.balance

    def now(self) -> datetime:
        """UTC, as everything here."""
        return self._clock.now()

    def server_offset(self, moment: datetime) -> timedelta:
        """None: this broker is in Greenwich; `fleetkit.sim.faulty` moves it."""
        return GREENWICH

    def machine_offset(self, moment: datetime) -> timedelta:
        """None: so is the machine."""
        return GREENWICH

    async def initialised(self) -> bool:
        """Always."""
        return True

    async def account(self) -> AccountState:
        """Balance from the ledger, equity from the market, margin from both."""
        person, balance, margin = self.person, self.ledger.balance, self._margin
        open_now = self._open_now()
        profit = round(sum(position.profit + position.swap for position in open_now), 2)
        equity = round(balance + profit, 2)
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
            equity=equity,
            profit=profit,
            credit=0.0,
            margin=margin,
            margin_free=round(equity - margin, 2),
            margin_level=round(100 * equity / margin, 2) if margin else None,
            company=person.house,
            margin_mode=MarginMode.HEDGING,
            login_ok=True,
        )

    async def positions(self) -> PositionBook:
        """The open positions at current prices."""
        return PositionBook(self.person.account, self._open_now())

    async def history(self, since: datetime, until: datetime) -> TradeBook:
        """The closed trades whose exit lies in the window."""
        seen = [trade for trade in self.trades if since <= trade.exit_time <= until]
        return TradeBook(self.person.account, seen)

    async def deals(self, since: datetime, until: datetime) -> DealBook:
        """What the broker booked in the window."""
        seen = [deal for deal in self.ledger.deals if since <= deal.time <= until]
        return DealBook(self.person.account, seen)

    async def quote(self, symbol: str) -> Tick:
        """Bid and ask now."""
        instrument, moment_s = self._instrument(symbol), self._market_s()
        bid, ask = self._market.bid_ask(symbol, moment_s)
        return Tick(
            symbol=symbol,
            bid=bid,
            ask=ask,
            digits=instrument.digits,
            point=instrument.point,
            tick_value=self._tick_value(instrument, moment_s),
            time=self.now(),
        )

    async def symbol(self, symbol: str) -> SymbolInfo:
        """How the market's instrument is traded."""
        instrument = self._instrument(symbol)
        return SymbolInfo(
            symbol=symbol,
            digits=instrument.digits,
            point=instrument.point,
            volume_min=LEAST_LOTS,
            volume_max=MOST_LOTS,
            volume_step=LEAST_LOTS,
            trade_stops_level=instrument.spread_points,
            filling_mode=FILL_OR_KILL | IMMEDIATE_OR_CANCEL,
            trade_contract_size=instrument.contract_size,
            trade_tick_size=instrument.point,
            trade_tick_value=self._tick_value(instrument, self._market_s()),
            trade_mode=TRADED_BOTH_WAYS,
            currency_profit=instrument.quote,
        )

    async def open(self, order: OpenOrder) -> TradeResult:
        """Refused."""
        _refuse()

    async def close(self, order: CloseOrder) -> TradeResult:
        """Refused."""
        _refuse()

    async def modify(self, order: ModifyOrder) -> TradeResult:
        """Refused."""
        _refuse()

    async def refresh(self) -> None:
        """Connected already."""

    def _open_now(self) -> list[OpenPosition]:
        moment_s = self._market_s()
        return [self._trader.position(holding, moment_s) for holding in self._holdings]

    @cached_property
    def _holdings(self) -> list[Holding]:
        return self._trader.holdings()

    @cached_property
    def _margin(self) -> float:
        # Held at the price and rate of the opening, as brokers do: it never moves.
        return round(sum(map(self._trader.margin, self._holdings)), 2)

    def _instrument(self, symbol: str) -> Instrument:
        instrument = self._market.instruments.get(symbol)
        if instrument is None:
            raise UnknownSymbolError(f"Symbol {symbol} not found")
        return instrument

    def _tick_value(self, instrument: Instrument, moment_s: float) -> float:
        rate = self._market.rate(instrument.quote, self.person.currency, moment_s)
        return round(instrument.point * instrument.contract_size * rate, 5)

    def _market_s(self) -> float:
        return self._calendar.market_s(self.now())


def _refuse() -> NoReturn:
    raise TradeRefusedError("Trading not allowed: not yet", retcode=Retcode.TRADE_DISABLED)
