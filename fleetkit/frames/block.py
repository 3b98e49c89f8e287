"""The closed trades of one account, column by column: `TradeBlock`.

Why: a million cached trades as Python objects are a gigabyte; as columns they
are a tenth of it, cannot be changed, and become a frame without a loop.
May import `instants`, `contract`, `model`, pyarrow, numpy. The trap: a trade
without a position id may be told from another only by all that is known of it.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # pyarrow ships no types

from fleetkit.contract import TradeWire
from fleetkit.frames.instants import FrameError, parse_instants
from fleetkit.model import Side

__all__ = ["FrameError", "TradeBlock"]

_TIME: Final = pa.timestamp("us", tz="UTC")
_SCHEMA: Final = pa.schema(
    [
        ("position_id", pa.int64()),
        ("symbol", pa.dictionary(pa.int32(), pa.string())),
        ("side", pa.int8()),  # place in the enum `Side`
        ("volume", pa.float64()),
        ("entry_time", _TIME),
        ("exit_time", _TIME),
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
    ]
)
_PIECE: Final = 2048  # trades read at a time: few enough to stay in the processor's cache
_TEXTS: Final = ("symbol", "side", "entry_time", "exit_time")
_NO_NUMBER: Final = -1  # while a column is read: agents' numbers are 0 or more, and no float is NaN
_IDENTITY: Final = tuple(name for name in _SCHEMA.names if name != "ambiguous")
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
            all else equal, counts once.
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
        cls, pieces: Iterable[Sequence[TradeWire]], time_zone: ZoneInfo | None
    ) -> TradeBlock:
        """Adopt an agent's trades, which come a piece at a time.

        The same as `from_wire` of all pieces in a row. Each piece is let go before
        the next is asked for, so that its memory is used again while it is warm.
        """
        read = list(map(_read, pieces))  # map, unlike a loop, holds on to no piece
        if not read:
            return cls.empty()
        return cls(_newest_first(_each_once(_adopted(_columns(read), time_zone))))

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
        net = np.zeros(len(self))
        for part in (self.table[name] for name in ("profit", "swap", "commission", "fee")):
            if part.null_count < len(part):
                net += part.fill_null(0.0).to_numpy()
        return net

    def net_total(self) -> float:
        """The sum of `net`; 0.0 for no trade."""
        return float(self.net().sum())

    def since(self, moment: datetime) -> TradeBlock:
        """The trades closed at `moment`, which must be aware, or later."""
        recent = pc.greater_equal(self.table["exit_time"], pa.scalar(moment, _TIME))
        return TradeBlock(self.table.slice(0, int(pc.sum(recent).as_py() or 0)))

    def merge(self, older: TradeBlock) -> TradeBlock:
        """The trades of this reply and of an `older` one, each once.

        What this block says of a position replaces what the older one said of
        it. A trade without a position id is the same only when all its columns
        are; as many equal ones are kept as the reply with the most of them has.
        """
        if not len(older):
            return self
        ids = older.table["position_id"]
        superseded = pc.and_(
            pc.is_in(ids, value_set=self.table["position_id"].combine_chunks().drop_null()),
            pc.is_valid(ids),
        )
        kept = older.table.filter(pc.invert(superseded))
        kept = _without(kept, Counter(_identities(_nameless(self.table))))
        return TradeBlock(_newest_first(_compact(pa.concat_tables([self.table, kept]))))


def _read(trades: Sequence[TradeWire]) -> dict[str, Any]:
    """The fields of a few trades as flat memory, which is all there is time for."""
    # One list per field, spelled out: a third of the time of an attrgetter.
    return {
        "position_id": _packed([trade.position_id for trade in trades], "q", _NO_NUMBER),
        "symbol": _joined([trade.symbol for trade in trades]),
        "side": _joined([trade.side for trade in trades]),
        "volume": _packed([trade.lot for trade in trades]),
        "entry_time": _joined([trade.entry_time for trade in trades]),
        "exit_time": _joined([trade.exit_time for trade in trades]),
        "entry_price": _packed([trade.entry_price for trade in trades]),
        "exit_price": _packed([trade.exit_price for trade in trades]),
        "pips": _packed([trade.pips for trade in trades]),
        "profit": _packed([trade.profit for trade in trades]),
        "commission": _packed([trade.commission for trade in trades]),
    }


def _packed(values: list[Any], code: str = "d", unknown: float = math.nan) -> bytes:
    layout = f"{len(values)}{code}"
    try:
        return struct.pack(layout, *values)
    except struct.error:  # a None among them
        return struct.pack(layout, *[unknown if value is None else value for value in values])


def _joined(texts: list[str]) -> str | list[str]:
    joined = "\n".join(texts)
    # A text with a line break in it could not be told from two.
    return joined if joined.count("\n") == len(texts) - 1 else texts


def _columns(read: list[dict[str, Any]]) -> dict[str, pa.Array]:
    """What was read piece by piece, as one Arrow array per field."""
    parts = {name: [piece[name] for piece in read] for name in read[0]}
    ids = np.frombuffer(b"".join(parts.pop("position_id")), np.int64)
    texts = {name: _texts(parts.pop(name)) for name in _TEXTS}
    floats = {name: np.frombuffer(b"".join(parts[name])) for name in parts}
    return (
        {"position_id": _nullable(ids, ids == _NO_NUMBER)}
        | texts
        | {name: _nullable(values, np.isnan(values)) for name, values in floats.items()}
    )


def _nullable(values: npt.NDArray[Any], unknown: npt.NDArray[np.bool_]) -> pa.Array:
    return pa.array(values, mask=unknown if unknown.any() else None)


def _texts(parts: list[str | list[str]]) -> pa.Array:
    if all(isinstance(part, str) for part in parts):  # as good as always
        return pc.split_pattern(pa.scalar("\n".join(cast(list[str], parts))), "\n").values
    lists = [part.split("\n") if isinstance(part, str) else part for part in parts]
    return pa.array(chain.from_iterable(lists), pa.string())


def _adopted(columns: dict[str, pa.Array], time_zone: ZoneInfo | None) -> pa.Table:
    entry = parse_instants(columns["entry_time"], time_zone, "entry_time")
    exit_ = parse_instants(columns["exit_time"], time_zone, "exit_time")
    adopted = columns | {
        "symbol": columns["symbol"].dictionary_encode(),
        "side": _side_codes(columns["side"]),
        "entry_time": pa.array(entry.utc).cast(_TIME),
        "exit_time": pa.array(exit_.utc).cast(_TIME),
        "ambiguous": pa.array(entry.ambiguous | exit_.ambiguous),
    }
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


def _compact(table: pa.Table) -> pa.Table:
    return table.unify_dictionaries().combine_chunks()


def _newest_first(table: pa.Table) -> pa.Table:
    exits = table["exit_time"].to_numpy().view("i8")
    if (exits[:-1] >= exits[1:]).all():
        return table  # as agents send it: nothing to do
    return table.take(np.argsort(-exits, kind="stable"))


def _nameless(table: pa.Table) -> pa.Table:
    return table.filter(pc.is_null(table["position_id"]))


def _identities(table: pa.Table) -> list[tuple[Any, ...]]:
    """All that is known of each trade, as keys."""
    plain = [
        column.cast(pa.int64()) if column.type == _TIME else column
        for column in (table[name] for name in _IDENTITY)
    ]
    return list(zip(*(column.to_pylist() for column in plain), strict=True))


def _keep(table: pa.Table, wanted: Callable[[tuple[Any, ...]], bool]) -> pa.Table:
    return table.filter(pa.array([wanted(key) for key in _identities(table)], pa.bool_()))


def _without(table: pa.Table, present: Counter[tuple[Any, ...]]) -> pa.Table:
    """`table` without the nameless trades that are `present` already, each as often as it is."""
    if not present:
        return table

    def absent(key: tuple[Any, ...]) -> bool:
        if key[0] is not None or not present[key]:
            return True
        present[key] -= 1
        return False

    return _keep(table, absent)


def _each_once(table: pa.Table) -> pa.Table:
    """`table` without repetitions of a trade whose position id says that it is the same."""
    ids = table["position_id"].drop_null()
    steps = np.diff(ids.to_numpy())
    if (steps > 0).all() or (steps < 0).all() or len(pc.unique(ids)) == len(ids):
        return table  # as good as always
    seen: set[tuple[Any, ...]] = set()

    def first(key: tuple[Any, ...]) -> bool:
        if key[0] is None:
            return True
        known = key in seen
        seen.add(key)
        return not known

    return _keep(table, first)
