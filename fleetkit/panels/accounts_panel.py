"""The accounts panel: every account, live, and which of them are chosen.

See the package's docstring. The trap: an account that failed stays, with what was last
known of it and the reason; a row that vanished would be taken for money that is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Final

import ipywidgets

from fleetkit import events
from fleetkit.aio.seen import account_seen, reason_without_account
from fleetkit.errors import UsageError
from fleetkit.model import Account
from fleetkit.panels.account_rows import TABLE, account_values, failures, totals
from fleetkit.panels.hub import Hub
from fleetkit.panels.presenter import Controls, Presenter
from fleetkit.panels.sheet_model import Contents, Key, Line, Note, Rows
from fleetkit.panels.shell import Panel

AGEING_S: Final = 5.0  # how often rows are looked at for having become stale


class Accounts(Presenter):
    """All accounts of a fleet."""

    name: ClassVar[str] = "accounts"
    blocks = (
        Note("problem"),
        Line("totals", "Totals"),
        Line("failures", "What is wrong", aria_live="off"),
        TABLE,
    )

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self._labels = {"phase": "", "vs_group": ""}  # what is to be set; empty keeps
        self._seen: dict[str, Account] = {}
        self._rows: dict[str, tuple[Any, ...]] = {}
        self._unsaid: dict[str, str] = {}
        self._due = dict.fromkeys(self.core.gateways)  # in order, as they are configured
        self._again: dict[str, None] = {}  # an event comes a moment before its figures are kept
        self._aged_at = 0.0

    def contents(self, now: float) -> Contents:
        for agent in self._due:
            self._read(agent, now)
        self._due, self._again = self._again, {}
        rows = {self._seen[agent].account: row for agent, row in self._rows.items()}
        selected = frozenset(self.hub.selected) & rows.keys()
        return {
            "problem": self.problem,
            "totals": totals(self._seen.values(), self._unsaid),
            "failures": failures(self._seen.values(), self._unsaid),
            "accounts": Rows(rows, selected),
        }

    def _read(self, agent: str, now: float) -> None:
        account = account_seen(self.core, agent)
        if account is None:
            self._seen.pop(agent, None)
            self._rows.pop(agent, None)
            self._unsaid[agent] = reason_without_account(self.core, agent)
            return
        self._unsaid.pop(agent, None)
        self._seen[agent] = account
        self._rows[agent] = account_values(account, now)

    def controls(self, now: float) -> Controls:
        chosen = len(self.hub.selected)
        where = f"of {chosen} chosen" if chosen else "(choose accounts)"
        return {
            "label": {"disabled": not chosen, "description": f"Set label {where}"},
            "refresh": {"description": f"Refresh {chosen} chosen" if chosen else "Refresh all"},
        }

    def hear(self, event: events.Event) -> bool:
        if isinstance(event, events.LabelChanged):
            self._due.update(dict.fromkeys(self._agents_of({event.account})))
            return True
        if isinstance(event, (events.Refreshed, events.RefreshFailed)):
            self._due[event.agent] = self._again[event.agent] = None
            return True
        return False

    def _agents_of(self, accounts: set[int]) -> list[str]:
        return [agent for agent, seen in self._seen.items() if seen.account in accounts]

    def look(self, now: float) -> bool:
        if now - self._aged_at < AGEING_S:
            return bool(self._due)
        self._aged_at = now
        cache = self.core.caches.accounts
        stale = [
            agent
            for agent, seen in self._seen.items()
            if (seen.source == "live") != (cache.is_fresh(agent) and seen.error is None)
        ]
        self._due.update(dict.fromkeys(stale))
        return bool(self._due)

    def shown(self) -> None:
        self._due = dict.fromkeys(self.core.gateways)
        # What nobody has read yet is read now; the events show it as it comes.
        self.hub.chore(self, self.core.accounts())

    def act(self, control: str, value: Any) -> None:
        if control == "refresh":
            chosen = list(self.hub.selected) or None
            self.hub.chore(self, self.core.refresh(chosen))
        elif control in self._labels:
            self._labels[control] = str(value).strip()
        elif control == "label":
            self.hub.chore(self, self._set_labels(self.hub.selected))

    async def _set_labels(self, accounts: tuple[int, ...]) -> None:
        wanted = {field: text for field, text in self._labels.items() if text}
        if not wanted:
            raise UsageError("Write a phase or a group first; what is left empty is kept.")
        for account in accounts:
            for field, text in wanted.items():
                await self.core.set_label(account, field, text)

    def choose(self, block: str, keys: tuple[Key, ...]) -> None:
        self.hub.select(tuple(key for key in keys if isinstance(key, int)))


class AccountsPanel(Panel):
    """The accounts panel; see `fleetkit.panels.accounts`."""

    def __init__(self, hub: Hub, *, save_state: bool = False) -> None:
        super().__init__(hub, Accounts(hub), _controls(), ROWS, save_state=save_state)


ROWS: Final = (("refresh", "phase", "vs_group", "label"),)


def _controls() -> Mapping[str, ipywidgets.Widget]:
    field = partial(ipywidgets.Text, layout=ipywidgets.Layout(width="11rem"))
    return {
        "refresh": ipywidgets.Button(description="Refresh all", icon="refresh"),
        "phase": field(placeholder="phase, e.g. F2", tooltip="Leave empty to keep the phase"),
        "vs_group": field(placeholder="vs_group", tooltip="Leave empty to keep the group"),
        "label": ipywidgets.Button(
            description="Set label", layout=ipywidgets.Layout(width="auto"), disabled=True
        ),
    }
