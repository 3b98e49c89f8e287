"""The simulator's ear: commands on standard input, answers on standard output.

Why: whoever started the process changes faults and reads counters without a
port that a fleet could mistake for an agent. May import `by_hand` and the
simulator below it, no server.
The trap: the end of input is an order too. The pipe closes when the parent dies,
by whatever means, and a fleet nobody can talk to must not outlive it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec

from fleetkit.agent.app import Layer
from fleetkit.agent.terminal import TerminalError
from fleetkit.errors import DemoError
from fleetkit.sim.by_hand import COMMANDS, obey
from fleetkit.sim.faults import Faults
from fleetkit.sim.fleet import SimFleet
from fleetkit.sim.seat import ServedAgent

STDIN: Final = 0
PIECE: Final = 65_536


class Host(Protocol):
    """A server of a whole fleet."""

    fleet: SimFleet
    ready: asyncio.Event
    should_exit: bool

    @property
    def served(self) -> Sequence[ServedAgent]:
        """Its agents."""

    @property
    def layer(self) -> Layer:
        """What they speak."""

    @property
    def tls(self) -> bool:
        """Whether over TLS."""

    @property
    def busy(self) -> bool:
        """Whether idle work should wait."""

    def agents(self) -> list[dict[str, object]]:
        """What a client needs to connect to each."""

    async def set_faults(self, agent: ServedAgent, faults: Faults) -> None:
        """Put faults in place for one agent."""

    async def serve(self) -> None:
        """Serve until told to end."""


class SetFaults(msgspec.Struct, frozen=True):
    """The argument of ``set_faults``; no agent means all of them."""

    agent: str | None
    faults: Faults


class Control:
    """Reads commands until ``stop`` or the end of input, then ends the server."""

    def __init__(self, server: Host) -> None:
        self.announced = asyncio.Event()
        self._server = server
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def run(self) -> None:
        """Say what is served, then do as told."""
        await self._server.ready.wait()
        self._listen()
        labels = {str(account): label for account, label in self._server.fleet.labels().items()}
        say({"agents": self._server.agents(), "labels": labels})
        self.announced.set()
        while not self._server.should_exit:
            line = await self._lines.get()
            if line is None:
                self._server.should_exit = True
            else:
                say(await self._obey(line))

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()

        def put(line: bytes | None) -> None:
            loop.call_soon_threadsafe(self._lines.put_nowait, line)

        # A thread, because asyncio reads pipes on some systems only. A daemon,
        # and os.read: it may still wait for a line when the interpreter ends.
        threading.Thread(target=read_lines, args=(put,), daemon=True, name="fleet-ear").start()

    async def _obey(self, line: bytes) -> dict[str, Any]:
        try:
            command = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
            number = msgspec.json.decode(command.pop("id", msgspec.Raw(b"null")))
        except msgspec.DecodeError as error:
            return {"error": f"not a command: {error}"}
        try:
            return {"id": number, **await self._do(command)}
        except (msgspec.DecodeError, LookupError, DemoError, TerminalError) as error:
            return {"id": number, "error": str(error)}

    async def _do(self, command: dict[str, msgspec.Raw]) -> dict[str, Any]:
        match list(command.items()):
            case [("set_faults", argument)]:
                await self._set_faults(msgspec.json.decode(argument, type=SetFaults))
                return {"set_faults": None}
            case [("requests", _)]:
                return {"requests": self._requests()}
            case [("executed", argument)]:
                (agent,) = self._chosen(msgspec.json.decode(argument, type=str))
                return {"executed": agent.executed}
            case [("stop", _)]:
                self._server.should_exit = True
                return {"stop": None}
            case [(name, argument)] if name in COMMANDS:
                return {name: await obey(self._server.fleet, name, argument)}
        known = ("set_faults", "requests", "executed", *COMMANDS)
        raise LookupError(f"commands are {', '.join(known)} and stop, found {list(command)}")

    async def _set_faults(self, wanted: SetFaults) -> None:
        unfit = wanted.faults.unfit(layer=self._server.layer, tls=self._server.tls)
        if unfit is not None:
            raise DemoError(unfit)
        for agent in self._chosen(wanted.agent):
            await self._server.set_faults(agent, wanted.faults)

    def _requests(self) -> dict[str, dict[str, int]]:
        served = self._server.served
        return {agent.seat.agent: dict(agent.requests) for agent in served if agent.requests}

    def _chosen(self, name: str | None) -> list[ServedAgent]:
        chosen = [agent for agent in self._server.served if name in (None, agent.seat.agent)]
        if not chosen:
            raise LookupError(f"no agent is named {name!r}")
        return chosen


def read_lines(put: Callable[[bytes | None], object]) -> None:
    """Hand over each line of standard input, and ``None`` at its end."""
    rest = b""
    try:
        while piece := os.read(STDIN, PIECE):
            *lines, rest = (rest + piece).split(b"\n")
            for line in filter(None, lines):
                put(line)
        put(None)
    except RuntimeError:
        return  # the loop has ended meanwhile, and with it everything to be told


def say(answer: dict[str, Any]) -> None:
    """Write one JSON line."""
    try:
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Nobody listens any more; the end of input follows at once. Without
        # this the interpreter would complain when it flushes once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
