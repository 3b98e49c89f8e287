"""One served agent: the real agent app over a faulty terminal, counted.

Why: the agent's own code answers, and only what this module adds is simulated.
May import `agent` and the simulator below it.
The trap: faults may change while a request waits. The reply is spoiled by those
in place when it is ready, so a cleared fault lets waiting requests go well.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from fleetkit import contract
from fleetkit.agent.app import AgentApp, Layer, Receive, Scope, Send, send_body
from fleetkit.clock import Clock
from fleetkit.sim.faults import HEALTHY, Faults
from fleetkit.sim.faulty import Condition, FaultyLane, FaultyTerminal
from fleetkit.sim.fleet import Seat, SimFleet
from fleetkit.sim.wire import Delivery, Held, spoil

UNKNOWN_ROUTE: Final = "unknown"
NOT_FOUND: Final = b'{"detail":"Not Found"}'

TransportOf = Callable[[Scope], asyncio.Transport | None]


class ServedAgent:
    """An ASGI app for one seat of the fleet.

    Attributes
    ----------
    condition
        Its faults now.
    requests
        How often each route was asked, ``"unknown"`` for paths that are none.
    """

    def __init__(
        self,
        seat: Seat,
        fleet: SimFleet,
        clock: Clock,
        transport_of: TransportOf,
        layer: Layer = "base",
    ) -> None:
        self.seat = seat
        self.condition = Condition(seat.agent)
        self.requests: Counter[str] = Counter()
        self._clock = clock
        self._transport_of = transport_of
        terminal = FaultyTerminal(fleet.terminal(seat.account), self.condition, fleet.terminal)
        lane = FaultyLane(self.condition, clock)
        self._app = AgentApp(terminal, layer=layer, lane=lane, clock=clock)

    def __repr__(self) -> str:
        return f"<fleetkit.sim ServedAgent {self.seat.agent} of account {self.seat.account}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        call = self._app.call_of(scope)
        route = UNKNOWN_ROUTE if call is None else call.name
        self.requests[route] += 1
        if self.condition.faults is HEALTHY:
            await self._app(scope, receive, send)
        elif _lacks(self.condition.faults, route):
            await send_body(send, 404, NOT_FOUND)
        else:
            held = Held()
            await self._app(_plain(scope), receive, held.send)
            await self._deliver(route, held, scope, receive, send)

    async def _deliver(
        self, route: str, held: Held, scope: Scope, receive: Receive, send: Send
    ) -> None:
        faults = self.condition.faults.on(route)
        delivery = Delivery(
            spoil(faults, route, held.status, held.body),
            headers=held.headers,
            receive=receive,
            send=send,
            transport=self._transport_of(scope),
            clock=self._clock,
        )
        if faults.reset_in_body:
            await delivery.half()
        elif faults.slow_body_bytes_per_s is not None:
            await delivery.slowly(faults.slow_body_bytes_per_s, self.condition)
        else:
            await delivery.whole()


def _plain(scope: Scope) -> MutableMapping[str, Any]:
    # Faults are put into JSON, so nobody may compress it before.
    headers = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
    return {**scope, "headers": headers}


def _lacks(faults: Faults, route: str) -> bool:
    faults = faults.on(route)
    if route == contract.POSITIONS.name:
        return faults.no_positions_route
    return route == contract.HEALTH.name and faults.no_health_route
