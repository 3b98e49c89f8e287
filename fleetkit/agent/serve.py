"""Serves one agent on a real socket: TLS with HTTP/2 by ALPN, HTTP/1.1, h2c.

Why: HTTP/2 needs a server that speaks it. May import hypercorn (the extra
``fleetkit[agent]``) and `app`; nothing else imports it.
The trap: hypercorn keeps task and socket of a connection that its client has closed
until keep-alive runs out, and its own loop cannot be told how to end. So its
protocols are used here, and the listening and the ending are ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Final, cast

from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Event, Updated

from fleetkit.agent.app import AgentApp

KEEP_ALIVE_S: Final = 120.0  # longer than clients keep a connection: they close it, not we
REQUESTS_PER_CONNECTION: Final = 1_000_000  # a GOAWAY fails what is in flight: never by count
STREAMS: Final = 100  # at once on one connection; a client that is told none sends one
HANDSHAKE_S: Final = 10.0
STOP_S: Final = 5.0  # for requests in flight, when the agent ends; orders have longer
FLUSH_S: Final = 0.5  # for the last answers to leave
CUT_S: Final = 1.0  # for what was cut off to end
BACKLOG: Final = 256
MOST_CONNECTIONS: Final = 1_000  # at once; more are closed at once
LOGGER: Final = logging.getLogger("fleetkit.agent.server")


class Connection(TCPServer):
    """One connection, gone as soon as its client is."""

    async def protocol_send(self, event: Event) -> None:
        """Wait for no next request from a client that has closed its side."""
        if isinstance(event, Updated) and event.idle and self.reader.at_eof():
            await self.idle_task.stop()
        else:
            await super().protocol_send(event)

    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()


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
    handshake_s
        How long a TLS handshake may take, the machine's own waits included.
    stop_s
        How long requests in flight may take when it ends; orders have the app's
        ``drain_s`` after that.
    most_connections
        How many there may be at once.
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
        handshake_s: float = HANDSHAKE_S,
        stop_s: float = STOP_S,
        most_connections: int = MOST_CONNECTIONS,
    ) -> None:
        if (certificate is None) != (key is None):
            raise ValueError("A certificate needs its key, and a key its certificate.")
        self.app = app
        self.secure = certificate is not None
        self._handshake_s, self._stop_s = handshake_s, stop_s
        self._socket = _listening(host, port)
        self.host: str = host
        self.port: int = self._socket.getsockname()[1]
        self._config = _config(certificate, key, keep_alive_s)
        self._most_connections = most_connections
        self._connections: set[asyncio.Task[Any]] = set()
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
        await running

    async def _run(self) -> None:
        context, tls = WorkerContext(None), self._config.create_ssl_context()
        # For hypercorn's checker, whose TypedDicts are narrower than our ASGI app.
        app = ASGIWrapper(cast(Any, self.app))

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._hold(app, context, reader, writer)

        server = await asyncio.start_server(
            connected,
            sock=self._socket,
            backlog=BACKLOG,
            ssl=tls,
            ssl_handshake_timeout=None if tls is None else self._handshake_s,
        )
        try:
            await self._stopping.wait()
            # Python 3.11 drops, and does not close, a connection that is just coming in.
            await asyncio.sleep(0)
        finally:
            server.close()
            await context.terminated.set()  # idle connections end by themselves
            await self._end()

    async def _hold(
        self,
        app: ASGIWrapper,
        context: WorkerContext,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        task = asyncio.current_task()
        if task is None or len(self._connections) >= self._most_connections:
            _abort(writer)
            return
        self._connections.add(task)
        loop = asyncio.get_running_loop()
        try:
            await Connection(app, loop, self._config, context, {}, reader, writer)
        except asyncio.CancelledError:
            pass  # cut off by `_end`, which waits for nothing but this
        except Exception as error:  # noqa: BLE001 - a broken connection is its client's trouble
            LOGGER.info("A connection broke: %r", error)
        finally:
            self._connections.discard(task)
            _abort(writer)

    async def _end(self) -> None:
        await self._quiet(self._stop_s)
        await self.app.close()  # whoever waits for an order is still connected
        await self._quiet(FLUSH_S)
        for connection in self._connections:
            connection.cancel()  # a terminal hangs, and its callers with it
        await self._quiet(CUT_S)
        await asyncio.sleep(0)  # a socket closes a turn after its owner let go

    async def _quiet(self, within_s: float) -> None:
        if self._connections:
            await asyncio.wait(set(self._connections), timeout=within_s)


def _abort(writer: asyncio.StreamWriter) -> None:
    # Python 3.11 raises where a TLS transport is closed already.
    with contextlib.suppress(AttributeError):
        writer.transport.abort()


def _config(certificate: Path | None, key: Path | None, keep_alive_s: float) -> Config:
    config = Config()
    if certificate is not None and key is not None:
        config.certfile, config.keyfile = str(certificate), str(key)
    config.keep_alive_timeout = keep_alive_s
    config.keep_alive_max_requests = REQUESTS_PER_CONNECTION
    config.h2_max_concurrent_streams = STREAMS
    config.include_server_header = False  # nobody's business
    config.accesslog = None
    config.errorlog = LOGGER
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
