"""The deal ledger of one account, column by column, and the deals frame.

Why: a ledger is read a page at a time and kept, so that a later read asks for its end
only. May import `columns`, `instants`, `kinds`, `rows`, `schema`, `contract`, `model`,
pyarrow, numpy. The trap: MetaTrader's numbers for what a deal is may become more; one
that has no word yet is not known, and no error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # pyarrow ships no types

from fleetkit.contract import DEALS, DealEntry, DealReason, DealsWire, DealType, DealWire
from fleetkit.frames import kinds
from fleetkit.frames.columns import SYMBOL, TIME, compact, floats, integers, money, packed
from fleetkit.frames.instants import parse_instants
from fleetkit.frames.rows import repeat_parts
from fleetkit.frames.schema import DEALS as SCHEMA
from fleetkit.model import Source

_COLUMNS: Final = pa.schema(
    [
        ("deal", pa.int64()),
        ("order", pa.int64()),
        ("position_id", pa.int64()),
        ("time", TIME),
        ("type", pa.int8()),  # places in MetaTrader's enums; null for a number that has no word
        ("entry", pa.int8()),
        ("reason", pa.int8()),
        ("symbol", SYMBOL),
        ("volume", pa.float64()),
        ("price", pa.float64()),
        ("profit", pa.float64()),
        ("swap", pa.float64()),
        ("commission", pa.float64()),
        ("fee", pa.float64()),
        ("magic", pa.int64()),
        ("comment", pa.string()),
        ("naive", pa.bool_()),  # its time had no offset
    ]
)
_EFFECT: Final = ("profit", "swap", "commission", "fee")
_FLOATS: Final = ("volume", "price", *_EFFECT)
_WORDS: Final = {"type": kinds.DEAL_TYPE, "entry": kinds.DEAL_ENTRY, "reason": kinds.DEAL_REASON}


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class DealBlock:
    """Deals of one account, newest first, each ticket once. Immutable.

    Make one with `from_wire`, `joined` or `empty`; `table` is for `deals_frame`.
    """

    table: pa.Table

    @classmethod
    def empty(cls) -> DealBlock:
        """The block of no deal."""
        return cls(_COLUMNS.empty_table())

    @classmethod
    def from_wire(cls, deals: Sequence[DealWire], time_zone: ZoneInfo | None) -> DealBlock:
        """Adopt one page of deals; of a ticket listed twice the last counts.

        Raises
        ------
        FrameError
            For a time that means nothing, with its JSON path.
        """
        if not deals:
            return cls.empty()
        return cls(_newest_first(_each_once(_adopted(deals, time_zone), keep="last")))

    @classmethod
    def joined(cls, blocks: Sequence[DealBlock]) -> DealBlock:
        """Several blocks as one; of a ticket told more than once the last block's deal."""
        tables = [block.table for block in reversed(blocks) if len(block)]
        if len(tables) < 2:
            return cls(tables[0]) if tables else cls.empty()
        return cls(_newest_first(_each_once(compact(pa.concat_tables(tables)), keep="first")))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __repr__(self) -> str:
        newest = f", newest {self.newest:%Y-%m-%d %H:%M} UTC" if self.newest else ""
        return f"<DealBlock {len(self):,} deals{newest}, {self.table.nbytes:,} bytes>"

    @property
    def newest(self) -> datetime | None:
        """When the last of the deals was made."""
        found: datetime | None = self.table["time"][0].as_py() if len(self) else None
        return found

    @property
    def is_naive(self) -> bool:
        """Whether any time in it had no offset."""
        return bool(pc.any(self.table["naive"]).as_py())

    def effect(self) -> npt.NDArray[np.float64]:
        """What each deal did to the balance; an unknown part counts as 0."""
        return money(self.table, _EFFECT)

    def since(self, moment: datetime) -> DealBlock:
        """The deals made at `moment`, which must be aware, or later."""
        recent = pc.greater_equal(self.table["time"], pa.scalar(moment, TIME))
        return DealBlock(self.table.slice(0, int(pc.sum(recent).as_py() or 0)))

    def merge(self, older: DealBlock) -> DealBlock:
        """The deals of this reading and an `older` one; this one's of a ticket in both."""
        return DealBlock.joined([older, self])


@dataclass(frozen=True, slots=True)
class DealsPart:
    """The deals of one account as they were known at one moment."""

    account: int
    block: DealBlock
    as_of: datetime | None
    age_s: float | None
    source: Source


def decode_deals(body: bytes, time_zone: ZoneInfo | None) -> tuple[DealsWire, DealBlock]:
    """Decode and adopt one page of ``GET /deals``; the header's ``deals`` are empty then.

    Raises
    ------
    msgspec.DecodeError, UnicodeDecodeError, RecursionError
        As ``DEALS.decode`` does.
    FrameError
        For a time that means nothing, with its JSON path.
    """
    page = DEALS.decode(body)
    block = DealBlock.from_wire(page.deals, time_zone)
    page.deals = []
    return page, block


def deals_frame(parts: Sequence[DealsPart]) -> pd.DataFrame:
    """One row per deal, newest first over all accounts, indexed by ``deal``.

    ``effect`` is profit, swap, commission and fee, where a part that the agent does
    not tell counts as 0; the column of that part itself stays NaN.

    Parameters
    ----------
    parts
        One part per account; an account without deals gives no row.
    """
    blocks = [part.block for part in parts]
    tables = [block.table for block in blocks if len(block)]
    table = pa.concat_tables(tables) if tables else DealBlock.empty().table
    arrays = _arrays(table) | repeat_parts(SCHEMA, parts, [len(block) for block in blocks])
    times = table["time"].to_numpy().view("i8")
    if not (times[:-1] >= times[1:]).all():
        order = np.argsort(-times, kind="stable")
        arrays = {name: array[order] for name, array in arrays.items()}
    return SCHEMA.frame(arrays)


def _adopted(deals: Sequence[DealWire], time_zone: ZoneInfo | None) -> pa.Table:
    times = parse_instants(
        pa.array([deal.time for deal in deals], pa.string()), time_zone, "time", "deals"
    )
    symbols = pa.array([deal.symbol or None for deal in deals], pa.string())
    columns = {
        "deal": integers([deal.ticket for deal in deals]),
        # 0 is the terminal's word for "none": a deposit has neither.
        "order": integers([deal.order or None for deal in deals]),
        "position_id": integers([deal.position_id or None for deal in deals]),
        "time": pa.array(times.utc).cast(TIME),
        "type": _places([deal.type for deal in deals], DealType),
        "entry": _places([deal.entry for deal in deals], DealEntry),
        "reason": _places([deal.reason for deal in deals], DealReason),
        "symbol": symbols.dictionary_encode(),
        "volume": floats([packed([deal.volume for deal in deals])]),
        "price": floats([packed([deal.price for deal in deals])]),
        "profit": floats([packed([deal.profit for deal in deals])]),
        "swap": floats([packed([deal.swap for deal in deals])]),
        "commission": floats([packed([deal.commission for deal in deals])]),
        "fee": floats([packed([deal.fee for deal in deals])]),
        "magic": integers([deal.magic for deal in deals]),
        "comment": pa.array([deal.comment for deal in deals], pa.string()),
        "naive": pa.array(times.naive),
    }
    return pa.Table.from_arrays([columns[name] for name in _COLUMNS.names], schema=_COLUMNS)


def _places(numbers: list[Any], words: type[IntEnum]) -> pa.Array:
    known = pa.array([int(word) for word in words], pa.int64())
    return pc.index_in(integers(numbers), value_set=known).cast(pa.int8())


def _each_once(table: pa.Table, keep: Literal["first", "last"]) -> pa.Table:
    again = pd.Series(table["deal"].to_numpy()).duplicated(keep).to_numpy()
    return table.filter(pa.array(~again)) if again.any() else table


def _newest_first(table: pa.Table) -> pa.Table:
    """By falling time; of one second, by falling ticket."""
    order = np.lexsort((-table["deal"].to_numpy(), -table["time"].to_numpy().view("i8")))
    return table.take(order)


def _arrays(table: pa.Table) -> dict[str, Any]:
    return {
        "deal": np.array(table["deal"].to_numpy()),
        "time": kinds.times(table["time"].to_numpy().copy()),
        "effect": money(table, _EFFECT),
        **{
            name: kinds.integers(table[name].combine_chunks())
            for name in ("order", "position_id", "magic")
        },
        **{
            name: kinds.coded(np.array(table[name].fill_null(-1).to_numpy()), kind)
            for name, kind in _WORDS.items()
        },
        **{name: np.array(table[name].to_numpy()) for name in _FLOATS},
        **{name: kinds.texts(table[name]) for name in ("symbol", "comment")},
    }
