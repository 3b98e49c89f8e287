"""Panels put together: one with its bar, or all of them in tabs.

See the package's docstring. A further tab is one line in `KINDS`. The trap: a cell that is
run again makes a new panel; the one it made before is closed, or its comms would stay for
the life of the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final

import ipywidgets

from fleetkit.aio.selection import account_numbers
from fleetkit.cells import CellCall, current_cell
from fleetkit.fleet import Fleet, behind
from fleetkit.loop import LoopThread
from fleetkit.panels.bar import BarPanel
from fleetkit.panels.hub import Hub
from fleetkit.panels.shell import Panel, close_made_for, display_with_note, note_of, with_note

KINDS: Final[Mapping[str, tuple[str, str, str]]] = MappingProxyType(
    {
        "accounts": ("Accounts", "accounts_panel", "AccountsPanel"),
        "watch": ("Refresh", "watch_panel", "WatchPanel"),
        "ticket": ("Trade", "ticket_panel", "TicketPanel"),
        "positions": ("Positions", "positions_panel", "PositionsPanel"),
        "health": ("Health", "health_panel", "HealthPanel"),
        "results": ("Results", "results_panel", "ResultsPanel"),
    }
)
"""The tabs, in order: title, module, class."""


def _kind(name: str) -> Callable[..., Panel]:
    _, module, kind = KINDS[name]
    found: Callable[..., Panel] = getattr(import_module(f"fleetkit.panels.{module}"), kind)
    return found


class StandingPanel(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets ships no types
    """One panel, or several in tabs, below the bar that says whether trading is possible.

    Attributes
    ----------
    parts : dict of str to Panel
        The panels in it, by name.
    selected : list of int
        The chosen accounts; may be set, and is shared by all panels of the fleet.
    """

    def __init__(self, hub: Hub, names: Iterable[str], *, save_state: bool = False) -> None:
        self.parts: dict[str, Panel] = {}
        self.hub = hub
        self.fleet: Fleet | None = None
        self.name = "control"
        self.bar = BarPanel(hub, save_state=save_state)
        self.parts = {name: _kind(name)(hub, save_state=save_state) for name in names}
        super().__init__([self.bar, self._body()])
        self.add_class("fleetkit-panel")
        self._save_state = save_state
        self._cell_panels: CellPanels | None = None

    def _body(self) -> ipywidgets.Widget:
        (part,) = self.parts.values()
        self.name = part.presenter.name
        return part

    @property
    def selected(self) -> list[int]:
        """The chosen accounts."""
        return list(self.hub.selected)

    @selected.setter
    def selected(self, accounts: Iterable[int]) -> None:
        chosen = tuple(account_numbers(accounts) or ())

        async def choose() -> None:
            self.hub.select(chosen)

        self.hub.loop.blocking(choose)

    def close(self) -> None:
        """Remove the panel from every front end and forget it; again does nothing."""
        for part in (self.bar, *self.parts.values()):
            part.close()
        close_made_for(self)
        super().close()

    def snapshot(self) -> str:
        """What the panel shows now, as plain HTML without a script."""
        return "".join(part.snapshot() for part in (self.bar, *self.parts.values()))

    def __str__(self) -> str:
        parts = [str(part) for part in (self.bar, *self.parts.values())]
        return "\n\n".join(filter(None, parts))

    def __repr__(self) -> str:
        return f"<fleetkit {self.name} panel{' closed' if self.comm is None else ''}>"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any] | None:
        return with_note(super()._repr_mimebundle_(**kwargs), self, self._note())

    def _ipython_display_(self) -> None:
        display_with_note(super()._repr_mimebundle_(), self, self._note())

    def _note(self) -> str:
        return self.snapshot() if self._save_state else note_of(self)

    def made_in(self, cell: CellCall, loop: LoopThread) -> None:
        """Take the place of what an earlier run of the same cell made."""
        key = ("panels", cell.cell_id)
        earlier = loop.owners.get(key)
        if isinstance(earlier, CellPanels) and earlier.message_id == cell.message_id:
            group = earlier
        else:
            group = CellPanels(cell.message_id)
            loop.owners[key] = group
            for panel in earlier.panels if isinstance(earlier, CellPanels) else ():
                panel.close()
        group.panels.append(self)
        self._cell_panels = group  # kept by its panels alone: with them it goes


class CellPanels:
    """The panels that one execution of a cell made."""

    def __init__(self, message_id: str) -> None:
        self.message_id = message_id
        self.panels: list[StandingPanel] = []

    def __repr__(self) -> str:
        return f"<CellPanels {len(self.panels)}>"


class ControlPanel(StandingPanel):
    """All panels in tabs."""

    def _body(self) -> ipywidgets.Widget:
        titles = [KINDS[name][0] for name in self.parts]
        return ipywidgets.Tab(list(self.parts.values()), titles=titles)


def together(fleet: Fleet, *, save_state: bool) -> ControlPanel:
    """All panels of a fleet, in tabs."""
    panel = ControlPanel(_hub_of(fleet), KINDS, save_state=save_state)
    _settle(panel, fleet)
    return panel


def stand_alone(fleet: Fleet, name: str, *, save_state: bool) -> StandingPanel:
    """One panel of a fleet, below its bar."""
    panel = StandingPanel(_hub_of(fleet), [name], save_state=save_state)
    _settle(panel, fleet)
    return panel


def _hub_of(fleet: Fleet) -> Hub:
    core, loop = behind(fleet)

    async def find() -> Hub:
        hub = Hub.of(core, loop)
        await hub.look_at_orders()
        return hub

    return loop.blocking(find)


def _settle(panel: StandingPanel, fleet: Fleet) -> None:
    panel.fleet = fleet  # kept: a panel that is shown keeps its fleet open
    cell, loop = current_cell(), behind(fleet).loop
    if cell is not None:
        loop.post(panel.made_in, cell, loop)
