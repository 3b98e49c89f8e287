"""The machine's clock with an offset that a test turns: real time passes, and jumps.

The trap: time that is let pass is seen by the client only. The simulated agents go on in
real time, so what they still do late must be over before a test lets the grace pass.
"""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime, timedelta

from fleetkit.clock import SystemClock


class TurnedClock:
    """A `fleetkit.clock.Clock` over the system's that can be turned from any thread."""

    def __init__(self) -> None:
        self._system = SystemClock()
        self._elapsed_s = 0.0
        self._wall_s = 0.0
        self._jump_s = 0.0
        self._lock = threading.Lock()
        self._sleepers: set[asyncio.Future[None]] = set()

    def __repr__(self) -> str:
        return f"<TurnedClock {self._wall_s:+.0f} s>"

    @property
    def wall_s(self) -> float:
        """How far the wall clock is from the machine's."""
        return self._wall_s

    def elapsed(self) -> float:
        return self._system.elapsed() + self._elapsed_s

    def now(self) -> datetime:
        return self._system.now() + timedelta(seconds=self._wall_s)

    def jump(self) -> float:
        return self._system.jump() + self._jump_s

    def take_jump(self) -> float:
        jump, self._jump_s = self._jump_s, 0.0
        return self._system.take_jump() + jump

    async def sleep(self, seconds: float) -> None:
        until = self.elapsed() + seconds
        await asyncio.sleep(0)
        while (left_s := until - self.elapsed()) > 0:
            turned: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            with self._lock:
                self._sleepers.add(turned)
            try:
                await asyncio.wait([turned], timeout=left_s)
            finally:
                with self._lock:
                    self._sleepers.discard(turned)

    def let_pass(self, seconds: float) -> None:
        """Let time pass as it does when nobody notices."""
        self._turn(seconds, seconds, 0.0)

    def set_wall(self, seconds: float) -> None:
        """Set the wall clock forward, as when the machine slept, or back."""
        self._turn(max(seconds, 0.0), seconds, seconds)

    def _turn(self, elapsed_s: float, wall_s: float, jump_s: float) -> None:
        with self._lock:
            self._elapsed_s += elapsed_s
            self._wall_s += wall_s
            self._jump_s += jump_s
            sleepers = list(self._sleepers)
        for turned in sleepers:
            turned.get_loop().call_soon_threadsafe(_wake, turned)


def _wake(turned: asyncio.Future[None]) -> None:
    if not turned.done():
        turned.set_result(None)
