"""Arming: limits that all kernels share, and that no clock makes wider. And the halt."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetkit.errors import UsageError
from fleetkit.store import (
    Halt,
    OrderExists,
    all_halts,
    arm,
    disarm,
    durable,
    find_arming,
    halt,
    halted,
    live,
    refund,
    resume,
    spend,
    write_intent,
)
from fleetkit.store.volumes import to_lots, to_units
from tests.support.order_store import NOON_S, intent, memory_orders, order_id

MINUTES_5 = 300.0


@pytest.fixture
def store():
    connection = memory_orders()
    yield connection
    connection.close()


def make(connection, name="a", now_s=NOON_S, **changes):
    fields = {
        "until_s": now_s + MINUTES_5,
        "max_volume": Decimal("1.0"),
        "max_orders": 4,
        "accounts": None,
        "symbols": None,
    }
    return arm(connection, name, now_s=now_s, **fields | changes)


def use(connection, number, volume="0.1", name="a", **changes):
    fields = {"account": 7, "symbol": "EURUSD", "now_s": NOON_S + 1} | changes
    return spend(connection, name, order_id(number), volume=Decimal(volume), **fields)


def word(refused):
    return None if refused is None else refused.word


def test_closed_by_default(store):
    """Nothing is live, nothing may be spent."""
    assert live(store, NOON_S) is None
    assert find_arming(store, "a") is None
    refused = use(store, 1)
    assert refused.word == "not_armed"
    assert "fleet.armed" in refused.sentence


def test_an_arming_is_spent_to_its_last_lot(store):
    """Ten times 0.1 is 1.0, and not a little more."""
    made = make(store, max_orders=99)
    assert live(store, NOON_S) == made
    assert [use(store, number) for number in range(10)] == [None] * 10
    refused = use(store, 10, "0.01")
    assert refused.word == "volume"
    assert refused.sentence.startswith("0.01 lots are more than the 0 that are left of 1.")
    current = live(store, NOON_S + 2)
    assert (current.used_volume, current.used_orders) == (Decimal(1), 10)
    assert (current.volume_left, current.orders_left) == (Decimal(0), 89)


def test_an_arming_is_spent_to_its_last_order(store):
    """The count is a limit of its own."""
    make(store, max_orders=2)
    assert [word(use(store, number)) for number in range(3)] == [None, None, "orders"]


def test_only_what_was_armed_may_be_traded(store):
    """None is all, an empty set is none; the sentence lists what is allowed."""
    make(store, accounts=[np.int64(7), 8], symbols=["EURUSD"])
    assert word(use(store, 1)) is None
    refused = use(store, 2, account=9)
    assert (refused.word, "only 7, 8" in refused.sentence) == ("account", True)
    refused = use(store, 2, symbol="GBPUSD")
    assert (refused.word, "only EURUSD" in refused.sentence) == ("symbol", True)
    disarm(store, "a", NOON_S + 2)
    make(store, "b", accounts=[])
    assert word(use(store, 2, name="b")) == "account"


def test_an_order_is_counted_once(store):
    """Its id is refused the second time, in the same arming and in another."""
    make(store)
    assert use(store, 1) is None
    assert word(use(store, 1)) == "counted"
    assert live(store, NOON_S + 1).used_orders == 1
    disarm(store, "a", NOON_S + 2)
    make(store, "b")
    assert word(use(store, 1, name="b")) == "counted"


def test_what_was_not_executed_is_given_back_once(store):
    """Two processes that find it out do not give it back twice."""
    make(store)
    use(store, 1, "0.4")
    use(store, 2, "0.5")
    assert word(use(store, 3, "0.2")) == "volume"
    assert refund(store, order_id(1), NOON_S + 2)
    assert not refund(store, order_id(1), NOON_S + 2)
    assert not refund(store, order_id(9), NOON_S + 2)
    current = live(store, NOON_S + 2)
    assert (current.used_volume, current.used_orders) == (Decimal("0.5"), 1)
    assert word(use(store, 3, "0.2")) is None


def test_it_ends(store):
    """By time, by hand; what is over stays over, and its orders can still be given back."""
    make(store)
    use(store, 1)
    assert live(store, NOON_S + 299.9) is not None
    assert live(store, NOON_S + MINUTES_5) is None
    assert live(store, NOON_S + 10) is None  # the clock was set back: it does not come back
    assert find_arming(store, "a").ended_why == "its time was up"
    assert not disarm(store, "a", NOON_S + 301)
    assert refund(store, order_id(1), NOON_S + 301)
    make(store, "b", NOON_S + 400)
    assert disarm(store, "b", NOON_S + 401)
    refused = use(store, 2, name="b", now_s=NOON_S + 402)
    assert (refused.word, "disarmed" in refused.sentence) == ("not_armed", True)
    assert word(use(store, 2, now_s=NOON_S + 402)) == "not_armed"


@pytest.mark.parametrize(
    ("set_to_s", "over"), [(-29.0, False), (-31.0, True), (299.0, False), (300.0, True)]
)
def test_a_clock_that_was_set_does_not_prolong_it(store, set_to_s, over):
    """Set back further than two clocks may differ, it ends; set forward, it ends the sooner."""
    make(store)
    assert word(use(store, 1, now_s=NOON_S + set_to_s)) == ("not_armed" if over else None)
    assert (live(store, NOON_S + set_to_s) is None) is over


def test_time_that_was_seen_to_pass_does_not_come_again(store):
    """Four of five minutes used, and the clock set back by three of them, also in steps."""
    make(store)
    use(store, 1, now_s=NOON_S + 240)
    assert live(store, NOON_S + 211) is not None
    assert use(store, 2, now_s=NOON_S + 211) is None
    assert live(store, NOON_S + 190) is None
    assert find_arming(store, "a").ended_why == "the clock was set back"


def test_a_reported_jump_ends_it(store):
    """For every kernel, whoever noticed."""
    make(store)
    assert live(store, NOON_S + 1, jumped=True) is None
    assert word(use(store, 1)) == "not_armed"
    assert make(store, "b").arming_id == "b"


def test_a_second_arming_joins_under_the_smaller_limits(store):
    """Of what is left, the earlier end, and what both allow."""
    make(store, max_volume=Decimal(2), max_orders=9, accounts=[7, 8], symbols=None)
    use(store, 1, "0.5")
    joined = make(
        store,
        "b",
        NOON_S + 60,
        until_s=NOON_S + 120,
        max_volume=Decimal(1),
        max_orders=20,
        accounts=[8, 9],
        symbols=["EURUSD"],
    )
    assert joined.arming_id == "a"
    assert (joined.until_s, joined.volume_left, joined.orders_left) == (NOON_S + 120, 1, 8)
    assert (joined.accounts, joined.symbols) == ({8}, {"EURUSD"})
    assert find_arming(store, "b") is None
    assert live(store, NOON_S + 61) == joined
    again = make(store, "c", NOON_S + 61, max_volume=Decimal(5), accounts=[1], symbols=None)
    assert (again.until_s, again.volume_left, again.orders_left) == (NOON_S + 120, 1, 4)
    assert (again.accounts, again.symbols) == (frozenset(), {"EURUSD"})
    assert "nothing is common" in use(store, 2, account=8, now_s=NOON_S + 62).sentence


def test_giving_back_does_not_widen_what_was_joined_since(store):
    """The smaller limit was set when the order was counted already."""
    make(store, max_volume=Decimal(10), max_orders=9)
    use(store, 1, "5")
    make(store, "b", max_volume=Decimal(1), max_orders=2)
    use(store, 2, "0.4")
    assert refund(store, order_id(1), NOON_S + 2)
    current = live(store, NOON_S + 2)
    assert (current.volume_left, current.orders_left) == (Decimal("0.6"), 1)
    assert refund(store, order_id(2), NOON_S + 2)
    current = live(store, NOON_S + 2)
    assert (current.volume_left, current.orders_left) == (Decimal(1), 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"until_s": NOON_S},
        {"max_orders": -1},
        {"max_volume": Decimal(-1)},
        {"max_volume": Decimal("NaN")},
        {"max_volume": 0.1},
        {"max_volume": Decimal("1e-9")},
        {"max_volume": Decimal("1e30")},
    ],
)
def test_an_arming_that_makes_no_sense_is_refused(store, changes):
    """Before anything is written."""
    with pytest.raises(UsageError):
        make(store, **changes)
    assert live(store, NOON_S) is None


@given(st.decimals(0, 10_000, places=8))
def test_volumes_keep_every_digit(volume):
    """Through the whole number and back."""
    assert to_lots(to_units(volume)) == volume


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["arm", "spend", "spend", "spend", "refund"]),
        st.integers(1, 300),
        st.integers(1, 9),
    ),
    max_size=40,
)


@given(STEPS)
def test_no_sequence_opens_more_than_each_arming_allowed(steps):
    """Each limit that was ever joined holds for what was counted since, less what came back."""
    connection = memory_orders()
    limits, counted = [], {}
    for number, (what, hundredths, orders) in enumerate(steps):
        volume = Decimal(hundredths) / 100
        if what == "arm":
            make(connection, f"arming {number}", max_volume=volume, max_orders=orders)
            limits.append((number, volume, orders))
        elif what == "spend" and limits:
            name = f"arming {limits[0][0]}"
            if use(connection, number, str(volume), name) is None:
                counted[number] = volume
        elif counted:
            victim = sorted(counted)[hundredths % len(counted)]
            assert refund(connection, order_id(victim), NOON_S + 1)
            del counted[victim]
        for since, most, count in limits:
            after = [volume for order, volume in counted.items() if order > since]
            assert sum(after) <= most
            assert len(after) <= count
    connection.close()


def test_a_halt_stands_until_it_is_resumed(store):
    """The first of several tells who and why; one resumption ends all; all are kept."""
    assert halted(store) is None
    assert not resume(store, by="desk", now_s=NOON_S)
    first = halt(store, by="desk", why="news", now_s=NOON_S)
    assert first == halted(store) == Halt(NOON_S, "desk", "news")
    assert halt(store, by="night desk", why="drawdown", now_s=NOON_S - 900) == first
    assert halted(store) == first
    assert resume(store, by="head", now_s=NOON_S + 60)
    assert halted(store) is None
    assert all_halts(store) == [
        Halt(NOON_S, "desk", "news", NOON_S + 60, "head"),
        Halt(NOON_S - 900, "night desk", "drawdown", NOON_S + 60, "head"),
    ]


def test_an_order_is_counted_and_journalled_together_or_not_at_all(store):
    """One transaction for both: an id that was there already costs nothing."""

    def go_out(number):
        with durable(store):
            if use(store, number) is None:
                write_intent(store, intent(number), state="intended")

    make(store)
    write_intent(store, intent(1), state="intended")
    with pytest.raises(OrderExists):
        go_out(1)
    assert live(store, NOON_S + 1).used_orders == 0
    go_out(2)
    assert live(store, NOON_S + 1).used_orders == 1
