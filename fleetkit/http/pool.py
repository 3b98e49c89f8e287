"""The few connections to one agent.

Why: httpcore's pool walks all its connections and can wait for ever after a
cancellation; a lane already says how many requests an agent gets, so what is left
is to keep idle connections and to retire broken ones. May import httpcore only.
The trap: on HTTP/2 a cancelled stream is never reset; a connection that lost a
stream takes no new ones and is closed when its others are done.
"""

from __future__ import annotations

import ssl

import httpcore

from fleetkit.http.stream import AsyncioBackend
from fleetkit.http.turns import Line


class PooledConnection:
    """One httpcore connection, counted from 1, and how many requests are on it."""

    def __init__(self, connection: httpcore.AsyncHTTPConnection, line: Line, serial: int) -> None:
        self.connection = connection
        self.line = line
        self.serial = serial
        self.served = 0
        self.retired = False
        self.answered_at: float | None = None  # the Clock's elapsed, of its newest answer

    def __repr__(self) -> str:
        retired = ", retired" if self.retired else ""
        return f"<PooledConnection {self.served} served, {self.in_flight} in flight{retired}>"

    @property
    def in_flight(self) -> int:
        return self.line.in_flight

    @property
    def session(self) -> ssl.SSLObject | None:
        """Its TLS session, if it has one; gone when it is closed."""
        stream = self.line.stream
        return None if stream is None else stream.get_extra_info("ssl_object")

    @property
    def takes_requests(self) -> bool:
        return (
            not self.retired
            and self.connection.is_available()
            and not self.connection.has_expired()
            and not self.line.is_dropped  # httpcore looks only at HTTP/1.1 for this
        )


class ConnectionPool:
    """Connections to one origin: reuse what is idle, make what is missing, retire what broke."""

    def __init__(
        self,
        origin: httpcore.Origin,
        *,
        ssl_context: ssl.SSLContext | None,
        http1: bool,
        http2: bool,
        keep_alive_s: float,
        pooling: bool,
        backend: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._origin = origin
        self._ssl_context = ssl_context
        self._http1, self._http2 = http1, http2
        self._keep_alive_s = keep_alive_s
        self._pooling = pooling
        self._backend = backend or AsyncioBackend()
        self._connections: list[PooledConnection] = []
        self._speaks_http1 = False
        self.made = 0

    def __repr__(self) -> str:
        return f"<ConnectionPool {len(self._connections)} open, {self.made} made>"

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return len(self._connections)

    @property
    def next_serial(self) -> int | None:
        """The connection `take` would return; ``None`` where it would make one."""
        return next((each.serial for each in self._connections if self._can_take(each)), None)

    def take_answered(self, since: float) -> PooledConnection | None:
        """Return a connection that answered since a moment, if there is one."""
        for pooled in self._connections:
            answered = pooled.answered_at
            if answered is not None and answered >= since and self._can_take(pooled):
                pooled.line.in_flight += 1
                return pooled
        return None

    async def take(self) -> PooledConnection:
        """Return a connection for one request; give it back with `give_back`."""
        for pooled in tuple(self._connections):
            if self._can_take(pooled):
                pooled.line.in_flight += 1
                return pooled
            if pooled.in_flight == 0:
                await self._close(pooled)
        self.made += 1
        line = Line(self._backend, http1=self._http1, http2=self._http2)
        pooled = PooledConnection(
            httpcore.AsyncHTTPConnection(
                self._origin,
                ssl_context=self._ssl_context,
                keepalive_expiry=self._keep_alive_s,
                http1=self._http1,
                http2=self._http2,
                network_backend=line,
            ),
            line,
            self.made,
        )
        line.in_flight = 1
        self._connections.append(pooled)
        return pooled

    def _can_take(self, pooled: PooledConnection) -> bool:
        # What turns out to be HTTP/1.1 serves one: do not queue behind its handshake.
        crowded = self._speaks_http1 and pooled.in_flight > 0
        return pooled.takes_requests and not crowded

    async def give_back(self, pooled: PooledConnection, *, healthy: bool) -> None:
        """Keep the connection if its request ended well, else retire it."""
        pooled.line.in_flight -= 1
        pooled.served += 1
        if self._http2 and pooled.served == 1:
            self._speaks_http1 = "HTTP/1.1" in pooled.connection.info()
        if not healthy or not self._pooling or pooled.connection.is_closed():
            pooled.retired = True
        if pooled.in_flight == 0 and (pooled.retired or not pooled.connection.is_available()):
            await self._close(pooled)

    async def retire_idle(self) -> None:
        """Close what nobody uses: where one kept connection turned out dead, so may the others."""
        for pooled in tuple(self._connections):
            if pooled.in_flight == 0:
                await self._close(pooled)

    async def _close(self, pooled: PooledConnection) -> None:
        pooled.retired = True
        if pooled in self._connections:
            self._connections.remove(pooled)
        await pooled.connection.aclose()

    async def aclose(self) -> None:
        """Close everything; whoever still reads gets an error."""
        for pooled in tuple(self._connections):
            await self._close(pooled)
