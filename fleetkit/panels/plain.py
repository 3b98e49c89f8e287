"""What a panel shows, as text for terminals and as HTML without a script.

Why: `print(fleet.panel())` in a terminal, a snapshot in a mail, and a notebook that is read
without its kernel. May import `sheet_model`, `html` and `frames`' way to say an age. The
trap: all of it is hostile text; nothing gets into HTML but through the templates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from fleetkit.frames.tables import age_text
from fleetkit.html import card_html, visible_text
from fleetkit.panels.sheet_model import Block, Column, Contents, Drawing, Rows, Segment, Table

LINES: Final = 40  # rows of a table in a terminal
LONGEST: Final = 40  # characters of a cell there
UNKNOWN: Final = "-"


def contents_text(blocks: Sequence[Block], contents: Contents, now: float) -> str:
    """Lines and tables, one below the other."""
    parts = []
    for block in blocks:
        shown = contents.get(block.id)
        if isinstance(block, Table) and isinstance(shown, Rows):
            parts.append(_table_text(block, shown, now))
        elif isinstance(shown, str):
            parts.append(visible_text(shown))
        elif isinstance(shown, Drawing):
            parts.append(visible_text(shown.alt))
        elif isinstance(shown, tuple):
            parts.append(segments_text(shown, now))
    return "\n".join(part for part in parts if part)


def contents_html(title: str, blocks: Sequence[Block], contents: Contents, now: float) -> str:
    """The same as cards."""
    cards = []
    for block in blocks:
        shown = contents.get(block.id)
        if isinstance(block, Table) and isinstance(shown, Rows):
            cards.append(_table_card(block, shown, now))
        elif isinstance(shown, str):
            cards.append(card_html(title, warnings=[shown]))
        elif isinstance(shown, Drawing):
            cards.append(card_html(title, note=shown.alt))
        elif isinstance(shown, tuple) and shown:
            cards.append(card_html(title, note=segments_text(shown, now)))
    return "".join(cards)


def _table_card(table: Table, shown: Rows, now: float) -> str:
    columns = _shown_columns(table)
    rows = [
        [cell_text(column, row[place], now) for place, column in columns]
        for row in shown.rows.values()
    ]
    return card_html(table.label, columns=[column.label for _, column in columns], rows=rows)


def _shown_columns(table: Table) -> list[tuple[int, Column]]:
    return [(place, column) for place, column in enumerate(table.columns) if column.shown]


def segments_text(segments: Sequence[Segment], now: float) -> str:
    """A status line as a sentence."""
    return "  ·  ".join(filter(None, (_segment_text(segment, now) for segment in segments)))


def _segment_text(segment: Segment, now: float) -> str:
    parts = [visible_text(segment.text)]
    if segment.share is not None and segment.kind == "progress":
        parts.append(f"{segment.share:.0%}")
    if segment.since is not None:
        parts.append(f"{age_text(max(now - segment.since, 0.0))} ago")
    if segment.until is not None:
        left = max(math.ceil(segment.until - now), 0)
        parts.append(f"{left // 60}:{left % 60:02}")
    return " ".join(filter(None, parts))


def _table_text(table: Table, shown: Rows, now: float) -> str:
    columns = _shown_columns(table)
    if not shown.rows:
        return table.empty
    lines = [[column.label for _, column in columns]]
    lines += [
        [cell_text(column, row[place], now, LONGEST) for place, column in columns]
        for row in list(shown.rows.values())[:LINES]
    ]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    text = "\n".join(
        "  ".join(
            cell.rjust(width) if column.kind in _TO_RIGHT else cell.ljust(width)
            for cell, width, (_, column) in zip(line, widths, columns, strict=True)
        ).rstrip()
        for line in lines
    )
    more = len(shown.rows) - LINES
    return text if more <= 0 else f"{text}\n… and {more:,} more"


_TO_RIGHT: Final = frozenset({"number", "money", "count", "price", "age"})


def cell_text(column: Column, value: Any, now: float, longest: int = 240) -> str:
    """A cell as a person reads it."""
    text: str | None = None
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return UNKNOWN
    match column.kind:
        case "number" | "money":
            text = f"{value:,.{column.digits}f}"
        case "price":
            text = f"{value:.10g}"
        case "count":
            text = f"{value:,}"
        case "age":
            text = age_text(max(now - value, 0.0))
        case "time":
            text = f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S}"
        case "flag":
            text = "yes" if value else "no"
        case "spark":
            text = f"{value[-1]:,.0f}" if value else UNKNOWN
    return visible_text(str(value), longest) if text is None else text
