"""Transactions: whole or not at all, inside each other, and on the disk when they say so."""

from __future__ import annotations

import sqlite3

import pytest

from fleetkit.errors import StoreError
from fleetkit.store import Store, durable, set_phase
from fleetkit.store.transaction import immediate, quick


@pytest.fixture
def connection():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY)")
    yield connection
    connection.close()


def insert(connection, number):
    connection.execute("INSERT INTO numbers VALUES (?)", (number,))


def insert_both(connection, kind, one, other):
    with kind(connection):
        insert(connection, one)
        insert(connection, other)


def numbers(connection):
    return [n for (n,) in connection.execute("SELECT number FROM numbers ORDER BY number")]


def synchronous(connection):
    return connection.execute("PRAGMA synchronous").fetchone()[0]


@pytest.mark.parametrize("kind", [immediate, durable, quick])
def test_a_part_that_fails_is_undone_alone(connection, kind):
    """What its caller did before and does afterwards is committed."""
    with durable(connection):
        insert(connection, 1)
        with pytest.raises(sqlite3.IntegrityError):
            insert_both(connection, kind, 2, 1)
        insert(connection, 3)
    assert not connection.in_transaction
    assert numbers(connection) == [1, 3]


@pytest.mark.parametrize("kind", [immediate, durable, quick])
def test_a_whole_that_fails_takes_its_parts_along(connection, kind):
    """Nothing of a part stays that had succeeded."""

    def work():
        with durable(connection):
            with kind(connection):
                insert(connection, 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert not connection.in_transaction
    assert numbers(connection) == []


def test_a_quick_commit_does_not_wait_and_leaves_the_rest_as_it_was(connection):
    """Also when it fails."""
    assert synchronous(connection) == 2
    with quick(connection):
        assert synchronous(connection) == 1
        insert(connection, 1)
    assert synchronous(connection) == 2
    with pytest.raises(sqlite3.IntegrityError), quick(connection):
        insert(connection, 1)
    assert synchronous(connection) == 2


def test_a_quick_part_does_not_weaken_the_whole(connection):
    """Inside a durable transaction it commits as durably."""
    with durable(connection):
        with quick(connection):
            insert(connection, 1)
            assert synchronous(connection) == 2
        with pytest.raises(sqlite3.OperationalError):  # so what holds here holds at the commit
            connection.execute("PRAGMA synchronous = NORMAL")


def test_a_durable_part_of_a_quick_whole_is_refused(connection):
    """What must survive a power cut cannot be hidden in what need not."""
    with pytest.raises(StoreError, match=r"store\.orders\.run"), quick(connection):
        insert_both(connection, durable, 1, 2)
    assert numbers(connection) == []


def test_orders_wait_for_the_disk_and_labels_do_not(tmp_path):
    """Each file's connection says so, and what is durable is refused on the labels'."""

    def write(connection):
        with durable(connection):
            set_phase(connection, 7, "R")

    with Store(tmp_path) as store:
        assert store.orders.run_blocking(synchronous) == 2
        assert store.run_blocking(synchronous) == 1
        with pytest.raises(StoreError, match=r"without waiting for the disk.*store\.orders\.run"):
            store.run_blocking(write)
