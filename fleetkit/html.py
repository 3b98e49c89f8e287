"""The one template environment (autoescape) behind every ``_repr_html_``.

Why: what an agent says is hostile text until it is escaped, and an injected
script in a notebook trades every account. May import nothing of fleetkit;
jinja2 on first use only. The trap: escaping alone leaves control and direction
characters alive, which reorder or hide what a reader believes to see.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from jinja2 import Environment

LONGEST: Final = 240  # characters shown of one value; the value itself has the rest

_IDENTIFIERS: Final = frozenset({"account", "ticket", "position_id", "deal", "order", "magic"})
_JOINERS: Final = "\u200c\u200d"  # zero width, but many scripts and emoji are written with them
_GOOD: Final = frozenset({"connected", "online", "live", "configured", "confirmed"})
_FAIR: Final = frozenset({"stale", "disconnected", "timeout", "half_open", "learned"})
_BAD: Final = frozenset({"offline", "error", "wrong_account", "conflict"})
# Words that mean something else elsewhere: "unknown" of a binding is no reason to worry.
_TONES: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        ("Breaker", "closed"): "good",
        ("Breaker", "open"): "bad",
        ("Outcome", "filled"): "good",
        ("Outcome", "unknown"): "bad",
        ("Outcome", "rejected"): "fair",
        ("Outcome", "not_sent"): "fair",
        ("Outcome", "not_executed"): "fair",
        ("Evidence", "inferred"): "fair",
    }
)


class Cell(NamedTuple):
    """A value as it is shown: safe text, and what kind of thing it is for the style."""

    text: str
    kind: str  # text, number, word, unknown
    tone: str = ""  # good, fair, bad; only for our own words


def visible_text(text: str, longest: int = LONGEST) -> str:
    """`text` with every invisible character made visible, and no longer than `longest`.

    Control characters become their pictures (``␛``), direction marks and other
    invisible ones their number (``‹U+202E›``), so that nothing can hide, reorder
    or break the line.
    """
    clipped = text[:longest]
    if not clipped.isprintable():
        clipped = "".join(map(_visible_character, clipped))
    return clipped + "…" if len(text) > longest else clipped


def _visible_character(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}:
        return character if character in _JOINERS else f"‹U+{code:04X}›"
    return character


def record_html(record: Any) -> str:
    """A record as a small table of two columns; what is not known is listed below it.

    Parameters
    ----------
    record
        A `msgspec.Struct` or a dataclass. Its properties are shown as well.
    """
    names = _field_names(record)
    known = [(name, getattr(record, name)) for name in names]
    unknown = [name for name, value in known if value is None]
    return _render(
        "card.html",
        title=_title(record),
        facts=[(name, _cell(value, name)) for name, value in known if value is not None],
        unknown=unknown,
    )


def card_html(
    title: str,
    facts: Sequence[tuple[str, object]] = (),
    columns: Sequence[str] = (),
    rows: Sequence[Sequence[object]] = (),
    note: str | None = None,
    warnings: Sequence[str] = (),
) -> str:
    """A titled card: warnings, facts, then a table where there are rows, then a note.

    Parameters
    ----------
    title
        What this is.
    facts
        Name and value pairs, in order.
    columns, rows
        The table's head and cells.
    note
        A sentence below.
    warnings
        Sentences that a reader must not overlook: in red, before everything else.
    """
    cells = [[_cell(value, name) for name, value in zip(columns, row, strict=True)] for row in rows]
    return _render(
        "card.html",
        title=visible_text(title, 80),
        warnings=list(map(visible_text, warnings)),
        facts=[(visible_text(name, 80), _cell(value, name)) for name, value in facts],
        columns=[
            (visible_text(name, 80), _is_numeric([row[place] for row in cells]))
            for place, name in enumerate(columns)
        ],
        rows=cells,
        note=None if note is None else visible_text(note),
    )


def note_html(cards: Sequence[str]) -> str:
    """What stands in for a widget while no kernel is behind it: cards that other functions made.

    It hides itself where the output after it is a live panel, and hides that one's error
    message where it is not.
    """
    from markupsafe import Markup  # jinja2's own; these strings are our templates' output

    return _render("note.html", cards=list(map(Markup, cards)))


class Refusable(NamedTuple):
    """One row of `refusable_html`: its values, why it is refused, and what to mind."""

    values: Sequence[object]
    refusal: str | None = None
    warnings: Sequence[str] = ()


def refusable_html(
    title: str, columns: Sequence[str], rows: Sequence[Refusable], note: str | None = None
) -> str:
    """A card of rows that may be refused: refusals in red and warnings below their row.

    Parameters
    ----------
    title
        What this is.
    columns, rows
        The table's head and rows.
    note
        A sentence below.
    """
    cells = [
        [_cell(value, name) for name, value in zip(columns, row.values, strict=True)]
        for row in rows
    ]
    return _render(
        "refusable.html",
        title=visible_text(title, 80),
        columns=[
            (visible_text(name, 80), _is_numeric([row[place] for row in cells]))
            for place, name in enumerate(columns)
        ],
        rows=[
            {
                "cells": shown,
                "refusal": None if row.refusal is None else visible_text(row.refusal),
                "warnings": list(map(visible_text, row.warnings)),
            }
            for shown, row in zip(cells, rows, strict=True)
        ],
        note=None if note is None else visible_text(note),
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("fleetkit"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _render(template: str, **context: Any) -> str:
    defaults: dict[str, Any] = {
        "unknown": [],
        "warnings": [],
        "columns": [],
        "rows": [],
        "note": None,
    }
    return _environment().get_template(template).render(defaults | context)


def _is_numeric(column: Sequence[Cell]) -> bool:
    kinds = {cell.kind for cell in column}
    return "number" in kinds and kinds <= {"number", "unknown"}


def _field_names(record: Any) -> list[str]:
    kind = type(record)
    if isinstance(record, msgspec.Struct):
        stored = list(record.__struct_fields__)
    elif is_dataclass(record):
        stored = [field.name for field in fields(record) if field.repr]
    else:
        msg = f"{kind.__name__} is neither a msgspec.Struct nor a dataclass."
        raise TypeError(msg)
    derived = [name for name, member in vars(kind).items() if isinstance(member, property)]
    return [name for name in (*stored, *derived) if not name.startswith("_")]


def _title(record: Any) -> str:
    words = [type(record).__name__]
    for name in ("account", "symbol"):
        value = getattr(record, name, None)
        if value is not None:
            words.append(visible_text(str(value), 40))
    return " ".join(words)


def _cell(value: object, name: str) -> Cell:
    if value is None or value != value:  # NaN and NaT differ from themselves
        return Cell("–", "unknown")
    if isinstance(value, Enum):
        word = visible_text(str(value.value), 40)
        return Cell(word, "word", _tone(word, type(value).__name__))
    if isinstance(value, bool):
        return Cell("yes" if value else "no", "text")
    if isinstance(value, int):
        return Cell(str(value) if name in _IDENTIFIERS else f"{value:,}", "number")
    if isinstance(value, float):
        return Cell(_figure(value), "number")
    if isinstance(value, Decimal):  # exact, with the zeros it was given
        return Cell(f"{value:,f}" if value.is_finite() else str(value), "number")
    if isinstance(value, datetime):
        return Cell(_moment(value), "number")
    text = visible_text(str(value))
    return Cell(text, "text") if text else Cell("none", "unknown")


def _figure(value: float) -> str:
    decimals = 5 if abs(value) >= 0.001 else 8  # prices have five, points and steps are smaller
    text = f"{value:,.{decimals}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _moment(value: datetime) -> str:
    zone = value.tzname() or ""
    return f"{value:%Y-%m-%d %H:%M:%S} {zone}".rstrip()


def _tone(word: str, enum: str) -> str:
    if (enum, word) in _TONES:
        return _TONES[enum, word]
    if word in _GOOD:
        return "good"
    if word in _FAIR:
        return "fair"
    return "bad" if word in _BAD else ""
