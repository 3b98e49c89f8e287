"""An order store in memory, and intents to put into it."""

from __future__ import annotations

import sqlite3
from decimal import Decimal

from fleetkit.store import Intent
from fleetkit.store.order_schema import ORDER_MIGRATIONS
from fleetkit.store.schema import migrate

NOON_S = 1_770_000_000.0


def memory_orders() -> sqlite3.Connection:
    """The tables of ``orders.db``, empty."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, ORDER_MIGRATIONS)
    return connection


def order_id(number: int) -> str:
    """The 26 characters of the order with this number."""
    return f"order-{number:020d}"


def intent(number: int = 1, **changes: object) -> Intent:
    """An order to open, in all its parts unless told otherwise."""
    fields = {
        "order_id": order_id(number),
        "account": 7100012,
        "agent": "vps01",
        "kind": "open",
        "created_s": NOON_S + number,
        "owner": "kernel",
        "symbol": "EURUSD",
        "side": "buy",
        "volume": Decimal("0.50"),
        "comment": "from a cell",
        "body": b'{"symbol":"EURUSD","lot":0.5}',
        "before": b'{"balance":"100.00"}',
    }
    return Intent(**fields | changes)  # type: ignore[arg-type]  # a test's own mistakes show
