"""What the refresh watch knows, what can happen to it, and what it asks to be done.

Pure: records for `watch_model`. The trap: an agent may wait for its turn here while it is being
read for somebody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec


class Word(StrEnum):
    """What an account's refresh is doing."""

    IDLE = "idle"
    QUEUED = "queued"
    RUNNING = "running"
    STUCK = "stuck"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Figures(msgspec.Struct, frozen=True):
    """What is known of an account: when it was read, whether it trades, what is wrong with it."""

    born: float | None = None
    has_position: bool | None = None
    why: str | None = None


class Record(msgspec.Struct, frozen=True):
    """One agent's line.

    Attributes
    ----------
    began : float or None
        Since when it is running.
    ended, ms, why
        When its last reading ended, how long that took, and why it failed.
    run : int
        The run that waits for it; 0 is none.
    is_queued : bool
        It waits for its turn here, even if it is just being read for somebody else.
    """

    word: Word = Word.IDLE
    began: float | None = None
    ended: float | None = None
    ms: float | None = None
    why: str | None = None
    has_position: bool | None = None
    born: float | None = None
    run: int = 0
    is_queued: bool = False


class Running(msgspec.Struct, frozen=True):
    """A reading on its way, and whether it was begun here."""

    began: float
    is_ours: bool


class Run(msgspec.Struct, frozen=True):
    """All that was asked for until nothing was left to wait for.

    Attributes
    ----------
    share : float
        How much of it is over, 0 to 1; never less than it was.
    last_at : float
        When the last of it ended.
    """

    number: int
    began: float
    asked: int
    last_at: float
    is_auto: bool = False
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    share: float = 0.0

    @property
    def ended(self) -> int:
        """How many of it are over, however."""
        return self.done + self.failed + self.cancelled

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to wait for."""
        return self.ended >= self.asked


class Auto(msgspec.Struct, frozen=True):
    """Rounds of refreshing that nobody has to ask for."""

    interval_s: float
    next_at: float
    round: int = 0


class WatchState(msgspec.Struct, frozen=True):
    """Everything that is watched."""

    records: Mapping[str, Record] = {}
    queue: tuple[str, ...] = ()
    running: Mapping[str, Running] = {}
    run: Run | None = None
    auto: Auto | None = None
    ticked_at: float | None = None  # when somebody was looking last

    def changed(self, **changes: Any) -> WatchState:
        """A copy with some attributes replaced."""
        return msgspec.structs.replace(self, **changes)


class Known(msgspec.Struct, frozen=True):
    """What is known of some agents' accounts without asking."""

    figures: Mapping[str, Figures]


class Asked(msgspec.Struct, frozen=True):
    """Somebody wants these to be read."""

    agents: tuple[str, ...]
    at: float


class Began(msgspec.Struct, frozen=True):
    """An agent is being read for somebody else, a cell perhaps."""

    agent: str
    at: float


class Done(msgspec.Struct, frozen=True):
    """An agent gave its account."""

    agent: str
    at: float
    ms: float
    figures: Figures = Figures()


class Failed(msgspec.Struct, frozen=True):
    """An agent did not give its account."""

    agent: str
    at: float
    why: str


class Recalled(msgspec.Struct, frozen=True):
    """A reading was called back by somebody else."""

    agent: str
    at: float


class Ticked(msgspec.Struct, frozen=True):
    """Time went by, and somebody is looking."""

    at: float


class AutoSet(msgspec.Struct, frozen=True):
    """The auto-refresh was switched on (with its interval) or off."""

    interval_s: float | None
    at: float


class Cancelled(msgspec.Struct, frozen=True):
    """Nobody wants the rest any more."""

    at: float


class Refresh(msgspec.Struct, frozen=True):
    """Read these; with ``is_probe`` also those that are better left alone for now."""

    agents: tuple[str, ...]
    is_probe: bool = True


class Recall(msgspec.Struct, frozen=True):
    """Stop waiting for these."""

    agents: tuple[str, ...]


Event = Known | Asked | Began | Done | Failed | Recalled | Ticked | AutoSet | Cancelled
Command = Refresh | Recall
Stepped = tuple[WatchState, tuple[Command, ...]]
