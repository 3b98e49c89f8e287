"""HTTP/2 on real sockets: every trap that is known of it, one by one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

import fleetkit as fk
from fleetkit.contract import ACCOUNTS, HEALTH, POSITIONS, REFRESH, Call
from fleetkit.errors import AgentTimeout, ConnectionBroken
from fleetkit.http import AgentHttp
from fleetkit.http.stream import AsyncioBackend
from fleetkit.http.turns import (
    CONTINUATION,
    END_HEADERS,
    HEADERS,
    TURN,
    Frames,
    Line,
    SharedStream,
)
from fleetkit.model import Http2
from tests.support.one_agent import DEADLINE_S, agent_http
from tests.support.raw_server import BOUND_S, Exchange, RawServer, base_agent

pytestmark = pytest.mark.usefixtures("nothing_left_behind")

SHORT_S = 0.2


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(BOUND_S):
            await scenario

    asyncio.run(bounded())


async def get(http: AgentHttp, call: Call[Any] = ACCOUNTS, deadline_s: float = DEADLINE_S) -> bytes:
    return (await http.call(call, deadline_s=deadline_s)).body


async def seen(server: RawServer, condition: Any) -> None:
    await asyncio.to_thread(server.wait, condition)


def h2c(server: RawServer, **agent: Any) -> Any:
    return agent_http(server.url, http2=Http2.H2C, **agent)


async def hang_except_health(exchange: Exchange) -> None:
    """Answer /health; for everything else wait until the client gives up."""
    await (base_agent(exchange) if exchange.request.path == "/health" else exchange.hang())


def test_prior_knowledge_speaks_http2_at_once() -> None:
    """`http2="h2c"` is HTTP/2 without TLS, and `agents()` shows it."""
    with RawServer(h2c=True) as server, fk.connect(server.agents(http2="h2c")) as fleet:
        assert fleet.accounts()["status"].tolist() == ["connected"]
        fleet.reconnect()
        assert fleet.agents()["http_version"].tolist() == ["HTTP/2"]
        assert fleet.agents()["connections"].tolist() == [1]
        assert server.seen.protocols == ["h2"]


def test_four_lanes_are_four_streams_of_one_connection() -> None:
    """Calls at once share the connection, also the very first ones."""
    go = threading.Event()

    async def holding(exchange: Exchange) -> None:
        if exchange.request.number > 1:  # the first shows that the connection works
            await exchange.until(go)
        await base_agent(exchange)

    async def scenario() -> None:
        with RawServer(holding, h2c=True) as server:
            async with h2c(server, lanes=4) as http:
                calls = [asyncio.ensure_future(get(http)) for _ in range(9)]
                await seen(server, lambda now: now.concurrent == 4)
                go.set()
                await asyncio.gather(*calls)
                assert (server.seen.most_concurrent, server.seen.connections) == (4, 1)
                assert (http.connections_made, http.http_version) == (1, "HTTP/2")

    run(scenario())


@pytest.mark.parametrize("call", [ACCOUNTS, REFRESH], ids=["GET", "POST"])
def test_a_connection_dropped_while_idle_is_replaced(call: Call[Any]) -> None:
    """httpcore does not look; we do, so that even a POST goes out once and arrives."""

    async def scenario() -> None:
        with RawServer(h2c=True) as server:
            async with h2c(server) as http:
                await get(http)
                await asyncio.to_thread(server.drop_idle)
                await asyncio.to_thread(server.wait_until_left)
                await get(http, call)
                assert server.paths == ["/accounts", call.path]
                assert (http.connections_made, http.requests) == (2, 2)

    run(scenario())


def test_going_away_in_flight_replays_every_stream() -> None:
    """A GOAWAY fails all streams of a connection; each is asked once more on a new one."""
    arrived = []

    async def going_away(exchange: Exchange) -> None:
        arrived.append(exchange)
        if exchange.request.connection > 1 or len(arrived) == 1:
            await base_agent(exchange)
        elif len(arrived) == 5:
            await exchange.peer.go_away(last_stream=2**31 - 1)
            exchange.close()
        else:
            await exchange.hang()

    async def scenario() -> None:
        with RawServer(going_away, h2c=True) as server:
            async with h2c(server, lanes=4) as http:
                await get(http)
                bodies = await asyncio.gather(*(get(http) for _ in range(4)))
                assert all(b"7100001" in body for body in bodies)
                assert len(server.paths) == 9
                assert server.seen.connections == http.connections_made == 2
                await seen(server, lambda now: now.open == 1)

    run(scenario())


def test_streams_the_server_never_looked_at_are_sent_again_even_as_post() -> None:
    """Above GOAWAY's last stream nothing was executed, so sending again is no replay."""
    arrived = []

    async def going_away(exchange: Exchange) -> None:
        arrived.append(exchange)
        if len(arrived) == 2:
            await exchange.peer.go_away(last_stream=1)
            exchange.close()
        else:
            await base_agent(exchange)

    async def scenario() -> None:
        with RawServer(going_away, h2c=True) as server:
            async with h2c(server) as http:
                await get(http)
                await get(http, REFRESH)
                assert server.paths == ["/accounts", "/refresh", "/refresh"]

    run(scenario())


def test_a_post_that_may_have_been_executed_is_not_sent_again() -> None:
    """A connection that breaks under POST /refresh leaves it at that."""

    async def breaking(exchange: Exchange) -> None:
        if exchange.request.method == "POST":
            exchange.reset()
        else:
            await base_agent(exchange)

    async def scenario() -> None:
        with RawServer(breaking, h2c=True) as server:
            async with h2c(server) as http:
                await get(http)
                with pytest.raises(ConnectionBroken):
                    await get(http, REFRESH)
                assert server.paths == ["/accounts", "/refresh"]
                await get(http)

    run(scenario())


def test_a_server_that_always_breaks_is_asked_twice_at_most() -> None:
    """One replay, on HTTP/2 as well."""

    async def breaking(exchange: Exchange) -> None:
        exchange.reset()

    async def scenario() -> None:
        with RawServer(breaking, h2c=True) as server:
            async with h2c(server) as http:
                with pytest.raises(ConnectionBroken):
                    await get(http)
                assert len(server.paths) == 2

    run(scenario())


def test_an_answer_is_delivered_while_its_siblings_hang() -> None:
    """In httpcore one stream reads for all, and could sit on another's answer for ever."""

    async def scenario() -> None:
        with RawServer(hang_except_health, h2c=True) as server:
            async with h2c(server, lanes=8) as http:
                await get(http, HEALTH)
                hanging = [asyncio.ensure_future(get(http)) for _ in range(5)]
                await seen(server, lambda now: now.concurrent == 5)
                for _ in range(20):
                    answers = await asyncio.gather(*(get(http, HEALTH, 2.0) for _ in range(3)))
                    assert all(b"healthy" in answer for answer in answers)
                assert server.seen.connections == 1
                http.cancel()
                await asyncio.wait(hanging)

    run(scenario())


def test_turns_keep_out_of_header_blocks() -> None:
    """Between the parts of a header block, and inside of a frame, nothing may be put in."""

    def frame(kind: int, flags: int, size: int) -> bytes:
        return size.to_bytes(3, "big") + bytes((kind, flags, 0, 0, 0, 1)) + bytes(size)

    data = b"".join(
        (
            frame(0x4, 0, 12),  # SETTINGS
            frame(HEADERS, 0, 5),
            frame(CONTINUATION, 0, 0),
            frame(CONTINUATION, END_HEADERS, 3),
            frame(0x0, 0, 300),  # DATA
            frame(0x0, 1, 0),
        )
    )
    ends = {0, 21, 21 + 14 + 9 + 12, 21 + 14 + 9 + 12 + 309, len(data)}
    frames = Frames()
    for at, byte in enumerate(data):
        assert frames.between == (at in ends), at
        frames.follow(bytes((byte,)))
    assert frames.between
    whole = Frames()
    whole.follow(data)
    assert whole.between


class Chunks:
    """A stream of given chunks."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)

    async def read(self, *_: Any) -> bytes:
        return self.chunks.pop(0)

    def get_extra_info(self, _: str) -> bool:
        return False


def test_everybody_gets_one_turn_at_the_end_of_a_frame() -> None:
    """Three on a connection: after a read two turns, but none inside of a frame or header block."""
    settings = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
    headers = bytes((0, 0, 2, HEADERS, 0, 0, 0, 0, 1, 7, 7))
    rest = bytes((0, 0, 1, CONTINUATION, END_HEADERS, 0, 0, 0, 1, 7))

    async def scenario() -> None:
        line = Line(AsyncioBackend(), http1=False, http2=True)
        line.in_flight = 3
        chunks = Chunks(settings, headers[:5], headers[5:], rest, settings)
        stream = SharedStream(chunks, line, speaks_http2=True)  # type: ignore[arg-type]  # a fake
        read = [await stream.read(100) for _ in range(8)]
        assert read == [settings, TURN, TURN, headers[:5], headers[5:], rest, TURN, TURN]
        line.in_flight = 1
        assert await stream.read(100) == settings
        chunks.chunks.append(b"next")
        assert await stream.read(100) == b"next", "alone, nobody needs a turn"

    run(scenario())


def test_headers_in_pieces_survive_the_turns() -> None:
    """Long headers, which come as several frames, while siblings wait."""

    async def long_headers(exchange: Exchange) -> None:
        if exchange.request.path == "/accounts":
            await exchange.hang()
        await exchange.reply({"status": "healthy"}, headers={"x-long": "y" * 40_000})

    async def scenario() -> None:
        with RawServer(long_headers, h2c=True) as server:
            async with h2c(server, lanes=4) as http:
                await get(http, HEALTH)
                hanging = [asyncio.ensure_future(get(http)) for _ in range(3)]
                await seen(server, lambda now: now.concurrent == 3)
                for _ in range(5):
                    assert b"healthy" in await get(http, HEALTH, 2.0)
                http.cancel()
                await asyncio.wait(hanging)

    run(scenario())


def test_a_reset_stream_leaves_its_siblings_alone() -> None:
    """RST_STREAM ends one call, which is asked again; the others go on."""
    go = threading.Event()

    async def resetting(exchange: Exchange) -> None:
        if exchange.request.path == "/positions" and exchange.request.connection == 1:
            exchange.peer.reset_stream()
            await exchange.peer.peer.flush()
        else:
            await exchange.until(go)
            await base_agent(exchange)

    async def scenario() -> None:
        with RawServer(resetting, h2c=True) as server:
            async with h2c(server, lanes=4) as http:
                siblings = [asyncio.ensure_future(get(http)) for _ in range(2)]
                await seen(server, lambda now: now.concurrent >= 2)
                reset = asyncio.ensure_future(get(http, POSITIONS))
                await seen(server, lambda now: len(now.requests) == 4)
                go.set()
                assert b"positions" in await reset
                assert all(b"7100001" in body for body in await asyncio.gather(*siblings))
                assert sorted(server.paths) == ["/accounts"] * 2 + ["/positions"] * 2

    run(scenario())


def test_one_timeout_does_not_kill_the_siblings() -> None:
    """A call that runs into its deadline takes nobody with it."""
    go = threading.Event()

    async def slow(exchange: Exchange) -> None:
        if exchange.request.path == "/health":
            await exchange.hang()
        elif exchange.request.number > 1:
            await exchange.until(go)
        await base_agent(exchange)

    async def scenario() -> None:
        with RawServer(slow, h2c=True) as server:
            async with h2c(server, lanes=4) as http:
                await get(http)
                siblings = [asyncio.ensure_future(get(http)) for _ in range(3)]
                await seen(server, lambda now: now.concurrent == 3)
                with pytest.raises(AgentTimeout):
                    await get(http, HEALTH, SHORT_S)
                go.set()
                assert all(b"7100001" in body for body in await asyncio.gather(*siblings))
                assert server.seen.connections == 1, "the siblings were not replayed"
                assert b"7100001" in await get(http)

    run(scenario())


def test_cancelled_streams_up_to_the_limit_leave_the_agent_usable() -> None:
    """httpcore never resets a cancelled stream; a connection that lost one takes no more."""

    async def scenario() -> None:
        with RawServer(hang_except_health, h2c=True, max_streams=4) as server:
            async with h2c(server, lanes=4) as http:
                await get(http, HEALTH)
                for round_number in (1, 2, 3):
                    calls = [asyncio.ensure_future(get(http)) for _ in range(4)]
                    await seen(server, lambda now: now.concurrent == 4)
                    for call in calls:
                        call.cancel()
                    await asyncio.wait(calls)
                    assert b"healthy" in await get(http, HEALTH, 2.0), round_number
                    await seen(server, lambda now: (now.concurrent, now.open) == (0, 1))
                assert http.lane.held == 0

    run(scenario())


def test_calls_beyond_the_servers_limit_wait_their_turn() -> None:
    """A limit below the lanes slows down and breaks nothing."""

    async def scenario() -> None:
        with RawServer(h2c=True, max_streams=2) as server:
            async with h2c(server, lanes=8) as http:
                bodies = await asyncio.gather(*(get(http) for _ in range(24)))
                assert all(b"7100001" in body for body in bodies)
                assert server.seen.most_concurrent <= 2
                assert server.seen.connection_errors == 0

    run(scenario())


def test_cancelling_those_that_wait_for_a_stream_leaves_the_agent_usable() -> None:
    """Whoever waits inside httpcore for a stream may leave too."""

    async def scenario() -> None:
        with RawServer(hang_except_health, h2c=True, max_streams=1) as server:
            async with h2c(server, lanes=4) as http:
                calls = [asyncio.ensure_future(get(http)) for _ in range(4)]
                await seen(server, lambda now: now.concurrent == 1)
                for call in reversed(calls):
                    call.cancel()
                    await asyncio.wait({call})
                assert b"healthy" in await get(http, HEALTH, 2.0)
                await seen(server, lambda now: now.open == 1)

    run(scenario())


def test_a_server_that_advertises_no_limit() -> None:
    """Every call is answered."""

    async def scenario() -> None:
        with RawServer(h2c=True, max_streams=None) as server:
            async with h2c(server, lanes=4) as http:
                bodies = await asyncio.gather(*(get(http) for _ in range(12)))
                assert all(b"7100001" in body for body in bodies)
                assert server.seen.connections == 1

    run(scenario())


def test_a_hanging_stream_without_a_limit_does_not_block_the_agent() -> None:
    """The one stream such a server gets is given up with its connection."""

    async def scenario() -> None:
        with RawServer(hang_except_health, h2c=True, max_streams=None) as server:
            async with h2c(server) as http:
                for _ in range(3):
                    with pytest.raises(AgentTimeout):
                        await get(http, ACCOUNTS, SHORT_S / 4)
                    assert b"healthy" in await get(http, HEALTH, 2.0)

    run(scenario())


def test_nonsense_in_the_middle_of_an_answer() -> None:
    """h2's own errors, which httpcore does not map there, are ours all the same."""

    async def nonsense(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.peer.ping()  # the head has been read: now to the body
        await exchange.raw(b"\x00\x00\x05\x08\x00\x00\x00\x00\x01wrong")
        exchange.close()

    async def scenario() -> None:
        with RawServer(nonsense, h2c=True) as server:
            async with h2c(server) as http:
                with pytest.raises(ConnectionBroken):
                    await get(http)
                await asyncio.to_thread(server.wait_until_left)

    run(scenario())


def test_an_agent_that_speaks_no_http2_after_all() -> None:
    """h2c to a server of HTTP/1.1 is a sentence, not a hang."""

    async def scenario() -> None:
        with RawServer() as server:
            server.script = base_agent
            async with h2c(server) as http:
                with pytest.raises((ConnectionBroken, AgentTimeout)):
                    await get(http, deadline_s=0.5)
                assert http.lane.held == 0

    run(scenario())


def test_a_large_body_comes_whole() -> None:
    """Flow control does not stall a body of megabytes, twice on one connection."""
    large = bytes(range(256)) * (8 << 10)

    async def answering(exchange: Exchange) -> None:
        await exchange.reply(large)

    async def scenario() -> None:
        with RawServer(answering, h2c=True) as server:
            async with h2c(server) as http:
                assert await get(http) == large
                assert await get(http) == large
                assert http.connections_made == 1

    run(scenario())


def test_calling_back_ends_every_stream() -> None:
    """`cancel` on HTTP/2 closes the connection when nobody is left on it."""

    async def scenario() -> None:
        with RawServer(hang_except_health, h2c=True) as server:
            async with h2c(server, lanes=3) as http:
                calls = [asyncio.ensure_future(get(http)) for _ in range(5)]
                await seen(server, lambda now: now.concurrent >= 1)
                assert http.cancel() == 5
                results = await asyncio.gather(*calls, return_exceptions=True)
                assert {type(result) for result in results} == {fk.AgentCancelled}
                await asyncio.to_thread(server.wait_until_left)
                assert b"healthy" in await get(http, HEALTH)

    run(scenario())
