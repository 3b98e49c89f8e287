"""A trade history, bytes → block: the fast way, and the one that knows where a mistake is.

Why: 100,000 trades as objects all at once cost twice their decoding in waits for
memory; a few thousand at a time do not. May import `block`, `contract`. The trap:
the fast way's errors count from the start of a piece and must never be shown.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

import msgspec

from fleetkit.contract import TRADE_HISTORY, TradeHistoryWire, decode_history_in_pieces
from fleetkit.frames.block import FrameError, TradeBlock


def decode_history(body: bytes, time_zone: ZoneInfo | None) -> tuple[TradeHistoryWire, TradeBlock]:
    """Decode and adopt the answer to ``GET /trade-history``.

    Parameters
    ----------
    body
        The answer as it came.
    time_zone
        Whose wall clock the times without an offset are; ``None`` takes them for UTC.

    Returns
    -------
    TradeHistoryWire
        What the answer says besides its trades; its ``trades`` are empty.
    TradeBlock
        The trades.

    Raises
    ------
    msgspec.DecodeError, UnicodeDecodeError, RecursionError
        As ``TRADE_HISTORY.decode`` does, with the JSON path in the whole answer.
    FrameError
        For a time or a side that means nothing, with its JSON path.
    """
    try:
        header, pieces = decode_history_in_pieces(body)
        return header, TradeBlock.from_pieces(pieces, time_zone)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, FrameError):
        pass  # the whole tells what is wrong, and where, or that it only could not be cut
    whole = TRADE_HISTORY.decode(body)
    block = TradeBlock.from_wire(whole.trades, time_zone)
    whole.trades = []
    return whole, block
