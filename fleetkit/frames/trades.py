"""The trades frame: blocks of many accounts, put together column by column.

May import `block`, `kinds`, `rows`, `schema`. The trap: an Arrow column without
gaps is lent to numpy, not copied; what goes into a frame must be copied once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types

from fleetkit.frames import kinds
from fleetkit.frames.block import TradeBlock
from fleetkit.frames.rows import repeat_parts
from fleetkit.frames.schema import TRADES
from fleetkit.model import Source

_FLOATS = (
    "volume",
    "entry_price",
    "exit_price",
    "pips",
    "profit",
    "swap",
    "commission",
    "fee",
)


@dataclass(frozen=True, slots=True)
class TradesPart:
    """The closed trades of one account as they were known at one moment."""

    account: int
    block: TradeBlock
    as_of: datetime | None
    age_s: float | None
    source: Source


def trades_frame(parts: Sequence[TradesPart]) -> pd.DataFrame:
    """One row per closed trade, newest exit first over all accounts.

    ``net`` is profit, swap, commission and fee, where a part that the agent does
    not tell counts as 0; the column of that part itself stays NaN.

    Parameters
    ----------
    parts
        One part per account; an account without trades gives no row.
    """
    blocks = [part.block for part in parts]
    tables = [block.table for block in blocks if len(block)]
    table = pa.concat_tables(tables) if tables else TradeBlock.empty().table
    arrays = _arrays(table)
    arrays |= repeat_parts(TRADES, parts, [len(block) for block in blocks])
    arrays["net"] = TradeBlock(table).net()
    order = _newest_first(table)
    if order is not None:
        arrays = {name: array[order] for name, array in arrays.items()}
    return TRADES.frame(arrays)


def _newest_first(table: pa.Table) -> npt.NDArray[np.int64] | None:
    """The order of the rows, or ``None`` where they are in it already."""
    exits = table["exit_time"].to_numpy().view("i8")
    if (exits[:-1] >= exits[1:]).all():
        return None
    return np.argsort(-exits, kind="stable")  # sorted runs, one per account: merging is cheap


def _arrays(table: pa.Table) -> dict[str, Any]:
    entry, exit_ = table["entry_time"].to_numpy(), table["exit_time"].to_numpy()
    sides = np.array(table["side"].to_numpy())
    return {
        "position_id": kinds.integers(table["position_id"].combine_chunks()),
        "side": kinds.coded(sides, kinds.SIDE),
        "entry_time": kinds.times(entry.copy()),
        "exit_time": kinds.times(exit_.copy()),
        "duration": exit_ - entry,
        **{name: np.array(table[name].to_numpy()) for name in _FLOATS},
        **{name: kinds.texts(table[name]) for name in ("symbol", "comment", "order_id")},
    }
