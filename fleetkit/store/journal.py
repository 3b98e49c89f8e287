"""The journal of orders: an intent before the first byte, then an event for each step.

Why: whoever restarts must know every order that may have gone out, and two processes
must not both say how it ended. May import `journal_records` and `transaction`. The trap:
an answer shown before `append_event` has returned is an answer that can be lost.

The store does not know the states; the caller names them, and says with each event
whether the order is settled by it. Moments are only shown and sorted by: what comes first
is told by the number of an event, so a clock set back or forward confuses no order.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from fleetkit.store.claims import take_ticket
from fleetkit.store.journal_records import (
    NO_FACTS,
    Facts,
    Head,
    Intent,
    OrderEvent,
    OrderExists,
    OrderMoved,
    OrderNotFound,
    OrderRecord,
    OrderRow,
    OrderTerms,
    TicketClaimed,
)
from fleetkit.store.transaction import durable

_TERMS: Final = OrderTerms.__struct_fields__
_INTENT: Final = Intent.__struct_fields__
_HEAD: Final = ("number", "state", "at_s", "settled_s", "facts")
_EVENT: Final = ("order_id", "number", "at_s", "state", "settled", "owner", "facts")
_FACTS: Final = msgspec.json.Decoder(Facts)


def _columns(table: str, names: Iterable[str]) -> str:
    return ", ".join(f"{table}.{name}" for name in names)


def _insert(table: str, names: Sequence[str]) -> str:
    marks = ", ".join("?" * len(names))
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"


_INSERT_ORDER: Final = _insert("orders", _INTENT)
_INSERT_EVENT: Final = _insert("order_events", _EVENT)
_INSERT_HEAD: Final = _insert("order_heads", ("order_id", *_HEAD))
_JOINED: Final = "FROM orders JOIN order_heads USING (order_id)"
_ROWS: Final = f"SELECT {_columns('order_heads', _HEAD)}, {_columns('orders', _TERMS)} {_JOINED}"
_RECORDS: Final = (
    f"SELECT {_columns('order_heads', _HEAD)}, {_columns('orders', _INTENT)} {_JOINED}"
)
_IN_ORDER: Final = "ORDER BY orders.created_s, orders.order_id"


def write_intent(
    connection: sqlite3.Connection, intent: Intent, *, state: str, facts: Facts = NO_FACTS
) -> None:
    """Put an order on disk, with its first event; only then may a byte of it be sent.

    Raises
    ------
    OrderExists
        When the id, or the key within the same arming, is there already. The caller
        that gets it must not send.
    """
    with durable(connection):
        earlier = order(connection, intent.order_id)
        if earlier is None and intent.key is not None:
            earlier = order_with_key(connection, intent.key, arming_id=intent.arming_id)
        if earlier is not None:
            raise OrderExists(earlier)
        values = msgspec.structs.asdict(intent)
        if intent.volume is not None:
            values["volume"] = format(intent.volume, "f")
        connection.execute(_INSERT_ORDER, [values[name] for name in _INTENT])
        event = OrderEvent(
            order_id=intent.order_id,
            number=1,
            at_s=intent.created_s,
            state=state,
            settled=False,
            owner=intent.owner,
            facts=facts,
        )
        _insert_event(connection, event)
        head = (event.order_id, event.number, state, event.at_s, None, _text(facts))
        connection.execute(_INSERT_HEAD, head)


def append_event(
    connection: sqlite3.Connection,
    order_id: str,
    *,
    expected: int,
    state: str,
    at_s: float,
    owner: str,
    settled: bool = False,
    facts: Facts = NO_FACTS,
    claim: int | None = None,
) -> Head:
    """Add the next event of an order, and claim a ticket as its result along with it.

    Parameters
    ----------
    expected
        The `Head.number` on which the caller has decided.
    settled
        Whether nothing is left to be found out of the order.
    claim
        A ticket that becomes this order's and no other's.

    Returns
    -------
    Head
        Where the order stands now.

    Raises
    ------
    OrderMoved
        Another event was written since.
    TicketClaimed
        The ticket is another order's.
    OrderNotFound
        There is no such order.
    """
    with durable(connection):
        head, account = _head(connection, order_id)
        if head.number != expected:
            raise OrderMoved(order_id, expected, head)
        if claim is not None:
            other = take_ticket(connection, account, claim, order_id)
            if other is not None:
                raise TicketClaimed(account, claim, other)
        event = OrderEvent(
            order_id=order_id,
            number=expected + 1,
            at_s=at_s,
            state=state,
            settled=settled,
            owner=owner,
            facts=facts,
        )
        return _write_next(connection, head, event)


def order(connection: sqlite3.Connection, order_id: str) -> OrderRecord | None:
    """One order with its request and snapshot, or ``None``."""
    rows = connection.execute(f"{_RECORDS} WHERE orders.order_id = ?", (order_id,))
    return next(map(_record, rows), None)


def order_with_key(
    connection: sqlite3.Connection, key: str, *, arming_id: str | None
) -> OrderRecord | None:
    """The order that has this key within one arming, or outside of any."""
    rows = connection.execute(
        f"{_RECORDS} WHERE orders.key = ? AND ifnull(orders.arming_id, '') = ?",
        (key, arming_id or ""),
    )
    return next(map(_record, rows), None)


def latest_with_key(connection: sqlite3.Connection, key: str) -> OrderRecord | None:
    """The order that was journalled last under this key, in whatever arming."""
    rows = connection.execute(
        f"{_RECORDS} WHERE orders.key = ? ORDER BY orders.rowid DESC LIMIT 1", (key,)
    )
    return next(map(_record, rows), None)


def orders(
    connection: sqlite3.Connection,
    *,
    since_s: float | None = None,
    accounts: Iterable[int] | None = None,
    open_only: bool = False,
) -> list[OrderRow]:
    """Orders by the time of their intent, the earliest first.

    Parameters
    ----------
    since_s
        Leave out what was journalled before this moment.
    accounts
        Only of these.
    open_only
        Only what is not settled.
    """
    conditions: list[str] = []
    values: list[Any] = []
    if open_only:
        conditions.append("order_heads.settled_s IS NULL")
    if since_s is not None:
        conditions.append("orders.created_s >= ?")
        values.append(since_s)
    if accounts is not None:
        # As one value: SQLite takes only so many of them.
        conditions.append("orders.account IN (SELECT value FROM json_each(?))")
        values.append(json.dumps([int(account) for account in accounts]))
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    rows = connection.execute(f"{_ROWS} {where}{_IN_ORDER}", values)
    return [OrderRow(OrderTerms(**_order_fields(_TERMS, row)), _head_of(row)) for row in rows]


def unsettled(connection: sqlite3.Connection) -> list[OrderRecord]:
    """Everything that may still come to something, with what reconciliation needs."""
    rows = connection.execute(f"{_RECORDS} WHERE order_heads.settled_s IS NULL {_IN_ORDER}")
    return [_record(row) for row in rows]


def events(connection: sqlite3.Connection, order_id: str) -> list[OrderEvent]:
    """The life of one order, from the intent on; empty when there is no such order."""
    rows = connection.execute(
        f"SELECT {', '.join(_EVENT)} FROM order_events WHERE order_id = ? ORDER BY number",
        (order_id,),
    )
    return [_event(row) for row in rows]


def _insert_event(connection: sqlite3.Connection, event: OrderEvent) -> None:
    values = [getattr(event, name) for name in _EVENT[:-1]]
    connection.execute(_INSERT_EVENT, [*values, _text(event.facts)])


def _head(connection: sqlite3.Connection, order_id: str) -> tuple[Head, int]:
    row = connection.execute(
        f"SELECT {_columns('order_heads', _HEAD)}, orders.account {_JOINED} "
        "WHERE orders.order_id = ?",
        (order_id,),
    ).fetchone()
    if row is None:
        raise OrderNotFound(order_id)
    return _head_of(row), row[-1]


def _write_next(connection: sqlite3.Connection, head: Head, event: OrderEvent) -> Head:
    settled_s = None
    if event.settled:
        settled_s = event.at_s if head.settled_s is None else head.settled_s
    after = Head(
        number=event.number,
        state=event.state,
        at_s=event.at_s,
        settled_s=settled_s,
        facts=head.facts.followed_by(event.facts),
    )
    _insert_event(connection, event)
    connection.execute(
        "UPDATE order_heads SET number = ?, state = ?, at_s = ?, settled_s = ?, facts = ? "
        "WHERE order_id = ?",
        (after.number, after.state, after.at_s, settled_s, _text(after.facts), event.order_id),
    )
    return after


def _text(facts: Facts) -> str:
    return msgspec.json.encode(facts).decode()


def _head_of(row: Sequence[Any]) -> Head:
    number, state, at_s, settled_s, facts = row[: len(_HEAD)]
    return Head(
        number=number, state=state, at_s=at_s, settled_s=settled_s, facts=_FACTS.decode(facts)
    )


def _record(row: Sequence[Any]) -> OrderRecord:
    return OrderRecord(Intent(**_order_fields(_INTENT, row)), _head_of(row))


def _order_fields(names: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
    fields = dict(zip(names, row[len(_HEAD) :], strict=True))
    if fields["volume"] is not None:
        fields["volume"] = Decimal(fields["volume"])
    return fields


def _event(row: Sequence[Any]) -> OrderEvent:
    fields = dict(zip(_EVENT, row, strict=True))
    fields["settled"] = bool(fields["settled"])
    fields["facts"] = _FACTS.decode(fields["facts"])
    return OrderEvent(**fields)
