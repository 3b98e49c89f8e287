"""Calls to one agent: lane, total deadline, one replay of a dead connection, errors in our words.

May import `contract`, `config`, `clock` and `errors`. The trap: locals of these
functions show in verbose tracebacks, so no header list and no token is ever one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpcore
import httpx
import msgspec

from fleetkit.clock import Clock
from fleetkit.config import AgentConfig, PoolLimits, Timeouts
from fleetkit.contract import Call, ErrorWire
from fleetkit.errors import (
    AgentError,
    AgentOffline,
    AgentRefused,
    AgentTimeout,
    ConnectionBroken,
    ContractError,
    NotSupported,
)
from fleetkit.http.lane import Lane, Priority
from fleetkit.http.pool import ConnectionPool, PooledConnection
from fleetkit.http.tls import TlsContexts
from fleetkit.model import Http2

MAX_BODY_BYTES = 256 << 20  # 100,000 trades are 27 MB
DETAIL_LENGTH = 300

BROKEN = (
    httpcore.ConnectionNotAvailable,
    httpcore.LocalProtocolError,
    httpcore.PoolTimeout,
    httpcore.ReadError,
    httpcore.RemoteProtocolError,
    httpcore.WriteError,
    httpcore.WriteTimeout,
)
"""What a connection that was fine a moment ago raises; a call on a reused one gets a replay."""


class _TooLarge(Exception):
    pass


FOREIGN = (
    *BROKEN,
    httpcore.ConnectError,
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
    httpx.DecodingError,
    OSError,
    _TooLarge,
)
"""Every error of other libraries that a call can meet; none leaves this module."""

_error_body = msgspec.json.Decoder(ErrorWire)


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What came back."""

    body: bytes
    latency_s: float
    date: str | None  # the Date header: the agent machine's clock, in UTC
    finished: float  # the Clock's elapsed, when the last byte arrived


class _Headers:
    """The header list of every request, behind a repr that shows none of it."""

    __slots__ = ("pairs",)

    def __init__(self, agent: AgentConfig, host: bytes) -> None:
        self.pairs: list[tuple[bytes, bytes]] = [
            (b"Host", host),
            (b"Accept", b"application/json"),
            (b"User-Agent", b"fleetkit"),
        ]
        if agent.authorization is not None:
            value = agent.authorization.reveal().encode("latin-1")
            self.pairs.append((b"Authorization", value))

    def __repr__(self) -> str:
        return f"<{len(self.pairs)} headers>"


class AgentHttp:
    """Everything between this process and one agent's HTTP server."""

    def __init__(
        self,
        agent: AgentConfig,
        *,
        timeouts: Timeouts,
        limits: PoolLimits,
        contexts: TlsContexts,
        clock: Clock,
        backend: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self.agent = agent
        self.account: int | None = agent.account  # for the errors; the gateway keeps it current
        self.lane = Lane(agent.lanes)
        self.requests = 0
        self.http_version: str | None = None
        self.latencies_s: deque[float] = deque(maxlen=256)
        self._clock = clock
        parts = urlsplit(agent.url)
        self._path = parts.path.rstrip("/")
        secure = parts.scheme == "https"
        http2 = agent.http2 is Http2.H2C or (secure and agent.http2 is Http2.AUTO)
        host = (parts.hostname or "").encode("idna" if not _is_ip6(parts.hostname) else "ascii")
        port = parts.port or (443 if secure else 80)
        self._origin = httpcore.Origin(parts.scheme.encode(), host, port)
        self._headers = _Headers(agent, parts.netloc.encode())
        # A read timeout on HTTP/2 would kill the sibling streams; the total deadline does not.
        self._extensions = {
            "timeout": {
                "connect": timeouts.connect_s,
                "read": None if http2 else timeouts.read_s,
                "write": timeouts.write_s,
                "pool": timeouts.pool_s,
            }
        }
        self._pool = ConnectionPool(
            self._origin,
            ssl_context=contexts.get(agent.ca_file, http2) if secure else None,
            http1=agent.http2 is not Http2.H2C,
            http2=http2,
            keep_alive_s=limits.keep_alive_s,
            pooling=limits.pooling,
            backend=backend,
        )
        self._plain: dict[str, httpcore.Request] = {}

    def __repr__(self) -> str:
        return f"<AgentHttp {self.agent.name!r} {self.agent.url}, {self.requests} requests>"

    @property
    def connections_made(self) -> int:
        """Handshakes since the fleet was connected."""
        return self._pool.made

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()

    async def call(
        self,
        call: Call[Any],
        *,
        deadline_s: float,
        query: Mapping[str, str] | None = None,
        symbol: str | None = None,
        priority: Priority = Priority.READ,
    ) -> Reply:
        """Make one call and return the body of its 200 reply.

        Raises
        ------
        AgentOffline, AgentTimeout, ConnectionBroken, AgentRefused, NotSupported
            Each with the agent's name and a sentence.
        """
        request = self._request(call, query, symbol)
        try:
            async with asyncio.timeout(deadline_s):
                await self.lane.acquire(priority)
                try:
                    return await self._exchange(call, request)
                finally:
                    self.lane.release()
        except TimeoutError:
            message = f"{self.agent.name} did not answer {call.path} within {deadline_s:g} s."
            raise AgentTimeout(message, agent=self.agent.name, account=self.account) from None
        except FOREIGN as error:
            raise self._in_our_words(error, call) from None

    def _request(
        self, call: Call[Any], query: Mapping[str, str] | None, symbol: str | None
    ) -> httpcore.Request:
        plain = not query and symbol is None
        if plain and call.name in self._plain:
            return self._plain[call.name]
        path = self._path + call.path
        if symbol is not None:
            path = path.replace("{symbol}", quote(symbol, safe=""))
        if query:
            path += "?" + urlencode(query)
        url = httpcore.URL(
            scheme=self._origin.scheme,
            host=self._origin.host,
            port=self._origin.port,
            target=path.encode("ascii"),
        )
        request = httpcore.Request(
            call.method, url, headers=self._headers.pairs, extensions=self._extensions
        )
        if call.method != "GET" and call.body is None:
            request.headers = [*self._headers.pairs, (b"Content-Length", b"0")]
        if plain:
            self._plain[call.name] = request
        return request

    async def _exchange(self, call: Call[Any], request: httpcore.Request) -> Reply:
        """Send on a kept connection; if that turns out dead, once more on a new one."""
        replays = 1 if call.idempotent else 0
        while True:
            pooled = await self._pool.take()
            reusable = pooled.served > 0 or pooled.in_flight > 1
            try:
                return await self._send(pooled, request)
            except httpcore.ConnectionNotAvailable:
                # Nothing was sent: it turned out to be HTTP/1.1 and busy, or out of streams.
                continue
            except BROKEN:
                # A first request on HTTP/2 may be replayed too: a GOAWAY ends it unanswered.
                reusable = reusable or "HTTP/2" in pooled.connection.info()
                if not reusable or replays == 0:
                    raise
                replays -= 1

    async def _send(self, pooled: PooledConnection, request: httpcore.Request) -> Reply:
        healthy = False
        started = self._clock.elapsed()
        self.requests += 1
        try:
            response = await pooled.connection.handle_async_request(request)
            body = await _read(response)
            await response.aclose()
            healthy = True
        finally:
            await self._pool.give_back(pooled, healthy=healthy)
        finished = self._clock.elapsed()
        self.latencies_s.append(finished - started)
        version = response.extensions.get("http_version")
        self.http_version = version.decode("ascii", "replace") if version else None
        date, encoding = _wanted(response.headers)
        if encoding:
            body = _decoded(response, body)
        if response.status != 200:
            raise self._refused(response.status, body, request)
        return Reply(body, finished - started, date, finished)

    def _refused(self, status: int, body: bytes, request: httpcore.Request) -> AgentRefused:
        path = request.url.target.decode("ascii").partition("?")[0]
        detail = _detail(body)
        name = self.agent.name
        if status == 404 and detail in ("Not Found", ""):
            message = f"{name} has no route {path}: the agent is too old for it."
            return NotSupported(message, agent=name, status_code=status, account=self.account)
        if 300 <= status < 400:
            detail = "a redirect, which fleetkit never follows; correct the agent's url"
        message = f"{name} answered {path} with HTTP {status}: {detail or 'no reason given'}"
        return AgentRefused(message, agent=name, status_code=status, account=self.account)

    def _in_our_words(self, error: Exception, call: Call[Any]) -> AgentError:
        """Map a foreign error; a test holds this against httpcore's list."""
        name, account = self.agent.name, self.account
        reason = str(error) or type(error).__name__
        if isinstance(error, (httpcore.ConnectError, httpcore.ConnectTimeout)):
            message = f"{name} cannot be reached at {self.agent.url}: {reason}"
            return AgentOffline(message, agent=name, account=account)
        if isinstance(error, httpcore.TimeoutException):
            message = f"{name} stopped answering in the middle of {call.path}."
            return AgentTimeout(message, agent=name, account=account)
        if isinstance(error, httpx.DecodingError):
            message = f"{name} sent a reply to {call.path} that cannot be decompressed: {reason}"
            return ContractError(message, agent=name, account=account)
        if isinstance(error, _TooLarge):
            message = f"{name} sent more than {MAX_BODY_BYTES >> 20} MiB for {call.path}."
            return ContractError(message, agent=name, account=account)
        message = f"The connection to {name} broke during {call.path}: {reason}"
        return ConnectionBroken(message, agent=name, account=account)


async def _read(response: httpcore.Response) -> bytes:
    chunks: list[bytes] = []
    size = 0
    stream = response.stream
    assert not isinstance(stream, (list, tuple))  # narrows for mypy
    async for chunk in stream:  # type: ignore[union-attr]  # async connections give async streams
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise _TooLarge
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _wanted(headers: Any) -> tuple[str | None, bool]:
    date, encoded = None, False
    for name, value in headers:
        lowered = name.lower()
        if lowered == b"date":
            date = value.decode("ascii", "replace")
        elif lowered == b"content-encoding":
            encoded = value.lower() != b"identity"
    return date, encoded


def _decoded(response: httpcore.Response, body: bytes) -> bytes:
    decoder = httpx.Response(200, headers=response.headers, stream=httpx.ByteStream(body))
    chunks: list[bytes] = []
    size = 0
    for chunk in decoder.iter_bytes(1 << 16):
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise _TooLarge
        chunks.append(chunk)
    return b"".join(chunks)


def _detail(body: bytes) -> str:
    """The reason in an error's body, as a short line of text."""
    try:
        detail = _error_body.decode(body).detail
        text = "" if detail is None else str(detail)
    except msgspec.DecodeError:
        text = "an HTML page" if body.lstrip()[:1] == b"<" else body.decode("utf-8", "replace")
    text = " ".join(text.split())
    return text if len(text) <= DETAIL_LENGTH else text[: DETAIL_LENGTH - 1] + "…"


def _is_ip6(host: str | None) -> bool:
    return host is not None and ":" in host
