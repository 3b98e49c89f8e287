"""A large trade history, decoded a few trades at a time.

Why: a hundred thousand trades decoded in one go leave the processor's cache, and
one that is turned into columns piece by piece never does. May import `base` and
`msgspec`.
The trap: where to cut is a guess from the bytes. It may fail, and then the whole
body must be decoded; it may never succeed with another reading of the body.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from fleetkit.contract.base import TRADE_HISTORY, Number, TradeHistoryWire, TradeWire

PIECE_BYTES: Final = 2**19  # of a trade history: what is decoded from it fits a processor's cache

_trades_opening = re.compile(rb'"trades"[ \t\n\r]*:[ \t\n\r]*\[')
_seam = re.compile(rb"\}[ \t\n\r]*,[ \t\n\r]*\{")
_decode_trades = msgspec.json.Decoder(list[TradeWire]).decode


class BaseTradeWire(msgspec.Struct, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A closed trade with nothing in it but what base agents tell.

    What decodes into this has nothing more to be read: asking a hundred thousand
    trades for their swap takes longer than finding out like this that none has one.
    """

    symbol: str
    side: str
    lot: float
    profit: float
    entry_time: str
    exit_time: str
    entry_price: float
    exit_price: float
    position_id: Number | None = None
    pips: float | None = None
    commission: float | None = None
    tp_money: Any = None  # always null, and never read
    sl_money: Any = None


_decode_base_trades = msgspec.json.Decoder(list[BaseTradeWire]).decode
Trades = list[TradeWire] | list[BaseTradeWire]


def decode_history_in_pieces(
    body: bytes, piece_bytes: int = PIECE_BYTES
) -> tuple[TradeHistoryWire, Iterator[Trades]]:
    """Decode a trade history a few trades at a time, each while its memory is warm.

    Where to cut is guessed from the bytes, and a wrong guess cannot pass. The body
    without what stands between two brackets, the header, must be a trade history
    itself. They follow the first ``"trades":`` and no ``]`` comes later, so no other array
    can be its ``trades``, unless a backslash spells the key another way; then nothing is
    cut. What stands between them is cut only at commas, into pieces that must each be
    an array. A list of values may stand wherever an empty one may, so the body is the
    header with the pieces in a row in that array; JSON has no second reading.

    Returns
    -------
    TradeHistoryWire
        With no trades.
    iterator of list of TradeWire or of BaseTradeWire
        The trades. Decodes, and fails, as it is read.

    Raises
    ------
    msgspec.DecodeError
        If this body is malformed or cannot be cut like this; only ``TRADE_HISTORY.decode``
        of the whole tells which, and where.
    """
    opening = _trades_opening.search(body)
    start, end = opening.end() if opening else 0, body.rfind(b"]")
    header = body[:start] + body[max(start, end) :]
    if opening is None or b"\\" in header:
        raise msgspec.DecodeError("cannot be cut into pieces")
    return TRADE_HISTORY.decode(header), _pieces(body, start, end, piece_bytes)


def _pieces(body: bytes, start: int, end: int, piece_bytes: int) -> Iterator[Trades]:
    view = memoryview(body)
    decode: Callable[[bytes], Trades] = _decode_base_trades
    while start < end:
        seam = _seam.search(body, start + piece_bytes, end)
        cut = seam.start() + 1 if seam else end
        piece = b"".join((b"[", view[start:cut], b"]"))
        try:
            trades = decode(piece)
        except msgspec.ValidationError:
            decode = _decode_trades  # more fields than the base has, or a mistake
            trades = decode(piece)
        yield trades
        del trades  # its memory is to be used again for the next piece
        start = seam.end() - 1 if seam else end
