"""Bindings and the shared budget of recoveries."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetkit.store import all_bindings, claim_recovery, drop_binding, save_binding
from fleetkit.store.schema import migrate


def empty_store():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    return connection


@pytest.fixture
def store():
    connection = empty_store()
    yield connection
    connection.close()


def test_a_binding_belongs_to_name_and_url(store):
    """An agent that moved is another agent."""
    save_binding(store, "a", "http://one", 7, 1)
    save_binding(store, "a", "http://one", 7, 2)
    save_binding(store, "a", "http://two", 8, 1)
    assert all_bindings(store) == {("a", "http://one"): (7, 2), ("a", "http://two"): (8, 1)}
    drop_binding(store, "a", "http://one")
    drop_binding(store, "a", "http://one")
    assert all_bindings(store) == {("a", "http://two"): (8, 1)}


def test_the_budget_is_spent_and_comes_back(store):
    """Ten per window; what is older than the window no longer counts."""
    claims = [claim_recovery(store, "http://a", 1000.0 + n, 10, 600.0) for n in range(12)]
    assert claims == [True] * 10 + [False] * 2
    assert not claim_recovery(store, "http://a", 1599.9, 10, 600.0)
    assert claim_recovery(store, "http://a", 1600.0, 10, 600.0)
    assert not claim_recovery(store, "http://a", 1600.0, 10, 600.0)


def test_no_budget_no_recovery(store):
    """A budget of zero forbids."""
    assert not claim_recovery(store, "http://a", 1000.0, 0, 600.0)


def test_old_claims_are_pruned(store):
    """The table does not grow with the years."""
    for day in range(5):
        assert claim_recovery(store, "http://a", day * 100_000.0, 1, 600.0)
    assert store.execute("SELECT count(*) FROM recoveries").fetchone() == (1,)


def test_a_clock_set_back_blocks_for_a_window_at_most(store):
    """Claims from a far future are dropped; from a near one they count."""
    assert claim_recovery(store, "http://a", 1_000_000.0, 1, 600.0)
    assert not claim_recovery(store, "http://a", 999_500.0, 1, 600.0)
    assert claim_recovery(store, "http://a", 5_000.0, 1, 600.0)


@given(
    st.lists(st.floats(min_value=0, max_value=400), max_size=40),
    st.integers(min_value=0, max_value=4),
)
def test_no_window_holds_more_claims_than_the_budget(waits, budget):
    """Whatever the pace of asking."""
    connection, now_s, granted = empty_store(), 1000.0, []
    for wait_s in waits:
        now_s += wait_s
        if claim_recovery(connection, "http://a", now_s, budget, 600.0):
            granted.append(now_s)
            assert sum(moment > now_s - 600.0 for moment in granted) <= budget
        else:
            assert sum(moment > now_s - 600.0 for moment in granted) == budget
    connection.close()
