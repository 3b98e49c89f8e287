"""The refresh watch: every account's reading as it happens, and the ways to start and stop it.

See the package's docstring. The trap: a reading that a cell began is seen here as well, and is
not ours to call back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, ClassVar, Final

import ipywidgets

from fleetkit import events
from fleetkit.cache import Flight
from fleetkit.errors import AgentError, UsageError
from fleetkit.model import AccountReading
from fleetkit.panels import watch_model
from fleetkit.panels import watch_records as model
from fleetkit.panels.hub import Hub
from fleetkit.panels.presenter import Controls, Presenter
from fleetkit.panels.sheet_model import Contents, Key, Line, Note, Rows
from fleetkit.panels.shell import Panel
from fleetkit.panels.watch_records import Figures, WatchState
from fleetkit.panels.watch_rows import TABLE, auto_line, progress_line, rows_of

READING: Final = "accounts"  # the call that reads an account


class Watch(Presenter):
    """Refreshes of all accounts, whoever began them."""

    name: ClassVar[str] = "watch"
    blocks = (Note("problem"), Line("progress", "Progress"), Line("auto", "Auto-refresh"), TABLE)

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self.state = WatchState()
        self._rows: dict[str, Any] = {}
        self._flights: dict[str, Flight[AccountReading]] = {}
        self._auto = False
        self._interval_s = 10.0
        self._feed(model.Known({name: self._figures(name) for name in self.core.gateways}))

    # What happens

    def _feed(self, event: model.Event) -> None:
        self.state, commands = watch_model.step(self.state, event)
        for command in commands:
            if isinstance(command, model.Refresh):
                self._refresh(command)
            else:
                self._recall(command.agents)
        self.hub.redraw(self)

    def _refresh(self, command: model.Refresh) -> None:
        for agent in command.agents:
            gateway, now = self.core.gateways[agent], self.hub.clock.elapsed()
            refusal = None if command.is_probe else gateway.link.refusal()
            if refusal is not None:
                self.hub.loop.post(self._feed, model.Failed(agent, now, str(refusal)))
                continue
            flight = self._flights[agent] = gateway.read_account()
            flight.task.add_done_callback(partial(self._landed, agent, flight, now))

    def _landed(self, agent: str, flight: Flight[AccountReading], began: float, task: Any) -> None:
        if self._flights.get(agent) is not flight:
            return  # called back
        del self._flights[agent]
        flight.leave()
        now = self.hub.clock.elapsed()
        error = None if task.cancelled() else task.exception()
        if task.cancelled():
            self._feed(model.Recalled(agent, now))
        elif isinstance(error, AgentError):
            self._feed(model.Failed(agent, now, str(error)))
        elif error is not None:
            self._feed(model.Failed(agent, now, f"{type(error).__name__}: {error}"))
        else:
            took_ms = (now - began) * 1000
            self._feed(model.Done(agent, now, took_ms, self._figures(agent)))

    def _recall(self, agents: Iterable[str]) -> None:
        for agent in agents:
            flight = self._flights.pop(agent, None)
            if flight is not None:
                flight.leave()  # and it is cancelled unless somebody else waits for it, too

    def _figures(self, agent: str) -> Figures:
        entry = self.core.caches.accounts.last_good(agent)
        failure = self.core.gateways[agent].failure
        return Figures(
            born=None if entry is None else entry.stamp,
            has_position=None if entry is None else entry.value.has_open_position,
            why=None if failure is None else failure.sentence,
        )

    def hear(self, event: events.Event) -> bool:
        if getattr(event, "what", None) != READING or getattr(event, "agent", "") in self._flights:
            return False
        now = self.hub.clock.elapsed()
        if isinstance(event, events.Refreshing):
            self._feed(model.Began(event.agent, now))
        elif isinstance(event, events.Refreshed):
            figures = self._figures(event.agent)
            self._feed(model.Done(event.agent, now, event.latency_ms, figures))
        elif isinstance(event, events.RefreshFailed):
            self._feed(model.Failed(event.agent, now, event.error))
        return True

    def look(self, now: float) -> bool:
        self._feed(model.Known({name: self._figures(name) for name in self._unwatched()}))
        self._feed(model.Ticked(now))
        return bool(self.state.running or self.state.queue)

    def _unwatched(self) -> list[str]:
        """Whose figures may have changed without a word of it here."""
        busy = {*self.state.running, *self.state.queue}
        cache, records = self.core.caches.accounts, self.state.records
        found = []
        for name in self.core.gateways:
            entry = cache.last_good(name)
            known = records[name].born if name in records else None
            if name not in busy and (None if entry is None else entry.stamp) != known:
                found.append(name)
        return found

    def shown(self) -> None:
        self._feed(model.Known({name: self._figures(name) for name in self.core.gateways}))

    # What is done

    def act(self, control: str, value: Any) -> None:
        now = self.hub.clock.elapsed()
        if control in ("all", "chosen", "stale"):
            self._feed(model.Asked(tuple(self._wanted(control)), now))
        elif control == "cancel":
            self._feed(model.Cancelled(now))
        elif control == "interval":
            self._interval_s = float(value)
            if self._auto:
                self._feed(model.AutoSet(self._interval_s, now))
        elif control == "auto":
            self._auto = bool(value)
            self._feed(model.AutoSet(self._interval_s if self._auto else None, now))

    def _wanted(self, which: str) -> list[str]:
        gateways = self.core.gateways
        if which == "all":
            return list(gateways)
        if which == "stale":
            cache = self.core.caches.accounts
            return [
                name
                for name, each in gateways.items()
                if each.failure is not None or not cache.is_fresh(name)
            ]
        chosen = set(self.hub.selected)
        found = [name for name, each in gateways.items() if each.account in chosen]
        if not found:
            raise UsageError("Choose accounts first, here or in Accounts.")
        return found

    def choose(self, block: str, keys: tuple[Key, ...]) -> None:
        agents = set(map(str, keys))
        numbers = (each.account for name, each in self.core.gateways.items() if name in agents)
        self.hub.select(tuple(number for number in numbers if number is not None))

    # What is shown

    def contents(self, now: float) -> Contents:
        accounts = {name: each.account for name, each in self.core.gateways.items()}
        self._rows = rows_of(self.state, accounts, self._rows)
        chosen = set(self.hub.selected)
        selected = frozenset(name for name, account in accounts.items() if account in chosen)
        return {
            "problem": self.problem,
            "progress": progress_line(self.state, now),
            "auto": auto_line(self.state),
            "watch": Rows({name: row for name, (_, row) in self._rows.items()}, selected),
        }

    def controls(self, now: float) -> Controls:
        chosen = len(self.hub.selected)
        return {
            "chosen": {"description": f"{chosen or 'No'} chosen", "disabled": not chosen},
            "cancel": {"disabled": not (self.state.running or self.state.queue)},
        }


class WatchPanel(Panel):
    """The refresh watch; see `fleetkit.panels.watch`."""

    def __init__(self, hub: Hub, *, save_state: bool = False) -> None:
        watch = hub.shared_presenter("watch", Watch)
        super().__init__(hub, watch, _controls(), [ROW], save_state=save_state)


ROW: Final = ("all", "chosen", "stale", "cancel", "auto", "interval")


def _controls() -> Mapping[str, ipywidgets.Widget]:
    def button(text: str, icon: str, tip: str) -> ipywidgets.Widget:
        return ipywidgets.Button(
            description=text, icon=icon, tooltip=tip, layout=ipywidgets.Layout(width="auto")
        )

    return {
        "all": button("Refresh all", "refresh", "Read every account again"),
        "chosen": button("Chosen", "refresh", "Read the chosen accounts again"),
        "stale": button("Stale ones", "refresh", "Read what is not fresh, or failed"),
        "cancel": button("Cancel", "stop", "Drop what waits, and call back what runs"),
        "auto": ipywidgets.ToggleButton(
            description="Auto-refresh",
            icon="clock-o",
            tooltip="Accounts with positions each time, the others in turn",
            layout=ipywidgets.Layout(width="auto"),
        ),
        "interval": ipywidgets.BoundedFloatText(
            value=10.0,
            min=2.0,
            max=3600.0,
            description="every s",
            style={"description_width": "initial"},
            layout=ipywidgets.Layout(width="9rem"),
        ),
    }
