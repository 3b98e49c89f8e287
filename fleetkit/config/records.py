"""The frozen records of a configuration, and what each of their numbers may be.

Why: everything above reads these and nothing else; the bounds stand beside the
fields, so the reader of files and the reader of keywords enforce the same ones.
May import `model`, `trading`, `errors` and `secret`. The trap: the records themselves check
nothing but the URL's credentials; `read_config` does, whatever the values came from.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final

from fleetkit.config.secret import Secret
from fleetkit.errors import ConfigError
from fleetkit.model import Http2, MarginMode, StopsUnit
from fleetkit.trading import Policies

MAX_LANES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The range a number must lie in."""

    above: float | None = None
    at_least: float | None = None
    at_most: float | None = None

    def holds(self, number: float | Decimal) -> bool:
        """Whether `number` lies in the range; NaN lies in none."""
        return (
            (self.above is None or number > self.above)
            and (self.at_least is None or number >= self.at_least)
            and (self.at_most is None or number <= self.at_most)
        )

    def __str__(self) -> str:
        parts = (
            ("above", self.above),
            ("at least", self.at_least),
            ("at most", self.at_most),
        )
        return " and ".join(f"{words} {limit:g}" for words, limit in parts if limit is not None)


Seconds = Annotated[float, Bound(above=0)]
TtlSeconds = Annotated[float, Bound(at_least=0)]  # 0 switches the cache off
WaitSeconds = Annotated[float, Bound(at_least=0)]  # 0 does not wait
Count = Annotated[int, Bound(at_least=1)]
Budget = Annotated[int, Bound(at_least=0)]  # 0 forbids


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long each phase of a request, and each call as a whole, may take."""

    connect_s: Seconds = 5.0
    read_s: Seconds = 30.0
    write_s: Seconds = 10.0
    pool_s: Seconds = 5.0
    read_deadline_s: Seconds = 10.0
    history_deadline_s: Seconds = 30.0
    refresh_deadline_s: Seconds = 60.0
    trade_deadline_s: Seconds = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """How connections are kept. ``pooling=False`` opens a new one for each call."""

    keep_alive_s: Seconds = 90.0
    pooling: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy:
    """How long an answer counts as fresh; 0 switches that cache off."""

    cache_ttl_s: TtlSeconds = 60.0
    positions_ttl_s: TtlSeconds = 2.0
    trades_ttl_s: TtlSeconds = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryPolicy:
    """When a failing agent's terminal is made to reconnect, and how often at most.

    ``backoff_s`` doubles up to ``backoff_max_s``; ``budget`` reconnects per
    ``budget_window_s`` are shared by every kernel on one store.
    """

    enabled: bool = True
    failures: Count = 2
    pause_s: TtlSeconds = 2.0
    backoff_s: Seconds = 60.0
    backoff_max_s: Seconds = 1800.0
    budget: Budget = 10
    budget_window_s: Seconds = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """After how many failures an agent is left alone; ``open_s`` doubles to ``open_max_s``."""

    failures: Count = 3
    open_s: Seconds = 15.0
    open_max_s: Seconds = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingSettings:
    """How long things about orders take.

    Attributes
    ----------
    grace_s
        After its deadline, how much longer an agent may still execute what it was sent:
        nothing is proven absent before that.
    plan_fresh_s
        How long after it was made a plan may be executed.
    lease_s
        How long an account stays with a kernel that no longer renews its lease.
    drain_s
        How long closing a fleet, or the end of the process, waits for orders under way.
    """

    grace_s: Seconds = 45.0
    plan_fresh_s: Seconds = 10.0
    lease_s: Seconds = 60.0
    drain_s: WaitSeconds = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """One agent: where it is, whose account it serves and how to speak to it.

    Attributes
    ----------
    url
        ``scheme://host[:port][/prefix]``, without credentials or trailing slash.
    account
        The account it must answer for; ``None`` when it is to be learned.
    token
        Sent as ``Authorization: Bearer``.
    basic
        ``user:password`` taken from the URL, sent as ``Authorization: Basic``.
    time_zone
        IANA name of the zone its naive times are in; ``None`` assumes UTC.
    insecure
        Allows the token over plain http to another host.
    """

    name: str
    url: str
    account: int | None = None
    token: Secret | None = None
    basic: Secret | None = None
    ca_file: Path | None = None
    stops_unit: StopsUnit | None = None
    margin_mode: MarginMode | None = None
    time_zone: str | None = None
    http2: Http2 = Http2.AUTO
    lanes: Annotated[int, Bound(at_least=1, at_most=MAX_LANES)] = 1
    insecure: bool = False

    def __post_init__(self) -> None:
        if "@" in self.url:
            object.__setattr__(self, "url", "***")  # a traceback may print this record
            raise ConfigError(
                "An AgentConfig's url carries no credentials; give them as token= or basic=.",
                key="url",
            )

    @property
    def authorization(self) -> Secret | None:
        """The value of the ``Authorization`` header, where one is to be sent."""
        if self.token is not None:
            return Secret(f"Bearer {self.token.reveal()}")
        if self.basic is not None:
            encoded = base64.b64encode(self.basic.reveal().encode()).decode("ascii")
            return Secret(f"Basic {encoded}")
        return None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FleetConfig:
    """A whole fleet, checked.

    Attributes
    ----------
    policies
        What its accounts may be traded like; those that concern an account hold together.
    home
        The folder of the store; ``None`` leaves it to ``FLEETKIT_HOME``.
    source
        Where the configuration came from, for people.
    """

    agents: tuple[AgentConfig, ...]
    timeouts: Timeouts = Timeouts()
    pool: PoolLimits = PoolLimits()
    cache: CachePolicy = CachePolicy()
    recovery: RecoveryPolicy = RecoveryPolicy()
    breaker: BreakerPolicy = BreakerPolicy()
    trading: TradingSettings = TradingSettings()
    policies: Policies = Policies()  # noqa: RUF009 - frozen
    home: Path | None = None
    source: str = "list"

    def __repr__(self) -> str:
        count = len(self.agents)
        return f"<FleetConfig {count} agent{'s' * (count != 1)} from {self.source}>"
