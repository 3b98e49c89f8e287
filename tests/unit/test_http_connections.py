"""HTTP/1.1 connections on real sockets: reuse, replay, retirement, lanes, deadlines."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from fleetkit.config import PoolLimits, Timeouts
from fleetkit.contract import ACCOUNTS, HEALTH, REFRESH, Call
from fleetkit.errors import (
    AgentCancelled,
    AgentError,
    AgentOffline,
    AgentTimeout,
    ConnectionBroken,
)
from fleetkit.http import AgentHttp
from fleetkit.http.lane import Priority
from tests.support.one_agent import DEADLINE_S, agent_http, until
from tests.support.raw_server import BOUND_S, Exchange, RawServer, base_agent

pytestmark = pytest.mark.usefixtures("nothing_left_behind")

SHORT_S = 0.2


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(BOUND_S):
            await scenario

    asyncio.run(bounded())


async def seen(server: RawServer, condition: Any) -> None:
    """Await what the server must see."""
    await asyncio.to_thread(server.wait, condition)


async def get(http: AgentHttp, call: Call[Any] = ACCOUNTS, deadline_s: float = DEADLINE_S) -> bytes:
    return (await http.call(call, deadline_s=deadline_s)).body


# Reuse and replay.


def test_one_connection_serves_many_calls() -> None:
    """Calls one after the other share a connection, and its version is known."""

    async def scenario() -> None:
        with RawServer() as server:
            async with agent_http(server.url) as http:
                for _ in range(5):
                    assert b"7100001" in await get(http)
                assert (http.connections_made, http.requests) == (1, 5)
                assert http.http_version == "HTTP/1.1"
            assert server.seen.connections == 1
            await asyncio.to_thread(server.wait_until_left)

    run(scenario())


def test_without_pooling_each_call_has_its_own() -> None:
    """`pooling=False` opens and closes a connection a call."""

    async def scenario() -> None:
        with RawServer() as server:
            async with agent_http(server.url, limits=PoolLimits(pooling=False)) as http:
                for _ in range(3):
                    await get(http)
                await asyncio.to_thread(server.wait_until_left)
                assert http.connections_made == server.seen.connections == 3

    run(scenario())


def test_a_kept_connection_that_is_too_old_is_not_used() -> None:
    """`keep_alive_s` bounds how long an idle connection is trusted."""

    async def scenario() -> None:
        with RawServer() as server:
            async with agent_http(server.url, limits=PoolLimits(keep_alive_s=1e-9)) as http:
                await get(http)
                await get(http)
                assert http.connections_made == 2

    run(scenario())


@pytest.mark.parametrize("call", [ACCOUNTS, REFRESH], ids=["GET", "POST"])
def test_a_connection_dropped_while_idle_is_seen_before_use(call: Call[Any]) -> None:
    """Nothing is sent into it, so that even what is never replayed gets through."""

    async def scenario() -> None:
        with RawServer() as server:
            async with agent_http(server.url) as http:
                await get(http)
                await asyncio.to_thread(server.drop_idle)
                await asyncio.to_thread(server.wait_until_left)
                await get(http, call)
                assert server.paths == ["/accounts", call.path]
                assert (http.connections_made, http.requests) == (2, 2)

    run(scenario())


async def reset_on_reuse(exchange: Exchange) -> None:
    """Break a kept connection under its second request."""
    if exchange.request.on_connection > 1:
        exchange.reset()
    else:
        await base_agent(exchange)


async def close_on_reuse(exchange: Exchange) -> None:
    """Close a kept connection instead of answering its second request."""
    if exchange.request.on_connection > 1:
        exchange.close()
    else:
        await base_agent(exchange)


async def cut_on_reuse(exchange: Exchange) -> None:
    """Cut the second answer of a connection short."""
    if exchange.request.on_connection > 1:
        await exchange.head(headers={"content-length": "1000"})
        await exchange.piece(b"{")
        exchange.reset()
    else:
        await base_agent(exchange)


@pytest.mark.parametrize("script", [reset_on_reuse, close_on_reuse, cut_on_reuse])
def test_a_dead_kept_connection_costs_one_replay(script: Any) -> None:
    """The second GET goes out again on a new connection, and nobody notices."""

    async def scenario() -> None:
        with RawServer(script) as server:
            async with agent_http(server.url) as http:
                await get(http)
                assert b"7100001" in await get(http)
                assert server.paths == ["/accounts"] * 3
                assert (server.seen.connections, http.connections_made) == (2, 2)
                await seen(server, lambda now: now.open == 1)  # the broken one is gone

    run(scenario())


def test_there_is_one_replay_and_no_more() -> None:
    """When the new connection breaks too, the call has failed."""

    async def only_the_first(exchange: Exchange) -> None:
        if exchange.request.number > 1:
            exchange.reset()
        else:
            await base_agent(exchange)

    async def scenario() -> None:
        with RawServer(only_the_first) as server:
            async with agent_http(server.url) as http:
                await get(http)
                with pytest.raises(ConnectionBroken):
                    await get(http)
                assert server.paths == ["/accounts"] * 3
                await asyncio.to_thread(server.wait_until_left)

    run(scenario())


def test_the_replay_goes_over_a_new_connection() -> None:
    """Where one kept connection is dead, the other kept ones are not trusted with the replay."""
    go = threading.Event()

    async def resetting(exchange: Exchange) -> None:
        await exchange.until(go)
        await reset_on_reuse(exchange)

    async def scenario() -> None:
        with RawServer(resetting) as server:
            async with agent_http(server.url, lanes=3) as http:
                calls = [asyncio.ensure_future(get(http)) for _ in range(3)]
                await seen(server, lambda now: now.concurrent == 3)
                go.set()
                await asyncio.gather(*calls)
                assert b"7100001" in await get(http)
                assert len(server.paths) == 5
                assert server.seen.connections == 4
                await seen(server, lambda now: now.open == 1)

    run(scenario())


@pytest.mark.parametrize("how", ["reset", "close"])
def test_a_fresh_connection_that_breaks_is_no_reason_to_replay(how: str) -> None:
    """An agent that breaks what was just opened is asked once."""

    async def breaking(exchange: Exchange) -> None:
        getattr(exchange, how)()

    async def scenario() -> None:
        with RawServer(breaking) as server:
            async with agent_http(server.url) as http:
                with pytest.raises(ConnectionBroken) as caught:
                    await get(http)
                assert caught.value.agent == "a0"
                assert server.paths == ["/accounts"]

    run(scenario())


@pytest.mark.parametrize("script", [reset_on_reuse, close_on_reuse, cut_on_reuse])
def test_a_post_is_never_replayed(script: Any) -> None:
    """POST /refresh reaches the agent at most once."""

    async def scenario() -> None:
        with RawServer(script) as server:
            async with agent_http(server.url) as http:
                await get(http)
                with pytest.raises(ConnectionBroken):
                    await get(http, REFRESH)
                assert server.paths == ["/accounts", "/refresh"]
                await get(http)  # and the agent is usable

    run(scenario())


def test_a_slow_answer_is_not_asked_for_again() -> None:
    """A read timeout on a kept connection is a timeout, not a dead connection."""

    async def slow_on_reuse(exchange: Exchange) -> None:
        if exchange.request.on_connection > 1:
            await exchange.hang()
        else:
            await base_agent(exchange)

    async def scenario() -> None:
        with RawServer(slow_on_reuse) as server:
            async with agent_http(server.url, timeouts=Timeouts(read_s=SHORT_S)) as http:
                await get(http)
                with pytest.raises(AgentTimeout, match="stopped answering"):
                    await get(http)
                assert server.paths == ["/accounts"] * 2
                await asyncio.to_thread(server.wait_until_left)

    run(scenario())


def test_connection_close_is_obeyed() -> None:
    """After `Connection: close` the next call opens a new one, without a failure between."""

    async def closing(exchange: Exchange) -> None:
        await exchange.reply({"n": exchange.request.number}, headers={"connection": "close"})
        exchange.close()

    async def scenario() -> None:
        with RawServer(closing) as server:
            async with agent_http(server.url) as http:
                for number in (1, 2, 3):
                    assert await get(http) == b'{"n": %d}' % number
                assert http.connections_made == http.requests == 3

    run(scenario())


# Answers that are no HTTP.

NONSENSE = [
    b"\x15\x03\x01\x00\x02\x02\x46",  # a TLS alert
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"HTTP/1.1 two hundred\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: ten\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\ncontent-length: 20\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000,
    b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort",
]


@pytest.mark.parametrize("answer", NONSENSE, ids=lambda answer: repr(answer[:24]))
def test_what_is_no_http_is_a_broken_connection(answer: bytes) -> None:
    """Nonsense is retired with its connection, and the next call is none the worse."""

    async def nonsense_first(exchange: Exchange) -> None:
        if exchange.request.number > 1:
            await base_agent(exchange)
        else:
            await exchange.raw(answer)
            exchange.close()

    async def scenario() -> None:
        with RawServer(nonsense_first) as server:
            async with agent_http(server.url) as http:
                with pytest.raises(ConnectionBroken):
                    await get(http)
                assert b"7100001" in await get(http)
                assert http.connections_made == 2
                await seen(server, lambda now: now.open == 1)

    run(scenario())


def test_an_early_hint_is_skipped() -> None:
    """Informational answers come before the answer, and are not it."""

    async def hinting(exchange: Exchange) -> None:
        await exchange.raw(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n")
        await exchange.reply({"n": 1})

    async def scenario() -> None:
        with RawServer(hinting) as server:
            async with agent_http(server.url) as http:
                assert await get(http) == await get(http) == b'{"n": 1}'
                assert http.connections_made == 1

    run(scenario())


def test_a_large_body_comes_whole() -> None:
    """Megabytes in one answer neither stall nor lose a byte."""
    large = bytes(range(256)) * (32 << 10)

    async def answering(exchange: Exchange) -> None:
        await exchange.reply(large)

    async def scenario() -> None:
        with RawServer(answering) as server:
            async with agent_http(server.url) as http:
                assert await get(http) == large
                assert await get(http) == large
                assert http.connections_made == 1

    run(scenario())


# Lanes.


@pytest.mark.parametrize("lanes", [1, 3])
def test_never_more_requests_than_lanes(lanes: int) -> None:
    """However many callers there are, the agent sees so many at once."""
    go = threading.Event()

    async def holding(exchange: Exchange) -> None:
        await exchange.until(go)
        await base_agent(exchange)

    async def scenario() -> None:
        with RawServer(holding) as server:
            async with agent_http(server.url, lanes=lanes) as http:
                calls = [asyncio.ensure_future(get(http)) for _ in range(10)]
                await seen(server, lambda now: now.concurrent == lanes)
                assert repr(http.lane) == f"<Lane {lanes} of {lanes} held, {10 - lanes} waiting>"
                go.set()
                await asyncio.gather(*calls)
                assert server.seen.most_concurrent == lanes
                assert http.connections_made == server.seen.connections == lanes

    run(scenario())


def test_a_trade_goes_before_the_polls_that_wait() -> None:
    """Priority decides the next turn of the lane, also on the wire."""
    go = threading.Event()

    async def holding(exchange: Exchange) -> None:
        if exchange.request.number == 1:
            await exchange.until(go)
        await base_agent(exchange)

    async def scenario() -> None:
        with RawServer(holding) as server:
            async with agent_http(server.url) as http:
                polls = [asyncio.ensure_future(get(http)) for _ in range(3)]
                await seen(server, lambda now: now.concurrent == 1)
                trade = asyncio.ensure_future(
                    http.call(REFRESH, deadline_s=DEADLINE_S, priority=Priority.TRADE)
                )
                await until(lambda: "3 waiting" in repr(http.lane))
                go.set()
                await asyncio.gather(trade, *polls)
                assert server.paths == ["/accounts", "/refresh", "/accounts", "/accounts"]

    run(scenario())


def test_a_cancelled_waiter_leaves_the_lane_whole() -> None:
    """Cancelling one that waits and one that is served loses no slot and no connection."""

    async def hanging_first(exchange: Exchange) -> None:
        await (exchange.hang() if exchange.request.number == 1 else base_agent(exchange))

    async def scenario() -> None:
        with RawServer(hanging_first) as server:
            async with agent_http(server.url) as http:
                served, waiting, last = (asyncio.ensure_future(get(http)) for _ in range(3))
                await seen(server, lambda now: now.concurrent == 1)
                waiting.cancel()
                served.cancel()
                assert b"7100001" in await last
                assert (served.cancelled(), waiting.cancelled()) == (True, True)
                assert http.lane.held == 0
                await seen(server, lambda now: now.open == 1)
                assert server.paths == ["/accounts"] * 2

    run(scenario())


# Deadlines.


def test_the_deadline_covers_the_wait_for_the_lane() -> None:
    """A call that never got its turn is late all the same, and was never sent."""

    async def hanging(exchange: Exchange) -> None:
        await exchange.hang()

    async def scenario() -> None:
        with RawServer(hanging) as server:
            async with agent_http(server.url) as http:
                first = asyncio.ensure_future(get(http))
                await seen(server, lambda now: now.concurrent == 1)
                with pytest.raises(AgentTimeout, match=r"for 0\.2 s; /health was not sent"):
                    await get(http, HEALTH, SHORT_S)
                assert server.paths == ["/accounts"]
                first.cancel()

    run(scenario())


def test_the_deadline_covers_a_body_that_trickles() -> None:
    """A byte now and then does not keep a call alive."""

    async def trickling(exchange: Exchange) -> None:
        await exchange.head(headers={"content-length": "100000"})
        while not exchange.peer.gone.is_set():
            await exchange.piece(b" ")
            await asyncio.wait({asyncio.ensure_future(exchange.peer.gone.wait())}, timeout=0.01)

    async def scenario() -> None:
        with RawServer(trickling) as server:
            async with agent_http(server.url) as http:
                with pytest.raises(AgentTimeout, match="within"):
                    await get(http, deadline_s=SHORT_S)
                await asyncio.to_thread(server.wait_until_left)

    run(scenario())


class NeverConnects:
    """A backend whose connections take for ever."""

    def __init__(self) -> None:
        self.cancelled = False

    async def connect_tcp(self, *_: Any, **__: Any) -> Any:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


def test_the_deadline_covers_connecting() -> None:
    """A connect that takes for ever ends with the deadline."""

    async def scenario() -> None:
        backend = NeverConnects()
        async with agent_http("http://127.0.0.1:1", backend=backend) as http:
            with pytest.raises(AgentTimeout):
                await get(http, deadline_s=SHORT_S)
            assert backend.cancelled
            assert http.lane.held == 0

    run(scenario())


def test_the_deadline_covers_a_tls_handshake() -> None:
    """A port that takes connections and says nothing is offline after the connect timeout."""

    async def scenario() -> None:
        with RawServer() as silent:  # waits for the end of a head that a handshake never has
            url = silent.url.replace("http:", "https:")
            async with agent_http(url, timeouts=Timeouts(connect_s=SHORT_S)) as http:
                with pytest.raises(AgentOffline, match="handshake"):
                    await get(http)
            async with agent_http(url) as http:
                with pytest.raises(AgentTimeout):
                    await get(http, deadline_s=SHORT_S)
            await asyncio.to_thread(silent.wait_until_left)

    run(scenario())


def test_a_refused_connection_is_offline() -> None:
    """No listener: offline at once, with the address in the sentence."""

    async def scenario() -> None:
        with RawServer() as server:
            url = server.url
        async with agent_http(url, account=7100012) as http:
            with pytest.raises(AgentOffline, match="cannot be reached at http://127") as caught:
                await get(http)
            assert caught.value.account == 7100012

    run(scenario())


# Ends.


async def hang(exchange: Exchange) -> None:
    await exchange.hang()


@pytest.mark.parametrize("way", ["cancel", "aclose"])
def test_calls_can_be_called_back(way: str) -> None:
    """On the wire or in the lane, they end at once, as cancelled, and the socket closes."""

    async def scenario() -> None:
        with RawServer(hang) as server:
            async with agent_http(server.url) as http:
                calls = [asyncio.ensure_future(get(http)) for _ in range(3)]
                await seen(server, lambda now: now.concurrent == 1)
                if way == "cancel":
                    assert http.cancel() == 3
                    assert http.cancel() == 0
                else:
                    await http.aclose()
                results = await asyncio.gather(*calls, return_exceptions=True)
                assert [type(result) for result in results] == [AgentCancelled] * 3
                await asyncio.to_thread(server.wait_until_left)
                assert server.paths == ["/accounts"], "none went out afterwards"
                assert http.lane.held == 0

    run(scenario())


def test_a_closed_client_makes_no_call() -> None:
    """After `aclose` nothing opens a socket again."""

    async def scenario() -> None:
        with RawServer() as server:
            async with agent_http(server.url) as http:
                await get(http)
                await http.aclose()
                await asyncio.to_thread(server.wait_until_left)
                with pytest.raises(AgentCancelled):
                    await get(http)
                await http.aclose()
            assert server.seen.connections == 1

    run(scenario())


def test_closing_ends_a_connect_under_way() -> None:
    """A connection that is only being made does not outlive `aclose`."""

    async def scenario() -> None:
        backend = NeverConnects()
        async with agent_http("http://127.0.0.1:1", backend=backend) as http:
            call = asyncio.ensure_future(get(http))
            await until(lambda: http.connections_made == 1)
            await http.aclose()
            with pytest.raises(AgentCancelled):
                await call
            assert backend.cancelled

    run(scenario())


def test_a_cancelled_request_leaves_the_agent_usable() -> None:
    """The socket of a cancelled request closes; the next call gets a fresh one."""

    async def hanging_odd(exchange: Exchange) -> None:
        await (exchange.hang() if exchange.request.number % 2 else base_agent(exchange))

    async def scenario() -> None:
        with RawServer(hanging_odd) as server:
            async with agent_http(server.url) as http:
                for round_number in range(1, 11):
                    call = asyncio.ensure_future(get(http))
                    wanted = 2 * round_number - 1
                    await seen(server, lambda now, wanted=wanted: len(now.requests) == wanted)
                    call.cancel()
                    await asyncio.wait({call})
                    assert b"7100001" in await get(http)
                await seen(server, lambda now: now.open == 1)

    run(scenario())


def test_errors_carry_nothing_foreign() -> None:
    """What is raised has no cause and no context with other libraries' frames in it."""

    async def scenario() -> None:
        async def broken(exchange: Exchange) -> None:
            exchange.reset()

        with RawServer(broken) as server:
            async with agent_http(server.url) as http:
                with pytest.raises(AgentError) as caught:
                    await get(http)
                assert (caught.value.__cause__, caught.value.__context__) == (None, None)

    run(scenario())
