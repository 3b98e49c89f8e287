"""A trade on the wire: over a living connection, and honest about what left."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fleetkit.config import PoolLimits
from fleetkit.contract import ACCOUNTS, OPEN
from fleetkit.errors import (
    AgentOffline,
    ConnectionBroken,
    StoreError,
)
from fleetkit.http import TlsContexts
from fleetkit.http.stream import AsyncioBackend
from fleetkit.model import Http2
from tests.support.certificates import Authority
from tests.support.fake_clock import FakeClock
from tests.support.one_agent import DEADLINE_S, agent_http, until
from tests.support.one_trade import (
    FILLED,
    filling,
    posts,
    run,
    send,
)
from tests.support.raw_server import Exchange as Asked
from tests.support.raw_server import RawServer

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


# Over which connection.


def test_a_trade_goes_over_the_connection_that_just_answered() -> None:
    """A read a moment ago is the sign of life: nothing is asked in between."""

    async def scenario() -> None:
        with RawServer(filling) as server:
            async with agent_http(server.url) as http:
                await http.call(ACCOUNTS, deadline_s=DEADLINE_S)
                exchange = await send(http)
            assert exchange.sent
            assert exchange.reply is not None
            assert exchange.reply.status == 200
            assert server.paths == ["/accounts", OPEN.path]
            assert server.seen.connections == 1

    run(scenario())


@pytest.mark.parametrize(("idle_s", "asks"), [(1.0, False), (1.001, True)])
def test_a_connection_that_was_silent_longer_is_asked_first(idle_s: float, asks: bool) -> None:
    """Within a second an answer still counts; after it `/health` shows who lives."""

    async def scenario() -> None:
        clock = FakeClock()
        with RawServer(filling) as server:
            async with agent_http(server.url) as http:
                http._clock = clock  # the only seam: who times the answers
                await http.call(ACCOUNTS, deadline_s=DEADLINE_S)
                clock.advance(idle_s)
                assert (await send(http, clock=clock)).sent
            assert server.paths == ["/accounts", *(["/health"] if asks else []), OPEN.path]
            assert server.seen.connections == 1

    run(scenario())


def test_without_any_connection_a_sign_of_life_comes_first() -> None:
    """The very first call of a process is no order."""

    async def scenario() -> None:
        with RawServer(filling) as server:
            async with agent_http(server.url) as http:
                assert (await send(http)).sent
            assert server.paths == ["/health", OPEN.path]
            assert server.seen.connections == 1

    run(scenario())


def test_an_old_agent_without_health_is_alive_as_well() -> None:
    """Its 404 came over the connection, and that is what was asked."""

    async def old(asked: Asked) -> None:
        if asked.request.path == "/health":
            await asked.reply({"detail": "Not Found"}, status=404)
        else:
            await filling(asked)

    async def scenario() -> None:
        with RawServer(old) as server:
            async with agent_http(server.url) as http:
                assert (await send(http)).reply is not None
            assert server.paths == ["/health", OPEN.path]

    run(scenario())


@pytest.mark.parametrize("h2c", [False, True], ids=["HTTP/1.1", "HTTP/2"])
def test_a_kept_connection_that_the_server_dropped_is_not_used(h2c: bool) -> None:
    """It answered a moment ago and is gone all the same; the order goes over a new one, once."""

    async def scenario() -> None:
        with RawServer(filling, h2c=h2c) as server:
            version = Http2.H2C if h2c else Http2.AUTO
            async with agent_http(server.url, http2=version) as http:
                await http.call(ACCOUNTS, deadline_s=DEADLINE_S)
                await asyncio.to_thread(server.drop_idle)
                await asyncio.to_thread(server.wait_until_left)
                exchange = await send(http)
            assert exchange.reply is not None
            assert exchange.reply.status == 200
            assert server.paths == ["/accounts", "/health", OPEN.path]
            assert server.requests[-1].connection == 2

    run(scenario())


def test_without_pooling_the_order_has_a_connection_of_its_own() -> None:
    """Nothing is kept: one for the sign of life, one for the order, both closed at the end."""

    async def scenario() -> None:
        with RawServer(filling) as server:
            async with agent_http(server.url, limits=PoolLimits(pooling=False)) as http:
                exchange = await send(http)
                assert exchange.sent
                assert exchange.reply is not None
                await asyncio.to_thread(server.wait_until_left)
            assert server.paths == ["/health", OPEN.path]
            assert server.seen.connections == 2

    run(scenario())


# Not a byte left.


def test_a_refused_connection_sends_nothing() -> None:
    """Nobody listens: `sent` is False, and the lease is not even asked for."""
    asked = []

    async def may_send() -> str | None:
        asked.append(True)
        return None

    async def scenario() -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{unused.getsockname()[1]}"
            async with agent_http(url) as http:
                exchange = await send(http, may_send=may_send)
                assert not exchange.sent
                assert isinstance(exchange.error, AgentOffline)
                assert http.lane.held == 0
        assert asked == []

    run(scenario())


@pytest.mark.parametrize("pooling", [True, False], ids=["kept", "pooling off"])
def test_an_untrusted_certificate_sends_nothing(authority: Authority, pooling: bool) -> None:
    """The handshake fails before the order, whoever's sign of life it was."""

    async def scenario() -> None:
        with RawServer(filling, tls=authority.server("http/1.1")) as server:
            async with agent_http(server.url, limits=PoolLimits(pooling=pooling)) as http:
                exchange = await send(http)
            assert not exchange.sent
            assert isinstance(exchange.error, AgentOffline)
            assert server.paths == []

    run(scenario())


def test_a_handshake_that_fails_for_the_order_itself_sends_nothing(authority: Authority) -> None:
    """The sign of life went through, the order's own connection did not."""

    async def scenario() -> None:
        context = ssl.create_default_context(cafile=str(authority.file))
        with RawServer(filling, tls=authority.server("http/1.1")) as server:
            backend = RefusingBackend(after=1)
            async with agent_http(
                server.url,
                limits=PoolLimits(pooling=False),
                contexts=FixedContext(context),
                backend=backend,
            ) as http:
                exchange = await send(http)
            assert not exchange.sent
            assert isinstance(exchange.error, AgentOffline)
            assert posts(server) == []
            assert server.paths == ["/health"]

    run(scenario())


class FixedContext(TlsContexts):
    """One context for everybody."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__()
        self._fixed = context

    def get(self, ca_file: Any, http2: bool, agent: str) -> ssl.SSLContext:
        return self._fixed


class RefusingBackend(AsyncioBackend):
    """Connects so many times, and to a closed port afterwards."""

    def __init__(self, after: int) -> None:
        self._left = after

    async def connect_tcp(self, host: str, port: int, *rest: Any, **more: Any) -> Any:
        self._left -= 1
        return await super().connect_tcp(host, port if self._left >= 0 else 1, *rest, **more)


async def lost() -> str | None:
    return "another kernel trades this account now"


@pytest.mark.parametrize("h2c", [False, True], ids=["HTTP/1.1", "HTTP/2"])
def test_a_connection_made_for_what_may_not_be_sent_is_closed(h2c: bool) -> None:
    """The order's own connection stands when it is refused, and carries no request."""

    async def scenario() -> None:
        with RawServer(filling, h2c=h2c) as server:
            version = Http2.H2C if h2c else Http2.AUTO
            limits = PoolLimits(pooling=False)
            async with agent_http(server.url, http2=version, limits=limits) as http:
                exchange = await send(http, may_send=lost)
                assert (exchange.sent, exchange.withheld) == (False, await lost())
                assert http.pool.open_connections == http.lane.held == 0
                await asyncio.to_thread(server.wait_until_left)
            assert server.paths == ["/health"]
            assert server.seen.connections == 2

    run(scenario())


def test_what_may_not_be_sent_leaves_no_byte_and_keeps_the_connection() -> None:
    """The reason comes back, and the connection serves the next read."""

    async def scenario() -> None:
        with RawServer(filling) as server:
            async with agent_http(server.url) as http:
                exchange = await send(http, may_send=lost)
                assert not exchange.sent
                assert exchange.withheld == "another kernel trades this account now"
                assert exchange.error is exchange.reply is None
                await http.call(ACCOUNTS, deadline_s=DEADLINE_S)
            assert server.paths == ["/health", "/accounts"]
            assert server.seen.connections == 1

    run(scenario())


def test_a_server_that_closes_before_the_write_was_sent_nothing() -> None:
    """It closes while the lease is asked for; the order is not sent, and not sent again."""

    async def scenario() -> None:
        with RawServer(filling) as server:
            async with agent_http(server.url) as http:
                await http.call(ACCOUNTS, deadline_s=DEADLINE_S)

                async def meanwhile() -> str | None:
                    await asyncio.to_thread(server.drop_idle)
                    [pooled] = http.pool._connections
                    await until(lambda: pooled.line.is_dropped)
                    return None

                exchange = await send(http, may_send=meanwhile)
                assert not exchange.sent
                assert isinstance(exchange.error, ConnectionBroken)
            assert server.paths == ["/accounts"]

    run(scenario())


# When it is asked whether it may go.


def test_whether_it_may_go_is_asked_once_and_after_the_sign_of_life() -> None:
    """The server has seen the health check and no order when the question is put."""
    seen = []

    async def scenario() -> None:
        with RawServer(filling) as server:

            async def may_send() -> str | None:
                seen.append(server.paths)
                return None

            async with agent_http(server.url) as http:
                await send(http, may_send=may_send)
            assert seen == [["/health"]]

    run(scenario())


async def filling_once(asked: Asked) -> None:
    """As `filling`, from a server that keeps no connection."""
    if asked.request.path == OPEN.path:
        await asked.reply(FILLED)
    else:
        await asked.reply({"status": "healthy"}, headers={"connection": "close"})
        asked.close()


@pytest.mark.parametrize(
    ("script", "version"),
    [
        (filling, "HTTP/1.1"),
        (filling, "HTTP/2"),
        (filling, "TLS"),
        (filling_once, "HTTP/1.1"),
        (filling_once, "TLS"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_whether_it_may_go_is_asked_when_the_connection_stands(
    script: Callable[[Asked], Awaitable[None]], version: str, authority: Authority
) -> None:
    """A connection that has yet to be made may take seconds; the lease is asked for after it."""
    seen = []
    tls = authority.server("http/1.1") if version == "TLS" else None

    async def scenario() -> None:
        with RawServer(script, tls=tls, h2c=version == "HTTP/2") as server:

            async def may_send() -> str | None:
                await asyncio.to_thread(server.wait, lambda now: now.connections == 2)
                seen.append(server.paths)
                return None

            async with agent_http(
                server.url,
                limits=PoolLimits(pooling=script is not filling),
                http2=Http2.H2C if version == "HTTP/2" else Http2.AUTO,
                ca_file=str(authority.file),
            ) as http:
                exchange = await send(http, may_send=may_send)
                assert exchange.reply is not None
                assert exchange.reply.status == 200
        assert seen == [["/health"]]

    run(scenario())


def test_nobody_shares_the_connection_of_an_order_that_is_not_allowed_yet() -> None:
    """On HTTP/2 a read beside it would take the stream that the order is about to open."""

    async def scenario() -> None:
        with RawServer(filling, h2c=True) as server:
            limits = PoolLimits(pooling=False)
            async with agent_http(server.url, http2=Http2.H2C, limits=limits, lanes=2) as http:

                async def may_send() -> str | None:
                    await http.call(ACCOUNTS, deadline_s=DEADLINE_S)
                    return None

                exchange = await send(http, may_send=may_send)
                assert exchange.reply is not None
                assert exchange.reply.status == 200
            assert [(each.path, each.connection) for each in server.requests] == [
                ("/health", 1),
                ("/accounts", 3),
                (OPEN.path, 2),
            ]

    run(scenario())


def test_a_failure_to_ask_sends_nothing_and_gives_everything_back() -> None:
    """A broken store is not a yes."""

    async def broken() -> str | None:
        msg = "the disk is full"
        raise StoreError(msg)

    async def scenario() -> None:
        with RawServer(filling) as server:
            async with agent_http(server.url) as http:
                with pytest.raises(StoreError, match="disk is full"):
                    await send(http, may_send=broken)
                assert http.lane.held == 0
                await http.call(ACCOUNTS, deadline_s=DEADLINE_S)
            assert server.paths == ["/health", "/accounts"]
            assert server.seen.connections == 1

    run(scenario())
