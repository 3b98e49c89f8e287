"""Two replies about the closed trades of one account, put together: each trade once.

Why: replies overlap, and an agent may become another one between two of them. May
import `columns`, pandas, pyarrow and numpy. The trap: a base agent says one row of a
position, an extended one a row per closing deal, which share the position's id. What
is told once is never lost, and never doubled when it is told again, by either of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # pyarrow ships no types

from fleetkit.frames.columns import TIME, compact

_OF_THE_READING: Final = ("ambiguous", "naive", "per_deal")  # how it was told, not what
_CLOSING: Final = ("position_id", "exit_time", "volume", "exit_price")  # tells closing deals apart
_NO_POSITION: Final = -1
_TOLD_TWICE: Final = ("position_id", "exit_price", "profit")  # a base row of a deal known better


def merged(newer: pa.Table, older: pa.Table) -> pa.Table:
    """The trades of a reply and of an `older` one, each once, newest exit first."""
    if _any(newer["per_deal"]) or _any(older["per_deal"]):
        newer = newer.filter(pa.array(~_known_better(newer, older)))
        kept = older.filter(pa.array(~_told_again(older, newer)))
    else:
        kept = older.filter(pc.invert(_of_positions_in(older, newer)))
    kept = _without(kept, Counter(_identities(_nameless(newer))))
    return newest_first(compact(pa.concat_tables([newer, kept])))


def each_once(table: pa.Table) -> pa.Table:
    """`table` without repetitions of a trade whose position id says that it is the same.

    Closing deals stay: two of one position may be equal in all that is told of them.
    """
    per_deal = table["per_deal"]
    ids = table["position_id"]
    if _any(per_deal):
        ids = ids.filter(pc.invert(per_deal))
    ids = ids.drop_null()
    steps = np.diff(ids.to_numpy())
    if (steps > 0).all() or (steps < 0).all() or len(pc.unique(ids)) == len(ids):
        return table  # as good as always
    seen: set[tuple[Any, ...]] = set()

    def first(key: tuple[Any, ...], is_deal: bool) -> bool:
        if key[0] is None or is_deal:
            return True
        known = key in seen
        seen.add(key)
        return not known

    kept = map(first, _identities(table), per_deal.to_pylist())
    return table.filter(pa.array(kept, pa.bool_()))


def newest_first(table: pa.Table) -> pa.Table:
    """The rows by falling exit time."""
    exits = table["exit_time"].to_numpy().view("i8")
    if (exits[:-1] >= exits[1:]).all():
        return table  # as agents send it: nothing to do
    return table.take(np.argsort(-exits, kind="stable"))


def _any(flags: pa.ChunkedArray) -> bool:
    return bool(pc.any(flags).as_py())


def _of_positions_in(table: pa.Table, other: pa.Table) -> Any:
    """Which rows of `table` are of a position that `other` tells of."""
    ids = table["position_id"]
    told = other["position_id"].combine_chunks().drop_null()
    return pc.and_(pc.is_in(ids, value_set=told), pc.is_valid(ids))


def _known_better(newer: pa.Table, older: pa.Table) -> npt.NDArray[np.bool_]:
    """Rows a base agent tells of a closing deal that an extended one has told already.

    It tells a position's newest part: one no newer than those that are known is one of
    them. Where its clock is read wrongly, price and profit tell.
    """
    deals = older.filter(older["per_deal"])
    times, told = _keys(newer, _CLOSING), _keys(deals, _CLOSING)
    newest = told.groupby("position_id")["exit_time"].max()
    no_newer = (times["exit_time"] <= times["position_id"].map(newest)).to_numpy()
    found = no_newer | _found(_keys(newer, _TOLD_TWICE), _keys(deals, _TOLD_TWICE))
    return found & ~_flags(newer["per_deal"]) & _flags(pc.is_valid(newer["position_id"]))


def _told_again(older: pa.Table, newer: pa.Table) -> npt.NDArray[np.bool_]:
    """Rows of `older` that `newer` has, or has better."""
    deals = newer.filter(newer["per_deal"])
    again = _found(_numbered(_keys(older, _CLOSING)), _numbered(_keys(deals, _CLOSING)))
    per_deal = _flags(older["per_deal"])
    named = _flags(pc.is_valid(older["position_id"]))
    return named & np.where(per_deal, again, _flags(_of_positions_in(older, newer)))


def _flags(flags: Any) -> npt.NDArray[np.bool_]:
    return np.asarray(flags.to_numpy(), dtype=bool)


def _keys(table: pa.Table, names: Sequence[str]) -> pd.DataFrame:
    """Columns as whole numbers, so that even unknown figures can be compared."""
    columns = {name: table[name].to_numpy() for name in names if name != "position_id"}
    columns["position_id"] = table["position_id"].fill_null(_NO_POSITION).to_numpy()
    return pd.DataFrame({name: np.asarray(c).view("i8") for name, c in columns.items()})


def _numbered(keys: pd.DataFrame) -> pd.DataFrame:
    """Keys with which of its equals each is: two equal deals are two."""
    return keys.assign(nth=keys.groupby(list(keys.columns), sort=False).cumcount())


def _found(keys: pd.DataFrame, among: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which `keys` are `among` others."""
    both = pd.concat([among, keys], ignore_index=True)
    groups = both.groupby(list(both.columns), sort=False).ngroup().to_numpy()
    return np.isin(groups[len(among) :], groups[: len(among)])


def _nameless(table: pa.Table) -> pa.Table:
    return table.filter(pc.is_null(table["position_id"]))


def _identities(table: pa.Table) -> list[tuple[Any, ...]]:
    """All that is known of each trade, as keys."""
    names = [name for name in table.schema.names if name not in _OF_THE_READING]
    plain = [
        column.cast(pa.int64()) if column.type == TIME else column
        for column in (table[name] for name in names)
    ]
    return list(zip(*(column.to_pylist() for column in plain), strict=True))


def _without(table: pa.Table, present: Counter[tuple[Any, ...]]) -> pa.Table:
    """`table` without the nameless trades that are `present` already, each as often as it is."""
    if not present:
        return table

    def absent(key: tuple[Any, ...]) -> bool:
        if key[0] is not None or not present[key]:
            return True
        present[key] -= 1
        return False

    return table.filter(pa.array(map(absent, _identities(table)), pa.bool_()))
