"""What goes in and out of the life of an order: events and commands.

Why: the shell makes the events and obeys the commands, and neither knows why. May
import `classify`, `readings`, `records` and `trading`.
The trap: of the reads that wait for their moment there is one at most. A new
`TakeSighting` or `AskById` takes the place of the one that waits.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from fleetkit.orders.classify import Answer, Classification
from fleetkit.orders.readings import Claims, SeenPosition, Sighting
from fleetkit.orders.records import JournalEntry, Settlement
from fleetkit.trading import Refusal


class Begin(msgspec.Struct, frozen=True):
    """The order was planned, and policy had its say."""

    refusal: Refusal | None = None


class IntentWritten(msgspec.Struct, frozen=True):
    """The intent is on disk."""


class IntentFailed(msgspec.Struct, frozen=True):
    """The intent could not be written; nothing is sent."""

    reason: str


class LeaseHeld(msgspec.Struct, frozen=True):
    """The account's lease is still ours, and nothing speaks against the order."""


class LeaseLost(msgspec.Struct, frozen=True):
    """The lease went to another owner before the first byte: the sender kept it back."""

    reason: str = "another kernel trades this account now"


class PolicyRefused(msgspec.Struct, frozen=True):
    """A halt, a lock or the end of an arming came in before the send."""

    refusal: Refusal


class SendStarted(msgspec.Struct, frozen=True):
    """The first byte may have gone."""


class Answered(msgspec.Struct, frozen=True):
    """The trade call ended, however it did."""

    classification: Classification


class Journalled(msgspec.Struct, frozen=True):
    """The entry that was asked for is on disk."""


class JournalFailed(msgspec.Struct, frozen=True):
    """It could not be written."""

    reason: str


class StopsRead(msgspec.Struct, frozen=True):
    """The position was read back; ``None`` where it was not shown or could not be read."""

    position: SeenPosition | None


class StopsCorrected(msgspec.Struct, frozen=True):
    """The one correction was answered."""

    classification: Classification


class SightingTaken(msgspec.Struct, frozen=True):
    """A round of reads, and what other orders claim at that moment."""

    sighting: Sighting
    claims: Claims


class ByIdAnswered(msgspec.Struct, frozen=True):
    """The agent's log was asked."""

    answer: Answer
    capability_confirmed: bool = False


class ReadFailed(msgspec.Struct, frozen=True):
    """A reconciliation read brought nothing."""

    reason: str = ""


class GraceOver(msgspec.Struct, frozen=True):
    """The trade's deadline and the grace have passed."""


class ClockJumped(msgspec.Struct, frozen=True):
    """The machine slept or its clock was set: elapsed times before this count for nothing."""


class PersonResolved(msgspec.Struct, frozen=True):
    """Somebody looked into the terminal."""

    executed: bool
    ticket: int | None = None


class SettledElsewhere(msgspec.Struct, frozen=True):
    """Another kernel, or a person in one, settled it: the entry is on disk already."""

    settlement: Settlement


class Interrupted(msgspec.Struct, frozen=True):
    """Whoever waited for the order does not wait any more; the order goes on."""


class Restarted(msgspec.Struct, frozen=True):
    """The process that had the order is gone; this one found it in the journal."""


Event = (
    Begin
    | IntentWritten
    | IntentFailed
    | LeaseHeld
    | LeaseLost
    | PolicyRefused
    | SendStarted
    | Answered
    | Journalled
    | JournalFailed
    | StopsRead
    | StopsCorrected
    | SightingTaken
    | ByIdAnswered
    | ReadFailed
    | GraceOver
    | ClockJumped
    | PersonResolved
    | SettledElsewhere
    | Interrupted
    | Restarted
)


class WriteIntent(msgspec.Struct, frozen=True):
    """Put the intent on disk; answer `IntentWritten` or `IntentFailed`."""


class CheckLease(msgspec.Struct, frozen=True):
    """Look whether the lease is held and nothing forbids the order since."""


class BumpGeneration(msgspec.Struct, frozen=True):
    """No reply that is under way may enter the cache."""


class Send(msgspec.Struct, frozen=True):
    """Send the trade call: once in an order's life. Check the lease just before the byte."""


class Journal(msgspec.Struct, frozen=True):
    """Append an entry, at a moment (elapsed seconds) or at once."""

    entry: JournalEntry
    at: float | None = None


class Show(msgspec.Struct, frozen=True):
    """Tell the caller and whoever watches; it is on disk."""

    settlement: Settlement


class Complain(msgspec.Struct, frozen=True):
    """The journal fails: raise this to the caller, once; nothing was shown."""

    sentence: str


class Refetch(msgspec.Struct, frozen=True):
    """Fetch this one account again."""


class ReadStops(msgspec.Struct, frozen=True):
    """Read the position back; answer `StopsRead`."""

    ticket: int


class CorrectStops(msgspec.Struct, frozen=True):
    """Modify the position to these levels, once in an order's life."""

    ticket: int
    sl: Decimal | None
    tp: Decimal | None


class TakeSighting(msgspec.Struct, frozen=True):
    """Read positions, history and balance at a moment, under the lease."""

    at: float


class AskById(msgspec.Struct, frozen=True):
    """Ask the agent's log at a moment, under the lease."""

    at: float


Command = (
    WriteIntent
    | CheckLease
    | BumpGeneration
    | Send
    | Journal
    | Show
    | Complain
    | Refetch
    | ReadStops
    | CorrectStops
    | TakeSighting
    | AskById
)
