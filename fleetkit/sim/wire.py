"""What goes wrong between a handler and the client: statuses, bodies, connections.

Why: these faults concern bytes, so they work on finished replies and no handler
knows of them. May import `agent`, `answers`, `line` and `faults`.
The trap: a reset must follow the first half of the body *after* it was read;
a reset that overtakes it would look like a connection that never answered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec

from fleetkit import contract
from fleetkit.agent.app import Message, Receive, Send
from fleetkit.clock import Clock
from fleetkit.sim.answers import Answer
from fleetkit.sim.condition import Condition
from fleetkit.sim.faults import Faults
from fleetkit.sim.line import Line, gone

HTML: Final = b"text/html; charset=utf-8"
PAGE: Final = (
    b"<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1>"
    b"</center><hr><center>gateway/1.24</center></body></html>"
)
BAD_GATEWAY: Final = 502
WITHOUT_BODY: Final = (204, 304)
OF_THE_BODY: Final = (b"content-length", b"content-type")
REDIRECTS: Final = range(300, 400)
READ_PAUSE_S: Final = 0.02  # for the client to read what came before a reset
TRICKLE_S: Final = 0.05  # between two pieces of a slow body

VITAL: Final[Mapping[str, tuple[str, str | None]]] = MappingProxyType(
    {
        contract.HEALTH.name: ("status", None),
        contract.ACCOUNTS.name: ("balance", None),
        contract.REFRESH.name: ("status", None),
        contract.TRADE_HISTORY.name: ("trades", "profit"),
        contract.POSITIONS.name: ("positions", "volume"),
        contract.QUOTE.name: ("bid", None),
    }
)
"""The field that types and absence are tried on: of the reply, or of its first row."""


Headers = Sequence[tuple[bytes, bytes]]


class Held:
    """Stands in for ASGI's ``send``: keeps a finished reply instead of sending it."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Headers = ()
        self.body = b""

    async def send(self, message: Message) -> None:
        """Take one ASGI message."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = [pair for pair in message["headers"] if pair[0] not in OF_THE_BODY]
        else:
            self.body += message["body"]


def spoil(faults: Faults, route: str, status: int, body: bytes) -> Answer:
    """The reply that these faults make of a good one."""
    if faults.html_error:
        return Answer(faults.status_code or BAD_GATEWAY, PAGE, HTML)
    if faults.status_code is not None:
        detail = {"detail": f"Simulated status {faults.status_code}"}
        return Answer(faults.status_code, msgspec.json.encode(detail))
    if status == 200:
        body = _in_shape(faults, route, _damaged(faults, route, body))
    if faults.malformed_json:
        body = body[: len(body) * 2 // 3]
    return Answer(status, body)


def _damaged(faults: Faults, route: str, body: bytes) -> bytes:
    if route not in VITAL or not (faults.wrong_types or faults.missing_fields):
        return body
    reply: dict[str, Any] = msgspec.json.decode(body)
    field, column = VITAL[route]
    target, key = reply, field
    if column is not None and reply[field]:
        target, key = reply[field][0], column
    if faults.missing_fields:
        del target[key]
    else:
        # No text where a number belongs, no list where rows belong, no status.
        target[key] = 7 if isinstance(target[key], str) else "n/a"
    return msgspec.json.encode(reply)


def _in_shape(faults: Faults, route: str, body: bytes) -> bytes:
    if route != contract.ACCOUNTS.name or faults.shape == "object":
        return body
    return b"[" + body + b"]" if faults.shape == "list" else b'{"accounts":[' + body + b"]}"


class Delivery:
    """Sends one spoiled reply over one connection, well or badly."""

    def __init__(
        self,
        reply: Answer,
        *,
        headers: Headers,
        receive: Receive,
        send: Send,
        line: Line | None,
        clock: Clock,
    ) -> None:
        self._reply = reply
        self._headers = headers
        self._receive = receive
        self._send = send
        self._line = line
        self._clock = clock

    async def whole(self) -> None:
        """At once."""
        await self._start()
        await self._piece(self._reply.body, more=False)

    async def slowly(self, bytes_per_s: float, condition: Condition) -> None:
        """Piece by piece, until other faults are set or the client has gone."""
        body = self._reply.body
        size = max(1, round(bytes_per_s * TRICKLE_S))
        pause_s = size / bytes_per_s
        await self._start()
        sent = 0
        while sent + size < len(body) and not self._gone():
            await self._piece(body[sent : sent + size], more=True)
            sent += size
            if await condition.change(timeout_s=pause_s):
                break
        await self._piece(body[sent:], more=False)

    async def half(self) -> None:
        """Half of the body, then a TCP reset."""
        await self._start()
        await self._piece(self._reply.body[: len(self._reply.body) // 2], more=True)
        await self._clock.sleep(READ_PAUSE_S)
        if self._line is not None:
            self._line.reset()
        await gone(self._receive)

    async def _start(self) -> None:
        headers = [(b"content-type", self._reply.content_type), *self._headers]
        if self._reply.status not in WITHOUT_BODY:
            headers.append((b"content-length", b"%d" % len(self._reply.body)))
        if self._reply.status in REDIRECTS:
            headers.append((b"location", b"/accounts"))
        status = self._reply.status
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _piece(self, body: bytes, *, more: bool) -> None:
        if self._reply.status in WITHOUT_BODY:
            body = b""
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    def _gone(self) -> bool:
        return self._line is None or self._line.closing
