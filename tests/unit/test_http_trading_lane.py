"""The lane of a trade, and questions about orders in it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from fleetkit.contract import ACCOUNTS, OPEN, ORDER_STATUS
from fleetkit.errors import (
    AgentBusy,
    AgentTimeout,
    ConnectionBroken,
)
from fleetkit.http import hold_lane, look_up
from fleetkit.http.lane import Priority
from tests.support.one_agent import DEADLINE_S, agent_http, until
from tests.support.one_trade import (
    ORDER,
    SHORT_S,
    filling,
    posts,
    reset_unread,
    run,
    send,
)
from tests.support.raw_server import Exchange as Asked
from tests.support.raw_server import RawServer

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


# The lane.


def test_a_trade_overtakes_reads_that_wait() -> None:
    """The read under way ends first, then the trade, then the others."""
    go = threading.Event()

    async def slow(asked: Asked) -> None:
        if asked.request.number == 1:
            await asked.until(go)
        await filling(asked)

    async def scenario() -> None:
        with RawServer(slow) as server:
            async with agent_http(server.url) as http:
                reads = [
                    asyncio.ensure_future(http.call(ACCOUNTS, deadline_s=DEADLINE_S))
                    for _ in range(3)
                ]
                await asyncio.to_thread(server.wait_for_requests, 1)
                order = asyncio.ensure_future(send(http))
                await until(lambda: "3 waiting" in repr(http.lane))
                go.set()
                await asyncio.gather(order, *reads)
                assert server.paths == ["/accounts", OPEN.path, "/accounts", "/accounts"]

    run(scenario())


def test_a_lane_that_does_not_come_in_time_is_busy() -> None:
    """A sentence with the agent's name, and the turn is not lost to anybody."""

    async def scenario() -> None:
        with RawServer(filling) as server:
            async with agent_http(server.url) as http:
                await http.wait_for_turn(Priority.READ)
                with pytest.raises(AgentBusy, match="a0 was busy"):
                    async with hold_lane(http, within_s=0.01):
                        pytest.fail("the lane was taken")
                http.lane.release()
                assert http.lane.held == 0
                assert (await send(http)).sent

    run(scenario())


def test_the_lane_comes_back_after_any_exception() -> None:
    """Also after one that nobody foresaw."""

    async def scenario() -> None:
        async with agent_http("http://127.0.0.1:1") as http:
            with pytest.raises(ZeroDivisionError):
                async with hold_lane(http, within_s=DEADLINE_S):
                    raise ZeroDivisionError
            assert repr(http.lane) == "<Lane 0 of 1 held, 0 waiting>"

    run(scenario())


@pytest.mark.parametrize("where", ["lane", "sign of life", "may_send", "answer"])
def test_a_trade_that_is_cancelled_gives_back_lane_and_connection(where: str) -> None:
    """At whatever it waits: the lane is free, and no connection with half an exchange is kept."""
    reached = asyncio.Event()

    async def stuck(asked: Asked) -> None:
        path = {"sign of life": "/health", "answer": OPEN.path}.get(where)
        await (asked.hang() if asked.request.path == path else filling(asked))

    async def may_send() -> str | None:
        if where == "may_send":
            reached.set()
            await asyncio.Event().wait()
        return None

    async def scenario() -> None:
        with RawServer(stuck) as server:
            async with agent_http(server.url) as http:
                if where == "lane":
                    await http.wait_for_turn(Priority.READ)
                order = asyncio.ensure_future(send(http, may_send=may_send))
                if where == "lane":
                    await until(lambda: "1 waiting" in repr(http.lane))
                elif where == "may_send":
                    await reached.wait()
                else:
                    count = 1 if where == "sign of life" else 2
                    await asyncio.to_thread(server.wait_for_requests, count)
                order.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await order
                if where == "lane":
                    http.lane.release()
                assert repr(http.lane) == "<Lane 0 of 1 held, 0 waiting>"
                assert http.pool.open_connections == (1 if where == "may_send" else 0)
                assert len(posts(server)) == (1 if where == "answer" else 0)
                assert (await http.call(ACCOUNTS, deadline_s=DEADLINE_S)).body

    run(scenario())


def test_ending_all_calls_does_not_end_a_trade() -> None:
    """An interrupt calls reads back; an order that is on the wire gets its answer."""
    go = threading.Event()

    async def slow(asked: Asked) -> None:
        if asked.request.path == OPEN.path:
            await asked.until(go)
        await filling(asked)

    async def scenario() -> None:
        with RawServer(slow) as server:
            async with agent_http(server.url) as http:
                order = asyncio.ensure_future(send(http))
                await asyncio.to_thread(server.wait_for_requests, 2)
                assert http.cancel() == 0
                go.set()
                exchange = await order
                assert exchange.reply is not None
                assert exchange.reply.status == 200

    run(scenario())


# Asking for an order.


@pytest.mark.parametrize("status", [200, 404, 500])
def test_a_look_up_returns_whatever_was_answered(status: int) -> None:
    """ "Never received" is a 404 with a body, and that body is the answer."""

    async def answering(asked: Asked) -> None:
        await asked.reply({"status": "never_received"}, status=status)

    async def scenario() -> None:
        with RawServer(answering) as server:
            async with agent_http(server.url) as http, hold_lane(http, within_s=DEADLINE_S):
                reply = await look_up(http, ORDER_STATUS, ORDER, deadline_s=DEADLINE_S)
            assert (reply.status, reply.body) == (status, b'{"status": "never_received"}')
            assert server.paths == [f"/orders/{ORDER}"]

    run(scenario())


def test_a_look_up_without_an_answer_raises() -> None:
    """Silence and a broken connection are no answers, and the connection is not kept."""

    async def scenario() -> None:
        with RawServer(Asked.hang) as server:
            async with agent_http(server.url) as http:
                with pytest.raises(AgentTimeout):
                    await look_up(http, ORDER_STATUS, ORDER, deadline_s=SHORT_S)
                assert http.pool.open_connections == 0
        with RawServer(reset_unread) as server:
            async with agent_http(server.url) as http:
                with pytest.raises(ConnectionBroken):
                    await look_up(http, ORDER_STATUS, ORDER, deadline_s=DEADLINE_S)

    run(scenario())
