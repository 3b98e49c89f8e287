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
from fleetkit.model import Side
from fleetkit.sim.fault_control import FaultControl
from fleetkit.sim.faults import Faults
from fleetkit.sim.mishaps import Executed
from fleetkit.sim.process import SimProcess

SHOWN = 10  # agents listed in a notebook


class Demo:
    """The simulated fleet behind a `DemoFleet`.

    Attributes
    ----------
    faults : FaultControl
        What goes wrong, per agent or for all, changeable while it runs.
    agents : list of dict
        Name, url and account of each simulated agent, with TLS the files of its
        authority and token, too: what `connect` takes.
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

    def executed(self, account: int | str) -> list[Executed]:
        """Every order that an agent's terminal really executed, oldest first.

        The ground truth for tests of orders: what was done through the order routes of
        that agent since the start, whatever they answered. Trades by hand are not in it.

        Parameters
        ----------
        account
            An account number, or an agent's name.
        """
        return self._process.persons.executed(account)

    def open_by_hand(
        self, account: int, symbol: str, side: Side | Literal["buy", "sell"], volume: float
    ) -> int:
        """Open a position as a person at the terminal would; its ticket."""
        return self._process.persons.open_by_hand(account, symbol, side, volume)

    def close_by_hand(self, account: int, ticket: int) -> None:
        """Close a position as a person at the terminal would."""
        self._process.persons.close_by_hand(account, ticket)

    def deposit(self, account: int, amount: float, comment: str = "Deposit") -> int:
        """Pay money into an account; the ticket of the deal that books it."""
        return self._process.persons.deposit(account, amount, comment)

    def withdraw(self, account: int, amount: float, comment: str = "Withdrawal") -> int:
        """Pay money out of an account; the ticket of the deal that books it."""
        return self._process.persons.withdraw(account, amount, comment)

    def cancel_deal(self, account: int, ticket: int) -> None:
        """Take a deal back, as brokers do with what should not have been."""
        self._process.persons.cancel_deal(account, ticket)

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
    tls: bool = False,
    pooling: bool | None = None,
    cache_ttl_s: float | None = None,
    progress: bool | None = None,
) -> DemoFleet:
    """Start a simulated fleet and connect to it.

    The agents speak plain HTTP/1.1 on loopback, or with ``tls`` HTTP/2, one port each,
    in a separate process that ends with this one. The same seed gives the same
    figures. Labels live in a store of their own, gone when the fleet is closed.

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
        our own.
    tls
        Over TLS, with HTTP/2 and HTTP/1.1 by ALPN, an authority of the fleet's own and a
        token for each agent; needs ``layer="extended"``.
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
    process = SimProcess.start(accounts=accounts, seed=seed, faults=faults, layer=layer, tls=tls)
    home = tempfile.mkdtemp(prefix="fleetkit-demo-")
    try:
        fleet = connect_as(
            DemoFleet,
            [dict(agent, time_zone="UTC", stops_unit="price") for agent in process.agents],
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
