"""One write transaction, begun so that it cannot fail half-way.

Why: ``BEGIN IMMEDIATE`` takes the write lock before the first read, so what a
function has checked stays true until it commits, whatever other processes do.
May import `errors`. The trap: a plain ``BEGIN`` would let two kernels
read the same state and then refuse one of them with "database is locked".
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from fleetkit.errors import StoreError

_FULL: Final = 2


@contextmanager
def immediate(connection: sqlite3.Connection) -> Iterator[None]:
    """Everything inside happens, or nothing of it.

    Inside another transaction it is a part of that one: undone alone when it fails,
    and committed with the rest.
    """
    if connection.in_transaction:
        begin, commit, undo = "SAVEPOINT part", "RELEASE part", "ROLLBACK TO part"
    else:
        begin, commit, undo = "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"
    connection.execute(begin)
    try:
        yield
        connection.execute(commit)
    except BaseException:
        if connection.in_transaction:  # a full disk may have rolled it back already
            connection.execute(undo)
            if commit != "COMMIT":
                connection.execute(commit)
        raise


@contextmanager
def durable(connection: sqlite3.Connection) -> Iterator[None]:
    """The same, and when it has committed not even a power cut undoes it.

    Raises
    ------
    StoreError
        On a connection that does not wait for the disk; nothing was committed.
    """
    with immediate(connection):
        yield
        # SQLite refuses to change this inside a transaction, so it holds at the commit.
        if _synchronous(connection) < _FULL:
            raise StoreError(
                "orders were to be written without waiting for the disk; write them with "
                "store.orders.run(...)."
            )


@contextmanager
def quick(connection: sqlite3.Connection) -> Iterator[None]:
    """`immediate` that does not wait for the disk, for what need not survive a power cut.

    The next `durable` commit carries it to the disk along with its own. Inside another
    transaction it commits as that one does.
    """
    before = _synchronous(connection)
    if connection.in_transaction or before < _FULL:
        with immediate(connection):
            yield
        return
    connection.execute("PRAGMA synchronous = NORMAL")
    try:
        with immediate(connection):
            yield
    finally:
        connection.execute(f"PRAGMA synchronous = {before}")


def _synchronous(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA synchronous").fetchone()[0])
