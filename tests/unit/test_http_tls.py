"""TLS: which version is spoken, whom to trust, one context for all."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

import fleetkit as fk
from fleetkit.contract import ACCOUNTS
from fleetkit.http import AgentHttp, TlsContexts
from fleetkit.http.stream import AsyncioBackend
from tests.support.certificates import Authority
from tests.support.one_agent import DEADLINE_S, agent_http, until
from tests.support.raw_server import BOUND_S, Exchange, RawServer, base_agent

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(BOUND_S):
            await scenario

    asyncio.run(bounded())


async def get(http: AgentHttp) -> bytes:
    return (await http.call(ACCOUNTS, deadline_s=DEADLINE_S)).body


@pytest.mark.parametrize(
    ("offers", "setting", "spoken"),
    [
        (("h2", "http/1.1"), "auto", "HTTP/2"),
        (("http/1.1", "h2"), "auto", "HTTP/1.1"),
        (("http/1.1",), "auto", "HTTP/1.1"),
        ((), "auto", "HTTP/1.1"),
        (("h2", "http/1.1"), "off", "HTTP/1.1"),
    ],
)
def test_the_version_is_negotiated_and_shown(
    authority: Authority, offers: tuple[str, ...], setting: str, spoken: str
) -> None:
    """ALPN decides; `agents()` and `doctor()` show what is really spoken."""
    with RawServer(tls=authority.server(*offers)) as server:
        agents = server.agents(ca_file=str(authority.file), http2=setting)
        with fk.connect(agents) as fleet:
            assert fleet.agents()["http_version"].isna().all(), "nothing is pretended"
            assert fleet.accounts()["status"].tolist() == ["connected"]
            assert fleet.agents()["http_version"].tolist() == [spoken]
            assert fleet.doctor()["http_version"].tolist() == [spoken]
            assert fleet.agents()["connections"].tolist() == [1]
        server.wait_until_left()


@pytest.mark.parametrize("offers", ["h2", "http/1.1"])
def test_the_certificates_end_and_the_next_connection_are_known(
    authority: Authority, offers: str
) -> None:
    """Of the certificate last shown; a call goes over the connection that is kept, if one is."""

    async def scenario() -> None:
        with RawServer(tls=authority.server(offers)) as server:
            async with agent_http(server.url, ca_file=authority.file) as http:
                assert (http.tls_expiry, http.next_connection) == (None, None)
                reply = await http.call(ACCOUNTS, deadline_s=DEADLINE_S)
                assert (reply.connection, http.next_connection) == (1, 1)
                assert http.tls_expiry is not None
                assert http.tls_expiry > datetime(2026, 1, 1, tzinfo=UTC)
                await asyncio.to_thread(server.drop_idle)
                await until(lambda: http.next_connection is None)
                assert (await http.call(ACCOUNTS, deadline_s=DEADLINE_S)).connection == 2

    run(scenario())


def test_plain_http_has_no_certificate_and_waits_are_measured() -> None:
    """Each call's wait for its turn, zero where the lane was free."""

    async def scenario() -> None:
        with RawServer() as server:
            async with agent_http(server.url) as http:
                await asyncio.gather(*(get(http) for _ in range(3)))
                assert http.tls_expiry is None
                waits = list(http.lane_waits_s)
                assert len(waits) == 3
                assert waits == sorted(waits)
                assert waits[1] >= http.latencies_s[0] * 0.5
                assert waits[0] < waits[1] < waits[2]

    run(scenario())


def test_plain_http_speaks_http_1_1_whatever_is_asked() -> None:
    """Without TLS there is no negotiation, and `agents()` says so."""
    with RawServer() as server, fk.connect(server.agents(http2="auto")) as fleet:
        fleet.accounts()
        assert fleet.agents()["http_version"].tolist() == ["HTTP/1.1"]


def test_an_untrusted_certificate_is_a_row_with_a_sentence(authority: Authority) -> None:
    """An unknown authority makes the agent offline, and the sentence says what to do."""
    with RawServer(tls=authority.server("h2")) as server:
        with fk.connect(server.agents(account=7100001, token=None)) as fleet:
            row = fleet.accounts().loc[7100001]
            assert row["status"] == "offline"
            assert "certificate verify failed" in row["error"]
            assert "`ca_file`" in row["error"]
            assert fleet.doctor()["advice"].notna().all()
        assert server.paths == [], "nothing was sent to a stranger"


def test_a_certificate_of_another_host_is_refused(authority: Authority) -> None:
    """The authority is trusted, the name is wrong."""
    context = authority.server("h2", host="agents.example")
    with RawServer(tls=context) as server:
        agents = server.agents(account=7100001, ca_file=str(authority.file))
        with fk.connect(agents) as fleet:
            row = fleet.accounts().loc[7100001]
        assert row["status"] == "offline"
        assert "127.0.0.1" in row["error"]
        assert server.paths == []


def test_plain_http_on_a_tls_port_and_the_other_way_round(authority: Authority) -> None:
    """A mixed-up scheme is a row with a sentence, both ways."""
    with RawServer(tls=authority.server("h2")) as secure, RawServer() as plain:
        agents = [
            {"name": "a", "url": secure.url.replace("https", "http"), "account": 1},
            {"name": "b", "url": plain.url.replace("http", "https"), "account": 2},
        ]
        timeouts = fk.Timeouts(connect_s=0.3)
        with fk.connect(agents, timeouts=timeouts) as fleet:
            frame = fleet.accounts()
        assert frame["status"].tolist() == ["error", "offline"]
        assert frame["error"].notna().all()


def test_a_file_without_certificates_is_a_config_error(tmp_path: Path) -> None:
    """It is said at `connect`, with key and file, and the store's thread ends."""
    path = tmp_path / "ca.pem"
    path.write_text("no certificate\n")
    with pytest.raises(fk.ConfigError, match="ca_file") as caught:
        fk.connect([{"name": "a", "url": "https://127.0.0.1:1", "ca_file": str(path)}])
    assert str(path) in str(caught.value)


def test_all_agents_share_one_context(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A context is made once for each trust anchor and version, not once an agent."""
    made: list[str] = []
    default, from_file = httpx.create_ssl_context, ssl.create_default_context

    def counted_default() -> ssl.SSLContext:
        made.append("system")
        return default()

    def counted_from_file(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        if kwargs.get("cafile"):
            made.append("file")
        return from_file(*args, **kwargs)

    monkeypatch.setattr("fleetkit.http.tls.httpx.create_ssl_context", counted_default)
    with RawServer(agents=8, tls=authority.server("h2")) as server:
        monkeypatch.setattr("fleetkit.http.tls.ssl.create_default_context", counted_from_file)
        with fk.connect(server.agents(ca_file=str(authority.file))) as fleet:
            assert (fleet.accounts()["status"] == "connected").all()
    assert made == ["file"]
    contexts = TlsContexts()
    assert contexts.get(None, True) is contexts.get(None, True)
    assert contexts.get(None, True) is not contexts.get(None, False)
    assert repr(contexts) == "<TlsContexts 2 made>"


def test_lanes_on_an_agent_without_http2_waste_no_handshake(authority: Authority) -> None:
    """Four calls at once to a TLS agent of HTTP/1.1: four connections, all kept."""
    go = threading.Event()

    async def holding(exchange: Exchange) -> None:
        await exchange.until(go)
        await base_agent(exchange)

    async def scenario() -> None:
        with RawServer(holding, tls=authority.server("http/1.1")) as server:
            async with agent_http(server.url, lanes=4, ca_file=authority.file) as http:
                calls = [asyncio.ensure_future(get(http)) for _ in range(8)]
                await asyncio.to_thread(server.wait, lambda seen: seen.concurrent == 4)
                go.set()
                await asyncio.gather(*calls)
                await asyncio.gather(*(get(http) for _ in range(8)))
                assert server.seen.connections == http.connections_made == 4
                assert http.requests == len(server.requests) == 16

    run(scenario())


class Gate(AsyncioBackend):
    """Lets connections through while it is open."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()

    async def connect_tcp(self, *args: Any, **kwargs: Any) -> Any:
        await self.open.wait()
        return await super().connect_tcp(*args, **kwargs)


def test_an_agent_known_to_lack_http2_gets_its_connections_at_once(authority: Authority) -> None:
    """Nobody queues behind a handshake to find out that the connection serves only one."""

    async def scenario() -> None:
        gate = Gate()
        with RawServer(tls=authority.server("http/1.1")) as server:
            async with agent_http(
                server.url, lanes=3, ca_file=authority.file, backend=gate
            ) as http:
                await get(http)
                await asyncio.to_thread(server.drop_idle)
                await asyncio.to_thread(server.wait_until_left)
                gate.open.clear()
                calls = [asyncio.ensure_future(get(http)) for _ in range(3)]
                await until(lambda: http.connections_made == 4)
                gate.open.set()
                await asyncio.gather(*calls)

    run(scenario())


@pytest.mark.parametrize("offers", ["h2", "http/1.1"])
def test_a_tls_connection_dropped_while_idle_is_replaced(authority: Authority, offers: str) -> None:
    """As on plain connections."""

    async def scenario() -> None:
        with RawServer(tls=authority.server(offers)) as server:
            async with agent_http(server.url, ca_file=authority.file) as http:
                await get(http)
                await asyncio.to_thread(server.drop_idle)
                await asyncio.to_thread(server.wait_until_left)
                assert b"7100001" in await get(http)
                assert http.connections_made == 2
                await asyncio.to_thread(server.wait, lambda seen: seen.open == 1)

    run(scenario())


def test_a_server_that_dies_in_the_handshake(authority: Authority) -> None:
    """A reset in place of a certificate is offline."""

    async def scenario() -> None:
        async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.abort()

        listener = await asyncio.start_server(accept, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        async with listener, agent_http(f"https://127.0.0.1:{port}") as http:
            with pytest.raises(fk.AgentOffline):
                await get(http)

    run(scenario())
