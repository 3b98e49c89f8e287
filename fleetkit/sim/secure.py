"""Serves a simulated fleet over TLS on loopback: HTTP/2 by ALPN and HTTP/1.1.

Why: HTTP/2 can only be met where it is really negotiated. May import `authority`,
`secure_line` and the simulator below; nothing else imports this module.
The trap: a handshake may be slow, and its certificate wrong, for one agent of many.
So each connection is accepted by hand and chooses its context when it comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from pathlib import Path
from typing import Final

from fleetkit.agent.app import Layer, Scope
from fleetkit.clock import Clock
from fleetkit.sim.authority import Authority
from fleetkit.sim.faults import HEALTHY, Faults
from fleetkit.sim.fleet import SimFleet
from fleetkit.sim.line import Line
from fleetkit.sim.ports import LOOPBACK, allow_files, bound
from fleetkit.sim.seat import ServedAgent
from fleetkit.sim.secure_line import STREAMS, SecureLine, settings

BACKLOG: Final = 256
HANDSHAKE_S: Final = 10.0
TICK_S: Final = 0.1  # between two looks whether to end
PAUSE_S: Final = 0.05  # after a connection that could not be accepted


class SecureDoor:
    """One agent's port: open, or shut so that connections are refused."""

    def __init__(self, authority: Authority, keep_alive_s: float) -> None:
        self.port: int
        self._authority = authority
        self._keep_alive_s = keep_alive_s
        self._config = settings(keep_alive_s)
        self._socket = bound(0)
        self.port = self._socket.getsockname()[1]
        self.handshakes = 0  # under way
        self._accepting: asyncio.Task[None] | None = None
        self._callers: set[asyncio.Task[None]] = set()
        self._lines: dict[tuple[str, int], SecureLine] = {}

    def __repr__(self) -> str:
        state = "shut" if self._accepting is None else "open"
        return f"<fleetkit.sim SecureDoor {self.port}, {state}, {len(self._lines)} connections>"

    def line_of(self, scope: Scope) -> Line | None:
        """The live connection of a request."""
        return self._lines.get(tuple(scope["client"]))

    def open(self, agent: ServedAgent) -> None:
        """Listen."""
        if self._accepting is None:
            self._socket.listen(BACKLOG)
            self._accepting = asyncio.create_task(self._accept(agent))

    async def shut(self) -> None:
        """Refuse connections, cut those there are, and keep the port."""
        if self._accepting is not None:
            await self._end()
            self._socket = bound(self.port)

    async def close(self) -> None:
        """Give the port back."""
        await self._end()

    async def apply(self, faults: Faults) -> None:
        """Hold connections to these faults, those that are there included."""
        idle_s = faults.idle_cut_s or self._keep_alive_s
        streams = faults.stream_limit or STREAMS
        changed = idle_s != self._config.keep_alive_timeout
        limited = streams != self._config.h2_max_concurrent_streams
        self._config.keep_alive_timeout = idle_s
        self._config.h2_max_concurrent_streams = streams
        for line in list(self._lines.values()):
            if changed:
                await line.start_idling()
            if limited:
                await line.limit_streams(streams)

    async def _end(self) -> None:
        tasks = [task for task in (self._accepting, *self._callers) if task is not None]
        for task in tasks:
            task.cancel()
        for line in list(self._lines.values()):
            line.transport.abort()
        if tasks:
            await asyncio.wait(tasks)
        self._accepting = None
        self._socket.close()

    async def _accept(self, agent: ServedAgent) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._socket)
            except OSError:
                await asyncio.sleep(PAUSE_S)  # no file left, or a caller who gave up
                continue
            caller = asyncio.create_task(self._serve(agent, connection))
            self._callers.add(caller)
            caller.add_done_callback(self._callers.discard)

    async def _serve(self, agent: ServedAgent, connection: socket.socket) -> None:
        condition = agent.condition
        with contextlib.ExitStack() as undo:
            undo.callback(connection.close)
            if condition.faults.slow_tls_s:
                await condition.change(timeout_s=condition.faults.slow_tls_s)
            undo.pop_all()  # from here on its transport closes it
        self.handshakes += 1
        try:
            reader, writer = await self._shake_hands(condition.faults, connection)
        except OSError:  # the client went away, or did not like the certificate
            return
        finally:
            self.handshakes -= 1
        line = SecureLine(agent, self._config, reader, writer)
        name = writer.get_extra_info("peername")
        self._lines[name] = line
        try:
            await line.serve()
        finally:
            del self._lines[name]
            line.transport.abort()

    async def _shake_hands(
        self, faults: Faults, connection: socket.socket
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            connection,
            ssl=self._authority.context(faults),
            ssl_handshake_timeout=HANDSHAKE_S,
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


class SecureFleetServer:
    """A TLS door per agent, each with a token of its own.

    Parameters
    ----------
    fleet
        Whom to serve.
    clock
        Waits of simulated latencies.
    keep_alive_s
        After how long an idle connection is dropped.
    folder
        Where the authority's certificate and the tokens are put.
    """

    tls: Final = True
    layer: Final[Layer] = "extended"

    def __init__(self, fleet: SimFleet, clock: Clock, *, keep_alive_s: float, folder: Path) -> None:
        allow_files(len(fleet.seats))
        self.fleet = fleet
        self.ready = asyncio.Event()
        self.should_exit = False
        self._folder = folder
        self._clock = clock
        self._parent = os.getppid()
        self._authority = Authority(folder, clock.now())
        self._authority.context(HEALTHY)
        self._doors = [SecureDoor(self._authority, keep_alive_s) for _ in fleet.seats]
        self.served = [
            ServedAgent(
                seat, fleet, clock, door.line_of, "extended", token=secrets.token_urlsafe(24)
            )
            for seat, door in zip(fleet.seats, self._doors, strict=True)
        ]

    @property
    def busy(self) -> bool:
        """Whether clients wait for handshakes."""
        return any(door.handshakes for door in self._doors)

    def agents(self) -> list[dict[str, object]]:
        """What a client needs to connect to each of them."""
        return [
            {
                "name": agent.seat.agent,
                "url": f"https://{LOOPBACK}:{door.port}",
                "account": agent.seat.account,
                "margin_mode": self.fleet.terminal(agent.seat.account).margin_mode,
                "ca_file": str(self._authority.file),
                "token": f"file:{self._token_file(agent)}",
            }
            for door, agent in zip(self._doors, self.served, strict=True)
        ]

    async def set_faults(self, agent: ServedAgent, faults: Faults) -> None:
        """Put faults in place for one agent."""
        door = self._doors[self.served.index(agent)]
        agent.condition.set(faults)
        await door.apply(faults)
        if faults.refuse:
            await door.shut()
        else:
            door.open(agent)

    async def serve(self) -> None:
        """Serve until told to end, or until the process that started this one is gone."""
        for door, agent in zip(self._doors, self.served, strict=True):
            self._write_token(agent)
            door.open(agent)
        self.ready.set()
        while not self.should_exit and os.getppid() == self._parent:
            await self._clock.sleep(TICK_S)
        self.should_exit = True
        await asyncio.gather(*(door.close() for door in self._doors))

    def _token_file(self, agent: ServedAgent) -> Path:
        return self._folder / f"{agent.seat.agent}.token"

    def _write_token(self, agent: ServedAgent) -> None:
        # A file, for a token on a command line or in a repr is everybody's.
        file = self._token_file(agent)
        file.touch(mode=0o600)
        file.write_text(agent.token or "", encoding="ascii")
