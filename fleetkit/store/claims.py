"""Which ticket is the result of which order.

Why: two orders that were lost alike see the same new ticket, and only one of them can
have made it. May import `transaction`. The trap: a claim is for good; claim with the
event that settles the order (`append_event(claim=...)`), not before.
"""

from __future__ import annotations

import sqlite3

from fleetkit.store.transaction import durable


def claim_ticket(connection: sqlite3.Connection, account: int, ticket: int, order_id: str) -> bool:
    """Make a ticket the result of one order; whether it is that order's now."""
    with durable(connection):
        return take_ticket(connection, account, ticket, order_id) is None


def claimed_tickets(connection: sqlite3.Connection, account: int) -> dict[int, str]:
    """``{ticket: order_id}`` of an account's tickets that are some order's result."""
    rows = connection.execute(
        "SELECT ticket, order_id FROM claims WHERE account = ? ORDER BY ticket", (account,)
    )
    return dict(rows.fetchall())


def take_ticket(
    connection: sqlite3.Connection, account: int, ticket: int, order_id: str
) -> str | None:
    """Within a transaction: the other order that has the ticket, else it is this one's."""
    row = connection.execute(
        "SELECT order_id FROM claims WHERE account = ? AND ticket = ?", (account, ticket)
    ).fetchone()
    if row is not None:
        return None if row[0] == order_id else str(row[0])
    connection.execute("INSERT INTO claims VALUES (?, ?, ?)", (account, ticket, order_id))
    return None
