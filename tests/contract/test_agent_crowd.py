"""Two hundred plain clients at one agent: every answer right, nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import ssl
import statistics
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest

from fleetkit.agent import AgentApp, OrderLog
from fleetkit.agent.serve import AgentServer
from fleetkit.clock import SystemClock
from tests.support.certificates import Authority
from tests.support.leftovers import open_sockets
from tests.unit.agent_terminal import ACCOUNT, PaperTerminal, order, order_id, until

CLIENTS = 200
TOKEN = "a-token-of-the-tests"
HEALTH_S = 0.25  # asserted; what is measured is a property of the test, see --junitxml
KEPT_BYTES = 16_000_000  # of resident memory, by which more crowds may differ from the first
Record = Callable[[str, object], None]


class Slow(PaperTerminal):
    """Takes a turn of the real clock for every question."""

    async def _asked(self, what: str) -> None:
        await super()._asked(what)
        await asyncio.sleep(0.0005)


async def with_agent(
    authority: Authority,
    terminal: PaperTerminal,
    scenario: Callable[[AgentServer, ssl.SSLContext], Coroutine[Any, Any, None]],
    **options: Any,
) -> None:
    chain, key = authority.pem_files
    log = OrderLog(":memory:")
    app = AgentApp(terminal, layer="extended", token=TOKEN, order_log=log, **options)
    # Server and crowd share one loop, so a handshake waits for everybody else's.
    server = AgentServer(app, certificate=chain, key=key, stop_s=0.5, handshake_s=60.0)
    async with server:
        await scenario(server, ssl.create_default_context(cafile=str(authority.file)))


def client_of(server: AgentServer, trust: ssl.SSLContext, *, http2: bool) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=server.url,
        verify=trust,
        http2=http2,
        timeout=60,
        headers={"Authorization": f"Bearer {TOKEN}"},
    )


async def one_client(client: httpx.AsyncClient, number: int) -> set[int]:
    """Ask for everything, trade once and repeat it; whatever is answered must be right."""
    mine = order_id(number)
    statuses = set()
    for method, path, body in (
        ("GET", "/accounts", None),
        ("POST", "/positions/open", order(mine, lot=0.01 * (number % 50 + 1))),
        ("GET", "/trade-history", None),
        ("GET", "/quote/EURUSD", None),
        ("POST", "/positions/open", order(mine, lot=0.01 * (number % 50 + 1))),
        ("GET", "/positions", None),
        ("GET", f"/orders/{mine}", None),
    ):
        reply = await client.request(method, path, json=body)
        statuses.add(reply.status_code)
        if reply.status_code == 503:
            assert reply.headers["retry-after"] == "1"
            assert reply.json()["detail"].startswith("Not executed: ")
        elif reply.status_code == 200:
            check(path, reply.json(), number)
        else:
            assert (reply.status_code, path) == (404, f"/orders/{mine}")
            assert reply.json()["status"] == "never_received"
    return statuses


def check(path: str, body: dict[str, Any], number: int) -> None:
    if path == "/quote/EURUSD":
        assert (body["symbol"], body["bid"]) == ("EURUSD", 1.0861)
    elif path == "/positions/open":
        assert (body["order_id"], body["order_status"]) == (order_id(number), "filled")
        assert body["volume"] == pytest.approx(0.01 * (number % 50 + 1))
    elif path.startswith("/orders/"):
        assert (body["order_id"], body["status"]) == (order_id(number), "filled")
    else:
        assert body["account_number"] == ACCOUNT
        if path == "/positions":
            assert len(body["positions"]) == body["position_count"]
        if path == "/trade-history":
            assert [trade["closed_volume"] for trade in body["trades"]] == [0.3, 0.2]


async def crowd(server: AgentServer, trust: ssl.SSLContext, first: int = 0) -> set[int]:
    clients = [client_of(server, trust, http2=bool(n % 2)) for n in range(8)]
    try:
        found = await asyncio.gather(
            *(one_client(clients[n % 8], first + n) for n in range(CLIENTS))
        )
    finally:
        for client in clients:
            await client.aclose()
    return set().union(*found)


@pytest.mark.parametrize("queue_limit", [1_000, 8])
def test_every_answer_is_right(authority: Authority, queue_limit: int) -> None:
    """With room for all everything is answered; with little, an honest 503; each id once."""

    async def scenario(server: AgentServer, trust: ssl.SSLContext) -> None:
        statuses = await crowd(server, trust)
        assert statuses == ({200} if queue_limit == 1_000 else {200, 404, 503})
        executed = [opened.comment for opened in terminal.opened]
        assert len(executed) == len(set(executed))
        if queue_limit == 1_000:
            assert sorted(executed) == sorted(map(order_id, range(CLIENTS)))
        assert terminal.most_concurrent == 1

    terminal = Slow()
    terminal.close_in_parts()
    asyncio.run(with_agent(authority, terminal, scenario, queue_limit=queue_limit, turn_s=60))


def test_health_in_a_crowd_at_a_terminal_that_hangs(
    authority: Authority, record_property: Record
) -> None:
    """/health stays quick while the queue is full and 200 clients are turned away."""

    async def scenario(server: AgentServer, trust: ssl.SSLContext) -> None:
        clock = SystemClock()
        # A client of its own: on one HTTP/2 connection httpcore lets a reply wait for others.
        async with (
            client_of(server, trust, http2=True) as client,
            client_of(server, trust, http2=True) as doctor,
        ):
            await doctor.get("/health")
            terminal.hang = asyncio.Event()
            reads = [asyncio.create_task(client.get("/accounts")) for _ in range(20)]
            await until(lambda: terminal.concurrent)
            turned_away = asyncio.create_task(crowd(server, trust))
            took = []
            while not turned_away.done():
                start = clock.elapsed()
                reply = await doctor.get("/health")
                took.append(clock.elapsed() - start)
                assert reply.json()["account_number"] == ACCOUNT
            assert await turned_away == {503, 404}
            quiet = []
            for _ in range(30):
                start = clock.elapsed()
                await doctor.get("/health")
                quiet.append(clock.elapsed() - start)
            crowded_ms, quiet_ms = (1000 * statistics.median(each) for each in (took, quiet))
            record_property("health_ms", f"{crowded_ms:.1f} crowded, {quiet_ms:.1f} quiet")
            assert len(took) > 10
            assert quiet_ms / 1000 < HEALTH_S
            terminal.hang.set()
            assert {(await read).status_code for read in reads} <= {200, 503}
            assert not terminal.opened

    terminal = PaperTerminal()
    asyncio.run(with_agent(authority, terminal, scenario, queue_limit=8, turn_s=2))


def test_nothing_is_left_behind(authority: Authority, record_property: Record) -> None:
    """Crowd after crowd: no more memory, tasks or sockets than after the first."""

    async def scenario(server: AgentServer, trust: ssl.SSLContext) -> None:
        held = []
        for _ in range(4):
            await crowd(server, trust, first=0)  # the same ids: replayed, not kept anew
            await until(lambda: len(asyncio.all_tasks()) <= tasks_at_rest)
            gc.collect()
            held.append(resident_bytes())
            assert len(terminal.opened) == CLIENTS
        record_property("resident_bytes", held)
        assert held[-1] - held[1] < KEPT_BYTES
        assert len(open_sockets()) <= sockets_at_rest + 2  # the listening one and its loop's

    terminal, tasks_at_rest = Slow(), 3
    terminal.close_in_parts()
    sockets_at_rest = len(open_sockets()) + 3
    asyncio.run(with_agent(authority, terminal, scenario, queue_limit=1_000, turn_s=60))


def resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
