"""Fields of many structs → flat memory → Arrow columns.

Why: reading a field of 100,000 objects is all there is time for; what is read must
become a column without a second loop. May import pyarrow and numpy. The trap: a
text with a line break in it cannot be told from two once texts are joined.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # pyarrow ships no types

TIME: Final = pa.timestamp("us", tz="UTC")
SYMBOL: Final = pa.dictionary(pa.int32(), pa.string())


def packed(values: list[Any], code: str = "d", unknown: float = math.nan) -> bytes:
    """Numbers, ``None`` among them as `unknown`, as C has them."""
    layout = f"{len(values)}{code}"
    try:
        return struct.pack(layout, *values)
    except struct.error:  # a None among them
        return struct.pack(layout, *[unknown if value is None else value for value in values])


def joined(texts: list[str]) -> str | list[str]:
    """Texts as one, or as they are where a line break would make two of one."""
    one = "\n".join(texts)
    return one if one.count("\n") == len(texts) - 1 else texts


def nullable(values: npt.NDArray[Any], unknown: npt.NDArray[np.bool_]) -> pa.Array:
    """A column that is null where a value is `unknown`."""
    return pa.array(values, mask=unknown if unknown.any() else None)


def floats(parts: Sequence[bytes]) -> pa.Array:
    """A column of what `packed` made, part after part."""
    values = np.frombuffer(b"".join(parts))
    return nullable(values, np.isnan(values))


def texts(parts: list[str | list[str]]) -> pa.Array:
    """A column of what `joined` made, part after part."""
    if all(isinstance(part, str) for part in parts):  # as good as always
        return pc.split_pattern(pa.scalar("\n".join(cast(list[str], parts))), "\n").values
    lists = [part.split("\n") if isinstance(part, str) else part for part in parts]
    return pa.array(chain.from_iterable(lists), pa.string())


def integers(values: list[Any]) -> pa.Array:
    """A column of any 64-bit numbers, ``None`` as null."""
    try:
        return pa.array(np.frombuffer(packed(values, "q"), np.int64))
    except struct.error:  # a None among them, for which no number can stand
        return pa.array(values, pa.int64())


def money(table: pa.Table, names: Sequence[str]) -> npt.NDArray[np.float64]:
    """The sum of some columns, row by row; what is not known counts as 0."""
    total = np.zeros(len(table))
    for part in (table[name] for name in names):
        if part.null_count < len(part):
            total += part.fill_null(0.0).to_numpy()
    return total


def compact(table: pa.Table) -> pa.Table:
    """The same table in one chunk, with one dictionary a column."""
    return table.unify_dictionaries().combine_chunks()
