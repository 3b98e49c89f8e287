"""Calls to one agent: lane, total deadline, one replay of a dead connection, errors in our words.

May import `contract`, `config`, `clock` and `errors`. The trap: locals of these
functions show in verbose tracebacks, so no header list and no token is ever one.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpcore
import msgspec

from fleetkit.clock import Clock
from fleetkit.config import AgentConfig, PoolLimits, Timeouts
from fleetkit.contract import ORDER_ID_HEADER, Call
from fleetkit.errors import AgentBusy, AgentCancelled, AgentError, AgentTimeout
from fleetkit.http.body import accepted_codings, decompressed, read_body
from fleetkit.http.failures import BROKEN, FOREIGN, in_our_words, refused
from fleetkit.http.lane import Lane, Priority
from fleetkit.http.pool import ConnectionPool, PooledConnection
from fleetkit.http.tls import TlsContexts
from fleetkit.model import Http2


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What came back."""

    body: bytes
    latency_s: float
    date: str | None  # the Date header: the agent machine's clock, in UTC
    finished: float  # the Clock's elapsed, when the last byte arrived
    connection: int  # which one it came over, counted from 1


class RawReply(msgspec.Struct, frozen=True, gc=False):
    """What came back, whatever its status."""

    status: int
    body: bytes
    date: str | None
    retry_after: bool  # the header is there
    latency_s: float
    finished: float


class _Headers:
    """The header list of every request, behind a repr that shows none of it."""

    __slots__ = ("pairs",)

    def __init__(self, agent: AgentConfig, host: bytes) -> None:
        self.pairs: list[tuple[bytes, bytes]] = [
            (b"Host", host),
            (b"Accept", b"application/json"),
            (b"Accept-Encoding", accepted_codings()),
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
        self.lane_waits_s: deque[float] = deque(maxlen=256)  # how long calls waited for their turn
        self.tls_expiry: datetime | None = None  # when the certificate last shown ends
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
            ssl_context=contexts.get(agent.ca_file, http2, agent.name) if secure else None,
            http1=agent.http2 is not Http2.H2C,
            http2=http2,
            keep_alive_s=limits.keep_alive_s,
            pooling=limits.pooling,
            backend=backend,
        )
        self._plain: dict[str, httpcore.Request] = {}
        self._under_way: set[asyncio.Timeout] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"<AgentHttp {self.agent.name!r} {self.agent.url}, {self.requests} requests>"

    @property
    def connections_made(self) -> int:
        """Handshakes since the fleet was connected."""
        return self._pool.made

    @property
    def next_connection(self) -> int | None:
        """The connection a call made now would go over; ``None`` where it would make one."""
        return self._pool.next_serial

    @property
    def header_pairs(self) -> list[tuple[bytes, bytes]]:
        """The headers of every request."""
        return self._headers.pairs

    @property
    def pool(self) -> ConnectionPool:
        """The connections, for whoever holds the lane."""
        return self._pool

    def trade_request(self, call: Call[Any], body: bytes, order_id: str | None) -> httpcore.Request:
        """A trade call, to be sent once."""
        headers = [
            *self._headers.pairs,
            (b"Content-Type", b"application/json"),
            (b"Content-Length", b"%d" % len(body)),
        ]
        if order_id is not None:
            headers.append((ORDER_ID_HEADER.encode(), order_id.encode()))
        return httpcore.Request(
            call.method,
            self.target(call),
            headers=headers,
            content=body,
            extensions=self._extensions,
        )

    def cancel(self) -> int:
        """End every call under way, waiting or sent; returns how many that were."""
        called_back, self._under_way = self._under_way, set()
        for deadline in called_back:
            if not deadline.expired():
                deadline.reschedule(0.0)
        return len(called_back)

    async def aclose(self) -> None:
        """End every call and close every connection; no call is made afterwards."""
        self._closed = True
        self.cancel()
        await self._pool.aclose()

    async def call(
        self,
        call: Call[Any],
        *,
        deadline_s: float,
        query: Mapping[str, str] | None = None,
        item: str | None = None,
        priority: Priority = Priority.READ,
        in_turn: bool = False,
    ) -> Reply:
        """Make one call and return the body of its 200 reply.

        ``item`` is what the braces of the path stand for. ``in_turn`` is for whoever
        holds the lane already.

        Raises
        ------
        AgentBusy, AgentCancelled, AgentOffline, AgentRefused, AgentTimeout, ConnectionBroken
            Each with the agent's name and a sentence.
        ContractError, NotSupported
            The body cannot be read; the route does not exist.
        """
        request = self._request(call, query, item)
        deadline = asyncio.timeout(deadline_s)
        failure: AgentError
        has_turn = in_turn
        try:
            async with deadline:
                self._under_way.add(deadline)
                if in_turn:
                    return await self._exchange(call, request)
                await self.wait_for_turn(priority)
                has_turn = True
                try:
                    return await self._exchange(call, request)
                finally:
                    self.lane.release()
        except TimeoutError:
            called_back = deadline not in self._under_way
            failure = self._cancelled() if called_back else self._late(call, deadline_s, has_turn)
        except FOREIGN as error:
            failure = in_our_words(error, call, self.agent, self.account)
        finally:
            self._under_way.discard(deadline)
        # Raised out here, it does not drag along a foreign traceback whose locals are headers.
        raise failure

    async def wait_for_turn(self, priority: Priority) -> None:
        """Hold the lane; whoever does must release it."""
        queued = self._clock.elapsed()
        await self.lane.acquire(priority)
        self.lane_waits_s.append(self._clock.elapsed() - queued)

    def _late(self, call: Call[Any], deadline_s: float, has_turn: bool) -> AgentError:
        if not has_turn:
            message = (
                f"{self.agent.name} was busy with other calls for {deadline_s:g} s; "
                f"{call.path} was not sent."
            )
            return AgentBusy(message, agent=self.agent.name, account=self.account)
        message = f"{self.agent.name} did not answer {call.path} within {deadline_s:g} s."
        return AgentTimeout(message, agent=self.agent.name, account=self.account)

    def _cancelled(self) -> AgentCancelled:
        message = f"The call was cancelled before {self.agent.name} answered."
        return AgentCancelled(message, agent=self.agent.name, account=self.account)

    def _request(
        self, call: Call[Any], query: Mapping[str, str] | None, item: str | None
    ) -> httpcore.Request:
        plain = not query and item is None
        if plain and call.name in self._plain:
            return self._plain[call.name]
        request = httpcore.Request(
            call.method,
            self.target(call, query, item),
            headers=self._headers.pairs,
            extensions=self._extensions,
        )
        if call.method != "GET" and call.body is None:
            request.headers = [*self._headers.pairs, (b"Content-Length", b"0")]
        if plain:
            self._plain[call.name] = request
        return request

    def target(
        self, call: Call[Any], query: Mapping[str, str] | None = None, item: str | None = None
    ) -> httpcore.URL:
        """Where a call goes."""
        path = self._path + call.path
        if item is not None:
            before, _, rest = path.partition("{")
            path = before + quote(item, safe="") + rest.partition("}")[2]
        if query:
            path += "?" + urlencode(query)
        return httpcore.URL(
            scheme=self._origin.scheme,
            host=self._origin.host,
            port=self._origin.port,
            target=path.encode("ascii"),
        )

    async def _exchange(self, call: Call[Any], request: httpcore.Request) -> Reply:
        """Send on a kept connection; if that turns out dead, once more on a new one."""
        replays = 1 if call.idempotent else 0
        while True:
            if self._closed:
                raise self._cancelled()
            pooled = await self._pool.take()
            reusable = pooled.served > 0 or pooled.in_flight > 1
            try:
                return await self._send(pooled, call, request)
            except httpcore.ConnectionNotAvailable:
                # Nothing was sent: it turned out to be HTTP/1.1 and busy, or out of streams.
                continue
            except BROKEN:
                # A first request on HTTP/2 may be replayed too: a GOAWAY ends it unanswered.
                reusable = reusable or "HTTP/2" in pooled.connection.info()
                if not reusable or replays == 0:
                    raise
                replays -= 1
                await self._pool.retire_idle()

    async def _send(
        self, pooled: PooledConnection, call: Call[Any], request: httpcore.Request
    ) -> Reply:
        raw = await self.receive(pooled, request)
        if raw.status != 200:
            raise refused(raw.status, raw.body, call, self.agent, self.account)
        return Reply(raw.body, raw.latency_s, raw.date, raw.finished, pooled.serial)

    async def receive(self, pooled: PooledConnection, request: httpcore.Request) -> RawReply:
        """Send a request over a connection and give that back; the reply, whatever its status."""
        healthy = False
        started = self._clock.elapsed()
        self.requests += 1
        try:
            response = await pooled.connection.handle_async_request(request)
            body = await read_body(response)
            await response.aclose()
            healthy = True
        except httpcore.ConnectionNotAvailable:
            self.requests -= 1
            healthy = True  # its other requests go on
            raise
        finally:
            await self._pool.give_back(pooled, healthy=healthy)
        if pooled.served == 1:
            self.tls_expiry = _expiry(pooled.session)
        finished = pooled.answered_at = self._clock.elapsed()
        self.latencies_s.append(finished - started)
        version = response.extensions.get("http_version")
        self.http_version = version.decode("ascii", "replace") if version else None
        date, coding = _wanted(response.headers)
        if coding:
            body = decompressed(response, body, coding)
        retry_after = any(name.lower() == b"retry-after" for name, _ in response.headers)
        return RawReply(response.status, body, date, retry_after, finished - started, finished)


def _wanted(headers: Any) -> tuple[str | None, bytes]:
    date: str | None = None
    codings: list[bytes] = []
    for name, value in headers:
        lowered = name.lower()
        if lowered == b"date":
            date = value.decode("ascii", "replace")
        elif lowered == b"content-encoding":
            codings.append(value.lower().strip())
    return date, b"" if codings == [b"identity"] else b",".join(codings)


def _expiry(session: ssl.SSLObject | None) -> datetime | None:
    """When the certificate ends that the agent showed; ``None`` without TLS."""
    certificate = session.getpeercert() if session is not None else None
    if not certificate or "notAfter" not in certificate:
        return None
    seconds = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    return datetime.fromtimestamp(seconds, UTC)


def _is_ip6(host: str | None) -> bool:
    return host is not None and ":" in host
