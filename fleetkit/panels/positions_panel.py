"""The positions panel: what is open, live, and the ways to close it or to change its stops.

See the package's docstring. The traps: an account whose list could not be read may hold
positions that are not in the table; and closing is never kept back by arming or halt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

import ipywidgets

from fleetkit import events
from fleetkit.aio.order_words import stop_level
from fleetkit.aio.seen import SeenPositions, positions_seen
from fleetkit.desk import Wanted
from fleetkit.errors import UsageError
from fleetkit.model import Position
from fleetkit.panels.confirm_model import Stage
from fleetkit.panels.confirming import ACTIONS, Confirming
from fleetkit.panels.hub import Hub
from fleetkit.panels.order_rows import PREVIEW, RECEIPTS
from fleetkit.panels.position_rows import TABLE, key_of, position_values
from fleetkit.panels.presenter import Controls
from fleetkit.panels.sheet_model import Contents, Key, Line, Note, Rows, Segment
from fleetkit.panels.shell import Panel
from fleetkit.panels.ticket_panel import order_buttons
from fleetkit.trading import KEEP, REMOVE, OrderKind

READ_S: Final = 5.0  # between two readings of accounts that have positions
HOWS: Final = ("keep", "set", "remove")
FIELDS: Final = {"sl_how": "keep", "sl": "", "tp_how": "keep", "tp": ""}


class Positions(Confirming):
    """Open positions of the chosen accounts, or of all."""

    name: ClassVar[str] = "positions"
    blocks = (
        Note("problem"),
        Line("totals", "Totals"),
        TABLE,
        Line("stage", "What happens now"),
        PREVIEW,
        RECEIPTS,
    )

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self._fields: dict[str, str] = dict(FIELDS)
        self._chosen: frozenset[str] = frozenset()
        self._kept: dict[str, tuple[SeenPositions, dict[str, tuple[Any, ...]]]] = {}
        self._missing: list[int | str] = []
        self._read_at = float("-inf")
        self._reading = False

    def fields(self) -> Mapping[str, Any]:
        return dict(self._fields)

    def reselected(self) -> None:
        self.edited()

    # What is there

    def _scope(self) -> list[str]:
        """The agents whose positions are shown."""
        wanted = set(self.hub.selected)
        gateways = self.core.gateways.values()
        return [each.name for each in gateways if not wanted or each.account in wanted]

    def _seen(self) -> dict[str, SeenPositions]:
        found = {agent: positions_seen(self.core, agent) for agent in self._scope()}
        return {agent: seen for agent, seen in found.items() if seen is not None}

    def _open(self) -> dict[str, Position]:
        """Every position that is shown, by key."""
        return {key_of(each): each for seen in self._seen().values() for each in seen.positions}

    def shown(self) -> None:
        self._read(self._scope())

    def look(self, now: float) -> bool:
        changed = super().look(now)
        if now - self._read_at >= READ_S:
            some = [agent for agent, seen in self._seen().items() if seen.positions]
            self._read(some)
            changed = True  # rows may have become stale
        return changed

    def _read(self, agents: Iterable[str]) -> None:
        numbers = [self.core.gateways[agent].account for agent in agents]
        accounts = [number for number in numbers if number is not None]
        self._read_at = self._now
        if accounts and not self._reading:
            self._reading = True
            self.hub.chore(self, self._read_now(accounts))

    async def _read_now(self, accounts: list[int], *, refresh: bool = False) -> None:
        try:
            frame = await self.core.positions(accounts, refresh=refresh, strict=False)
            failed = frame.attrs.get("missing", [])
            left = [each for each in self._missing if each not in accounts]
            self._missing = [*left, *failed]
        finally:
            self._reading = False

    # What is done

    def act(self, control: str, value: Any) -> None:
        if control in self._fields:
            text = str(value).strip()
            if text != self._fields[control]:
                self._fields[control] = text
                self.edited()
        elif control == "review":
            self.review([_close(each) for each in self._chosen_positions()])
        elif control == "close_all":
            self.hub.chore(self, self._review_all())
        elif control == "modify":
            self.review([self._modify(each) for each in self._chosen_positions()])
        elif control in ACTIONS:
            self.act_on_orders(control)

    def _chosen_positions(self) -> list[Position]:
        return [each for key, each in self._open().items() if key in self._chosen]

    async def _review_all(self) -> None:
        """Read the lists anew, and show what closing everything in them would send."""
        if self.state.stage is Stage.SENDING:
            return
        numbers = [self.core.gateways[agent].account for agent in self._scope()]
        await self._read_now([n for n in numbers if n is not None], refresh=True)
        if self._missing:
            names = ", ".join(map(str, self._missing[:6]))
            self.problem = (
                f"{len(self._missing)} accounts could not be read and may hold positions that are "
                f"not in this preview: {names}{', …' if len(self._missing) > 6 else ''}"
            )
        self.review([_close(each) for each in self._open().values()])

    def _modify(self, position: Position) -> Wanted:
        levels: dict[str, Any] = {}
        for stop in ("sl", "tp"):
            how, text = self._fields[f"{stop}_how"], self._fields[stop]
            if how == "set" and not text:
                raise UsageError(f"Write the price of the {stop.upper()} first, or choose keep.")
            given = {"keep": KEEP, "remove": REMOVE}.get(how, text)
            levels[f"{stop}_price"] = stop_level(given, f"{stop}_price")
        if levels["sl_price"] is KEEP and levels["tp_price"] is KEEP:
            raise UsageError("Both stops are kept: choose set or remove for one of them.")
        return Wanted(
            kind=OrderKind.MODIFY, account=position.account, ticket=position.ticket, **levels
        )

    def choose(self, block: str, keys: tuple[Key, ...]) -> None:
        chosen = frozenset(map(str, keys))
        if block == TABLE.id and chosen != self._chosen:
            self._chosen = chosen
            self.edited()

    def hear(self, event: events.Event) -> bool:
        if isinstance(event, (events.Refreshed, events.RefreshFailed)):
            return event.what == "positions"
        return isinstance(event, (events.OrderSent, events.OrderSettled, events.OrderStep))

    # What is shown

    def contents(self, now: float) -> Contents:
        rows: dict[str, tuple[Any, ...]] = {}
        seen = self._seen()
        for agent, each in seen.items():
            kept = self._kept.get(agent)
            if kept is None or kept[0] != each:
                made = {key_of(one): position_values(one, each) for one in each.positions}
                kept = self._kept[agent] = (each, made)
            rows |= kept[1]
        return {
            "problem": self.problem,
            "totals": self._totals(rows, len(seen)),
            "positions": Rows(rows, self._chosen & rows.keys()),
            **self.order_contents(),
        }

    def _totals(self, rows: Mapping[str, tuple[Any, ...]], read: int) -> tuple[Segment, ...]:
        accounts = {key.partition(":")[0] for key in rows}
        plural = "s" * (len(rows) != 1)
        line = [
            Segment(f"{len(rows):,} open position{plural}", kind="strong"),
            Segment(f"on {len(accounts):,} of {len(self._scope()):,} accounts"),
        ]
        place = [column.name for column in TABLE.columns].index("profit")
        floating = [row[place] for row in rows.values() if row[place] is not None]
        if floating:
            total = sum(floating)
            line.append(Segment(f"floating {total:+,.2f}", "good" if total >= 0 else "bad"))
        unread = len(self._scope()) - read
        if unread:
            line.append(Segment(f"{unread:,} not read yet", "off"))
        if self._missing:
            names = ", ".join(map(str, self._missing[:12]))
            text = f"{len(self._missing):,} could not be read"
            line.append(Segment(text, "bad", title=f"{names}: their rows are old, or missing"))
        return tuple(line)

    def controls(self, now: float) -> Controls:
        count = len(self._chosen & self._open().keys())
        some = f" {count}" if count else ""
        return {
            **self.order_controls(),
            "review": {"description": f"Close{some} chosen…", "disabled": not count},
            "modify": {"description": f"Change stops of{some} chosen…", "disabled": not count},
            "sl": {"disabled": self._fields["sl_how"] != "set"},
            "tp": {"disabled": self._fields["tp_how"] != "set"},
        }


def _close(position: Position) -> Wanted:
    return Wanted(kind=OrderKind.CLOSE, account=position.account, ticket=position.ticket)


class PositionsPanel(Panel):
    """The positions panel; see `fleetkit.panels.positions`."""

    def __init__(self, hub: Hub, *, save_state: bool = False) -> None:
        positions = hub.shared_presenter("positions", Positions)
        super().__init__(hub, positions, _controls(), ROWS, save_state=save_state)


ROWS: Final = (
    ("review", "close_all", "sl_how", "sl", "tp_how", "tp", "modify"),
    ("send", "dismiss", "reconcile"),
)


def _controls() -> Mapping[str, ipywidgets.Widget]:
    def how(label: str) -> ipywidgets.Widget:
        return ipywidgets.Dropdown(
            options=HOWS,
            value="keep",
            description=label,
            style={"description_width": "initial"},
            layout=ipywidgets.Layout(width="10rem"),
        )

    def price() -> ipywidgets.Widget:
        return ipywidgets.Text(placeholder="price", layout=ipywidgets.Layout(width="6rem"))

    def button(text: str, tip: str) -> ipywidgets.Widget:
        return ipywidgets.Button(
            description=text, tooltip=tip, layout=ipywidgets.Layout(width="auto")
        )

    return {
        "close_all": button("Close all…", "Show what closing all of these accounts would send"),
        "sl_how": how("stop loss"),
        "sl": price(),
        "tp_how": how("take profit"),
        "tp": price(),
        "modify": button("Change stops of chosen…", "Show what would be changed"),
        **order_buttons("Close chosen…"),
    }
