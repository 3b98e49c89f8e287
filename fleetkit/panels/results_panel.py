"""The results panel: balance and profit by symbol of the chosen accounts, from trades at hand.

See the package's docstring. The trap: drawing takes a tenth of a second and more. It happens on
one thread beside the loop's, one picture at a time, and only while somebody looks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

import ipywidgets

from fleetkit import events
from fleetkit.aio.seen import SeenTrades, account_seen, trades_seen
from fleetkit.model import Account
from fleetkit.panels.hub import Hub
from fleetkit.panels.presenter import Controls, Presenter
from fleetkit.panels.result_rows import TABLE, Chosen, Drawn, at_hand, chosen_of, drawn, named
from fleetkit.panels.sheet_model import Contents, Line, Note, Picture, Rows, Segment
from fleetkit.panels.shell import Panel

SPANS: Final = (30, 90, 365)
SPAN_LASTS: Final = timedelta(hours=1)  # until what is shown begins so much later
ACCOUNTS, TRADES = "accounts", "trade_history"  # what events call them


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
        self._seen: dict[str, Account] = {}
        self._due = dict.fromkeys(self.core.gateways)  # agents whose account may have changed
        self._again: dict[str, None] = {}  # an event comes a moment before its figures are kept
        self._heard = False
        self._made_of: object = None  # what was drawn last, or is being drawn
        self._drawn: Drawn | None = None
        self._drawing = False
        self._days = SPANS[1]  # that are shown
        self._since = hub.clock.now() - timedelta(days=self._days)
        self._reading: int | None = None  # days, while they are read
        self._asked: frozenset[str] = frozenset()  # whose trades are being read
        self._answered: set[str] = set()

    def contents(self, now: float) -> Contents:
        self._read_accounts()
        wanted = self._wanted()
        chosen = chosen_of(wanted.values())
        seen = trades_seen(self.core, wanted)
        self._draw_if_new(seen, chosen)
        shown = self._drawn
        return {
            "problem": self.problem,
            "made_of": at_hand(chosen, seen, self._since, self._days) + self._under_way(),
            "headline": () if shown is None else shown.line,
            "balance": None if shown is None else shown.balance,
            "by_symbol": None if shown is None else shown.symbols,
            "symbols": Rows({}) if shown is None else shown.rows,
        }

    def _read_accounts(self) -> None:
        for agent in self._due:
            account = account_seen(self.core, agent)
            if account is not None:
                self._seen[agent] = account
        self._due, self._again = self._again, {}

    def _wanted(self) -> dict[str, Account]:
        """The chosen accounts, or all, by agent."""
        wanted = frozenset(self.hub.selected)
        if not wanted:
            return self._seen
        return {agent: seen for agent, seen in self._seen.items() if seen.account in wanted}

    def _under_way(self) -> tuple[Segment, ...]:
        if self._reading is not None:
            text = f"{len(self._answered):,} of {len(self._asked):,} answered"
            share = len(self._answered) / max(len(self._asked), 1)
            return (Segment(text, "busy", "progress", share=share),)
        return (Segment("drawing…", "busy"),) if self._drawing else ()

    def _draw_if_new(self, seen: list[SeenTrades], chosen: Chosen) -> None:
        now = self.hub.clock.now()
        if now - timedelta(days=self._days) > self._since + SPAN_LASTS:
            self._since = now - timedelta(days=self._days)
        read = tuple((each.part.account, each.part.as_of, each.since) for each in seen)
        made_of = (chosen, self._since, read)
        if self._drawing or made_of == self._made_of or self.hub.closed is not None:
            return
        if self.hub.is_watched(self):
            self._made_of, self._drawing = made_of, True
            self.hub.chore(self, self._draw(seen, chosen, self._since))

    async def _draw(self, seen: list[SeenTrades], chosen: Chosen, since: datetime) -> None:
        try:
            self._drawn = await asyncio.get_running_loop().run_in_executor(
                self.hub.drawer, drawn, seen, chosen, since
            )
        finally:
            self._drawing = False

    def controls(self, now: float) -> Controls:
        chosen = len(self.hub.selected)
        whose = f"of {chosen:,} chosen" if chosen else "of all"
        return {
            f"read_{days}": {
                "description": "Reading…" if self._reading == days else f"Read {days} days {whose}",
                "disabled": self._reading is not None,
            }
            for days in SPANS
        }

    def hear(self, event: events.Event) -> bool:
        if not isinstance(event, (events.Refreshed, events.RefreshFailed)):
            return False
        if event.what == ACCOUNTS:
            self._due[event.agent] = self._again[event.agent] = None
        elif event.what != TRADES:
            return False
        elif event.agent in self._asked:
            self._answered.add(event.agent)
        self._heard = True
        return False  # once a second is often enough for what takes as long to draw

    def look(self, now: float) -> bool:
        heard, self._heard = self._heard or bool(self._due), False
        return heard

    def shown(self) -> None:
        self._due = dict.fromkeys(self.core.gateways)
        self._read_accounts()
        wanted = self._wanted()
        # The balance is where a curve ends. Trades are read only when that is asked for.
        if len(wanted) < len(self.hub.selected or self.core.gateways) or any(
            account.balance is None for account in wanted.values()
        ):
            self.hub.chore(self, self.core.accounts())

    def act(self, control: str, value: Any) -> None:
        days = int(control.removeprefix("read_"))
        if self._reading is None:
            self._reading = self._days = days
            self._since = self.hub.clock.now() - timedelta(days=days)
            self._asked = frozenset(self._wanted() if self.hub.selected else self.core.gateways)
            self._answered = set()
            self.hub.chore(self, self._read(days))

    async def _read(self, days: int) -> None:
        try:
            chosen = list(self.hub.selected) or None
            frame = await self.core.trades(chosen, days=days, strict=False)
            missing = frame.attrs.get("missing", [])
            if missing:
                what = f"{len(missing):,} account{'s' * (len(missing) != 1)} gave no trades"
                self.problem = f"{what}: {named(missing)}. What was read before is shown."
        finally:
            self._reading, self._asked = None, frozenset()


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
