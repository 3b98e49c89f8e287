"""Frames that are built from records, a row each: accounts, positions, agents, labels.

May import `kinds`, `schema` and `model`. The trap: `with_ages` is the path of
every cached `accounts()`; anything added there is paid on each cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from fleetkit.frames.schema import ACCOUNTS, AGENTS, DOCTOR, LABELS, POSITIONS, Schema
from fleetkit.model import Account, AgentInfo, Diagnosis, Label, Position, Source


class Part(Protocol):
    """What the rows of one account have in common."""

    @property
    def account(self) -> int: ...
    @property
    def as_of(self) -> datetime | None: ...
    @property
    def age_s(self) -> float | None: ...
    @property
    def source(self) -> Source: ...


SHARED = frozenset({"account", "as_of", "age_s", "source"})


def repeat_parts(schema: Schema, parts: Sequence[Part], counts: Sequence[int]) -> dict[str, Any]:
    """The columns that each part gives to all of its rows."""
    times_each = np.asarray(counts, dtype=np.int64)
    return {
        name: schema.kind(name).fill([getattr(part, name) for part in parts]).repeat(times_each)
        for name in SHARED
    }


@dataclass(frozen=True, slots=True)
class PositionsPart:
    """The open positions of one account as they were at one moment."""

    account: int
    rows: Sequence[Position]
    as_of: datetime | None
    age_s: float | None
    source: Source


def accounts_frame(rows: Sequence[Account]) -> pd.DataFrame:
    """One row per account, in the order given.

    Parameters
    ----------
    rows
        The accounts.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``account``; figures that are not known are NaN, never zero.
    """
    return ACCOUNTS.frame(ACCOUNTS.fill(rows))


def with_ages(frame: pd.DataFrame, age_s: npt.NDArray[np.float64]) -> pd.DataFrame:
    """A copy of `frame` with other ages, at the price of that one column.

    All other columns are shared copy-on-write: writing into the copy, or into
    another copy, changes only that copy.

    Parameters
    ----------
    frame
        Any frame with a column ``age_s``; it is left as it is, `attrs` are copied.
    age_s
        One age in seconds per row, NaN where there is none. It is copied.
    """
    copy = frame.copy(deep=False)
    copy["age_s"] = age_s
    return copy


def with_source(frame: pd.DataFrame, source: Source) -> pd.DataFrame:
    """A copy of `frame` in which every row comes from `source`."""
    copy = frame.copy(deep=False)
    copy["source"] = ACCOUNTS.kind("source").fill([source] * len(frame))
    return copy


def with_labels(
    frame: pd.DataFrame, before: Sequence[Label], labels: Sequence[Label]
) -> pd.DataFrame:
    """A copy of an accounts frame under other labels, one per row; ages stay as they are.

    Only a column in which some label differs from the one `before` is made anew.
    """
    copy = frame.copy(deep=False)
    for name in ("phase", "vs_group"):
        values = [getattr(label, name) for label in labels]
        if values != [getattr(label, name) for label in before]:
            copy[name] = ACCOUNTS.kind(name).fill(values)
    return copy


def positions_frame(parts: Sequence[PositionsPart]) -> pd.DataFrame:
    """One row per open position, account by account in the order given.

    Parameters
    ----------
    parts
        One part per account; an account without positions gives no row.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``ticket``. Two brokers may use one ticket: look rows up by
        ticket and account.
    """
    rows = list(chain.from_iterable(part.rows for part in parts))
    shared = repeat_parts(POSITIONS, parts, [len(part.rows) for part in parts])
    return POSITIONS.frame(POSITIONS.fill(rows, without=SHARED) | shared)


def agents_frame(rows: Sequence[AgentInfo]) -> pd.DataFrame:
    """One row per agent, indexed by ``agent``; ``account`` is <NA> until it is known."""
    return AGENTS.frame(AGENTS.fill(rows))


def doctor_frame(rows: Sequence[Diagnosis]) -> pd.DataFrame:
    """One row per agent as the doctor found it, indexed by ``agent``."""
    return DOCTOR.frame(DOCTOR.fill(rows))


def labels_frame(labels: Mapping[int, Label]) -> pd.DataFrame:
    """One row per labelled account, indexed by ``account``."""
    arrays = LABELS.fill(list(labels.values()), without=frozenset({"account"}))
    return LABELS.frame(arrays | {"account": np.array(list(labels), dtype=np.int64)})
