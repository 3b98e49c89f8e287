"""One served agent: the real agent app over a faulty terminal, counted.

Why: the agent's own code answers, and only what this module adds is simulated.
May import `agent` and the simulator below it.
The trap: faults may change while a request waits. The reply is spoiled by those
in place when it is ready, so a cleared fault lets waiting requests go well.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, MutableMapping
from email.utils import formatdate
from functools import cached_property
from typing import Any, Final

import msgspec

from fleetkit.agent.app import AgentApp, Layer, Message, Receive, Scope, Send, send_body
from fleetkit.agent.orders import OrderLog
from fleetkit.clock import Clock
from fleetkit.contract import Call
from fleetkit.sim.answers import Answer, about_order, refusal
from fleetkit.sim.condition import Condition, FaultyLane
from fleetkit.sim.faults import HEALTHY, Faults
from fleetkit.sim.faulty import FaultyTerminal
from fleetkit.sim.fleet import Seat, SimFleet
from fleetkit.sim.line import Line, gone
from fleetkit.sim.mishaps import Executed, Mishaps
from fleetkit.sim.wire import Delivery, Held, spoil

UNKNOWN_ROUTE: Final = "unknown"
IN_MEMORY: Final = ":memory:"

LineOf = Callable[[Scope], Line | None]


class ServedAgent:
    """An ASGI app for one seat of the fleet.

    Parameters
    ----------
    seat, fleet
        Which agent of which fleet.
    clock
        What time it is, and waits of simulated latencies.
    line_of
        The live connection that brought a request.
    layer
        What it speaks.
    token
        What callers must show, on the extended layer.

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
        line_of: LineOf,
        layer: Layer = "base",
        *,
        token: str | None = None,
    ) -> None:
        self.seat = seat
        self.layer: Layer = layer
        self.token = token
        self.condition = Condition(seat.agent)
        self.requests: Counter[str] = Counter()
        self._clock = clock
        self._line_of = line_of
        self._mishaps = Mishaps(clock)
        self._terminal = FaultyTerminal(
            fleet.terminal(seat.account), self.condition, fleet.terminal, self._mishaps
        )
        self._lane = FaultyLane(self.condition, clock)
        self._date = (0, b"")

    def __repr__(self) -> str:
        return f"<fleetkit.sim ServedAgent {self.seat.agent} of account {self.seat.account}>"

    @property
    def executed(self) -> list[Executed]:
        """Every order that was really executed for this agent, oldest first."""
        return self._mishaps.executed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        faults, send = self.condition.faults, self._dated(send)
        app = self._base if faults.rolled_back or self.layer == "base" else self._extended
        call = app.call_of(scope)
        route = UNKNOWN_ROUTE if call is None else call.name
        self.requests[route] += 1
        if faults is HEALTHY:
            await app(scope, receive, send)
            return
        faults = faults.on(route)
        refused = refusal(faults, call, app.layer)
        if faults.goaway == "before":
            await self._hang_up(scope, receive, counted=False)
        elif refused is not None:
            body, headers = msgspec.json.encode(refused.reply.body), list(refused.headers)
            await send_body(send, refused.status, body, headers=headers)
        else:
            held = Held()
            await app(_plain(scope), receive, held.send)
            await self._deliver(call, held, scope, receive, send)

    @cached_property
    def _base(self) -> AgentApp:
        return AgentApp(self._terminal, layer="base", lane=self._lane, clock=self._clock)

    @cached_property
    def _extended(self) -> AgentApp:
        log = OrderLog(IN_MEMORY)
        weakref.finalize(self, log.close)
        return AgentApp(
            self._terminal,
            layer="extended",
            lane=self._lane,
            token=self.token,
            order_log=log,
            clock=self._clock,
        )

    async def _deliver(
        self, call: Call[Any] | None, held: Held, scope: Scope, receive: Receive, send: Send
    ) -> None:
        route = UNKNOWN_ROUTE if call is None else call.name
        faults = self.condition.faults.on(route)
        if faults.goaway == "after":
            await self._hang_up(scope, receive, counted=True)
            return
        line, answer = self._line_of(scope), Answer(held.status, held.body)
        if call is not None and call.trades:
            if faults.lost_answer and line is not None:
                line.reset()
                await gone(receive)
                return
            answer = about_order(faults, call, answer)
        delivery = Delivery(
            spoil(faults, route, answer.status, answer.body),
            headers=held.headers,
            receive=receive,
            send=send,
            line=line,
            clock=self._clock,
        )
        await self._send(delivery, faults)

    async def _send(self, delivery: Delivery, faults: Faults) -> None:
        if faults.reset_in_body:
            await delivery.half()
        elif faults.slow_body_bytes_per_s is not None:
            await delivery.slowly(faults.slow_body_bytes_per_s, self.condition)
        else:
            await delivery.whole()

    async def _hang_up(self, scope: Scope, receive: Receive, *, counted: bool) -> None:
        line = self._line_of(scope)
        if line is not None:
            await line.hang_up(scope, counted=counted)
            await gone(receive)

    def _dated(self, send: Send) -> Send:
        # The server's own header would know nothing of a clock that is wrong.
        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"date", self._now())]}
            await send(message)

        return dated

    def _now(self) -> bytes:
        second = int((self._clock.now() + self.condition.skew).timestamp())
        if self._date[0] != second:
            self._date = (second, formatdate(second, usegmt=True).encode())
        return self._date[1]


def _plain(scope: Scope) -> MutableMapping[str, Any]:
    # Faults are put into JSON, so nobody may compress it before.
    headers = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
    return {**scope, "headers": headers}
