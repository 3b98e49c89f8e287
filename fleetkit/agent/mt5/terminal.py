"""`Mt5Terminal`: the protocol's methods, each one call on the terminal's thread.

Why: the event loop never waits for MetaTrader. May import its siblings and
`agent.terminal`.
The trap: `now` and the offsets are asked on the event loop, beside the thread; they
read what is there and never ask the terminal.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from fleetkit.agent.mt5.books import Mt5Books
from fleetkit.agent.mt5.session import Mt5Link, Mt5Options
from fleetkit.agent.mt5.thread import TerminalThread
from fleetkit.agent.mt5.trading import Mt5Trading
from fleetkit.agent.terminal import (
    AccountState,
    CloseOrder,
    DealBook,
    ModifyOrder,
    OpenOrder,
    PositionBook,
    SymbolInfo,
    Tick,
    TradeBook,
    TradeResult,
)
from fleetkit.clock import Clock, SystemClock


class Mt5Terminal:
    """One MetaTrader 5 terminal of this Windows user.

    Parameters
    ----------
    options
        What is known before it is asked.
    clock
        What time it is.
    package
        The module ``MetaTrader5``; imported at the first call unless given.
    pause
        Waits some seconds on the terminal's thread, between two looks at a tick.
    """

    def __init__(
        self,
        options: Mt5Options | None = None,
        *,
        clock: Clock | None = None,
        package: Any = None,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self.options = Mt5Options() if options is None else options
        self._clock = SystemClock() if clock is None else clock
        self._link = Mt5Link(self.options, self._clock, package, pause)
        self._books, self._trading = Mt5Books(self._link), Mt5Trading(self._link)
        self._thread = TerminalThread()

    def __repr__(self) -> str:
        return f"<fleetkit.agent Mt5Terminal of account {self.options.account or 'any'}>"

    def now(self) -> datetime:
        """The clock of this machine."""
        return self._clock.now()

    def server_offset(self, moment: datetime) -> timedelta:
        """From the zone, else the last one measured, 0 until then."""
        return self._link.times.offset(moment)

    def machine_offset(self, moment: datetime) -> timedelta:
        """From the machine's own zone."""
        return moment.astimezone().utcoffset() or timedelta(0)

    async def initialised(self) -> bool:
        """Whether the right account is logged in and its broker connected."""
        return await self._thread.run(self._books.initialised)

    async def account(self) -> AccountState:
        """Figures of the account; number 0 where the broker cannot be reached (T1)."""
        return await self._thread.run(self._books.account)

    async def positions(self) -> PositionBook:
        """The open positions; an empty answer that margin or profit contradict is an error."""
        return await self._thread.run(self._books.positions)

    async def history(self, since: datetime, until: datetime) -> TradeBook:
        """Closing deals with their share of what the entry cost, whenever that was."""
        return await self._thread.run(lambda: self._books.history(since, until))

    async def deals(self, since: datetime, until: datetime) -> DealBook:
        """The ledger by rising ticket."""
        return await self._thread.run(lambda: self._books.deals(since, until))

    async def quote(self, symbol: str) -> Tick:
        """Bid and ask of one symbol."""
        return await self._thread.run(lambda: self._books.quote(symbol))

    async def symbol(self, symbol: str) -> SymbolInfo:
        """How a symbol is traded."""
        return await self._thread.run(lambda: self._books.symbol(symbol))

    async def open(self, order: OpenOrder) -> TradeResult:
        """Send a market order."""
        return await self._thread.run(lambda: self._trading.open(order))

    async def close(self, order: CloseOrder) -> TradeResult:
        """Close a position or a part of it."""
        return await self._thread.run(lambda: self._trading.close(order))

    async def modify(self, order: ModifyOrder) -> TradeResult:
        """Change stops, and keep those that are not named."""
        return await self._thread.run(lambda: self._trading.modify(order))

    async def refresh(self) -> None:
        """Let go of the terminal and connect again."""
        await self._thread.run(self._link.reconnect)

    def end(self) -> None:
        """Take no more calls; what has begun runs to its end."""
        self._thread.end()
