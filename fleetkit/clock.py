"""Time as a parameter: everything that waits or ages asks a `Clock`.

No module but this one may call `time.monotonic`, `time.time` or `datetime.now`
(the linter bans them). The trap: a laptop sleeps and its monotonic clock stops,
so an age is the larger of the monotonic and the wall-clock time gone by.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What fleetkit needs to know about time."""

    def elapsed(self) -> float:
        """Seconds since some fixed start; never stops while the machine sleeps."""

    def now(self) -> datetime:
        """The wall clock, in UTC."""

    async def sleep(self, seconds: float) -> None:
        """Wait on the running event loop."""

    def jump(self) -> float:
        """Seconds by which wall and monotonic clock parted since the last `take_jump`."""

    def take_jump(self) -> float:
        """The same, and starts a new comparison."""


class SystemClock:
    """The machine's clock.

    `elapsed` may be read from any thread; `take_jump` belongs to the loop thread.
    """

    def __init__(self) -> None:
        self._base = (time.monotonic(), time.time(), 0.0)

    def elapsed(self) -> float:
        """Seconds since this clock was made: the larger of monotonic and wall."""
        monotonic, wall, elapsed = self._base
        return elapsed + max(time.monotonic() - monotonic, time.time() - wall, 0.0)

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait on the running event loop."""
        await asyncio.sleep(seconds)

    def jump(self) -> float:
        """Seconds by which wall and monotonic clock parted since the last `take_jump`.

        Positive when the machine slept or the clock was set forward, negative
        when it was set back. Any thread may ask.
        """
        monotonic, wall, _ = self._base
        return (time.time() - wall) - (time.monotonic() - monotonic)

    def take_jump(self) -> float:
        """The same, and starts a new comparison."""
        monotonic, wall, elapsed = self._base
        now_monotonic, now_wall = time.monotonic(), time.time()
        gone_monotonic, gone_wall = now_monotonic - monotonic, now_wall - wall
        self._base = (now_monotonic, now_wall, elapsed + max(gone_monotonic, gone_wall, 0.0))
        return gone_wall - gone_monotonic
