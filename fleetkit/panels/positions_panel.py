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
from fleetkit.panels import confirm_model as model
from fleetkit.panels.confirm_model import Stage
from fleetkit.panels.confirming import ACTIONS, Confirming
from fleetkit.panels.hub import Hub
from fleetkit.panels.order_rows import RECEIPTS
from fleetkit.panels.position_rows import (
    PREVIEW,
    TABLE,
    floating,
    is_live,
    key_of,
    position_values,
    preview_rows,
)
from fleetkit.panels.presenter import Controls
from fleetkit.panels.sheet_model import Contents, Key, Line, Note, Rows, Segment
from fleetkit.panels.shell import Panel
from fleetkit.panels.ticket_panel import order_buttons
from fleetkit.trading import KEEP, REMOVE, OrderKind

READ_S: Final = 5.0  # between two readings of accounts that have positions
LIVE_S: Final = 2 * READ_S  # a list that is older was not read when it should have been
NAMED: Final = 12  # accounts in a sentence
HOWS: Final = ("keep", "set", "remove")
FIELDS: Final = {"sl_how": "keep", "sl": "", "tp_how": "keep", "tp": ""}
CHANGED: Final = (
    "Other accounts were chosen while their positions were read; nothing was sent. Press Close "
    "all once more."
)


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
        self._kept: dict[str, tuple[SeenPositions, bool, dict[str, tuple[Any, ...]]]] = {}
        self._missing: dict[int | str, None] = {}  # what could not be read last
        self._due: dict[str, None] = {}  # agents to read next
        self._reading: set[str] = set()
        self._touched: dict[str, events.Event] = {}  # by an order that their lists do not know yet
        self._read_at = float("-inf")
        self._gathering: object | None = None  # the one "close all" whose lists are being read
        self._left_out: tuple[int, list[int | str]] = (0, [])  # of which review, and whom

    def fields(self) -> Mapping[str, Any]:
        return dict(self._fields)

    def reselected(self) -> None:
        self._chosen &= self._open().keys()  # or rows that come back later are chosen again
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

    def _name(self, agent: str) -> int | str:
        account = self.core.gateways[agent].account
        return agent if account is None else account

    # What is read

    def shown(self) -> None:
        self._due.update(dict.fromkeys(self._scope()))
        self._read_due()

    def look(self, now: float) -> bool:
        changed = super().look(now)
        self._due.update(dict.fromkeys(self._touched.keys() & set(self._scope())))
        if now - self._read_at >= READ_S:
            self._read_at = now
            self._due.update((agent, None) for agent in self._scope() if self._may_hold(agent))
            changed = True  # rows may have become stale
        self._read_due()
        return changed

    def _may_hold(self, agent: str) -> bool:
        """Whether its list had positions, or its account says that it has some."""
        seen = positions_seen(self.core, agent)
        account = self.core.caches.accounts.last_good(agent)
        says_so = account is not None and account.value.has_open_position is True
        return says_so or (seen is not None and bool(seen.positions))

    def _read_due(self) -> None:
        """Ask whom nobody is asking; one that is stuck keeps nobody else waiting."""
        agents = [agent for agent in self._due if agent not in self._reading]
        self._due.clear()
        if agents:
            self.hub.chore(self, self._read(agents))

    async def _read(self, agents: list[str]) -> None:
        numbers = {agent: self.core.gateways[agent].account for agent in agents}
        accounts = [number for number in numbers.values() if number is not None]
        touched = {agent: event for agent, event in self._touched.items() if agent in numbers}
        self._reading.update(agents)
        try:
            if accounts:
                await self._read_now(accounts, refresh=bool(touched))
        finally:
            self._reading.difference_update(agents)
            for agent, event in touched.items():
                if self._touched.get(agent) is event:  # or an order came after this reading
                    del self._touched[agent]

    async def _read_now(self, accounts: list[int], *, refresh: bool) -> None:
        frame = await self.core.positions(accounts, refresh=refresh, strict=False)
        for account in accounts:
            self._missing.pop(account, None)
        self._missing.update(dict.fromkeys(frame.attrs.get("missing", ())))

    # What is done

    def act(self, control: str, value: Any) -> None:
        if control in self._fields:
            text = str(value).strip()
            if text != self._fields[control]:
                self._fields[control] = text
                self.edited()
        elif control == "review":
            self._gathering = None
            self.review([_close(each) for each in self._chosen_positions()])
        elif control == "modify":
            self._gathering = None
            self.review(self._changes(self._chosen_positions()))
        elif control == "close_all":
            self._begin_close_all()
        elif control in ACTIONS:
            self.act_on_orders(control)

    def _chosen_positions(self) -> list[Position]:
        return [each for key, each in self._open().items() if key in self._chosen]

    def _begin_close_all(self) -> None:
        if self.state.stage is Stage.SENDING:
            self.feed(model.Asked(self._now))  # says that it has to wait
        elif self._gathering is None:
            self.edited()  # what was shown before is not what is asked for now
            self._gathering = object()
            self.hub.chore(self, self._close_all(self._gathering, self.hub.selected))

    async def _close_all(self, gathering: object, selected: tuple[int, ...]) -> None:
        """Read the lists anew, and show what closing everything in them would send."""
        try:
            agents = self._scope()
            await self._read_whole(agents)
            if self._gathering is not gathering:
                return  # something else was asked for meanwhile
            if self.hub.selected != selected:
                raise UsageError(CHANGED)
            unread = [name for name in map(self._name, agents) if self._is_unread(name)]
            wishes = [_close(each) for each in self._open().values()]
            if not wishes:
                raise UsageError(_nothing_to_close(unread))
            self.review(wishes)
            self._left_out = self.state.nonce, unread
        finally:
            if self._gathering is gathering:
                self._gathering = None

    async def _read_whole(self, agents: list[str]) -> None:
        """Accounts first where they were never read: they contradict a list that is empty."""
        if any(self.core.gateways[agent].last_reading is None for agent in agents):
            await self.core.accounts()
        numbers = [self.core.gateways[agent].account for agent in agents]
        accounts = [number for number in numbers if number is not None]
        if accounts:
            await self._read_now(accounts, refresh=True)

    def _is_unread(self, name: int | str) -> bool:
        return isinstance(name, str) or name in self._missing

    def _changes(self, positions: list[Position]) -> list[Wanted]:
        symbols = sorted({each.symbol for each in positions})
        if len(symbols) > 1 and "set" in (self._fields["sl_how"], self._fields["tp_how"]):
            msg = f"One price cannot fit {len(symbols)} symbols: choose positions of one of them."
            raise UsageError(msg)
        return [self._modify(each) for each in positions]

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
            if event.what == "positions":
                self._reading.discard(event.agent)
                return True
            return False
        if isinstance(event, (events.OrderSent, events.OrderSettled)):
            self._touched[event.agent] = event
            return True
        return isinstance(event, events.OrderStep)

    # What is shown

    def contents(self, now: float) -> Contents:
        rows: dict[str, tuple[Any, ...]] = {}
        seen = self._seen()
        for agent, each in seen.items():
            rows |= self._rows_of(agent, each, now)
        held = self._open()
        orders = dict(self.order_contents())
        if self._batch is not None and isinstance(shown := orders["preview"], Rows) and shown.rows:
            orders["preview"] = preview_rows(self._batch.planned, held)
        return {
            "problem": self.problem,
            "totals": self._totals(held, len(seen)),
            "positions": Rows(rows, self._chosen & rows.keys()),
            **orders,
            "stage": (*self._gathering_line(), *self._stage_line()),
        }

    def _rows_of(self, agent: str, seen: SeenPositions, now: float) -> dict[str, tuple[Any, ...]]:
        is_doubted = agent in self._touched or self._name(agent) in self._missing
        live = is_live(seen, now, LIVE_S, is_doubted=is_doubted)
        kept = self._kept.get(agent)
        if kept is None or kept[0] != seen or kept[1] != live:
            made = {
                key_of(one): position_values(one, seen.born, is_live=live) for one in seen.positions
            }
            kept = self._kept[agent] = (seen, live, made)
        return kept[2]

    def _gathering_line(self) -> tuple[Segment, ...]:
        if self._gathering is not None:
            return (Segment("reading every list before anything is closed…", "busy"),)
        nonce, unread = self._left_out
        is_shown = self.state.stage not in (Stage.IDLE, Stage.TOLD)
        if unread and nonce == self.state.nonce and is_shown:
            return (Segment(_not_in_it(unread), "bad", "warning"),)
        return ()

    def _totals(self, held: Mapping[str, Position], read: int) -> tuple[Segment, ...]:
        accounts, scope = {each.account for each in held.values()}, self._scope()
        plural = "s" * (len(held) != 1)
        line = [
            Segment(f"{len(held):,} open position{plural}", kind="strong"),
            Segment(f"on {len(accounts):,} of {len(scope):,} accounts"),
            *floating(held.values(), self._currencies(scope)),
        ]
        unread = len(scope) - read
        if unread:
            line.append(Segment(f"{unread:,} not read yet", "off"))
        missing = [name for name in map(self._name, scope) if name in self._missing]
        if missing:
            text = f"{len(missing):,} could not be read"
            line.append(Segment(text, "bad", title=f"{_named(missing)}: rows old, or missing"))
        return tuple(line)

    def _currencies(self, agents: Iterable[str]) -> dict[int, str]:
        entries = (self.core.caches.accounts.last_good(agent) for agent in agents)
        values = (entry.value for entry in entries if entry is not None)
        return {value.account: value.currency or "" for value in values}

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


def _named(names: list[int | str]) -> str:
    return ", ".join(map(str, names[:NAMED])) + (", …" if len(names) > NAMED else "")


def _not_in_it(unread: list[int | str]) -> str:
    count = f"{len(unread)} account{'s' * (len(unread) != 1)}"
    return f"{count} could not be read and may hold more than is shown here: {_named(unread)}"


def _nothing_to_close(unread: list[int | str]) -> str:
    if unread:
        return f"No open position is known, but {_not_in_it(unread)}."
    return "There is nothing to close: these accounts have no open position."


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
