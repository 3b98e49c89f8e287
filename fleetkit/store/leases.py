"""Leases: one process at a time trades an account.

Why: two kernels that trade one account at once cannot tell whose ticket is whose. May
import `clocks`, `owner` and `transaction`. The trap: a lease can be lost between any two steps (the
process was stopped, the machine slept), so ask `holds` after every wait and right before
the first byte; a process that woke up too late then holds an old token.

Time is the wall clock, which all processes of the machine share. A lease lasts while the
clock stands between its renewal and its end. A clock set forward past the end, or back by
more than `clocks.CLOCK_TOLERANCE_S` before the renewal, loses it for its owner and frees it for
the others, at the same moment by the same rule; it is never lost for one and kept by the
other. A clock set back by less lets it last that much longer.

A lease does not survive a power cut, and need not: neither does its owner.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Final

import msgspec

from fleetkit.store.clocks import was_set_back
from fleetkit.store.owner import Owner, is_alive
from fleetkit.store.transaction import quick

_OWNER: Final = msgspec.json.Decoder(Owner)
_SELECT: Final = (
    "SELECT account, token, owner, acquired_s, renewed_s, expires_s FROM leases WHERE account = ?"
)
_MINE: Final = "WHERE account = ? AND token = ? AND owner IS NOT NULL"


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to trade one account until ``expires_s``; the token tells it from all others."""

    account: int
    token: int
    owner: Owner
    acquired_s: float
    renewed_s: float
    expires_s: float

    def lasts(self, now_s: float) -> bool:
        """Whether the clock says that it is valid; not whether it was taken over."""
        return now_s < self.expires_s and not was_set_back(now_s, self.renewed_s)


def acquire(
    connection: sqlite3.Connection,
    account: int,
    owner: Owner,
    now_s: float,
    ttl_s: float,
    is_alive: Callable[[Owner], bool] = is_alive,
) -> Lease | None:
    """Take an account's lease if it is free, has run out, or its owner's process is gone.

    An owner that holds it gets none either: two tasks of one process are two traders.

    Returns
    -------
    Lease or None
        With a token above all before it; ``None`` while another one is valid.
    """
    if _in_use(connection, account, now_s, is_alive):
        return None  # without the write lock, as this may be asked often
    with quick(connection):
        if _in_use(connection, account, now_s, is_alive):
            return None
        connection.execute(
            "INSERT INTO leases (account, token, owner, acquired_s, renewed_s, expires_s) "
            "VALUES (?, 1, ?, ?, ?, ?) ON CONFLICT (account) DO UPDATE "
            "SET token = token + 1, owner = excluded.owner, acquired_s = excluded.acquired_s, "
            "renewed_s = excluded.renewed_s, expires_s = excluded.expires_s",
            (account, msgspec.json.encode(owner).decode(), now_s, now_s, now_s + ttl_s),
        )
        return lease_of(connection, account)


def renew(connection: sqlite3.Connection, lease: Lease, now_s: float, ttl_s: float) -> Lease | None:
    """Let a lease last until `ttl_s` from now; ``None`` when it is lost, also by time."""
    with quick(connection):
        if not holds(connection, lease, now_s):
            return None
        connection.execute(
            f"UPDATE leases SET renewed_s = ?, expires_s = ? {_MINE}",
            (now_s, now_s + ttl_s, lease.account, lease.token),
        )
        return lease_of(connection, lease.account)


def release(connection: sqlite3.Connection, lease: Lease) -> bool:
    """Give a lease back; ``False``, and no harm done, when it was another's already."""
    with quick(connection):
        given = connection.execute(
            f"UPDATE leases SET owner = NULL {_MINE}", (lease.account, lease.token)
        )
        return given.rowcount == 1


def holds(connection: sqlite3.Connection, lease: Lease, now_s: float) -> bool:
    """Whether the lease is still its owner's and has not run out: may a byte be sent?

    Between the answer and the byte nothing may wait; `Lease.lasts` costs no trip to the
    store's thread and can be asked once more.
    """
    current = lease_of(connection, lease.account)
    return current is not None and current.token == lease.token and current.lasts(now_s)


def lease_of(connection: sqlite3.Connection, account: int) -> Lease | None:
    """The lease that was taken last and not given back; it may have run out."""
    row = connection.execute(_SELECT, (account,)).fetchone()
    return None if row is None or row[2] is None else _lease(row)


def _in_use(
    connection: sqlite3.Connection,
    account: int,
    now_s: float,
    is_alive: Callable[[Owner], bool],
) -> bool:
    current = lease_of(connection, account)
    return current is not None and current.lasts(now_s) and is_alive(current.owner)


def _lease(row: tuple[Any, ...]) -> Lease:
    account, token, owner, acquired_s, renewed_s, expires_s = row
    return Lease(
        account=account,
        token=token,
        owner=_OWNER.decode(owner),
        acquired_s=acquired_s,
        renewed_s=renewed_s,
        expires_s=expires_s,
    )
