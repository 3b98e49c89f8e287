"""The simulated fleet as a child process, held by a handle.

Why: a fleet in this process would share its interpreter lock and flatter no
measurement. Only the entry points may import this module: it is the one place
of the simulator that runs beside a client. May import `faults`, `model`, `errors`.
The trap: after a fork the child has the same pipes. It must neither speak into
them nor end its parent's fleet.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Literal, TypedDict, cast

import msgspec

from fleetkit.errors import DemoError
from fleetkit.model import Label
from fleetkit.sim.faults import HEALTHY, Faults

START_S: Final = 30.0
ANSWER_S: Final = 10.0
STOP_S: Final = 1.0  # to end by itself, before it is ended
TAIL: Final = 2_000  # characters of the child's complaints that an error shows
MISSING: Final = "The demo fleet needs uvicorn: pip install 'fleetkit[demo]'."


class SimAgent(TypedDict):
    """One agent, as `fleetkit.connect` takes it in a list."""

    name: str
    url: str
    account: int


class _Started(msgspec.Struct):
    agents: list[SimAgent]
    labels: dict[str, Label]


class _Child:
    """The process and its pipes; every exchange is a command and its answer."""

    def __init__(self, arguments: list[str]) -> None:
        self._owner = os.getpid()
        self._number = 0
        # A lock, though this house has one thread for what changes: a command
        # and its answer are one exchange over two pipes, it comes from cells,
        # widget callbacks and at exit, and what changes is another process.
        self._exchange = threading.Lock()
        # A pipe nobody reads would fill up. Closed in `stop`, so no context manager.
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - see above
        try:
            self._process = _spawn(arguments, self._complaints)
        except OSError as error:
            self._complaints.close()
            raise DemoError(f"The demo fleet could not be started: {error}.") from error
        self._input = cast("IO[bytes]", self._process.stdin)  # pipes, as `_spawn` asks for
        self._output = cast("IO[bytes]", self._process.stdout)

    @property
    def running(self) -> bool:
        """Whether this process may talk to it."""
        return os.getpid() == self._owner and self._process.poll() is None

    def first_line(self, timeout_s: float) -> bytes:
        """What it says when it is ready."""
        with self._exchange:
            return self._line(timeout_s)

    def ask(self, command: str, argument: object) -> Any:
        """Send one command; its answer."""
        if os.getpid() != self._owner:
            raise DemoError(
                "The demo fleet belongs to the parent process: start one in this process."
            )
        with self._exchange:
            if self._process.poll() is not None:
                raise DemoError(f"The demo fleet has ended: start another one.{self._tail()}")
            self._number += 1
            self._send({"id": self._number, command: argument})
            answer = self._answer()
        if "error" in answer:
            raise DemoError(f"The demo fleet refused {command}: {answer['error']}.")
        return answer[command]

    def stop(self) -> None:
        """End it; safe to call again, from any thread, and in a forked child."""
        if os.getpid() != self._owner:
            return  # a fork's copy: the fleet goes on serving the parent
        with contextlib.suppress(OSError, ValueError):
            self._input.close()  # the end of input is the order to end
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        # Whoever waits for an answer gets the end of the stream and lets go.
        with self._exchange:
            self._output.close()
            self._complaints.close()

    def _send(self, command: dict[str, object]) -> None:
        try:
            self._input.write(msgspec.json.encode(command) + b"\n")
            self._input.flush()
        except (OSError, ValueError) as error:
            raise DemoError(
                f"The demo fleet has ended: start another one.{self._tail()}"
            ) from error

    def _answer(self) -> dict[str, Any]:
        while True:
            answer: dict[str, Any] = msgspec.json.decode(self._line(ANSWER_S))
            # An older number is what an interrupted caller did not wait for.
            if answer.get("id") == self._number:
                return answer

    def _line(self, timeout_s: float) -> bytes:
        # Pipes have no read timeout on every system, but a child that is killed
        # closes its end. One that does not answer is of no use anyway.
        timer = threading.Timer(timeout_s, self._process.kill)
        timer.daemon = True
        timer.start()
        try:
            line = self._output.readline()
        finally:
            timer.cancel()
            timer.join()
        if not line.endswith(b"\n"):
            ended = self._process.wait() != -signal.SIGKILL
            what = "ended by itself" if ended else f"did not answer within {timeout_s:g} s"
            raise DemoError(f"The demo fleet {what}.{self._tail()}")
        return line

    def _tail(self) -> str:
        if self._complaints.closed:
            return ""
        self._process.poll()
        self._complaints.seek(0)
        text = self._complaints.read().decode(errors="replace").strip()[-TAIL:]
        return f" It said: {text}" if text else ""


def _spawn(arguments: list[str], complaints: IO[bytes]) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-m", "fleetkit.sim", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=complaints,
        # Found wherever this package was found, installed or not.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        # Away from the terminal's Ctrl-C, which interrupts a cell and not the fleet.
        start_new_session=True,
    )


class FaultControl:
    """What is wrong with whom, changeable while the fleet runs.

    Keys are agent names or account numbers::

        demo.faults[7100012] = Faults(disconnected=True)
        demo.faults["vps03-a1"]           # Faults(disconnected=True)
        demo.faults.set(None, Faults(latency=Latency.fixed(20)))   # every agent
        demo.faults.clear()
    """

    def __init__(self, child: _Child, agents: list[SimAgent], faults: Faults) -> None:
        self._child = child
        self._faults = {agent["name"]: faults for agent in agents}
        self._names = {agent["account"]: agent["name"] for agent in agents}

    def __repr__(self) -> str:
        faulty = [f"{name}: {what!r}" for name, what in self._faults.items() if what != HEALTHY]
        if not faulty:
            return f"<FaultControl {len(self._faults)} agents, none faulty>"
        shown = ", ".join(faulty[:5]) + (", …" if len(faulty) > 5 else "")
        return f"<FaultControl {len(self._faults)} agents, {len(faulty)} faulty: {shown}>"

    def __getitem__(self, agent: str | int) -> Faults:
        """The faults last set for an agent or its account."""
        return self._faults[self._name(agent)]

    def __setitem__(self, agent: str | int, faults: Faults) -> None:
        """Put faults in place, as `set` does."""
        self.set(agent, faults)

    def __iter__(self) -> Iterator[str]:
        """The agents' names."""
        return iter(self._faults)

    def __len__(self) -> int:
        """The number of agents."""
        return len(self._faults)

    def set(self, agent: str | int | None, faults: Faults) -> None:
        """Put faults in place, instead of those there.

        Parameters
        ----------
        agent
            An agent's name, an account number, or ``None`` for every agent.
        faults
            What is wrong from now on.

        Raises
        ------
        KeyError
            No such agent or account in this fleet.
        fleetkit.errors.DemoError
            The fleet has ended.
        """
        name = None if agent is None else self._name(agent)
        self._child.ask("set_faults", {"agent": name, "faults": faults})
        for touched in self._faults if name is None else [name]:
            self._faults[touched] = faults

    def clear(self, agent: str | int | None = None) -> None:
        """Make one agent healthy, or all of them."""
        self.set(agent, HEALTHY)

    def _name(self, agent: str | int) -> str:
        name = self._names.get(agent) if isinstance(agent, int) else agent
        if name is None or name not in self._faults:
            raise KeyError(f"no agent or account {agent!r} in this fleet of {len(self._faults)}")
        return name


class SimProcess:
    """A running simulated fleet; made by `start`, ended by `stop` or with its owner.

    Attributes
    ----------
    agents : list of SimAgent
        Name, url and account of each agent, as `fleetkit.connect` takes them.
    labels : dict of int to Label
        Phase and pair of each account.
    faults : FaultControl
        What is wrong with whom.
    """

    def __init__(self, child: _Child, agents: list[SimAgent], labels: dict[int, Label]) -> None:
        self.agents = agents
        self.labels = labels
        self.faults = FaultControl(child, agents, HEALTHY)
        self._child = child
        # Ends the child when this handle is forgotten, and at exit.
        self._end = weakref.finalize(self, child.stop)

    @classmethod
    def start(
        cls,
        accounts: int = 69,
        seed: int = 7,
        faults: Faults | None = None,
        *,
        layer: Literal["base", "extended"] = "base",
        start: datetime | None = None,
        keep_alive_s: float = 5.0,
        timeout_s: float = START_S,
    ) -> SimProcess:
        """Start a fleet and wait until it listens.

        Parameters
        ----------
        accounts, seed, faults
            How many, which figures, and what is wrong with all of them.
        layer
            What the agents speak.
        start
            The moment whose UTC day anchors the history; now unless told.
        keep_alive_s, timeout_s
            When an idle connection is dropped; how long to wait for the start.

        Raises
        ------
        fleetkit.errors.DemoError
            It did not start; the message says why.
        """
        if find_spec("uvicorn") is None:
            raise DemoError(MISSING)
        if layer not in ("base", "extended"):
            raise DemoError(f'layer is "base" or "extended", found {layer!r}.')
        arguments = ["--accounts", str(accounts), "--seed", str(seed), "--layer", layer]
        arguments += ["--keep-alive-s", str(keep_alive_s)]
        if start is not None:
            arguments += ["--start", start.isoformat()]
        child = _Child(arguments)
        try:
            demo = cls(child, *_started(child.first_line(timeout_s)))
            if faults is not None:
                demo.faults.set(None, faults)
        except BaseException:
            child.stop()
            raise
        return demo

    def __repr__(self) -> str:
        state = "running" if self._child.running else "ended"
        return f"<SimProcess of {len(self.agents)} agents, {state}>"

    def __enter__(self) -> SimProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def requests(self) -> dict[str, dict[str, int]]:
        """How often each agent was asked: agent to route to count, since it runs.

        Routes are the names of the contract's calls; agents and routes nobody
        asked are absent.
        """
        counted: dict[str, dict[str, int]] = self._child.ask("requests", None)
        return counted

    def stop(self) -> None:
        """End the fleet; may be called again."""
        self._child.stop()
        self._end.detach()


def _started(line: bytes) -> tuple[list[SimAgent], dict[int, Label]]:
    said = msgspec.json.decode(line, type=_Started)
    return said.agents, {int(account): label for account, label in said.labels.items()}
