"""Refreshing many accounts, watched: ``step(state, event) -> (state, commands)``.

Why: who is read next, how many at once, what counts as stuck and when a round of the
auto-refresh is due are plain calls in a test. Pure: no widget, no clock, no waiting; ``at``
is the Clock's elapsed seconds. The trap: readings that a cell caused are seen here, too.
They may end at any time, also while the same account still waits for its turn.

::

    idle ─ queued ─ running ─┬─ done
             │         │     ├─ failed
             │         │     └─ stuck ─ done, failed
             └─────────┴─ cancelled        (each of them may be queued again)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import msgspec

from fleetkit.panels.watch_records import (
    Asked,
    Auto,
    AutoSet,
    Began,
    Cancelled,
    Done,
    Event,
    Failed,
    Figures,
    Known,
    Recall,
    Recalled,
    Record,
    Refresh,
    Run,
    Running,
    Stepped,
    Ticked,
    WatchState,
    Word,
)

LIMIT: Final = 64  # in flight at once, of those that somebody asked for here
AUTO_LIMIT: Final = 16  # the same of a round of the auto-refresh, which has time
SLOT_S: Final = 2.0  # who runs longer holds up nobody else
STUCK_S: Final = 3.0  # who runs longer is shown as stuck
EVERY: Final = 4  # accounts without a position are read in every so manieth round
SHORTEST_S: Final = 2.0  # between two rounds


NEW: Final = Record()


def step(state: WatchState, event: Event) -> Stepped:
    """Return the next state and what to do about it."""
    match event:
        case Known(figures):
            return _known(state, figures), ()
        case Asked(agents, at):
            return _fill(_queued(state, agents, at, is_auto=False), at)
        case Began(agent, at):
            return _began(state, agent, at), ()
        case Done(agent, at, ms, figures):
            told = {"ms": ms, "why": None, **_read(figures)}
            return _fill(_ended(state, agent, at, Word.DONE, told), at)
        case Failed(agent, at, why):
            return _fill(_ended(state, agent, at, Word.FAILED, {"ms": None, "why": why}), at)
        case Recalled(agent, at):
            return _fill(_recalled(state, agent, at), at)
        case Ticked(at):
            return _fill(_ticked(state, at), at)
        case AutoSet(interval_s, at):
            return _auto_set(state, interval_s, at), ()
        case Cancelled(at):
            return _cancelled(state, at)


def stuck(state: WatchState) -> dict[str, float]:
    """Who does not answer, and since when it is asked; the longest first."""
    names = [name for name in state.running if state.records[name].word is Word.STUCK]
    return {name: state.running[name].began for name in sorted(names, key=_since(state))}


def _since(state: WatchState) -> Any:
    return lambda name: state.running[name].began


def _replace(record: Record, **changes: Any) -> Record:
    return msgspec.structs.replace(record, **changes)


def _read(figures: Figures) -> dict[str, Any]:
    """What a reading changes of a record; what it does not tell stays."""
    found = {"born": figures.born, "has_position": figures.has_position}
    return {name: value for name, value in found.items() if value is not None}


def _known(state: WatchState, figures: Mapping[str, Figures]) -> WatchState:
    records = dict(state.records)
    for agent, found in figures.items():
        record = records.get(agent, NEW)
        changes = _read(found)
        if agent not in state.running and not record.is_queued:
            if found.why is not None:
                changes |= {"word": Word.FAILED, "why": found.why}
            elif record.word is Word.FAILED:
                changes |= {"word": Word.IDLE, "why": None}
        records[agent] = _replace(record, **changes)
    return state.changed(records=records)


# A run


def _queued(state: WatchState, agents: Iterable[str], at: float, *, is_auto: bool) -> WatchState:
    """Let some wait for their turn, in a new run that takes over what the last one left."""
    records = dict(state.records)
    wanted = [name for name in dict.fromkeys(agents) if _is_free(state, name)]
    if not wanted:
        return state
    number = 1 if state.run is None else state.run.number + 1
    for name in wanted:
        record = records.get(name, NEW)
        word = record.word if name in state.running else Word.QUEUED
        records[name] = _replace(record, word=word, why=None, is_queued=True, run=number)
    members = [name for name, record in records.items() if record.run]
    for name in members:
        records[name] = _replace(records[name], run=number)
    queue = sorted([*state.queue, *wanted], key=lambda name: _urgency(records[name]))
    run = Run(number, began=at, asked=len(members), last_at=at, is_auto=is_auto)
    return state.changed(records=records, queue=tuple(queue), run=run)


def _is_free(state: WatchState, agent: str) -> bool:
    """Whether it neither waits already nor is being read for us."""
    running = state.running.get(agent)
    is_ours = running is not None and running.is_ours
    return not is_ours and not state.records.get(agent, NEW).is_queued


def _urgency(record: Record) -> tuple[bool, float]:
    """Open positions first, then whoever was read longest ago, or never."""
    return not record.has_position, float("-inf") if record.born is None else record.born


def _fill(state: WatchState, at: float) -> Stepped:
    """Let as many take off as there are free slots."""
    run = state.run
    if not state.queue or run is None:
        return state, ()
    held = sum(each.is_ours and at - each.began < SLOT_S for each in state.running.values())
    free = max((AUTO_LIMIT if run.is_auto else LIMIT) - held, 0)
    going = state.queue[:free]
    if not going:
        return state, ()
    records, running = dict(state.records), dict(state.running)
    for name in going:
        began = running[name].began if name in running else at
        running[name] = Running(began=at, is_ours=True)
        word = Word.RUNNING if began == at else records[name].word
        records[name] = _replace(records[name], word=word, began=began, is_queued=False)
    filled = state.changed(records=records, queue=state.queue[free:], running=running)
    return filled, (Refresh(going, is_probe=not run.is_auto),)


def _began(state: WatchState, agent: str, at: float) -> WatchState:
    if agent in state.running:
        return state
    run, record = state.run, state.records.get(agent, NEW)
    if run is None or run.is_over:
        run = Run(1 if run is None else run.number + 1, began=at, asked=1, last_at=at)
    elif not record.run:
        run = msgspec.structs.replace(run, asked=run.asked + 1)
    began = _replace(record, word=Word.RUNNING, began=at, why=None, run=run.number)
    return state.changed(
        records={**state.records, agent: began},
        running={**state.running, agent: Running(at, is_ours=False)},
        run=run,
    )


def _ended(
    state: WatchState, agent: str, at: float, word: Word, told: Mapping[str, Any]
) -> WatchState:
    """A reading is over; whoever still waited for its turn has its answer, too."""
    record = state.records.get(agent, NEW)
    over = {"word": word, "began": None, "run": 0, "is_queued": False, "ended": at, **told}
    changed = state.changed(
        records={**state.records, agent: _replace(record, **over)},
        running={name: each for name, each in state.running.items() if name != agent},
    )
    if record.is_queued:
        changed = changed.changed(queue=tuple(name for name in state.queue if name != agent))
    return _counted(changed, word, at, int(record.run > 0))


def _counted(state: WatchState, word: Word, at: float, count: int) -> WatchState:
    run = state.run
    if run is None or not count:
        return state
    name = word.value
    run = msgspec.structs.replace(run, last_at=at, **{name: getattr(run, name) + count})
    share = max(run.share, run.ended / run.asked)
    return state.changed(run=msgspec.structs.replace(run, share=share))


def _recalled(state: WatchState, agent: str, at: float) -> WatchState:
    if agent not in state.running:
        return state
    record = state.records[agent]
    if not record.is_queued:
        return _ended(state, agent, at, Word.CANCELLED, {"ended": record.ended})
    waiting = _replace(record, word=Word.QUEUED, began=None)
    return state.changed(
        records={**state.records, agent: waiting},
        running={name: each for name, each in state.running.items() if name != agent},
    )


def _cancelled(state: WatchState, at: float) -> Stepped:
    ours = tuple(name for name, each in state.running.items() if each.is_ours)
    for_others = {name: each for name, each in state.running.items() if not each.is_ours}
    over = [*ours, *(name for name in state.queue if name not in for_others)]
    records = dict(state.records)
    for name in state.queue:
        records[name] = _replace(records[name], is_queued=False)
    for name in over:
        records[name] = _replace(records[name], word=Word.CANCELLED, began=None, run=0)
    rest = state.changed(records=records, queue=(), running=for_others)
    return _counted(rest, Word.CANCELLED, at, len(over)), ((Recall(ours),) if ours else ())


# Time


def _ticked(state: WatchState, at: float) -> WatchState:
    late = [
        name
        for name, each in state.running.items()
        if at - _began_at(state, name, each) >= STUCK_S and state.records[name].word is Word.RUNNING
    ]
    if late:
        marked = {name: _replace(state.records[name], word=Word.STUCK) for name in late}
        state = state.changed(records={**state.records, **marked})
    state = state.changed(ticked_at=at)
    auto = state.auto
    if auto is None or at < auto.next_at or state.queue:
        return state  # a round that is not through yet is not overtaken by the next
    later = Auto(auto.interval_s, at + auto.interval_s, auto.round + 1)
    return _queued(state.changed(auto=later), _due(state, auto.round), at, is_auto=True)


def _began_at(state: WatchState, name: str, running: Running) -> float:
    began = state.records[name].began
    return running.began if began is None else began


def _due(state: WatchState, number: int) -> Collection[str]:
    """Whose turn it is in a round: who trades or is not known each time, the others in turn."""
    return [
        name
        for place, (name, record) in enumerate(state.records.items())
        if name not in state.running
        and (record.has_position is not False or record.born is None or _in_turn(place, number))
    ]


def _in_turn(place: int, number: int) -> bool:
    return place % EVERY == number % EVERY


def _auto_set(state: WatchState, interval_s: float | None, at: float) -> WatchState:
    if interval_s is None:
        return state.changed(auto=None)
    interval_s = max(SHORTEST_S, interval_s)
    if state.auto is None:
        return state.changed(auto=Auto(interval_s, next_at=at))
    next_at = min(state.auto.next_at, at + interval_s)
    return state.changed(auto=Auto(interval_s, next_at, state.auto.round))
