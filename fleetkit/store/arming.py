"""The arming: for how long, how much and where orders may add exposure, counted by all kernels.

Why: a fleet is closed by default, and the limit a person set is one limit, however many
notebooks trade under it. May import `arming_rules`, `volumes` and `transaction`. The
trap: what `live` says is over as soon as it is said; only `spend` counts, and it counts
before the order goes out.

Time is the wall clock, and no jump of it prolongs an arming. Found past its end, it is
ended for good, so a clock set back later does not revive it. Found more than
`clocks.CLOCK_TOLERANCE_S` before its making or before the last moment that any kernel has
counted at, it is ended too. Of a smaller or unseen jump the caller's `Clock.take_jump` knows,
and reports it to `live`: it must ask for that before it arms, or it ends what it has just made.
"""

from __future__ import annotations

import operator
import sqlite3
from collections.abc import Iterable
from decimal import Decimal

from fleetkit.store.arming_rules import (
    Arming,
    Refusal,
    already_counted,
    arming_of,
    check,
    common,
    is_over,
    names_text,
    refusal,
)
from fleetkit.store.transaction import durable
from fleetkit.store.volumes import to_units

_COLUMNS = (
    "arming_id, made_s, until_s, seen_s, max_volume, max_orders, used_volume, used_orders, "
    "accounts, symbols, ended_s, ended_why"
)


def arm(
    connection: sqlite3.Connection,
    arming_id: str,
    *,
    until_s: float,
    max_volume: Decimal,
    max_orders: int,
    accounts: Iterable[int] | None,
    symbols: Iterable[str] | None,
    now_s: float,
) -> Arming:
    """Allow orders to add exposure, or join the arming that is live under the smaller limits.

    Of both the earlier end holds, the smaller volume and number that are left, and the
    accounts and symbols of both; ``None`` is all of them, and nothing is allowed where
    nothing is common. The limits stay so small when the second one is done with.

    Returns
    -------
    Arming
        Its id is another one than asked for when a live one was joined; whoever joined
        need not disarm.
    """
    wanted = Arming(
        arming_id=arming_id,
        made_s=now_s,
        until_s=until_s,
        seen_s=now_s,
        max_volume=max_volume,
        max_orders=max_orders,
        accounts=None if accounts is None else frozenset(map(operator.index, accounts)),
        symbols=None if symbols is None else frozenset(symbols),
    )
    check(wanted)
    with durable(connection):
        before = live(connection, now_s)
        if before is None:
            _insert(connection, wanted)
        else:
            _narrow(connection, before, wanted)
        return live(connection, now_s) or wanted


def live(connection: sqlite3.Connection, now_s: float, *, jumped: bool = False) -> Arming | None:
    """The arming under which orders may go out now, or ``None``.

    Parameters
    ----------
    jumped
        The caller's wall clock was set, or its machine slept, since it asked last.
    """
    current = _current(connection)
    if current is None or not (why := is_over(current, now_s, jumped=jumped)):
        return current
    _end(connection, current.arming_id, now_s, why)
    return None


def disarm(connection: sqlite3.Connection, arming_id: str, now_s: float) -> bool:
    """End an arming now; ``False`` when it was over already."""
    return _end(connection, arming_id, now_s, "disarmed")


def find_arming(connection: sqlite3.Connection, arming_id: str) -> Arming | None:
    """One arming, live or over; ``None`` when there never was such a one."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM armings WHERE arming_id = ?", (arming_id,)
    ).fetchone()
    return None if row is None else arming_of(row)


def spend(
    connection: sqlite3.Connection,
    arming_id: str,
    order_id: str,
    *,
    account: int,
    symbol: str,
    volume: Decimal,
    now_s: float,
) -> Refusal | None:
    """Count an order against the limits, or say why it may not go out.

    Counted is counted, whatever becomes of the order; see `refund`. An order is counted
    once: its id a second time is refused.
    """
    units = to_units(volume)
    with durable(connection):
        live(connection, now_s)  # ends it where it is over
        current = find_arming(connection, arming_id)
        refused = refusal(current, account=account, symbol=symbol, volume=volume)
        if refused is not None:
            return refused
        if _was_counted(connection, order_id):
            return already_counted(order_id)
        connection.execute(
            "INSERT INTO spendings (order_id, arming_id, volume, joins, spent_s) "
            "SELECT ?, arming_id, ?, joins, ? FROM armings WHERE arming_id = ?",
            (order_id, units, now_s, arming_id),
        )
        connection.execute(
            "UPDATE armings SET used_volume = used_volume + ?, used_orders = used_orders + 1, "
            "seen_s = max(seen_s, ?) WHERE arming_id = ?",
            (units, now_s, arming_id),
        )
    return None


def refund(connection: sqlite3.Connection, order_id: str, now_s: float) -> bool:
    """Give back what an order was counted with, once; only when it was proven not executed.

    What was counted before another arming joined under smaller limits does not widen
    those: it is taken off what was used and off the limit alike.
    """
    with durable(connection):
        row = connection.execute(
            "SELECT s.arming_id, s.volume, s.joins < a.joins FROM spendings s "
            "JOIN armings a USING (arming_id) WHERE s.order_id = ? AND s.refunded_s IS NULL",
            (order_id,),
        ).fetchone()
        if row is None:
            return False
        arming_id, units, joined_since = row
        connection.execute(
            "UPDATE spendings SET refunded_s = ? WHERE order_id = ?", (now_s, order_id)
        )
        connection.execute(
            "UPDATE armings SET used_volume = used_volume - :units, "
            "used_orders = used_orders - 1, max_volume = max_volume - :units * :joined, "
            "max_orders = max_orders - :joined WHERE arming_id = :arming",
            {"units": units, "joined": joined_since, "arming": arming_id},
        )
        return True


def _current(connection: sqlite3.Connection) -> Arming | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM armings WHERE ended_s IS NULL").fetchone()
    return None if row is None else arming_of(row)


def _was_counted(connection: sqlite3.Connection, order_id: str) -> bool:
    rows = connection.execute("SELECT 1 FROM spendings WHERE order_id = ?", (order_id,))
    return rows.fetchone() is not None


def _insert(connection: sqlite3.Connection, new: Arming) -> None:
    connection.execute(
        "INSERT INTO armings (arming_id, made_s, until_s, seen_s, max_volume, max_orders, "
        "accounts, symbols) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            new.arming_id,
            new.made_s,
            new.until_s,
            new.seen_s,
            to_units(new.max_volume),
            new.max_orders,
            names_text(new.accounts),
            names_text(new.symbols),
        ),
    )


def _narrow(connection: sqlite3.Connection, before: Arming, wanted: Arming) -> None:
    connection.execute(
        "UPDATE armings SET until_s = min(until_s, :until), joins = joins + 1, "
        "seen_s = max(seen_s, :now), "
        "max_volume = min(max_volume, used_volume + :volume), "
        "max_orders = min(max_orders, used_orders + :orders), "
        "accounts = :accounts, symbols = :symbols WHERE arming_id = :arming",
        {
            "until": wanted.until_s,
            "now": wanted.made_s,
            "volume": to_units(wanted.max_volume),
            "orders": wanted.max_orders,
            "accounts": names_text(common(before.accounts, wanted.accounts)),
            "symbols": names_text(common(before.symbols, wanted.symbols)),
            "arming": before.arming_id,
        },
    )


def _end(connection: sqlite3.Connection, arming_id: str, now_s: float, why: str) -> bool:
    with durable(connection):
        ended = connection.execute(
            "UPDATE armings SET ended_s = ?, ended_why = ? WHERE arming_id = ? AND ended_s IS NULL",
            (now_s, why, arming_id),
        )
        return ended.rowcount == 1
