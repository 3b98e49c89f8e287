"""Frames as text and files for the command line.

May import pandas, `html` and `errors`. The trap: text in a frame comes from agents;
in a terminal it can carry escape sequences, in a spreadsheet formulas. Whatever is
written for eyes or spreadsheets is made inert; JSON escapes it, Parquet keeps it.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from fleetkit.errors import UsageError
from fleetkit.html import visible_text

FORMATS: Final = ("table", "csv", "json", "parquet")
FORMULA_STARTS: Final = (
    "=",
    "+",
    "-",
    "@",
    "＝",
    "＋",
    "－",
    "＠",
)  # the full-width ones count too
LINE_STARTS: Final = ("\t", "\r", "\n")  # some spreadsheets skip them and then see a formula
LONGEST_CELL: Final = 60
GAP: Final = "  "

_HEADINGS: Final = {
    "pnl_pct": "pnl %",
    "days_operating": "days",
    "has_open_position": "open",
    "vs_group": "group",
    "age_s": "age",
    "initial_balance": "initial",
    "as_of": "as of (UTC)",
    "entry_time": "entry (UTC)",
    "exit_time": "exit (UTC)",
    "position_id": "position",
    "order_id": "order",
    "created_at": "created (UTC)",
    "sent_at": "sent (UTC)",
    "settled_at": "settled (UTC)",
    "filled_volume": "filled",
}
_SUMS: Final = ("balance", "equity", "profit")
_PRICES: Final = frozenset({"entry_price", "exit_price", "price"})
_AGES: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True)
class _Column:
    """A column as text: its heading first, every cell padded to one width."""

    name: str
    width: int
    cells: list[str]


def write_table(
    frame: pd.DataFrame,
    kind: str,
    output: Path | None = None,
    *,
    importance: Sequence[str] = (),
    width: int | None = None,
) -> None:
    """Write a frame as a table, CSV, JSON or Parquet to a file or standard output.

    Parameters
    ----------
    frame
        Any frame of fleetkit's.
    kind
        One of `FORMATS`.
    output
        A file; standard output if ``None``.
    importance, width
        As in `table_text`; the other formats have every column.

    Raises
    ------
    UsageError
        The file cannot be written, or Parquet would go to a terminal.
    """
    if kind == "parquet" and output is None and sys.stdout.isatty():
        msg = "Parquet is no text: say --output FILE, or send it into a file with >."
        raise UsageError(msg)
    if kind == "table":
        content = _encoded(table_text(frame, importance, width), output)
    else:
        content = _WRITERS[kind](_flat(frame))
    if output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    try:
        output.write_bytes(content)
    except OSError as error:
        msg = f"{output} cannot be written: {error.strerror}. Give another --output."
        raise UsageError(msg) from None


def table_text(
    frame: pd.DataFrame, importance: Sequence[str] = (), width: int | None = None
) -> str:
    """A frame as aligned text: one line of headings, one below it, one line per row.

    Parameters
    ----------
    frame
        Any frame of fleetkit's.
    importance
        The columns that may be shown, the most important first; all if empty. One of
        which nothing is known is left out.
    width
        Characters in a line: the less important columns that do not fit are left out.
    """
    flat = _flat(frame)
    wanted = list(importance) or list(flat.columns)
    if len(flat):
        wanted = [name for name in wanted if flat[name].notna().any()]
    shown: list[_Column] = []
    room = float("inf") if width is None else width
    for name in wanted:
        column = _column(name, flat[name])
        needed = column.width + len(GAP) * bool(shown)
        if needed <= room:
            shown.append(column)
            room -= needed
    order = list(flat.columns)
    shown.sort(key=lambda column: order.index(column.name))
    lines = zip(*(column.cells for column in shown), strict=True)
    return "".join(GAP.join(line).rstrip() + "\n" for line in lines)


def totals_text(summary: pd.DataFrame) -> str:
    """The frame of `Fleet.summary` in sentences, one line per currency."""
    return "".join(_totals(row) + "\n" for row in summary.to_dict("records"))


def _totals(row: Mapping[Hashable, Any]) -> str:
    accounts = f"{row['accounts']:,} account{'s' * (row['accounts'] != 1)}"
    counts = f"{accounts}, all connected"
    if row["disconnected"]:
        counts = f"{accounts}, {row['connected']:,} connected, {row['disconnected']:,} not"
    if row["stale"]:
        counts += f", {row['stale']:,} with older figures"
    currency = "" if pd.isna(row["currency"]) else f" {visible_text(row['currency'], 12)}"
    sums = [f"{name} {row[name]:,.2f}{currency}" for name in _SUMS if pd.notna(row[name])]
    read = row["last_refresh"]
    when = "never read as a whole" if pd.isna(read) else f"read {read:%Y-%m-%d %H:%M:%S} UTC"
    return "; ".join([counts, *sums, when]) + "."


def _column(name: str, values: pd.Series[Any]) -> _Column:
    heading = _HEADINGS.get(name, name)
    show = _shower(name, values)
    cells = ["-" if unknown else show(value) for unknown, value in zip(values.isna(), values)]  # noqa: B905 - one column, twice
    width = max(map(_screen_width, (heading, *cells)))
    to_right = pd.api.types.is_numeric_dtype(values.dtype) and name not in ("has_open_position",)
    padded = [_padded(cell, width, to_right=to_right) for cell in (heading, *cells)]
    return _Column(name, width, [padded[0], "-" * width, *padded[1:]])


def _shower(name: str, values: pd.Series[Any]) -> Callable[[Any], str]:
    """How to write a known value of this column."""
    kind = values.dtype
    if name == "age_s":
        return age_text
    if name in _PRICES:
        return lambda price: f"{price:.5f}".rstrip("0").rstrip(".")
    if pd.api.types.is_bool_dtype(kind):
        return lambda flag: "yes" if flag else "no"
    if pd.api.types.is_float_dtype(kind):
        return lambda number: f"{number:,.2f}"
    if isinstance(kind, pd.DatetimeTZDtype):
        return lambda time: f"{time:%Y-%m-%d %H:%M:%S}"
    if pd.api.types.is_timedelta64_dtype(kind):
        return _duration_text
    return lambda value: visible_text(str(value), LONGEST_CELL)


def age_text(age_s: float) -> str:
    """An age as a person says it: ``0 s``, ``12 s``, ``3 min``, ``2 d``."""
    for unit_s, unit in _AGES:
        if age_s >= unit_s:
            return f"{age_s // unit_s:,.0f} {unit}"
    return "0 s"


def _duration_text(duration: pd.Timedelta) -> str:
    minutes, seconds = divmod(int(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def _screen_width(text: str) -> int:
    """Places on a screen: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def _padded(text: str, width: int, *, to_right: bool) -> str:
    blank = " " * (width - _screen_width(text))
    return blank + text if to_right else text + blank


def _encoded(text: str, output: Path | None) -> bytes:
    # A terminal that cannot show a character shows a sign for it; no name stops the table.
    encoding = "utf-8" if output is not None else sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "replace")


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    flat = frame.copy(deep=False) if frame.index.name is None else frame.reset_index()
    flat.attrs = {}
    return flat


def _csv(flat: pd.DataFrame) -> bytes:
    for name in flat.columns:
        if flat[name].dtype == "str":
            flat[name] = flat[name].map(_inert, na_action="ignore")
    return flat.to_csv(index=False, lineterminator="\n").encode()


def _inert(text: str) -> str:
    """Text that neither a terminal nor a spreadsheet acts on."""
    seen = visible_text(text, len(text))
    risky = text.startswith(LINE_STARTS) or text.lstrip().startswith(FORMULA_STARTS)
    return "'" + seen if risky else seen


def _json(flat: pd.DataFrame) -> bytes:
    # pandas escapes everything that is not ASCII, control characters included.
    text: str = flat.to_json(orient="records", date_format="iso", date_unit="us")
    return text.encode() + b"\n"


def _parquet(flat: pd.DataFrame) -> bytes:
    return flat.to_parquet(None, index=False)


_WRITERS: Final[dict[str, Callable[[pd.DataFrame], bytes]]] = {
    "csv": _csv,
    "json": _json,
    "parquet": _parquet,
}
