"""A terminal that misbehaves.

Why: lies about data belong below the agent. The app stays honest and the very
code that will serve real terminals is what the client is tested against. May
import `agent`, `condition`, `mishaps` and `faults`.
The trap: the machine's clock may be wrong, the broker's books are not. What is
late or booked is reckoned by the terminal's own clock, never by the skewed one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from fleetkit import contract
from fleetkit.agent.terminal import (
    AccountState,
    CloseOrder,
    DealBook,
    ModifyOrder,
    OpenOrder,
    PositionBook,
    SymbolInfo,
    TerminalError,
    Tick,
    TradeBook,
    TradeResult,
    UnknownSymbolError,
)
from fleetkit.clock import SystemClock
from fleetkit.contract import Call
from fleetkit.sim.condition import Condition
from fleetkit.sim.faults import Faults
from fleetkit.sim.mishaps import Mishaps, TradingTerminal

NOT_CONNECTED: Final = AccountState(
    number=0,
    name="Unknown",
    balance=0.0,
    connected=False,
    days_operating=0,
    has_open_position=False,
    initial_balance=0.0,
    login_ok=False,
)


class FaultyTerminal:
    """One agent's terminal with its faults on top.

    Parameters
    ----------
    own
        The terminal this agent should serve.
    condition
        The agent's faults.
    terminal_of
        Any account's terminal, for the cross-wired (T3).
    mishaps
        Executes orders and remembers them; some of its own unless told.
    """

    def __init__(
        self,
        own: TradingTerminal,
        condition: Condition,
        terminal_of: Callable[[int], TradingTerminal],
        mishaps: Mishaps | None = None,
    ) -> None:
        self._own = own
        self._condition = condition
        self._terminal_of = terminal_of
        self._mishaps = Mishaps(SystemClock()) if mishaps is None else mishaps

    def __repr__(self) -> str:
        return f"<fleetkit.sim FaultyTerminal over {self._own!r}>"

    def now(self) -> datetime:
        """The machine's clock in UTC, as wrong as it is; its zone is an offset to it."""
        return self._own.now() + self._condition.skew

    def server_offset(self, moment: datetime) -> timedelta:
        """How far the broker's clock is ahead."""
        # Not by route: a clock that depends on the question is none.
        return self._condition.broker.offset(moment)

    def machine_offset(self, moment: datetime) -> timedelta:
        """How far the machine's clock is ahead."""
        return self._condition.machine.offset(moment)

    async def initialised(self) -> bool:
        """Whether the terminal is connected."""
        return not self._on(contract.HEALTH).disconnected

    async def account(self) -> AccountState:
        """The account, or what a disconnected terminal says."""
        faults = self._on(contract.ACCOUNTS)
        if faults.disconnected:
            return NOT_CONNECTED
        state = await self._wired(faults).account()
        if faults.empty_positions is not None:
            return msgspec.structs.replace(state, has_open_position=False)
        return state

    async def positions(self) -> PositionBook:
        """The positions, or an empty list that is no evidence."""
        faults = self._on(contract.POSITIONS)
        if faults.disconnected or faults.empty_positions == "zero":
            return PositionBook(0, ())
        book = await self._wired(faults).positions()
        if faults.empty_positions == "right":
            return PositionBook(book.number, ())
        return book

    async def history(self, since: datetime, until: datetime) -> TradeBook:
        """The closed trades, but for those that the broker has not handed over yet."""
        faults = self._on(contract.TRADE_HISTORY)
        if faults.disconnected:
            return TradeBook(0, ())
        terminal = self._wired(faults)
        if faults.empty_history:
            return TradeBook(await _number_of_nothing(faults, terminal), ())
        return await terminal.history(since, self._last_seen(faults, until))

    async def deals(self, since: datetime, until: datetime) -> DealBook:
        """The ledger, as late and as empty as the trade history."""
        faults = self._on(contract.DEALS)
        if faults.disconnected:
            return DealBook(0, ())
        terminal = self._wired(faults)
        if faults.empty_history:
            return DealBook(await _number_of_nothing(faults, terminal), ())
        return await terminal.deals(since, self._last_seen(faults, until))

    async def quote(self, symbol: str) -> Tick:
        """A quote, if there is a broker to give one."""
        faults = self._on(contract.QUOTE)
        if faults.disconnected:
            raise UnknownSymbolError(f"Symbol {symbol} not found")
        tick = await self._wired(faults).quote(symbol)
        return msgspec.structs.replace(tick, time=tick.time + self._condition.skew)

    async def symbol(self, symbol: str) -> SymbolInfo:
        """A symbol's properties, if there is a broker to tell them."""
        faults = self._on(contract.SYMBOL)
        if faults.disconnected:
            raise UnknownSymbolError(f"Symbol {symbol} not found")
        return await self._wired(faults).symbol(symbol)

    async def open(self, order: OpenOrder) -> TradeResult:
        """As the terminal behind it answers, or worse."""
        faults = self._on(contract.OPEN)
        return await self._mishaps.open(self._wired(faults), order, faults)

    async def close(self, order: CloseOrder) -> TradeResult:
        """As the terminal behind it answers, or worse."""
        faults = self._on(contract.CLOSE)
        return await self._mishaps.close(self._wired(faults), order, faults)

    async def modify(self, order: ModifyOrder) -> TradeResult:
        """As the terminal behind it answers, or worse."""
        faults = self._on(contract.MODIFY)
        return await self._mishaps.modify(self._wired(faults), order, faults)

    async def refresh(self) -> None:
        """Reconnect; a disconnected terminal stays so unless a refresh heals it."""
        faults = self._condition.faults
        if not faults.disconnected:
            return
        if not faults.refresh_heals:
            raise TerminalError("Failed to reconnect to MT5")
        self._condition.heal()

    def _last_seen(self, faults: Faults, until: datetime) -> datetime:
        if not faults.history_lag_s:
            return until
        # The extended layer asks beyond now. What is late, is late from now on, which
        # a broker that is behind calls later.
        now = self._own.now()
        behind = max(timedelta(0), -self._condition.broker.offset(now))
        last = min(until, now + behind)
        return last - timedelta(seconds=faults.history_lag_s)

    def _on(self, call: Call[Any]) -> Faults:
        return self._condition.faults.on(call.name)

    def _wired(self, faults: Faults) -> TradingTerminal:
        if faults.answers_account is None:
            return self._own
        return self._terminal_of(faults.answers_account)


async def _number_of_nothing(faults: Faults, terminal: TradingTerminal) -> int:
    return 0 if faults.empty_positions == "zero" else (await terminal.account()).number
