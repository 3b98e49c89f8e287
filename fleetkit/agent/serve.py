"""Serves one agent on a real socket: TLS with HTTP/2 by ALPN, HTTP/1.1, h2c.

Why: HTTP/2 needs a server that speaks it. May import hypercorn (the extra
``fleetkit[agent]``) and `app`; nothing else imports it.
The trap: hypercorn waits for open connections without a bound when it ends, and
a hanging terminal holds its callers for ever. The bound is here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Final, cast

from hypercorn.asyncio import serve
from hypercorn.config import Config

from fleetkit.agent.app import AgentApp

KEEP_ALIVE_S: Final = 120.0  # longer than clients keep a connection: they close it, not we
REQUESTS_PER_CONNECTION: Final = 1_000_000  # a GOAWAY fails what is in flight: never by count
STREAMS: Final = 100  # at once on one connection; a client that is told none sends one
HANDSHAKE_S: Final = 10.0
STOP_S: Final = 5.0  # for requests in flight, when the agent ends; orders have longer
BACKLOG: Final = 256


class AgentServer:
    """One agent's server; use it with ``async with``, or `start` and `stop`.

    Parameters
    ----------
    app
        The agent.
    host, port
        Where to listen; a free port unless told.
    certificate, key
        PEM files of the certificate chain and its key; plain HTTP without them.
    keep_alive_s
        After how long an idle connection is dropped.
    stop_s
        How long requests in flight may take when it ends.
    """

    def __init__(
        self,
        app: AgentApp,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        certificate: Path | None = None,
        key: Path | None = None,
        keep_alive_s: float = KEEP_ALIVE_S,
        stop_s: float = STOP_S,
    ) -> None:
        if (certificate is None) != (key is None):
            raise ValueError("A certificate needs its key, and a key its certificate.")
        self.app = app
        self.secure = certificate is not None
        self._stop_s = stop_s
        self._socket = _listening(host, port)
        self.host: str = host
        self.port: int = self._socket.getsockname()[1]
        self._config = _config(certificate, key, keep_alive_s, stop_s)
        self._stopping = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        state = "stopped" if self._running is None else "running"
        return f"<fleetkit.agent AgentServer {self.url}, {state}>"

    @property
    def url(self) -> str:
        """Where it listens."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}"

    async def __aenter__(self) -> AgentServer:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Begin to serve on the running loop."""
        # The socket listens already: whoever connects now waits in its backlog.
        self._config.bind = [f"fd://{self._socket.detach()}"]
        self._running = asyncio.create_task(self._run())

    async def wait(self) -> None:
        """Serve until `stop` is called, or the server fails."""
        if self._running is not None:
            await asyncio.shield(self._running)

    async def stop(self) -> None:
        """End: take no more requests, let those in flight end, give the port back."""
        self._stopping.set()
        running, self._running = self._running, None
        if running is None:
            self._socket.close()
            return
        await asyncio.wait([running], timeout=self._stop_s + 1.0)
        if not running.done():
            running.cancel()  # a terminal hangs, and its callers with it
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await self.app.close()

    async def _run(self) -> None:
        # An ASGI app for hypercorn's checker, whose TypedDicts are narrower than ours.
        await serve(cast(Any, self.app), self._config, shutdown_trigger=self._stopping.wait)


def _config(
    certificate: Path | None, key: Path | None, keep_alive_s: float, stop_s: float
) -> Config:
    config = Config()
    if certificate is not None and key is not None:
        config.certfile, config.keyfile = str(certificate), str(key)
    config.keep_alive_timeout = keep_alive_s
    config.keep_alive_max_requests = REQUESTS_PER_CONNECTION
    config.h2_max_concurrent_streams = STREAMS
    config.graceful_timeout = stop_s
    config.ssl_handshake_timeout = HANDSHAKE_S
    config.include_server_header = False  # nobody's business
    config.accesslog = None
    config.errorlog = logging.getLogger("fleetkit.agent.server")
    return config


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named: asyncio turns off the delay of small packets only then.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    with contextlib.ExitStack() as undo:
        undo.callback(listening.close)
        # Windows means something else by it: two agents would share one port.
        own = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
        listening.setsockopt(socket.SOL_SOCKET, own, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
        listening.setblocking(False)
        undo.pop_all()
    return listening
