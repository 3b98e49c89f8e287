"""Serves a simulated fleet on loopback: one TCP port per agent, one process.

Why: real sockets and a real server, so the client meets what it meets in the
field: idle connections dropped after 5 s, refused connections, resets. May
import uvicorn and the simulator below it; nothing else imports this module.
The trap: a refusing agent must keep its port. Its socket is closed and the port
bound again without listening, which the system answers with a refusal.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Final, Protocol, cast

import uvicorn

from fleetkit.agent.app import Layer, Receive, Scope, Send
from fleetkit.clock import Clock
from fleetkit.errors import DemoError
from fleetkit.sim.faults import Faults
from fleetkit.sim.fleet import SimFleet
from fleetkit.sim.line import Line
from fleetkit.sim.ports import LOOPBACK, allow_files, bound
from fleetkit.sim.seat import ServedAgent

CLOSING_TURNS: Final = 100  # to wait for a listening socket to close


class Door:
    """One agent's port: open, or shut so that connections are refused."""

    def __init__(self, protocol: Callable[[Door], asyncio.Protocol], keep_alive_s: float) -> None:
        self._protocol = protocol
        self.keep_alive_s = keep_alive_s
        self._socket = bound(0)
        self._server: asyncio.Server | None = None
        self.port: int = self._socket.getsockname()[1]

    def __repr__(self) -> str:
        state = "shut" if self._server is None else "open"
        return f"<fleetkit.sim Door {self.port}, {state}>"

    async def open(self) -> None:
        """Listen."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            protocol = partial(self._protocol, self)
            self._server = await loop.create_server(protocol, sock=self._socket)

    async def shut(self) -> None:
        """Refuse connections, and keep the port."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for _ in range(CLOSING_TURNS):
            try:
                self._socket = bound(self.port)
            except OSError:
                await asyncio.sleep(0.01)  # uvloop closes a socket some turns later
            else:
                return
        raise DemoError(f"Port {self.port} could not be kept: start another demo.")

    def close(self) -> None:
        """Give the port back."""
        if self._server is not None:
            self._server.close()
        self._socket.close()


class Connection(Protocol):
    """What uvicorn's HTTP/1.1 protocols, h11 and httptools alike, know of a connection."""

    client: tuple[str, int] | None
    server: tuple[str, int | None] | None
    transport: asyncio.Transport
    timeout_keep_alive: float
    timeout_keep_alive_task: asyncio.TimerHandle | None

    def timeout_keep_alive_handler(self) -> None:
        """Close it if it is still idle."""


class FleetServer(uvicorn.Server):
    """One uvicorn server with a door per agent.

    Parameters
    ----------
    fleet
        Whom to serve.
    clock
        Waits of simulated latencies.
    keep_alive_s
        After how long an idle connection is dropped; 5 s on real agents (T12).
    layer
        What the agents speak: ``"base"`` or ``"extended"``.
    """

    tls: Final = False
    busy: Final = False  # a connection without TLS costs nothing

    def __init__(
        self, fleet: SimFleet, clock: Clock, *, keep_alive_s: float, layer: Layer = "base"
    ) -> None:
        config = uvicorn.Config(
            self._answer,
            interface="asgi3",
            http="httptools" if find_spec("httptools") else "h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            date_header=False,  # each machine has a clock of its own
        )
        super().__init__(config)
        allow_files(len(fleet.seats))
        self.fleet = fleet
        self.layer: Layer = layer
        self.ready = asyncio.Event()
        self.served = [
            ServedAgent(seat, fleet, clock, self._line_of, layer) for seat in fleet.seats
        ]
        self._parent = os.getppid()
        self._keep_alive_s = keep_alive_s
        self._doors = [Door(self._protocol, keep_alive_s) for _ in fleet.seats]
        self._by_port = {
            door.port: agent for door, agent in zip(self._doors, self.served, strict=True)
        }

    def agents(self) -> list[dict[str, object]]:
        """Name, url and account of every agent."""
        return [
            {
                "name": agent.seat.agent,
                "url": f"http://{LOOPBACK}:{port}",
                "account": agent.seat.account,
                "margin_mode": self.fleet.terminal(agent.seat.account).margin_mode,
            }
            for port, agent in self._by_port.items()
        ]

    async def set_faults(self, agent: ServedAgent, faults: Faults) -> None:
        """Put faults in place for one agent."""
        door = self._doors[self.served.index(agent)]
        agent.condition.set(faults)
        self._time(door, faults.idle_cut_s or self._keep_alive_s)
        if faults.refuse:
            await door.shut()
            self._cut(door.port)
        else:
            await door.open()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open every door."""
        for door in self._doors:
            await door.open()
        self.started = True
        self.ready.set()

    async def on_tick(self, counter: int) -> bool:
        """Whether to end: also when the process that started this one is gone."""
        # End of input says the same, unless a forked sibling keeps the pipe open.
        if os.getppid() != self._parent:
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End at once: nobody waits for a simulated answer."""
        for door in self._doors:
            door.close()
            self._cut(door.port)
        for task in self.server_state.tasks:
            task.cancel()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._by_port[scope["server"][1]](scope, receive, send)

    def _protocol(self, door: Door) -> asyncio.Protocol:
        protocol = self.config.http_protocol_class(  # type: ignore[call-arg]  # typed as bare Protocol
            config=self.config,
            server_state=self.server_state,
            app_state={},
            _loop=asyncio.get_running_loop(),
        )
        cast(Connection, protocol).timeout_keep_alive = door.keep_alive_s
        return protocol

    def _time(self, door: Door, keep_alive_s: float) -> None:
        if door.keep_alive_s == keep_alive_s:
            return
        door.keep_alive_s = keep_alive_s
        loop = asyncio.get_running_loop()
        for connection in self._connections(door.port):
            connection.timeout_keep_alive = keep_alive_s
            idle = connection.timeout_keep_alive_task
            if idle is not None:
                idle.cancel()
                connection.timeout_keep_alive_task = loop.call_later(
                    keep_alive_s, connection.timeout_keep_alive_handler
                )

    def _line_of(self, scope: Scope) -> Line | None:
        client = tuple(scope["client"])
        for connection in self._connections(scope["server"][1]):
            if connection.client == client:
                return Line(connection.transport)
        return None

    def _connections(self, port: int) -> list[Connection]:
        live = cast(list[Connection], list(self.server_state.connections))
        return [each for each in live if each.server is not None and each.server[1] == port]

    def _cut(self, port: int) -> None:
        for connection in self._connections(port):
            connection.transport.abort()
