"""The halt: no order that adds exposure goes out, from any kernel, until it is resumed.

Why: whoever stops trading must not have to find every notebook first. May import
`transaction`. The trap: ask within the transaction that writes the intent, or an order
may slip out between the question and the sending.

Moments are for the record only; no clock ends a halt.
"""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from fleetkit.store.transaction import durable

_SELECT: Final = "SELECT halted_s, halted_by, why, resumed_s, resumed_by FROM halts"


class Halt(msgspec.Struct, frozen=True):
    """Who stopped trading, when and why, and who let it go on."""

    halted_s: float
    by: str
    why: str
    resumed_s: float | None = None
    resumed_by: str | None = None


def halt(connection: sqlite3.Connection, *, by: str, why: str, now_s: float) -> Halt:
    """Stop trading; the halt that stands, which is the first of several."""
    with durable(connection):
        standing = halted(connection)
        connection.execute(
            "INSERT INTO halts (halted_s, halted_by, why) VALUES (?, ?, ?)", (now_s, by, why)
        )
        return standing or Halt(now_s, by, why)


def resume(connection: sqlite3.Connection, *, by: str, now_s: float) -> bool:
    """End every halt that stands; whether there was one."""
    with durable(connection):
        ended = connection.execute(
            "UPDATE halts SET resumed_s = ?, resumed_by = ? WHERE resumed_s IS NULL", (now_s, by)
        )
        return ended.rowcount > 0


def halted(connection: sqlite3.Connection) -> Halt | None:
    """The halt that stands, or ``None``."""
    row = connection.execute(
        f"{_SELECT} WHERE resumed_s IS NULL ORDER BY number LIMIT 1"
    ).fetchone()
    return None if row is None else Halt(*row)


def all_halts(connection: sqlite3.Connection) -> list[Halt]:
    """All there ever were, the first one first."""
    return [Halt(*row) for row in connection.execute(f"{_SELECT} ORDER BY number")]
