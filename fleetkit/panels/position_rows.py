"""The table of open positions: columns, keys, and one row for each.

Pure. May import `sheet_model`, `model` and `aio`'s record of what was seen. The trap: brokers
number tickets each for themselves, so two accounts may have the same one.
"""

from __future__ import annotations

from typing import Any, Final

from fleetkit.aio.seen import SeenPositions
from fleetkit.model import Position
from fleetkit.panels.account_rows import SOURCE_TONES
from fleetkit.panels.sheet_model import Column, Table

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


def key_of(position: Position) -> str:
    """What a position is known by in all accounts."""
    return f"{position.account}:{position.ticket}"


def position_values(position: Position, seen: SeenPositions) -> tuple[Any, ...]:
    """One row, in the order of the table's columns."""
    said = {
        "side": position.side.value,
        "open_time": None if position.open_time is None else position.open_time.timestamp(),
        "source": "live" if seen.is_fresh else "stale",
        "age": seen.born,
        "sl": position.sl or None,  # agents say 0 where there is none
        "tp": position.tp or None,
    }
    return tuple(
        said[column.name] if column.name in said else getattr(position, column.name)
        for column in TABLE.columns
    )
