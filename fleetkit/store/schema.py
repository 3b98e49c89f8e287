"""The tables beside the orders', and how an older file becomes a newer one.

Why: a file outlives many versions of fleetkit. May import `errors` and
`transaction`. The trap: a migration that was released is never edited; add the next one.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from fleetkit.errors import StoreError
from fleetkit.store.transaction import immediate

Migrations = tuple[tuple[str, ...], ...]

MIGRATIONS: Final[Migrations] = (
    (
        """CREATE TABLE labels (
            account INTEGER PRIMARY KEY,
            phase TEXT NOT NULL,
            vs_group TEXT NOT NULL
        )""",
        "CREATE INDEX labels_by_group ON labels (vs_group) WHERE vs_group <> ''",
        """CREATE TABLE bindings (
            agent TEXT NOT NULL,
            url TEXT NOT NULL,
            account INTEGER NOT NULL,
            confirmations INTEGER NOT NULL,
            PRIMARY KEY (agent, url)
        ) WITHOUT ROWID""",
        """CREATE TABLE recoveries (
            claimed_s REAL NOT NULL,
            agent_url TEXT NOT NULL
        )""",
        "CREATE INDEX recoveries_by_time ON recoveries (claimed_s)",
    ),
)
"""One entry per schema version; ``PRAGMA user_version`` counts those already done."""


def migrate(connection: sqlite3.Connection, migrations: Migrations = MIGRATIONS) -> None:
    """Bring the file to the newest schema; other kernels wait or see it done.

    Raises
    ------
    StoreError
        When a newer fleetkit wrote the file.
    """
    newest = len(migrations)
    if _version(connection, newest) == newest:
        return
    with immediate(connection):
        version = _version(connection, newest)  # again: another kernel may have been first
        for statements in migrations[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {newest}")


def _version(connection: sqlite3.Connection, newest: int) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > newest:
        raise StoreError(
            f"the file was written by a newer fleetkit (its schema is {version}, this one knows "
            f"up to {newest}). Upgrade fleetkit, or set FLEETKIT_HOME to another folder."
        )
    return version
