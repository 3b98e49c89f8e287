"""A scripted HTTP server on real sockets: what it does wrong is what a test says.

Why: a mock cannot drop a connection, send half a body or forget a stream. It speaks
plain HTTP/1.1, TLS, and HTTP/2 (by ALPN, or at once), each written out here so that
nothing repairs what a script breaks. It runs on a thread of its own, so that the
client under test may block, fork or die. The trap: wait for what the server saw
(`RawServer.wait`), never for time.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

FIRST_ACCOUNT = 7100001
BOUND_S = 8.0  # no wait in a test lasts longer: less than a call's own deadline


@dataclass
class Request:
    """One request as it arrived."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    agent: int  # which of the server's ports
    connection: int  # counted from 1
    number: int  # of all requests, counted from 1
    on_connection: int  # of this connection's requests, counted from 1


class Exchange:
    """A request and the ways to answer it, or not to."""

    def __init__(self, server: RawServer, peer: _Peer, request: Request) -> None:
        self.server, self.peer, self.request = server, peer, request

    async def reply(
        self,
        body: Any = None,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Answer properly. A body that is not bytes goes out as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self.peer.reply(
            self, status, {"content-type": "application/json", **(headers or {})}, content
        )

    async def head(self, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Send the head of an answer whose body comes in pieces, through `piece`."""
        await self.peer.head(self, status, headers or {})

    async def piece(self, data: bytes) -> None:
        """Send a piece of a body."""
        await self.peer.piece(self, data)

    async def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.peer.writer.write(data)
        await self.peer.writer.drain()

    def close(self) -> None:
        """Close the connection in an orderly way."""
        self.peer.writer.close()

    def reset(self) -> None:
        """Break the connection: the client gets a reset."""
        self.peer.reset()

    async def hang(self) -> None:
        """Answer nothing until the client gives the connection up."""
        await self.peer.gone.wait()

    async def until(self, event: threading.Event) -> None:
        """Answer nothing until the test says so."""
        await asyncio.get_running_loop().run_in_executor(None, event.wait, BOUND_S)


Script = Callable[[Exchange], Awaitable[None]]


async def base_agent(exchange: Exchange) -> None:
    """Answer as an agent of the base layer does."""
    request = exchange.request
    number = FIRST_ACCOUNT + request.agent
    account = {
        "account_number": number,
        "account_name": f"Account {number}",
        "balance": 1000.0 + request.agent,
        "status": "connected",
        "has_open_position": False,
        "initial_balance": 1000.0,
    }
    answers: dict[str, Any] = {
        "/accounts": account,
        "/health": {"status": "healthy", "accounts_monitored": 1, "mt5_initialized": True},
        "/positions": {"account_number": number, "position_count": 0, "positions": []},
        "/trade-history": {"account_number": number, "total_trades": 0, "trades": []},
        "/refresh": {"status": "ok", "message": "reconnected"},
        "/quote/EURUSD": {"symbol": "EURUSD", "bid": 1.1, "ask": 1.1002},
    }
    if request.path in answers:
        await exchange.reply(answers[request.path])
    else:
        await exchange.reply({"detail": "Not Found"}, status=404)


@dataclass
class Seen:
    """What the server has seen so far; read under the server's condition."""

    connections: int = 0
    open: int = 0
    handshakes: int = 0
    requests: list[Request] = field(default_factory=list)
    concurrent: int = 0
    most_concurrent: int = 0
    protocols: list[str] = field(default_factory=list)
    connection_errors: int = 0


class RawServer:
    """Some agents on loopback ports, all following one script.

    Parameters
    ----------
    script
        What to do with each request.
    agents
        How many ports.
    tls
        A server-side context; ALPN decides between HTTP/1.1 and HTTP/2.
    h2c
        Speak HTTP/2 on plain connections.
    max_streams
        The limit an HTTP/2 server advertises; ``None`` advertises none.
    """

    def __init__(
        self,
        script: Script = base_agent,
        *,
        agents: int = 1,
        tls: ssl.SSLContext | None = None,
        h2c: bool = False,
        max_streams: int | None = 100,
    ) -> None:
        self.script = script
        self.tls, self.h2c, self.max_streams = tls, h2c, max_streams
        self.seen = Seen()
        self.changed = threading.Condition()
        self.peers: set[_Peer] = set()
        self.failures: list[BaseException] = []
        self._count = agents
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="raw-server", daemon=True)
        self.ports: list[int] = []

    @property
    def url(self) -> str:
        """Of the first agent."""
        return self.urls[0]

    @property
    def urls(self) -> list[str]:
        """Of every agent."""
        scheme = "https" if self.tls else "http"
        return [f"{scheme}://127.0.0.1:{port}" for port in self.ports]

    def agents(self, **extra: Any) -> list[dict[str, Any]]:
        """What `connect` takes."""
        return [{"name": f"a{i}", "url": url, **extra} for i, url in enumerate(self.urls)]

    @property
    def requests(self) -> list[Request]:
        """Every request so far."""
        with self.changed:
            return list(self.seen.requests)

    @property
    def paths(self) -> list[str]:
        """The paths of every request so far."""
        return [request.path for request in self.requests]

    def wait(self, condition: Callable[[Seen], object], within_s: float = BOUND_S) -> None:
        """Wait until the server has seen what `condition` asks for."""
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self.seen), within_s), self.seen

    def wait_for_requests(self, count: int) -> None:
        """Wait until so many requests have arrived."""
        self.wait(lambda seen: len(seen.requests) >= count)

    def wait_until_left(self) -> None:
        """Wait until no client is connected."""
        self.wait(lambda seen: seen.open == 0)

    def on_server(self, function: Callable[[], Any]) -> None:
        """Run a function on the server's thread, and wait for it."""

        async def run() -> None:
            function()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(BOUND_S)

    def drop_idle(self) -> None:
        """Close our end of every connection without a request; `wait_until_left` sees theirs."""

        def drop() -> None:
            for peer in tuple(self.peers):
                if not peer.busy:
                    peer.drop()

        self.on_server(drop)

    def __enter__(self) -> RawServer:
        started = threading.Event()
        self._loop.call_soon(started.set)
        self._thread.start()
        assert started.wait(BOUND_S)
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(BOUND_S)
        return self

    def __exit__(self, *exception: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(BOUND_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(BOUND_S)
        self._loop.close()
        if not any(exception) and self.failures:
            raise self.failures[0]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _listen(self) -> None:
        self._servers = []
        for index in range(self._count):
            server = await asyncio.start_server(
                lambda reader, writer, index=index: self._accept(reader, writer, index),
                "127.0.0.1",
                0,
                ssl=self.tls,
            )
            self._servers.append(server)
            self.ports.append(server.sockets[0].getsockname()[1])

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        for peer in tuple(self.peers):
            peer.writer.transport.abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if tasks:
            _, hanging = await asyncio.wait(tasks, timeout=1.0)
            for task in hanging:
                task.cancel()
            await asyncio.gather(*hanging, return_exceptions=True)
        await self._loop.shutdown_default_executor()

    async def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, agent: int
    ) -> None:
        ssl_object = writer.get_extra_info("ssl_object")
        protocol = ssl_object.selected_alpn_protocol() if ssl_object else None
        is_h2 = protocol == "h2" or (self.h2c and ssl_object is None)
        with self.changed:
            self.seen.connections += 1
            self.seen.open += 1
            self.seen.protocols.append("h2" if is_h2 else "http/1.1")
            self.changed.notify_all()
            number = self.seen.connections
        kind = _Http2Peer if is_h2 else _Http11Peer
        peer = kind(self, reader, writer, agent, number)
        self.peers.add(peer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                await peer.serve()
        except asyncio.CancelledError:
            pass  # the test is over; asyncio.streams of 3.11 would log it
        except Exception as error:  # a test looks at what failed, and it goes on
            self.failures.append(error)
            raise
        finally:
            self.peers.discard(peer)
            peer.gone.set()
            writer.close()
            with self.changed:
                self.seen.open -= 1
                self.changed.notify_all()

    async def answer(self, peer: _Peer, request: Request) -> None:
        """Count, and follow the script."""
        with self.changed:
            self.seen.requests.append(request)
            request.number = len(self.seen.requests)
            self.seen.concurrent += 1
            self.seen.most_concurrent = max(self.seen.most_concurrent, self.seen.concurrent)
            self.changed.notify_all()
        try:
            await self.script(Exchange(self, peer, request))
        except ConnectionError:
            pass  # the client left
        except Exception as error:  # a test looks at what failed, and it goes on
            self.failures.append(error)
            raise
        finally:
            with self.changed:
                self.seen.concurrent -= 1
                self.changed.notify_all()


class _Peer:
    """One client connection."""

    dropped = False

    def __init__(
        self,
        server: RawServer,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        agent: int,
        number: int,
    ) -> None:
        self.server, self.reader, self.writer = server, reader, writer
        self.agent, self.number = agent, number
        self.count = 0
        self.busy = 0
        self.gone = asyncio.Event()

    def request(self, method: str, target: str, headers: dict[str, str]) -> Request:
        path, _, query = target.partition("?")
        self.count += 1
        return Request(method, path, query, headers, self.agent, self.number, 0, self.count)

    def reset(self) -> None:
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def drop(self) -> None:
        """Say that no more comes; the connection is gone once the client says so too."""
        self.dropped = True
        if self.writer.can_write_eof():
            self.writer.write_eof()
        else:
            self.writer.close()

    async def serve(self) -> None:
        raise NotImplementedError

    async def reply(
        self, exchange: Exchange, status: int, headers: dict[str, str], body: bytes
    ) -> None:
        raise NotImplementedError

    async def head(self, exchange: Exchange, status: int, headers: dict[str, str]) -> None:
        raise NotImplementedError

    async def piece(self, exchange: Exchange, data: bytes) -> None:
        raise NotImplementedError


class _Http11Peer(_Peer):
    async def serve(self) -> None:
        arrived: asyncio.Queue[Request | None] = asyncio.Queue()
        # Read ahead, or nobody would notice the client leaving while a script hangs.
        pump = asyncio.ensure_future(self._pump(arrived))
        try:
            while (request := await arrived.get()) is not None:
                self.busy += 1
                try:
                    await self.server.answer(self, request)
                finally:
                    self.busy -= 1
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)

    async def _pump(self, arrived: asyncio.Queue[Request | None]) -> None:
        try:
            while True:
                head = await self.reader.readuntil(b"\r\n\r\n")
                first, *lines = head.decode("latin-1").split("\r\n")
                method, target, _ = first.split(" ")
                pairs = (line.split(":", 1) for line in lines if ":" in line)
                headers = {name.lower(): value.strip() for name, value in pairs}
                await self.reader.readexactly(int(headers.get("content-length", "0")))
                arrived.put_nowait(self.request(method, target, headers))
        finally:
            self.gone.set()
            arrived.put_nowait(None)

    async def reply(
        self, exchange: Exchange, status: int, headers: dict[str, str], body: bytes
    ) -> None:
        await self.head(exchange, status, {"content-length": str(len(body)), **headers})
        await self.piece(exchange, body)

    async def head(self, exchange: Exchange, status: int, headers: dict[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} Scripted", *(f"{n}: {v}" for n, v in headers.items())]
        await exchange.raw("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")

    async def piece(self, exchange: Exchange, data: bytes) -> None:
        await exchange.raw(data)


class _Http2Peer(_Peer):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        codes = h2.settings.SettingCodes
        values = {codes.MAX_HEADER_LIST_SIZE: 65536}
        if self.server.max_streams is not None:
            values[codes.MAX_CONCURRENT_STREAMS] = self.server.max_streams
        self.state.local_settings = h2.settings.Settings(client=False, initial_values=values)
        self.streams: dict[int, asyncio.Task[None]] = {}
        self.answered_ping = asyncio.Event()

    async def serve(self) -> None:
        self.state.initiate_connection()
        await self.flush()
        try:
            while data := await self.reader.read(65536):
                try:
                    events = self.state.receive_data(data)
                except h2.exceptions.ProtocolError:
                    with self.server.changed:
                        self.server.seen.connection_errors += 1
                        self.server.changed.notify_all()
                    await self.flush()
                    return
                for event in events:
                    if isinstance(event, h2.events.RequestReceived):
                        self.start(event)
                    elif isinstance(event, h2.events.PingAckReceived):
                        self.answered_ping.set()
                await self.flush()
        finally:
            self.gone.set()
            for task in self.streams.values():
                task.cancel()
            await asyncio.gather(*self.streams.values(), return_exceptions=True)

    def start(self, event: h2.events.RequestReceived) -> None:
        headers = {n.decode(): v.decode() for n, v in event.headers or ()}
        request = self.request(headers[":method"], headers[":path"], headers)
        stream = event.stream_id
        assert stream is not None
        self.busy += 1
        task = asyncio.ensure_future(self.server.answer(_Stream(self, stream), request))
        self.streams[stream] = task
        task.add_done_callback(lambda _: self.finished(stream))

    def finished(self, stream: int) -> None:
        self.busy -= 1
        self.streams.pop(stream, None)

    async def flush(self) -> None:
        data = self.state.data_to_send()
        if data and not self.dropped:
            self.writer.write(data)
            await self.writer.drain()


class _Stream(_Peer):
    """One stream of an HTTP/2 connection, in the place of a connection."""

    def __init__(self, peer: _Http2Peer, stream: int) -> None:
        self.peer, self.stream = peer, stream
        self.writer, self.gone = peer.writer, peer.gone
        self.number = peer.number

    async def reply(
        self, exchange: Exchange, status: int, headers: dict[str, str], body: bytes
    ) -> None:
        await self.head(exchange, status, headers)
        await self.piece(exchange, body)
        self.peer.state.end_stream(self.stream)
        await self.peer.flush()

    async def head(self, exchange: Exchange, status: int, headers: dict[str, str]) -> None:
        self.peer.state.send_headers(self.stream, [(":status", str(status)), *headers.items()])
        await self.peer.flush()

    async def piece(self, exchange: Exchange, data: bytes) -> None:
        frame = self.peer.state.max_outbound_frame_size
        for start in range(0, len(data), frame):
            self.peer.state.send_data(self.stream, data[start : start + frame])
            await self.peer.flush()

    async def ping(self) -> None:
        """Ask, and wait for the answer: whatever was sent before has been read."""
        self.peer.answered_ping.clear()
        self.peer.state.ping(b"are you?")
        await self.peer.flush()
        await self.peer.answered_ping.wait()

    def reset_stream(self) -> None:
        self.peer.state.reset_stream(self.stream)

    async def go_away(self, last_stream: int | None = None) -> None:
        """Announce that the server closes; streams above `last_stream` were not looked at."""
        self.peer.state.close_connection(
            last_stream_id=self.stream if last_stream is None else last_stream
        )
        await self.peer.flush()
