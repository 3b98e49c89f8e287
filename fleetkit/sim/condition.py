"""One agent's faults now, and the lane that is slow because of them.

Why: terminal, lane and server of an agent must agree on what is wrong at this
moment. May import `agent`, `contract`, `faults` and `clock`.
The trap: a hang waits for the condition to *change*, never for the fault to go;
whoever set other faults meanwhile would wait for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from fleetkit.agent.lane import Lane, LaneFullError, LaneWatch
from fleetkit.clock import Clock
from fleetkit.contract import Call
from fleetkit.sim.faults import HEALTHY, Faults


class WallClock:
    """A clock on a wall: an offset to UTC, with daylight saving where it has a zone."""

    def __init__(self, zone: str | None = None, offset_s: float = 0.0) -> None:
        self._zone = None if zone is None else ZoneInfo(zone)
        self._offset = timedelta(seconds=offset_s)

    def __repr__(self) -> str:
        return f"<fleetkit.sim WallClock {self._zone or 'UTC'}, {self._offset}>"

    def offset(self, moment: datetime) -> timedelta:
        """How far it is ahead of UTC at an aware moment."""
        if self._zone is None:
            return self._offset  # kept ready: every time of a long history asks
        return self._offset + (moment.astimezone(self._zone).utcoffset() or timedelta(0))


class Condition:
    """One agent's faults now; belongs to the server's event loop."""

    def __init__(self, agent: str) -> None:
        self.agent = agent
        self.faults = HEALTHY
        self.broker = self.machine = WallClock()
        self.skew = timedelta(0)
        self._changed = asyncio.Event()
        self._random = Random(agent)

    def __repr__(self) -> str:
        return f"<fleetkit.sim Condition of {self.agent}: {self.faults!r}>"

    def set(self, faults: Faults) -> None:
        """Put other faults in place; whoever hangs goes on."""
        # One object for "healthy" keeps the usual path a comparison of identities.
        self.faults = HEALTHY if faults == HEALTHY else faults
        self.broker = WallClock(faults.broker_zone, faults.broker_offset_s)
        self.machine = WallClock(faults.machine_zone, faults.zone_offset_s)
        self.skew = timedelta(seconds=faults.clock_skew_s)
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
    """A lane whose terminal takes its time, never comes back, or has a full queue."""

    def __init__(self, condition: Condition, clock: Clock) -> None:
        super().__init__()
        self._condition = condition
        self._clock = clock

    @asynccontextmanager
    async def hold(
        self,
        call: Call[Any],
        *,
        limit: int | None = None,
        within_s: float | None = None,
        watch: LaneWatch | None = None,
    ) -> AsyncIterator[None]:
        """As a `Lane`, unless its queue is said to be full."""
        if self._condition.faults.on(call.name).queue_full:
            raise LaneFullError("too many requests wait for the terminal already")
        async with super().hold(call, limit=limit, within_s=within_s, watch=watch):
            yield

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
