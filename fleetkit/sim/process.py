"""The simulated fleet as a child process, held by a handle.

Why: a fleet in this process would share its interpreter lock and flatter no
measurement. Only the entry points may import this module: it is the one place
of the simulator that runs beside a client. May import `child`, `fault_control`,
`persons`, `faults`, `model`, `errors`.
The trap: what the child needs on disk must go with it, also when it never got ready.
"""

from __future__ import annotations

import tempfile
import weakref
from datetime import datetime
from importlib.util import find_spec
from types import TracebackType
from typing import Final, Literal

import msgspec

from fleetkit.errors import DemoError
from fleetkit.model import Label
from fleetkit.sim.child import Child
from fleetkit.sim.fault_control import FaultControl, SimAgent
from fleetkit.sim.faults import HEALTHY, Faults
from fleetkit.sim.persons import Persons

__all__ = ["FaultControl", "SimAgent", "SimProcess"]

START_S: Final = 30.0


class _Started(msgspec.Struct):
    agents: list[SimAgent]
    labels: dict[str, Label]


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
    persons : Persons
        What people and brokers do in the terminals, and what was executed.
    """

    def __init__(self, child: Child, agents: list[SimAgent], labels: dict[int, Label]) -> None:
        self.agents = agents
        self.labels = labels
        self.faults = FaultControl(child, agents, HEALTHY)
        self.persons = Persons(child, self.faults)
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
        tls: bool = False,
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
        tls
            Over TLS, with HTTP/2 and a token each; extended layer only.
        start
            The moment whose UTC day anchors the history; now unless told.
        keep_alive_s, timeout_s
            When an idle connection is dropped; how long to wait for the start.

        Raises
        ------
        fleetkit.errors.DemoError
            It did not start; the message says why.
        """
        _check(layer, tls)
        arguments = ["--accounts", str(accounts), "--seed", str(seed), "--layer", layer]
        arguments += ["--keep-alive-s", str(keep_alive_s)]
        if start is not None:
            arguments += ["--start", start.isoformat()]
        folder = tempfile.mkdtemp(prefix="fleetkit-tls-") if tls else None
        if folder is not None:
            arguments += ["--tls-folder", folder]
        child = Child(arguments, folder)
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


def _check(layer: str, tls: bool) -> None:
    for needed in ("uvicorn", *(("hypercorn", "h2", "trustme") if tls else ())):
        if find_spec(needed) is None:
            raise DemoError(f"The demo fleet needs {needed}: pip install 'fleetkit[demo]'.")
    if layer not in ("base", "extended"):
        raise DemoError(f'layer is "base" or "extended", found {layer!r}.')
    if tls and layer == "base":
        raise DemoError(
            "Agents of the base layer speak plain HTTP/1.1: "
            'say layer="extended" with tls=True, or leave tls out.'
        )


def _started(line: bytes) -> tuple[list[SimAgent], dict[int, Label]]:
    said = msgspec.json.decode(line, type=_Started)
    return said.agents, {int(account): label for account, label in said.labels.items()}
