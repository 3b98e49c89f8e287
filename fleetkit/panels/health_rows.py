"""Tables of the health panel: agents, the journal of orders, and what the doctor found.

Pure. May import `sheet_model`, `model` and `trading`. The trap: an error of an agent is
hostile text like everything else it says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from fleetkit.model import AgentInfo, CacheStats, Diagnosis
from fleetkit.panels.order_rows import EVIDENCE, OUTCOMES
from fleetkit.panels.sheet_model import Column, Rows, Segment, Table
from fleetkit.trading import OrderLine

STATUSES: Final = {
    "online": "good",
    "offline": "bad",
    "timeout": "fair",
    "error": "bad",
    "unknown": "off",
}
BREAKERS: Final = {"closed": "good", "half_open": "fair", "open": "bad"}
SPARK: Final = 40  # calls in a sparkline
JOURNAL_ROWS: Final = 500

AGENTS: Final = Table(
    "agents",
    "Agents",
    (
        Column("agent", "agent"),
        Column("account", "account", "id"),
        Column("status", "status", "word", tones=STATUSES, tip="last_error"),
        Column("breaker", "breaker", "word", tones=BREAKERS),
        Column("latencies", "latency", "spark"),
        Column("latency_p50_ms", "p50 ms", "number", digits=1),
        Column("latency_p95_ms", "p95 ms", "number", digits=1),
        Column("http_version", "http"),
        Column("failures", "failures", "count"),
        Column("recoveries", "recoveries", "count"),
        Column("requests", "requests", "count"),
        Column("connections", "handshakes", "count", shown=False),
        Column("clock_skew_s", "skew s", "number", digits=1),
        Column("last_ok", "last answer (UTC)", "time"),
        Column("last_error", "last error", tip="last_error", width=260),
        Column("capabilities", "capabilities", shown=False),
        Column("binding", "binding", shown=False),
        Column("url", "url", shown=False),
    ),
    row_tone="status",
    selectable=False,
    rows_high=9,
    empty="This fleet has no agents.",
    key_kind="text",
)

JOURNAL: Final = Table(
    "journal",
    "Journal of orders",
    (
        Column("created_at", "asked for (UTC)", "time"),
        Column("account", "account", "id"),
        Column("kind", "kind"),
        Column("symbol", "symbol"),
        Column("side", "side"),
        Column("volume", "lots", "number"),
        Column("outcome", "outcome", "word", tones=OUTCOMES, tip="reason"),
        Column("evidence", "evidence", "word", tones=EVIDENCE),
        Column("ticket", "ticket", "id"),
        Column("filled_volume", "filled", "number"),
        Column("price", "price", "price"),
        Column("stops_ok", "stops ok", "flag"),
        Column("reason", "why", tip="reason", width=260),
        Column("settled_at", "settled (UTC)", "time", shown=False),
        Column("order_id", "order id", width=210),
    ),
    row_tone="outcome",
    selectable=False,
    rows_high=8,
    empty="No orders in the last day, and none is open.",
    key_kind="text",
)

DOCTOR: Final = Table(
    "doctor",
    "The doctor",
    (
        Column("agent", "agent"),
        Column("account", "account", "id"),
        Column("reachable", "reachable", "flag"),
        Column("terminal", "terminal"),
        Column("layer", "layer"),
        Column("http_version", "http"),
        Column("latency_ms", "ms", "number", digits=1),
        Column("clock_skew_s", "skew s", "number", digits=1),
        Column("advice", "what to do first", tip="advice", width=320),
        Column("trading_needs", "before it may be traded", tip="trading_needs", width=320),
    ),
    selectable=False,
    rows_high=8,
    empty="The doctor was not asked yet.",
    key_kind="text",
)


def agent_values(info: AgentInfo, latencies_s: Sequence[float]) -> tuple[Any, ...]:
    """One row of the agents' table."""
    newest = list(latencies_s)[-SPARK:]
    said = {"latencies": [round(each * 1000, 1) for each in newest]}
    return tuple(
        said[column.name] if column.name in said else plain(getattr(info, column.name))
        for column in AGENTS.columns
    )


def plain(value: Any) -> Any:
    """A value as the sheet knows it."""
    if isinstance(value, datetime):
        return value.timestamp()
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(value)


def journal_rows(lines: Iterable[OrderLine]) -> Rows:
    """Orders, the newest first."""
    newest = list(lines)[-JOURNAL_ROWS:][::-1]
    return Rows({line.order_id: _journal_values(line) for line in newest})


def _journal_values(line: OrderLine) -> tuple[Any, ...]:
    said = {
        "outcome": "under way" if line.outcome is None else line.outcome.value,
        "volume": None if line.volume is None else float(line.volume),
        "filled_volume": None if line.filled_volume is None else float(line.filled_volume),
    }
    return tuple(
        said[column.name] if column.name in said else plain(getattr(line, column.name))
        for column in JOURNAL.columns
    )


def doctor_rows(found: Iterable[Diagnosis]) -> Rows:
    """What was found, those with advice first."""
    ordered = sorted(found, key=lambda each: (each.advice is None, each.agent))
    return Rows(
        {
            each.agent: tuple(plain(getattr(each, column.name)) for column in DOCTOR.columns)
            for each in ordered
        }
    )


def totals(infos: Mapping[str, AgentInfo], stats: CacheStats) -> tuple[Segment, ...]:
    """How the agents are and what the cache did, in a line."""
    words = Counter(info.status.value for info in infos.values())
    open_breakers = sum(info.breaker.value != "closed" for info in infos.values())
    line = [
        Segment(f"{count:,} {word}", STATUSES[word], "strong" if word == "online" else "text")
        for word, count in words.most_common()
    ]
    if open_breakers:
        line.append(Segment(f"{open_breakers:,} left alone for now", "fair"))
    line += [
        Segment(f"{stats.accounts_cached:,} accounts fresh for up to {stats.ttl_s:g} s"),
        Segment(f"cache hit rate {stats.hit_rate:.0%}"),
        Segment(f"{stats.invalidations:,} invalidations"),
        Segment(f"{stats.stale_hits:,} answered with older figures"),
    ]
    if stats.last_full_refresh is not None:
        line.append(Segment(f"all read at {stats.last_full_refresh:%H:%M:%S} UTC"))
    return tuple(line)
