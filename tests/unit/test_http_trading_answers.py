"""Whatever an agent answers a trade, it was sent once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from fleetkit.config import PoolLimits, Secret
from fleetkit.contract import ACCOUNTS, OPEN, ORDER_ID_HEADER
from fleetkit.errors import (
    AgentError,
    AgentTimeout,
    ConnectionBroken,
)
from fleetkit.model import Http2
from tests.support.one_agent import DEADLINE_S, agent_http
from tests.support.one_trade import (
    BODY,
    ORDER,
    SHORT_S,
    filling,
    on_trade,
    posts,
    reset_unread,
    run,
    send,
)
from tests.support.raw_server import Exchange as Asked
from tests.support.raw_server import RawServer

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


# Exactly one POST, and what is said of it.


async def reset_after_a_ping(asked: Asked) -> None:
    await asked.head(200, {"content-length": "500"})
    asked.reset()


async def closed(asked: Asked) -> None:
    asked.close()


async def half_a_body(asked: Asked) -> None:
    await asked.head(200, {"content-length": "500"})
    await asked.piece(b'{"success": true, "tick')
    asked.close()


async def half_a_head(asked: Asked) -> None:
    await asked.raw(b"HTTP/1.1 200 O")
    asked.close()


async def garbage(asked: Asked) -> None:
    await asked.raw(b"\x00\xff\x13 this is not HTTP\r\n\r\n")
    asked.close()


async def undecodable(asked: Asked) -> None:
    await asked.reply(b"not gzip at all", headers={"content-encoding": "gzip"})


BROKEN = [
    reset_unread, reset_after_a_ping, closed, half_a_body, half_a_head, garbage, undecodable,
]  # fmt: skip


@pytest.mark.parametrize("pooling", [True, False], ids=["kept", "pooling off"])
@pytest.mark.parametrize("script", BROKEN, ids=lambda script: script.__name__)
def test_a_broken_answer_is_sent_once_and_said_to_be_sent(
    script: Callable[[Asked], Awaitable[None]], pooling: bool
) -> None:
    """Whatever breaks after the first byte: one POST, `sent`, an error, and a free lane."""

    async def scenario() -> None:
        with RawServer(on_trade(script)) as server:
            async with agent_http(server.url, limits=PoolLimits(pooling=pooling)) as http:
                exchange = await send(http)
                assert exchange.sent
                assert exchange.reply is None
                assert isinstance(exchange.error, AgentError)
                assert exchange.error.agent == "a0"
                assert http.lane.held == 0
                if script is not undecodable:
                    assert http.pool.open_connections == 0, "the broken one is not kept"
            assert posts(server) == [OPEN.path]

    run(scenario())


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 404, 408, 409, 500, 502, 503, 504])
def test_any_other_status_is_an_answer_that_is_never_followed_or_repeated(status: int) -> None:
    """The redirect's target is the same server, and it is not asked."""

    async def answering(asked: Asked) -> None:
        headers = {"location": "/positions/open", "retry-after": "1"}
        await asked.reply({"detail": "no"}, status=status, headers=headers)

    async def scenario() -> None:
        with RawServer(on_trade(answering)) as server:
            async with agent_http(server.url) as http:
                exchange = await send(http)
                assert exchange.sent
                assert exchange.error is None
                assert exchange.reply is not None
                assert exchange.reply.status == status
                assert exchange.reply.retry_after
                assert exchange.reply.body == b'{"detail": "no"}'
            assert posts(server) == [OPEN.path]

    run(scenario())


@pytest.mark.parametrize("h2c", [False, True], ids=["HTTP/1.1", "HTTP/2"])
def test_no_answer_in_time_is_a_timeout_of_something_sent(h2c: bool) -> None:
    """The connection is given up with it: a late answer must not meet the next request."""

    async def scenario() -> None:
        with RawServer(on_trade(Asked.hang), h2c=h2c) as server:
            version = Http2.H2C if h2c else Http2.AUTO
            async with agent_http(server.url, http2=version) as http:
                exchange = await send(http, deadline_s=SHORT_S)
                assert exchange.sent
                assert isinstance(exchange.error, AgentTimeout)
                assert exchange.latency_s >= SHORT_S * 0.9
                assert (await http.call(ACCOUNTS, deadline_s=DEADLINE_S)).body
                assert http.connections_made == 2
            assert posts(server) == [OPEN.path]

    run(scenario())


async def goes_away_below(asked: Asked) -> None:
    """The server says it never looked at the stream."""
    await asked.peer.go_away(last_stream=asked.peer.stream - 2)
    asked.close()


async def goes_away_above(asked: Asked) -> None:
    """The server says it may have looked at the stream."""
    await asked.peer.go_away(last_stream=asked.peer.stream)
    asked.close()


async def resets_the_stream(asked: Asked) -> None:
    asked.peer.reset_stream()
    await asked.peer.peer.flush()


async def half_a_stream(asked: Asked) -> None:
    await asked.head(200)
    await asked.piece(b'{"success": tr')
    asked.peer.reset_stream()
    await asked.peer.peer.flush()


async def garbage_frames(asked: Asked) -> None:
    await asked.raw(b"\xff" * 64)
    asked.close()


STREAMS = [
    goes_away_below, goes_away_above, resets_the_stream, half_a_stream, garbage_frames,
    reset_unread, closed,
]  # fmt: skip


@pytest.mark.parametrize("script", STREAMS, ids=lambda script: script.__name__)
def test_on_http2_nothing_is_replayed_either(
    script: Callable[[Asked], Awaitable[None]],
) -> None:
    """A GOAWAY that allows a replay of reads allows none of an order."""

    async def scenario() -> None:
        with RawServer(on_trade(script), h2c=True) as server:
            async with agent_http(server.url, http2=Http2.H2C) as http:
                exchange = await send(http)
                assert exchange.sent
                assert exchange.reply is None
                assert isinstance(exchange.error, ConnectionBroken)
                assert (await http.call(ACCOUNTS, deadline_s=DEADLINE_S)).body
            assert posts(server) == [OPEN.path]

    run(scenario())


# What is in it.


@pytest.mark.parametrize("order_id", [None, ORDER])
def test_the_order_id_is_a_header_only_where_it_is_given(order_id: str | None) -> None:
    """Base agents get no header they do not know."""

    async def scenario() -> None:
        with RawServer(filling) as server:
            async with agent_http(server.url) as http:
                await send(http, order_id=order_id)
            headers = server.requests[-1].headers
            assert headers.get(ORDER_ID_HEADER.lower()) == order_id
            assert headers["content-type"] == "application/json"
            assert headers["content-length"] == str(len(BODY))

    run(scenario())


@pytest.mark.parametrize("status", [400, 401, 500, 302])
def test_a_refusal_that_quotes_the_request_keeps_no_secret(status: int) -> None:
    """Error pages like to print the headers they got."""

    async def quoting(asked: Asked) -> None:
        page = f"denied: {asked.request.headers['authorization']}".encode()
        await asked.reply(b"\xff " + page, status=status)

    async def scenario() -> None:
        with RawServer(on_trade(quoting)) as server:
            agent = {"token": Secret("pl4nted-t0ken-Zq7")}
            async with agent_http(server.url, **agent) as http:
                reply = (await send(http)).reply
            assert "pl4nted" in server.requests[-1].headers["authorization"]
            assert reply is not None
            assert b"pl4nted" not in reply.body
            assert reply.body.startswith(b"\xff denied"), "the rest is as it was"

    run(scenario())


def test_a_success_is_kept_byte_for_byte() -> None:
    """What is journalled of a 200 is what came."""

    async def scenario() -> None:
        with RawServer(on_trade(lambda asked: asked.reply(b'{"success":true} '))) as server:
            async with agent_http(server.url, token=Secret("true")) as http:
                reply = (await send(http)).reply
            assert reply is not None
            assert reply.body == b'{"success":true} '

    run(scenario())
