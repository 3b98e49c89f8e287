"""The tables of ``orders.db``: journal, claims, leases, armings, halts.

Why: apart from the labels' (see `store`). May import `schema`. The traps: a
migration that was released is never edited; and ``INSERT OR REPLACE`` deletes without
firing a trigger on DELETE, so the triggers before an INSERT refuse that.
"""

from __future__ import annotations

from typing import Final

from fleetkit.store.schema import Migrations


def _append_only(table: str) -> tuple[str, ...]:
    return tuple(
        f"""CREATE TRIGGER {table}_no_{verb} BEFORE {verb} ON {table}
        BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"""
        for verb in ("update", "delete")
    )


_JOURNAL: Final = (
    """CREATE TABLE orders (
        order_id TEXT NOT NULL PRIMARY KEY CHECK (length(order_id) = 26),
        account INTEGER NOT NULL,
        agent TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('open', 'close', 'modify')),
        symbol TEXT,
        side TEXT,
        volume TEXT,
        ticket INTEGER,
        key TEXT,
        arming_id TEXT,
        pair_id TEXT,
        comment TEXT,
        created_s REAL NOT NULL,
        owner TEXT NOT NULL,
        body BLOB NOT NULL,
        before BLOB
    )""",
    "CREATE INDEX orders_by_time ON orders (created_s)",
    "CREATE INDEX orders_by_account ON orders (account, created_s)",
    "CREATE UNIQUE INDEX orders_by_key ON orders (key, ifnull(arming_id, '')) "
    "WHERE key IS NOT NULL",
    """CREATE TRIGGER orders_no_replace BEFORE INSERT ON orders
        WHEN EXISTS (SELECT 1 FROM orders WHERE order_id = NEW.order_id)
        BEGIN SELECT RAISE(ABORT, 'orders is append-only'); END""",
    """CREATE TABLE order_events (
        order_id TEXT NOT NULL REFERENCES orders,
        number INTEGER NOT NULL,
        at_s REAL NOT NULL,
        state TEXT NOT NULL,
        settled INTEGER NOT NULL,
        owner TEXT NOT NULL,
        facts TEXT NOT NULL,
        PRIMARY KEY (order_id, number)
    ) WITHOUT ROWID""",
    # Also what refuses a REPLACE, a gap, and a number that another process has taken.
    """CREATE TRIGGER order_events_in_turn BEFORE INSERT ON order_events
        WHEN NEW.number <> 1 + (
            SELECT ifnull(max(number), 0) FROM order_events WHERE order_id = NEW.order_id
        )
        BEGIN SELECT RAISE(ABORT, 'order_events is append-only and numbered in turn'); END""",
    *_append_only("orders"),
    *_append_only("order_events"),
    # What the events of each order come to, so that a list of orders reads none of them.
    """CREATE TABLE order_heads (
        order_id TEXT NOT NULL PRIMARY KEY REFERENCES orders,
        number INTEGER NOT NULL,
        state TEXT NOT NULL,
        at_s REAL NOT NULL,
        settled_s REAL,
        facts TEXT NOT NULL
    )""",
    "CREATE INDEX order_heads_unsettled ON order_heads (order_id) WHERE settled_s IS NULL",
    """CREATE TABLE claims (
        account INTEGER NOT NULL,
        ticket INTEGER NOT NULL,
        order_id TEXT NOT NULL REFERENCES orders,
        PRIMARY KEY (account, ticket)
    ) WITHOUT ROWID""",
    """CREATE TRIGGER claims_no_replace BEFORE INSERT ON claims
        WHEN EXISTS (SELECT 1 FROM claims WHERE account = NEW.account AND ticket = NEW.ticket)
        BEGIN SELECT RAISE(ABORT, 'claims is append-only'); END""",
    *_append_only("claims"),
)
_GATES: Final = (
    # A row stays when its lease is given back: the token must rise over all of them.
    """CREATE TABLE leases (
        account INTEGER PRIMARY KEY,
        token INTEGER NOT NULL,
        owner TEXT,
        acquired_s REAL NOT NULL,
        renewed_s REAL NOT NULL,
        expires_s REAL NOT NULL
    )""",
    # Volumes are whole numbers of 1e-8 lots.
    """CREATE TABLE armings (
        arming_id TEXT NOT NULL PRIMARY KEY,
        made_s REAL NOT NULL,
        until_s REAL NOT NULL,
        seen_s REAL NOT NULL,
        max_volume INTEGER NOT NULL,
        max_orders INTEGER NOT NULL,
        used_volume INTEGER NOT NULL DEFAULT 0 CHECK (used_volume BETWEEN 0 AND max_volume),
        used_orders INTEGER NOT NULL DEFAULT 0 CHECK (used_orders BETWEEN 0 AND max_orders),
        joins INTEGER NOT NULL DEFAULT 0,
        accounts TEXT,
        symbols TEXT,
        ended_s REAL,
        ended_why TEXT
    )""",
    "CREATE UNIQUE INDEX armings_live ON armings (ended_s IS NULL) WHERE ended_s IS NULL",
    """CREATE TABLE spendings (
        order_id TEXT NOT NULL PRIMARY KEY,
        arming_id TEXT NOT NULL REFERENCES armings,
        volume INTEGER NOT NULL,
        joins INTEGER NOT NULL,
        spent_s REAL NOT NULL,
        refunded_s REAL
    )""",
    """CREATE TABLE halts (
        number INTEGER PRIMARY KEY,
        halted_s REAL NOT NULL,
        halted_by TEXT NOT NULL,
        why TEXT NOT NULL,
        resumed_s REAL,
        resumed_by TEXT
    )""",
    "CREATE INDEX halts_standing ON halts (number) WHERE resumed_s IS NULL",
)

ORDER_MIGRATIONS: Final[Migrations] = ((*_JOURNAL, *_GATES),)
"""One entry per schema version of ``orders.db``, as `schema.MIGRATIONS` for the labels."""
