"""One write transaction, begun so that it cannot fail half-way.

Why: ``BEGIN IMMEDIATE`` takes the write lock before the first read, so what a
function has checked stays true until it commits, whatever other processes do.
May import nothing of fleetkit. The trap: a plain ``BEGIN`` would let two kernels
read the same state and then refuse one of them with "database is locked".
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def immediate(connection: sqlite3.Connection) -> Iterator[None]:
    """Everything inside happens, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk may have rolled it back already
            connection.execute("ROLLBACK")
        raise
