"""The results panel: balance and profit by symbol of the chosen accounts, from trades at hand.

See the package's docstring. The trap: drawing takes a tenth of a second and more. It happens on
one thread beside the loop's, one picture at a time, and only while somebody looks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar, Final

import ipywidgets

from fleetkit import events
from fleetkit.aio.seen import account_seen, trades_seen
from fleetkit.frames import TradesPart
from fleetkit.model import Account
from fleetkit.panels.hub import Hub
from fleetkit.panels.presenter import Controls, Presenter
from fleetkit.panels.result_rows import TABLE, Chosen, Drawn, at_hand, chosen_of, drawn
from fleetkit.panels.sheet_model import Contents, Line, Note, Picture, Rows
from fleetkit.panels.shell import Panel

SPANS: Final = (30, 90, 365)
NOBODY: Final = Chosen((), None, 0, None)


class Results(Presenter):
    """What the trades of some accounts come to."""

    name: ClassVar[str] = "results"
    blocks = (
        Note("problem"),
        Line("made_of", "What this is made of"),
        Line("headline", "Headline"),
        Picture("balance", "Balance"),
        Picture("by_symbol", "Profit by symbol"),
        TABLE,
    )

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self._made_of: object = None  # what was drawn last, or is being drawn
        self._drawn: Drawn | None = None
        self._drawing = False
        self._reading: int | None = None  # days, while they are read
        self._days = SPANS[1]  # that are shown
        self._heard = False

    def contents(self, now: float) -> Contents:
        accounts, parts, born, chosen = self._at_hand()
        self._draw_if_new(parts, chosen)
        shown = self._drawn
        return {
            "problem": self.problem,
            "made_of": at_hand(chosen, parts, born, self._days) if accounts else (),
            "headline": () if shown is None else shown.line,
            "balance": None if shown is None else shown.balance,
            "by_symbol": None if shown is None else shown.symbols,
            "symbols": Rows({}) if shown is None else shown.rows,
        }

    def _at_hand(self) -> tuple[list[Account], list[TradesPart], float | None, Chosen]:
        wanted = set(self.hub.selected)
        seen = {name: account_seen(self.core, name) for name in self.core.gateways}
        accounts = {
            name: account
            for name, account in seen.items()
            if account is not None and (not wanted or account.account in wanted)
        }
        since = self.hub.clock.now() - timedelta(days=self._days)
        parts, born = trades_seen(self.core, accounts, since)
        chosen = chosen_of(accounts.values()) if accounts else NOBODY
        return list(accounts.values()), parts, born, chosen

    def _draw_if_new(self, parts: list[TradesPart], chosen: Chosen) -> None:
        read_at = tuple(sorted((part.account, part.as_of, len(part.block)) for part in parts))
        made_of = (chosen, self._days, read_at)
        if self._drawing or made_of == self._made_of or self.hub.closed is not None:
            return
        if self.hub.is_watched(self):
            self._made_of, self._drawing = made_of, True
            self.hub.chore(self, self._draw(parts, chosen))

    async def _draw(self, parts: list[TradesPart], chosen: Chosen) -> None:
        try:
            self._drawn = await asyncio.get_running_loop().run_in_executor(
                self.hub.drawer, drawn, parts, chosen
            )
        finally:
            self._drawing = False

    def controls(self, now: float) -> Controls:
        chosen = len(self.hub.selected)
        whose = f"of {chosen} chosen" if chosen else "of all"
        return {
            f"read_{days}": {
                "description": "Reading…" if self._reading == days else f"Read {days} days {whose}",
                "disabled": self._reading is not None,
            }
            for days in SPANS
        }

    def hear(self, event: events.Event) -> bool:
        if isinstance(event, events.Refreshed) and event.what in ("trade_history", "accounts"):
            self._heard = True
        return False  # once a second is often enough for what takes as long to draw

    def look(self, now: float) -> bool:
        heard, self._heard = self._heard, False
        return heard

    def shown(self) -> None:
        self.hub.chore(self, self.core.accounts())  # for the balances that curves end at

    def act(self, control: str, value: Any) -> None:
        days = int(control.removeprefix("read_"))
        if self._reading is None:
            self._reading = self._days = days
            self.hub.chore(self, self._read(days))

    async def _read(self, days: int) -> None:
        try:
            chosen = list(self.hub.selected) or None
            frame = await self.core.trades(chosen, days=days, strict=False)
            missing = frame.attrs.get("missing", [])
            if missing:
                what = f"{len(missing)} account{'s' * (len(missing) != 1)} gave no trades"
                self.problem = f"{what}; what was read before is shown."
        finally:
            self._reading = None


class ResultsPanel(Panel):
    """The results panel; see `fleetkit.panels.results`."""

    def __init__(self, hub: Hub, *, save_state: bool = False) -> None:
        names = tuple(f"read_{days}" for days in SPANS)
        super().__init__(hub, Results(hub), _controls(), [names], save_state=save_state)


def _controls() -> Mapping[str, ipywidgets.Widget]:
    return {
        f"read_{days}": ipywidgets.Button(
            description=f"Read {days} days",
            icon="download",
            layout=ipywidgets.Layout(width="auto"),
        )
        for days in SPANS
    }
