"""Tables of the health panel: agents, the journal of orders, and what the doctor found.

Pure. May import `sheet_model`, `order_rows`, `model` and `trading`. The trap: an agent's row
changes with each of its calls; whatever is in it is sent for a thousand agents in one message.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from fleetkit.model import AgentInfo, Breaker, CacheStats, Diagnosis
from fleetkit.panels.order_rows import EVIDENCE, OUTCOMES
from fleetkit.panels.sheet_model import Column, Rows, Segment, Table
from fleetkit.trading import OrderLine, Outcome

STATUSES: Final = {
    "online": "good",
    "offline": "bad",
    "timeout": "fair",
    "error": "bad",
    "unknown": "off",
}
BREAKERS: Final = {"closed": "good", "half_open": "fair", "open": "bad"}
CALLS: Final = 60  # the latest, in a sparkline
POINTS: Final = 20  # of a sparkline: the slowest call of each stretch
JOURNAL_ROWS: Final = 500
LEFT_ALONE: Final = "They kept callers waiting several times in a row; refresh tries at once."

AGENTS: Final = Table(
    "agents",
    "Agents",
    (
        Column("agent", "agent"),
        Column("account", "account", "id"),
        Column("status", "status", "word", tones=STATUSES, tip="last_error"),
        Column("breaker", "breaker", "word", tones=BREAKERS),
        Column("last_ok", "answered", "age"),
        Column("latencies", "latency", "spark"),
        Column("latency_p50_ms", "p50 ms", "number", digits=1),
        Column("latency_p95_ms", "p95 ms", "number", digits=1),
        Column("failures", "failures", "count"),
        Column("recoveries", "recoveries", "count"),
        Column("last_error", "last error", tip="last_error", width=260),
        Column("http_version", "http"),
        Column("requests", "requests", "count"),
        Column("connections", "handshakes", "count", shown=False),
        Column("clock_skew_s", "skew s", "number", digits=1),
        Column("capabilities", "capabilities", shown=False),
        Column("binding", "binding", shown=False),
        Column("url", "url", shown=False),
    ),
    row_tone="status",
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
    sort=("created_at", True),  # a row that comes later is the last one in a table by itself
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
    sort=("advice", False),  # what is empty comes last
    selectable=False,
    rows_high=8,
    empty="The doctor was not asked yet.",
    key_kind="text",
)


def agent_values(
    info: AgentInfo, latencies_s: Sequence[float], now: float, now_utc: datetime
) -> tuple[Any, ...]:
    """One row of the agents' table at a moment of the Clock, and what the time is then."""
    said = {"latencies": sparkline(latencies_s), "last_ok": born(info.last_ok, now, now_utc)}
    return tuple(
        said[column.name] if column.name in said else plain(getattr(info, column.name))
        for column in AGENTS.columns
    )


def born(moment: datetime | None, now: float, now_utc: datetime) -> float | None:
    """A moment in the Clock's seconds, so that its age can be counted."""
    return None if moment is None else now - max((now_utc - moment).total_seconds(), 0.0)


def sparkline(latencies_s: Sequence[float]) -> list[int]:
    """The latest calls in milliseconds, oldest first; of many, the slowest of each stretch."""
    newest = [round(each * 1000) for each in latencies_s][-CALLS:]
    stretch = -(-len(newest) // POINTS)
    # Counted from the newest, or its own stretch would grow and shrink with each call.
    ends = range(len(newest), 0, -stretch) if newest else ()
    return [max(newest[max(end - stretch, 0) : end]) for end in ends][::-1]


def plain(value: Any) -> Any:
    """A value as the sheet knows it."""
    if isinstance(value, datetime):
        return value.timestamp()
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(value)


def journal_rows(lines: Iterable[OrderLine]) -> Rows:
    """Orders, the newest first; of very many the oldest are left out, unless they are open."""
    every, kept = list(lines), []
    excess = len(every) - JOURNAL_ROWS
    for line in every:
        if excess > 0 and not line.is_open:
            excess -= 1
        else:
            kept.append(line)
    return Rows({line.order_id: _journal_values(line) for line in reversed(kept)})


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
    """What was found, those with advice first, in plain text too."""
    ordered = sorted(found, key=lambda each: (each.advice is None, each.agent))
    return Rows(
        {
            each.agent: tuple(plain(getattr(each, column.name)) for column in DOCTOR.columns)
            for each in ordered
        }
    )


def totals(
    infos: Mapping[str, AgentInfo], stats: CacheStats, full_at: float | None
) -> tuple[Segment, ...]:
    """How the agents are and what the cache did, in a line."""
    words = Counter(info.status.value for info in infos.values())
    resting = sum(info.breaker is not Breaker.CLOSED for info in infos.values())
    line = [
        Segment(f"{count:,} {word}", STATUSES[word], "strong" if word == "online" else "text")
        for word, count in words.most_common()
    ]
    if resting:
        line.append(Segment(f"{resting:,} left alone for now", "fair", title=LEFT_ALONE))
    line += [
        Segment(f"{stats.accounts_cached:,} accounts fresh for up to {stats.ttl_s:g} s"),
        Segment(f"cache hit rate {stats.hit_rate:.0%}"),
        Segment(f"{stats.invalidations:,} invalidations"),
        Segment(f"{stats.stale_hits:,} answered with older figures"),
    ]
    if full_at is not None:
        line.append(Segment("all read", since=full_at))
    return tuple(line)


def doctor_said(found: Sequence[Diagnosis], advice: Sequence[str]) -> tuple[Segment, ...]:
    """What the doctor found, in a line; `advice` is about this machine and no agent."""
    sick = sum(each.advice is not None for each in found)
    line = [Segment(f"{sick:,} of {len(found):,} agents: see what to do first", "fair")]
    if not sick:
        line = [Segment(f"nothing to do for any of {len(found):,}", "good")]
    untraded = sum(each.trading_needs is not None for each in found)
    if untraded:
        line.append(Segment(f"{untraded:,} may not be traded yet", "fair"))
    return (*line, *(Segment(sentence, "fair") for sentence in advice))


def reconciled(lines: Iterable[OrderLine]) -> Segment:
    """What is still unknown after a look."""
    unknown = sum(line.outcome is Outcome.UNKNOWN for line in lines)
    if not unknown:
        return Segment("no order is unknown", "good")
    text = f"{unknown:,} order{'s' * (unknown != 1)} still unknown"
    return Segment(f"{text}: look into the terminal, then fleet.resolve(…)", "bad")
