"""The bar above every panel: may positions be opened, for how long, and the way to stop it.

See the package's docstring. The trap: the way to halt must never be more than one click
away, and the way back never less than two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import ipywidgets

from fleetkit import events
from fleetkit.panels.confirm_model import DELIBERATE_S
from fleetkit.panels.hub import Hub
from fleetkit.panels.presenter import Controls, Presenter
from fleetkit.panels.sheet_model import Contents, Line, Note, Segment
from fleetkit.panels.shell import Panel
from fleetkit.trading import Outcome

CONFIRM_S: Final = 5.0  # how long the second click to resume is waited for
FIELDS: Final = {"minutes": 5.0, "max_volume": 0.1, "max_orders": 3}


class Bar(Presenter):
    """Arming and halt of all kernels on this store."""

    name: ClassVar[str] = "bar"
    blocks = (Note("problem"), Line("state", "Trading state", aria_live="assertive"))

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self._wanted: dict[str, float] = dict(FIELDS)
        self._resume_until: float | None = None

    def contents(self, now: float) -> Contents:
        return {"problem": self.problem, "state": self._state(now)}

    def _state(self, now: float) -> tuple[Segment, ...]:
        halt, arming = self.hub.standing.halt, self.hub.standing.arming
        if self.hub.closed is not None:
            return (Segment("CLOSED", "off", "badge"),)
        if halt is not None:
            line = [Segment("HALTED", "bad", "badge"), Segment("no position can be opened")]
            if halt.why:
                line.append(Segment(f"“{halt.why}”"))
        elif arming is not None:
            left_s = arming.until_s - self.hub.clock.now().timestamp()
            lots = f"{arming.used_volume:f} of {arming.max_volume:f} lots"
            orders = f"{arming.used_orders} of {arming.max_orders} orders used"
            line = [Segment("ARMED", "busy", "badge", until=now + left_s), Segment(lots)]
            line += [Segment(orders), *_scope(arming.accounts, "accounts")]
            line += _scope(arming.symbols, "symbols")
        else:
            line = [Segment("READ ONLY", "good", "badge"), Segment("nothing can be opened")]
        unknown = sum(order.outcome is Outcome.UNKNOWN for order in self.hub.journal)
        if unknown:
            text = f"{unknown} order{'s' * (unknown != 1)} unknown"
            line.append(Segment(text, "bad", "warning", title="Do not send again; reconcile."))
        return tuple(line)

    def controls(self, now: float) -> Controls:
        halted, armed = self.hub.standing.halt is not None, self.hub.standing.arming is not None
        asking = self._resume_until is not None and now < self._resume_until
        return {
            "halt": {"description": "Halted" if halted else "Halt", "disabled": halted},
            "resume": {
                "description": "Click again to resume" if asking else "Resume…",
                "disabled": not halted,
            },
            "arm": {"description": "Join" if armed else "Arm", "disabled": halted},
            "disarm": {"disabled": not armed},
        }

    def hear(self, event: events.Event) -> bool:
        return False  # the store tells of every kernel's orders, this one's too

    def look(self, now: float) -> bool:
        if self._resume_until is not None and now >= self._resume_until:
            self._resume_until = None
            return True
        return False

    def act(self, control: str, value: Any) -> None:
        if control == "halt":
            self.hub.chore(self, self._then_look(self.core.halt("halted in the panel")))
        elif control == "resume":
            self._resume()
        elif control == "arm":
            self.hub.chore(self, self._then_look(self._arm()))
        elif control == "disarm":
            self.hub.chore(self, self._then_look(self._disarm()))
        elif control in self._wanted:
            self._wanted[control] = value

    def _resume(self) -> None:
        now = self.hub.clock.elapsed()
        if self._resume_until is None or now >= self._resume_until:
            self._resume_until = now + CONFIRM_S
            return
        if now < self._resume_until - CONFIRM_S + DELIBERATE_S:
            return  # the second click of a double one
        self._resume_until = None
        self.hub.chore(self, self._then_look(self.core.resume()))

    async def _arm(self) -> None:
        wanted = self._wanted
        await self.core.arm(wanted["minutes"], str(wanted["max_volume"]), int(wanted["max_orders"]))

    async def _disarm(self) -> None:
        arming = self.hub.standing.arming
        if arming is not None:
            await self.core.end_armings([arming.arming_id])

    async def _then_look(self, work: Any) -> None:
        """Do it, and show what it came to without waiting for the next look."""
        await work
        await self.hub.look_at_orders()


def _scope(names: frozenset[Any] | None, what: str) -> list[Segment]:
    if names is None:
        return []
    shown = ", ".join(map(str, sorted(names)))
    return [Segment(f"{len(names)} {what} only", title=shown)]


class BarPanel(Panel):
    """The bar; every other panel has one above itself."""

    def __init__(self, hub: Hub, *, save_state: bool = False) -> None:
        super().__init__(hub, Bar(hub), _controls(), save_state=save_state, below=ROW)


ROW: Final = ("halt", "resume", "minutes", "max_volume", "max_orders", "arm", "disarm")


def _controls() -> Mapping[str, ipywidgets.Widget]:
    def button(text: str, style: str, icon: str, tip: str) -> ipywidgets.Button:
        return ipywidgets.Button(
            description=text,
            button_style=style,
            icon=icon,
            tooltip=tip,
            layout=ipywidgets.Layout(width="auto"),
        )

    def field(label: str, kind: type, value: float, **bounds: float) -> ipywidgets.Widget:
        return kind(
            value=value,
            description=label,
            style={"description_width": "initial"},
            layout=ipywidgets.Layout(width="9.5rem"),
            **bounds,
        )

    return {
        "halt": button("Halt", "danger", "hand-paper-o", "Refuse every open, in every kernel"),
        "resume": button("Resume…", "", "play", "End the halt; asks once more"),
        "minutes": field("minutes", ipywidgets.BoundedFloatText, 5.0, min=0.1, max=1440.0),
        "max_volume": field("lots", ipywidgets.BoundedFloatText, 0.1, min=0.0, max=1e6),
        "max_orders": field("orders", ipywidgets.BoundedIntText, 3, min=1, max=10_000),
        "arm": button("Arm", "warning", "unlock", "Allow opens within these limits"),
        "disarm": button("Disarm", "", "lock", "Allow none any more"),
    }
