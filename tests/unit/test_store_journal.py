"""The journal: intents once, events in turn, nothing ever changed, long lists cheap."""

from __future__ import annotations

import itertools
import sqlite3
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetkit.store import (
    NO_FACTS,
    Facts,
    OrderExists,
    OrderMoved,
    OrderNotFound,
    Store,
    TicketClaimed,
    append_event,
    claim_ticket,
    claimed_tickets,
    durable,
    events,
    latest_with_key,
    order,
    order_with_key,
    orders,
    unsettled,
    write_intent,
)
from tests.support.order_store import NOON_S, intent, memory_orders, order_id


@pytest.fixture
def store():
    connection = memory_orders()
    yield connection
    connection.close()


def append(connection, number, expected, state="sent", **more):
    fields = {"expected": expected, "state": state, "at_s": NOON_S + 100, "owner": "kernel"} | more
    return append_event(connection, order_id(number), **fields)


def listed(rows):
    return [row.terms.order_id for row in rows]


def test_an_intent_reads_as_it_was_written(store):
    """Every field, the request byte for byte, the volume digit for digit."""
    whole = intent(
        ticket=5512399,
        key="cell-1",
        arming_id="arming",
        pair_id="pair",
        volume=Decimal("0.10"),
        body=b'{"lot":0.1,\n "comment":"caf\xc3\xa9"}',
    )
    write_intent(store, whole, state="intended")
    record = order(store, whole.order_id)
    assert record.intent == whole
    assert str(record.intent.volume) == "0.10"
    assert (record.head.number, record.head.state, record.head.settled) == (1, "intended", False)
    assert order(store, order_id(2)) is None


def test_an_order_may_lack_what_its_kind_does_not_have(store):
    """A modification has no volume, an extended agent needs no snapshot."""
    bare = intent(kind="modify", symbol=None, side=None, volume=None, comment=None, before=None)
    write_intent(store, bare, state="intended")
    assert order(store, bare.order_id).intent == bare


@pytest.mark.parametrize("mistake", [{"order_id": "short"}, {"kind": "flatten"}])
def test_what_is_no_order_is_not_written(store, mistake):
    """The table itself refuses."""
    with pytest.raises(sqlite3.IntegrityError):
        write_intent(store, intent(**mistake), state="intended")
    assert orders(store) == []


def test_an_id_is_written_once(store):
    """The second one gets the first one's order and must not send."""
    write_intent(store, intent(1), state="intended")
    append(store, 1, 1, "filled", settled=True, facts=Facts(ticket=5))
    with pytest.raises(OrderExists, match=r"is filled\. Look at it instead of sending") as caught:
        write_intent(store, intent(1, volume=Decimal(2)), state="intended")
    assert caught.value.earlier.intent == intent(1)
    assert caught.value.earlier.head.facts.ticket == 5
    assert len(events(store, order_id(1))) == 2


def test_a_key_is_written_once_per_arming(store):
    """Another arming may use it again; the latest is found whatever the arming."""
    write_intent(store, intent(1, key="cell", arming_id="a"), state="intended")
    write_intent(store, intent(2, key="cell", arming_id="b"), state="intended")
    write_intent(store, intent(3, key="cell"), state="intended")
    write_intent(store, intent(4), state="intended")
    write_intent(store, intent(5), state="intended")
    for arming_id, number in (("a", 1), ("b", 2), (None, 3)):
        again = intent(9, key="cell", arming_id=arming_id)
        with pytest.raises(OrderExists) as caught:
            write_intent(store, again, state="intended")
        assert caught.value.earlier.intent.order_id == order_id(number)
        found = order_with_key(store, "cell", arming_id=arming_id)
        assert found.intent.order_id == order_id(number)
    assert latest_with_key(store, "cell").intent.order_id == order_id(3)
    assert latest_with_key(store, "other") is None
    assert order(store, order_id(9)) is None


def test_events_are_numbered_and_tell_what_they_said(store):
    """The intent is the first of them."""
    write_intent(store, intent(), state="intended", facts=Facts(memo="positions: 3"))
    append(store, 1, 1, "sent", facts=Facts(sent_s=NOON_S + 2.5))
    append(store, 1, 2, "filled", owner="other", settled=True, facts=Facts(ticket=5, price=1.0861))
    life = events(store, order_id(1))
    assert [(e.number, e.state, e.settled, e.owner) for e in life] == [
        (1, "intended", False, "kernel"),
        (2, "sent", False, "kernel"),
        (3, "filled", True, "other"),
    ]
    assert life[0].facts == Facts(memo="positions: 3")
    assert life[1].facts == Facts(sent_s=NOON_S + 2.5)
    assert life[2].facts == Facts(ticket=5, price=1.0861)
    assert events(store, order_id(2)) == []


def test_only_who_read_the_last_event_may_write_the_next(store):
    """The other one learns where the order stands, and changes nothing."""
    write_intent(store, intent(), state="intended")
    head = append(store, 1, 1, "unknown")
    assert head.number == 2
    append(store, 1, 2, "filled", settled=True, facts=Facts(ticket=5))
    with pytest.raises(OrderMoved, match=r"event 3 \(filled\)") as caught:
        append(store, 1, 2, "not_executed", settled=True)
    assert caught.value.head == order(store, order_id(1)).head
    with pytest.raises(OrderMoved):
        append(store, 1, 7, "filled")
    with pytest.raises(OrderNotFound, match="FLEETKIT_HOME"):
        append(store, 2, 1)
    assert [event.state for event in events(store, order_id(1))] == [
        "intended",
        "unknown",
        "filled",
    ]


def test_an_order_that_is_settled_stays_so_while_its_events_say_so(store):
    """A stop that is corrected later does not move the moment it was settled."""
    write_intent(store, intent(), state="intended")
    append(store, 1, 1, "filled", settled=True, at_s=NOON_S + 5)
    assert append(store, 1, 2, "filled", settled=True, at_s=NOON_S + 9).settled_s == NOON_S + 5
    assert unsettled(store) == []
    assert append(store, 1, 3, "unknown", at_s=NOON_S + 10).settled_s is None
    assert [record.intent for record in unsettled(store)] == [intent()]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {table} SET owner = 'somebody else'",
        "DELETE FROM {table}",
        "INSERT OR REPLACE INTO {table} SELECT * FROM {table}",
        "REPLACE INTO {table} SELECT * FROM {table}",
    ],
)
@pytest.mark.parametrize("table", ["orders", "order_events", "claims"])
def test_what_was_journalled_cannot_be_changed(store, table, statement):
    """Not by any statement, with triggers that REPLACE does not slip past."""
    write_intent(store, intent(), state="intended")
    append(store, 1, 1, claim=5)
    owner = "order_id" if table == "claims" else "owner"
    before = store.execute(f"SELECT * FROM {table}").fetchall()
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        store.execute(statement.format(table=table).replace("owner", owner))
    assert store.execute(f"SELECT * FROM {table}").fetchall() == before != []


def test_an_event_cannot_be_written_out_of_turn(store):
    """The table refuses a gap, for whoever comes by another way."""
    write_intent(store, intent(), state="intended")
    for number in (0, 3):
        with pytest.raises(sqlite3.IntegrityError, match="in turn"):
            store.execute(
                "INSERT INTO order_events VALUES (?, ?, 0, 'sent', 0, 'me', '{}')",
                (order_id(1), number),
            )


def test_lists_are_by_time_and_by_what_was_asked(store):
    """Since, accounts, open; the clock may have been set back between two orders."""
    write_intent(store, intent(1, account=1), state="intended")
    write_intent(store, intent(2, account=2, created_s=NOON_S - 50), state="intended")
    write_intent(store, intent(3, account=3), state="intended")
    append(store, 3, 1, "filled", settled=True)
    assert listed(orders(store)) == [order_id(2), order_id(1), order_id(3)]
    assert listed(orders(store, since_s=NOON_S)) == [order_id(1), order_id(3)]
    assert listed(orders(store, accounts=[2, 3])) == [order_id(2), order_id(3)]
    assert listed(orders(store, accounts=[])) == []
    assert listed(orders(store, open_only=True)) == [order_id(2), order_id(1)]
    assert listed(orders(store, since_s=NOON_S, accounts=[1, 2, 3], open_only=True)) == [
        order_id(1)
    ]
    assert [record.intent.order_id for record in unsettled(store)] == [order_id(2), order_id(1)]


def test_a_list_shows_what_the_events_come_to(store):
    """Later facts overrule earlier ones field by field, and what is not said stays."""
    write_intent(store, intent(), state="intended")
    append(
        store, 1, 1, "unknown", facts=Facts(outcome="unknown", reason="No answer.", retcode=10012)
    )
    append(store, 1, 2, "filled", facts=Facts(outcome="filled", ticket=5, stops_ok=False))
    (row,) = orders(store)
    assert row.head.facts == Facts(
        outcome="filled", reason="No answer.", retcode=10012, ticket=5, stops_ok=False
    )
    assert row.terms.volume == Decimal("0.50")
    assert (row.head.number, row.head.state) == (3, "filled")


FACTS = st.builds(
    Facts,
    outcome=st.none() | st.sampled_from(["filled", "unknown"]),
    ticket=st.none() | st.integers(1, 2**62),
    price=st.none() | st.floats(0, 1e6),
    filled_volume=st.none() | st.decimals(0, 100, places=2),
    stops_ok=st.none() | st.booleans(),
    candidates=st.none() | st.lists(st.integers(1, 9)).map(tuple),
    timings=st.none() | st.dictionaries(st.text(max_size=5), st.floats(0, 9)),
    answer=st.none() | st.text(max_size=20),
)


@given(st.lists(st.tuples(FACTS, st.booleans()), max_size=6))
def test_the_head_is_the_fold_of_the_events(life):
    """What a list shows can be told again from the events alone."""
    connection = memory_orders()
    write_intent(connection, intent(), state="0")
    for number, (facts, settled) in enumerate(life, start=1):
        append(
            connection, 1, number, str(number), facts=facts, settled=settled, at_s=NOON_S + number
        )
    known, settled_s = NO_FACTS, None
    told = events(connection, order_id(1))
    assert [event.facts for event in told[1:]] == [facts for facts, _ in life]
    for event in told:
        known = known.followed_by(event.facts)
        settled_s = (settled_s or event.at_s) if event.settled else None
    head = order(connection, order_id(1)).head
    assert (head.facts, head.settled_s, head.number) == (known, settled_s, 1 + len(life))
    connection.close()


def test_a_ticket_is_one_orders_result(store):
    """Again for the same order, or on another account, it is no conflict."""
    for number in (1, 2):
        write_intent(store, intent(number), state="intended")
    assert claim_ticket(store, 7100012, 5, order_id(1))
    assert claim_ticket(store, 7100012, 5, order_id(1))
    assert not claim_ticket(store, 7100012, 5, order_id(2))
    assert claim_ticket(store, 7100013, 5, order_id(2))
    assert claimed_tickets(store, 7100012) == {5: order_id(1)}
    assert claimed_tickets(store, 7100014) == {}


def test_an_order_is_settled_with_its_ticket_or_not_at_all(store):
    """The event that would take another order's ticket is not written."""
    for number in (1, 2):
        write_intent(store, intent(number), state="intended")
    append(store, 1, 1, "filled", settled=True, claim=5)
    with pytest.raises(TicketClaimed, match=f"result of order {order_id(1)}") as caught:
        append(store, 2, 1, "filled", settled=True, claim=5)
    assert caught.value.order_id == order_id(1)
    assert order(store, order_id(2)).head.number == 1
    with pytest.raises(OrderMoved):
        append(store, 2, 4, "filled", claim=6)
    assert claimed_tickets(store, 7100012) == {5: order_id(1)}


def test_refusals_pass_the_stores_thread_as_they_are(tmp_path):
    """With the order they carry; and inside a larger transaction they undo only their part."""

    def both(connection):
        with durable(connection):
            write_intent(connection, intent(1), state="intended")
            with pytest.raises(OrderExists):
                write_intent(connection, intent(1), state="intended")
            write_intent(connection, intent(2), state="intended")

    with Store(tmp_path) as store:
        store.orders.run_blocking(both)
        assert len(store.orders.run_blocking(orders)) == 2
        with pytest.raises(OrderExists) as caught:
            store.orders.run_blocking(lambda c: write_intent(c, intent(2), state="intended"))
        assert caught.value.earlier.intent == intent(2)


def fill(connection, count, open_every):
    with durable(connection):
        for number in range(count):
            write_intent(connection, intent(number, account=number % 69), state="intended")
            if number % open_every:
                append(connection, number, 1, "filled", settled=True, facts=Facts(ticket=number))


def steps_of(connection, work):
    """How many thousand steps SQLite took; unlike seconds, the same on every machine."""
    counter = itertools.count()
    connection.set_progress_handler(lambda: next(counter) and 0, 1_000)
    try:
        work()
    finally:
        connection.set_progress_handler(None, 0)
    return next(counter)


def test_a_long_journal_costs_a_start_nothing(store):
    """What is open is found among many settled orders without reading those."""
    fill(store, 10_000, open_every=1_000)
    whole = steps_of(store, lambda: orders(store))
    assert whole > 100
    assert steps_of(store, lambda: unsettled(store)) < 3
    assert steps_of(store, lambda: orders(store, open_only=True, accounts=[0])) < 3
    assert steps_of(store, lambda: orders(store, since_s=NOON_S + 9_990)) < 3
    assert steps_of(store, lambda: order(store, order_id(5_000))) < 1
    assert len(unsettled(store)) == 10
