"""The extended layer, asked over real sockets with a plain client."""

from __future__ import annotations

import asyncio
import gzip
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest

from fleetkit import contract
from fleetkit.agent.squeeze import choose, encoders
from tests.unit.agent_terminal import ACCOUNT, NOW, PaperTerminal, order, order_id, served

TOKEN = "correct horse battery staple"


def get(path: str, terminal: PaperTerminal | None = None, **options: Any) -> httpx.Response:
    async def scenario() -> httpx.Response:
        async with served(terminal, **options) as (client, _):
            return await client.get(path)

    return asyncio.run(scenario())


def test_account_figures_come_after_the_base_fields() -> None:
    """The base object stays as it is and is followed by what the extended layer knows."""
    body = get("/accounts").json()
    assert list(body)[:10] == [
        *("account_number", "account_name", "balance", "status", "days_operating"),
        *("has_open_position", "last_updated", "account_holder", "prop_firm", "initial_balance"),
    ]
    assert {name: body[name] for name in list(body)[10:]} == {
        "equity": 100440.0,
        "credit": 0.0,
        "profit": -10.25,
        "margin": 540.0,
        "margin_free": 99900.0,
        "margin_level": 18600.0,
        "currency": "USD",
        "leverage": 100,
        "server": "Demo-1",
        "company": "A broker",
        "margin_mode": "hedging",
        "trade_allowed": True,
        "login_ok": True,
    }
    assert body["last_updated"] == "2026-02-01T10:15:00.123456Z"


def test_trades_are_closing_deals_by_exit_time() -> None:
    """Partial closes are rows of their own with their costs; a late exit is found (T8, T11)."""
    terminal = PaperTerminal()
    terminal.close_in_parts()
    body = get("/trade-history?days=1", terminal).json()
    assert [(row["closed_volume"], row["entry_volume"]) for row in body["trades"]] == [
        (0.3, 0.5),
        (0.2, 0.5),
    ]
    first = body["trades"][0]
    assert (first["swap"], first["fee"], first["comment"], first["order_id"]) == (
        *(-1.0, -0.1, "swing", None),
    )
    assert first["exit_time"] == "2026-02-01T09:35:00.123456Z"
    assert body["total_profit"] == 50.0
    assert terminal.window == (NOW - timedelta(days=1), NOW + timedelta(days=1))


def test_windows_may_be_aware() -> None:
    """`from_date` with an offset is understood, and a naive one is UTC (T10)."""
    terminal = PaperTerminal()
    for text in ("2026-01-20T03:00:00%2B02:00", "2026-01-20T01:00:00Z", "2026-01-20T01:00:00"):
        assert get(f"/trade-history?from_date={text}", terminal).status_code == 200
        assert terminal.window is not None
        assert terminal.window[0].isoformat() == "2026-01-20T01:00:00+00:00"
    for bad in ("days=0", "days=366", "from_date=yesterday", "from_date=9999-12-31T23:59:59-14:00"):
        assert get(f"/trade-history?{bad}", terminal).status_code == 400


def test_health_says_what_the_agent_can_do() -> None:
    """Capabilities, clock, account and the unit of stops, without a token."""
    body = get("/health", token=TOKEN).json()
    assert body == {
        "status": "healthy",
        "accounts_monitored": 1,
        "mt5_initialized": True,
        "timestamp": "2026-02-01T10:15:00.123456Z",
        "api": "1.1",
        "capabilities": [capability.value for capability in contract.Capability],
        "stops_unit": "price",
        "server_utc_offset_s": 10800.0,
        "account_number": ACCOUNT,
        "busy_s": 0.0,
    }
    terminal = PaperTerminal()
    terminal.connected = False
    body = get("/health", terminal).json()
    assert (body["status"], body["account_number"]) == ("unhealthy", None)


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer wrong", "Basic " + TOKEN, TOKEN, "Bearer é"]
)
def test_without_the_token_nothing_is_told(header: str | None) -> None:
    """401 on every route but health, unknown ones too, and the terminal is not asked."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        async with served(terminal, token=TOKEN) as (client, _):
            headers = {} if header is None else {"Authorization": header.encode("latin-1")}
            for path in ("/accounts", "/nope", "/openapi.json", f"/orders/{order_id(1)}"):
                reply = await client.get(path, headers=headers)
                assert reply.status_code == 401
                assert reply.headers["www-authenticate"].startswith("Bearer")
            trade = await client.post("/positions/open", json=order(), headers=headers)
            assert trade.status_code == 401
            assert terminal.asked == []
            right = {"Authorization": f"bearer {TOKEN}"}
            assert (await client.get("/accounts", headers=right)).status_code == 200

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"x" * 70_000, "application/json", 413),
        (b"{}", "text/plain", 415),
        (b"{}", "", 415),
        (b"", "application/json", 422),
        (b"[]", "application/json", 422),
        (b"{", "application/json", 422),
        (b"\xff\xfe", "application/json", 422),
        (b"[" * 60_000, "application/json", 422),
        (b'{"symbol":"EURUSD","lot":"0.5","order_type":"BUY"}', "application/json", 422),
        (b'{"symbol":"EURUSD","lot":0.5,"order_type":"LONG"}', "application/json", 422),
        (b'{"symbol":"EURUSD","lot":0.5,"order_type":"BUY","order_id":"x"}', "a", 415),
        (
            b'{"symbol":"EURUSD","lot":0.5,"order_type":"BUY","order_id":"x"}',
            "application/json; charset=utf-8",
            422,
        ),
        (b'{"symbol":"EURUSD","lot":1e999,"order_type":"BUY"}', "application/json", 422),
        (
            b'{"symbol":"EURUSD","lot":0.5,"order_type":"BUY","sl":-1}',
            "application/json",
            422,
        ),
    ],
)
def test_bodies_that_make_no_sense(content: bytes, kind: str, status: int) -> None:
    """Refused before the terminal is asked, with a detail and an empty retcode."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        async with served(terminal) as (client, _):
            headers = {"Content-Type": kind}
            reply = await client.post("/positions/open", content=content, headers=headers)
            assert reply.status_code == status
            assert reply.json()["detail"]
            assert reply.json()["retcode"] is None
            assert terminal.asked == []

    asyncio.run(scenario())


def test_a_body_without_a_length_is_cut_off() -> None:
    """A chunked body is counted as it comes."""

    async def scenario() -> None:
        async def endless() -> Any:
            for _ in range(100):
                yield b" " * 1000

        async with served() as (client, _):
            headers = {"Content-Type": "application/json"}
            reply = await client.post("/positions/open", content=endless(), headers=headers)
            assert reply.status_code == 413

    asyncio.run(scenario())


def test_header_and_body_must_agree_on_the_id() -> None:
    """Two different ids in one request are a mistake, not a choice."""

    async def scenario() -> None:
        async with served() as (client, _):
            for header, named in ((order_id(2), order_id(1)), ("short", None)):
                reply = await client.post(
                    "/positions/open", json=order(named), headers={"Idempotency-Key": header}
                )
                assert reply.status_code == 422
            headers = {"Idempotency-Key": order_id(1)}
            reply = await client.post("/positions/open", json=order(order_id(1)), headers=headers)
            assert reply.status_code == 200

    asyncio.run(scenario())


def test_deals_by_cursor() -> None:
    """Pages by rising ticket add up to the ledger; the last one says so."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        for number in range(25):
            terminal.book_deal(entry=0, position=number + 1, volume=0.1, comment="c")
        terminal.ledger.reverse()  # a broker's order is nobody's promise
        async with served(terminal) as (client, _):
            after, seen = 0, []
            while after is not None:
                reply = await client.get("/deals", params={"after": after, "limit": 10})
                page = contract.DEALS.decode(reply.content)
                assert page.account_number == ACCOUNT
                seen += [deal.ticket for deal in page.deals]
                after = page.next_after
            assert seen == list(range(9000, 9025))
            assert (await client.get("/deals?after=9024")).json()["deals"] == []
            since = (NOW - timedelta(minutes=59, seconds=40)).isoformat()
            late = await client.get("/deals", params={"from": since})
            assert [deal["ticket"] for deal in late.json()["deals"]] == list(range(9020, 9025))
            first = (await client.get("/deals?limit=1")).json()["deals"][0]
            assert first["time"] == "2026-02-01T09:15:00.123456Z"
            assert first["comment"] == "c"
            for bad in (
                "after=-1",
                "after=x",
                "limit=0",
                "limit=5001",
                "from=x",
                "after=" + "9" * 30,
            ):
                assert (await client.get(f"/deals?{bad}")).status_code == 400

    asyncio.run(scenario())


def test_misspelled_fields_are_refused() -> None:
    """A window that is not understood is not answered with everything there is."""
    for path in ("/deals?form=2026-01-01", "/accounts?days=3", "/trade-history?days=3&=null"):
        assert get(path).status_code == 422
    assert get("/health?days=3").status_code == 200


def test_symbols() -> None:
    """What a symbol may be traded like, in MetaTrader's names."""
    body = get("/symbols/EURUSD").json()
    assert contract.SYMBOL.decode(msgspec.json.encode(body)).volume_step == 0.01
    assert body["trade_stops_level"] == 10
    reply = get("/symbols/NOPE")
    assert (reply.status_code, reply.json()) == (404, {"detail": "Symbol NOPE not found"})


def test_large_replies_are_compressed() -> None:
    """zstd where the caller takes it, gzip else, plain when asked for; small ones stay plain."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        for number in range(300):
            terminal.book_deal(entry=0, position=number + 1, volume=0.1, comment="c")
        async with served(terminal) as (client, _):

            async def encoded(path: str, accept: str) -> tuple[str | None, int, httpx.Response]:
                headers = {"Accept-Encoding": accept}
                async with client.stream("GET", path, headers=headers) as reply:
                    raw = b"".join([chunk async for chunk in reply.aiter_raw()])
                assert reply.headers["vary"] == "accept-encoding"
                assert int(reply.headers["content-length"]) == len(raw)
                return reply.headers.get("content-encoding"), len(raw), raw

            _, plain, whole = await encoded("/deals", "identity")
            name, size, packed = await encoded("/deals", "gzip")
            assert (name, gzip.decompress(packed)) == ("gzip", whole)
            assert size * 10 < plain
            best = next(iter(encoders()))
            assert (await encoded("/deals", "gzip, zstd"))[0] == best
            assert (await encoded("/deals", "gzip;q=1, zstd;q=0"))[0] == "gzip"
            assert (await encoded("/accounts", "gzip, zstd"))[0] is None

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        (b"gzip", "gzip"),
        (b"zstd, gzip", "zstd"),
        (b"gzip, zstd;q=0.5", "gzip"),
        (b"*", "zstd"),
        (b"*;q=0.1, zstd;q=0", "gzip"),
        (b"br, deflate", None),
        (b"identity", None),
        (b"gzip;q=nonsense", None),
        (b"GZIP ; q=0.3", "gzip"),
        (b"", None),
        (b"\xff\x00", None),
    ],
)
def test_accept_encoding(accepted: bytes, chosen: str | None) -> None:
    """Weights decide, then our own preference; what we cannot write is not chosen."""
    known = {"zstd": bytes, "gzip": bytes}
    assert choose(accepted, known) == chosen


def test_every_extended_reply_is_read_by_the_contract() -> None:
    """What the agent writes, the contract's wire structs accept, whole."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        terminal.close_in_parts()
        async with served(terminal) as (client, _):
            opened = await client.post("/positions/open", json=order(order_id(1)))
            paths = {
                call: call.path.format(symbol="EURUSD", order_id=order_id(1))
                for call in contract.EXTENDED
                if call.method == "GET"
            }
            for call, path in paths.items():
                reply = await client.get(path)
                assert reply.status_code == 200
                wire = call.decode(reply.content)
                if isinstance(wire, list):
                    wire = wire[0]
                assert set(reply.json()) <= set(wire.__struct_fields__)
            assert set(opened.json()) == set(contract.OpenWire.__struct_fields__)
            wrong = await client.delete("/accounts")
            assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET")

    asyncio.run(scenario())
