"""`AgentHttp` to one address, for tests below the fleet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fleetkit.clock import SystemClock
from fleetkit.config import AgentConfig, PoolLimits, Timeouts
from fleetkit.http import AgentHttp, TlsContexts

DEADLINE_S = 10.0


@asynccontextmanager
async def agent_http(
    url: str,
    *,
    timeouts: Timeouts | None = None,
    limits: PoolLimits | None = None,
    contexts: TlsContexts | None = None,
    backend: Any = None,
    **agent: Any,
) -> AsyncIterator[AgentHttp]:
    """An agent's HTTP, closed at the end."""
    http = AgentHttp(
        AgentConfig(name="a0", url=url, **agent),
        timeouts=timeouts or Timeouts(),
        limits=limits or PoolLimits(),
        contexts=contexts or TlsContexts(),
        clock=SystemClock(),
        backend=backend,
    )
    try:
        yield http
    finally:
        await http.aclose()


async def until(condition: Callable[[], object]) -> None:
    """Let this loop turn until something holds; the caller's own deadline bounds it."""
    while not condition():  # noqa: ASYNC110  # no event tells of another object's state
        await asyncio.sleep(0)
