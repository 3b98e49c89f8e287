"""A terminal that misbehaves, and the lane that is slow.

Why: lies about data belong below the agent. The app stays honest and the very
code that will serve real terminals is what the client is tested against. May
import `agent`, `fleetkit.sim.terminal` and `faults`.
The trap: one agent's `Condition` is shared by its terminal, its lane and the
server; a hang waits for the condition to *change*, never for the fault to go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

import msgspec

from fleetkit import contract
from fleetkit.agent.lane import Lane
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
from fleetkit.clock import Clock
from fleetkit.contract import Call
from fleetkit.sim.faults import HEALTHY, Faults
from fleetkit.sim.terminal import SimTerminal

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


class Condition:
    """One agent's faults now; belongs to the server's event loop."""

    def __init__(self, agent: str) -> None:
        self.agent = agent
        self.faults = HEALTHY
        self.broker_offset = self.zone_offset = timedelta(0)
        self._changed = asyncio.Event()
        self._random = Random(agent)

    def __repr__(self) -> str:
        return f"<fleetkit.sim Condition of {self.agent}: {self.faults!r}>"

    def set(self, faults: Faults) -> None:
        """Put other faults in place; whoever hangs goes on."""
        # One object for "healthy" keeps the usual path a comparison of identities.
        self.faults = HEALTHY if faults == HEALTHY else faults
        # Kept ready: every time of a long history asks for both.
        self.broker_offset = timedelta(seconds=faults.broker_offset_s)
        self.zone_offset = timedelta(seconds=faults.zone_offset_s)
        self._random = Random(f"{faults.latency.seed}:{self.agent}")
        self._changed.set()
        self._changed = asyncio.Event()

    def heal(self) -> None:
        """The terminal is connected again; other faults stay."""
        self.set(msgspec.structs.replace(self.faults, disconnected=False))

    async def change(self, timeout_s: float | None = None) -> bool:
        """Wait until other faults are set; ``False`` when the time went by first."""
        changed = self._changed
        try:
            async with asyncio.timeout(timeout_s):
                await changed.wait()
        except TimeoutError:
            return False
        return True

    def draw_latency_s(self, faults: Faults) -> float:
        """The next latency of this agent's own sequence."""
        return faults.latency.draw_s(self._random)


class FaultyLane(Lane):
    """A lane whose terminal takes its time, or never comes back."""

    def __init__(self, condition: Condition, clock: Clock) -> None:
        super().__init__()
        self._condition = condition
        self._clock = clock

    async def enter(self, call: Call[Any]) -> None:
        """Wait as the agent's faults say."""
        faults = self._condition.faults.on(call.name)
        if faults is HEALTHY:
            return
        delay_s = self._condition.draw_latency_s(faults)
        if delay_s > 0:
            await self._clock.sleep(delay_s)
        if faults.hang:
            await self._condition.change()


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
    """

    def __init__(
        self, own: SimTerminal, condition: Condition, terminal_of: Callable[[int], SimTerminal]
    ) -> None:
        self._own = own
        self._condition = condition
        self._terminal_of = terminal_of

    def __repr__(self) -> str:
        return f"<fleetkit.sim FaultyTerminal over {self._own!r}>"

    def now(self) -> datetime:
        """UTC; the machine's own zone is an offset to it."""
        return self._own.now()

    def server_offset(self, moment: datetime) -> timedelta:
        """How far the broker's clock is ahead."""
        # Not by route: a clock that depends on the question is none.
        return self._condition.broker_offset

    def machine_offset(self, moment: datetime) -> timedelta:
        """How far the machine's clock is ahead."""
        return self._condition.zone_offset

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
            return TradeBook(_number_of_nothing(faults, terminal), ())
        return await terminal.history(since, self._last_seen(faults, until))

    async def deals(self, since: datetime, until: datetime) -> DealBook:
        """The ledger, as late and as empty as the trade history."""
        faults = self._on(contract.DEALS)
        if faults.disconnected:
            return DealBook(0, ())
        terminal = self._wired(faults)
        if faults.empty_history:
            return DealBook(_number_of_nothing(faults, terminal), ())
        return await terminal.deals(since, self._last_seen(faults, until))

    async def quote(self, symbol: str) -> Tick:
        """A quote, if there is a broker to give one."""
        faults = self._on(contract.QUOTE)
        if faults.disconnected:
            raise UnknownSymbolError(f"Symbol {symbol} not found")
        return await self._wired(faults).quote(symbol)

    async def symbol(self, symbol: str) -> SymbolInfo:
        """A symbol's properties, if there is a broker to tell them."""
        faults = self._on(contract.SYMBOL)
        if faults.disconnected:
            raise UnknownSymbolError(f"Symbol {symbol} not found")
        return await self._wired(faults).symbol(symbol)

    async def open(self, order: OpenOrder) -> TradeResult:
        """As the terminal behind it answers."""
        return await self._wired(self._on(contract.OPEN)).open(order)

    async def close(self, order: CloseOrder) -> TradeResult:
        """As the terminal behind it answers."""
        return await self._wired(self._on(contract.CLOSE)).close(order)

    async def modify(self, order: ModifyOrder) -> TradeResult:
        """As the terminal behind it answers."""
        return await self._wired(self._on(contract.MODIFY)).modify(order)

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
        behind = max(timedelta(0), -self._condition.broker_offset)
        last = min(until, self.now() + behind)
        return last - timedelta(seconds=faults.history_lag_s)

    def _on(self, call: Call[Any]) -> Faults:
        return self._condition.faults.on(call.name)

    def _wired(self, faults: Faults) -> SimTerminal:
        if faults.answers_account is None:
            return self._own
        return self._terminal_of(faults.answers_account)


def _number_of_nothing(faults: Faults, terminal: SimTerminal) -> int:
    return 0 if faults.empty_positions == "zero" else terminal.person.account
