"""Record type → constant schema → DataFrame; the only builder of frames.

Why: same columns, order and dtypes for no row and for 100,000, so a cell that
worked yesterday works on an empty fleet. May import pandas, numpy, pyarrow,
`contract`, `trading` and `model`. The trap: what is not known is NaN, NaT or <NA>, never
zero, and an array inside a frame that was handed out is never used twice.
"""

from pandas import DataFrame

from fleetkit.frames.block import FrameError, TradeBlock
from fleetkit.frames.deals import DealBlock, DealsPart, deals_frame, decode_deals
from fleetkit.frames.decode import decode_history
from fleetkit.frames.orders import orders_frame, plan_frame, receipts_frame
from fleetkit.frames.rows import (
    PositionsPart,
    accounts_frame,
    agents_frame,
    doctor_frame,
    labels_frame,
    positions_frame,
    with_ages,
    with_labels,
    with_source,
)
from fleetkit.frames.schema import (
    ACCOUNTS,
    AGENTS,
    DEALS,
    DOCTOR,
    LABELS,
    ORDERS,
    PLAN,
    POSITIONS,
    RECEIPTS,
    SUMMARY,
    TRADES,
    Column,
    Schema,
)
from fleetkit.frames.summary import summary_frame
from fleetkit.frames.trades import TradesPart, trades_frame

__all__ = [
    "ACCOUNTS",
    "AGENTS",
    "DEALS",
    "DOCTOR",
    "LABELS",
    "ORDERS",
    "PLAN",
    "POSITIONS",
    "RECEIPTS",
    "SUMMARY",
    "TRADES",
    "Column",
    "DataFrame",
    "DealBlock",
    "DealsPart",
    "FrameError",
    "PositionsPart",
    "Schema",
    "TradeBlock",
    "TradesPart",
    "accounts_frame",
    "agents_frame",
    "deals_frame",
    "decode_deals",
    "decode_history",
    "doctor_frame",
    "labels_frame",
    "orders_frame",
    "plan_frame",
    "positions_frame",
    "receipts_frame",
    "summary_frame",
    "trades_frame",
    "with_ages",
    "with_labels",
    "with_source",
]
