"""One order's papers: its intent and its entries, written down one after the other.

Why: what is told is on disk first, and who writes must know what others wrote. May
import `journal`, `admission`, `office`, `orders` and below. The trap: an entry is written
onto the event it was decided on; where another kernel was faster, its word stands.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

import msgspec

from fleetkit import store
from fleetkit.desk import journal
from fleetkit.desk.admission import Applicant, admit, live_arming_id
from fleetkit.desk.office import Office
from fleetkit.errors import StoreError
from fleetkit.model import MarginMode
from fleetkit.orders.messages import (
    Event,
    IntentFailed,
    IntentWritten,
    JournalFailed,
    Journalled,
    PolicyRefused,
    ReadFailed,
    SettledElsewhere,
)
from fleetkit.orders.records import Intent, JournalEntry, Settlement
from fleetkit.store import Head, OrderRecord
from fleetkit.trading import Evidence, OrderKind, Outcome, Receipt

OVERRIDDEN: Final = "override=True: no unknown order was to keep it back."


class Papers(msgspec.Struct, frozen=True, kw_only=True):
    """What an order is sent with, beside its intent.

    ``applicant`` is ``None`` of one that is only written down as not sent; ``names_itself``
    is whether the agent takes order ids.
    """

    body: bytes = b""
    key: str | None = None
    comment: str | None = None
    applicant: Applicant | None = None
    margin_mode: MarginMode | None = None
    names_itself: bool = False
    closes: int | None = None  # the ticket that it closes as a whole


class Replayed(Exception):
    """The journal has this order already."""

    def __init__(self, earlier: OrderRecord) -> None:
        self.earlier = earlier
        super().__init__(earlier.intent.order_id)


class Contested(Exception):
    """The ticket that an inference found is the result of another order."""

    def __init__(self, event: ReadFailed) -> None:
        self.event = event
        super().__init__(event.reason)


class Paperwork:
    """Writes one order's papers.

    Attributes
    ----------
    record : OrderRecord or None
        The order as the journal has it; ``None`` before it is there.
    sent_s : float or None
        When its first byte may have gone, in wall-clock seconds.
    """

    def __init__(
        self,
        office: Office,
        papers: Papers,
        record: OrderRecord | None = None,
        *,
        mask: Callable[[str], str] = str,
    ) -> None:
        self._mask = mask  # of a reason that quotes what the agent was sent
        self.papers = papers
        self.record = record
        self.sent_s: float | None = None
        self._office = office

    def __repr__(self) -> str:
        return f"<Paperwork of {'nothing yet' if self.record is None else self.record.head.state}>"

    @property
    def receipt(self) -> Receipt | None:
        """The receipt as the journal has it now."""
        return None if self.record is None else journal.receipt_of(self.record)

    async def write_intent(self, intent: Intent) -> Event:
        """Let the order in and write it down, in one transaction.

        Raises
        ------
        Replayed
            The journal has this order already.
        """
        who = self.papers.applicant
        if who is None:
            return IntentFailed("it has no papers")
        applicant = who
        adds = intent.kind is OrderKind.OPEN
        facts = store.Facts(reason=OVERRIDDEN) if adds and who.override else store.NO_FACTS

        def work(connection: sqlite3.Connection) -> Event | OrderRecord | Replayed:
            now = self._office.clock.now()
            with store.durable(connection):
                arming = live_arming_id(connection, now) if adds else None
                key = self.papers.key
                earlier = _earlier(connection, intent.order_id, key, arming)
                if earlier is not None:
                    return Replayed(earlier)
                refusal = admit(connection, applicant, now)
                if refusal is not None:
                    return PolicyRefused(refusal)
                row = self._row(intent, key, arming)
                store.write_intent(connection, row, state=journal.INTENDED, facts=facts)
                return _there(store.order(connection, row.order_id))

        try:
            written = await self._office.work(work)
        except store.OrderExists as exists:
            raise Replayed(exists.earlier) from None
        except StoreError as error:
            return IntentFailed(str(error))
        if isinstance(written, Replayed):
            raise written
        if not isinstance(written, OrderRecord):
            return written
        self.record = written
        self._log(intent, journal.INTENDED, facts)
        return IntentWritten()

    async def write(
        self, intent: Intent, entry: JournalEntry, timings: dict[str, float] | None
    ) -> Event | None:
        """Append an entry.

        Raises
        ------
        Contested
            It infers a ticket that is another order's.
        Replayed
            It was to be written down as not sent, and the journal has its id already.
        """
        settled = journal.is_settled(intent, entry)
        reason = self._mask(entry.settlement.reason)
        told = msgspec.structs.replace(entry.settlement, reason=reason)
        facts = journal.facts_of(told, sent_s=self.sent_s, timings=timings)
        claim = self._claim(intent, entry.settlement)
        try:
            await self._append(intent, entry, facts, settled=settled, claim=claim)
        except store.TicketClaimed as taken:
            if entry.settlement.evidence is Evidence.INFERRED:
                why = f"Its ticket is the result of order {taken.order_id}."
                raise Contested(ReadFailed(why)) from None
            # An agent's own word does not give way to what another order inferred.
            return await self._write_unclaimed(intent, entry, facts, settled)
        except store.OrderExists as exists:
            raise Replayed(exists.earlier) from None
        except store.OrderMoved:
            return await self._moved()
        except StoreError as error:
            return JournalFailed(str(error))
        self._log(intent, entry.step.value, facts)
        return Journalled()

    async def _write_unclaimed(
        self, intent: Intent, entry: JournalEntry, facts: store.Facts, settled: bool
    ) -> Event | None:
        try:
            await self._append(intent, entry, facts, settled=settled, claim=None)
        except StoreError as error:
            return JournalFailed(str(error))
        self._log(intent, entry.step.value, facts)
        return Journalled()

    async def _append(
        self,
        intent: Intent,
        entry: JournalEntry,
        facts: store.Facts,
        *,
        settled: bool,
        claim: int | None,
    ) -> None:
        record = self.record
        now_s = self._office.clock.now().timestamp()
        owner = self._office.store.owner.id
        refund = entry.settlement.outcome in journal.REFUNDED

        def work(connection: sqlite3.Connection) -> tuple[OrderRecord, Head]:
            with store.durable(connection):
                written = record
                if written is None:  # refused before it was written down
                    row = self._row(intent, None, None)
                    store.write_intent(connection, row, state=journal.INTENDED)
                    written = _there(store.order(connection, intent.order_id))
                head = store.append_event(
                    connection,
                    intent.order_id,
                    expected=written.head.number,
                    state=entry.step.value,
                    at_s=now_s,
                    owner=owner,
                    settled=settled,
                    facts=facts,
                    claim=claim,
                )
                if refund:
                    store.refund(connection, intent.order_id, now_s)
                return written, head

        written, head = await self._office.work(work)
        self.record = OrderRecord(written.intent, head)

    async def _moved(self) -> Event | None:
        """Another kernel wrote an event of this order: what it says stands."""
        record = self.record
        if record is None:
            return None
        order_id = record.intent.order_id
        self.record = await self._office.read(lambda c: store.order(c, order_id)) or record
        settlement = journal.settlement_of(self.record.head.facts)
        if settlement is None:
            return JournalFailed("another kernel wrote to it")
        return SettledElsewhere(settlement)

    def _row(self, intent: Intent, key: str | None, arming_id: str | None) -> store.Intent:
        return journal.intent_row(
            intent,
            body=self.papers.body,
            owner=self._office.store.owner.id,
            key=key,
            arming_id=arming_id,
            comment=self.papers.comment,
        )

    def _claim(self, intent: Intent, settlement: Settlement) -> int | None:
        """The ticket that becomes this order's alone; on netting accounts orders share one."""
        mode = self.papers.margin_mode
        if mode is None and intent.before is not None:
            mode = intent.before.margin_mode
        filled = settlement.outcome is Outcome.FILLED and intent.kind is OrderKind.OPEN
        return settlement.ticket if filled and mode is MarginMode.HEDGING else None

    def _log(self, intent: Intent, what: str, facts: store.Facts) -> None:
        self._office.told.step(intent.order_id, intent.account, intent.agent, what, facts)


def _earlier(
    connection: sqlite3.Connection, order_id: str, key: str | None, arming: str | None
) -> OrderRecord | None:
    """The order that is there under this id or key; looked for before anything is counted."""
    found = store.order(connection, order_id)
    if found is None and key is not None:
        return store.order_with_key(connection, key, arming_id=arming)
    return found


def _there(record: OrderRecord | None) -> OrderRecord:
    if record is None:  # written in this very transaction
        raise StoreError("An order that was just written down is not in the journal.")
    return record
