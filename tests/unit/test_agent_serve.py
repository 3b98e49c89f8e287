"""The agent on real sockets: TLS, HTTP versions, a full queue, a terminal that hangs."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest
import trustme

from fleetkit.agent import AgentApp
from fleetkit.agent.serve import AgentServer
from fleetkit.clock import SystemClock
from tests.unit.agent_terminal import PaperTerminal, order, order_id, served, until


class Certificates:
    """A small CA of the test's own and one certificate for loopback."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        made = authority.issue_cert("127.0.0.1", "localhost")
        self.authority, self.chain, self.key = (
            folder / name for name in ("ca.pem", "chain.pem", "key.pem")
        )
        authority.cert_pem.write_to_path(str(self.authority))
        made.private_key_pem.write_to_path(str(self.key))
        for blob in made.cert_chain_pems:
            blob.write_to_path(str(self.chain), append=True)

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Made once: keys take a while."""
    return Certificates(tmp_path_factory.mktemp("ca"))


def test_http2_and_http1_are_negotiated(certificates: Certificates) -> None:
    """One TLS port speaks both versions, by ALPN; many reads share one HTTP/2 connection."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        app = AgentApp(terminal, layer="extended", token="t")
        server = AgentServer(app, certificate=certificates.chain, key=certificates.key, stop_s=0.2)
        trust, headers = certificates.trust(), {"Authorization": "Bearer t"}
        async with server:
            assert server.url.startswith("https://")
            options = {"verify": trust, "base_url": server.url, "headers": headers}
            async with httpx.AsyncClient(http2=True, **options) as client:
                replies = await asyncio.gather(
                    *(client.get(path) for path in ("/accounts", "/trade-history") * 10)
                )
                assert {(each.status_code, each.http_version) for each in replies} == {
                    (200, "HTTP/2")
                }
                ports = {
                    each.extensions["network_stream"].get_extra_info("client_addr")
                    for each in replies
                }
                assert len(ports) == 1
                assert terminal.most_concurrent == 1
            async with httpx.AsyncClient(http1=True, http2=False, **options) as client:
                assert (await client.get("/accounts")).http_version == "HTTP/1.1"
            async with httpx.AsyncClient(base_url=server.url) as stranger:
                with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                    await stranger.get("/health")

    asyncio.run(scenario())


@pytest.mark.parametrize("offered", [["h2", "http/1.1"], ["http/1.1"], ["h2"]])
def test_alpn_by_a_raw_socket(certificates: Certificates, offered: list[str]) -> None:
    """What a client offers first and the agent knows is chosen, over TLS 1.2 or better."""

    async def scenario() -> None:
        app = AgentApp(PaperTerminal(), layer="extended")
        server = AgentServer(app, certificate=certificates.chain, key=certificates.key, stop_s=0.2)
        trust = certificates.trust()
        trust.set_alpn_protocols(offered)
        async with server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=trust)
            tls = writer.get_extra_info("ssl_object")
            assert tls.selected_alpn_protocol() == offered[0]
            assert tls.version() in ("TLSv1.2", "TLSv1.3")
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()

    asyncio.run(scenario())


def test_h2c_by_prior_knowledge() -> None:
    """Over plain http a client that knows may speak HTTP/2 at once."""

    async def scenario() -> None:
        async with (
            served() as (_, server),
            httpx.AsyncClient(http1=False, http2=True, base_url=server.url) as client,
        ):
            reply = await client.post("/positions/open", json=order(order_id(1)))
            assert (reply.status_code, reply.http_version) == (200, "HTTP/2")

    asyncio.run(scenario())


def curl(*arguments: str) -> str:
    program = shutil.which("curl")
    assert program is not None
    done = subprocess.run(
        [program, "-sS", "--max-time", "10", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_another_client_of_http2(certificates: Certificates) -> None:
    """curl, which shares no code with us, gets HTTP/2, HTTP/1.1, h2c and a compressed page."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        for number in range(100):
            terminal.book_deal(entry=0, position=number + 1, volume=0.1, comment="c")
        secure = AgentServer(
            AgentApp(terminal, layer="extended"),
            certificate=certificates.chain,
            key=certificates.key,
            stop_s=0.2,
        )
        async with secure, served(terminal) as (_, plain):
            version = ["-o", "-", "-w", "\n%{http_version}"]
            trusted = ["--cacert", str(certificates.authority), *version]
            health = f"{secure.url}/health"
            for arguments, expected in (
                ([*trusted, "--http2", health], "2"),
                ([*trusted, "--http1.1", health], "1.1"),
                ([*version, "--http2-prior-knowledge", f"{plain.url}/health"], "2"),
                ([*trusted, "--compressed", f"{secure.url}/deals?limit=90"], "2"),
            ):
                said = await asyncio.to_thread(curl, *arguments)
                body, spoken = said.rsplit("\n", 1)
                assert spoken == expected
                assert '"mt5_initialized":true' in body or '"next_after":9089' in body

    if shutil.which("curl") is None:
        pytest.fail("curl is needed here: install it, as CI does")
    asyncio.run(scenario())


def test_health_while_the_terminal_hangs() -> None:
    """/health answers within 50 ms, says how long the terminal is busy, and an order's fate."""

    async def scenario() -> None:
        terminal, clock = PaperTerminal(), SystemClock()
        async with served(terminal, queue_limit=4) as (client, _):
            await client.get("/health")
            terminal.hang = asyncio.Event()
            sent = asyncio.create_task(client.post("/positions/open", json=order(order_id(1))))
            await until(lambda: terminal.concurrent)
            took = []
            for _ in range(20):
                start = clock.elapsed()
                body = (await client.get("/health")).json()
                took.append(clock.elapsed() - start)
                assert (body["status"], body["account_number"]) == ("healthy", 7100012)
            assert sorted(took)[len(took) // 2] < 0.05
            assert body["busy_s"] > 0
            fate = await client.get(f"/orders/{order_id(1)}")
            assert fate.json()["status"] == "accepted"
            terminal.hang.set()
            assert (await sent).status_code == 200
            assert (await client.get("/health")).json()["busy_s"] < 0.05

    asyncio.run(scenario())


def test_a_terminal_that_hangs_long_is_unhealthy() -> None:
    """After ten seconds in one call nobody calls it healthy, whatever it said before."""

    class Jump(SystemClock):
        ahead = 0.0

        def elapsed(self) -> float:
            return super().elapsed() + self.ahead

    async def scenario() -> None:
        terminal, clock = PaperTerminal(), Jump()
        async with served(terminal, clock=clock) as (client, _):
            assert (await client.get("/health")).json()["status"] == "healthy"
            terminal.hang = asyncio.Event()
            slow = asyncio.create_task(client.get("/accounts"))
            await until(lambda: terminal.concurrent)
            clock.ahead = 11.0
            body = (await client.get("/health")).json()
            assert (body["status"], body["mt5_initialized"]) == ("unhealthy", True)
            assert 11 <= body["busy_s"] < 12
            terminal.hang.set()
            await slow
            assert (await client.get("/health")).json()["status"] == "healthy"

    asyncio.run(scenario())


def test_a_full_queue_answers_at_once() -> None:
    """Above the bound: 503 with Retry-After and nothing done, trades withdrawn from the log."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        async with served(terminal, queue_limit=3) as (client, _):
            terminal.hang = asyncio.Event()
            waiting = [asyncio.create_task(client.get("/accounts")) for _ in range(4)]
            await until(lambda: terminal.concurrent)
            await client.get("/health")  # by now all four have come in
            for reply in (
                await client.get("/positions"),
                await client.post("/positions/open", json=order(order_id(1))),
                await client.post("/positions/open", json=order()),
            ):
                assert reply.status_code == 503
                assert reply.headers["retry-after"] == "1"
                assert reply.json()["detail"].startswith("Not executed: ")
                assert reply.json()["retcode"] is None
            fate = await client.get(f"/orders/{order_id(1)}")
            assert fate.json()["status"] == "never_received"
            terminal.hang.set()
            assert {(await task).status_code for task in waiting} == {200}
            assert not terminal.opened
            again = await client.post("/positions/open", json=order(order_id(1)))
            assert again.json()["order_status"] == "filled"

    asyncio.run(scenario())


def test_a_turn_that_does_not_come() -> None:
    """Whoever waits too long for the terminal is told so, and is not served later."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        async with served(terminal, turn_s=0.05) as (client, _):
            terminal.hang = asyncio.Event()
            slow = asyncio.create_task(client.get("/accounts"))
            await until(lambda: terminal.concurrent)
            reply = await client.post("/positions/open", json=order(order_id(1)))
            assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
            terminal.hang.set()
            await slow
            assert not terminal.opened

    asyncio.run(scenario())


def test_two_hundred_clients() -> None:
    """Every answer is right or an honest 503; one call at a time reaches the terminal."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        limits = httpx.Limits(max_connections=None)
        async with (
            served(terminal, queue_limit=16) as (_, server),
            httpx.AsyncClient(base_url=server.url, limits=limits, timeout=30) as client,
        ):
            replies = await asyncio.gather(
                *(client.get("/accounts") for _ in range(150)),
                *(client.post("/positions/open", json=order(order_id(n))) for n in range(50)),
            )
            statuses = [reply.status_code for reply in replies]
            assert set(statuses) <= {200, 503}
            assert statuses.count(200) >= 17
            filled = [n for n, reply in enumerate(replies[150:]) if reply.status_code == 200]
            assert sorted(each.comment for each in terminal.opened) == sorted(map(order_id, filled))
            assert terminal.most_concurrent == 1

    asyncio.run(scenario())


def test_raw_sockets() -> None:
    """Nonsense is refused, a half-sent body executes nothing, and the agent lives on."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        async with served(terminal) as (client, server):

            async def say(data: bytes, *, end: bool = False) -> bytes:
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(data)
                await writer.drain()
                if end:
                    writer.close()
                    return b""
                answer = await reader.read(4096)
                writer.close()
                return answer

            assert (await say(b"nonsense\r\n\r\n")).startswith(b"HTTP/1.1 400")
            head = b"POST /positions/open HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            await say(head + b'Content-Length: 60\r\n\r\n{"symbol":', end=True)
            huge = await say(head + b"Content-Length: 99999999999\r\n\r\n")
            assert b" 413 " in huge.split(b"\r\n")[0]
            bad = await say(b"GET /symbols/%ff%00EUR HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b" 404 " in bad.split(b"\r\n")[0]
            assert (await client.get("/health")).status_code == 200
            assert "open" not in terminal.asked

    asyncio.run(scenario())


def test_idle_connections_are_closed_in_their_time() -> None:
    """A keep-alive bound of the agent ends idle connections, and only those."""

    async def scenario() -> None:
        app = AgentApp(PaperTerminal(), layer="extended")
        async with AgentServer(app, keep_alive_s=0.05, stop_s=0.2) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = await asyncio.wait_for(reader.read(), 5)  # until the agent closes it
            assert answer.startswith(b"HTTP/1.1 200")
            writer.close()

    asyncio.run(scenario())


def test_a_graceful_end() -> None:
    """An order in flight ends in the log before the agent does; then the port is free."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        app = AgentApp(terminal, layer="extended")
        server = AgentServer(app, stop_s=5)
        await server.start()
        async with httpx.AsyncClient(base_url=server.url, timeout=10) as client:
            terminal.hang = asyncio.Event()
            sent = asyncio.create_task(client.post("/positions/open", json=order()))
            await until(lambda: terminal.concurrent)
            ending = asyncio.create_task(server.stop())
            await until(lambda: _refused(server.port))
            terminal.hang.set()
            assert (await sent).status_code == 200
        await asyncio.wait_for(ending, 5)
        assert len(terminal.book) == 1

    asyncio.run(scenario())


def _refused(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_ending_does_not_wait_for_a_terminal_that_hangs() -> None:
    """The end is bounded, whoever hangs."""

    async def scenario() -> None:
        terminal, clock = PaperTerminal(), SystemClock()
        app = AgentApp(terminal, layer="extended")
        server = AgentServer(app, stop_s=0.1)
        await server.start()
        async with httpx.AsyncClient(base_url=server.url) as client:
            terminal.hang = asyncio.Event()
            sent = asyncio.create_task(client.get("/accounts"))
            await until(lambda: terminal.concurrent)
            start = clock.elapsed()
            await server.stop()
            assert clock.elapsed() - start < 5
            with contextlib.suppress(httpx.TransportError):  # cut off, or told
                assert (await sent).status_code == 500

    asyncio.run(scenario())
