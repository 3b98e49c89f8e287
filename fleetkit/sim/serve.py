"""Serves a simulated fleet on loopback: one TCP port per agent, one process.

Why: real sockets and a real server, so the client meets what it meets in the
field: idle connections dropped after 5 s, refused connections, resets. May
import uvicorn and the simulator below it; nothing else imports this module.
The trap: a refusing agent must keep its port. Its socket is closed and the port
bound again without listening, which the system answers with a refusal.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from importlib.util import find_spec
from typing import Final, Protocol, cast

import uvicorn

from fleetkit.agent.app import Layer, Receive, Scope, Send
from fleetkit.clock import Clock
from fleetkit.errors import DemoError
from fleetkit.sim.faults import Faults
from fleetkit.sim.fleet import SimFleet
from fleetkit.sim.seat import ServedAgent

LOOPBACK: Final = "127.0.0.1"
CLOSING_TURNS: Final = 100  # to wait for a listening socket to close
SPARE_FILES: Final = 256  # what the process needs besides agents and their connections
FILES_PER_AGENT: Final = 10  # a door, and connections of a client with many lanes


class Door:
    """One agent's port: open, or shut so that connections are refused."""

    def __init__(self, protocol: Callable[[], asyncio.Protocol]) -> None:
        self._protocol = protocol
        self._socket = _bound(0)
        self._server: asyncio.Server | None = None
        self.port: int = self._socket.getsockname()[1]

    def __repr__(self) -> str:
        state = "shut" if self._server is None else "open"
        return f"<fleetkit.sim Door {self.port}, {state}>"

    async def open(self) -> None:
        """Listen."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._protocol, sock=self._socket)

    async def shut(self) -> None:
        """Refuse connections, and keep the port."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for _ in range(CLOSING_TURNS):
            try:
                self._socket = _bound(self.port)
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
            timeout_keep_alive=keep_alive_s,  # type: ignore[arg-type]  # only given to call_later
        )
        super().__init__(config)
        _allow_files(len(fleet.seats) * FILES_PER_AGENT + SPARE_FILES, len(fleet.seats))
        self.fleet = fleet
        self.ready = asyncio.Event()
        self._parent = os.getppid()
        self._served = [
            ServedAgent(seat, fleet, clock, self._transport_of, layer) for seat in fleet.seats
        ]
        self._doors = [Door(self._protocol) for _ in fleet.seats]
        self._by_port = {
            door.port: agent for door, agent in zip(self._doors, self._served, strict=True)
        }

    def agents(self) -> list[dict[str, object]]:
        """Name, url and account of every agent."""
        return [
            {
                "name": agent.seat.agent,
                "url": f"http://{LOOPBACK}:{port}",
                "account": agent.seat.account,
            }
            for port, agent in self._by_port.items()
        ]

    def requests(self) -> dict[str, dict[str, int]]:
        """Agent to route to number of requests; who was not asked is absent."""
        return {agent.seat.agent: dict(agent.requests) for agent in self._served if agent.requests}

    async def set_faults(self, name: str | None, faults: Faults) -> None:
        """Put faults in place for one agent, or for all.

        Raises
        ------
        LookupError
            No agent of that name.
        """
        chosen = [pair for pair in self._pairs() if name in (None, pair[1].seat.agent)]
        if not chosen:
            raise LookupError(f"no agent is named {name!r}")
        for door, agent in chosen:
            agent.condition.set(faults)
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

    def _pairs(self) -> list[tuple[Door, ServedAgent]]:
        return list(zip(self._doors, self._served, strict=True))

    def _protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]  # typed as bare Protocol
            config=self.config,
            server_state=self.server_state,
            app_state={},
            _loop=asyncio.get_running_loop(),
        )

    def _transport_of(self, scope: Scope) -> asyncio.Transport | None:
        ends = tuple(scope["client"]), tuple(scope["server"])
        for connection in self._connections():
            if (connection.client, connection.server) == ends:
                return connection.transport
        return None

    def _connections(self) -> list[Connection]:
        return cast(list[Connection], list(self.server_state.connections))

    def _cut(self, port: int) -> None:
        for connection in self._connections():
            if connection.server is not None and connection.server[1] == port:
                connection.transport.abort()


def _bound(port: int) -> socket.socket:
    # The protocol is named: asyncio turns off the delay of small packets only then.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    with contextlib.ExitStack() as undo:
        undo.callback(bound.close)
        if os.name == "posix":
            # The port is taken again while old connections linger on it. On
            # Windows this option would let others steal the port.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setblocking(False)
        bound.bind((LOOPBACK, port))
        undo.pop_all()
    return bound


def _allow_files(wanted: int, agents: int) -> None:
    try:
        import resource
    except ImportError:
        return  # Windows has no such limit for sockets
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    reachable = wanted if hard == unlimited else min(wanted, hard)
    if soft not in (unlimited,) and soft < reachable:
        resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
        soft = reachable
    if soft != unlimited and soft < 2 * agents + SPARE_FILES:
        raise DemoError(
            f"{agents} agents need {2 * agents + SPARE_FILES} open files, {soft} are allowed: "
            "ask for fewer accounts, or raise the limit with `ulimit -n`."
        )
