"""One lane per terminal: its handlers block each other (T12).

Why: MetaTrader's Python package answers one call at a time. May import
`contract` only.
The trap: one slow call delays `/health` too. On a base agent that is the truth,
so there the lane holds every route; our own agent answers `/health` beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from fleetkit.contract import Call


class LaneFullError(Exception):
    """Nothing was done: the queue is full, or this call's turn did not come in time."""


class LaneWatch(Protocol):
    """Who wants to know how long the terminal is busy."""

    def began(self) -> None:
        """A call has its turn."""

    def ended(self) -> None:
        """It gave its turn back."""


class Lane:
    """The single file in front of a terminal; belongs to one event loop."""

    def __init__(self) -> None:
        # An asyncio.Lock is a queue of coroutines on one loop, not a thread lock.
        self._turn = asyncio.Lock()
        self._waiting = 0

    @property
    def free(self) -> bool:
        """Whether a call would have its turn at once."""
        return not self._turn.locked()

    @property
    def waiting(self) -> int:
        """How many calls wait for their turn."""
        return self._waiting

    @asynccontextmanager
    async def hold(
        self,
        call: Call[Any],
        *,
        limit: int | None = None,
        within_s: float | None = None,
        watch: LaneWatch | None = None,
    ) -> AsyncIterator[None]:
        """Wait for this call's turn, and keep the terminal until the block ends.

        Parameters
        ----------
        call
            Who waits.
        limit
            How many may wait already; no bound unless told.
        within_s
            How long to wait for the turn; for ever unless told.
        watch
            Told when the turn has come and when it ends.

        Raises
        ------
        LaneFullError
            The queue is full or the turn did not come; the block was not entered.
        """
        if limit is not None and not self.free and self._waiting >= limit:
            raise LaneFullError(f"{self._waiting} requests wait for the terminal already")
        self._waiting += 1
        try:
            await self._acquire(within_s)
        finally:
            self._waiting -= 1
        try:
            if watch is not None:
                watch.began()
            await self.enter(call)
            yield
        finally:
            if watch is not None:
                watch.ended()
            self._turn.release()

    async def _acquire(self, within_s: float | None) -> None:
        if within_s is None:
            await self._turn.acquire()
            return
        try:
            async with asyncio.timeout(within_s):
                await self._turn.acquire()
        except TimeoutError as error:
            raise LaneFullError(f"the terminal did not come free within {within_s:g} s") from error

    async def enter(self, call: Call[Any]) -> None:
        """Do nothing, at the front of the line; a simulated terminal is slow here."""
