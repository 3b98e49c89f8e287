"""Orders to and from the journal: the store's rows and the records of an order's life.

Why: the store keeps plain words and the life of an order decides on records; one place
turns each into the other. May import `store`, `orders`, `trading` and `model`.
The trap: what was written once is read by every later fleetkit. The intent is stored
whole, as the JSON of its record, so a field may be added there and none renamed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec

from fleetkit import store
from fleetkit.model import MarginMode, Side
from fleetkit.orders import stops
from fleetkit.orders.readings import Claims, Contender, same_symbol, window
from fleetkit.orders.records import Intent, JournalEntry, Settlement, Step
from fleetkit.store import Facts, OrderRecord, OrderRow
from fleetkit.trading import Evidence, OrderKind, OrderLine, Outcome, Receipt, Timings, name_of_call
from fleetkit.trading.receipts import AgentCall

INTENDED: Final = "intended"  # the state of an order that has no outcome yet
REFUNDED: Final = frozenset({Outcome.REJECTED, Outcome.NOT_SENT, Outcome.NOT_EXECUTED})
LISTED_WITHIN_S: Final = 5.0  # what an answer told is in every list after that
_INTENT: Final = msgspec.json.Decoder(Intent)


class Memo(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the store has no column for; what a later fleetkit adds to it is ignored."""

    partly: bool = False
    received: bool = False
    id_conflict: bool = False


_MEMO: Final = msgspec.json.Decoder(Memo)


def intent_row(
    intent: Intent, *, body: bytes, owner: str, key: str | None, arming_id: str | None,
    comment: str | None,
) -> store.Intent:  # fmt: skip
    """What the store writes down before the first byte is sent."""
    return store.Intent(
        order_id=intent.order_id,
        account=intent.account,
        agent=intent.agent,
        kind=intent.kind.value,
        created_s=intent.created_at.timestamp(),
        owner=owner,
        symbol=intent.symbol,
        side=None if intent.side is None else intent.side.value,
        volume=intent.volume,
        ticket=intent.ticket,
        key=key,
        arming_id=arming_id,
        comment=comment,
        body=body,
        before=msgspec.json.encode(intent),
    )


def facts_of(
    settlement: Settlement, *, sent_s: float | None = None, timings: dict[str, float] | None = None
) -> Facts:
    """A settlement as the store keeps it."""
    memo = Memo(settlement.partly, settlement.received, settlement.id_conflict)
    return Facts(
        outcome=settlement.outcome.value,
        ticket=settlement.ticket,
        price=settlement.price,
        filled_volume=settlement.filled_volume,
        retcode=settlement.retcode,
        reason=settlement.reason,
        evidence=settlement.evidence.value,
        stops_ok=settlement.stops_ok,
        retryable=settlement.retryable,
        sent_s=sent_s,
        candidates=settlement.candidates,
        sl_price=settlement.sl,
        tp_price=settlement.tp,
        timings=timings,
        memo=msgspec.json.encode(memo).decode(),
    )


def settlement_of(facts: Facts) -> Settlement | None:
    """A settlement as it was kept; ``None`` before there was an outcome."""
    if facts.outcome is None:
        return None
    memo = _MEMO.decode(facts.memo or "{}")
    return Settlement(
        outcome=_outcome(facts) or Outcome.UNKNOWN,
        evidence=_evidence(facts),
        reason=facts.reason or "",
        retcode=facts.retcode,
        retryable=bool(facts.retryable),
        ticket=facts.ticket,
        filled_volume=facts.filled_volume,
        price=facts.price,
        sl=facts.sl_price,
        tp=facts.tp_price,
        stops_ok=facts.stops_ok,
        candidates=facts.candidates or (),
        partly=memo.partly,
        received=memo.received,
        id_conflict=memo.id_conflict,
    )


def is_settled(intent: Intent, entry: JournalEntry) -> bool:
    """Whether nothing is left to be found out once this entry is on disk."""
    if entry.settlement.outcome is Outcome.UNKNOWN or entry.step is Step.CORRECTING:
        return False
    return entry.step is Step.STOPS or not stops.are_wanted(intent, entry.settlement)


def intent_of(record: OrderRecord) -> Intent | None:
    """The intent of a journalled order; ``None`` where another fleetkit wrote it unreadably."""
    try:
        return _INTENT.decode(record.intent.before or b"null")
    except msgspec.DecodeError:
        return None


def entry_of(record: OrderRecord) -> JournalEntry | None:
    """The newest entry of a journalled order; ``None`` where it has no outcome yet."""
    settlement = settlement_of(record.head.facts)
    if settlement is None:
        return None
    known = record.head.state in set(Step)
    return JournalEntry(Step(record.head.state) if known else Step.OUTCOME, settlement)


def receipt_of(record: OrderRecord, *, replayed: bool = False) -> Receipt:
    """The receipt of a journalled order."""
    terms, facts = record.intent, record.head.facts
    timings = facts.timings or {}
    calls = tuple(
        AgentCall(name_of_call(name), ms) for name, ms in timings.items() if name != TOTAL
    )
    return Receipt(
        order_id=terms.order_id,
        account=terms.account,
        agent=terms.agent,
        kind=OrderKind(terms.kind),
        outcome=_outcome(facts) or Outcome.UNKNOWN,
        evidence=_evidence(facts),
        reason=facts.reason or "",
        symbol=terms.symbol,
        side=None if terms.side is None else Side(terms.side),
        volume=terms.volume,
        filled_volume=facts.filled_volume,
        ticket=facts.ticket or terms.ticket,
        price=facts.price,
        sl=facts.sl_price,
        tp=facts.tp_price,
        stops_ok=facts.stops_ok,
        retcode=facts.retcode,
        retryable=bool(facts.retryable),
        candidates=facts.candidates or (),
        replayed=replayed,
        timings=Timings(calls=calls, total_ms=timings.get(TOTAL)),
    )


TOTAL: Final = "total"


def claims_of(connection: sqlite3.Connection, intent: Intent, mode: MarginMode | None) -> Claims:
    """What other orders of this account have to do with a reading."""
    tickets: set[int] = set()
    inferred: set[int] = set()
    older: set[int] = set()
    contenders = []
    rows = store.orders(connection, accounts=[intent.account])
    symbols = {row.head.facts.ticket: row.terms.symbol for row in rows if row.terms.symbol}
    symbols.pop(None, None)
    for row in rows:
        if row.terms.order_id == intent.order_id:
            continue
        facts = row.head.facts
        # A close or modify only names a ticket; whose result it is, is an open's to say.
        opened = row.terms.kind == OrderKind.OPEN and facts.outcome == Outcome.FILLED
        if opened and facts.ticket is not None:
            tickets.add(facts.ticket)
            if facts.evidence == Evidence.INFERRED:
                inferred.add(facts.ticket)
            if (row.head.settled_s or row.head.at_s) < intent.created_at.timestamp():
                older.add(facts.ticket)
        # A close of what was gone already knows no symbol; the order that opened it does.
        symbol = row.terms.symbol or symbols.get(row.terms.ticket)
        if _rivals(row, symbol, intent, mode):
            contenders.append(_contender(connection, row, intent, mode))
    claimed = store.claimed_tickets(connection, intent.account)
    tickets |= {ticket for ticket, owner in claimed.items() if owner != intent.order_id}
    return Claims(
        tickets=frozenset(tickets),
        inferred=frozenset(inferred),
        older=frozenset(older),
        rivals=bool(contenders),
        contenders=tuple(contenders),
        closing=frozenset(_closing(rows, intent)),
        was_open=any(_tells_of(row, intent) for row in rows),
    )


def _closing(rows: Iterable[OrderRow], intent: Intent) -> Iterator[int]:
    """What other orders closed or may have closed, wholly or partly."""
    for row in rows:
        terms, other = row.terms, row.terms.order_id != intent.order_id
        is_close = other and terms.kind == OrderKind.CLOSE
        if is_close and terms.ticket is not None and _outcome(row.head.facts) not in REFUNDED:
            yield terms.ticket


def _tells_of(row: OrderRow, intent: Intent) -> bool:
    """Whether an order shows that the ticket of a close or modify was a position before it."""
    terms, facts, ticket = row.terms, row.head.facts, intent.ticket
    if ticket is None or terms.order_id == intent.order_id or facts.evidence == Evidence.PERSON:
        return False
    filled, ago_s = facts.outcome == Outcome.FILLED, intent.created_at.timestamp() - row.head.at_s
    if terms.kind != OrderKind.OPEN:
        return filled and terms.ticket == ticket and ago_s >= 0
    seen = ticket in (facts.candidates or ()) or (filled and facts.ticket == ticket)
    # A terminal's list may lack for a moment what was only just opened.
    return seen and ago_s >= LISTED_WITHIN_S


def _outcome(facts: Facts) -> Outcome | None:
    """The outcome; one that only a later fleetkit knows is not known here."""
    if facts.outcome is None:
        return None
    return Outcome(facts.outcome) if facts.outcome in set(Outcome) else Outcome.UNKNOWN


def _evidence(facts: Facts) -> Evidence:
    word = facts.evidence or Evidence.NONE
    return Evidence(word) if word in set(Evidence) else Evidence.NONE


def _rivals(row: OrderRow, symbol: str | None, intent: Intent, mode: MarginMode | None) -> bool:
    terms, facts, since_s = row.terms, row.head.facts, intent.created_at.timestamp()
    if None not in (symbol, intent.symbol) and not same_symbol(symbol, intent.symbol):
        return False
    settled_s = row.head.settled_s or row.head.at_s
    is_open = terms.kind == OrderKind.OPEN
    if _outcome(facts) in (None, Outcome.UNKNOWN):
        # A close changes the volume of a netting account, until it is too late for it.
        may_come = terms.created_s >= since_s - intent.deadline_s - intent.grace_s
        closes = terms.kind == OrderKind.CLOSE and mode is MarginMode.NETTING and may_come
        return is_open or closes
    # What was there before this order was looked at is in its before-snapshot, ticket or not.
    done = facts.outcome == Outcome.FILLED and settled_s >= since_s
    if is_open and facts.ticket is None:
        return done
    return mode is MarginMode.NETTING and done and terms.kind != OrderKind.MODIFY


def _contender(
    connection: sqlite3.Connection, row: OrderRow, intent: Intent, mode: MarginMode | None
) -> Contender:
    """What is known of a rival, to tell what it cannot have opened."""
    terms, before = row.terms, intent.before
    rival = Contender(
        side=Side(terms.side) if terms.side in set(Side) else None,
        volume=terms.volume,
        is_over=before is not None and terms.order_id in before.over,
    )
    # A snapshot can be large: it is read only where it may tell something more.
    if mode is MarginMode.NETTING or rival.side not in (intent.side, None):
        return rival
    record = store.order(connection, terms.order_id)
    other = None if record is None else intent_of(record)
    if other is None or other.before is None:
        return rival
    in_time = window(
        other.before.as_of,
        skew_s=other.skew_s,
        deadline_s=other.deadline_s,
        grace_s=other.grace_s,
        zone_known=other.before.zone_known,
    )
    old = other.before.old_tickets
    return msgspec.structs.replace(rival, old_tickets=old, window=in_time)


def line_of(row: OrderRow) -> OrderLine:
    """One row of the frame of orders."""
    terms, facts = row.terms, row.head.facts
    return OrderLine(
        order_id=terms.order_id,
        account=terms.account,
        kind=OrderKind(terms.kind),
        created_at=datetime.fromtimestamp(terms.created_s, UTC),
        symbol=terms.symbol,
        side=None if terms.side is None else Side(terms.side),
        volume=terms.volume,
        outcome=_outcome(facts),
        filled_volume=facts.filled_volume,
        ticket=facts.ticket or terms.ticket,
        price=facts.price,
        reason=facts.reason,
        retcode=facts.retcode,
        stops_ok=facts.stops_ok,
        evidence=None if facts.evidence is None else _evidence(facts),
        sent_at=_moment(facts.sent_s),
        settled_at=_moment(row.head.settled_s),
        pair_id=terms.pair_id,
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
