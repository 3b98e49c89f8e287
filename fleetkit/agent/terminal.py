"""What an agent needs from a MetaTrader terminal.

Why: the simulated and the real terminal are equals behind one protocol. May
import `model` only.
The trap: every datetime here is *naive*, as MetaTrader's Python package hands
it over: the broker's wall clock, shifted by the zone of the terminal's machine
(T7). `Terminal.now` is that machine's own clock. Who writes UTC must know both
offsets; the base layer passes them on as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from fleetkit.model import Side


class TerminalError(Exception):
    """The terminal could not do what it was asked.

    Not part of `fleetkit.errors`: it never leaves the agent, which makes an
    HTTP error with this message of it.
    """


class UnknownSymbolError(TerminalError):
    """The terminal does not know that symbol, or has no price for it."""


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


class OpenPosition(msgspec.Struct, frozen=True, kw_only=True):
    """One open position; volume in lots, prices as quoted."""

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


class PositionBook(msgspec.Struct, frozen=True):
    """The open positions, and the account they belong to."""

    number: int
    positions: Sequence[OpenPosition]


class ClosedTrade(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One closed trade; ``commission`` of both of its deals."""

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


class Terminal(Protocol):
    """One MetaTrader terminal, logged into one account.

    Calls may take long and may raise `TerminalError`. The agent makes one call
    at a time.
    """

    def now(self) -> datetime:
        """The naive wall clock of the terminal's machine."""

    async def initialised(self) -> bool:
        """Whether the terminal is up and logged in."""

    async def account(self) -> AccountState:
        """The account's figures now."""

    async def positions(self) -> PositionBook:
        """The positions open now."""

    async def history(self, since: datetime) -> TradeBook:
        """The closed trades whose *entry* lies between ``since`` and now (T8)."""

    async def quote(self, symbol: str) -> Tick:
        """Bid and ask of one symbol; `UnknownSymbolError` where there is none."""

    async def refresh(self) -> None:
        """Reconnect to the broker; returns when the terminal is logged in again."""
