"""The client against mocked agents: what is asked, and what each kind of answer becomes."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import httpx
import pytest
import respx

import fleetkit as fk
from fleetkit.config import BreakerPolicy, RecoveryPolicy
from fleetkit.http import body

pytestmark = pytest.mark.usefixtures("nothing_left_behind")

URL = "http://127.0.0.1:8001"
ACCOUNT: dict[str, Any] = {
    "account_number": 7100012,
    "account_name": "Anna",
    "balance": 100450.25,
    "status": "connected",
    "days_operating": 12,
    "has_open_position": False,
    "last_updated": "2026-02-01T10:15:00.123456",
    "account_holder": "Unknown",
    "prop_firm": "N/A",
    "initial_balance": 100000.0,
}


def connect(url: str = URL, **agent: Any) -> fk.Fleet:
    return fk.connect(
        [{"name": "vps01-a1", "url": url, **agent}],
        recovery=RecoveryPolicy(enabled=False),
        breaker=BreakerPolicy(failures=1000),
    )


def error_of(route: respx.Route, **agent: Any) -> str:
    """What `accounts` says of an agent bound to 7100012 that answers like this."""
    with connect(account=7100012, **agent) as fleet:
        row = fleet.accounts().loc[7100012]
    assert row["source"] == "none"
    assert row["balance"] != row["balance"]  # NaN
    assert route.call_count == 1, "asked once, and no more"
    return f"{row['status']}: {row['error']}"


@respx.mock
@pytest.mark.parametrize(
    "answer",
    [ACCOUNT, [ACCOUNT], {"accounts": [ACCOUNT]}, {"accounts": [ACCOUNT], "count": 1}],
    ids=["object", "list", "envelope", "wide envelope"],
)
def test_an_account_is_read_in_every_shape(answer: Any) -> None:
    """An object, a list and an envelope are the same account."""
    route = respx.get(f"{URL}/accounts").respond(json=answer)
    with connect() as fleet:
        frame = fleet.accounts()
    assert frame.index.tolist() == [7100012]
    row = frame.iloc[0]
    assert (row["status"], row["source"]) == ("connected", "live")
    assert (row["balance"], row["name"]) == (100450.25, "Anna")
    assert route.call_count == 1


@respx.mock
@pytest.mark.parametrize("url", [f"{URL}/agents/7", f"{URL}/agents/7/"])
def test_a_url_with_a_path_is_a_prefix(url: str) -> None:
    """Every route stands below the configured path."""
    accounts = respx.get(f"{URL}/agents/7/accounts").respond(json=ACCOUNT)
    history = respx.get(f"{URL}/agents/7/trade-history").respond(
        json={"account_number": 7100012, "trades": []}
    )
    quote = respx.get(f"{URL}/agents/7/quote/EUR%2FUSD.x").respond(
        json={"symbol": "EUR/USD.x", "bid": 1.1, "ask": 1.2}
    )
    with connect(url) as fleet:
        fleet.accounts()
        assert fleet.trades(days=30).empty
        assert fleet.quote(7100012, "EUR/USD.x").ask == 1.2
    assert (accounts.call_count, history.call_count, quote.call_count) == (1, 1, 1)
    assert int(history.calls.last.request.url.params["days"]) > 30


@respx.mock
def test_reconnect_posts_without_a_body() -> None:
    """POST /refresh carries a length of zero, as HTTP/1.1 servers insist."""
    route = respx.post(f"{URL}/refresh").respond(json={"status": "ok", "message": "done"})
    respx.get(f"{URL}/accounts").respond(json=ACCOUNT)
    with connect() as fleet:
        fleet.reconnect()
    (call,) = route.calls
    assert call.request.headers["content-length"] == "0"
    assert call.request.content == b""


@respx.mock
@pytest.mark.parametrize(
    ("side_effect", "said"),
    [
        (httpx.ConnectError, "offline: vps01-a1 cannot be reached at"),
        (httpx.ConnectTimeout, "offline: vps01-a1 cannot be reached at"),
        (httpx.ReadTimeout, "timeout: vps01-a1 stopped answering"),
        (httpx.ReadError, "error: The connection to vps01-a1 broke"),
        (httpx.RemoteProtocolError, "error: The connection to vps01-a1 broke"),
        (httpx.PoolTimeout, "timeout: "),
        (OSError("no route to host"), "error: The connection to vps01-a1 broke"),
    ],
)
def test_a_failure_is_a_row_with_a_sentence(side_effect: Any, said: str) -> None:
    """Whatever breaks, the row stays, says why, and invents no figure."""
    route = respx.get(f"{URL}/accounts").mock(side_effect=side_effect)
    assert error_of(route).startswith(said)


@respx.mock
@pytest.mark.parametrize(
    ("status", "content", "said"),
    [
        (500, b'{"detail": "MT5 not initialized"}', "HTTP 500: MT5 not initialized"),
        (502, b"<html><body>Bad gateway</body></html>", "HTTP 502: an HTML page"),
        (503, b"", "HTTP 503: no reason given"),
        (401, b'{"detail": "no token"}', "HTTP 401: no token"),
        (404, b'{"detail": "Not Found"}', "has no route /accounts"),
        (200, b"<html>Welcome to nginx</html>", "expected JSON, got an HTML page"),
        (200, b"", "expected JSON"),
        (200, b'{"account_number": 7100012', "expected JSON"),
        (200, b'{"account_number": "x", "balance": 1, "status": "connected"}', "$.account_number"),
        (200, b'{"account_number": 7100012, "status": "connected"}', "balance"),
        (200, b"[]", "0 accounts"),
        (200, b"null", "expected"),
        (200, b"\xff\xfe\x00", "something unexpected"),
    ],
)
def test_a_bad_answer_is_a_row_with_a_sentence(status: int, content: bytes, said: str) -> None:
    """HTTP errors, pages, cut and mistyped JSON each say what was wrong."""
    route = respx.get(f"{URL}/accounts").respond(status, content=content)
    text = error_of(route)
    assert text.startswith("error: ")
    assert said in text
    assert "vps01-a1" in text


@respx.mock
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed(status: int) -> None:
    """A redirect is an error; nobody asks the address it names."""
    elsewhere = respx.get("http://127.0.0.1:9/accounts").respond(json=ACCOUNT)
    route = respx.get(f"{URL}/accounts").respond(
        status, headers={"location": "http://127.0.0.1:9/accounts"}
    )
    assert "a redirect, which fleetkit never follows" in error_of(route)
    assert not elsewhere.called
    elsewhere.rollback()
    respx.mock.assert_all_called = False  # type: ignore[attr-defined]  # that it was not, is the point


@respx.mock
@pytest.mark.parametrize("coding", ["gzip", "GZIP", "deflate", "identity", "x-unknown"])
def test_a_compressed_body_is_decoded(coding: str) -> None:
    """gzip and deflate are undone; what is no compression is taken as it is."""
    plain = httpx.Response(200, json=ACCOUNT).content
    pack = {"gzip": gzip.compress, "deflate": zlib.compress}.get(coding.lower(), bytes)
    respx.get(f"{URL}/accounts").mock(side_effect=lambda _: raw(pack(plain), coding))
    with connect() as fleet:
        assert fleet.accounts()["balance"].tolist() == [100450.25]


def raw(content: bytes, coding: str) -> httpx.Response:
    """A response that nothing decodes on its way to the client."""
    return httpx.Response(
        200, stream=httpx.ByteStream(content), headers={"content-encoding": coding}
    )


@respx.mock
@pytest.mark.parametrize(
    ("content", "coding", "said"),
    [
        (b"this is no gzip", "gzip", "cannot be decompressed"),
        (gzip.compress(gzip.compress(b"{}")), "gzip, gzip", "compressed more than once"),
        (gzip.compress(b"{}")[:12], "gzip", "expected JSON"),
    ],
)
def test_a_body_that_cannot_be_decompressed(content: bytes, coding: str, said: str) -> None:
    """A broken or nested compression is a sentence."""
    route = respx.get(f"{URL}/accounts").mock(side_effect=lambda _: raw(content, coding))
    assert said in error_of(route)


@respx.mock
@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_an_oversized_body_is_refused(coding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than the limit is not read, compressed or not."""
    monkeypatch.setattr(body, "MAX_BODY_BYTES", 1 << 20)
    huge = b" " * (3 << 20)
    content = gzip.compress(huge) if coding == "gzip" else huge
    route = respx.get(f"{URL}/accounts").mock(side_effect=lambda _: raw(content, coding))
    assert "sent more than 1 MiB for /accounts" in error_of(route)


@respx.mock
def test_an_old_agent_without_positions() -> None:
    """A missing route is told apart from an empty answer."""
    respx.get(f"{URL}/accounts").respond(json=ACCOUNT)
    respx.get(f"{URL}/positions").respond(404, json={"detail": "Not Found"})
    with connect() as fleet:
        fleet.accounts()
        with pytest.raises(fk.PartialResult) as caught:
            fleet.positions()
        assert fleet.agents().loc["vps01-a1", "status"] == "online"
    assert "has no route /positions" in caught.value.reasons[7100012]


@respx.mock
def test_an_agent_without_health_is_examined_all_the_same() -> None:
    """`doctor` falls back to the account of an agent that is too old for /health."""
    respx.get(f"{URL}/health").respond(404, text="404: Not Found")
    respx.get(f"{URL}/accounts").respond(json=ACCOUNT)
    with connect() as fleet:
        row = fleet.doctor().loc["vps01-a1"]
    assert row["reachable"]
    assert row["account"] == 7100012


@respx.mock
def test_an_unknown_symbol_raises_with_the_agents_words() -> None:
    """404 of a quote is the agent's no, not an old agent."""
    respx.get(f"{URL}/accounts").respond(json=ACCOUNT)
    respx.get(f"{URL}/quote/FOO").respond(404, json={"detail": "Symbol FOO not found"})
    with connect() as fleet, pytest.raises(fk.AgentRefused, match="Symbol FOO not found") as caught:
        fleet.quote(7100012, "FOO")
    assert (caught.value.status_code, caught.value.agent) == (404, "vps01-a1")
    assert (caught.value.account, type(caught.value)) == (7100012, fk.AgentRefused)


@respx.mock
def test_one_bad_agent_of_three_is_one_bad_row() -> None:
    """The others' figures are there, and the sum invents nothing."""
    urls = [f"http://127.0.0.1:{port}" for port in (8001, 8002, 8003)]
    for number, url in enumerate(urls, 7100001):
        answer = {**ACCOUNT, "account_number": number, "balance": 10.0}
        respx.get(f"{url}/accounts").respond(json=answer)
    respx.get(f"{urls[1]}/accounts").mock(side_effect=httpx.ReadError)
    agents = [{"name": f"a{i}", "url": url, "account": 7100001 + i} for i, url in enumerate(urls)]
    with fk.connect(agents) as fleet:
        frame = fleet.accounts()
    assert frame["status"].tolist() == ["connected", "error", "connected"]
    assert frame["balance"].sum() == 20.0
    assert frame.attrs["missing"] == [7100002]


@respx.mock
def test_the_token_goes_out_as_bearer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token from the environment is one Authorization header."""
    monkeypatch.setenv("AGENT_TOKEN", "t0ken")
    route = respx.get(f"{URL}/accounts").respond(json=ACCOUNT)
    with connect(token="env:AGENT_TOKEN") as fleet:
        fleet.accounts()
    assert route.calls.last.request.headers["authorization"] == "Bearer t0ken"


@respx.mock
def test_a_url_password_goes_out_as_basic() -> None:
    """User and password of the URL are one Authorization header, and in no URL."""
    route = respx.get(f"{URL}/accounts").respond(json=ACCOUNT)
    with connect("http://me:p%40ss@127.0.0.1:8001") as fleet:
        fleet.accounts()
    request = route.calls.last.request
    assert request.headers["authorization"] == "Basic bWU6cEBzcw=="
    assert "me" not in str(request.url)
    assert request.headers["host"] == "127.0.0.1:8001"


@respx.mock
def test_no_caching_asks_every_time() -> None:
    """cache_ttl_s=0 switches the cache off."""
    route = respx.get(f"{URL}/accounts").respond(json=ACCOUNT)
    with fk.connect([{"name": "a", "url": URL}], cache_ttl_s=0) as fleet:
        for _ in range(3):
            fleet.accounts()
    assert route.call_count == 3
