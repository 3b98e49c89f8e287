"""What every deployed agent speaks, and the optional fields that our own agent adds.

Why: a wire struct is one type for both layers, so a reply is read the same way
whoever wrote it. May import `model`, `errors` and `clock`. Wire structs validate
while decoding; unknown fields are ignored, missing optional ones are ``None``.
The trap: times are as the agent wrote them. Base agents send naive local times,
and only the gateway, which knows the agent's zone, may give them a meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]  # account and ticket numbers
OrderId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{26}\Z")]  # made by the client

MAX_DAYS: Final = 365  # `days` above it is a 400 (T9)
DEFAULT_DAYS: Final = 30


class AccountWire(msgspec.Struct, kw_only=True, gc=False):
    """One account, as ``GET /accounts`` answers."""

    account_number: Number
    balance: float
    status: str
    account_name: str | None = None
    days_operating: Int64 | None = None
    has_open_position: bool | None = None
    last_updated: datetime | None = None
    account_holder: str | None = None
    prop_firm: str | None = None
    initial_balance: float | None = None
    # extended:
    equity: float | None = None
    credit: float | None = None
    profit: float | None = None
    margin: float | None = None
    margin_free: float | None = None
    margin_level: float | None = None  # per cent; null where nothing is open
    currency: str | None = None
    leverage: Int64 | None = None
    server: str | None = None
    company: str | None = None
    margin_mode: str | None = None  # "hedging" or "netting"
    trade_allowed: bool | None = None
    login_ok: bool | None = None


class AccountsWire(msgspec.Struct, kw_only=True):
    """The envelope some agents put around their account."""

    accounts: list[AccountWire]


class TradeWire(msgspec.Struct, kw_only=True, gc=False):
    """One closed trade. Times are text here: 100,000 of them are parsed as one column."""

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
    # extended, one row per closing deal:
    swap: float | None = None
    fee: float | None = None
    comment: str | None = None
    order_id: str | None = None
    entry_volume: float | None = None
    closed_volume: float | None = None


class TradeHistoryWire(msgspec.Struct, kw_only=True):
    """``GET /trade-history``, newest exit first."""

    account_number: Number
    trades: list[TradeWire]
    total_trades: Int64 | None = None
    total_profit: float | None = None
    total_commission: float | None = None


class PositionWire(msgspec.Struct, kw_only=True, gc=False):
    """One open position."""

    ticket: Number
    symbol: str
    type: str
    volume: float
    open_price: float
    current_price: float | None = None
    sl: float | None = None
    tp: float | None = None
    profit: float | None = None
    swap: float | None = None
    commission: float | None = None
    open_time: datetime | None = None
    # extended:
    magic: Int64 | None = None
    comment: str | None = None
    order_id: str | None = None
    position_id: Number | None = None


class PositionsWire(msgspec.Struct, kw_only=True):
    """``GET /positions``."""

    account_number: Number
    positions: list[PositionWire]
    position_count: Int64 | None = None
    total_profit: float | None = None


class QuoteWire(msgspec.Struct, kw_only=True):
    """``GET /quote/{symbol}``. ``pip_value`` is a guess of old agents: never used (T6)."""

    symbol: str
    bid: float
    ask: float
    spread_points: float | None = None
    spread_pips: float | None = None
    pip_value: float | None = None
    trade_tick_value: float | None = None
    point: float | None = None
    timestamp: datetime | None = None


class HealthWire(msgspec.Struct, kw_only=True):
    """``GET /health``."""

    status: str
    accounts_monitored: Int64 | None = None
    mt5_initialized: bool | None = None
    timestamp: datetime | None = None
    # extended:
    api: str | None = None
    capabilities: list[str] | None = None
    stops_unit: str | None = None
    server_utc_offset_s: float | None = None
    account_number: Number | None = None
    busy_s: float | None = None  # how long the terminal has not come back from one call


class RefreshWire(msgspec.Struct, kw_only=True):
    """``POST /refresh``: the terminal reconnected, or tried to."""

    status: str | None = None
    message: str | None = None


class ErrorWire(msgspec.Struct, kw_only=True):
    """The body of an HTTP error."""

    detail: Any = None
    # extended, on trade routes:
    retcode: Int64 | None = None  # null where MetaTrader was not asked
    order_id: str | None = None
    order_status: str | None = None


class OpenRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Body of ``POST /positions/open``."""

    symbol: str
    lot: float
    order_type: Literal["BUY", "SELL"]
    sl: float | None = None
    tp: float | None = None
    comment: str | None = None
    order_id: OrderId | None = None


class OpenWire(msgspec.Struct, kw_only=True):
    """Reply of ``POST /positions/open``."""

    success: bool
    ticket: Number | None = None
    message: str | None = None
    price: float | None = None
    error_code: Int64 | None = None
    # extended:
    retcode: Int64 | None = None
    volume: float | None = None  # lots really executed
    deal: Number | None = None
    order: Number | None = None
    order_id: str | None = None
    order_status: str | None = None


class CloseRequest(msgspec.Struct, kw_only=True):
    """Body of ``POST /positions/close``."""

    ticket: Number
    deviation: int = 20
    # Left out unless set: an agent that does not know them must not see them.
    volume: float | UnsetType | None = UNSET  # lots; all of it where absent (`partial-close`)
    order_id: OrderId | UnsetType | None = UNSET


class CloseWire(msgspec.Struct, kw_only=True):
    """Reply of ``POST /positions/close``."""

    success: bool
    ticket: Number | None = None
    message: str | None = None
    close_price: float | None = None
    # extended:
    retcode: Int64 | None = None
    volume: float | None = None
    deal: Number | None = None
    order: Number | None = None
    order_id: str | None = None
    order_status: str | None = None


class ModifyRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Body of ``PUT /positions/modify``: price levels; absent keeps, 0.0 removes."""

    ticket: Number
    sl: float | None = None
    tp: float | None = None
    order_id: OrderId | None = None


class ModifyWire(msgspec.Struct, kw_only=True):
    """Reply of ``PUT /positions/modify``."""

    success: bool
    ticket: Number | None = None
    message: str | None = None
    new_sl: float | None = None
    new_tp: float | None = None
    # extended:
    retcode: Int64 | None = None
    order_id: str | None = None
    order_status: str | None = None


Reply = TypeVar("Reply")


class Call(msgspec.Struct, Generic[Reply], frozen=True, kw_only=True):
    """One route of the agent API."""

    name: str
    method: Literal["GET", "POST", "PUT"]
    path: str
    reply: type[Reply]
    decode: Callable[[bytes], Reply]
    query: tuple[str, ...] = ()
    body: type[msgspec.Struct] | None = None
    idempotent: bool = True  # may be sent again when a dead connection ate it
    trades: bool = False  # adds or removes exposure: overtakes polls, is never sent twice


class _Raw(msgspec.Struct):
    accounts: msgspec.Raw = msgspec.Raw()


_account = msgspec.json.Decoder(AccountWire | list[AccountWire])
_envelope = msgspec.json.Decoder(AccountsWire)
_has_envelope = msgspec.json.Decoder(_Raw)


def decode_accounts(body: bytes) -> list[AccountWire]:
    """Decode the three shapes of ``GET /accounts``: an object, a list, an envelope.

    Raises
    ------
    msgspec.DecodeError
        With the JSON path of the mistake.
    """
    try:
        decoded = _account.decode(body)
    except msgspec.ValidationError:
        # Only a body that has the key is an envelope; any other keeps its own error.
        if not body.lstrip().startswith(b"{") or not _has_envelope.decode(body).accounts:
            raise
        return _envelope.decode(body).accounts
    return decoded if isinstance(decoded, list) else [decoded]


def _decoder(kind: type[Reply]) -> Callable[[bytes], Reply]:
    return msgspec.json.Decoder(kind).decode


HEALTH: Final = Call(
    name="health", method="GET", path="/health", reply=HealthWire, decode=_decoder(HealthWire)
)
ACCOUNTS: Final[Call[list[AccountWire]]] = Call(
    name="accounts", method="GET", path="/accounts", reply=list, decode=decode_accounts
)
REFRESH: Final = Call(
    name="refresh",
    method="POST",
    path="/refresh",
    reply=RefreshWire,
    decode=_decoder(RefreshWire),
    idempotent=False,
)
TRADE_HISTORY: Final = Call(
    name="trade_history",
    method="GET",
    path="/trade-history",
    query=("from_date", "days"),
    reply=TradeHistoryWire,
    decode=_decoder(TradeHistoryWire),
)
POSITIONS: Final = Call(
    name="positions",
    method="GET",
    path="/positions",
    reply=PositionsWire,
    decode=_decoder(PositionsWire),
)
OPEN: Final = Call(
    name="open",
    method="POST",
    path="/positions/open",
    body=OpenRequest,
    reply=OpenWire,
    decode=_decoder(OpenWire),
    idempotent=False,
    trades=True,
)
CLOSE: Final = Call(
    name="close",
    method="POST",
    path="/positions/close",
    body=CloseRequest,
    reply=CloseWire,
    decode=_decoder(CloseWire),
    idempotent=False,
    trades=True,
)
MODIFY: Final = Call(
    name="modify",
    method="PUT",
    path="/positions/modify",
    body=ModifyRequest,
    reply=ModifyWire,
    decode=_decoder(ModifyWire),
    idempotent=False,
    trades=True,
)
QUOTE: Final = Call(
    name="quote",
    method="GET",
    path="/quote/{symbol}",
    reply=QuoteWire,
    decode=_decoder(QuoteWire),
)


BASE: Final[tuple[Call[Any], ...]] = (
    HEALTH,
    ACCOUNTS,
    REFRESH,
    TRADE_HISTORY,
    POSITIONS,
    OPEN,
    CLOSE,
    MODIFY,
    QUOTE,
)
"""What every deployed agent speaks (old ones lack ``/health`` and ``/positions``)."""
