"""The closed trades of one account, column by column: `TradeBlock`.

Why: a million cached trades as Python objects are a gigabyte; as columns they
are a tenth of it, cannot be changed, and become a frame without a loop.
May import `columns`, `instants`, `merging`, `contract`, `model`, pyarrow, numpy.
The trap: a trade without a position id may be told from another only by all that is
known of it, and of one closed in parts all rows have the same position id.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # pyarrow ships no types

from fleetkit.contract import BaseTradeWire, TradeWire
from fleetkit.frames.columns import SYMBOL, TIME, floats, joined, money, nullable, packed, texts
from fleetkit.frames.instants import FrameError, parse_instants
from fleetkit.frames.merging import each_once, merged, newest_first
from fleetkit.model import Side

__all__ = ["FrameError", "TradeBlock"]

_SCHEMA: Final = pa.schema(
    [
        ("position_id", pa.int64()),
        ("symbol", SYMBOL),
        ("side", pa.int8()),  # place in the enum `Side`
        ("volume", pa.float64()),
        ("entry_time", TIME),
        ("exit_time", TIME),
        ("entry_price", pa.float64()),
        ("exit_price", pa.float64()),
        ("pips", pa.float64()),
        ("profit", pa.float64()),
        ("swap", pa.float64()),
        ("commission", pa.float64()),
        ("fee", pa.float64()),
        ("comment", pa.string()),
        ("order_id", pa.string()),
        ("ambiguous", pa.bool_()),
        ("naive", pa.bool_()),  # a time of it had no offset
        ("per_deal", pa.bool_()),  # a row per closing deal, as extended agents tell it
    ]
)
_PIECE: Final = 2048  # trades read at a time: few enough to stay in the processor's cache
_TEXTS: Final = ("symbol", "side", "entry_time", "exit_time")
_FIGURES: Final = ("volume", "entry_price", "exit_price", "pips", "profit", "commission")
_FLOAT_BYTES: Final = 8
_NO_NUMBER: Final = -1  # while a column is read: agents' numbers are 0 or more, and no float is NaN
_NET: Final = ("profit", "swap", "commission", "fee")
_SIDES: Final = pa.array([side.value for side in Side])  # in the order of their codes


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class TradeBlock:
    """Closed trades of one account, newest exit first. Immutable.

    Make one with `from_wire` or `empty`; `table` is for `trades_frame`.
    """

    table: pa.Table

    @classmethod
    def empty(cls) -> TradeBlock:
        """The block of no trade."""
        return cls(_SCHEMA.empty_table())

    @classmethod
    def from_wire(cls, trades: Sequence[TradeWire], time_zone: ZoneInfo | None) -> TradeBlock:
        """Adopt an agent's trades.

        Parameters
        ----------
        trades
            As decoded; a trade that is listed twice, with its position id and
            all else equal, counts once, unless each row says that it is a closing deal.
        time_zone
            Whose wall clock the times without an offset are; ``None`` takes
            them for UTC.

        Raises
        ------
        FrameError
            For a time or a side that means nothing, with its JSON path.
        """
        return cls.from_pieces(
            (trades[start : start + _PIECE] for start in range(0, len(trades), _PIECE)), time_zone
        )

    @classmethod
    def from_pieces(
        cls,
        pieces: Iterable[Sequence[TradeWire] | Sequence[BaseTradeWire]],
        time_zone: ZoneInfo | None,
    ) -> TradeBlock:
        """Adopt an agent's trades, which come a piece at a time.

        The same as `from_wire` of all pieces in a row. Each piece is let go before
        the next is asked for, so that its memory is used again while it is warm.
        """
        read = list(map(_read, pieces))  # map, unlike a loop, holds on to no piece
        if not read:
            return cls.empty()
        return cls(newest_first(each_once(_adopted(_columns(read), time_zone))))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __repr__(self) -> str:
        newest = f", newest exit {self.newest_exit:%Y-%m-%d %H:%M} UTC" if len(self) else ""
        return f"<TradeBlock {len(self):,} trades{newest}, {self.nbytes:,} bytes>"

    @property
    def nbytes(self) -> int:
        """Bytes of memory the columns take."""
        return int(self.table.nbytes)

    @property
    def ambiguous(self) -> int:
        """Trades with a local time that happened twice; the earlier instant was taken."""
        return int(pc.sum(self.table["ambiguous"]).as_py() or 0)

    @property
    def is_naive(self) -> bool:
        """Whether any time in it had no offset."""
        return bool(pc.any(self.table["naive"]).as_py())

    @property
    def newest_exit(self) -> datetime | None:
        """When the last of the trades was closed."""
        found: datetime | None = self.table["exit_time"][0].as_py() if len(self) else None
        return found

    @property
    def position_ids(self) -> frozenset[int]:
        """The position ids that are known."""
        return frozenset(self.table["position_id"].drop_null().to_pylist())

    def net(self) -> npt.NDArray[np.float64]:
        """Profit, swap, commission and fee of each trade; an unknown part counts as 0."""
        return money(self.table, _NET)

    def net_total(self) -> float:
        """The sum of `net`; 0.0 for no trade."""
        return float(self.net().sum())

    def since(self, moment: datetime) -> TradeBlock:
        """The trades closed at `moment`, which must be aware, or later."""
        recent = pc.greater_equal(self.table["exit_time"], pa.scalar(moment, TIME))
        return TradeBlock(self.table.slice(0, int(pc.sum(recent).as_py() or 0)))

    def merge(self, older: TradeBlock) -> TradeBlock:
        """The trades of this reply and of an `older` one, each once.

        What this block says of a position replaces what the older one said of
        it; of one that is told by its closing deals, what it says of a deal. Deals
        that are known stay when an agent tells less of their position than before.
        A trade without a position id is the same only when all its columns
        are; as many equal ones are kept as the reply with the most of them has.
        """
        return TradeBlock(merged(self.table, older.table)) if len(older) else self


def _read(trades: Sequence[TradeWire] | Sequence[BaseTradeWire]) -> dict[str, Any]:
    """The fields of a few trades as flat memory, which is all there is time for."""
    # One list per field, spelled out: a third of the time of an attrgetter.
    fields: dict[str, Any] = {
        "position_id": packed([trade.position_id for trade in trades], "q", _NO_NUMBER),
        "symbol": joined([trade.symbol for trade in trades]),
        "side": joined([trade.side for trade in trades]),
        "volume": packed([trade.lot for trade in trades]),
        "entry_time": joined([trade.entry_time for trade in trades]),
        "exit_time": joined([trade.exit_time for trade in trades]),
        "entry_price": packed([trade.entry_price for trade in trades]),
        "exit_price": packed([trade.exit_price for trade in trades]),
        "pips": packed([trade.pips for trade in trades]),
        "profit": packed([trade.profit for trade in trades]),
        "commission": packed([trade.commission for trade in trades]),
    }
    if trades and isinstance(trades[0], TradeWire):
        fields |= _read_costs(cast(Sequence[TradeWire], trades))
    return fields


def _read_costs(trades: Sequence[TradeWire]) -> dict[str, Any]:
    """What only extended agents tell."""
    closed = [trade.closed_volume for trade in trades]
    return {
        "volume": packed(
            [
                trade.lot if volume is None else volume
                for trade, volume in zip(trades, closed, strict=True)
            ]
        ),
        "swap": packed([trade.swap for trade in trades]),
        "fee": packed([trade.fee for trade in trades]),
        "comment": pa.array([trade.comment for trade in trades], pa.string()),
        "order_id": pa.array([trade.order_id for trade in trades], pa.string()),
        "per_deal": pa.array([volume is not None for volume in closed], pa.bool_()),
    }


def _columns(read: list[dict[str, Any]]) -> dict[str, pa.Array]:
    """What was read piece by piece, as one Arrow array per field."""
    ids = np.frombuffer(b"".join(piece["position_id"] for piece in read), np.int64)
    columns = {"position_id": nullable(ids, ids == _NO_NUMBER)}
    columns |= {name: texts([piece[name] for piece in read]) for name in _TEXTS}
    columns |= {name: floats([piece[name] for piece in read]) for name in _FIGURES}
    if any("per_deal" in piece for piece in read):
        columns |= _cost_columns(read)
    return columns


def _cost_columns(read: list[dict[str, Any]]) -> dict[str, pa.Array]:
    counts = [len(piece["volume"]) // _FLOAT_BYTES for piece in read]
    unknown = [packed([None] * count) for count in counts]
    costs = {
        name: floats([piece.get(name, gap) for piece, gap in zip(read, unknown, strict=True)])
        for name in ("swap", "fee")
    }
    for name in ("comment", "order_id"):
        chunks = [
            piece.get(name, pa.nulls(count, pa.string()))
            for piece, count in zip(read, counts, strict=True)
        ]
        costs[name] = pa.chunked_array(chunks).combine_chunks()
    flags = [
        piece.get("per_deal", pa.array([False] * count, pa.bool_()))
        for piece, count in zip(read, counts, strict=True)
    ]
    return costs | {"per_deal": pa.chunked_array(flags).combine_chunks()}


def _adopted(columns: dict[str, pa.Array], time_zone: ZoneInfo | None) -> pa.Table:
    entry = parse_instants(columns["entry_time"], time_zone, "entry_time")
    exit_ = parse_instants(columns["exit_time"], time_zone, "exit_time")
    no_deals = np.zeros(len(entry.utc), dtype=bool)
    adopted = (
        {"per_deal": pa.array(no_deals)}
        | columns
        | {
            "symbol": columns["symbol"].dictionary_encode(),
            "side": _side_codes(columns["side"]),
            "entry_time": pa.array(entry.utc).cast(TIME),
            "exit_time": pa.array(exit_.utc).cast(TIME),
            "ambiguous": pa.array(entry.ambiguous | exit_.ambiguous),
            "naive": pa.array(entry.naive | exit_.naive),
        }
    )
    trades = len(adopted["side"])
    return pa.Table.from_arrays(
        [
            adopted[field.name] if field.name in adopted else pa.nulls(trades, field.type)
            for field in _SCHEMA  # what base agents do not tell is null, not zero
        ],
        schema=_SCHEMA,
    )


def _side_codes(words: pa.Array) -> pa.Array:
    codes = pc.index_in(pc.ascii_lower(words), value_set=_SIDES)
    if codes.null_count:
        at = pc.index(codes.is_null(), True).as_py()
        raise FrameError(
            f"{words[at].as_py()[:40]!r} is no side; BUY and SELL are.",
            json_path=f"$.trades[{at}].side",
        )
    return codes.cast(pa.int8())
