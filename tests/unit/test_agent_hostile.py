"""The agent against those who mean harm, and against its own mistakes, on real sockets."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from typing import Any

import httpx
import pytest
import zstandard

from fleetkit.agent.serve import AgentServer
from tests.unit.agent_terminal import PaperTerminal, order, order_id, served, until

ID, TOKEN = order_id(1), "a-token-of-the-tests"
RIGHT = {"Authorization": f"Bearer {TOKEN}"}


async def raw(server: AgentServer, data: bytes, *, until_closed: bool = True) -> bytes:
    """What the agent answers to bytes that no client of ours would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(data)
    answer = await asyncio.wait_for(reader.read(-1 if until_closed else 65_536), 10)
    writer.close()
    return answer


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


# bodies


def test_a_body_that_nobody_reads() -> None:
    """Megabytes sent to a route without a body hold no connection and no task for ever."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        async with served(terminal, token=TOKEN) as (client, server):
            await client.get("/health")
            before = len(asyncio.all_tasks())
            head = b" HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n"
            terminal.hang = asyncio.Event()
            for line in (b"GET /accounts", b"POST /nope", b"GET /health"):
                token = b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"
                asks = line.endswith(b"accounts")
                _, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(line + head + (token if asks else b"") + b"\r\n" + b"x" * 3_000_000)
                if asks:
                    await until(lambda: terminal.concurrent)
                else:
                    await client.get("/health")
                writer.transport.abort()
            terminal.hang.set()
            await until(lambda: len(asyncio.all_tasks()) <= before)

    asyncio.run(scenario())


def test_a_body_in_drops() -> None:
    """Slow loris: a body that does not come is a 408, and its connection is closed."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        async with served(terminal, body_s=0.1) as (_, server):
            head = b"POST /positions/open HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            answer = await raw(server, head + b'Content-Length: 60\r\n\r\n{"symbol":')
            assert status_of(answer) == 408
            assert b"did not arrive within 0.1 s" in answer
            assert not terminal.opened

    asyncio.run(scenario())


@pytest.mark.parametrize("size", [70_000, 900_000, 3_000_000])
def test_a_body_too_large(size: int) -> None:
    """413 by length and, in chunks, by count; the terminal is not asked."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        async with served(terminal) as (client, _):
            headers = {"Content-Type": "application/json"}

            async def chunks() -> Any:
                for _ in range(0, size, 10_000):
                    yield b" " * 10_000

            for content in (b" " * size, chunks()):
                try:
                    reply = await client.post("/positions/open", content=content, headers=headers)
                except (httpx.ReadError, httpx.WriteError):  # cut off before it was all sent
                    assert size > 1_000_000
                else:
                    assert reply.status_code == 413
                    assert reply.json()["retcode"] is None
            assert terminal.asked == []

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_that_is_no_json(kind: str | None) -> None:
    """A form on somebody's web page cannot trade: 415."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        async with served(terminal) as (client, _):
            headers = {} if kind is None else {"Content-Type": kind}
            reply = await client.post(
                "/positions/open", content=json.dumps(order()).encode(), headers=headers
            )
            assert (reply.status_code, reply.headers["accept"]) == (415, "application/json")
            assert terminal.asked == []

    asyncio.run(scenario())


# the door


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "Bearer",
        "Bearer wrong",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        TOKEN,
        "Bearer \N{LATIN SMALL LETTER E WITH ACUTE}",
    ],
)
def test_who_has_no_token_learns_nothing(given: str | None) -> None:
    """401 on every route but /health, known or not, and nothing reaches the terminal."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        headers = {} if given is None else {"Authorization": given.encode("latin-1")}
        async with served(terminal, token=TOKEN) as (client, _):
            answers = set()
            for method, path in (
                *(("GET", path) for path in ("/accounts", "/nope", "/openapi.json", "/health/")),
                *(("HEAD", "/positions"), ("OPTIONS", "/accounts"), ("DELETE", "/x" * 500)),
                *(("POST", "/positions/open"), ("GET", f"/orders/{ID}"), ("POST", "/health")),
            ):
                reply = await client.request(method, path, headers=headers)
                assert reply.headers["www-authenticate"].startswith("Bearer")
                answers.add((reply.status_code, method == "HEAD" or reply.json()["detail"]))
            assert answers == {(401, True), (401, "Not authenticated: send the agent's token")}
            assert terminal.asked == []
            assert (await client.get("/health", headers=headers)).status_code == 200

    asyncio.run(scenario())


def test_methods_and_versions() -> None:
    """HEAD, OPTIONS and the like are 405 with Allow; HTTP/1.0 is answered and closed."""

    async def scenario() -> None:
        async with served(token=TOKEN) as (client, server):
            for method in ("HEAD", "OPTIONS", "TRACE", "DELETE", "PATCH", "BREW"):
                reply = await client.request(method, "/accounts", headers=RIGHT)
                assert (reply.status_code, reply.headers["allow"]) == (405, "GET")
            old = await raw(server, b"GET /health HTTP/1.0\r\n\r\n")
            assert status_of(old) == 200
            assert b'"api":"1.1"' in old

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("data", "statuses"),
    [
        (b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", [431]),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", [431]),
        (b"GET /health HTTP/1.1\r\n\r\n", [400]),  # no host
        (b"GET /quote/\xff HTTP/1.1\r\nHost: a\r\n\r\n", [400]),
        (b"GET /health HTTP/9.9\r\nHost: a\r\n\r\n", [200]),  # and closed
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", []),  # TLS where there is none
        (b"GET /health HTTP/1.1\r\nHost: a\r\n\r\nnonsense\r\n\r\n", [200, 400]),
        (
            b"POST /positions/open HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
            [400],
        ),
        (
            b"POST /positions/open HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            [408, 400],
        ),
    ],
)
def test_bytes_that_are_no_request(data: bytes, statuses: list[int]) -> None:
    """Refused or cut off, one connection at a time; everybody else is served on."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        async with served(terminal, body_s=0.2) as (client, server):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(data)
            writer.write_eof()
            answer = await asyncio.wait_for(reader.read(), 10)
            writer.close()
            found = [int(part.split(b" ", 1)[0]) for part in answer.split(b"HTTP/1.1 ")[1:]]
            assert found[:1] == statuses[:1] or found == [400] or not statuses
            assert set(found) <= set(statuses) | {400}
            assert (await client.get("/health")).status_code == 200
            assert "open" not in terminal.asked

    asyncio.run(scenario())


def test_pipelined_orders_with_one_id() -> None:
    """Two requests in one packet are answered in order; the order is executed once."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        async with served(terminal) as (_, server):
            body = json.dumps(order(ID)).encode()
            request = (
                b"POST /positions/open HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                b"Content-Length: " + str(len(body)).encode() + b"\r\n%b\r\n" + body
            )
            answer = await raw(server, request % b"" + request % b"Connection: close\r\n")
            assert answer.count(b"HTTP/1.1 200") == 2
            assert answer.count(b"idempotent-replayed") == 1
            assert len(terminal.opened) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "symbol",
    ["%00", "EUR%2FUSD", "..%2F..%2Fhealth", "%F0%9F%92%B0", "%ff%fe", "%0d%0aX:%201", "A" * 300,
     "%3Cscript%3E", "%u0041", "EURUSD%20", "%C2%A0"],
)  # fmt: skip
@pytest.mark.parametrize("route", ["quote", "symbols"])
def test_hostile_symbols(route: str, symbol: str) -> None:
    """Whatever stands where a symbol should is a 404 in JSON, over HTTP/1.1 and HTTP/2."""

    async def scenario() -> None:
        async with served() as (client, server):
            async with httpx.AsyncClient(http1=False, http2=True, base_url=server.url) as newer:
                for each in (client, newer):
                    target = f"/{route}/{symbol}".encode()
                    reply = await each.get("/", extensions={"target": target})
                    assert reply.status_code == 404
                    assert isinstance(reply.json()["detail"], str)
            assert (await client.get("/health")).status_code == 200

    asyncio.run(scenario())


# replies


def test_compression_is_negotiated() -> None:
    """zstd, gzip or plain as the caller likes; small replies and HEAD stay plain."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        for number in range(200):
            terminal.book_deal(entry=0, position=number + 1, volume=0.1, comment="c")
        async with served(terminal) as (client, _):
            plain = {}
            for accepted, encoding in (
                ("identity", None),
                ("gzip", "gzip"),
                ("zstd", "zstd"),
                ("gzip, zstd", "zstd"),
                ("gzip;q=1, zstd;q=0", "gzip"),
                ("br", None),
                ("*;q=0", None),
                ("gzip;q=nonsense", None),
            ):
                async with client.stream(
                    "GET", "/deals", headers={"Accept-Encoding": accepted}
                ) as reply:
                    body = b"".join([part async for part in reply.aiter_raw()])
                assert reply.headers.get("content-encoding") == encoding
                assert reply.headers["vary"] == "accept-encoding"
                if encoding == "gzip":
                    body = gzip.decompress(body)
                elif encoding == "zstd":
                    body = zstandard.ZstdDecompressor().decompress(body)
                plain[accepted] = body
            assert len(set(plain.values())) == 1
            assert len(json.loads(plain["zstd"])["deals"]) == 200
            small = await client.get("/health", headers={"Accept-Encoding": "gzip"})
            assert "content-encoding" not in small.headers

    asyncio.run(scenario())


def test_the_document_is_served() -> None:
    """`/openapi.json` is there for whoever has the token, and names every route."""

    async def scenario() -> None:
        async with served(token=TOKEN) as (client, _):
            assert (await client.get("/openapi.json")).status_code == 401
            document = (await client.get("/openapi.json", headers=RIGHT)).json()
            assert document["openapi"] == "3.1.0"
            assert {"/positions/open", "/orders/{order_id}"} <= document["paths"].keys()
            assert (await client.post("/openapi.json", headers=RIGHT)).status_code == 404

    asyncio.run(scenario())


def test_a_mistake_of_ours_is_json(caplog: pytest.LogCaptureFixture) -> None:
    """A handler that breaks answers 500 in JSON without telling how; the log tells."""

    class Broken(PaperTerminal):
        async def positions(self) -> Any:
            raise KeyError("secret detail")

    async def scenario() -> None:
        async with served(Broken()) as (client, _):
            reply = await client.get("/positions")
            assert reply.status_code == 500
            assert "secret" not in reply.json()["detail"]

    with caplog.at_level(logging.ERROR, "fleetkit.agent"):
        asyncio.run(scenario())
    assert "secret detail" in caplog.text
