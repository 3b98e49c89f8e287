"""Which account each agent was found to serve.

Why: an agent's account is learned once and held against every later answer, also
by the next kernel. May import `transaction`. The trap: the key is name *and* URL,
so an agent that moved, or a name that was given anew, is learned again.
"""

from __future__ import annotations

import sqlite3

from fleetkit.store.transaction import immediate


def all_bindings(connection: sqlite3.Connection) -> dict[tuple[str, str], tuple[int, int]]:
    """``{(agent name, url): (account, confirmations)}`` of every agent ever bound."""
    rows = connection.execute("SELECT agent, url, account, confirmations FROM bindings")
    return {(agent, url): (account, confirmations) for agent, url, account, confirmations in rows}


def save_binding(
    connection: sqlite3.Connection, name: str, url: str, account: int, confirmations: int
) -> None:
    """Record the account of an agent and how many answers have confirmed it."""
    with immediate(connection):
        connection.execute(
            "INSERT INTO bindings (agent, url, account, confirmations) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (agent, url) DO UPDATE "
            "SET account = excluded.account, confirmations = excluded.confirmations",
            (name, url, account, confirmations),
        )


def drop_binding(connection: sqlite3.Connection, name: str, url: str) -> None:
    """Forget an agent's account; forgetting what was never known does no harm."""
    with immediate(connection):
        connection.execute("DELETE FROM bindings WHERE agent = ? AND url = ?", (name, url))
