"""Faults of connections over real sockets: TLS, HTTP/2, resets, idle cuts, certificates."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import httpx
import pytest

import fleetkit as fk
from fleetkit.agent.app import Layer
from fleetkit.errors import DemoError
from fleetkit.sim import Faults, Latency, SimProcess
from tests.unit.sim_secure import (
    BOUND_S,
    FIRST,
    SECOND,
    RawH2,
    address,
    agent_of,
    client,
    get,
    of_kind,
    plain_socket,
    secure_socket,
    token,
    trust,
)


@pytest.fixture(scope="module")
def served() -> Iterator[SimProcess]:
    with SimProcess.start(accounts=3, seed=7, layer="extended", tls=True) as process:
        yield process


@pytest.fixture
def demo(served: SimProcess) -> Iterator[SimProcess]:
    """A fleet over TLS that is healthy before and after each test."""
    yield served
    served.faults.clear()
    assert get(served, FIRST, "/accounts").json()["account_number"] == FIRST


@pytest.fixture(scope="module")
def plain_fleets() -> Iterator[dict[Layer, SimProcess]]:
    with (
        SimProcess.start(accounts=2, seed=7) as base,
        SimProcess.start(accounts=2, seed=7, layer="extended") as extended,
    ):
        yield {"base": base, "extended": extended}


@pytest.fixture(params=["base", "extended"])
def plain(
    plain_fleets: dict[Layer, SimProcess], request: pytest.FixtureRequest
) -> Iterator[SimProcess]:
    """A fleet without TLS, of each layer."""
    yield plain_fleets[request.param]
    plain_fleets[request.param].faults.clear()


@pytest.mark.parametrize(("http2", "version"), [(True, "HTTP/2"), (False, "HTTP/1.1")])
def test_the_version_is_negotiated(demo: SimProcess, http2: bool, version: str) -> None:
    """Both versions on the same port, each with the whole answer."""
    reply = get(demo, SECOND, "/accounts", http2=http2)
    assert (reply.http_version, reply.status_code) == (version, 200)
    assert reply.json()["account_number"] == SECOND
    assert reply.headers.get_list("date")[1:] == []


def test_a_second_client_speaks_http2(demo: SimProcess) -> None:
    """Two requests at once over one connection of bare h2."""
    with RawH2(demo, FIRST) as raw:
        streams = {raw.ask("/accounts"), raw.ask("/positions")}
        seen = raw.until(h2.events.StreamEnded)
        if len(of_kind(seen, h2.events.StreamEnded)) < 2:
            seen += raw.until(h2.events.StreamEnded)
        assert {event.stream_id for event in of_kind(seen, h2.events.StreamEnded)} == streams
        heads = [dict(event.headers) for event in of_kind(seen, h2.events.ResponseReceived)]
        assert [head[":status"] for head in heads] == ["200", "200"]


def test_tokens_are_asked_for_and_not_shown(demo: SimProcess) -> None:
    """Each agent has its own, in a file that only its owner reads; no repr has it."""
    tokens = {token(demo, agent["account"]) for agent in demo.agents}
    assert len(tokens) == 3
    assert all(len(each) >= 32 for each in tokens)
    for agent in demo.agents:
        file = Path(agent["token"].removeprefix("file:"))
        assert file.stat().st_mode & 0o077 == 0
        assert file.parent.stat().st_mode & 0o077 == 0
    assert not any(each in repr(demo.agents) for each in tokens)
    url = agent_of(demo, FIRST)["url"]
    for given in ({}, {"authorization": f"Bearer {token(demo, SECOND)}"}):
        assert httpx.get(url + "/accounts", verify=trust(demo), headers=given).status_code == 401
    assert httpx.get(url + "/health", verify=trust(demo)).status_code == 200


def test_a_fleet_connects_as_it_is() -> None:
    """`fk.demo(tls=True)` and its `agents` are taken by `fk.connect`, and speak HTTP/2."""
    with fk.demo(accounts=3, layer="extended", tls=True) as fleet:
        assert fleet.accounts(strict=True)["status"].tolist() == ["connected"] * 3
        assert set(fleet.agents()["http_version"]) == {"HTTP/2"}
        folder = Path(fleet.demo.agents[0]["ca_file"]).parent
        with fk.connect(fleet.demo.agents) as second:
            assert len(second.accounts(strict=True)) == 3
        secret = Path(fleet.demo.agents[0]["token"].removeprefix("file:")).read_text()
        assert secret not in repr(fleet.demo.agents) + repr(fleet) + repr(fleet.demo)
        assert secret not in fleet._repr_html_() + fleet.demo._repr_html_()
    assert not folder.exists()


def test_tls_is_of_the_extended_layer() -> None:
    """Base agents have no TLS; the sentence says what to say instead."""
    with pytest.raises(DemoError, match='say layer="extended" with tls=True'):
        fk.demo(accounts=1, tls=True)


@pytest.mark.parametrize("how", ["before", "after"])
def test_goaway(demo: SimProcess, how: Any) -> None:
    """No answer, a GOAWAY that counts the request or not, then the end."""
    with RawH2(demo, FIRST) as raw:
        raw.ask("/health")
        raw.until(h2.events.StreamEnded)
        demo.faults[FIRST] = Faults(goaway=how, routes=("accounts",))
        stream = raw.ask("/accounts")
        seen = raw.until(None)
        assert of_kind(seen, h2.events.ResponseReceived) == []
        (farewell,) = of_kind(seen, h2.events.ConnectionTerminated)
        assert farewell.error_code == 0
        assert farewell.last_stream_id == {"before": stream - 2, "after": stream}[how]
    with client(demo, FIRST) as asking:
        assert asking.get("/health").http_version == "HTTP/2"
        with pytest.raises(httpx.RemoteProtocolError):
            asking.get("/accounts")


def test_goaway_takes_everything_in_flight_with_it(demo: SimProcess) -> None:
    """A request that was waiting on the same connection is not answered either."""
    demo.faults[FIRST] = Faults(latency=Latency.fixed(1_000), routes=("positions",))
    name = agent_of(demo, FIRST)["name"]
    before = demo.requests().get(name, {}).get("positions", 0)
    with RawH2(demo, FIRST) as raw:
        raw.ask("/positions")
        while demo.requests().get(name, {}).get("positions", 0) == before:
            pass
        demo.faults[FIRST] = Faults(goaway="after", routes=("health",))
        raw.ask("/health")
        seen = raw.until(None)
        assert of_kind(seen, h2.events.ResponseReceived) == []
        assert len(of_kind(seen, h2.events.ConnectionTerminated)) == 1


@pytest.mark.parametrize("how", ["before", "after"])
def test_the_end_in_mid_flight_of_http11(demo: SimProcess, plain: SimProcess, how: Any) -> None:
    """Without HTTP/2 the connection is just closed; also without TLS."""
    for fleet, asking in (
        (demo, client(demo, FIRST, http2=False)),
        (plain, httpx.Client(base_url=agent_of(plain, FIRST)["url"], timeout=BOUND_S)),
    ):
        with asking:
            assert asking.get("/accounts").http_version == "HTTP/1.1"
            fleet.faults[FIRST] = Faults(goaway=how, routes=("accounts",))
            with pytest.raises(httpx.RemoteProtocolError, match="disconnected without sending"):
                asking.get("/accounts")
            assert asking.get("/health").status_code == 200


def test_a_limit_of_streams(demo: SimProcess) -> None:
    """The settings say it to new connections and to those that are there."""
    limit = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS
    with RawH2(demo, FIRST) as old:
        old.ask("/health")
        old.until(h2.events.StreamEnded)
        assert old.h2.remote_settings[limit] == 100
        demo.faults[FIRST] = Faults(stream_limit=2)
        old.until(h2.events.RemoteSettingsChanged)
        assert old.h2.remote_settings[limit] == 2
        with RawH2(demo, FIRST) as new:
            new.ask("/health")
            new.until(h2.events.StreamEnded)
            assert new.h2.remote_settings[limit] == 2
            demo.faults[FIRST] = Faults(stream_limit=2, hang=True, routes=("accounts",))
            new.ask("/accounts"), new.ask("/accounts")
            with pytest.raises(h2.exceptions.TooManyStreamsError):
                new.ask("/accounts")
        demo.faults.clear(FIRST)
        old.until(h2.events.RemoteSettingsChanged)
        assert old.h2.remote_settings[limit] == 100


@pytest.mark.parametrize(
    ("certificate", "said"),
    [
        ("expired", "certificate has expired"),
        ("other_host", "IP address mismatch"),
        ("untrusted", "unable to get local issuer|self.signed"),
    ],
)
def test_certificates_that_are_wrong(demo: SimProcess, certificate: Any, said: str) -> None:
    """Each is refused for its own reason, and right again afterwards."""
    warm = client(demo, FIRST)
    assert warm.get("/health").status_code == 200
    demo.faults[FIRST] = Faults(certificate=certificate)
    with pytest.raises(httpx.ConnectError, match=said):
        get(demo, FIRST, "/health")
    assert warm.get("/health").status_code == 200, "its handshake was before"
    warm.close()
    assert get(demo, SECOND, "/health").status_code == 200
    demo.faults.clear(FIRST)
    assert get(demo, FIRST, "/health").status_code == 200


def test_a_slow_handshake(demo: SimProcess) -> None:
    """It takes its time, for one agent only, and clearing the fault ends the wait."""
    demo.faults[FIRST] = Faults(slow_tls_s=0.3)
    started = time.perf_counter()
    assert get(demo, FIRST, "/health").status_code == 200
    assert time.perf_counter() - started > 0.3
    demo.faults[FIRST] = Faults(slow_tls_s=600)
    with socket.create_connection(address(demo, FIRST), timeout=0.3) as raw:
        secure = trust(demo).wrap_socket(
            raw, server_hostname="127.0.0.1", do_handshake_on_connect=False
        )
        with pytest.raises(TimeoutError):
            secure.do_handshake()
        secure.close()
    assert get(demo, SECOND, "/health").status_code == 200


def test_idle_connections_are_cut(demo: SimProcess, plain: SimProcess) -> None:
    """Those that idle already and those that begin to, with TLS and without."""
    for fleet, connect in ((demo, secure_socket), (plain, plain_socket)):
        with connect(fleet) as idle, connect(fleet) as other:
            assert answered(idle)
            assert answered(other)
            fleet.faults[FIRST] = Faults(idle_cut_s=0.2)
            started = time.perf_counter()
            assert idle.recv(4096) == b""
            assert 0.1 < time.perf_counter() - started < 4
            assert other.recv(4096) == b""
        with connect(fleet) as new:
            assert answered(new)
            assert new.recv(4096) == b""
        fleet.faults.clear()
        with connect(fleet) as healthy:
            assert answered(healthy)
            healthy.settimeout(0.5)
            with pytest.raises(TimeoutError):
                healthy.recv(4096)


def answered(connection: socket.socket) -> bool:
    connection.sendall(b"GET /health HTTP/1.1\r\nHost: agent\r\n\r\n")
    said = b""
    while not said.endswith(b"}"):
        said += connection.recv(4096)
    return said.startswith(b"HTTP/1.1 200")


def test_idle_http2_connections_are_cut(demo: SimProcess) -> None:
    """One that has a request under way is not idle."""
    with RawH2(demo, FIRST) as raw:
        raw.ask("/health")
        raw.until(h2.events.StreamEnded)
        demo.faults[FIRST] = Faults(
            idle_cut_s=0.1, latency=Latency.fixed(400), routes=("accounts",)
        )
        raw.ask("/accounts")
        assert of_kind(raw.until(h2.events.StreamEnded), h2.events.ResponseReceived)
        assert of_kind(raw.until(None), h2.events.ResponseReceived) == []


def test_refused_and_cut_over_tls(demo: SimProcess) -> None:
    """Nothing listens, open connections and half-made ones are cut, the port is kept."""
    for _ in range(3):
        with (
            RawH2(demo, FIRST) as warm,
            socket.create_connection(address(demo, FIRST), timeout=BOUND_S) as half,
        ):
            demo.faults[FIRST] = Faults(refuse=True)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address(demo, FIRST), timeout=2)
            assert was_cut(lambda: warm.until(None))
            assert was_cut(lambda: half.recv(1))
        assert get(demo, SECOND, "/accounts").status_code == 200
        demo.faults.clear(FIRST)
        assert get(demo, FIRST, "/accounts").status_code == 200


def was_cut(read: Callable[[], object]) -> bool:
    with contextlib.suppress(ConnectionResetError, ssl.SSLError):
        read()
    return True  # a timeout is neither, and goes on up


def test_a_lost_answer_over_tls_is_a_reset(demo: SimProcess) -> None:
    """Not one byte of the answer, then a TCP reset and no farewell of TLS."""
    demo.faults[FIRST] = Faults(lost_answer=True)
    inside, outside = ssl.MemoryBIO(), ssl.MemoryBIO()
    secure = trust(demo, "http/1.1").wrap_bio(inside, outside, server_hostname="127.0.0.1")
    body = b'{"symbol": "EURUSD", "lot": 0.2, "order_type": "BUY"}'
    head = f"POST /positions/open HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token(demo, FIRST)}"
    head += f"\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with plain_socket(demo) as raw:
        while True:
            try:
                secure.do_handshake()
                break
            except ssl.SSLWantReadError:
                raw.sendall(outside.read())
                inside.write(raw.recv(65_536))
        secure.write(head.encode() + body)
        raw.sendall(outside.read())
        # ssl's own sockets call a reset an end of file, so the bytes are read below it.
        with pytest.raises(ConnectionResetError):
            read_all(raw, inside)
        with pytest.raises(ssl.SSLWantReadError):
            secure.read()
    assert [each.kind for each in demo.persons.executed(FIRST)] == ["open"]


def read_all(raw: socket.socket, into: ssl.MemoryBIO) -> None:
    while data := raw.recv(65_536):
        into.write(data)


@pytest.mark.parametrize("http2", [True, False])
def test_older_faults_work_over_tls(demo: SimProcess, http2: bool) -> None:
    """Resets, slow bodies, statuses, hanging: on both versions."""
    with client(demo, FIRST, http2=http2) as asking:
        demo.faults[FIRST] = Faults(reset_in_body=True)
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            asking.get("/accounts")
        demo.faults[FIRST] = Faults(slow_body_bytes_per_s=3_000)
        started = time.perf_counter()
        assert asking.get("/accounts").json()["account_number"] == FIRST
        assert time.perf_counter() - started > 0.05
        demo.faults[FIRST] = Faults(status_code=307)
        assert asking.get("/accounts").headers["location"] == "/accounts"
        demo.faults[FIRST] = Faults(hang=True)
        with pytest.raises(httpx.ReadTimeout):
            asking.get("/accounts", timeout=0.2)
        demo.faults.clear(FIRST)
        assert asking.get("/accounts").status_code == 200


def test_69_secure_agents_are_up_in_seconds() -> None:
    """One port each, all answering over HTTP/2, and gone without a trace."""
    started = time.perf_counter()
    with SimProcess.start(accounts=69, layer="extended", tls=True) as demo:
        assert time.perf_counter() - started < 10

        async def ask() -> list[httpx.Response]:
            async with httpx.AsyncClient(http2=True, verify=trust(demo), timeout=BOUND_S) as asking:
                return await asyncio.gather(
                    *(asking.get(agent["url"] + "/health") for agent in demo.agents)
                )

        replies = asyncio.run(ask())
        assert {(reply.http_version, reply.status_code) for reply in replies} == {("HTTP/2", 200)}
        folder = Path(demo.agents[0]["ca_file"]).parent
        assert demo._child.ask("requests", None).keys() == {agent["name"] for agent in demo.agents}
    assert demo._child._process.returncode == 0
    assert not folder.exists()
