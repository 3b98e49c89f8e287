"""A simulated MetaTrader terminal: one account over the seeded market.

Why: it implements the same protocol as the real terminal, so the agent cannot
tell them apart. May import `agent.terminal`, `contract`, `model` and the rest of
the simulator below.
The trap: history of before the anchor is made when it is first asked for and then
never changes. What came later, stops and swaps included, happens when somebody
asks, as if it had happened in its time.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from fleetkit.agent.terminal import (
    AccountState,
    ClosedTrade,
    CloseOrder,
    Deal,
    DealBook,
    ModifyOrder,
    OpenOrder,
    OpenPosition,
    PositionBook,
    SymbolInfo,
    Tick,
    TradeBook,
    TradeResult,
    UnknownSymbolError,
)
from fleetkit.clock import Clock
from fleetkit.contract import DealReason
from fleetkit.model import MarginMode
from fleetkit.sim.book import COMMENT_MAX, Book, By
from fleetkit.sim.broker import Broker
from fleetkit.sim.fills import LEAST_LOTS, MOST_LOTS
from fleetkit.sim.ledger import Ledger
from fleetkit.sim.market import Instrument, Market, TradingCalendar
from fleetkit.sim.money import Valuer, cents
from fleetkit.sim.people import Person
from fleetkit.sim.position import Position
from fleetkit.sim.risk import margin_of
from fleetkit.sim.sessions import DAY_S
from fleetkit.sim.trader import Holding, Trader

GREENWICH: Final = timedelta(0)
FILL_OR_KILL: Final = 1  # MetaTrader's flags of a filling mode
IMMEDIATE_OR_CANCEL: Final = 2
TRADED_BOTH_WAYS: Final = 4  # MetaTrader's trade mode "full"
BY_HAND: Final = By(DealReason.CLIENT)


class SimTerminal:
    """One account's terminal, healthy; `fleetkit.sim.faulty` makes it misbehave.

    Beside the protocol it has what happens to a terminal without its agent:
    `open_by_hand`, `close_by_hand`, `force_close`, `deposit`, `withdraw`, `cancel_deal`.

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
        self._valuer = Valuer(market, person.currency, person.leverage)

    def __repr__(self) -> str:
        return f"<fleetkit.sim SimTerminal of account {self.person.account}>"

    @property
    def trades(self) -> list[ClosedTrade]:
        """Every closed trade, newest exit first."""
        self._caught_up()
        return self._broker.book.trades

    @property
    def ledger(self) -> Ledger:
        """What the broker booked."""
        self._caught_up()
        return self._broker.book.ledger

    @property
    def margin_mode(self) -> MarginMode:
        """Whether orders of one symbol become one position."""
        return MarginMode.NETTING if self._broker.book.nets else MarginMode.HEDGING

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
        """Balance from the ledger, equity from the market, margin from the positions."""
        person, moment_s = self.person, self._caught_up()
        book = self._broker.book
        positions, balance = book.positions, book.ledger.balance
        profit = self._broker.risk.floating_cents(positions, moment_s) / 100
        equity, margin = round(balance + profit, 2), margin_of(positions)
        return AccountState(
            number=person.account,
            name=person.name,
            balance=balance,
            connected=True,
            days_operating=person.days_operating,
            has_open_position=bool(positions),
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
            margin_mode=self.margin_mode,
            trade_allowed=True,
            login_ok=True,
        )

    async def positions(self) -> PositionBook:
        """The open positions at current prices."""
        moment_s = self._caught_up()
        positions = [self._shown(each, moment_s) for each in self._broker.book.positions]
        return PositionBook(self.person.account, positions)

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
        """Execute an order of the agent's."""
        return self._open(order, By(DealReason.EXPERT, order.magic, order.comment[:COMMENT_MAX]))

    async def close(self, order: CloseOrder) -> TradeResult:
        """Close a position, or a part of it, for the agent."""
        moment_s = self._caught_up()
        position = self._broker.book.find(order.ticket)
        magic = 0 if position is None else position.magic
        by = By(DealReason.EXPERT, magic, order.comment[:COMMENT_MAX])
        return self._broker.close(order, moment_s, by)

    async def modify(self, order: ModifyOrder) -> TradeResult:
        """Change a position's stops."""
        moment_s = self._caught_up()
        return self._broker.modify(order, moment_s)

    async def refresh(self) -> None:
        """Connected already."""

    async def open_by_hand(self, order: OpenOrder) -> TradeResult:
        """Execute an order of a person's in the same terminal: no magic, no comment."""
        return self._open(order, BY_HAND)

    async def close_by_hand(self, order: CloseOrder) -> TradeResult:
        """Close a position, or a part of it, as a person in the same terminal does."""
        moment_s = self._caught_up()
        return self._broker.close(order, moment_s, BY_HAND)

    async def force_close(self, ticket: int, reason: DealReason) -> TradeResult:
        """Close a position as the broker does, opening hours or not.

        At its stop or target for the reasons SL and TP where it has one, else at the
        market.

        Raises
        ------
        TradeRefusedError
            Where no such position is open.
        """
        moment_s = self._caught_up()
        return self._broker.force(ticket, reason, moment_s)

    def deposit(self, amount: float, comment: str = "Deposit") -> Deal:
        """Put money on the account; the deal that books it."""
        return self._transfer(amount, 1, comment)

    def withdraw(self, amount: float, comment: str = "Withdrawal") -> Deal:
        """Take money off the account, free margin or not; the deal that books it."""
        return self._transfer(amount, -1, comment)

    def cancel_deal(self, ticket: int) -> Deal:
        """Take a buy or sell back, as a broker does with one that should not have been.

        Its type becomes "canceled" and its money nothing, so balances after it are
        other ones. What is still open of the lots that it opened is gone; a trade that
        it closed is gone from the history and does not open again.

        Raises
        ------
        ValueError
            Where the account has no such buy or sell.
        """
        self._caught_up()
        return self._broker.book.cancel(ticket)

    def _open(self, order: OpenOrder, by: By) -> TradeResult:
        self._instrument(order.symbol)
        moment_s = self._caught_up()
        return self._broker.open(order, moment_s, by)

    def _transfer(self, amount: float, way: int, comment: str) -> Deal:
        if not (math.isfinite(amount) and cents(amount) > 0):
            raise ValueError(f"amount must be at least 0.01, found {amount}")
        time = self._calendar.moment(self._caught_up())
        return self._broker.book.transfer(way * cents(amount), comment, time)

    @cached_property
    def _broker(self) -> Broker:
        person, trades = self.person, self._trader.trades()
        positions = [self._held(holding) for holding in self._trader.holdings()]
        ledger = Ledger(
            account=person.account,
            initial_balance=person.initial_balance,
            opened=self._calendar.date(-person.days_operating * DAY_S),
            trades=trades,
            positions=positions,
        )
        book = Book(
            person.account,
            nets=person.nets and len({each.symbol for each in positions}) == len(positions),
            market=self._market,
            valuer=self._valuer,
            ledger=ledger,
            trades=trades,
            positions=positions,
        )
        name = f"{self._market.seed}:{person.account}"
        return Broker(name, book, self._market, self._calendar, self._valuer)

    def _held(self, holding: Holding) -> Position:
        instrument = self._market.instruments[holding.symbol]
        margin = self._valuer.margin_per_lot(instrument, holding.open_price, holding.open_s)
        return Position(
            ticket=holding.ticket,
            identifier=holding.ticket,
            symbol=holding.symbol,
            side=holding.side,
            volume=holding.volume,
            entered=holding.volume,
            open_time=self._calendar.date(holding.open_s),
            open_price=holding.open_price,
            sl=holding.sl,
            tp=holding.tp,
            margin_per_lot=margin,
            swap=cents(holding.swap),
            due=cents(instrument.commission_per_lot * holding.volume),
            fee_due=cents(instrument.fee_per_lot * holding.volume),
            spared=True,
        )

    def _shown(self, position: Position, moment_s: float) -> OpenPosition:
        return OpenPosition(
            ticket=position.ticket,
            symbol=position.symbol,
            side=position.side,
            volume=position.volume,
            open_price=position.open_price,
            current_price=self._broker.risk.exit_price(position, moment_s),
            sl=position.sl,
            tp=position.tp,
            profit=self._broker.risk.profit_cents(position, moment_s) / 100,
            swap=position.swap / 100,
            commission=0.0,  # MetaTrader keeps it with the deals
            open_time=position.open_time,
            magic=position.magic,
            comment=position.comment,
            position_id=position.identifier,
        )

    def _caught_up(self) -> float:
        """The moment it is, with everything booked that happened until then."""
        return self._broker.catch_up(self._market_s())

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
