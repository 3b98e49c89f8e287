"""Tables of open positions: what there is, and what would become of it.

Pure. May import `sheet_model`, `order_rows`, `model` and `aio`'s record of what was seen.
The traps: brokers number tickets each for themselves, so two accounts may have the same one;
and who reads "buy" in a preview must not be about to close.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from fleetkit.aio.seen import SeenPositions
from fleetkit.model import Position
from fleetkit.panels.account_rows import SOURCE_TONES
from fleetkit.panels.order_rows import VERDICTS
from fleetkit.panels.sheet_model import Column, Rows, Segment, Table
from fleetkit.trading import OrderKind, PlannedOrder

SIDES: Final = {"buy": "good", "sell": "bad"}

TABLE: Final = Table(
    "positions",
    "Open positions",
    (
        Column("account", "account", "id"),
        Column("ticket", "ticket", "id"),
        Column("symbol", "symbol"),
        Column("side", "side", "word", tones=SIDES),
        Column("volume", "lots", "number"),
        Column("open_time", "opened (UTC)", "time"),
        Column("open_price", "open price", "price"),
        Column("current_price", "price", "price"),
        Column("sl", "stop loss", "price"),
        Column("tp", "take profit", "price"),
        Column("profit", "floating", "money"),
        Column("swap", "swap", "money", shown=False),
        Column("commission", "commission", "money", shown=False),
        Column("source", "source", "word", tones=SOURCE_TONES),
        Column("age", "age", "age"),
        Column("comment", "comment"),
        Column("magic", "magic", "id", shown=False),
        Column("order_id", "order id", shown=False),
    ),
    row_tone=None,
    rows_high=10,
    empty="No open position is known.",
    key_kind="text",
)


PREVIEW: Final = Table(
    "preview",
    "What would be done",
    (
        Column("account", "account", "id"),
        Column("verdict", "verdict", "word", tones=VERDICTS, tip="why"),
        Column("order", "order"),
        Column("ticket", "ticket", "id"),
        Column("symbol", "symbol"),
        Column("side", "side", "word", tones=SIDES),
        Column("volume", "lots"),
        Column("profit", "floating", "money"),
        Column("sl", "stop loss"),
        Column("tp", "take profit"),
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


def key_of(position: Position | PlannedOrder) -> str:
    """What a position is known by in all accounts."""
    return f"{position.account}:{position.ticket}"


def position_values(position: Position, born: float, *, is_live: bool) -> tuple[Any, ...]:
    """One row, in the order of the table's columns."""
    said = {
        "side": position.side.value,
        "open_time": None if position.open_time is None else position.open_time.timestamp(),
        "source": "live" if is_live else "stale",
        "age": born,
        "sl": position.sl or None,  # agents say 0 where there is none
        "tp": position.tp or None,
    }
    return tuple(
        said[column.name] if column.name in said else getattr(position, column.name)
        for column in TABLE.columns
    )


def is_live(seen: SeenPositions, now: float, within_s: float, *, is_doubted: bool) -> bool:
    """Whether a list was read recently, and nothing happened since that it does not know."""
    return not is_doubted and (seen.is_fresh or now - seen.born < within_s)


def preview_rows(planned: Sequence[PlannedOrder], held: Mapping[str, Position]) -> Rows:
    """What would be closed or changed, with the figures of the positions as they are known now."""
    return Rows(
        {
            str(place): _preview(order, held.get(key_of(order)))
            for place, order in enumerate(planned)
        }
    )


def _preview(order: PlannedOrder, held: Position | None) -> tuple[Any, ...]:
    verdict, why = "ok", None
    if order.refusal is not None:
        verdict, why = "refused", order.refusal.sentence
    elif order.warnings or held is None:
        verdict = "warning"
        why = " ".join(order.warnings) or "This position is not in the list any more."
    side = order.side or (None if held is None else held.side)
    volume: Decimal | float | None = order.volume
    if volume is None and held is not None:
        volume = held.volume
    is_change = order.kind is OrderKind.MODIFY
    return (
        order.account,
        verdict,
        "change stops" if is_change else order.kind.value,
        order.ticket,
        order.symbol or (None if held is None else held.symbol),
        None if side is None else side.value,
        "all" if volume is None else f"{volume:.10g}",
        None if held is None else held.profit,
        _change(order.sent_sl, None if held is None else held.sl) if is_change else None,
        _change(order.sent_tp, None if held is None else held.tp) if is_change else None,
        why,
        order.agent,
    )


def _change(sent: Decimal | None, was: float | None) -> str:
    """How a stop would change; the agents take no level for "keep" and 0 for "remove"."""
    if sent is None:
        return "kept"
    before = f"{was:.10g}" if was else "none"
    return f"{before} → {f'{sent:f}' if sent else 'none'}"


def floating(positions: Iterable[Position], currencies: Mapping[int, str]) -> list[Segment]:
    """What positions come to, for each currency by itself."""
    sums: dict[str, float] = {}
    for position in positions:
        if position.profit is not None:
            currency = currencies.get(position.account, "")
            sums[currency] = sums.get(currency, 0.0) + position.profit
    return [
        Segment(f"floating {total:+,.2f} {currency}".rstrip(), "good" if total >= 0 else "bad")
        for currency, total in sums.items()
    ][:4]
