"""A clock that a test turns by hand, so that no test sleeps.

The trap: the fleet waits on its own thread, the test turns the clock on another;
`wait_for_sleeper` is how a test knows that there is somebody to wake.
"""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta

START = datetime(2026, 2, 1, 12, tzinfo=UTC)
PATIENCE_S = 10.0  # real seconds until a test that waits for nothing fails


class FakeClock:
    """A `fleetkit.clock.Clock` that stands still until told otherwise."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._elapsed = 0.0
        self._jump = 0.0
        self._changed = threading.Condition()
        self._sleepers: dict[asyncio.Future[None], tuple[float, float]] = {}

    def __repr__(self) -> str:
        return f"<FakeClock {self.now():%F %T}, {len(self._sleepers)} asleep>"

    def elapsed(self) -> float:
        return self._elapsed

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def jump(self) -> float:
        return self._jump

    def take_jump(self) -> float:
        jump, self._jump = self._jump, 0.0
        return jump

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if seconds <= 0:
            woken.set_result(None)
        with self._changed:
            self._sleepers[woken] = (self._elapsed + seconds, seconds)
            self._changed.notify_all()
        try:
            await woken
        finally:
            with self._changed:
                del self._sleepers[woken]
                self._changed.notify_all()

    def advance(self, seconds: float) -> None:
        """Let time pass, and wake whoever's time has come."""
        with self._changed:
            self._elapsed += seconds
            due = [f for f, (until, _) in self._sleepers.items() if until <= self._elapsed]
        for woken in due:
            woken.get_loop().call_soon_threadsafe(_wake, woken)

    def sleep_through(self, seconds: float) -> None:
        """Let the machine sleep: the wall clock goes on, the monotonic one does not.

        A negative number sets the wall clock back instead; time itself stands still then.
        """
        self._jump += seconds
        self.advance(max(seconds, 0.0))

    def wait_for_sleeper(self, seconds: float) -> None:
        """Wait until somebody sleeps for exactly that long."""
        with self._changed:
            asleep = self._changed.wait_for(
                lambda: any(length == seconds for _, length in self._sleepers.values()),
                PATIENCE_S,
            )
        assert asleep, f"nobody sleeps for {seconds} s"


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
