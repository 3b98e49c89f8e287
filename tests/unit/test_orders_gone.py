"""A close or modify of a ticket that was not open any more when it was sent did nothing."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetkit.model import Side
from fleetkit.orders.evidence import judge
from fleetkit.orders.readings import Claims, Rules, Sought
from fleetkit.orders.verdicts import Executed, NotExecuted, Undecided
from fleetkit.trading import Evidence, OrderKind
from tests.unit.orders_terminal import Book, lots, position, sighting, snapshot, trade

RULES = Rules(grace_s=45.0, not_before=75.0)
CLOSE = Sought(kind=OrderKind.CLOSE, ticket=50)
MODIFY = Sought(kind=OrderKind.MODIFY, ticket=50, sl=Decimal("1.06"))
ORDERS = pytest.mark.parametrize("order", [CLOSE, MODIFY], ids=["close", "modify"])
MODES = pytest.mark.parametrize("mode", ["hedging", "netting"])
OTHER = position(60, "XAUUSD")  # the positive control
OLD = (trade(1), trade(50))
WAS_OPEN = Claims(was_open=True)


def verdict(order, before, *sightings, claims=Claims(), rules=RULES):  # noqa: B008 - frozen
    return judge(order, before, sightings, claims=claims, rules=rules)


def quiet(*, positions=(OTHER,), history=OLD):
    """Two rounds of reads that are the grace apart."""
    return [sighting(at, positions, history) for at in (1, 80)]


@MODES
@ORDERS
def test_what_was_closed_before_it_was_sent_cannot_have_been_closed_by_it(order, mode):
    """The list of before shows another position, and the history that this one was closed."""
    before = snapshot([OTHER], closed_ids=(1, 50), closed_volume=lots(5), mode=mode)
    found = verdict(order, before, *quiet())
    assert (type(found), found.evidence) == (NotExecuted, Evidence.POSITION)
    assert "not open any more" in found.why


@ORDERS
def test_the_account_may_be_flat_afterwards(order):
    """The list of before proves it; those after could only refute it."""
    before = snapshot([OTHER], closed_ids=(1, 50), closed_volume=lots(5))
    assert isinstance(verdict(order, before, *quiet(positions=())), NotExecuted)


@ORDERS
def test_it_is_not_concluded_before_the_grace_is_over(order):
    """Two readings that are the grace apart, the later one after deadline and grace (T13)."""
    before = snapshot([OTHER], closed_ids=(1, 50), closed_volume=lots(5))
    first, last = quiet()
    assert isinstance(verdict(order, before, first), Undecided)
    assert isinstance(verdict(order, before, last), Undecided)
    early = [sighting(at, [OTHER], OLD) for at in (1, 50)]
    assert isinstance(verdict(order, before, *early), Undecided)


@MODES
@ORDERS
def test_it_must_have_been_a_position_before(order, mode):
    """Or it may have been opened between the list and the send, by what was pending."""
    before = snapshot([OTHER], closed_ids=(1,), mode=mode)
    seen = quiet(history=(trade(1),))
    assert isinstance(verdict(order, before, *seen), Undecided)
    assert isinstance(verdict(order, before, *seen, claims=WAS_OPEN), NotExecuted)
    known = msgspec.structs.replace(before, known_tickets=frozenset({50}))
    assert isinstance(verdict(order, known, *seen), NotExecuted)


@MODES
@ORDERS
def test_an_empty_list_of_before_proves_nothing(order, mode):
    """As an agent answers on any error (T2)."""
    before = snapshot([], closed_ids=(1, 50), closed_volume=lots(5), mode=mode)
    assert isinstance(verdict(order, before, *quiet(), claims=WAS_OPEN), Undecided)


@ORDERS
def test_a_list_of_before_that_lacks_what_was_known_proves_nothing(order):
    """Unless the history shows that it was closed."""
    before = snapshot([OTHER], closed_ids=(1, 50), closed_volume=lots(5))
    lacking = msgspec.structs.replace(before, known_tickets=frozenset({61}))
    assert isinstance(verdict(order, lacking, *quiet()), Undecided)
    closed = msgspec.structs.replace(lacking, closed_ids=frozenset({1, 50, 61}))
    assert isinstance(verdict(order, closed, *quiet()), NotExecuted)


@ORDERS
def test_a_list_of_before_that_is_refuted_proves_nothing(order):
    """The ticket itself, or another that was known, is there afterwards."""
    before = snapshot([OTHER], closed_ids=(1, 50), closed_volume=lots(5))
    again = sighting(40, [OTHER, position(50)], OLD)
    assert isinstance(verdict(order, before, *quiet(), again), Undecided)
    known = msgspec.structs.replace(
        before, known_tickets=frozenset({61}), closed_ids=frozenset({1, 50, 61})
    )
    other = sighting(40, [OTHER, position(61)], OLD)
    assert isinstance(verdict(order, known, *quiet(), other), Undecided)


def test_what_is_closed_since_is_not_told_untouched():
    """The history may have lagged, or the list: then the position is closed, whoever did it."""
    before = snapshot([OTHER], closed_ids=(1, 50), closed_volume=lots(3))
    more = sighting(40, [OTHER], (*OLD, trade(50, tenths=2)), "990.00")
    assert isinstance(verdict(CLOSE, before, *quiet(history=OLD[:1]), more), Executed)


def test_another_accounts_list_is_no_list():
    """Two readings of it are none."""
    before = snapshot([OTHER], closed_ids=(1, 50), closed_volume=lots(5))
    strangers = [sighting(at, [OTHER], OLD, account=1) for at in (1, 80)]
    assert isinstance(verdict(CLOSE, before, *strangers), Undecided)
    unread = [sighting(at, None, OLD) for at in (1, 80)]
    assert isinstance(verdict(CLOSE, before, *unread), Undecided)


FAULTS = ("no positions", "no history", "no balance", "stranger")
faults = st.just(set()) | st.sets(st.sampled_from(FAULTS), max_size=2)
trades = st.tuples(
    st.sampled_from(("EURUSD", "XAUUSD")), st.sampled_from(Side), st.sampled_from((2, 3, 5))
)
steps = st.lists(
    st.tuples(st.sampled_from([1, 20, 46, 80]), st.none() | trades, st.booleans(), faults),
    min_size=2,
    max_size=6,
)


@settings(max_examples=400)
@given(
    st.lists(trades, max_size=3), steps, st.booleans(), st.booleans(), st.booleans(),
    st.sampled_from([CLOSE, MODIFY]), st.booleans(),
)  # fmt: skip
def test_what_was_executed_is_never_told_not_executed(
    start, steps, nets, gone, is_empty, asked, lags
):
    """Whether it was gone or not, whatever a person does, whatever the lists leave out."""
    book = Book(nets=nets)
    for symbol, side, tenths in start:
        book.buy_or_sell(symbol, side, tenths)
    ticket = book.buy_or_sell("GBPUSD", Side.BUY, 5)
    known = frozenset(book.open)
    if gone:
        book.close(ticket)
    order = msgspec.structs.replace(asked, ticket=ticket)
    before = book.before(is_empty=is_empty, ticket=ticket)
    before = msgspec.structs.replace(before, known_tickets=known)
    seen, at, executed = [], 0, False
    for wait, action, executes, without in steps:
        at += wait
        if action is not None:
            book.buy_or_sell(*action)
        if executes and not executed and at <= 75 and ticket in book.open:
            executed = True
            if order.kind is OrderKind.CLOSE:
                book.close(ticket)
            else:
                book.open[ticket] = msgspec.structs.replace(book.open[ticket], sl=order.sl)
        seen.append(book.look(at, faults=without | ({"lag"} if lags else set())))
        found = judge(order, before, seen, claims=WAS_OPEN, rules=RULES)
        if isinstance(found, NotExecuted):
            assert not executed
