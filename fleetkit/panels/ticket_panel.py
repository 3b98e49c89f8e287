"""The trade ticket: opens on several accounts at once, reviewed, confirmed, told.

See the package's docstring. The trap: there is one ticket of a fleet, whatever the number of
panels, tabs and re-run cells that show it; its state is in none of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import ipywidgets

from fleetkit import events
from fleetkit.aio.order_words import open_wish
from fleetkit.desk import Wanted
from fleetkit.errors import FleetkitError, UsageError
from fleetkit.model import Quote
from fleetkit.panels.confirming import ACTIONS, Confirming
from fleetkit.panels.hub import Hub
from fleetkit.panels.order_rows import PREVIEW, RECEIPTS, locks
from fleetkit.panels.presenter import Controls
from fleetkit.panels.sheet_model import Contents, Line, Note, Segment
from fleetkit.panels.shell import Panel

QUOTE_S: Final = 1.5  # between two questions for the price
SHOWN: Final = 6  # accounts named in the line
UNITS: Final = ("price", "pips", "money")
FIELDS: Final = {
    "symbol": "", "side": "buy", "volume": "", "sl": "", "sl_unit": "pips", "tp": "",
    "tp_unit": "pips", "comment": "",
}  # fmt: skip


class Ticket(Confirming):
    """Opens of one symbol on the chosen accounts."""

    name: ClassVar[str] = "ticket"
    blocks = (
        Note("problem"),
        Line("accounts", "Accounts"),
        Line("quote", "Quote", aria_live="off"),
        Line("locks", "Locks"),
        Line("stage", "What happens now"),
        PREVIEW,
        RECEIPTS,
    )

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self._fields: dict[str, str] = dict(FIELDS)
        self._quote: Quote | None = None
        self._quote_said: str | None = None
        self._quoted_at: float | None = None
        self._asking: asyncio.Task[Any] | None = None

    def fields(self) -> Mapping[str, Any]:
        return dict(self._fields)

    def reselected(self) -> None:
        self._forget_quote()
        self.edited()

    def act(self, control: str, value: Any) -> None:
        if control in self._fields:
            text = str(value).strip()
            if text != self._fields[control]:
                self._fields[control] = text
                if control == "symbol":
                    self._forget_quote()
                self.edited()
        elif control == "review":
            self.review(self._wanted())
        elif control in ACTIONS:
            self.act_on_orders(control)

    def _wanted(self) -> list[Wanted]:
        """One open for each chosen account.

        Raises
        ------
        UsageError
            With the name of the field that makes no sense.
        """
        accounts, fields = self.hub.selected, self._fields
        if not accounts:
            raise UsageError("Choose accounts first: in the Accounts panel, or panel.selected.")
        for name in ("symbol", "volume"):
            if not fields[name]:
                raise UsageError(f"Write a {name} first.")
        order: dict[str, object] = {name: fields[name] for name in ("symbol", "side", "volume")}
        for stop in ("sl", "tp"):
            if fields[stop]:
                order[f"{stop}_{fields[f'{stop}_unit']}"] = fields[stop]
        if fields["comment"]:
            order["comment"] = fields["comment"]
        return [open_wish(order | {"account": account}) for account in accounts]

    # The quote

    def _forget_quote(self) -> None:
        self._quote = self._quoted_at = self._quote_said = None
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None

    def look(self, now: float) -> bool:
        changed = super().look(now)
        is_due = self._quoted_at is None or now - self._quoted_at >= QUOTE_S
        if self._asking is None and is_due and self._fields["symbol"] and self.hub.selected:
            asked = (self.hub.selected[0], self._fields["symbol"])
            self._asking = self.hub.chore(self, self._ask_quote(*asked))
        return changed

    async def _ask_quote(self, account: int, symbol: str) -> None:
        mine = asyncio.current_task()
        try:
            quote = await self.core.quote(account, symbol)
        except FleetkitError as error:
            if self._asking is mine:
                self._quote_said = str(error)
        else:
            if self._asking is mine:
                self._quote, self._quote_said = quote, None
        finally:
            if self._asking is mine:
                self._asking, self._quoted_at = None, self.hub.clock.elapsed()

    # What is shown

    def contents(self, now: float) -> Contents:
        return {
            "problem": self.problem,
            "accounts": self._accounts_line(),
            "quote": self._quote_line(),
            "locks": self._locks_line(),
            **self.order_contents(),
        }

    def _accounts_line(self) -> tuple[Segment, ...]:
        chosen = self.hub.selected
        if not chosen:
            return (Segment("no account chosen: choose some in Accounts", "fair"),)
        names = ", ".join(map(str, chosen[:SHOWN])) + (", …" if len(chosen) > SHOWN else "")
        count = f"{len(chosen)} account{'s' * (len(chosen) != 1)}"
        line = [Segment(count, kind="strong"), Segment(names)]
        standing = self.hub.standing
        if standing.halt is not None:
            line.append(Segment("halted: resume in the bar above", "bad"))
        elif standing.arming is None:
            line.append(Segment("read only: arm in the bar above to open positions", "fair"))
        return tuple(line)

    def _quote_line(self) -> tuple[Segment, ...]:
        if self._quote_said is not None:
            return (Segment(self._quote_said, "fair"),)
        quote = self._quote
        if quote is None:
            return ()
        return (
            Segment(quote.symbol, kind="strong"),
            Segment(f"bid {quote.bid:.10g}"),
            Segment(f"ask {quote.ask:.10g}"),
            Segment(f"spread {quote.spread:.8f}".rstrip("0").rstrip(".")),
            Segment(f"on {quote.account}", since=self._quoted_at),
        )

    def _locks_line(self) -> tuple[Segment, ...]:
        found = locks(self.hub.journal, self.hub.selected, self._fields["symbol"])
        return tuple(
            Segment(
                f"{line.symbol} on {line.account} is locked: order {line.order_id} is unknown. "
                "Reconcile.",
                kind="warning",
            )
            for line in found[:SHOWN]
        )

    def controls(self, now: float) -> Controls:
        chosen = len(self.hub.selected)
        tone = {"buy": "success", "sell": "danger"}.get(self._fields["side"], "")
        return {
            "side": {"button_style": tone},
            "review": {"description": f"Review {chosen} orders" if chosen > 1 else "Review"},
            **self.order_controls(),
        }

    def hear(self, event: events.Event) -> bool:
        return isinstance(event, (events.OrderSent, events.OrderSettled, events.OrderStep))


class TicketPanel(Panel):
    """The ticket panel; see `fleetkit.panels.ticket`."""

    def __init__(self, hub: Hub, *, save_state: bool = False) -> None:
        ticket = hub.shared_presenter("ticket", Ticket)
        super().__init__(hub, ticket, _controls(), ROWS, save_state=save_state)


ROWS: Final = (
    ("side", "symbol", "volume"),
    ("sl", "sl_unit", "tp", "tp_unit", "comment"),
    ("review", "send", "dismiss", "reconcile"),
)


def _controls() -> Mapping[str, ipywidgets.Widget]:
    def text(label: str, hint: str, width: str = "11rem") -> ipywidgets.Widget:
        return ipywidgets.Text(
            description=label,
            placeholder=hint,
            style={"description_width": "initial"},
            layout=ipywidgets.Layout(width=width),
        )

    def unit() -> ipywidgets.Widget:
        return ipywidgets.Dropdown(
            options=UNITS, value="pips", layout=ipywidgets.Layout(width="5.5rem")
        )

    side = ipywidgets.ToggleButtons(options=["buy", "sell"], value="buy")
    side.style.button_width = "4.5rem"
    return {
        "side": side,
        "symbol": text("symbol", "EURUSD"),
        "volume": text("lots", "0.10", "9rem"),
        "sl": text("stop loss", "none"),
        "sl_unit": unit(),
        "tp": text("take profit", "none"),
        "tp_unit": unit(),
        "comment": text("comment", "up to 26 characters", "15rem"),
        **order_buttons("Review"),
    }


def order_buttons(review: str) -> dict[str, ipywidgets.Widget]:
    """The buttons from a review to its receipts."""

    def button(text: str, style: str, icon: str, tip: str) -> ipywidgets.Widget:
        return ipywidgets.Button(
            description=text,
            button_style=style,
            icon=icon,
            tooltip=tip,
            layout=ipywidgets.Layout(width="auto", min_width="7rem"),
        )

    return {
        "review": button(review, "primary", "search", "Show what would be sent; sends nothing"),
        "send": button("Send", "danger", "paper-plane", "Send what is shown, once"),
        "dismiss": button("Dismiss", "", "times", "Forget the preview, and settled receipts"),
        "reconcile": button("Reconcile", "", "question-circle", "Look for proof of unknown orders"),
    }
