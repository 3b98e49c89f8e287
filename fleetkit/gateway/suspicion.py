"""Whether an empty list of positions may be believed (T2).

Pure: told what was seen and when, it says what to think of an empty answer. May
import nothing of fleetkit. The trap: on any internal error a base agent answers
with an empty list, with the right account number in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

CONFIRM_AFTER_S = 2.0  # two empty answers closer together may be one hiccup


class Belief(StrEnum):
    """What to do with an empty answer."""

    BELIEVE = "believe"
    SUSPECT = "suspect"
    ASK_BALANCE = "ask_balance"  # empty twice; believed if the balance explains it


class EmptyGuard:
    """Remembers the last positions seen and the balance while they were open."""

    def __init__(self) -> None:
        self._tickets: frozenset[int] = frozenset()
        self._balance: float | None = None  # from before they went; None where that is unsure
        self._read: float | None = None  # the newest balance since positions were last seen
        self._first_empty_at: float | None = None

    def __repr__(self) -> str:
        state = "calm" if self._first_empty_at is None else "suspicious"
        return f"<EmptyGuard {len(self._tickets)} tickets seen, {state}>"

    @property
    def tickets(self) -> frozenset[int]:
        """The tickets of the last non-empty answer."""
        return self._tickets

    @property
    def lacks_balance(self) -> bool:
        """Whether positions are open and no balance is known to compare a later one with."""
        return bool(self._tickets) and self._balance is None

    def read_balance(self, balance: float, has_open_position: bool | None) -> None:
        """The account was read."""
        self._read = balance
        if has_open_position is not False and self._tickets:
            self._balance = balance

    def saw(self, tickets: Iterable[int]) -> None:
        """A non-empty answer came."""
        seen = frozenset(tickets)
        if not self._tickets <= seen:
            # What closed meanwhile moved the balance; a move says nothing of what is open now.
            self._balance = None
        elif self._read is not None:
            self._balance = self._read
        self._tickets, self._read = seen, None
        self._first_empty_at = None

    def closed(self, ticket: int) -> None:
        """A position was closed by an order that the agent answered: its absence is no surprise."""
        self._tickets -= {ticket}
        self._balance = None  # the close moved it
        if not self._tickets:
            self._first_empty_at = None

    def saw_flat(self) -> None:
        """An empty answer was believed."""
        self._tickets = frozenset()
        self._balance = None
        self._first_empty_at = None

    def judge(self, now: float) -> Belief:
        """An empty answer came."""
        if not self._tickets:
            return Belief.BELIEVE
        if self._first_empty_at is None:
            self._first_empty_at = now
        if now - self._first_empty_at < CONFIRM_AFTER_S:
            return Belief.SUSPECT
        return Belief.ASK_BALANCE

    def explains(self, balance: float | None) -> bool:
        """Whether the balance moved, as closing a position moves it."""
        return self._balance is not None and balance is not None and balance != self._balance
