"""What a sheet shows and how little of it must be sent: full messages and patches.

Why: a table of 5,000 rows whose every fifth row changes four times a second must neither
fill the wire nor block the page. Pure. May import nothing of fleetkit. The trap: browser
and Python each keep the rows by slot, the place in order of arrival; both must take rows
out, add rows and change cells in that order, or every later patch hits the wrong row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

Key = int | str
Values = tuple[Any, ...]

BORN_TOLERANCE_S: Final = 0.1  # a moment that moved less is the same moment
PRICE_DIGITS: Final = 10


class Column(msgspec.Struct, frozen=True):
    """One column of a table.

    Attributes
    ----------
    kind : str
        ``text``, ``id`` (a number that is a name), ``word`` (one of a few, with a dot of
        its tone), ``number``, ``money`` (coloured by its sign), ``count``, ``price``,
        ``age`` (the value is when it was born, in the Clock's seconds), ``time`` (seconds
        since 1970), ``flag``, ``spark`` (a list of numbers).
    digits : int
        Decimals of numbers and money.
    shown : bool
        Whether it is visible before anybody chooses columns.
    tip : str or None
        The column whose text is the tooltip of this one's cells.
    tones : dict of str to str
        Word to tone: good, fair, bad, busy, off.
    """

    name: str
    label: str
    kind: str = "text"
    digits: int = 2
    shown: bool = True
    tip: str | None = None
    tones: Mapping[str, str] = {}
    width: int | None = None


class Table(msgspec.Struct, frozen=True, tag="table"):
    """A table of rows that are known by a key."""

    id: str
    label: str
    columns: tuple[Column, ...]
    sort: tuple[str, bool] | None = None
    row_tone: str | None = None
    selectable: bool = True
    filterable: bool = True
    chooser: bool = True
    empty: str = "Nothing here yet."
    rows_high: int = 14
    key_kind: str = "number"


class Line(msgspec.Struct, frozen=True, tag="line"):
    """A line of segments: badges, sentences, progress."""

    id: str
    label: str
    aria_live: str = "polite"


class Picture(msgspec.Struct, frozen=True, tag="picture"):
    """An SVG."""

    id: str
    label: str


class Note(msgspec.Struct, frozen=True, tag="note"):
    """A notice that must be seen; hidden while there is none."""

    id: str


Block = Table | Line | Picture | Note


class Rows(msgspec.Struct, frozen=True):
    """A table's rows by key, in order of arrival, and which are selected."""

    rows: Mapping[Any, Values]  # by `Key`; a mapping of one kind of keys is one, too
    selected: frozenset[Any] = frozenset()


class Segment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of a line.

    Attributes
    ----------
    kind : str
        ``text``, ``badge``, ``strong``, ``progress`` or ``warning``.
    since, until : float or None
        Moments of the Clock; the browser counts the age, or the time that is left.
    share : float or None
        Of a progress bar, 0 to 1.
    """

    text: str
    tone: str = ""
    kind: str = "text"
    since: float | None = None
    until: float | None = None
    share: float | None = None
    title: str = ""


class Drawing(msgspec.Struct, frozen=True):
    """A picture and what it says in words."""

    svg: str
    alt: str


Shown = Rows | tuple[Segment, ...] | Drawing | str | None
Contents = Mapping[str, Shown]
Message = dict[str, Any]


def first_message(version: int, now: float, contents: Contents, blocks: Sequence[Block]) -> Message:
    """Everything, for a view that knows nothing."""
    shown = {block.id: _whole(block, contents.get(block.id)) for block in blocks}
    return {"kind": "full", "version": version, "now": round(now, 3), "blocks": shown}


def next_message(
    version: int, now: float, before: Contents, after: Contents, blocks: Sequence[Block]
) -> Message | None:
    """What changed since the message before; ``None`` if nothing did."""
    changed: dict[str, Any] = {}
    for block in blocks:
        old, new = before.get(block.id), after.get(block.id)
        if isinstance(block, Table) and isinstance(old, Rows) and isinstance(new, Rows):
            patch = _table_patch(block, old, new)
            if patch:
                changed[block.id] = patch
        elif not _same(old, new):
            changed[block.id] = _whole(block, new)
    if not changed:
        return None
    return {
        "kind": "patch",
        "version": version,
        "base": version - 1,
        "now": round(now, 3),
        "blocks": changed,
    }


def _whole(block: Block, shown: Shown) -> Any:
    if isinstance(block, Table):
        rows = shown if isinstance(shown, Rows) else Rows({})
        return {
            "keys": list(rows.rows),
            "rows": [_rounded(block.columns, values) for values in rows.rows.values()],
            "selected": sorted(rows.selected, key=str),
        }
    if isinstance(shown, tuple):
        return [msgspec.to_builtins(_steady(segment)) for segment in shown]
    return None if shown is None else msgspec.to_builtins(shown)


def _steady(segment: Segment) -> Segment:
    """With its moments rounded, so that noise of clocks is no change."""
    if segment.since is None and segment.until is None:
        return segment
    since = None if segment.since is None else round(segment.since, 1)
    until = None if segment.until is None else round(segment.until, 1)
    return msgspec.structs.replace(segment, since=since, until=until)


def _same(old: Shown, new: Shown) -> bool:
    if isinstance(old, tuple) and isinstance(new, tuple):
        return len(old) == len(new) and all(map(_same_segment, old, new))
    return bool(old == new)


def _same_segment(old: Segment, new: Segment) -> bool:
    if old is new:
        return True
    moments = ((old.since, new.since), (old.until, new.until))
    if not all(_same_moment(*pair) for pair in moments):
        return False
    return msgspec.structs.replace(old, since=None, until=None) == msgspec.structs.replace(
        new, since=None, until=None
    )


def _same_moment(old: float | None, new: float | None) -> bool:
    if old is None or new is None:
        return old is new
    return abs(old - new) <= BORN_TOLERANCE_S


def _rounded(columns: Sequence[Column], values: Values) -> list[Any]:
    return [_round(column, value) for column, value in zip(columns, values, strict=True)]


def _round(column: Column, value: Any) -> Any:
    """A value as it is sent: no digit that nobody sees, and nothing JSON does not know."""
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None
    if column.kind in ("number", "money"):
        return round(value, column.digits)
    if column.kind == "price":
        return float(f"{value:.{PRICE_DIGITS}g}")
    if column.kind == "age":
        return round(value, 1)
    return round(value, 6)


def _differs(column: Column, old: Any, new: Any) -> bool:
    if old is new or old == new:
        return False
    if column.kind == "age" and old is not None and new is not None:
        return bool(abs(old - new) > BORN_TOLERANCE_S)
    return bool(_round(column, old) != _round(column, new))


def _table_patch(table: Table, old: Rows, new: Rows) -> dict[str, Any]:
    patch: dict[str, Any] = {}
    gone = [key for key in old.rows if key not in new.rows]
    fresh = [key for key in new.rows if key not in old.rows]
    if gone:
        patch["remove"] = gone
    if fresh:
        patch["add"] = [[key, _rounded(table.columns, new.rows[key])] for key in fresh]
    groups = _changed_cells(table.columns, old, new)
    if groups:
        patch["set"] = [
            {"c": list(places), "s": slots, "v": [list(column) for column in columns]}
            for places, (slots, columns) in groups.items()
        ]
    if old.selected != new.selected:
        patch["selected"] = sorted(new.selected, key=str)
    return patch


def _changed_cells(
    columns: Sequence[Column], old: Rows, new: Rows
) -> dict[tuple[int, ...], tuple[list[int], list[list[Any]]]]:
    """Changed rows by which of their columns changed: slots, and values column by column."""
    groups: dict[tuple[int, ...], tuple[list[int], list[list[Any]]]] = {}
    kept = (key for key in old.rows if key in new.rows)
    for slot, key in enumerate(kept):
        before, after = old.rows[key], new.rows[key]
        if before is after:
            continue
        places = tuple(
            place
            for place, column in enumerate(columns)
            if _differs(column, before[place], after[place])
        )
        if not places:
            continue
        slots, values = groups.setdefault(places, ([], [[] for _ in places]))
        slots.append(slot)
        for cells, place in zip(values, places, strict=True):
            cells.append(_round(columns[place], after[place]))
    return groups


def in_slots(before: Contents, after: Contents) -> Contents:
    """`after` with its rows in the order of the slots that they have in the browser."""
    return {name: _in_slots(before.get(name), shown) for name, shown in after.items()}


def _in_slots(old: Shown, new: Shown) -> Shown:
    if not isinstance(old, Rows) or not isinstance(new, Rows):
        return new
    kept = [key for key in old.rows if key in new.rows]
    if kept == list(new.rows)[: len(kept)]:
        return new
    order = [*kept, *(key for key in new.rows if key not in old.rows)]
    return Rows({key: new.rows[key] for key in order}, new.selected)
