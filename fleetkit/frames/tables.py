"""Frames as text and files for the command line.

May import pandas and `errors`. The trap: text in a frame comes from agents; in a
terminal it can carry escape sequences, in a spreadsheet formulas.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from fleetkit.errors import UsageError

FORMATS = ("table", "csv", "json", "parquet")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def write_table(frame: pd.DataFrame, kind: str, output: Path | None) -> None:
    """Write a frame as a table, CSV, JSON or Parquet to a file or standard output.

    Raises
    ------
    UsageError
        The file cannot be written.
    """
    try:
        if kind == "parquet":
            _write_bytes(_flat(frame).to_parquet(None, index=False), output)
        else:
            _write_text(_TEXT[kind](frame), output)
    except OSError as error:
        if isinstance(error, BrokenPipeError) or output is None:
            raise
        msg = f"{output} cannot be written: {error.strerror}."
        raise UsageError(msg) from None


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    flat = frame.copy(deep=False) if frame.index.name is None else frame.reset_index()
    flat.attrs = {}
    return flat


def _table(frame: pd.DataFrame) -> str:
    if frame.empty:
        return "nothing\n"
    shown = _each_text(frame if frame.index.name is None else frame.reset_index(), _printable)
    return shown.to_string(index=False, na_rep="-", float_format=lambda x: f"{x:,.2f}") + "\n"


def _csv(frame: pd.DataFrame) -> str:
    return _each_text(_flat(frame), _no_formula).to_csv(index=False, lineterminator="\n")


def _json(frame: pd.DataFrame) -> str:
    text: str = _flat(frame).to_json(orient="records", date_format="iso", date_unit="us")
    return text + "\n"


_TEXT = {"table": _table, "csv": _csv, "json": _json}


def _each_text(frame: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    changed = frame.copy(deep=False)
    for name in changed.columns:
        if changed[name].dtype == "str":
            changed[name] = changed[name].map(change, na_action="ignore")
    return changed


def _printable(text: str) -> str:
    """Control characters and direction marks as a visible sign, long text cut."""
    clean = "".join("�" if unicodedata.category(c) in ("Cc", "Cf", "Cs") else c for c in text)
    return clean if len(clean) <= 60 else clean[:59] + "…"


def _no_formula(text: str) -> str:
    return "'" + text if text.startswith(FORMULA_STARTS) else text


def _write_text(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        output.write_text(text, encoding="utf-8", newline="")


def _write_bytes(content: bytes, output: Path | None) -> None:
    if output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    else:
        output.write_bytes(content)
