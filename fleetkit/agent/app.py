"""The agent as an ASGI 3 app: routing, errors and JSON around a `Terminal`.

Why: plain ASGI runs under any server and in a test without one. Routes come
from the contract's table, so a path is spelled once. May import `base`, `lane`,
`terminal` and `contract`.
The trap: an unknown path is answered before the lane, as base agents do; a
client takes such a 404 for "never reached the terminal".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from fleetkit import contract
from fleetkit.agent.base import HANDLERS
from fleetkit.agent.lane import Lane
from fleetkit.agent.request import HttpError, Reply, Request
from fleetkit.agent.terminal import Terminal, TerminalError
from fleetkit.contract import Call

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON: Final = b"application/json"


class Routes:
    """Which call of the contract a method and a path mean."""

    def __init__(self, calls: Sequence[Call[Any]]) -> None:
        self._exact: dict[str, dict[str, Call[Any]]] = {}
        self._prefixes: list[tuple[str, str, dict[str, Call[Any]]]] = []
        for call in calls:
            self._methods(call.path)[call.method] = call

    def _methods(self, path: str) -> dict[str, Call[Any]]:
        prefix, brace, name = path.partition("{")
        if not brace:
            return self._exact.setdefault(path, {})
        for known, _, methods in self._prefixes:
            if known == prefix:
                return methods
        methods = {}
        self._prefixes.append((prefix, name.rstrip("}"), methods))
        return methods

    def find(self, method: str, path: str) -> tuple[Call[Any], Mapping[str, str]]:
        """The call and the values in its path.

        Raises
        ------
        HttpError
            404 for an unknown path, 405 for a known one with another method.
        """
        methods, values = self._match(path)
        if methods is None:
            raise HttpError(404, "Not Found")
        call = methods.get(method)
        if call is None:
            raise HttpError(405, "Method Not Allowed")
        return call, values

    def _match(self, path: str) -> tuple[dict[str, Call[Any]] | None, Mapping[str, str]]:
        methods = self._exact.get(path)
        if methods is not None:
            return methods, {}
        for prefix, name, candidates in self._prefixes:
            value = path.removeprefix(prefix)
            if value and value != path and "/" not in value:
                return candidates, {name: value}
        return None, {}


class AgentApp:
    """One terminal over HTTP.

    Parameters
    ----------
    terminal
        The terminal to serve; called by one handler at a time.
    lane
        The single file in front of it; its own unless told.
    """

    def __init__(self, terminal: Terminal, *, lane: Lane | None = None) -> None:
        self._terminal = terminal
        self._lane = Lane() if lane is None else lane
        self._routes = Routes(contract.BASE)

    def __repr__(self) -> str:
        return f"<fleetkit.agent.AgentApp of {self._terminal!r}>"

    def call_of(self, scope: Scope) -> Call[Any] | None:
        """The call a request means, ``None`` where no route fits."""
        try:
            return self._routes.find(scope["method"], scope["path"])[0]
        except HttpError:
            return None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection."""
        if scope["type"] == "http":
            await send_reply(send, await self._answer(scope))
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _answer(self, scope: Scope) -> Reply:
        try:
            call, values = self._routes.find(scope["method"], scope["path"])
            query = query_of(scope)
            async with self._lane.hold(call):
                return await HANDLERS[call.name](self._terminal, Request(call, values, query))
        except HttpError as error:
            return error.reply
        except TerminalError as error:
            return Reply(500, {"detail": str(error)})


def query_of(scope: Scope) -> dict[str, str]:
    """The query's fields; of one given twice the last counts."""
    return dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))


async def send_reply(send: Send, reply: Reply) -> None:
    """Send a reply as one JSON body."""
    await send_body(send, reply.status, msgspec.json.encode(reply.body))


async def send_body(send: Send, status: int, body: bytes, content_type: bytes = JSON) -> None:
    """Send a status and a whole body."""
    headers = [(b"content-length", b"%d" % len(body)), (b"content-type", content_type)]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
