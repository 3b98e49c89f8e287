"""One trade on raw sockets, as the desk makes it.

Why: every test of a trade on the wire sends the same order in the same hold of the lane.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fleetkit.clock import SystemClock
from fleetkit.contract import OPEN
from fleetkit.http import AgentHttp, Exchange, hold_lane, trade
from tests.support.one_agent import DEADLINE_S
from tests.support.raw_server import BOUND_S, RawServer, base_agent
from tests.support.raw_server import Exchange as Asked

SHORT_S = 0.2
BODY = b'{"symbol":"EURUSD","lot":0.5,"order_type":"BUY"}'
ORDER = "order-00000000000000000001"
FILLED = {"success": True, "ticket": 5512399, "message": "done", "price": 1.0861, "error_code": 0}


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(BOUND_S):
            await scenario

    asyncio.run(bounded())


async def yes() -> str | None:
    return None


async def send(
    http: AgentHttp,
    *,
    order_id: str | None = None,
    deadline_s: float = DEADLINE_S,
    may_send: Callable[[], Awaitable[str | None]] = yes,
    clock: Any = None,
) -> Exchange:
    """One trade in a hold of its own, as the desk makes it."""
    async with hold_lane(http, within_s=DEADLINE_S):
        return await trade(
            http,
            OPEN,
            BODY,
            order_id=order_id,
            deadline_s=deadline_s,
            read_deadline_s=DEADLINE_S,
            may_send=may_send,
            clock=clock or SystemClock(),
        )


async def filling(asked: Asked) -> None:
    """Fill every order."""
    if asked.request.path == OPEN.path:
        await asked.reply(FILLED)
    else:
        await base_agent(asked)


def on_trade(script: Callable[[Asked], Awaitable[None]]) -> Callable[[Asked], Awaitable[None]]:
    """Do something with trades; answer everything else as an agent does."""

    async def scripted(asked: Asked) -> None:
        await (script if asked.request.path == OPEN.path else base_agent)(asked)

    return scripted


def posts(server: RawServer) -> list[str]:
    return [request.path for request in server.requests if request.method == "POST"]


async def reset_unread(asked: Asked) -> None:
    asked.reset()
