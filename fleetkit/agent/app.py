"""The agent as an ASGI 3 app: the base and the extended layer around a `Terminal`.

Why: plain ASGI runs under any server and in a test without one. May import
everything else in `fleetkit.agent` but `serve`.
The trap: an unknown path is answered before the lane, as base agents do; a
client takes such a 404 for "never reached the terminal".
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

import msgspec

from fleetkit import contract
from fleetkit.agent.base import HANDLERS
from fleetkit.agent.desk import OrderDesk
from fleetkit.agent.extended import Extended
from fleetkit.agent.guard import (
    BODY_S,
    JSON_TYPE,
    Caller,
    Message,
    Receive,
    Scope,
    Send,
    check_json,
    check_token,
    header,
    only_header,
    read_body,
    rest_of_body,
)
from fleetkit.agent.lane import Lane, LaneFullError
from fleetkit.agent.openapi import OPENAPI_PATH, document
from fleetkit.agent.orders import OrderLog
from fleetkit.agent.request import HttpError, Reply, Request, busy, unprocessable
from fleetkit.agent.routes import Routes
from fleetkit.agent.squeeze import encoders, squeeze
from fleetkit.agent.terminal import Terminal, TerminalError
from fleetkit.agent.vitals import Vitals
from fleetkit.clock import Clock, SystemClock
from fleetkit.contract import Call, Capability

__all__ = ["JSON", "AgentApp", "Message", "Receive", "Scope", "Send", "query_of", "send_body"]

JSON: Final = JSON_TYPE
ORDER_ID_NAME: Final = contract.ORDER_ID_HEADER.lower().encode()
Layer = Literal["base", "extended"]

LOGGER: Final = logging.getLogger("fleetkit.agent")

BODY_LIMIT: Final = 65_536  # bytes; the largest request has some hundred
QUEUE_LIMIT: Final = 32  # requests that wait for one terminal
TURN_S: Final = 20.0  # to wait for the terminal, less than a client's deadline for trades
DRAIN_S: Final = 30.0  # for orders in flight when the agent ends


class AgentApp:
    """One terminal over HTTP.

    Parameters
    ----------
    terminal
        The terminal to serve; called by one handler at a time.
    layer
        ``"base"`` answers as every deployed agent does, ``"extended"`` as our own.
    lane
        The single file in front of the terminal; its own unless told.
    token
        What callers must show, on the extended layer; nobody is asked where ``None``.
    order_log
        Where orders with an id are kept; without it such orders are refused. It is
        the app's from now on, and closed with it.
    queue_limit, turn_s
        How many requests may wait for the terminal, and how long, on the extended
        layer; above that they are answered 503 and nothing is done.
    body_limit, body_s
        The largest body in bytes, and how long it may take to arrive.
    drain_s
        How long orders in flight may take when the agent ends.
    clock
        What time it is, and how long a call takes.
    """

    def __init__(
        self,
        terminal: Terminal,
        *,
        layer: Layer = "base",
        lane: Lane | None = None,
        token: str | None = None,
        order_log: OrderLog | None = None,
        queue_limit: int = QUEUE_LIMIT,
        turn_s: float = TURN_S,
        body_limit: int = BODY_LIMIT,
        body_s: float = BODY_S,
        drain_s: float = DRAIN_S,
        clock: Clock | None = None,
    ) -> None:
        if layer == "base" and (token is not None or order_log is not None):
            raise ValueError('Base agents know no token and no order log: say layer="extended".')
        if token == "":
            raise ValueError("An empty token protects nothing: leave it out, or make one.")
        self.layer = layer
        self._terminal = terminal
        self._lane = Lane() if lane is None else lane
        self._routes = Routes(contract.BASE if layer == "base" else contract.EXTENDED)
        self._token = token
        self._queue_limit, self._turn_s, self._drain_s = queue_limit, turn_s, drain_s
        self._body_limit, self._body_s = body_limit, body_s
        self._encoders = {} if layer == "base" else encoders()
        capabilities = [
            each for each in Capability if each is not Capability.ORDERS or order_log is not None
        ]
        self._vitals = Vitals(terminal, self._lane, clock or SystemClock(), capabilities)
        self._desk = OrderDesk(terminal, order_log, self._turn, terminal.now)
        self._extended = Extended(order_log).handlers

    def __repr__(self) -> str:
        return f"<fleetkit.agent.AgentApp of {self._terminal!r}, {self.layer}>"

    def call_of(self, scope: Scope) -> Call[Any] | None:
        """The call a request means, ``None`` where no route fits."""
        try:
            return self._routes.find(scope["method"], scope["path"])[0]
        except HttpError:
            return None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection."""
        if scope["type"] == "http":
            reply = await self._answer(scope, receive)
            body = msgspec.json.encode(reply.body)
            accepted = header(scope, b"accept-encoding") if self._encoders else None
            body, encoding = await squeeze(body, accepted, self._encoders)
            headers = list(reply.headers)
            if self._encoders:
                headers.append((b"vary", b"accept-encoding"))
            if encoding is not None:
                headers.append((b"content-encoding", encoding.encode()))
            async with rest_of_body(scope, receive):
                await send_body(send, reply.status, body, headers=headers)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def close(self) -> None:
        """Let orders in flight end, within a bound, when the server takes no more requests."""
        await self._vitals.close()
        await self._desk.close(self._drain_s)

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        try:
            if self.layer == "base":
                return await self._answer_base(scope, receive)
            return await self._answer_extended(scope, receive)
        except HttpError as error:
            if self.layer == "extended" and getattr(self.call_of(scope), "trades", False):
                error.more.setdefault("retcode", None)  # MetaTrader was not asked
            return error.reply
        except TerminalError as error:
            return Reply(500, {"detail": str(error)})
        except Exception:  # a mistake of ours; the caller gets JSON all the same
            LOGGER.exception("%s %s ended in an error", scope["method"], scope["path"])
            return Reply(500, {"detail": "The agent made a mistake; its log has the details."})

    async def _answer_base(self, scope: Scope, receive: Receive) -> Reply:
        call, values = self._routes.find(scope["method"], scope["path"])
        request = await self._request(scope, receive, call, values)
        async with self._lane.hold(call):
            return await HANDLERS[call.name](self._terminal, request)

    async def _answer_extended(self, scope: Scope, receive: Receive) -> Reply:
        if (scope["method"], scope["path"]) != (contract.HEALTH.method, contract.HEALTH.path):
            check_token(scope, self._token)
        if (scope["method"], scope["path"]) == ("GET", OPENAPI_PATH):
            return Reply(200, document(token=self._token is not None))
        call, values = self._routes.find(scope["method"], scope["path"])
        if call is contract.HEALTH:
            return await self._vitals.reply()
        for name in query_of(scope).keys() - set(call.query):
            # A misspelled window would be answered with everything there is.
            raise unprocessable(name, f"{call.path} knows no such query field")
        if call is contract.ORDER_STATUS:
            return await self._desk.status(values["order_id"], await self._vitals.account())
        if call.body is not None:
            check_json(scope)
        request = await self._request(scope, receive, call, values)
        if call.trades:
            async with Caller(receive) as caller:
                return await self._desk.trade(request, lambda: caller.gone)
        async with self._turn(call):
            return await self._extended[call.name](self._terminal, request)

    async def _request(
        self, scope: Scope, receive: Receive, call: Call[Any], values: Any
    ) -> Request:
        body = b""
        if call.body is not None:
            body = await read_body(scope, receive, self._body_limit, self._body_s)
        order_id = only_header(scope, ORDER_ID_NAME) if call.trades else None
        return Request(
            call=call,
            values=values,
            query=query_of(scope),
            body=body,
            order_id=None if order_id is None else order_id.decode("latin-1"),
        )

    @asynccontextmanager
    async def _turn(self, call: Call[Any]) -> AsyncIterator[None]:
        try:
            async with self._lane.hold(
                call, limit=self._queue_limit, within_s=self._turn_s, watch=self._vitals
            ):
                yield
        except LaneFullError as error:
            raise busy(str(error)) from error

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self.close()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return


def query_of(scope: Scope) -> dict[str, str]:
    """The query's fields; of one given twice the last counts."""
    return dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))


async def send_body(
    send: Send,
    status: int,
    body: bytes,
    content_type: bytes = JSON,
    headers: list[tuple[bytes, bytes]] | None = None,
) -> None:
    """Send a status and a whole body."""
    length = (b"content-length", b"%d" % len(body))
    more = [length, (b"content-type", content_type), *(headers or ())]
    await send({"type": "http.response.start", "status": status, "headers": more})
    await send({"type": "http.response.body", "body": body})
