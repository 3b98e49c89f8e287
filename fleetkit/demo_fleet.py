"""`demo`: a simulated fleet in a process of its own, and a fleet connected to it.

Why: a first minute without a VPS, and a place to break things on purpose. An entry
point: the one place, with `cli`, that knows both the client and the simulator. The
trap: its labels must not end up among the user's own, so it has a store of its own.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from typing import Any, Literal

from fleetkit.fleet import Fleet, connect_as
from fleetkit.html import card_html
from fleetkit.sim.faults import Faults
from fleetkit.sim.process import FaultControl, SimProcess

SHOWN = 10  # agents listed in a notebook


class Demo:
    """The simulated fleet behind a `DemoFleet`.

    Attributes
    ----------
    faults : FaultControl
        What goes wrong, per agent or for all, changeable while it runs.
    agents : list of dict
        Name, url and account of each simulated agent: what `connect` takes.
    """

    def __init__(self, process: SimProcess, home: str) -> None:
        self._process = process
        self.faults: FaultControl = process.faults
        self.agents: list[dict[str, Any]] = [dict(agent) for agent in process.agents]
        self._stop = weakref.finalize(self, _clean_up, process, home)

    def __repr__(self) -> str:
        return f"<Demo {len(self.agents)} simulated agents>"

    def _repr_html_(self) -> str:
        rows = [(agent["name"], agent["account"], agent["url"]) for agent in self.agents[:SHOWN]]
        rest = len(self.agents) - len(rows)
        note = f"and {rest} more" if rest else None
        return card_html("Simulated agents", (), ("agent", "account", "url"), rows, note)

    def requests(self) -> dict[str, dict[str, int]]:
        """How many requests each agent has received: agent → route → count."""
        return self._process.requests()

    def stop(self) -> None:
        """End the simulated fleet; again does nothing."""
        self._stop()


class DemoFleet(Fleet):
    """A `Fleet` connected to simulated agents; `close` ends them too.

    Attributes
    ----------
    demo : Demo
        Faults and request counters of the simulated fleet.
    """

    demo: Demo

    def close(self, timeout_s: float = 5.0) -> None:
        """Close the connections and end the simulated agents; again does nothing."""
        super().close(timeout_s)
        self.demo.stop()


def demo(
    accounts: int = 69,
    seed: int = 7,
    faults: Faults | None = None,
    *,
    layer: Literal["base", "extended"] = "base",
    pooling: bool | None = None,
    cache_ttl_s: float | None = None,
    progress: bool | None = None,
) -> DemoFleet:
    """Start a simulated fleet and connect to it.

    The agents speak plain HTTP/1.1 on loopback, one port each, in a separate process
    that ends with this one. The same seed gives the same figures. Labels live in a
    store of their own, gone when the fleet is closed.

    Parameters
    ----------
    accounts
        How many accounts, each with its agent.
    seed
        Of the market and the accounts' histories.
    faults
        What goes wrong from the start, for all agents; later through
        ``fleet.demo.faults``.
    layer
        What the agents speak: ``"base"`` as every deployed agent, ``"extended"`` as
        our own, without a token.
    pooling, cache_ttl_s, progress
        As in `connect`.

    Returns
    -------
    DemoFleet

    Raises
    ------
    DemoError
        The simulated fleet did not start; ``pip install 'fleetkit[demo]'`` brings
        what it needs.

    Examples
    --------
    >>> import fleetkit as fk
    >>> with fk.demo(accounts=3, seed=7) as fleet:
    ...     fleet.demo.faults[7100002] = fk.sim.Faults(disconnected=True)
    ...     fleet.accounts(refresh=True)["status"].tolist()
    ['connected', 'disconnected', 'connected']
    """
    process = SimProcess.start(accounts=accounts, seed=seed, faults=faults, layer=layer)
    home = tempfile.mkdtemp(prefix="fleetkit-demo-")
    try:
        fleet = connect_as(
            DemoFleet,
            [dict(agent, time_zone="UTC") for agent in process.agents],
            home=home,
            pooling=pooling,
            cache_ttl_s=cache_ttl_s,
            progress=progress,
        )
    except BaseException:
        _clean_up(process, home)
        raise
    fleet.demo = Demo(process, home)
    _label(fleet, process)
    return fleet


def _label(fleet: DemoFleet, process: SimProcess) -> None:
    fleet.load_labels({n: label.phase for n, label in process.labels.items()})
    groups = {n: label.vs_group for n, label in process.labels.items() if label.vs_group}
    fleet.load_labels(groups, field="vs_group")


def _clean_up(process: SimProcess, home: str) -> None:
    process.stop()
    shutil.rmtree(home, ignore_errors=True)
