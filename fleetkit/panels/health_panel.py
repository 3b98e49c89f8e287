"""The health panel: agents, cache, the journal of orders, the doctor.

See the package's docstring. The trap: of a thousand agents a few are heard of at each tick;
only their rows are made anew.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any, ClassVar, Final

import ipywidgets

from fleetkit import events
from fleetkit.doctor import examine, notebook_advice
from fleetkit.errors import UsageError
from fleetkit.model import AgentInfo
from fleetkit.panels.health_rows import (
    AGENTS,
    DOCTOR,
    JOURNAL,
    agent_values,
    born,
    doctor_rows,
    doctor_said,
    journal_rows,
    reconciled,
    totals,
)
from fleetkit.panels.hub import Hub
from fleetkit.panels.presenter import Controls, Presenter
from fleetkit.panels.sheet_model import Contents, Key, Line, Note, Rows, Segment
from fleetkit.panels.shell import Panel

CONFIRM_S: Final = 5.0  # how long the second click to reconnect is waited for
SETTLING_S: Final = 5.0  # how long proof of unknown orders is waited for
BUSY: Final = {
    "doctor": "asking every agent how it is",
    "reconcile": "looking for proof of unknown orders",
    "reconnect": "reconnecting terminals, which takes up to a minute",
}


class Health(Presenter):
    """How the agents are, and what became of orders."""

    name: ClassVar[str] = "health"
    blocks = (
        Note("problem"),
        Line("totals", "Totals"),
        Line("report", "What was done here"),
        AGENTS,
        JOURNAL,
        DOCTOR,
    )

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self._infos: dict[str, AgentInfo] = {}
        self._rows: dict[str, tuple[Any, ...]] = {}
        self._due = dict.fromkeys(self.core.gateways)
        self._again: dict[str, None] = {}  # an event comes a moment before all of it is kept
        self._heard = False
        self._journal: tuple[object, Rows] = (None, Rows({}))
        self._examined = Rows({})
        self._busy: str | None = None
        self._report: tuple[Segment, ...] = ()
        self._confirm_until: float | None = None  # of a first click to reconnect

    def contents(self, now: float) -> Contents:
        self._read_agents(now)
        if self._journal[0] is not self.hub.journal:
            self._journal = (self.hub.journal, journal_rows(self.hub.journal))
        chosen = frozenset(self.hub.selected)
        selected = [agent for agent, info in self._infos.items() if info.account in chosen]
        stats, now_utc = self.core.cache_stats(), self.hub.clock.now()
        return {
            "problem": self.problem,
            "totals": totals(self._infos, stats, born(stats.last_full_refresh, now, now_utc)),
            "report": self._report,
            "agents": Rows(dict(self._rows), frozenset(selected)),
            "journal": self._journal[1],
            "doctor": self._examined,
        }

    def _read_agents(self, now: float) -> None:
        now_utc = self.hub.clock.now()
        for agent in self._due:
            gateway = self.core.gateways[agent]
            info = self._infos[agent] = gateway.info()
            self._rows[agent] = agent_values(info, gateway.link.http.latencies_s, now, now_utc)
        self._due, self._again = self._again, {}

    def hear(self, event: events.Event) -> bool:
        agent = getattr(event, "agent", None)
        if agent is not None and not isinstance(event, events.Refreshing):
            self._due[agent] = self._again[agent] = None
            self._heard = True
        return False  # once a second is often enough for latencies

    def look(self, now: float) -> bool:
        changed, self._heard = self._heard or bool(self._due), False
        if self._confirm_until is not None and now >= self._confirm_until:
            self._confirm_until, changed = None, True
        return changed

    def shown(self) -> None:
        self._due = dict.fromkeys(self.core.gateways)

    def reselected(self) -> None:
        self._confirm_until = None  # the first click was about other accounts

    def choose(self, block: str, keys: tuple[Key, ...]) -> None:
        if block == AGENTS.id:
            infos = (self._infos[key] for key in map(str, keys) if key in self._infos)
            accounts = (info.account for info in infos if info.account is not None)
            self.hub.select(tuple(dict.fromkeys(accounts)))

    def controls(self, now: float) -> Controls:
        chosen, busy = len(self.hub.selected), self._busy is not None
        asking = self._confirm_until is not None and now < self._confirm_until
        reconnect = f"Reconnect {chosen:,} chosen…" if chosen else "Reconnect (choose agents)"
        return {
            "doctor": {
                "disabled": busy,
                "description": "Asking…" if self._busy == "doctor" else "Ask the doctor",
            },
            "reconcile": {"disabled": busy},
            "reconnect": {
                "disabled": busy or not chosen,
                "description": "Click again: takes up to a minute" if asking else reconnect,
                "button_style": "warning" if asking else "",
            },
        }

    def act(self, control: str, value: Any) -> None:
        if self._busy is not None:
            raise UsageError(f"Still {BUSY[self._busy]}; wait until that is through.")
        if control == "doctor":
            self._begin("doctor", self._ask_doctor())
        elif control == "reconcile":
            self._begin("reconcile", self._reconcile())
        elif control == "reconnect":
            self._reconnect(self.hub.selected)

    def _reconnect(self, chosen: tuple[int, ...]) -> None:
        if not chosen:
            raise UsageError("Choose the agents to reconnect first, in the table below.")
        now = self.hub.clock.elapsed()
        if self._confirm_until is None or now >= self._confirm_until:
            self._confirm_until = now + CONFIRM_S
            return
        self._confirm_until = None
        self._begin("reconnect", self._reconnected(chosen))

    def _begin(self, what: str, work: Coroutine[Any, Any, tuple[Segment, ...]]) -> None:
        self._busy = what
        text = BUSY[what]
        began = self.hub.clock.elapsed()
        self._report = (Segment(f"{text[0].upper()}{text[1:]}, begun", "busy", since=began),)
        self.hub.chore(self, self._through(work))

    async def _through(self, work: Coroutine[Any, Any, tuple[Segment, ...]]) -> None:
        said: tuple[Segment, ...] = ()
        try:
            said = await work
        finally:
            self._busy, self._report = None, said
            self._due = dict.fromkeys(self.core.gateways)  # the doctor's calls are no events

    async def _ask_doctor(self) -> tuple[Segment, ...]:
        core = self.core
        gateways = list(core.gateways.values())
        found = await examine(gateways, core.clock, is_network_fs=core.store.is_network_fs)
        self._examined = doctor_rows(found)
        asked = Segment("doctor asked", since=self.hub.clock.elapsed())
        return (asked, *doctor_said(found, notebook_advice()))

    async def _reconcile(self) -> tuple[Segment, ...]:
        await self.core.reconcile(SETTLING_S)
        await self.hub.look_at_orders()
        looked = Segment("looked for proof", since=self.hub.clock.elapsed())
        return (looked, reconciled(self.hub.journal))

    async def _reconnected(self, chosen: tuple[int, ...]) -> tuple[Segment, ...]:
        await self.core.reconnect(list(chosen))
        text = f"reconnected {len(chosen):,} account{'s' * (len(chosen) != 1)}"
        return (Segment(text, "good", since=self.hub.clock.elapsed()),)


class HealthPanel(Panel):
    """The health panel; see `fleetkit.panels.health`."""

    def __init__(self, hub: Hub, *, save_state: bool = False) -> None:
        super().__init__(hub, Health(hub), _controls(), [ROW], save_state=save_state)


ROW: Final = ("doctor", "reconcile", "reconnect")


def _controls() -> Mapping[str, ipywidgets.Widget]:
    def button(text: str, icon: str, tip: str) -> ipywidgets.Widget:
        return ipywidgets.Button(
            description=text, icon=icon, tooltip=tip, layout=ipywidgets.Layout(width="auto")
        )

    return {
        "doctor": button("Ask the doctor", "stethoscope", "Ask every agent how it is"),
        "reconcile": button("Reconcile now", "question-circle", "Look for proof of unknown orders"),
        "reconnect": button(
            "Reconnect (choose agents)", "plug", "Make terminals reconnect to the broker"
        ),
    }
