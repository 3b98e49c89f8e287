"""The refresh watch in a table and two lines.

Pure. May import `watch_model` and `sheet_model`. The trap: an account that does not answer must
be seen not to answer, however many others do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fleetkit.panels.sheet_model import Column, Segment, Table
from fleetkit.panels.watch_model import stuck
from fleetkit.panels.watch_records import Record, Run, WatchState

WORDS: Final = {
    "idle": "off",
    "queued": "busy",
    "running": "busy",
    "stuck": "bad",
    "done": "good",
    "failed": "bad",
    "cancelled": "fair",
}
SHOWN: Final = 3  # of those that do not answer, by name

TABLE: Final = Table(
    "watch",
    "Refreshes",
    (
        Column("account", "account", "id"),
        Column("agent", "agent"),
        Column("state", "state", "word", tones=WORDS, tip="why"),
        Column("running", "running for", "age"),
        Column("ms", "took ms", "count"),
        Column("born", "figures", "age"),
        Column("has_position", "open", "flag"),
        Column("why", "why", tip="why", width=320),
    ),
    row_tone="state",
    rows_high=12,
    empty="This fleet has no agents.",
    key_kind="text",
)


def watch_values(agent: str, account: int | None, record: Record) -> tuple[Any, ...]:
    """One row, in the order of the table's columns."""
    return (
        account,
        agent,
        record.word.value,
        record.began,
        None if record.ms is None else round(record.ms),
        record.born,
        record.has_position,
        record.why,
    )


def progress_line(state: WatchState, now: float) -> tuple[Segment, ...]:
    """How far the present run is, how fast, and how long it will take; or what the last came to."""
    run = state.run
    if run is None:
        return (Segment("nothing was refreshed from here yet", "off"),)
    if run.is_over:
        return (_summary(run),)
    line = [
        Segment("", kind="progress", share=run.share),
        Segment(f"{run.ended:,} of {run.asked:,}", kind="strong"),
    ]
    if run.failed:
        line.append(Segment(f"{run.failed:,} failed", "bad"))
    went_s = now - run.began
    if run.ended and went_s > 0:
        rate = run.ended / went_s
        left_s = (run.asked - run.ended) / rate
        line.append(Segment(f"{rate:,.0f} per s" if rate >= 1 else f"{rate:.1f} per s"))
        if left_s >= 1:
            line.append(Segment("about", until=now + left_s))
    return (*line, *_stuck(state))


def _stuck(state: WatchState) -> list[Segment]:
    late = stuck(state)
    line = [
        Segment(f"{name} does not answer, asked", "bad", since=began)
        for name, began in list(late.items())[:SHOWN]
    ]
    if len(late) > SHOWN:
        line.append(Segment(f"and {len(late) - SHOWN:,} more", "bad"))
    return line


def _summary(run: Run) -> Segment:
    words = [f"{run.done:,} refreshed in {max(run.last_at - run.began, 0.0):.1f} s"]
    if run.failed:
        words.append(f"{run.failed:,} failed")
    if run.cancelled:
        words.append(f"{run.cancelled:,} cancelled")
    return Segment(", ".join(words), "fair" if run.failed else "good", "strong")


def auto_line(state: WatchState) -> tuple[Segment, ...]:
    """What refreshes by itself."""
    if state.auto is None:
        return ()
    every = f"every {state.auto.interval_s:g} s: accounts with positions"
    return (
        Segment("auto", "busy", "badge", until=state.auto.next_at),
        Segment(f"{every}; the others every {4 * state.auto.interval_s:g} s, while this is seen"),
    )


def rows_of(
    state: WatchState, accounts: Mapping[str, int | None], before: Mapping[str, Any]
) -> dict[str, tuple[Record, tuple[Any, ...]]]:
    """Each agent's record and row; a row whose record is the same object stays the same."""
    rows = {}
    for agent, account in accounts.items():
        record = state.records.get(agent) or Record()
        kept = before.get(agent)
        if kept is not None and kept[0] is record and kept[1][0] == account:
            rows[agent] = kept
        else:
            rows[agent] = (record, watch_values(agent, account, record))
    return rows
