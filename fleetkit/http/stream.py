"""A network backend for httpcore on plain asyncio: one protocol object a connection.

Why: httpcore's default backend goes through anyio, which costs a third of a
request. This is httpcore's public seam for exactly that. May import httpcore only.
The trap: a connection the server closed while idle must be seen without a system
call, or every refresh after a pause starts with a failure.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any, cast

import httpcore

HIGH_WATER_BYTES = 1 << 20  # beyond it the agent waits until we have read


class AsyncioStream(httpcore.AsyncNetworkStream, asyncio.Protocol):
    """One TCP or TLS connection."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._at_end = False
        self._error: Exception | None = None
        self._paused = False
        self.bytes_sent = 0

    def __repr__(self) -> str:
        state = "closed" if self._at_end else "open"
        return f"<AsyncioStream {state}, {len(self._received)} bytes waiting>"

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods and not the base class.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > HIGH_WATER_BYTES and self._transport and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._at_end = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._at_end = True
        self._error = exc
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # What httpcore calls.

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what has arrived, at least one byte, or nothing at the end."""
        if not self._received and not self._at_end:
            await self._wait(timeout)
        if not self._received:
            if self._error is not None:
                raise httpcore.ReadError(str(self._error) or type(self._error).__name__)
            return b""
        data = bytes(self._received[:max_bytes])
        del self._received[:max_bytes]
        if self._paused and self._transport and len(self._received) <= HIGH_WATER_BYTES:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def _wait(self, timeout: float | None) -> None:
        self._waiter = waiter = self._loop.create_future()
        timer = None if timeout is None else self._loop.call_later(timeout, _expire, waiter)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Hand bytes to the system; requests are small enough never to wait."""
        if self._transport is None or self._at_end:
            # As the system would take them: what the server said before it closed is still
            # to be read, and httpcore would not read on after a failed write.
            return
        self.bytes_sent += len(buffer)
        self._transport.write(buffer)

    async def aclose(self) -> None:
        """Close at once: an answer that nobody reads must not linger."""
        self._at_end = True
        if self._transport is not None:
            self._transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Upgrade to TLS."""
        assert self._transport is not None  # connect_tcp has set it
        try:
            async with asyncio.timeout(timeout):
                upgraded = await self._loop.start_tls(
                    self._transport, self, ssl_context, server_hostname=server_hostname
                )
        except TimeoutError as error:
            self._transport.abort()
            msg = "the TLS handshake took too long"
            raise httpcore.ConnectTimeout(msg) from error
        except (OSError, ssl.SSLError) as error:
            self._transport.abort()
            raise httpcore.ConnectError(str(error) or type(error).__name__) from error
        except BaseException:
            self._transport.abort()
            raise
        if upgraded is None:
            msg = "the connection closed during the TLS handshake"
            raise httpcore.ConnectError(msg)
        self._transport = upgraded
        return self

    def get_extra_info(self, info: str) -> Any:
        """``is_readable``, ``is_at_end`` (the server is gone), ``bytes_sent``, and others."""
        if info == "is_readable":
            return self._at_end or bool(self._received)
        if info == "is_at_end":
            return self._at_end
        if info == "bytes_sent":
            return self.bytes_sent
        if self._transport is None:
            return None
        return self._transport.get_extra_info("ssl_object" if info == "ssl_object" else info)


def _expire(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(httpcore.ReadTimeout("no answer"))


class AsyncioBackend(httpcore.AsyncNetworkBackend):
    """Makes `AsyncioStream` connections."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect; asyncio sets TCP_NODELAY itself."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                _, stream = await loop.create_connection(AsyncioStream, host, port)
        except TimeoutError as error:
            msg = f"no connection within {timeout:g} s"
            raise httpcore.ConnectTimeout(msg) from error
        except OSError as error:
            raise httpcore.ConnectError(str(error) or type(error).__name__) from error
        return stream

    async def sleep(self, seconds: float) -> None:
        """Wait between connect attempts (fleetkit asks for none)."""
        await asyncio.sleep(seconds)
