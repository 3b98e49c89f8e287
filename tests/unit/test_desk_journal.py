"""Orders to and from the journal: nothing of intent and settlement is lost or rounded."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given

from fleetkit import store
from fleetkit.desk import journal
from fleetkit.model import MarginMode, Side
from fleetkit.orders.readings import BeforeSnapshot
from fleetkit.orders.records import Intent, JournalEntry, Settlement, Step
from fleetkit.store import Facts, OrderRecord
from fleetkit.trading import Evidence, OrderKind, Outcome
from tests.support.order_records import NOON, intents, settlements
from tests.support.order_store import memory_orders, order_id

ACCOUNT = 7_100_012
HEDGING, NETTING = MarginMode.HEDGING, MarginMode.NETTING


@pytest.fixture
def orders() -> Iterator[sqlite3.Connection]:
    """An empty journal."""
    with closing(memory_orders()) as connection:
        yield connection


def intent(number: int = 1, **changes: Any) -> Intent:
    """An order to open."""
    fields: dict[str, Any] = {
        "order_id": order_id(number),
        "account": ACCOUNT,
        "agent": "vps01",
        "kind": OrderKind.OPEN,
        "created_at": NOON,
        "symbol": "EURUSD",
        "side": Side.BUY,
        "volume": Decimal("0.5"),
    }
    return Intent(**fields | changes)


def write(
    connection: sqlite3.Connection,
    wanted: Intent,
    *settled: Settlement,
    at_s: float | None = None,
    claim: int | None = None,
    timings: dict[str, float] | None = None,
) -> OrderRecord:
    """Put an order into the journal, with its outcomes one after the other."""
    row = journal.intent_row(
        wanted, body=b"{}", owner="kernel", key=None, arming_id=None, comment="from a cell"
    )
    store.write_intent(connection, row, state=journal.INTENDED)
    created_s = wanted.created_at.timestamp()
    for number, settlement in enumerate(settled, 1):
        store.append_event(
            connection,
            wanted.order_id,
            expected=number,
            state=Step.OUTCOME.value,
            at_s=created_s + 1 if at_s is None else at_s,
            owner="kernel",
            settled=settlement.outcome is not Outcome.UNKNOWN,
            facts=journal.facts_of(settlement, sent_s=created_s + 0.5, timings=timings),
            claim=claim,
        )
    record = store.order(connection, wanted.order_id)
    assert record is not None
    return record


FILLED = Settlement(outcome=Outcome.FILLED, evidence=Evidence.ANSWER, ticket=11)


# There and back


@given(intents)
def test_an_intent_comes_back_equal(wanted: Intent) -> None:
    """Every digit, every moment, every set, so that evidence compares like with like."""
    with closing(memory_orders()) as connection:
        record = write(connection, wanted)
        assert journal.intent_of(record) == wanted
        assert record.intent.volume == wanted.volume
        assert journal.entry_of(record) is None


@given(settlements)
def test_a_settlement_comes_back_equal(settlement: Settlement) -> None:
    """Also what the store has no column for."""
    with closing(memory_orders()) as connection:
        record = write(connection, intent(), settlement)
        assert journal.entry_of(record) == JournalEntry(Step.OUTCOME, settlement)


def test_what_came_later_overrules_what_came_first(orders: sqlite3.Connection) -> None:
    """Outcome, reason, flags and candidates are the newest; no old one shines through."""
    first = Settlement(
        outcome=Outcome.UNKNOWN,
        reason="It timed out.",
        retryable=True,
        candidates=(11, 12),
        received=True,
        partly=True,
    )
    last = Settlement(outcome=Outcome.FILLED, evidence=Evidence.INFERRED, ticket=11)
    record = write(orders, intent(), first, last)
    entry = journal.entry_of(record)
    assert entry is not None
    assert entry.settlement == last


@pytest.mark.parametrize(
    "before", [None, b"null", b"", b"{", b"\xff\xfe", b'{"order_id": 7}', b"[]"]
)
def test_an_intent_that_cannot_be_read_is_none(
    orders: sqlite3.Connection, before: bytes | None
) -> None:
    """What another fleetkit wrote otherwise stops nobody from taking up the rest."""
    record = write(orders, intent())
    row = msgspec.structs.replace(record.intent, before=before)
    assert journal.intent_of(OrderRecord(row, record.head)) is None


def test_an_intent_of_a_later_fleetkit_is_read_as_far_as_it_is_known(
    orders: sqlite3.Connection,
) -> None:
    """New fields are ignored, in the intent and in the memo of its outcome."""
    record = write(orders, intent(), FILLED)
    assert record.intent.before is not None
    before = record.intent.before[:-1] + b', "colour": "blue"}'
    row = msgspec.structs.replace(record.intent, before=before)
    assert journal.intent_of(OrderRecord(row, record.head)) == intent()
    facts = msgspec.structs.replace(record.head.facts, memo='{"partly":true,"hedged":true}')
    settlement = journal.settlement_of(facts)
    assert settlement == msgspec.structs.replace(FILLED, partly=True)


# Whether something is left to do


@pytest.mark.parametrize(
    ("outcome", "step", "changes", "told", "settled"),
    [
        (Outcome.UNKNOWN, Step.OUTCOME, {}, None, False),
        (Outcome.UNKNOWN, Step.STOPS, {}, True, False),
        (Outcome.FILLED, Step.OUTCOME, {}, None, True),
        (Outcome.REJECTED, Step.OUTCOME, {"sl": Decimal(1)}, None, True),
        (Outcome.NOT_SENT, Step.OUTCOME, {"sl": Decimal(1)}, None, True),
        (Outcome.NOT_EXECUTED, Step.OUTCOME, {"sl": Decimal(1)}, None, True),
        (Outcome.FILLED, Step.OUTCOME, {"sl": Decimal(1)}, None, False),
        (Outcome.FILLED, Step.OUTCOME, {"tp": Decimal(1)}, None, False),
        (Outcome.FILLED, Step.OUTCOME, {"tp": Decimal(1)}, True, True),
        (Outcome.FILLED, Step.OUTCOME, {"tp": Decimal(1)}, False, True),
        (Outcome.FILLED, Step.CORRECTING, {"sl": Decimal(1)}, None, False),
        (Outcome.FILLED, Step.CORRECTING, {"sl": Decimal(1)}, False, False),
        (Outcome.FILLED, Step.STOPS, {"sl": Decimal(1)}, None, True),
        (Outcome.FILLED, Step.OUTCOME, {"sl": Decimal(1), "kind": OrderKind.CLOSE}, None, True),
        (Outcome.FILLED, Step.OUTCOME, {"sl": Decimal(1), "kind": OrderKind.MODIFY}, None, False),
    ],
)
def test_an_order_is_settled_once_nothing_is_left_to_find_out(
    outcome: Outcome, step: Step, changes: dict[str, Any], told: bool | None, settled: bool
) -> None:
    """A fill with stops is not, before its stops were read back; a correction is not either."""
    entry = JournalEntry(step, Settlement(outcome=outcome, ticket=11, stops_ok=told))
    assert journal.is_settled(intent(**changes), entry) is settled


# Claims


@pytest.mark.parametrize("mode", [None, HEDGING, NETTING])
def test_an_order_has_no_claims_on_itself(
    orders: sqlite3.Connection, mode: MarginMode | None
) -> None:
    """Neither as a rival nor with its own ticket."""
    write(orders, intent(1), FILLED, claim=11)
    claims = journal.claims_of(orders, intent(1), mode)
    assert (claims.tickets, claims.inferred, claims.rivals) == (frozenset(), frozenset(), False)


def test_tickets_of_other_orders_are_claimed_and_inferred_ones_named(
    orders: sqlite3.Connection,
) -> None:
    """Settled or claimed; an unknown one's candidates are nobody's yet."""
    write(orders, intent(2), FILLED, claim=11)
    inferred = msgspec.structs.replace(FILLED, ticket=12, evidence=Evidence.INFERRED)
    write(orders, intent(3), inferred)
    write(orders, intent(4), Settlement(outcome=Outcome.UNKNOWN, candidates=(13, 14)))
    write(orders, intent(5), Settlement(outcome=Outcome.REJECTED, ticket=15))
    write(orders, intent(6, account=ACCOUNT + 1), msgspec.structs.replace(FILLED, ticket=16))
    assert store.claim_ticket(orders, ACCOUNT, 17, order_id(7))
    assert store.claim_ticket(orders, ACCOUNT, 18, order_id(1))
    claims = journal.claims_of(orders, intent(1), HEDGING)
    assert claims.tickets == {11, 12, 17}
    assert claims.inferred == {12}


UNKNOWN = Settlement(outcome=Outcome.UNKNOWN)
NO_TICKET = Settlement(outcome=Outcome.FILLED)
CLOSING = {"kind": OrderKind.CLOSE, "ticket": 9}
MODIFYING = {"kind": OrderKind.MODIFY, "ticket": 9}


@pytest.mark.parametrize(
    ("changes", "settled", "hedging", "netting"),
    [
        ({}, (), True, True),
        ({}, (UNKNOWN,), True, True),
        ({}, (NO_TICKET,), True, True),
        ({}, (FILLED,), False, True),
        ({}, (Settlement(outcome=Outcome.REJECTED),), False, False),
        ({}, (Settlement(outcome=Outcome.NOT_SENT),), False, False),
        ({}, (Settlement(outcome=Outcome.NOT_EXECUTED),), False, False),
        ({"symbol": "eurusd"}, (UNKNOWN,), True, True),
        ({"symbol": None}, (UNKNOWN,), True, True),
        ({"symbol": "GBPUSD"}, (UNKNOWN,), False, False),
        ({"symbol": "GBPUSD"}, (FILLED,), False, False),
        ({"account": ACCOUNT + 1}, (UNKNOWN,), False, False),
        (CLOSING, (UNKNOWN,), False, True),
        (CLOSING, (), False, True),
        (CLOSING | {"created_at": NOON - timedelta(seconds=74)}, (UNKNOWN,), False, True),
        (CLOSING | {"created_at": NOON - timedelta(seconds=76)}, (UNKNOWN,), False, False),
        (CLOSING | {"symbol": "GBPUSD"}, (UNKNOWN,), False, False),
        (CLOSING, (FILLED,), False, True),
        (MODIFYING, (FILLED,), False, False),
        (MODIFYING, (UNKNOWN,), False, False),
    ],
)
def test_who_is_a_rival(
    orders: sqlite3.Connection,
    changes: dict[str, Any],
    settled: tuple[Settlement, ...],
    hedging: bool,
    netting: bool,
) -> None:
    """Opens nobody is sure of; on netting everything that was executed there, too."""
    write(orders, intent(2, **changes), *settled)
    assert journal.claims_of(orders, intent(1), HEDGING).rivals is hedging
    assert journal.claims_of(orders, intent(1), None).rivals is hedging
    assert journal.claims_of(orders, intent(1), NETTING).rivals is netting


def test_one_rival_among_many_is_enough(orders: sqlite3.Connection) -> None:
    """Whoever was journalled after it."""
    write(orders, intent(2), UNKNOWN)
    write(orders, intent(3), Settlement(outcome=Outcome.REJECTED))
    assert journal.claims_of(orders, intent(1), HEDGING).rivals


@pytest.mark.parametrize(("before_s", "rival"), [(0.0, True), (1.0, False)])
def test_on_netting_what_was_executed_before_is_no_rival(
    orders: sqlite3.Connection, before_s: float, rival: bool
) -> None:
    """It is in the snapshot already; at the very moment it may not be."""
    write(orders, intent(2), FILLED, at_s=NOON.timestamp() - before_s)
    assert journal.claims_of(orders, intent(1), NETTING).rivals is rival


# Receipts and lines


def test_a_receipt_says_all_that_is_in_the_journal(orders: sqlite3.Connection) -> None:
    """With the agent's calls apart from the total, and marked where it is replayed."""
    settlement = Settlement(
        outcome=Outcome.FILLED,
        evidence=Evidence.INFERRED,
        reason="It is there.",
        retcode=10009,
        retryable=True,
        ticket=11,
        filled_volume=Decimal("0.30"),
        price=1.0861,
        sl=1.08,
        tp=1.09,
        stops_ok=False,
        candidates=(11, 12),
    )
    record = write(orders, intent(), settlement, timings={"open": 3.0, journal.TOTAL: 5.0})
    receipt = journal.receipt_of(record, replayed=True)
    shared = [
        "outcome", "evidence", "reason", "retcode", "retryable", "ticket", "filled_volume",
        "price", "sl", "tp", "stops_ok", "candidates",
    ]  # fmt: skip
    assert {n: getattr(receipt, n) for n in shared} == {n: getattr(settlement, n) for n in shared}
    asked = ["order_id", "account", "agent", "kind", "symbol", "side", "volume"]
    assert {n: getattr(receipt, n) for n in asked} == {n: getattr(intent(), n) for n in asked}
    assert receipt.replayed
    assert [(call.call, call.ms) for call in receipt.timings.calls] == [("open", 3.0)]
    assert (receipt.timings.total_ms, receipt.timings.overhead_ms) == (5.0, 2.0)


def test_the_receipt_of_an_order_without_an_outcome_is_unknown(orders: sqlite3.Connection) -> None:
    """Its byte may have left; the line shows it as under way."""
    record = write(orders, intent(kind=OrderKind.CLOSE, ticket=9, side=None, volume=None))
    receipt = journal.receipt_of(record)
    assert (receipt.outcome, receipt.evidence) == (Outcome.UNKNOWN, Evidence.NONE)
    assert (receipt.ticket, receipt.side, receipt.volume) == (9, None, None)
    assert not receipt.replayed
    [row] = store.orders(orders)
    line = journal.line_of(row)
    assert (line.outcome, line.evidence, line.sent_at, line.ticket) == (None, None, None, 9)
    assert line.is_open


def test_a_line_shows_when_an_order_was_made_sent_and_settled(orders: sqlite3.Connection) -> None:
    """All moments in UTC; an unknown one is open."""
    write(orders, intent(1), FILLED)
    write(orders, intent(2), UNKNOWN)
    filled, unknown = (journal.line_of(row) for row in store.orders(orders))
    assert filled.created_at == NOON
    assert filled.sent_at == NOON + timedelta(seconds=0.5)
    assert filled.settled_at == NOON + timedelta(seconds=1)
    assert filled.created_at.tzinfo is UTC
    assert (filled.kind, filled.side, filled.volume) == (OrderKind.OPEN, Side.BUY, Decimal("0.5"))
    assert (filled.outcome, filled.evidence) == (Outcome.FILLED, Evidence.ANSWER)
    assert (filled.is_open, unknown.is_open) == (False, True)
    assert unknown.outcome is Outcome.UNKNOWN


def test_facts_without_an_outcome_settle_nothing() -> None:
    """A correction under way has none of its own."""
    assert journal.settlement_of(Facts(reason="about to correct")) is None


# What others wrote


def test_words_of_a_later_fleetkit_are_shown_as_unknown(orders: sqlite3.Connection) -> None:
    """The journal stays readable, and nothing is guessed from a word that nobody here knows."""
    wanted = intent()
    write(orders, wanted)
    store.append_event(
        orders,
        wanted.order_id,
        expected=1,
        state="celebrated",
        at_s=NOON.timestamp() + 1,
        owner="kernel",
        settled=False,
        facts=store.Facts(outcome="transmogrified", evidence="telepathy"),
    )
    record = store.order(orders, wanted.order_id)
    assert record is not None
    entry = journal.entry_of(record)
    assert entry is not None
    assert (entry.step, entry.settlement.outcome) == (Step.OUTCOME, Outcome.UNKNOWN)
    assert journal.receipt_of(record).outcome is Outcome.UNKNOWN
    (line,) = [journal.line_of(row) for row in store.orders(orders)]
    assert (line.outcome, line.evidence) == (Outcome.UNKNOWN, Evidence.NONE)


@pytest.mark.parametrize(("later_s", "rival"), [(-1.0, False), (1.0, True)])
def test_what_a_person_settled_without_a_ticket_is_no_rival_for_ever(
    orders: sqlite3.Connection, later_s: float, rival: bool
) -> None:
    """What was executed before this order was looked at is in its snapshot."""
    write(orders, intent(2), NO_TICKET, at_s=NOON.timestamp() + later_s)
    assert journal.claims_of(orders, intent(1), HEDGING).rivals is rival


@pytest.mark.parametrize(("symbol", "rival"), [("EURUSD", True), ("GBPUSD", False)])
def test_a_close_of_what_was_gone_is_of_the_symbol_that_was_opened(
    orders: sqlite3.Connection, symbol: str, rival: bool
) -> None:
    """Its own look did not show the position; it is no rival of every symbol for that."""
    opened = {"symbol": symbol, "created_at": NOON - timedelta(hours=1)}
    write(orders, intent(2, **opened), FILLED, at_s=NOON.timestamp() - 3600)
    write(orders, intent(3, kind=OrderKind.CLOSE, ticket=11, symbol=None, side=None), UNKNOWN)
    assert journal.claims_of(orders, intent(1), NETTING).rivals is rival


OPENED_LONG_AGO = {"created_at": NOON - timedelta(hours=1)}


@pytest.mark.parametrize("kind", [OrderKind.CLOSE, OrderKind.MODIFY])
@pytest.mark.parametrize(
    ("settlement", "ago_s", "told"),
    [
        (FILLED, 6.0, True),
        (FILLED, 4.0, False),
        (FILLED, -1.0, False),
        (msgspec.structs.replace(FILLED, evidence=Evidence.INFERRED), 6.0, True),
        (msgspec.structs.replace(FILLED, ticket=12), 6.0, False),
        (Settlement(outcome=Outcome.UNKNOWN, candidates=(11, 12)), 6.0, True),
        (Settlement(outcome=Outcome.UNKNOWN, ticket=11), 6.0, False),
        (Settlement(outcome=Outcome.REJECTED, ticket=11), 6.0, False),
    ],
)
def test_an_earlier_order_tells_that_a_ticket_was_a_position(
    orders: sqlite3.Connection, kind: OrderKind, settlement: Settlement, ago_s: float, told: bool
) -> None:
    """What it opened or may have opened, and long enough ago to be in every list since."""
    write(orders, intent(2, **OPENED_LONG_AGO), settlement, at_s=NOON.timestamp() - ago_s)
    later = intent(1, kind=kind, ticket=11)
    assert journal.claims_of(orders, later, HEDGING).was_open is told
    assert not journal.claims_of(orders, intent(1), HEDGING).was_open


@pytest.mark.parametrize("kind", [OrderKind.CLOSE, OrderKind.MODIFY])
@pytest.mark.parametrize(
    ("changes", "settlement", "told"),
    [
        ({}, Settlement(outcome=Outcome.FILLED, evidence=Evidence.ANSWER), True),
        ({}, Settlement(outcome=Outcome.FILLED, evidence=Evidence.HISTORY), True),
        ({}, Settlement(outcome=Outcome.FILLED, evidence=Evidence.PERSON), False),
        ({}, UNKNOWN, False),
        ({}, Settlement(outcome=Outcome.REJECTED), False),
        ({"ticket": 10}, Settlement(outcome=Outcome.FILLED), False),
    ],
)
def test_a_close_or_modify_that_was_executed_tells_that_its_ticket_was_a_position(
    orders: sqlite3.Connection,
    kind: OrderKind,
    changes: dict[str, Any],
    settlement: Settlement,
    told: bool,
) -> None:
    """Whatever a person says of it, who may not have looked that closely."""
    early = OPENED_LONG_AGO | MODIFYING | {"kind": kind} | changes
    write(orders, intent(2, **early), settlement)
    assert journal.claims_of(orders, intent(1, **CLOSING), HEDGING).was_open is told
    at_once = intent(1, **CLOSING, created_at=NOON - timedelta(hours=1))
    assert not journal.claims_of(orders, at_once, HEDGING).was_open


@pytest.mark.parametrize(
    ("changes", "settled", "closing"),
    [
        (CLOSING, (), {9}),
        (CLOSING, (UNKNOWN,), {9}),
        (CLOSING, (msgspec.structs.replace(FILLED, ticket=9),), {9}),
        (CLOSING, (Settlement(outcome=Outcome.REJECTED),), set()),
        (CLOSING, (Settlement(outcome=Outcome.NOT_SENT),), set()),
        (CLOSING, (Settlement(outcome=Outcome.NOT_EXECUTED),), set()),
        (CLOSING | {"ticket": 10}, (UNKNOWN,), {10}),
        (CLOSING | {"account": ACCOUNT + 1}, (UNKNOWN,), set()),
        (MODIFYING, (UNKNOWN,), set()),
    ],
)
def test_tickets_that_another_order_closes_are_told(
    orders: sqlite3.Connection, changes: dict[str, Any], settled: tuple[Settlement, ...],
    closing: set[int],
) -> None:  # fmt: skip
    """What was executed of it or may have been; a modify closes nothing."""
    write(orders, intent(2, **changes), *settled)
    for mine in (intent(1, **CLOSING), intent(1), intent(2, **CLOSING)):
        expected = set() if mine.order_id == order_id(2) else closing
        assert journal.claims_of(orders, mine, HEDGING).closing == expected


def before_of(*tickets: int, over: tuple[str, ...] = ()) -> BeforeSnapshot:
    """What an order saw, where the agent's times mean something."""
    return BeforeSnapshot(
        account=ACCOUNT,
        as_of=NOON,
        margin_mode=HEDGING,
        known_tickets=frozenset(tickets),
        zone_known=True,
        over=frozenset(over),
    )


def test_what_is_known_of_a_rival_is_told_with_it(orders: sqlite3.Connection) -> None:
    """Side, volume, what was there before it and when it can have been executed."""
    rival = intent(2, before=before_of(9, 10), volume=Decimal("0.7"))
    write(orders, rival, UNKNOWN)
    [told] = journal.claims_of(orders, intent(1), HEDGING).contenders
    assert (told.side, told.volume, told.is_over) == (Side.BUY, Decimal("0.7"), False)
    assert told.old_tickets == {9, 10}
    assert told.window is not None
    assert told.window.until == NOON + timedelta(seconds=75)
    [on_netting] = journal.claims_of(orders, intent(1), NETTING).contenders
    assert on_netting.old_tickets == frozenset()


@pytest.mark.parametrize("changes", [{"side": None, "volume": None}, {"side": Side.SELL}])
def test_of_a_rival_no_more_is_told_than_is_known(
    orders: sqlite3.Connection, changes: dict[str, Any]
) -> None:
    """None is not known; a snapshot that another fleetkit wrote tells nothing."""
    write(orders, intent(2, **changes), UNKNOWN)
    [told] = journal.claims_of(orders, intent(1), HEDGING).contenders
    assert (told.side, told.window, told.old_tickets) == (changes["side"], None, frozenset())


def test_a_rival_that_was_over_before_this_order_is_told_to_be(orders: sqlite3.Connection) -> None:
    """As the order's own snapshot says it, whatever the clocks say later."""
    write(orders, intent(2), UNKNOWN)
    write(orders, intent(3), UNKNOWN)
    mine = intent(1, before=before_of(over=(order_id(2),)))
    told = journal.claims_of(orders, mine, HEDGING).contenders
    assert [each.is_over for each in told] == [True, False]


@pytest.mark.parametrize(("later_s", "older"), [(-1.0, {11}), (0.0, set()), (1.0, set())])
def test_tickets_of_orders_that_were_settled_before_are_told_apart(
    orders: sqlite3.Connection, later_s: float, older: set[int]
) -> None:
    """Beside one of them a list that lacked it was wrong."""
    write(orders, intent(2), FILLED, at_s=NOON.timestamp() + later_s)
    assert journal.claims_of(orders, intent(1), HEDGING).older == older
