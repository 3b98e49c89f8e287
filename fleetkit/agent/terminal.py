"""What an agent needs from a MetaTrader terminal.

Why: the simulated and the real terminal are equals behind one protocol. May
import `model` only.
The trap: every datetime here is *aware and UTC*. Brokers and machines have wall
clocks of their own, and a terminal says how far each of them is from UTC at a
given moment; only the base layer writes such wall times (T7).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from fleetkit.model import MarginMode, Side


class TerminalError(Exception):
    """The terminal could not do what it was asked.

    Not part of `fleetkit.errors`: it never leaves the agent, which makes an
    HTTP error with this message of it.
    """


class UnknownSymbolError(TerminalError):
    """The terminal does not know that symbol, or has no price for it."""


class TradeRefusedError(TerminalError):
    """An order that certainly did nothing: it was refused before it was sent.

    Any other `TerminalError` of a trade call means that nobody knows.

    Attributes
    ----------
    retcode : int or None
        MetaTrader's word for it, where there is one.
    """

    def __init__(self, message: str, *, retcode: int | None = None) -> None:
        self.retcode = retcode
        super().__init__(message)


class AccountState(msgspec.Struct, frozen=True, kw_only=True):
    """One account as its terminal sees it; money in ``currency``.

    ``number`` is 0 and ``balance`` 0.0 where the terminal is not connected (T1).
    """

    number: int
    name: str
    balance: float
    connected: bool
    days_operating: int
    has_open_position: bool
    holder: str = "Unknown"
    firm: str = "N/A"
    initial_balance: float | None = None
    currency: str | None = None
    leverage: int | None = None
    server: str | None = None
    equity: float | None = None
    profit: float | None = None
    credit: float | None = None
    margin: float | None = None
    margin_free: float | None = None
    margin_level: float | None = None  # per cent; None where there is no margin
    company: str | None = None
    margin_mode: MarginMode | None = None
    trade_allowed: bool | None = None
    login_ok: bool | None = None


class OpenPosition(msgspec.Struct, frozen=True, kw_only=True):
    """One open position; volume in lots, prices as quoted.

    ``comment`` is what stands in the terminal. ``order_id`` may stay ``None``:
    the agent finds it in the comment or in its own log.
    """

    ticket: int
    symbol: str
    side: Side
    volume: float
    open_price: float
    current_price: float
    sl: float | None
    tp: float | None
    profit: float
    swap: float
    commission: float
    open_time: datetime
    magic: int = 0
    comment: str = ""
    order_id: str | None = None
    position_id: int | None = None  # the ticket, unless a broker renamed it


class PositionBook(msgspec.Struct, frozen=True):
    """The open positions, and the account they belong to."""

    number: int
    positions: Sequence[OpenPosition]


class ClosedTrade(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One closing deal: a position that ended, or the part of it that did.

    ``volume`` is what this deal closed, ``entry_volume`` the position's whole
    volume. ``commission`` and ``fee`` are the closing deal's own and its share of
    what the entry cost; ``swap`` and ``profit`` are the closing deal's. So the net
    results of all trades of a position add up to those of its deals.
    ``comment`` and ``order_id`` are those of the order that opened it.
    """

    position_id: int
    symbol: str
    side: Side
    volume: float
    pips: float
    profit: float
    commission: float
    swap: float
    fee: float
    entry_time: datetime
    exit_time: datetime
    entry_price: float
    exit_price: float
    deal: int = 0  # the closing deal's ticket
    magic: int = 0
    comment: str = ""
    order_id: str | None = None
    entry_volume: float | None = None


class TradeBook(msgspec.Struct, frozen=True):
    """Closed trades, newest exit first, and the account they belong to."""

    number: int
    trades: Sequence[ClosedTrade]


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """The current price of one symbol; ``tick_value`` is money per lot and point."""

    symbol: str
    bid: float
    ask: float
    digits: int
    point: float
    tick_value: float
    time: datetime


class Deal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One line of the broker's ledger, as MetaTrader5's TradeDeal has it.

    ``type``, ``entry`` and ``reason`` are MetaTrader's numbers
    (`fleetkit.contract.DealType` and its neighbours).
    """

    ticket: int
    order: int
    time: datetime
    type: int
    entry: int
    reason: int
    position_id: int
    symbol: str = ""
    volume: float = 0.0
    price: float = 0.0
    profit: float = 0.0
    swap: float = 0.0
    commission: float = 0.0
    fee: float = 0.0
    magic: int = 0
    comment: str = ""
    external_id: str = ""


class DealBook(msgspec.Struct, frozen=True):
    """Deals by rising ticket, and the account they belong to."""

    number: int
    deals: Sequence[Deal]


class SymbolInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What one symbol may be traded like; MetaTrader's field names and numbers."""

    symbol: str
    digits: int
    point: float
    volume_min: float
    volume_max: float
    volume_step: float
    trade_stops_level: int  # points
    filling_mode: int  # flags: 1 fill or kill, 2 immediate or cancel
    trade_contract_size: float
    trade_tick_size: float
    trade_tick_value: float
    trade_mode: int  # 0 disabled, 1 long only, 2 short only, 3 close only, 4 full
    currency_profit: str


class OpenOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A market order that adds exposure; stops are price levels."""

    symbol: str
    side: Side
    volume: float
    sl: float | None = None
    tp: float | None = None
    deviation: int = 20  # points
    magic: int = 0
    comment: str = ""  # the order's id, where it has one


class CloseOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that closes a position, or ``volume`` lots of it."""

    ticket: int
    volume: float | None = None  # None closes all of it
    deviation: int = 20
    comment: str = ""


class ModifyOrder(msgspec.Struct, frozen=True, kw_only=True):
    """New stops of a position: price levels; ``None`` keeps one, 0.0 removes it."""

    ticket: int
    sl: float | None = None
    tp: float | None = None
    comment: str = ""


class TradeResult(msgspec.Struct, frozen=True, kw_only=True):
    """What `order_send` answered; a retcode other than "done" is an answer too."""

    retcode: int
    comment: str = ""  # MetaTrader's, or the broker's own words
    deal: int = 0
    order: int = 0
    position: int | None = None  # ticket of the position it opened, closed or changed
    volume: float | None = None  # lots really executed
    price: float | None = None
    sl: float | None = None  # of the position after a modify
    tp: float | None = None


class Terminal(Protocol):
    """One MetaTrader terminal, logged into one account.

    Calls may take long and may raise `TerminalError`. The agent makes one call
    at a time. A call whose caller is gone runs on: nothing here is cancelled once
    it may have reached the broker.
    """

    def now(self) -> datetime:
        """The clock of the terminal's machine, in UTC. Never waits."""

    def server_offset(self, moment: datetime) -> timedelta:
        """How far the broker's wall clock is ahead of UTC at that moment. Never waits."""

    def machine_offset(self, moment: datetime) -> timedelta:
        """How far the machine's wall clock is ahead of UTC at that moment. Never waits."""

    async def initialised(self) -> bool:
        """Whether the terminal is up and logged in."""

    async def account(self) -> AccountState:
        """The account's figures now."""

    async def positions(self) -> PositionBook:
        """The positions open now."""

    async def history(self, since: datetime, until: datetime) -> TradeBook:
        """The closing deals from ``since`` to ``until``, both included, newest first."""

    async def deals(self, since: datetime, until: datetime) -> DealBook:
        """The ledger from ``since`` to ``until``, both included, by rising ticket."""

    async def quote(self, symbol: str) -> Tick:
        """Bid and ask of one symbol; `UnknownSymbolError` where there is none."""

    async def symbol(self, symbol: str) -> SymbolInfo:
        """How a symbol is traded; `UnknownSymbolError` where there is none."""

    async def open(self, order: OpenOrder) -> TradeResult:
        """Open a position at the market."""

    async def close(self, order: CloseOrder) -> TradeResult:
        """Close a position or a part of it."""

    async def modify(self, order: ModifyOrder) -> TradeResult:
        """Change a position's stops."""

    async def refresh(self) -> None:
        """Reconnect to the broker; returns when the terminal is logged in again."""
