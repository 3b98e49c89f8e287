"""The agent's own log of orders, on disk.

Why: an order id executes once, also across a crash, and an agent can say what
became of it. May import `contract` and the standard library.
The trap: an order is written down *before* the terminal is asked. One that is
still only "accepted" when the log is opened again had no answer written: nobody
knows whether it was executed, so it is ``unknown`` and is never executed again.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import msgspec

from fleetkit.contract import OrderStatus

Kind = Literal["open", "close", "modify"]

ORDER_ID: Final = re.compile(r"[A-Za-z0-9_-]{26}")
LOCK_S: Final = 2.0  # to wait for an ending agent to let go of the log

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS orders (
    order_id    TEXT PRIMARY KEY,
    kind        TEXT NOT NULL,
    digest      BLOB NOT NULL,   -- of the request, the id left out
    comment     TEXT NOT NULL,   -- the caller's; the terminal is given the id
    wanted      REAL,            -- lots asked for
    status      TEXT NOT NULL,
    received_at TEXT NOT NULL,
    settled_at  TEXT,
    ticket      INTEGER,
    deal        INTEGER,
    order_ticket INTEGER,
    volume      REAL,            -- lots executed
    price       REAL,
    retcode     INTEGER,
    message     TEXT,
    http_status INTEGER,
    reply       BLOB             -- the first answer, which is replayed
) WITHOUT ROWID
"""


class OrderLogError(Exception):
    """The log cannot be opened, read or written."""


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it came in."""

    order_id: str
    kind: Kind
    digest: bytes
    comment: str = ""
    wanted: float | None = None


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an order."""

    status: OrderStatus
    ticket: int | None = None
    deal: int | None = None
    order_ticket: int | None = None
    volume: float | None = None
    price: float | None = None
    retcode: int | None = None
    message: str | None = None


class LoggedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the log."""

    intent: Intent
    settlement: Settlement
    received_at: datetime
    settled_at: datetime | None = None
    http_status: int | None = None
    reply: bytes | None = None


class OrderLog:
    """One agent's orders in one SQLite file.

    One process has it at a time, and within it one thread.

    Parameters
    ----------
    path
        The file; ``":memory:"`` forgets everything at the end.

    Raises
    ------
    OrderLogError
        It cannot be opened, or another agent has it.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self._opened_by: dict[int, tuple[str, str]] = {}
        with _errors(path):
            self._connection = sqlite3.connect(
                path,
                timeout=LOCK_S,
                isolation_level=None,
                # Opened on one thread and used on another, never on two at once.
                check_same_thread=False,
            )
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def __repr__(self) -> str:
        return f"<fleetkit.agent OrderLog {str(self.path)!r}>"

    def close(self) -> None:
        """Let go of the file; may be called again."""
        self._connection.close()

    def accept(self, intent: Intent, now: datetime) -> LoggedOrder | None:
        """Write an order down; the row that is there already, ``None`` for a new one."""
        with _errors(self.path):
            cursor = self._connection.execute(
                "INSERT OR IGNORE INTO orders"
                " (order_id, kind, digest, comment, wanted, status, received_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    *(intent.order_id, intent.kind, intent.digest, intent.comment, intent.wanted),
                    *(OrderStatus.ACCEPTED.value, now.isoformat()),
                ),
            )
        return None if cursor.rowcount else self.find(intent.order_id)

    def withdraw(self, order_id: str) -> None:
        """Forget an accepted order that the terminal was never asked about."""
        with _errors(self.path):
            self._connection.execute(
                "DELETE FROM orders WHERE order_id = ? AND status = 'accepted'", (order_id,)
            )

    def settle(
        self,
        order_id: str,
        settlement: Settlement,
        now: datetime,
        *,
        http_status: int | None = None,
        reply: bytes | None = None,
    ) -> None:
        """Write down what became of an order, and the answer it got, the first one only."""
        made = settlement
        with _errors(self.path):
            self._connection.execute(
                "UPDATE orders SET status = ?, settled_at = ?, ticket = ?, deal = ?,"
                " order_ticket = ?, volume = ?, price = ?, retcode = ?, message = ?,"
                " http_status = coalesce(http_status, ?), reply = coalesce(reply, ?)"
                " WHERE order_id = ?",
                (
                    *(made.status.value, now.isoformat(), made.ticket, made.deal),
                    *(made.order_ticket, made.volume, made.price, made.retcode, made.message),
                    *(http_status, reply, order_id),
                ),
            )
        found = self.find(order_id)
        if found is not None:
            self._remember(found)

    def find(self, order_id: str) -> LoggedOrder | None:
        """One order, ``None`` where it never came."""
        with _errors(self.path):
            row = self._connection.execute(f"{_SELECT} WHERE order_id = ?", (order_id,)).fetchone()
        return None if row is None else _logged(row)

    def identify(self, position: int, comment: str) -> tuple[str | None, str]:
        """The order id and the caller's comment of a position.

        From the log by its ticket, else from a comment that is an order id.
        """
        known = self._opened_by.get(position)
        if known is not None:
            return known
        return (comment, "") if ORDER_ID.fullmatch(comment) else (None, comment)

    def _prepare(self) -> None:
        run = self._connection.execute
        run("PRAGMA locking_mode = EXCLUSIVE")  # a second agent is refused, not confused
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run(_SCHEMA)
        run("UPDATE orders SET status = 'unknown' WHERE status = 'accepted'")
        for row in run(f"{_SELECT} WHERE kind = 'open' AND ticket IS NOT NULL"):
            self._remember(_logged(row))

    def _remember(self, order: LoggedOrder) -> None:
        if order.intent.kind == "open" and order.settlement.ticket:
            # On a netting account the first order that opened a position names it.
            self._opened_by.setdefault(
                order.settlement.ticket, (order.intent.order_id, order.intent.comment)
            )


_SELECT: Final = (
    "SELECT order_id, kind, digest, comment, wanted, status, ticket, deal, order_ticket,"
    " volume, price, retcode, message, received_at, settled_at, http_status, reply FROM orders"
)

_Row = tuple[  # as _SELECT has them
    *tuple[str, Kind, bytes, str, float | None],
    *tuple[str, int | None, int | None, int | None, float | None, float | None],
    *tuple[int | None, str | None, str, str | None, int | None, bytes | None],
]


def _logged(row: _Row) -> LoggedOrder:
    order_id, kind, digest, comment, wanted = row[:5]
    status, ticket, deal, order_ticket, volume, price, retcode, message = row[5:13]
    received_at, settled_at, http_status, reply = row[13:]
    return LoggedOrder(
        intent=Intent(order_id=order_id, kind=kind, digest=digest, comment=comment, wanted=wanted),
        settlement=Settlement(
            status=OrderStatus(status),
            ticket=ticket,
            deal=deal,
            order_ticket=order_ticket,
            volume=volume,
            price=price,
            retcode=retcode,
            message=message,
        ),
        received_at=datetime.fromisoformat(received_at),
        settled_at=None if settled_at is None else datetime.fromisoformat(settled_at),
        http_status=http_status,
        reply=reply,
    )


@contextmanager
def _errors(path: Path | str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise OrderLogError(
            f"The order log {path} cannot be used: {error}. Check the disk, and that no other "
            "agent has this log."
        ) from error
