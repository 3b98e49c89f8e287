"""The kinds of column a frame can have: a dtype, and how to fill it.

Why: each dtype is spelled once, so that no row and many rows cannot differ.
May import pandas, numpy, pyarrow, `contract`, `trading` and `model`. The trap: every array
returned is new and writable; a view into shared memory would let one cell change another's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum, StrEnum
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types
from pandas.api.extensions import ExtensionDtype

from fleetkit.contract import DealEntry, DealReason, DealType
from fleetkit.model import AccountStatus, AgentStatus, Binding, Breaker, Side, Source, StopsUnit
from fleetkit.trading import Evidence, OrderKind, Outcome


class Kind(NamedTuple):
    """One kind of column.

    ``fill`` takes plain values, ``None`` where not known, and returns a new
    array of ``dtype``.
    """

    dtype: np.dtype[Any] | ExtensionDtype
    fill: Callable[[Sequence[Any]], Any]


# `StringDtype` under its own name rather than "str": the same with or without pandas options.
_TEXT: Final = pd.StringDtype("pyarrow", na_value=np.nan)
_TIME: Final = pd.DatetimeTZDtype("us", "UTC")
_MICROSECONDS: Final = pa.timestamp("us", tz="UTC")


def texts(values: Any) -> Any:
    """A ``str`` column from an Arrow array of strings."""
    return pd.array(values, dtype=_TEXT)


def times(values: npt.NDArray[np.datetime64]) -> Any:
    """A UTC column from naive microseconds that already are UTC."""
    return pd.array(values, dtype=_TIME)


def _fill_text(values: Sequence[Any]) -> Any:
    return texts(pa.array(values, pa.large_string()))


def _fill_time(values: Sequence[Any]) -> Any:
    return times(pa.array(values, _MICROSECONDS).to_numpy(zero_copy_only=False).copy())


def _fill_float(values: Sequence[Any]) -> Any:
    return pa.array(values, pa.float64()).to_numpy(zero_copy_only=False).copy()


def _fill_amount(values: Sequence[Any]) -> Any:
    return np.array(values, dtype=np.float64)  # Arrow makes no floats of decimals


def _fill_int64(values: Sequence[Any]) -> Any:
    return np.array(values, dtype=np.int64)


def _fill_duration(values: Sequence[Any]) -> Any:
    return np.array(values, dtype="m8[us]")


def integers(values: Any) -> Any:
    """A nullable ``Int64`` column from an Arrow array of int64."""
    known = values.fill_null(0).to_numpy(zero_copy_only=False).copy()
    return pd.arrays.IntegerArray(known, values.is_null().to_numpy(zero_copy_only=False).copy())


def _fill_integer(values: Sequence[Any]) -> Any:
    return integers(pa.array(values, pa.int64()))


def _fill_flag(values: Sequence[Any]) -> Any:
    column = pa.array(values, pa.bool_())
    known = column.fill_null(False).to_numpy(zero_copy_only=False).copy()
    return pd.arrays.BooleanArray(known, column.is_null().to_numpy(zero_copy_only=False).copy())


def coded(codes: npt.NDArray[np.int8], kind: Kind) -> Any:
    """A categorical column of that kind from places in its enum; -1 is not known."""
    dtype: Any = kind.dtype
    return pd.Categorical.from_codes(codes, dtype=dtype)


def words(values: type[StrEnum]) -> Kind:
    """A categorical whose categories are the enum's words, in their order, always all of them."""
    return _categorical([str(word.value) for word in values])


def named(values: type[IntEnum]) -> Kind:
    """A categorical of MetaTrader's words for its numbers, in lower case."""
    return _categorical([word.name.lower() for word in values])


def _categorical(names: list[str]) -> Kind:
    dtype = pd.CategoricalDtype(names)
    codes: dict[Any, int] = {name: code for code, name in enumerate(names)} | {None: -1}

    def fill(column: Sequence[Any]) -> Any:
        found = np.fromiter([codes[value] for value in column], np.int8, count=len(column))
        return pd.Categorical.from_codes(found, dtype=dtype)

    return Kind(dtype, fill)


TEXT: Final = Kind(_TEXT, _fill_text)
TIME: Final = Kind(_TIME, _fill_time)
FLOAT: Final = Kind(np.dtype("f8"), _fill_float)
AMOUNT: Final = Kind(np.dtype("f8"), _fill_amount)  # of decimals: lots and money of orders
NUMBER: Final = Kind(np.dtype("i8"), _fill_int64)  # account and ticket: always known
INTEGER: Final = Kind(pd.Int64Dtype(), _fill_integer)
FLAG: Final = Kind(pd.BooleanDtype(), _fill_flag)
DURATION: Final = Kind(np.dtype("m8[us]"), _fill_duration)

ACCOUNT_STATUS: Final = words(AccountStatus)
AGENT_STATUS: Final = words(AgentStatus)
BINDING: Final = words(Binding)
BREAKER: Final = words(Breaker)
DEAL_ENTRY: Final = named(DealEntry)
DEAL_REASON: Final = named(DealReason)
DEAL_TYPE: Final = named(DealType)
EVIDENCE: Final = words(Evidence)
ORDER_KIND: Final = words(OrderKind)
OUTCOME: Final = words(Outcome)
SIDE: Final = words(Side)
SOURCE: Final = words(Source)
STOPS_UNIT: Final = words(StopsUnit)
