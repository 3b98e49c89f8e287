"""How receipts and plans show themselves in a notebook.

See the package's docstring; jinja2 is imported when the first card is drawn. The trap: a card is
read in a hurry. What must not be overlooked stands first and in red: that a fill is only
inferred, that stops are not where they should be, that an order would be refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fleetkit.html import Refusable, card_html, refusable_html
from fleetkit.trading.planned import PlannedOrder
from fleetkit.trading.receipts import Evidence, Outcome, Receipt

ORDERS_SHOWN: Final = 60
_PLAN_COLUMNS: Final = (
    "account", "agent", "order", "volume", "symbol", "ticket", "entry", "sl", "tp",
    "spread cost", "risk", "margin",
)  # fmt: skip


def receipt_html(receipt: Receipt) -> str:
    """A receipt as a card: what must not be overlooked, then what is known."""
    timings = receipt.timings
    calls = ", ".join(f"{call.call} {call.ms:.1f} ms" for call in timings.calls)
    facts: tuple[tuple[str, object], ...] = (
        ("outcome", receipt.outcome),
        ("reason", receipt.reason or None),
        ("side", receipt.side),
        ("volume", receipt.volume),
        ("filled volume", receipt.filled_volume),
        ("symbol", receipt.symbol),
        ("ticket", receipt.ticket),
        ("price", receipt.price),
        ("stop loss", receipt.sl),
        ("take profit", receipt.tp),
        ("stops ok", receipt.stops_ok),
        ("evidence", receipt.evidence),
        ("candidates", ", ".join(map(str, receipt.candidates)) or None),
        ("retcode", receipt.retcode),
        ("retryable", receipt.retryable or None),
        ("agent", receipt.agent),
        ("order", receipt.order_id),
        ("took ms", None if timings.total_ms is None else round(timings.total_ms, 1)),
        ("requests", calls or None),
    )
    return card_html(
        f"Receipt: {receipt.kind} on {receipt.account} {receipt.outcome}",
        facts=[(name, value) for name, value in facts if value is not None],
        warnings=_receipt_warnings(receipt),
    )


def _receipt_warnings(receipt: Receipt) -> list[str]:
    found = []
    if receipt.evidence is Evidence.INFERRED:
        found.append(
            "INFERRED: this is what only this order explains, unless a person or another "
            "program traded the same at the same time."
        )
    if receipt.stops_ok is False:
        found.append(
            "stops_ok=False: the position does not have the stops that were asked for. Look at "
            "it, and set them with fleet.modify_position()."
        )
    if receipt.outcome is Outcome.UNKNOWN:
        found.append(
            "It may have been executed: do not send it again. fleet.reconcile() shows what is "
            "open, fleet.resolve() settles it by hand."
        )
    if receipt.replayed:
        found.append("Replayed: this is an earlier call's receipt; nothing was sent now.")
    return found


def plan_html(planned: Sequence[PlannedOrder], note: str | None = None) -> str:
    """A plan as a card: a row for each order, its refusal in red and its warnings below.

    Parameters
    ----------
    planned
        The orders; of very many the refused ones are shown before the others.
    note
        A sentence below, such as how long the plan may be executed.
    """
    refused = sum(order.refusal is not None for order in planned)
    shown = list(planned)
    if len(shown) > ORDERS_SHOWN:
        shown = sorted(shown, key=lambda order: order.refusal is None)[:ORDERS_SHOWN]
        more = f"{len(planned) - ORDERS_SHOWN:,} more orders are in plan.frame."
        note = f"{more} {note}" if note else more
    count = f"{len(planned):,} order{'s' * (len(planned) != 1)}"
    title = f"Plan: {count}, {f'{refused:,} refused' if refused else 'none refused'}"
    return refusable_html(title, _PLAN_COLUMNS, list(map(_plan_row, shown)), note)


def _plan_row(order: PlannedOrder) -> Refusable:
    asked = order.volume
    if order.asked_volume is not None and order.asked_volume != order.volume:
        volume: object = f"{'–' if asked is None else f'{asked:f}'} of {order.asked_volume:f} asked"
    else:
        volume = asked
    words = order.kind.value if order.side is None else f"{order.kind.value} {order.side.value}"
    values = (
        order.account,
        order.agent,
        words,
        volume,
        order.symbol,
        order.ticket,
        order.entry,
        order.sl_price,
        order.tp_price,
        order.spread_cost,
        order.risk,
        order.margin,
    )
    refusal = None if order.refusal is None else order.refusal.sentence
    return Refusable(values, refusal, order.warnings)
