"""A simulated fleet in this process, on a clock that the test turns: months pass at once.

Served on real sockets by a thread of its own. The trap: the fleet's terminals and the
client read one clock, so it may be turned only while nobody waits on it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fleetkit.agent.app import Layer
from fleetkit.sim.fleet import SimFleet
from fleetkit.sim.serve import FleetServer
from tests.support.fake_clock import FakeClock

PATIENCE_S = 10.0


@dataclass(frozen=True)
class Simulated:
    """What is served, and how to reach it."""

    fleet: SimFleet
    clock: FakeClock
    agents: list[dict[str, Any]]
    loop: asyncio.AbstractEventLoop

    def run(self, work: Any) -> Any:
        """Do something on the terminals' thread, such as a trade by hand."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE_S)


@contextmanager
def simulated(
    accounts: int, *, layer: Layer, clock: FakeClock, seed: int = 7
) -> Iterator[Simulated]:
    """Serve a fleet for the length of a block."""
    ready = threading.Event()
    made: list[Any] = []

    async def serve() -> None:
        fleet = SimFleet(accounts=accounts, seed=seed, clock=clock)
        server = FleetServer(fleet, clock, keep_alive_s=60.0, layer=layer)
        made.extend((fleet, server, asyncio.get_running_loop()))
        serving = asyncio.create_task(server.serve())
        await server.ready.wait()
        ready.set()
        await serving

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="simulated-fleet")
    thread.start()
    try:
        assert ready.wait(PATIENCE_S), "the simulated fleet did not start"
        fleet, server, loop = made
        yield Simulated(fleet, clock, server.agents(), loop)
    finally:
        made[1].should_exit = True
        thread.join(PATIENCE_S)
