"""An order as it is remembered: intent, settlement, journal entry, state.

Why: the journal stores the first three, the state machine steps the last. May import
`classify`, `readings`, `schedule`, `trading` and `model`.
The trap: an intent on the disk does not tell whether its order was sent. Nothing can be
written in the same instant as a byte goes out, so after a restart it may have left.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from fleetkit.model import Side
from fleetkit.orders.classify import Asked
from fleetkit.orders.readings import BeforeSnapshot, Sighting, Sought
from fleetkit.orders.schedule import DEFAULT_SCHEDULE, GRACE_S, ReadSchedule
from fleetkit.trading import Evidence, OrderKind, Outcome


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it is written down before its first byte goes out.

    Attributes
    ----------
    volume : decimal.Decimal or None
        Lots; of a close of everything the position's, where they are known.
    sl, tp : decimal.Decimal or None
        Price levels the position shall have; of a modify 0 removes; ``None`` asks for none.
    stops_tolerance : decimal.Decimal
        How far a stop may be from its level before it is off.
    by_id : bool
        Whether the agent keeps a log of orders that can be asked.
    capabilities : frozenset of str
        The agent's, confirmed for this call.
    before : BeforeSnapshot or None
        Of agents without such a log, and of others where it was cheap.
    deadline_s : float
        Of the trade call.
    """

    order_id: str
    account: int
    agent: str
    kind: OrderKind
    created_at: datetime
    symbol: str | None = None
    side: Side | None = None
    volume: Decimal | None = None
    ticket: int | None = None
    sl: Decimal | None = None
    tp: Decimal | None = None
    stops_tolerance: Decimal = Decimal("0.000005")
    by_id: bool = False
    capabilities: frozenset[str] = frozenset()
    before: BeforeSnapshot | None = None
    deadline_s: float = 30.0
    grace_s: float = GRACE_S
    skew_s: float = 5.0

    @property
    def asked(self) -> Asked:
        """What the agent's answer is an answer to."""
        return Asked(
            kind=self.kind,
            order_id=self.order_id,
            volume=self.volume,
            ticket=self.ticket,
            capabilities=self.capabilities,
        )

    def sought(self, *, partly: bool = False) -> Sought:
        """What readings are searched for."""
        return Sought(
            kind=self.kind,
            symbol=self.symbol,
            side=self.side,
            volume=self.volume,
            ticket=self.ticket,
            sl=self.sl,
            tp=self.tp,
            partly=partly,
            tolerance=self.stops_tolerance,
        )


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an order's outcome; ``unknown`` is one as well."""

    outcome: Outcome
    evidence: Evidence = Evidence.NONE
    reason: str = ""
    retcode: int | None = None
    retryable: bool = False
    ticket: int | None = None
    filled_volume: Decimal | None = None
    price: float | None = None
    sl: float | None = None
    tp: float | None = None
    stops_ok: bool | None = None
    candidates: tuple[int, ...] = ()
    partly: bool = False
    received: bool = False
    id_conflict: bool = False


class Step(StrEnum):
    """Which entry of an order's journal this is."""

    OUTCOME = "outcome"  # filled, rejected, not_sent, not_executed or unknown
    CORRECTING = "correcting"  # its stops are about to be corrected, once
    STOPS = "stops"  # what the stops were found to be


class JournalEntry(msgspec.Struct, frozen=True):
    """One line of the journal below the intent."""

    step: Step
    settlement: Settlement


class Phase(StrEnum):
    """Where an order is in its life."""

    DRAFTED = "drafted"
    WRITING = "writing"
    CHECKING = "checking"
    SENDING = "sending"
    JOURNALLING = "journalling"
    READING_STOPS = "reading_stops"
    CORRECTING = "correcting"
    RECONCILING = "reconciling"
    SETTLED = "settled"


class OrderState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one order that is not on the wire or the disk.

    Attributes
    ----------
    settlement : Settlement or None
        The newest outcome that is on disk.
    pending : JournalEntry or None
        What is being written.
    sent : bool
        The one `Send` was given, or may have been.
    started : bool
        The first byte may have gone.
    corrected : bool
        The one correction of the stops was given, or is not to be given any more.
    why : str
        Why it is still unknown, by the newest reading.
    """

    intent: Intent
    phase: Phase = Phase.DRAFTED
    settlement: Settlement | None = None
    pending: JournalEntry | None = None
    sent: bool = False
    started: bool = False
    corrected: bool = False
    complained: bool = False
    why: str = ""
    reads: int = 0
    not_before: float = 0.0
    sightings: tuple[Sighting, ...] = ()
    schedule: ReadSchedule = DEFAULT_SCHEDULE

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do."""
        return self.phase is Phase.SETTLED

    def changed(self, **changes: object) -> OrderState:
        """The same but for some fields."""
        return msgspec.structs.replace(self, **changes)
