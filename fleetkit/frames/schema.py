"""The constant schema of each frame: the design's table of columns, as data.

Why: adding a column is one line here, and a test compares every builder with it.
May import `kinds`. The trap: order matters, users unpack columns by position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

import pandas as pd

from fleetkit.frames.kinds import (
    ACCOUNT_STATUS,
    AGENT_STATUS,
    AMOUNT,
    BINDING,
    BREAKER,
    DEAL_ENTRY,
    DEAL_REASON,
    DEAL_TYPE,
    DURATION,
    EVIDENCE,
    FLAG,
    FLOAT,
    INTEGER,
    NUMBER,
    ORDER_KIND,
    OUTCOME,
    SIDE,
    SOURCE,
    STOPS_UNIT,
    TEXT,
    TIME,
    Kind,
)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, which is also the record's attribute, and its kind."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of one frame, and of its index where that is not a range."""

    columns: tuple[Column, ...]
    index: Column | None = None

    @property
    def names(self) -> list[str]:
        """The names of the columns, in order, without the index."""
        return [column.name for column in self.columns]

    @property
    def dtypes(self) -> dict[str, Any]:
        """The dtype of each column."""
        return {column.name: column.kind.dtype for column in self.columns}

    def kind(self, name: str) -> Kind:
        """The kind of the column of that name."""
        return next(column.kind for column in self.columns if column.name == name)

    def fill(
        self, records: Sequence[Any], *, without: frozenset[str] = frozenset()
    ) -> dict[str, Any]:
        """New arrays from the attributes of `records`, index included."""
        wanted = (*self.columns, *((self.index,) if self.index else ()))
        return {
            column.name: column.kind.fill(list(map(attrgetter(column.name), records)))
            for column in wanted
            if column.name not in without
        }

    def frame(self, arrays: Mapping[str, Any]) -> pd.DataFrame:
        """A frame that takes over `arrays`, one for each column and the index.

        The arrays must be new, writable and used for nothing else.
        """
        data = {column.name: arrays[column.name] for column in self.columns}
        index = None
        if self.index is not None:
            kind = self.index.kind
            index = pd.Index(arrays[self.index.name], dtype=kind.dtype, name=self.index.name)
        return pd.DataFrame(data, index=index, copy=False)


def _columns(kinds: Mapping[str, Kind]) -> tuple[Column, ...]:
    return tuple(Column(name, kind) for name, kind in kinds.items())


_SEEN: Final = {"as_of": TIME, "age_s": FLOAT, "source": SOURCE}

ACCOUNTS: Final = Schema(
    index=Column("account", NUMBER),
    columns=_columns(
        {
            "agent": TEXT,
            "status": ACCOUNT_STATUS,
            "name": TEXT,
            "holder": TEXT,
            "firm": TEXT,
            "server": TEXT,
            "currency": TEXT,
            "leverage": INTEGER,
            "balance": FLOAT,
            "credit": FLOAT,
            "equity": FLOAT,
            "profit": FLOAT,
            "margin": FLOAT,
            "margin_free": FLOAT,
            "margin_level": FLOAT,
            "initial_balance": FLOAT,
            "pnl": FLOAT,
            "pnl_pct": FLOAT,
            "residual": FLOAT,
            "days_operating": INTEGER,
            "has_open_position": FLAG,
            "phase": TEXT,
            "vs_group": TEXT,
            **_SEEN,
            "error": TEXT,
        }
    ),
)

POSITIONS: Final = Schema(
    index=Column("ticket", NUMBER),
    columns=_columns(
        {
            "account": NUMBER,
            "symbol": TEXT,
            "side": SIDE,
            "volume": FLOAT,
            "open_time": TIME,
            "open_price": FLOAT,
            "current_price": FLOAT,
            "sl": FLOAT,
            "tp": FLOAT,
            "profit": FLOAT,
            "swap": FLOAT,
            "commission": FLOAT,
            "magic": INTEGER,
            "comment": TEXT,
            "order_id": TEXT,
            **_SEEN,
        }
    ),
)

TRADES: Final = Schema(
    columns=_columns(
        {
            "account": NUMBER,
            "position_id": INTEGER,
            "symbol": TEXT,
            "side": SIDE,
            "volume": FLOAT,
            "entry_time": TIME,
            "exit_time": TIME,
            "duration": DURATION,
            "entry_price": FLOAT,
            "exit_price": FLOAT,
            "pips": FLOAT,
            "profit": FLOAT,
            "swap": FLOAT,
            "commission": FLOAT,
            "fee": FLOAT,
            "net": FLOAT,
            "comment": TEXT,
            "order_id": TEXT,
            **_SEEN,
        }
    ),
)

DEALS: Final = Schema(
    index=Column("deal", NUMBER),
    columns=_columns(
        {
            "account": NUMBER,
            "order": INTEGER,
            "position_id": INTEGER,
            "time": TIME,
            "type": DEAL_TYPE,
            "entry": DEAL_ENTRY,
            "reason": DEAL_REASON,
            "symbol": TEXT,
            "volume": FLOAT,
            "price": FLOAT,
            "profit": FLOAT,
            "swap": FLOAT,
            "commission": FLOAT,
            "fee": FLOAT,
            "effect": FLOAT,
            "magic": INTEGER,
            "comment": TEXT,
            **_SEEN,
        }
    ),
)

AGENTS: Final = Schema(
    index=Column("agent", TEXT),
    columns=_columns(
        {
            "account": INTEGER,  # nullable here: an agent's account may not be known yet
            "binding": BINDING,
            "url": TEXT,
            "status": AGENT_STATUS,
            "capabilities": TEXT,
            "http_version": TEXT,
            "breaker": BREAKER,
            "failures": INTEGER,
            "recoveries": INTEGER,
            "latency_p50_ms": FLOAT,
            "latency_p95_ms": FLOAT,
            "requests": INTEGER,
            "connections": INTEGER,
            "clock_skew_s": FLOAT,
            "last_ok": TIME,
            "last_error": TEXT,
        }
    ),
)

DOCTOR: Final = Schema(
    index=Column("agent", TEXT),
    columns=_columns(
        {
            "url": TEXT,
            "account": INTEGER,
            "reachable": FLAG,
            "status": AGENT_STATUS,
            "terminal": TEXT,
            "layer": TEXT,
            "capabilities": TEXT,
            "http_version": TEXT,
            "handshakes": INTEGER,
            "requests": INTEGER,
            "latency_ms": FLOAT,
            "lane_wait_ms": FLOAT,
            "clock_skew_s": FLOAT,
            "clock_evidence": TEXT,
            "time_zone": TEXT,
            "time_zone_source": TEXT,
            "binding": BINDING,
            "stops_unit": TEXT,
            "stops_unit_source": TEXT,
            "margin_mode": TEXT,
            "margin_mode_source": TEXT,
            "breaker": BREAKER,
            "tls_expires": TIME,
            "last_error": TEXT,
            "trading_needs": TEXT,
            "advice": TEXT,
        }
    ),
)

LABELS: Final = Schema(
    index=Column("account", NUMBER), columns=_columns({"phase": TEXT, "vs_group": TEXT})
)

SUMMARY: Final = Schema(
    columns=_columns(
        {
            "accounts": INTEGER,
            "connected": INTEGER,
            "disconnected": INTEGER,
            "stale": INTEGER,
            "balance": FLOAT,
            "equity": FLOAT,
            "profit": FLOAT,
            "last_refresh": TIME,
            "currency": TEXT,
        }
    ),
)

ORDERS: Final = Schema(
    index=Column("order_id", TEXT),
    columns=_columns(
        {
            "account": NUMBER,
            "kind": ORDER_KIND,
            "symbol": TEXT,
            "side": SIDE,
            "volume": AMOUNT,
            "outcome": OUTCOME,
            "filled_volume": AMOUNT,
            "ticket": INTEGER,
            "price": FLOAT,
            "reason": TEXT,
            "retcode": INTEGER,
            "stops_ok": FLAG,
            "evidence": EVIDENCE,
            "created_at": TIME,
            "sent_at": TIME,
            "settled_at": TIME,
            "pair_id": TEXT,
        }
    ),
)

RECEIPTS: Final = Schema(
    index=Column("order_id", TEXT),
    columns=_columns(
        {
            "account": NUMBER,
            "kind": ORDER_KIND,
            "symbol": TEXT,
            "side": SIDE,
            "volume": AMOUNT,
            "outcome": OUTCOME,
            "filled_volume": AMOUNT,
            "ticket": INTEGER,
            "price": FLOAT,
            "sl": FLOAT,
            "tp": FLOAT,
            "stops_ok": FLAG,
            "evidence": EVIDENCE,
            "reason": TEXT,
            "retcode": INTEGER,
            "retryable": FLAG,
            "replayed": FLAG,
            "total_ms": FLOAT,
        }
    ),
)

PLAN: Final = Schema(
    columns=_columns(
        {
            "account": NUMBER,
            "agent": TEXT,
            "kind": ORDER_KIND,
            "symbol": TEXT,
            "side": SIDE,
            "ticket": INTEGER,
            "asked_volume": AMOUNT,
            "volume": AMOUNT,
            "entry": AMOUNT,
            "sl_price": AMOUNT,
            "sl_pips": AMOUNT,
            "sl_money": AMOUNT,
            "tp_price": AMOUNT,
            "tp_pips": AMOUNT,
            "tp_money": AMOUNT,
            "stops_unit": STOPS_UNIT,
            "spread_cost": AMOUNT,
            "risk": AMOUNT,
            "margin": AMOUNT,
            "refusal": TEXT,
            "warnings": TEXT,
        }
    ),
)
