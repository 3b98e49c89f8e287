"""The refresh watch: every account's reading as it happens, and the ways to start and stop it.

See the package's docstring. The trap: a reading that a cell began is seen here as well, is not
ours to call back, and may be called back by its cell without a word. So the task is watched that
asks, whoever's it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, ClassVar, Final

import ipywidgets

from fleetkit import events
from fleetkit.cache import Flight
from fleetkit.errors import AgentCancelled, AgentError, UsageError
from fleetkit.gateway import outcome
from fleetkit.model import AccountReading
from fleetkit.panels import watch_records as watched
from fleetkit.panels.hub import Hub
from fleetkit.panels.presenter import Controls, Presenter
from fleetkit.panels.sheet_model import Contents, Key, Line, Note, Rows
from fleetkit.panels.shell import Panel
from fleetkit.panels.watch_model import SHORTEST_S, step
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
        self._asking: dict[str, asyncio.Task[Any]] = {}  # who asks for somebody else
        self._latency_ms: dict[str, float] = {}  # of an answer, until its reading is over
        self._nameless: frozenset[str] = frozenset()  # chosen before anybody knew whose they are
        self._auto = False
        self._interval_s = 10.0
        self._feed(watched.Known({name: self._figures(name) for name in self.core.gateways}))

    # What happens

    def _feed(self, event: watched.Event) -> None:
        if self.hub.closed is not None:
            return  # what is called back now is not asked for again
        before = self.state
        self.state, commands = step(before, event)
        for command in commands:
            if isinstance(command, watched.Refresh):
                self._refresh(command)
            else:
                self._recall(command.agents)
        if self.state is not before:
            self.hub.redraw(self)

    def _stop(self, now: float) -> None:
        """Nothing is on its way any more: the fleet is closed."""
        ends: list[watched.Event] = [watched.AutoSet(None, now), watched.Cancelled(now)]
        ends += [watched.Recalled(agent, now) for agent in self.state.running]
        for event in ends:
            self.state, _ = step(self.state, event)
        self._recall(tuple(self._flights))

    # Readings that were asked for here

    def _refresh(self, command: watched.Refresh) -> None:
        self.core.notice_jump()
        for agent in command.agents:
            gateway, now = self.core.gateways[agent], self.hub.clock.elapsed()
            refusal = None if command.is_probe else gateway.link.refusal()
            if refusal is not None:
                self.hub.loop.post(self._feed, watched.Failed(agent, now, str(refusal)))
                continue
            self._asking.pop(agent, None)  # from now on it is ours, too
            flight = self._flights[agent] = gateway.read_account()
            flight.task.add_done_callback(partial(self._landed, agent, flight, now))

    def _landed(self, agent: str, flight: Flight[AccountReading], began: float, _: object) -> None:
        if self._flights.get(agent) is not flight:
            return  # called back
        del self._flights[agent]
        flight.leave()
        now = self.hub.clock.elapsed()
        latency_ms = self._latency_ms.pop(agent, (now - began) * 1000)
        try:
            outcome(flight, agent)
        except AgentCancelled:
            self._feed(watched.Recalled(agent, now))
        except AgentError as error:
            self._feed(watched.Failed(agent, now, str(error)))
        except Exception as error:  # noqa: BLE001  # or it would be running for ever
            self._feed(watched.Failed(agent, now, f"{type(error).__name__}: {error}"))
        else:
            self._feed(watched.Done(agent, now, latency_ms, self._figures(agent)))

    def _recall(self, agents: Iterable[str]) -> None:
        for agent in agents:
            flight = self._flights.pop(agent, None)
            if flight is None:
                continue
            flight.leave()  # and it is cancelled unless somebody else waits for it, too
            if flight.takes_passengers:
                self._watch(agent, flight.task)

    # Readings of others

    def _watch(self, agent: str, task: asyncio.Task[Any]) -> None:
        """See an agent being asked for somebody else, to the end of whoever asks."""
        self._asking[agent] = task
        task.add_done_callback(partial(self._asked, agent))
        self._feed(watched.Began(agent, self.hub.clock.elapsed()))

    def _asked(self, agent: str, task: asyncio.Task[Any]) -> None:
        """Somebody else's asking is over: answered, failed after its answer, or called back."""
        if self._asking.get(agent) is not task:
            return
        del self._asking[agent]
        now, failure = self.hub.clock.elapsed(), self.core.gateways[agent].failure
        running = self.state.running.get(agent)
        if agent not in self._latency_ms and running is None:
            return  # told already
        if agent not in self._latency_ms and task.cancelled():
            self._feed(watched.Recalled(agent, now))
        elif failure is not None:  # or it answered: that its terminal is not connected
            self._latency_ms.pop(agent, None)
            self._feed(watched.Failed(agent, now, failure.sentence))
        else:  # nobody listens while the panel is out of sight; then the time it took is ours
            began = now if running is None else running.began
            self._latency_ms.setdefault(agent, (now - began) * 1000)
            self._answered(agent)

    def _answered(self, agent: str) -> None:
        latency_ms = self._latency_ms.pop(agent)
        now = self.hub.clock.elapsed()
        self._feed(watched.Done(agent, now, latency_ms, self._figures(agent)))

    def _figures(self, agent: str) -> Figures:
        entry = self.core.caches.accounts.last_good(agent)
        failure = self.core.gateways[agent].failure
        return Figures(
            born=None if entry is None else entry.stamp,
            has_position=None if entry is None else entry.value.has_open_position,
            why=None if failure is None else failure.sentence,
        )

    def hear(self, event: events.Event) -> bool:
        if getattr(event, "what", None) != READING:
            return False
        if isinstance(event, events.Refreshed):
            self._latency_ms[event.agent] = event.latency_ms
            if event.agent not in self._flights and event.agent not in self._asking:
                self._answered(event.agent)  # it was asked before anybody looked
        elif isinstance(event, events.Refreshing):
            self._latency_ms.pop(event.agent, None)
            asking = asyncio.current_task()  # an event comes from the task that asks
            if event.agent not in self._flights and asking is not None:
                self._watch(event.agent, asking)
        elif isinstance(event, events.RefreshFailed) and event.agent not in self._flights:
            self._feed(watched.Failed(event.agent, self.hub.clock.elapsed(), event.error))
        return True

    def look(self, now: float) -> bool:
        for agent in self._latency_ms.keys() & self._asking.keys():
            self._answered(agent)  # whoever asked has more to do than to read an account
        unwatched = {name: self._figures(name) for name in self._unwatched()}
        if unwatched:
            self._feed(watched.Known(unwatched))
        self._feed(watched.Ticked(now))
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
        self._feed(watched.Known({name: self._figures(name) for name in self.core.gateways}))

    # What is done

    def act(self, control: str, value: Any) -> None:
        now = self.hub.clock.elapsed()
        if control in ("all", "chosen", "stale"):
            self._feed(watched.Asked(tuple(self._wanted(control)), now))
        elif control == "cancel":
            self._feed(watched.Cancelled(now))
        elif control == "interval":
            self._interval_s = max(SHORTEST_S, float(value))
            if self._auto:
                self._feed(watched.AutoSet(self._interval_s, now))
        elif control == "auto":
            self._auto = bool(value)
            self._feed(watched.AutoSet(self._interval_s if self._auto else None, now))

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
        found = self._chosen()
        if not found:
            raise UsageError("Choose accounts first, here or in Accounts.")
        return list(found)

    def _chosen(self) -> dict[str, int | None]:
        chosen = set(self.hub.selected)
        return {
            name: each.account
            for name, each in self.core.gateways.items()
            if each.account in chosen or name in self._nameless
        }

    def choose(self, block: str, keys: tuple[Key, ...]) -> None:
        agents = set(map(str, keys)) & self.core.gateways.keys()
        numbers = {name: self.core.gateways[name].account for name in agents}
        self._nameless = frozenset(name for name, number in numbers.items() if number is None)
        self.hub.select(tuple(sorted(number for number in numbers.values() if number is not None)))

    def fields(self) -> Mapping[str, Any]:
        return {"auto": self._auto, "interval": self._interval_s}

    # What is shown

    def contents(self, now: float) -> Contents:
        if self.hub.closed is not None:
            self._stop(now)
        accounts = {name: each.account for name, each in self.core.gateways.items()}
        self._rows = rows_of(self.state, accounts, self._rows)
        return {
            "problem": self.problem,
            "progress": progress_line(self.state, now),
            "auto": auto_line(self.state),
            "watch": Rows(
                {name: row for name, (_, row) in self._rows.items()}, frozenset(self._chosen())
            ),
        }

    def controls(self, now: float) -> Controls:
        chosen = len(self._chosen())
        return {
            "chosen": {
                "description": f"Refresh {chosen} chosen" if chosen else "Refresh chosen",
                "disabled": not chosen,
            },
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
        "chosen": button("Refresh chosen", "refresh", "Read the chosen accounts again"),
        "stale": button("Refresh stale", "refresh", "Read what is not fresh, or failed"),
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
