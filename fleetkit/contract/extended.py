"""What our own agent adds to the base layer: routes, capabilities, order statuses.

Why: an agent says in ``GET /health`` what it can do, and fleetkit uses that and
needs none of it. May import `contract.base` and `contract.trading`.
The trap: a capability is a promise about *this* process. It is confirmed on the
connection a trade goes over; an agent rolled back to the base keeps none.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from fleetkit.contract.base import BASE, Call, Int64, Number

API_VERSION: Final = "1.1"
ORDER_ID_HEADER: Final = "Idempotency-Key"
DEALS_PAGE: Final = 1_000  # deals in one reply unless asked for fewer or more
MAX_DEALS_PAGE: Final = 5_000


class Capability(StrEnum):
    """What an agent can do beyond the base layer, as ``GET /health`` lists it."""

    ACCOUNT_FIGURES = "account-figures"
    """Accounts with equity, margin, currency, margin mode and what may be traded."""
    BUSY_503 = "busy-503"
    """503 with ``Retry-After`` means: not executed, nothing was done."""
    COMPRESSION = "compression"
    """Large replies come as zstd or gzip, by ``Accept-Encoding``."""
    DEALS = "deals"
    """``GET /deals``, the raw ledger by cursor."""
    ORDERS = "orders"
    """Trade routes take an ``order_id``; ``GET /orders/{order_id}`` tells its fate."""
    PARTIAL_CLOSE = "partial-close"
    """``POST /positions/close`` takes a ``volume``."""
    POSITION_DETAILS = "position-details"
    """Positions with magic, comment, order_id and position_id."""
    RETCODES = "retcodes"
    """Trade replies carry MetaTrader's retcode, errors too."""
    SYMBOLS = "symbols"
    """``GET /symbols/{symbol}``, what a symbol may be traded like."""
    TRADE_COSTS = "trade-costs"
    """Trade history with swap and fee, a row per closing deal, windows by exit time."""
    UTC_TIMES = "utc-times"
    """Times carry an offset, and ``from_date`` may."""


class OrderStatus(StrEnum):
    """What became of an order, as the agent's own log knows it."""

    ACCEPTED = "accepted"  # written down, not answered by the terminal yet
    FILLED = "filled"
    PARTIALLY_FILLED = "partially_filled"
    REJECTED = "rejected"
    UNKNOWN = "unknown"  # the terminal gave no answer, or the agent ended before it did
    NEVER_RECEIVED = "never_received"  # only with a 404


class DealWire(msgspec.Struct, kw_only=True, gc=False):
    """One deal, named as in MetaTrader5's TradeDeal; times are text, parsed as a column."""

    ticket: Number
    time: str
    type: Int64
    entry: Int64
    order: Number | None = None
    position_id: Number | None = None
    reason: Int64 | None = None
    magic: Int64 | None = None
    symbol: str | None = None
    volume: float | None = None
    price: float | None = None
    profit: float | None = None
    swap: float | None = None
    commission: float | None = None
    fee: float | None = None
    comment: str | None = None
    external_id: str | None = None
    order_id: str | None = None


class DealsWire(msgspec.Struct, kw_only=True):
    """``GET /deals``: one page by rising ticket; ``next_after`` is null on the last one."""

    account_number: Number
    deals: list[DealWire]
    next_after: Number | None = None


class SymbolWire(msgspec.Struct, kw_only=True):
    """``GET /symbols/{symbol}``, MetaTrader's names and numbers."""

    symbol: str
    digits: Int64
    point: float
    volume_min: float
    volume_max: float
    volume_step: float
    trade_stops_level: Int64 | None = None
    filling_mode: Int64 | None = None
    trade_contract_size: float | None = None
    trade_tick_size: float | None = None
    trade_tick_value: float | None = None
    trade_mode: Int64 | None = None
    currency_profit: str | None = None


class OrderStatusWire(msgspec.Struct, kw_only=True):
    """``GET /orders/{order_id}``, also the body of its 404 (``never_received``)."""

    status: str
    order_id: str | None = None
    account_number: Number | None = None
    kind: str | None = None  # "open", "close" or "modify"
    ticket: Number | None = None
    deal: Number | None = None
    order: Number | None = None
    volume: float | None = None  # lots really executed
    price: float | None = None
    retcode: Int64 | None = None
    message: str | None = None
    received_at: datetime | None = None
    settled_at: datetime | None = None


DEALS: Final = Call(
    name="deals",
    method="GET",
    path="/deals",
    query=("from", "after", "limit"),
    reply=DealsWire,
    decode=msgspec.json.Decoder(DealsWire).decode,
)
SYMBOL: Final = Call(
    name="symbol",
    method="GET",
    path="/symbols/{symbol}",
    reply=SymbolWire,
    decode=msgspec.json.Decoder(SymbolWire).decode,
)
ORDER_STATUS: Final = Call(
    name="order_status",
    method="GET",
    path="/orders/{order_id}",
    reply=OrderStatusWire,
    decode=msgspec.json.Decoder(OrderStatusWire).decode,
)

EXTENDED: Final[tuple[Call[Any], ...]] = (*BASE, DEALS, SYMBOL, ORDER_STATUS)
"""Everything our own agent speaks: the base layer and what it adds."""
