"""A column of times as agents wrote them → instants in UTC.

Why: 100,000 texts are parsed as one column, at a fiftieth of the price of one
by one. May import pandas, numpy and pyarrow. The trap: a base agent's text has
no offset and is somebody's wall clock, which skips an hour and repeats another.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # pyarrow ships no types

_NAIVE: Final = pa.timestamp("us")
_AWARE: Final = pa.timestamp("us", tz="UTC")
_FIRST: Final = int(np.datetime64("0002-01-01", "us").astype("i8"))
_LAST: Final = int(np.datetime64("9998-12-31", "us").astype("i8"))
_OFFSET: Final = r"(Z|[+-]\d{2}(:?\d{2})?)$"
_SHORTEST: Final = len("2026-02-01T09:30Z")  # an offset at the end of less could be a date's
_HAS_CLOCK: Final = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}"  # so that a date's -01 is no offset
_TOO_FINE: Final = r"(\.\d{6})\d+"


class FrameError(ValueError):
    """A value that decodes as JSON but means nothing.

    Attributes
    ----------
    json_path : str
        Where in the agent's answer it stands, as ``$.trades[17].exit_time``.
    """

    def __init__(self, message: str, *, json_path: str) -> None:
        self.json_path = json_path
        super().__init__(message)


class Instants(NamedTuple):
    """Microseconds in UTC, which a repeated local hour left open, which had no offset."""

    utc: npt.NDArray[np.datetime64]
    ambiguous: npt.NDArray[np.bool_]
    naive: npt.NDArray[np.bool_]


def parse_instants(
    texts: pa.Array, time_zone: ZoneInfo | None, field: str, rows: str = "trades"
) -> Instants:
    """Parse one field of all rows of an answer's list, an Arrow column of strings.

    A text with ``Z`` or an offset says itself when it was; one without is wall
    clock of `time_zone`. A local time that happened twice is taken as the
    earlier instant, one that a clock change skipped as the moment of the change.

    Raises
    ------
    FrameError
        At the first text that is no time.
    """
    # What the first one is the others are; to try in vain takes longer than to succeed.
    stated = len(texts) > 0 and re.search(_OFFSET, texts[0].as_py()) is not None
    try:
        return _stated(texts) if stated else _localized(_times(texts, _NAIVE), time_zone)
    except pa.ArrowInvalid:  # both kinds, a finer fraction, or no time at all
        return _parse_mixed(texts, time_zone, (rows, field))


def _stated(texts: pa.Array) -> Instants:
    """The times of an extended agent: every one with its offset."""
    if pc.min(pc.binary_length(texts)).as_py() < _SHORTEST:
        raise pa.ArrowInvalid("too short for a time with an offset")
    utc = _times(texts, _AWARE).to_numpy(zero_copy_only=False)
    no = np.zeros(len(utc), dtype=bool)
    return Instants(utc, no, no)


def _parse_mixed(column: pa.Array, time_zone: ZoneInfo | None, place: tuple[str, str]) -> Instants:
    tidy = pc.replace_substring_regex(column, _TOO_FINE, r"\1")
    aware = pc.and_(
        pc.match_substring_regex(tidy, _HAS_CLOCK), pc.match_substring_regex(tidy, _OFFSET)
    )
    naive_part = _cast(tidy, pc.if_else(aware, None, tidy), _NAIVE, place)
    aware_part = _cast(tidy, pc.if_else(aware, tidy, None), _AWARE, place)
    local = _localized(naive_part.fill_null(0), time_zone)
    is_aware = aware.to_numpy(zero_copy_only=False)
    stated = aware_part.fill_null(0).to_numpy(zero_copy_only=False)
    utc = np.where(is_aware, stated, local.utc)
    return Instants(utc, local.ambiguous & ~is_aware, ~is_aware)


def _times(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    """The texts as times that a zone can shift without leaving Python's calendar."""
    times = texts.cast(kind)
    ends = pc.min_max(times.cast(pa.int64()))
    if ends["min"].is_valid and not _FIRST <= ends["min"].as_py() <= ends["max"].as_py() <= _LAST:
        raise pa.ArrowInvalid("year 1 or earlier, or 9999")
    return times


def _cast(texts: pa.Array, some: pa.Array, kind: pa.DataType, place: tuple[str, str]) -> pa.Array:
    try:
        return _times(some, kind)
    except pa.ArrowInvalid:
        at, (rows, field) = _first_bad(some, kind), place
        raise FrameError(
            f"{texts[at].as_py()[:40]!r} is no date and time.",
            json_path=f"$.{rows}[{at}].{field}",
        ) from None


def _first_bad(texts: pa.Array, kind: pa.DataType) -> int:
    """The first place that does not cast, by halving: a bad reply costs no more than a good one."""
    low, high = 0, len(texts)  # low: all before it cast; high: something before it does not
    while high - low > 1:
        middle = (low + high) // 2
        try:
            _times(texts[low:middle], kind)
            low = middle
        except pa.ArrowInvalid:
            high = middle
    return low


def _localized(naive: pa.Array, time_zone: ZoneInfo | None) -> Instants:
    wall = naive.to_numpy(zero_copy_only=False)
    local = np.ones(len(wall), dtype=bool)
    if time_zone is None:
        return Instants(wall, ~local, local)
    # pandas rather than Arrow: it reads Python's zone data, which is there on every system.
    index = pd.DatetimeIndex(wall)
    marked = index.tz_localize(time_zone, ambiguous="NaT", nonexistent="shift_forward")
    ambiguous = np.asarray(marked.isna())
    if ambiguous.any():
        marked = index.tz_localize(time_zone, ambiguous=local, nonexistent="shift_forward")
    return Instants(np.asarray(marked.tz_convert(None), dtype="M8[us]"), ambiguous, local)
