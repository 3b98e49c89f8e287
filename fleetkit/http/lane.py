"""A lane: how many requests one terminal gets at a time, and who is next.

Why: one terminal works on one thing at a time (T12); a second poll only delays a
trade. May import nothing of fleetkit. The trap: a waiter that is cancelled after
its turn came must hand the turn on.
"""

from __future__ import annotations

import asyncio
import heapq
from enum import IntEnum


class Priority(IntEnum):
    """Who goes first."""

    TRADE = 0
    READ = 1


class Lane:
    """Up to `slots` holders; waiters are served by priority, then in order of arrival."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._held = 0
        self._arrivals = 0
        self._waiting: list[tuple[Priority, int, asyncio.Future[None]]] = []

    def __repr__(self) -> str:
        return f"<Lane {self._held} of {self.slots} held, {len(self._waiting)} waiting>"

    @property
    def held(self) -> int:
        """How many requests are under way."""
        return self._held

    async def acquire(self, priority: Priority = Priority.READ) -> None:
        """Wait for a slot."""
        if self._held < self.slots and not self._waiting:
            self._held += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrivals += 1
        heapq.heappush(self._waiting, (priority, self._arrivals, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()  # the turn had come already
            raise

    def release(self) -> None:
        """Give the slot to the next one waiting, or back."""
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._held -= 1
