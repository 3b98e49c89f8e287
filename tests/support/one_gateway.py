"""One fleet on the loop of a test, for what lies below its calls.

Why: a gateway has a store, bindings, caches and a link; the fleet makes them as always, and
a test takes the one gateway out. The trap: everything of it belongs to this loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from fleetkit.aio import AsyncFleet
from fleetkit.clock import Clock, SystemClock
from fleetkit.config import read_config
from fleetkit.gateway import Gateway
from fleetkit.store import Store

BOUND_S = 8.0


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario on a loop of its own, within a bound."""

    async def bounded() -> None:
        async with asyncio.timeout(BOUND_S):
            await scenario

    asyncio.run(bounded())


@asynccontextmanager
async def async_fleet(
    agents: list[dict[str, Any]], *, clock: Clock | None = None, **settings: Any
) -> AsyncIterator[AsyncFleet]:
    """A fleet on this loop, closed at the end."""
    config = read_config(agents, **settings)
    fleet = AsyncFleet(config, Store(config.home), clock or SystemClock())
    try:
        yield fleet
    finally:
        await fleet.aclose()


@asynccontextmanager
async def one_gateway(agent: dict[str, Any], **more: Any) -> AsyncIterator[Gateway]:
    """The gateway of one agent."""
    async with async_fleet([agent], **more) as fleet:
        [gateway] = fleet.gateways.values()
        yield gateway
