"""What happens to orders on their way through a faulty terminal, and what was executed.

Why: these faults concern the terminal and its broker, so both layers and their
order log meet them as they would in the field. May import `agent.terminal`,
`contract` and `faults`.
The trap: a late order runs beside the terminal's queue. Reads before it show
nothing of it, and that is the point.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, Literal, Protocol

import msgspec

from fleetkit.agent.terminal import (
    CloseOrder,
    ModifyOrder,
    OpenOrder,
    OpenPosition,
    Terminal,
    TerminalError,
    Tick,
    TradeResult,
)
from fleetkit.clock import Clock
from fleetkit.contract import DONE, DealReason, Retcode
from fleetkit.model import Side
from fleetkit.sim.faults import Faults

DEFAULT_STEP: Final = 0.01  # lots
NO_ANSWER: Final = "The terminal did not answer in time"
Work = Callable[[], Awaitable[TradeResult]]


class Executed(msgspec.Struct, frozen=True, kw_only=True):
    """An order that a terminal really executed, whatever its sender was told.

    ``account`` is the one it was executed in, ``ticket`` the position's, ``volume``
    in lots, ``None`` for a modify. ``side`` is the position's. ``late`` is what was
    executed after its sender had its answer.
    """

    time: datetime
    kind: Literal["open", "close", "modify"]
    account: int
    ticket: int
    symbol: str | None = None
    side: Side | None = None
    volume: float | None = None
    comment: str = ""
    late: bool = False


class TradingTerminal(Terminal, Protocol):
    """A terminal in which people and the broker trade beside the agent."""

    async def open_by_hand(self, order: OpenOrder) -> TradeResult:
        """A person opens a position."""

    async def force_close(self, ticket: int, reason: DealReason) -> TradeResult:
        """The broker closes a position: a stop, a margin call."""


class Mishaps:
    """Executes one agent's orders, with what goes wrong, and remembers what was done.

    Parameters
    ----------
    clock
        Waits for late executions.

    Attributes
    ----------
    executed
        What was done, oldest first.
    """

    def __init__(self, clock: Clock) -> None:
        self.executed: list[Executed] = []
        self._clock = clock
        self._late: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<fleetkit.sim Mishaps: {len(self.executed)} executed, {len(self._late)} late>"

    async def open(
        self, terminal: TradingTerminal, order: OpenOrder, faults: Faults
    ) -> TradeResult:
        """Open a position, or do what the faults say."""
        if faults.stops_unit == "pips":
            order = in_levels(order, await terminal.quote(order.symbol))
        step = await _step(terminal, order.symbol)
        if faults.foreign_trade is not None:
            with contextlib.suppress(TerminalError):  # refused: not the agent's business
                await terminal.open_by_hand(_of_a_person(order, faults.foreign_trade, step))
        part = share_of(order.volume, faults.partial_fill, step)

        async def work() -> TradeResult:
            result = await terminal.open(msgspec.structs.replace(order, volume=part))
            result = _in_part(result, whole=part == order.volume)
            if result.retcode in DONE:
                ticket = result.position or result.order
                volume = result.volume or part
                await self._note(terminal, faults, "open", ticket, order.comment, volume, order)
                if faults.stop_hit:
                    # On a netting account an order may have ended the position already.
                    with contextlib.suppress(TerminalError):
                        await terminal.force_close(ticket, DealReason.SL)
            return result

        return await self._answer(work, faults)

    async def close(
        self, terminal: TradingTerminal, order: CloseOrder, faults: Faults
    ) -> TradeResult:
        """Close a position, or do what the faults say."""
        position = await _position(terminal, order.ticket)
        asked, part = order, None
        if position is not None:
            wanted = order.volume or position.volume
            part = share_of(wanted, faults.partial_fill, await _step(terminal, position.symbol))
            if part != wanted:
                asked = msgspec.structs.replace(order, volume=part)

        async def work() -> TradeResult:
            result = _in_part(await terminal.close(asked), whole=asked is order)
            if result.retcode in DONE:
                volume = result.volume or part
                note = order.comment
                await self._note(terminal, faults, "close", order.ticket, note, volume, position)
            return result

        return await self._answer(work, faults)

    async def modify(
        self, terminal: TradingTerminal, order: ModifyOrder, faults: Faults
    ) -> TradeResult:
        """Change a position's stops, or do what the faults say."""

        async def work() -> TradeResult:
            result = await terminal.modify(order)
            if result.retcode in DONE:
                position = await _position(terminal, order.ticket)
                note = order.comment
                await self._note(terminal, faults, "modify", order.ticket, note, None, position)
            return result

        return await self._answer(work, faults)

    async def _answer(self, work: Work, faults: Faults) -> TradeResult:
        if faults.late_execution_s is None:
            return await _with_retcode(work, faults.retcode)
        late = asyncio.create_task(self._later(work, faults, faults.late_execution_s))
        self._late.add(late)
        late.add_done_callback(self._late.discard)
        raise TerminalError(NO_ANSWER)

    async def _later(self, work: Work, faults: Faults, delay_s: float) -> None:
        await self._clock.sleep(delay_s)
        with contextlib.suppress(TerminalError):  # refused after all, and nobody listens
            await _with_retcode(work, faults.retcode)

    async def _note(
        self,
        terminal: Terminal,
        faults: Faults,
        kind: Literal["open", "close", "modify"],
        ticket: int,
        comment: str,
        volume: float | None,
        what: OpenOrder | OpenPosition | None,
    ) -> None:
        self.executed.append(
            Executed(
                time=terminal.now(),
                kind=kind,
                account=(await terminal.account()).number,
                ticket=ticket,
                symbol=None if what is None else what.symbol,
                side=None if what is None else what.side,
                volume=volume,
                comment=comment,
                late=faults.late_execution_s is not None,
            )
        )


def in_levels(order: OpenOrder, tick: Tick) -> OpenOrder:
    """An order whose stops were pips, as agents of that kind read it (T6)."""
    pip = tick.point * (10 if tick.digits in (3, 5) else 1)
    up = pip if order.side is Side.BUY else -pip
    entry = tick.ask if order.side is Side.BUY else tick.bid

    def level(pips: float | None, towards: float) -> float | None:
        return None if pips is None else round(entry + pips * towards, tick.digits)

    return msgspec.structs.replace(order, sl=level(order.sl, -up), tp=level(order.tp, up))


def share_of(volume: float, share: float | None, step: float) -> float:
    """The part of a volume that is executed, in whole steps and never nothing."""
    if share is None:
        return volume
    steps = max(1, math.floor(round(volume / step) * share + 1e-9))
    part = round(steps * step, 8)
    return part if part < volume else volume


async def _with_retcode(work: Work, retcode: int | None) -> TradeResult:
    if retcode is None:
        return await work()
    if retcode in DONE:
        result = await work()
        return (
            msgspec.structs.replace(result, retcode=retcode) if result.retcode in DONE else result
        )
    known = retcode in set(Retcode)
    comment = Retcode(retcode).name.replace("_", " ").capitalize() if known else "Unknown code"
    return TradeResult(retcode=retcode, comment=comment)


def _in_part(result: TradeResult, *, whole: bool) -> TradeResult:
    if whole or result.retcode not in DONE:
        return result
    return msgspec.structs.replace(result, retcode=Retcode.DONE_PARTIAL, comment="Done partially")


def _of_a_person(order: OpenOrder, how: Literal["identical", "other"], step: float) -> OpenOrder:
    if how == "identical":
        return msgspec.structs.replace(order, sl=None, tp=None, comment="", magic=0)
    other = Side.SELL if order.side is Side.BUY else Side.BUY
    return OpenOrder(symbol=order.symbol, side=other, volume=round(order.volume + step, 8))


async def _step(terminal: Terminal, symbol: str) -> float:
    try:
        return (await terminal.symbol(symbol)).volume_step
    except TerminalError:
        return DEFAULT_STEP


async def _position(terminal: Terminal, ticket: int) -> OpenPosition | None:
    try:
        book = await terminal.positions()
    except TerminalError:
        return None
    return next((each for each in book.positions if each.ticket == ticket), None)
