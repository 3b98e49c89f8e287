"""Control panels: watch every account, trade, and see what became of it.

Why: an operator sees all accounts at once, from what the fleet already knows, and acts
without writing code. Each panel is usable alone, and `panel` puts them together. May
import `fleet` and everything below; ipywidgets and anywidget enter fleetkit here and
nowhere else. The traps: a panel decides nothing (its presenter does, on the loop
thread), and what it shows is hostile text until the browser has it as text.

Layers, from what a user sees down: ``accounts``, ``watch``, ``ticket``, ``positions``,
``health``, ``results``, ``bar`` → `shell` (the widget) → `presenter` → `hub` → `sheet`
(what carries data to the browser) → ``*_model`` (pure).
"""

from __future__ import annotations

from fleetkit.fleet import Fleet
from fleetkit.panels.control_panel import ControlPanel, StandingPanel, stand_alone, together
from fleetkit.panels.shell import Panel

__all__ = [
    "ControlPanel",
    "Panel",
    "StandingPanel",
    "accounts",
    "health",
    "panel",
    "positions",
    "results",
    "ticket",
    "watch",
]


def panel(fleet: Fleet, *, save_state: bool = False) -> ControlPanel:
    """Show everything in one panel with tabs; `Fleet.panel` is this."""
    return together(fleet, save_state=save_state)


def accounts(fleet: Fleet, *, save_state: bool = False) -> StandingPanel:
    """Show all accounts, live: sortable, filterable, with their age and source.

    Parameters
    ----------
    fleet
        The fleet.
    save_state
        Keep what is shown in the notebook's file.

    Returns
    -------
    StandingPanel
        ``.selected`` are the chosen accounts, shared by all panels of the fleet.

    Examples
    --------
    >>> import fleetkit as fk
    >>> with fk.demo(accounts=3, seed=7) as fleet:
    ...     panel = fk.panels.accounts(fleet)
    ...     panel.selected
    []
    """
    return stand_alone(fleet, "accounts", save_state=save_state)


def watch(fleet: Fleet, *, save_state: bool = False) -> StandingPanel:
    """Watch every account refresh: queued, running, done in so many ms, failed and why."""
    return stand_alone(fleet, "watch", save_state=save_state)


def ticket(fleet: Fleet, *, save_state: bool = False) -> StandingPanel:
    """Open positions on several accounts at once: review, confirm, receipts."""
    return stand_alone(fleet, "ticket", save_state=save_state)


def positions(fleet: Fleet, *, save_state: bool = False) -> StandingPanel:
    """Show open positions, live; close them, change their stops."""
    return stand_alone(fleet, "positions", save_state=save_state)


def health(fleet: Fleet, *, save_state: bool = False) -> StandingPanel:
    """Show how the agents are, what the cache does, and the journal of orders."""
    return stand_alone(fleet, "health", save_state=save_state)


def results(fleet: Fleet, *, save_state: bool = False) -> StandingPanel:
    """Show balance and profit by symbol of the chosen accounts, from the trades at hand."""
    return stand_alone(fleet, "results", save_state=save_state)
