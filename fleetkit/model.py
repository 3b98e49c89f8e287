"""The frozen records of the domain, in the field's words.

Why: one form of each thing above the wire. May import `errors` and `clock` only.
The trap: ``None`` means "not known"; zero is a figure.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class AccountStatus(StrEnum):
    """How an account's last reading ended."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    OFFLINE = "offline"
    TIMEOUT = "timeout"
    ERROR = "error"
    WRONG_ACCOUNT = "wrong_account"


class AgentStatus(StrEnum):
    """Whether an agent answers."""

    ONLINE = "online"
    OFFLINE = "offline"
    TIMEOUT = "timeout"
    ERROR = "error"
    UNKNOWN = "unknown"  # not asked yet


class Source(StrEnum):
    """Where a row's figures come from."""

    LIVE = "live"
    CACHE = "cache"
    STALE = "stale"
    NONE = "none"


class Binding(StrEnum):
    """How an agent's account is known."""

    CONFIGURED = "configured"
    CONFIRMED = "confirmed"  # learned, and answered at least twice
    LEARNED = "learned"
    UNKNOWN = "unknown"
    CONFLICT = "conflict"  # two agents claim the number; neither has it


class Side(StrEnum):
    """Direction of a position or trade."""

    BUY = "buy"
    SELL = "sell"


class Breaker(StrEnum):
    """State of an agent's circuit breaker."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


class MarginMode(StrEnum):
    """How an account books positions of one symbol."""

    HEDGING = "hedging"
    NETTING = "netting"


class StopsUnit(StrEnum):
    """What an agent takes the ``sl`` and ``tp`` of an open request for."""

    PRICE = "price"
    PIPS = "pips"


class TradeMode(StrEnum):
    """What may be done with a symbol."""

    DISABLED = "disabled"
    LONG_ONLY = "long_only"
    SHORT_ONLY = "short_only"
    CLOSE_ONLY = "close_only"
    FULL = "full"


class Http2(StrEnum):
    """Which HTTP version to speak to an agent."""

    AUTO = "auto"  # HTTP/2 where TLS negotiates it
    H2C = "h2c"  # HTTP/2 over plain http, by prior knowledge
    OFF = "off"


DEFAULT_PHASE = "F1"


class Label(msgspec.Struct, frozen=True):
    """What the analyst says of an account."""

    phase: str = DEFAULT_PHASE
    vs_group: str = ""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What one agent says it can do beyond the base layer; the base layer is nothing of it.

    ``names`` are words of `Capability`, and words that this version does not know yet.
    ``account`` is the account that the agent says it serves.
    """

    api: str | None = None
    names: frozenset[str] = frozenset()
    stops_unit: StopsUnit | None = None
    server_utc_offset_s: float | None = None
    account: int | None = None

    def has(self, capability: str) -> bool:
        """Whether the agent has a capability."""
        return capability in self.names

    def __str__(self) -> str:
        return ", ".join(sorted(self.names)) or "base"


class AccountReading(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The figures one agent gave for its account at one moment."""

    account: int
    balance: float
    connected: bool = True
    name: str | None = None
    holder: str | None = None
    firm: str | None = None
    server: str | None = None
    currency: str | None = None
    leverage: int | None = None
    credit: float | None = None
    equity: float | None = None
    profit: float | None = None
    margin: float | None = None
    margin_free: float | None = None
    margin_level: float | None = None
    initial_balance: float | None = None
    days_operating: int | None = None
    has_open_position: bool | None = None
    margin_mode: MarginMode | None = None
    trade_allowed: bool | None = None
    company: str | None = None
    login_ok: bool | None = None


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One account as a row of `Fleet.accounts` shows it.

    Money in account currency; ``age_s`` in seconds; ``as_of`` is the moment the
    figures were true, ``None`` when there never were any.
    """

    account: int
    agent: str
    status: AccountStatus
    source: Source
    name: str | None = None
    holder: str | None = None
    firm: str | None = None
    server: str | None = None
    currency: str | None = None
    leverage: int | None = None
    balance: float | None = None
    credit: float | None = None
    equity: float | None = None
    profit: float | None = None
    margin: float | None = None
    margin_free: float | None = None
    margin_level: float | None = None
    initial_balance: float | None = None
    pnl: float | None = None
    pnl_pct: float | None = None
    residual: float | None = None
    days_operating: int | None = None
    has_open_position: bool | None = None
    phase: str = DEFAULT_PHASE
    vs_group: str = ""
    as_of: datetime | None = None
    age_s: float | None = None
    error: str | None = None

    def _repr_html_(self) -> str:
        from fleetkit.html import record_html

        return record_html(self)


class Position(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One open position. Volume in lots, prices as quoted, money in account currency."""

    ticket: int
    account: int
    symbol: str
    side: Side
    volume: float
    open_time: datetime | None
    open_price: float
    current_price: float | None
    sl: float | None
    tp: float | None
    profit: float | None
    swap: float | None
    commission: float | None
    magic: int | None = None
    comment: str | None = None
    order_id: str | None = None


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """Bid and ask of one symbol as one agent sees them."""

    account: int
    symbol: str
    bid: float
    ask: float
    point: float | None = None
    tick_value: float | None = None
    time: datetime | None = None

    @property
    def spread(self) -> float:
        """Ask minus bid, a price difference."""
        return self.ask - self.bid

    def _repr_html_(self) -> str:
        from fleetkit.html import record_html

        return record_html(self)


class Symbol(msgspec.Struct, frozen=True, kw_only=True):
    """How one symbol is traded on one account.

    Volumes in lots; ``stops_level_points`` is the least distance of a stop from the
    price; ``tick_value`` is what one ``tick_size`` of one lot is worth, in account
    currency; ``filling_mode`` is MetaTrader's sum of flags, 1 fill or kill and
    2 immediate or cancel.
    """

    account: int
    symbol: str
    digits: int
    point: float
    volume_min: float
    volume_max: float
    volume_step: float
    stops_level_points: int | None = None
    contract_size: float | None = None
    tick_size: float | None = None
    tick_value: float | None = None
    trade_mode: TradeMode | None = None
    currency_profit: str | None = None
    filling_mode: int | None = None

    def _repr_html_(self) -> str:
        from fleetkit.html import record_html

        return record_html(self)


class CacheStats(msgspec.Struct, frozen=True, kw_only=True):
    """How well the cache did since `connect`.

    Counters count accounts, not calls: ``accounts()`` of 69 fresh accounts is 69 hits.
    """

    accounts_cached: int
    agents_cached: int
    last_full_refresh: datetime | None
    ttl_s: float
    hits: int
    misses: int
    stale_hits: int
    flights_joined: int
    invalidations: int
    evictions: int

    @property
    def hit_rate(self) -> float:
        """Hits over hits and misses, 0.0 to 1.0; 0.0 before the first call."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0

    def _repr_html_(self) -> str:
        from fleetkit.html import record_html

        return record_html(self)


class AgentInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What this process knows of one agent; a row of `Fleet.agents`."""

    agent: str
    url: str
    account: int | None = None
    binding: Binding = Binding.UNKNOWN
    status: AgentStatus = AgentStatus.UNKNOWN
    capabilities: str | None = None  # "base", or the sorted names; None before it is known
    http_version: str | None = None
    breaker: Breaker = Breaker.CLOSED
    failures: int = 0
    recoveries: int = 0
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    requests: int = 0
    connections: int = 0
    clock_skew_s: float | None = None
    last_ok: datetime | None = None
    last_error: str | None = None


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """One agent as `Fleet.doctor` finds it."""

    agent: str
    url: str
    account: int | None = None
    reachable: bool = False
    status: AgentStatus = AgentStatus.UNKNOWN
    terminal: str | None = None  # healthy, unhealthy, or None where the agent has no /health
    layer: str | None = None  # base or extended
    capabilities: str | None = None
    http_version: str | None = None
    handshakes: int = 0
    requests: int = 0
    latency_ms: float | None = None
    lane_wait_ms: float | None = None  # the longest of the last 256
    clock_skew_s: float | None = None
    clock_evidence: str | None = None
    time_zone: str = "UTC"
    time_zone_source: str = "assumed"  # or configured
    binding: Binding = Binding.UNKNOWN
    stops_unit: str | None = None
    stops_unit_source: str | None = None  # configured or advertised
    margin_mode: str | None = None
    margin_mode_source: str | None = None
    breaker: Breaker = Breaker.CLOSED
    tls_expires: datetime | None = None
    last_error: str | None = None
    trading_needs: str | None = None  # None: ready
    advice: str | None = None
