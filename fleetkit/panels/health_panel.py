"""The health panel: agents, cache, the journal of orders, the doctor.

See the package's docstring. The trap: of a thousand agents a few are heard of at each tick;
only their rows are made anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import ipywidgets

from fleetkit import events
from fleetkit.doctor import examine
from fleetkit.errors import UsageError
from fleetkit.model import AgentInfo, Diagnosis
from fleetkit.panels.health_rows import (
    AGENTS,
    DOCTOR,
    JOURNAL,
    agent_values,
    doctor_rows,
    journal_rows,
    totals,
)
from fleetkit.panels.hub import Hub
from fleetkit.panels.presenter import Controls, Presenter
from fleetkit.panels.sheet_model import Contents, Line, Note, Rows
from fleetkit.panels.shell import Panel

CONFIRM_S: Final = 5.0  # how long the second click to reconnect is waited for


class Health(Presenter):
    """How the agents are, and what became of orders."""

    name: ClassVar[str] = "health"
    blocks = (Note("problem"), Line("totals", "Totals"), AGENTS, JOURNAL, DOCTOR)

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self._infos: dict[str, AgentInfo] = {}
        self._rows: dict[str, tuple[Any, ...]] = {}
        self._due = dict.fromkeys(self.core.gateways)
        self._heard = False
        self._journal: tuple[object, Rows] = (None, Rows({}))
        self._found: list[Diagnosis] = []
        self._examined = Rows({})
        self._busy: str | None = None
        self._reconnect_until: float | None = None

    def contents(self, now: float) -> Contents:
        for agent in self._due:
            gateway = self.core.gateways[agent]
            info = self._infos[agent] = gateway.info()
            self._rows[agent] = agent_values(info, gateway.link.http.latencies_s)
        self._due = {}
        if self._journal[0] is not self.hub.journal:
            self._journal = (self.hub.journal, journal_rows(self.hub.journal))
        return {
            "problem": self.problem,
            "totals": totals(self._infos, self.core.cache_stats()),
            "agents": Rows(dict(self._rows)),
            "journal": self._journal[1],
            "doctor": self._examined,
        }

    def hear(self, event: events.Event) -> bool:
        agent = getattr(event, "agent", None)
        if agent is not None and not isinstance(event, events.Refreshing):
            self._due[agent] = None
            self._heard = True
        return False  # once a second is often enough for latencies

    def look(self, now: float) -> bool:
        changed, self._heard = self._heard, False
        if self._reconnect_until is not None and now >= self._reconnect_until:
            self._reconnect_until, changed = None, True
        return changed

    def shown(self) -> None:
        self._due = dict.fromkeys(self.core.gateways)

    def controls(self, now: float) -> Controls:
        chosen = len(self.hub.selected)
        asking = self._reconnect_until is not None
        busy = self._busy is not None
        return {
            "doctor": {
                "disabled": busy,
                "description": "Asking…" if self._busy == "doctor" else "Ask the doctor",
            },
            "reconcile": {"disabled": busy},
            "reconnect": {
                "disabled": busy or not chosen,
                "description": "Click again: takes up to a minute"
                if asking
                else f"Reconnect {chosen} chosen…",
            },
        }

    def act(self, control: str, value: Any) -> None:
        if self._busy is not None:
            raise UsageError(f"Still at it: {self._busy}. Wait until it is through.")
        if control == "doctor":
            self._begin("doctor", self._ask_doctor())
        elif control == "reconcile":
            self._begin("reconcile", self._reconcile())
        elif control == "reconnect":
            self._reconnect()

    def _reconnect(self) -> None:
        now = self.hub.clock.elapsed()
        if self._reconnect_until is None or now >= self._reconnect_until:
            self._reconnect_until = now + CONFIRM_S
            return
        self._reconnect_until = None
        self._begin("reconnect", self.core.reconnect(list(self.hub.selected)))

    def _begin(self, what: str, work: Any) -> None:
        self._busy = what
        self.hub.chore(self, self._through(work))

    async def _through(self, work: Any) -> None:
        try:
            await work
        finally:
            self._busy = None

    async def _ask_doctor(self) -> None:
        core = self.core
        gateways = list(core.gateways.values())
        found = await examine(gateways, core.clock, is_network_fs=core.store.is_network_fs)
        self._examined = doctor_rows(found)

    async def _reconcile(self) -> None:
        await self.core.reconcile()
        await self.hub.look_at_orders()


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
        "reconnect": button("Reconnect chosen…", "plug", "Make terminals reconnect to the broker"),
    }
