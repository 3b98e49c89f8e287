"""Orders in tables: as they would be sent, and what became of them.

Pure. May import `sheet_model`, `trading` and `model`. The trap: Decimal is exact and JSON is
not. What is shown here is for eyes; what is sent is the plan itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from fleetkit.model import Side
from fleetkit.panels.sheet_model import Column, Rows, Table
from fleetkit.trading import OrderKind, OrderLine, Outcome, PlannedOrder, Receipt

VERDICTS: Final = {"ok": "good", "warning": "fair", "refused": "bad"}
OUTCOMES: Final = {
    "filled": "good",
    "rejected": "fair",
    "not_sent": "fair",
    "not_executed": "fair",
    "unknown": "bad",
    "under way": "busy",
}
EVIDENCE: Final = {"answer": "good", "by_id": "good", "inferred": "fair", "none": "bad"}

PREVIEW: Final = Table(
    "preview",
    "What would be sent",
    (
        Column("account", "account", "id"),
        Column("verdict", "verdict", "word", tones=VERDICTS, tip="why"),
        Column("order", "order"),
        Column("volume", "lots"),
        Column("symbol", "symbol"),
        Column("ticket", "ticket", "id"),
        Column("entry", "price", "price"),
        Column("sl", "stop loss", "price"),
        Column("sl_pips", "sl pips", "number", digits=1),
        Column("risk", "at risk", "money"),
        Column("tp", "take profit", "price"),
        Column("tp_pips", "tp pips", "number", digits=1, shown=False),
        Column("tp_money", "tp money", "money"),
        Column("margin", "margin", "number"),
        Column("spread_cost", "spread cost", "number"),
        Column("why", "why", tip="why", width=320),
        Column("agent", "agent", shown=False),
    ),
    row_tone="verdict",
    selectable=False,
    filterable=False,
    chooser=False,
    rows_high=8,
    empty="Nothing to confirm.",
    key_kind="text",
)

RECEIPTS: Final = Table(
    "receipts",
    "Receipts",
    (
        Column("account", "account", "id"),
        Column("outcome", "outcome", "word", tones=OUTCOMES, tip="reason"),
        Column("order", "order"),
        Column("symbol", "symbol"),
        Column("volume", "lots", "number"),
        Column("filled_volume", "filled", "number"),
        Column("ticket", "ticket", "id"),
        Column("price", "price", "price"),
        Column("stops_ok", "stops ok", "flag"),
        Column("evidence", "evidence", "word", tones=EVIDENCE),
        Column("reason", "why", tip="reason", width=280),
        Column("took_ms", "ms", "count"),
        Column("order_id", "order id", width=210),
    ),
    row_tone="outcome",
    selectable=False,
    filterable=False,
    chooser=False,
    rows_high=8,
    empty="No orders were sent from here yet.",
    key_kind="text",
)


def preview_rows(planned: Sequence[PlannedOrder]) -> Rows:
    """One row for each order, in the order in which they were asked for."""
    return Rows({str(place): _preview(order) for place, order in enumerate(planned)})


def _preview(order: PlannedOrder) -> tuple[Any, ...]:
    verdict, why = "ok", None
    if order.refusal is not None:
        verdict, why = "refused", order.refusal.sentence
    elif order.warnings:
        verdict, why = "warning", " ".join(order.warnings)
    words = _words(order.kind, order.side)
    return (
        order.account,
        verdict,
        words,
        _lots(order),
        order.symbol,
        order.ticket,
        _number(order.entry),
        _number(order.sl_price),
        _number(order.sl_pips),
        _risk(order),
        _number(order.tp_price),
        _number(order.tp_pips),
        _number(order.tp_money),
        _number(order.margin),
        _number(order.spread_cost),
        why,
        order.agent,
    )


def _words(kind: OrderKind, side: Side | None) -> str:
    """Of an open its side; the side of what is closed would be taken for an open's."""
    return side.value if kind is OrderKind.OPEN and side is not None else kind.value


def _lots(order: PlannedOrder) -> str | None:
    """As sent; where rounding changed it, as asked for, too."""
    if order.volume is None:
        return None if order.asked_volume is None else f"{order.asked_volume:f}"
    if order.asked_volume in (None, order.volume):
        return f"{order.volume:f}"
    return f"{order.volume:f} of {order.asked_volume:f}"


def _risk(order: PlannedOrder) -> float | None:
    risk = order.risk if order.risk is not None else order.sl_money
    return None if risk is None else -abs(float(risk))


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def receipt_rows(receipts: Mapping[str, Receipt], journal: Mapping[str, OrderLine]) -> Rows:
    """The newest first; one that was unknown shows what was found out since."""
    newest = reversed(list(receipts.items()))
    return Rows({key: _receipt(receipt, journal.get(receipt.order_id)) for key, receipt in newest})


def _receipt(receipt: Receipt, line: OrderLine | None) -> tuple[Any, ...]:
    facts: Any = receipt
    if receipt.outcome is Outcome.UNKNOWN and line is not None and line.outcome is not None:
        facts = line
    order = _words(receipt.kind, receipt.side)
    return (
        receipt.account,
        facts.outcome.value,
        order,
        receipt.symbol,
        _number(receipt.volume),
        _number(facts.filled_volume),
        facts.ticket,
        facts.price,
        facts.stops_ok,
        None if facts.evidence is None else facts.evidence.value,
        facts.reason or None,
        None if receipt.timings.total_ms is None else round(receipt.timings.total_ms),
        receipt.order_id,
    )


def locks(journal: Sequence[OrderLine], accounts: Sequence[int], symbol: str) -> list[OrderLine]:
    """The unknown opens that keep a symbol of these accounts from being opened again."""
    return [
        line
        for line in journal
        if line.outcome is Outcome.UNKNOWN
        and line.kind.value == "open"
        and line.account in accounts
        and (line.symbol or "").casefold() == symbol.casefold()
    ]
