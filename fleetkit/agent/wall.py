"""Wall times, as base agents write them: the one place that leaves UTC.

Why: MetaTrader's Python package hands over the broker's wall clock, and a base
agent shifts it by its machine's own zone and writes it without offset (T7). May
import `terminal`.
The trap: a window over wall times has no wall time for the hour that a clock
skips, and two moments for the one it repeats; the earlier offset is taken.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fleetkit.agent.terminal import Terminal


def machine_wall(terminal: Terminal, moment: datetime) -> datetime:
    """What the clock of the terminal's machine shows, naive."""
    return (moment + terminal.machine_offset(moment)).replace(tzinfo=None)


def broker_wall(terminal: Terminal, moment: datetime) -> datetime:
    """What a base agent writes for a moment in a deal or position, naive."""
    offset = _offset(terminal, moment)
    # A long history asks this twice a trade, and most simulated brokers are in Greenwich.
    return (moment + offset if offset else moment).replace(tzinfo=None)


def moment_of(terminal: Terminal, wall: datetime) -> datetime:
    """The moment for which a base agent writes ``wall``, the inverse of `broker_wall`.

    Times outside of what `datetime` can hold end at its limits.
    """
    naive_utc = wall.replace(tzinfo=UTC)
    guess = _minus(naive_utc, _offset(terminal, naive_utc))
    return _minus(naive_utc, _offset(terminal, guess))


def _offset(terminal: Terminal, moment: datetime) -> timedelta:
    return terminal.server_offset(moment) + terminal.machine_offset(moment)


def _minus(moment: datetime, offset: timedelta) -> datetime:
    try:
        return moment - offset
    except OverflowError:
        if offset > timedelta(0):
            return datetime.min.replace(tzinfo=UTC)
        return datetime.max.replace(tzinfo=UTC)
