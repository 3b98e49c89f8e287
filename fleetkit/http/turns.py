"""One connection of a pool, and turns for the requests that share it.

Why: in httpcore one of them reads for all and keeps the reading lock while it waits,
so an answer that has arrived for another stays undelivered until the next byte comes,
which may be never. After each read everybody else is given a turn to find what is
theirs. May import httpcore only.
The trap: a turn is an empty frame put in between the server's, and between the parts
of a header block nothing may be put in.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any, Final

import httpcore

TURN: Final = bytes((0, 0, 0, 0xFF, 0, 0, 0, 0, 0))  # of a type nobody knows: to be ignored
HEAD_BYTES: Final = 9
HEADERS, PUSH_PROMISE, CONTINUATION = 0x1, 0x5, 0x9
END_HEADERS: Final = 0x4


class Frames:
    """Follows a server's frames, to know whether one ends here."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._left = 0
        self._in_header_block = False

    @property
    def between(self) -> bool:
        """Whether another frame may stand here."""
        return not self._head and not self._left and not self._in_header_block

    def follow(self, data: bytes) -> None:
        """Take note of what the server sent."""
        at = 0
        while at < len(data):
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                continue
            step = HEAD_BYTES - len(self._head)
            self._head += data[at : at + step]
            at += step
            if len(self._head) == HEAD_BYTES:
                self._left = int.from_bytes(self._head[:3], "big")
                if self._head[3] in (HEADERS, PUSH_PROMISE, CONTINUATION):
                    self._in_header_block = not self._head[4] & END_HEADERS
                self._head.clear()


class SharedStream(httpcore.AsyncNetworkStream):
    """A stream that lets everybody on its connection have a turn after each read.

    Parameters
    ----------
    line
        Knows how many requests share the connection.
    speaks_http2
        From the start, or, after TLS, as negotiated.
    """

    def __init__(
        self, stream: httpcore.AsyncNetworkStream, line: Line, *, speaks_http2: bool
    ) -> None:
        self._stream = stream
        self._line = line
        self._speaks_http2 = speaks_http2
        self._frames = Frames()
        self._turns = 0

    def __repr__(self) -> str:
        return f"<SharedStream {self._turns} turns left, {self._stream!r}>"

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What the server sent, or a turn for the next one."""
        if not self._speaks_http2:
            return await self._stream.read(max_bytes, timeout)
        waiting = self._stream.get_extra_info("is_readable")
        if self._turns > 0 and not waiting and self._frames.between:
            self._turns -= 1
            return TURN
        data = await self._stream.read(max_bytes, timeout)
        self._frames.follow(data)
        self._turns = self._line.in_flight - 1
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Pass on."""
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """Pass on."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Upgrade to TLS, and see which version was negotiated."""
        self._stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        session = self._stream.get_extra_info("ssl_object")
        self._speaks_http2 = session is not None and session.selected_alpn_protocol() == "h2"
        return self

    def get_extra_info(self, info: str) -> Any:
        """Pass on."""
        return self._stream.get_extra_info(info)


class Line(httpcore.AsyncNetworkBackend):
    """One connection's way through a backend: keeps the stream, to ask if it still lives.

    Parameters
    ----------
    http1, http2
        The versions that may be spoken.
    """

    def __init__(self, backend: httpcore.AsyncNetworkBackend, *, http1: bool, http2: bool) -> None:
        self._backend = backend
        self._http1, self._http2 = http1, http2
        self.stream: httpcore.AsyncNetworkStream | None = None
        self.in_flight = 0  # requests that share the connection

    def __repr__(self) -> str:
        return f"<Line {self.in_flight} in flight, {self.stream!r}>"

    @property
    def is_dropped(self) -> bool:
        """Whether the server closed its end."""
        return self.stream is not None and bool(self.stream.get_extra_info("is_at_end"))

    @property
    def bytes_sent(self) -> int | None:
        """Bytes handed to the system for this connection; ``None`` where nobody counts."""
        sent = None if self.stream is None else self.stream.get_extra_info("bytes_sent")
        return sent if isinstance(sent, int) else None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect through the backend."""
        stream = await self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        if self._http2:
            stream = SharedStream(stream, self, speaks_http2=not self._http1)
        self.stream = stream
        return stream

    async def sleep(self, seconds: float) -> None:
        """Wait between connect attempts."""
        await self._backend.sleep(seconds)
