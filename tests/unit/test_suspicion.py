"""When an empty list of positions may be believed (T2)."""

from __future__ import annotations

import pytest

from fleetkit.gateway.suspicion import Belief, EmptyGuard


@pytest.fixture
def guard():
    """An account with balance 100 and tickets 1 and 2."""
    guard = EmptyGuard()
    guard.read_balance(100.0, True)
    guard.saw([1, 2])
    return guard


def test_the_first_empty_list_ever_is_believed():
    """Nothing was there that could be missing."""
    assert EmptyGuard().judge(0.0) is Belief.BELIEVE


def test_an_empty_list_after_positions_is_suspect_for_two_seconds(guard):
    """Two answers closer together may be one hiccup; then the balance is asked."""
    assert guard.judge(10.0) is Belief.SUSPECT
    assert guard.judge(11.9) is Belief.SUSPECT
    assert guard.judge(12.0) is Belief.ASK_BALANCE
    assert guard.judge(50.0) is Belief.ASK_BALANCE


def test_positions_in_between_start_the_suspicion_anew(guard):
    """The two empty answers must follow each other."""
    guard.judge(10.0)
    guard.saw([1, 2])
    assert guard.judge(13.0) is Belief.SUSPECT


def test_a_believed_empty_list_is_the_new_normal(guard):
    """The next one needs no evidence."""
    guard.judge(10.0), guard.judge(12.0)
    guard.saw_flat()
    assert guard.judge(13.0) is Belief.BELIEVE
    assert guard.tickets == frozenset()


def test_a_balance_that_moved_explains_and_one_that_did_not_does_not(guard):
    """An unknown one explains nothing."""
    assert guard.explains(101.0)
    assert not guard.explains(100.0)
    assert not guard.explains(None)


def test_without_a_balance_from_before_nothing_is_explained():
    """Positions were seen, the account never was."""
    guard = EmptyGuard()
    guard.saw([1])
    assert not guard.explains(100.0)


def test_what_another_ticket_moved_explains_nothing(guard):
    """Ticket 1 closed and moved the balance to 110; that does not close ticket 2."""
    guard.saw([2])
    assert not guard.explains(110.0)
    guard.read_balance(110.0, True)
    assert not guard.explains(110.0)
    assert guard.explains(111.0)


def test_a_balance_read_while_flat_is_no_balance_from_before(guard):
    """The reading that comes with the empty list must not become what it is compared to."""
    guard.read_balance(120.0, False)
    assert guard.explains(120.0)


def test_a_later_balance_with_positions_open_counts(guard):
    """A deposit while positions were open is not their closing."""
    guard.read_balance(150.0, True)
    assert not guard.explains(150.0)


def test_the_repr_says_whether_it_is_suspicious(guard):
    """Calm until an empty list came."""
    assert repr(guard) == "<EmptyGuard 2 tickets seen, calm>"
    guard.judge(0.0)
    assert repr(guard) == "<EmptyGuard 2 tickets seen, suspicious>"


def test_what_an_order_closed_may_be_absent() -> None:
    """The agent answered the close: an empty list is no surprise, of that ticket alone."""
    guard = EmptyGuard()
    guard.saw([1, 2])
    guard.closed(1)
    assert guard.judge(0.0) is Belief.SUSPECT
    guard.saw([2])
    guard.closed(2)
    assert guard.judge(0.0) is Belief.BELIEVE
