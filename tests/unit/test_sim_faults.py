"""Each fault over a real socket, asked with plain http.client."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

import msgspec
import pytest

from fleetkit.errors import ConfigError
from fleetkit.sim import Faults, Latency, SimProcess

FIRST, SECOND = 7_100_001, 7_100_002  # a pair: both hold positions


@pytest.fixture(scope="module")
def served() -> Iterator[SimProcess]:
    with SimProcess.start(accounts=4, seed=7) as process:
        yield process


@pytest.fixture
def demo(served: SimProcess) -> Iterator[SimProcess]:
    """A fleet that is healthy before and after each test."""
    yield served
    served.faults.clear()
    assert len(get(served, FIRST, "/accounts")[1]) == 10


def address(demo: SimProcess, account: int) -> tuple[str, int]:
    url = next(agent["url"] for agent in demo.agents if agent["account"] == account)
    host, _, port = url.removeprefix("http://").partition(":")
    return host, int(port)


def connect(demo: SimProcess, account: int, timeout_s: float = 5.0) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(*address(demo, account), timeout=timeout_s)


def ask(
    demo: SimProcess, account: int, method: str, path: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = connect(demo, account)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def get(demo: SimProcess, account: int, path: str) -> tuple[int, Any]:
    status, _, body = ask(demo, account, "GET", path)
    return status, json.loads(body)


def test_t1_disconnected_until_a_refresh_heals(demo: SimProcess) -> None:
    """A disconnected terminal answers 200 with account 0 and balance 0 (T1)."""
    demo.faults[FIRST] = Faults(disconnected=True)
    status, account = get(demo, FIRST, "/accounts")
    assert status == 200
    assert (account["status"], account["account_number"]) == ("disconnected", 0)
    assert account["balance"] == 0.0
    assert get(demo, FIRST, "/positions")[1]["positions"] == []
    assert get(demo, FIRST, "/health")[1]["status"] == "unhealthy"
    assert ask(demo, FIRST, "POST", "/refresh")[0] == 500
    assert get(demo, FIRST, "/accounts")[1]["status"] == "disconnected"

    demo.faults[FIRST] = Faults(disconnected=True, refresh_heals=True)
    assert get(demo, FIRST, "/accounts")[1]["status"] == "disconnected"
    assert ask(demo, FIRST, "POST", "/refresh")[0] == 200
    assert get(demo, FIRST, "/accounts")[1]["account_number"] == FIRST


@pytest.mark.parametrize(("form", "number"), [("zero", 0), ("right", FIRST)])
def test_t2_empty_positions_in_both_forms(demo: SimProcess, form: Any, number: int) -> None:
    """An empty list with 200, and no open position in the account either (T2)."""
    assert get(demo, FIRST, "/positions")[1]["position_count"] > 0
    demo.faults[FIRST] = Faults(empty_positions=form, empty_history=True)
    status, book = get(demo, FIRST, "/positions")
    assert (status, book["positions"], book["account_number"]) == (200, [], number)
    assert get(demo, FIRST, "/accounts")[1]["has_open_position"] is False
    history = get(demo, FIRST, "/trade-history?days=365")[1]
    assert (history["trades"], history["account_number"]) == ([], number)


def test_t3_cross_wired_agents_answer_with_real_data_of_another(demo: SimProcess) -> None:
    """The answers of the other agent's terminal, word for word (T3)."""
    demo.faults[FIRST] = Faults(answers_account=SECOND)
    for path in ("/accounts", "/trade-history?days=365"):
        mine, theirs = get(demo, FIRST, path)[1], get(demo, SECOND, path)[1]
        mine.pop("last_updated", None), theirs.pop("last_updated", None)
        assert mine == theirs
        assert mine["account_number"] == SECOND
    assert get(demo, FIRST, "/positions")[1]["account_number"] == SECOND
    demo.faults[FIRST] = Faults(answers_account=7_999_999)
    assert get(demo, FIRST, "/accounts")[1]["account_number"] == 7_999_999


def test_t7_clocks_of_machine_and_broker(demo: SimProcess) -> None:
    """The machine's zone shifts every time, the broker's clock only its own."""
    before = get(demo, FIRST, "/positions")[1]["positions"][0]["open_time"]
    demo.faults[FIRST] = Faults(zone_offset_s=-18_000, broker_offset_s=7_200)
    after = get(demo, FIRST, "/positions")[1]["positions"][0]["open_time"]
    assert seconds(after) - seconds(before) == 7_200 - 18_000
    skew_s = seconds(get(demo, FIRST, "/health")[1]["timestamp"]) - seconds(
        get(demo, SECOND, "/health")[1]["timestamp"]
    )
    assert skew_s == pytest.approx(-18_000, abs=5)


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_t8_a_lag_hides_the_newest_trades(demo: SimProcess) -> None:
    """Trades closed within the lag appear when it is gone."""
    whole = get(demo, FIRST, "/trade-history?days=365")[1]["trades"]
    demo.faults[FIRST] = Faults(history_lag_s=14 * 86_400)
    shorter = get(demo, FIRST, "/trade-history?days=365")[1]["trades"]
    assert 0 < len(shorter) < len(whole)
    assert shorter == whole[len(whole) - len(shorter) :]


def test_refused_connections_and_the_same_port_again(demo: SimProcess) -> None:
    """Nothing listens, open connections are cut, and afterwards the old url works."""
    for _ in range(3):
        warm = connect(demo, FIRST)
        warm.request("GET", "/health")
        warm.getresponse().read()
        demo.faults[FIRST] = Faults(refuse=True)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address(demo, FIRST), timeout=2)
        warm.sock.settimeout(2)
        assert was_cut(warm.sock)
        warm.close()
        assert get(demo, SECOND, "/accounts")[0] == 200
        demo.faults.clear(FIRST)
        assert get(demo, FIRST, "/accounts")[1]["account_number"] == FIRST


def was_cut(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_statuses_and_error_pages(demo: SimProcess) -> None:
    """Any status with a JSON detail, redirects with a target, a proxy's page in HTML."""
    demo.faults[FIRST] = Faults(status_code=503)
    assert get(demo, FIRST, "/accounts") == (503, {"detail": "Simulated status 503"})
    demo.faults[FIRST] = Faults(status_code=307)
    status, headers, _ = ask(demo, FIRST, "GET", "/positions")
    assert (status, headers["location"]) == (307, "/accounts")
    demo.faults[FIRST] = Faults(status_code=204)
    assert ask(demo, FIRST, "GET", "/positions")[::2] == (204, b"")
    demo.faults[FIRST] = Faults(html_error=True)
    status, headers, body = ask(demo, FIRST, "GET", "/accounts")
    assert status == 502
    assert headers.get_content_type() == "text/html"
    assert body.startswith(b"<html>")
    demo.faults[FIRST] = Faults(html_error=True, status_code=200)
    assert ask(demo, FIRST, "GET", "/accounts")[0] == 200


def test_reset_in_mid_body(demo: SimProcess) -> None:
    """Headers and half of the body arrive, then the connection is reset."""
    demo.faults[FIRST] = Faults(reset_in_body=True)
    with socket.create_connection(address(demo, FIRST), timeout=5) as raw:
        raw.sendall(b"GET /accounts HTTP/1.1\r\nHost: agent\r\n\r\n")
        pieces: list[bytes] = []
        with pytest.raises(ConnectionResetError):
            read_all(raw, pieces)
    received = b"".join(pieces)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    assert len(body) == length // 2


def read_all(connection: socket.socket, pieces: list[bytes]) -> None:
    while piece := connection.recv(4096):
        pieces.append(piece)


def test_slow_body_trickles_and_ends_when_cleared(demo: SimProcess) -> None:
    """The headers are there at once, the body takes its time until the fault goes."""
    demo.faults[FIRST] = Faults(slow_body_bytes_per_s=100)
    connection = connect(demo, FIRST)
    connection.request("GET", "/accounts")
    response = connection.getresponse()
    length = int(response.headers["content-length"])
    assert len(response.read1(4096)) < length / 2
    demo.faults.clear(FIRST)
    response.read()
    connection.close()


def test_slow_body_is_whole_in_the_end(demo: SimProcess) -> None:
    """All of the body comes, at about the rate that was asked for."""
    demo.faults[FIRST] = Faults(slow_body_bytes_per_s=1500)
    started = time.perf_counter()
    assert get(demo, FIRST, "/accounts")[1]["account_number"] == FIRST
    assert time.perf_counter() - started > 0.1


def test_hang_blocks_the_agent_until_cleared(demo: SimProcess) -> None:
    """No answer on any route of that agent (T12), the others unaffected."""
    demo.faults[FIRST] = Faults(hang=True, routes=("accounts",))
    hanging = connect(demo, FIRST)
    hanging.request("GET", "/accounts")
    while "accounts" not in demo.requests().get(name_of(demo, FIRST), {}):
        pass
    health = connect(demo, FIRST, timeout_s=0.3)
    health.request("GET", "/health")
    with pytest.raises(TimeoutError):
        health.getresponse()
    health.close()
    assert get(demo, SECOND, "/accounts")[0] == 200
    demo.faults.clear(FIRST)
    assert json.loads(hanging.getresponse().read())["account_number"] == FIRST
    hanging.close()


def name_of(demo: SimProcess, account: int) -> str:
    return next(agent["name"] for agent in demo.agents if agent["account"] == account)


@pytest.mark.parametrize(
    "latency",
    [Latency.fixed(60), Latency.uniform(60, 90), Latency.lognormal(80, 0.05)],
    ids=lambda latency: latency.kind,
)
def test_latency(demo: SimProcess, latency: Latency) -> None:
    """Handlers take the time that was drawn, on chosen routes only."""
    demo.faults[FIRST] = Faults(latency=latency, routes=("accounts",))
    started = time.perf_counter()
    get(demo, FIRST, "/accounts")
    assert time.perf_counter() - started > 0.055


def test_malformed_json(demo: SimProcess) -> None:
    """The body is cut, and its length says it is whole."""
    demo.faults[FIRST] = Faults(malformed_json=True)
    status, _, body = ask(demo, FIRST, "GET", "/accounts")
    assert status == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


def test_wrong_types_and_missing_fields(demo: SimProcess) -> None:
    """One vital field of each reply is spoiled, in its first row where it has rows."""
    demo.faults[FIRST] = Faults(wrong_types=True)
    assert get(demo, FIRST, "/accounts")[1]["balance"] == "n/a"
    assert get(demo, FIRST, "/positions")[1]["positions"][0]["volume"] == "n/a"
    assert get(demo, FIRST, "/trade-history?days=365")[1]["trades"][0]["profit"] == "n/a"
    assert get(demo, FIRST, "/health")[1]["status"] == 7
    demo.faults[FIRST] = Faults(wrong_types=True, empty_positions="right")
    assert get(demo, FIRST, "/positions")[1]["positions"] == "n/a"
    demo.faults[FIRST] = Faults(missing_fields=True)
    assert "balance" not in get(demo, FIRST, "/accounts")[1]
    assert "profit" not in get(demo, FIRST, "/trade-history?days=365")[1]["trades"][0]


def test_old_agents_lack_routes(demo: SimProcess) -> None:
    """`/positions` and `/health` are not there, the rest is."""
    demo.faults[FIRST] = Faults(no_positions_route=True, no_health_route=True)
    assert get(demo, FIRST, "/positions") == (404, {"detail": "Not Found"})
    assert get(demo, FIRST, "/health") == (404, {"detail": "Not Found"})
    assert get(demo, FIRST, "/accounts")[0] == 200


def test_three_shapes_of_an_account(demo: SimProcess) -> None:
    """An object, a list, or an envelope around a list."""
    demo.faults[FIRST] = Faults(shape="list")
    assert get(demo, FIRST, "/accounts")[1][0]["account_number"] == FIRST
    demo.faults[FIRST] = Faults(shape="envelope")
    assert get(demo, FIRST, "/accounts")[1]["accounts"][0]["account_number"] == FIRST


def test_faults_of_chosen_routes_and_of_all_agents(demo: SimProcess) -> None:
    """`routes` limits a fault; no agent means every agent."""
    demo.faults.set(None, Faults(status_code=500, routes=("positions",)))
    for agent in demo.agents:
        assert get(demo, agent["account"], "/positions")[0] == 500
        assert get(demo, agent["account"], "/accounts")[0] == 200
    demo.faults.clear()
    assert get(demo, FIRST, "/positions")[0] == 200


def test_control_reads_like_a_mapping(demo: SimProcess) -> None:
    """Agents are found by name or account, and the repr says who is faulty."""
    name = name_of(demo, SECOND)
    demo.faults[name] = Faults(hang=True)
    assert demo.faults[SECOND] == Faults(hang=True)
    assert repr(demo.faults) == f"<FaultControl 4 agents, 1 faulty: {name}: Faults(hang=True)>"
    demo.faults.clear(SECOND)
    assert repr(demo.faults) == "<FaultControl 4 agents, none faulty>"
    assert list(demo.faults) == [agent["name"] for agent in demo.agents]
    for unknown in ("vps99-a1", 1):
        with pytest.raises(KeyError, match="no agent or account"):
            demo.faults[unknown]


def test_commands_from_many_threads(demo: SimProcess) -> None:
    """Answers never get mixed up between threads."""
    wrong: list[object] = []

    def hammer(agent: str) -> None:
        for number in range(30):
            demo.faults[agent] = Faults(history_lag_s=float(number))
            if not isinstance(demo.requests(), dict):
                wrong.append(agent)

    threads = [threading.Thread(target=hammer, args=(a["name"],)) for a in demo.agents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Faults(routes=("accounts", "acounts")), "acounts"),
        (lambda: Faults(status_code=99), "200 to 599"),
        (lambda: Faults(slow_body_bytes_per_s=0), "bytes per second"),
        (lambda: Faults(zone_offset_s=1e9), "Faults.zone_offset_s"),
        (lambda: Latency.uniform(9, 3), "9 or more"),
        (lambda: Latency.fixed(-1), "Latency.low_ms"),
    ],
)
def test_impossible_faults_are_refused_where_they_are_made(make: Any, said: str) -> None:
    """The message names the field, what was found and what is allowed."""
    with pytest.raises(ConfigError, match=said):
        make()


def test_faults_survive_json() -> None:
    """A record is the same after a round trip, and its repr says what is wrong."""
    faults = Faults(
        latency=Latency.lognormal(20, 0.4), routes=("accounts",), empty_positions="zero"
    )
    assert msgspec.json.decode(msgspec.json.encode(faults), type=Faults) == faults
    assert repr(Faults()) == "Faults()"
    assert repr(Faults(hang=True, routes=("quote",))) == "Faults(routes=('quote',), hang=True)"


def test_latencies_are_repeatable_and_within_their_ends() -> None:
    """The same seed draws the same sequence."""
    for latency in (Latency.uniform(5, 9), Latency.lognormal(20, 1.0, most_ms=50)):
        first = [latency.draw_s(Random(number)) for number in range(200)]
        assert first == [latency.draw_s(Random(number)) for number in range(200)]
        assert max(first) <= latency.high_ms / 1000
