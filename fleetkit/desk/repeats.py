"""Whether a wish only repeats an order that the journal has.

Why: a cell that is run again must not send again, and an id must never tell of another
order than its own. May import `planning`, `journal`, `store` and `trading`.
The trap: a close that came to nothing is no reason not to close. It has no arming that
would end, so its cell would never close anything again.
"""

from __future__ import annotations

import sqlite3
from decimal import Decimal

from fleetkit import store
from fleetkit.desk import journal
from fleetkit.desk.planning import Wanted
from fleetkit.errors import UsageError
from fleetkit.store import OrderRecord
from fleetkit.trading import OrderKind, Receipt


def under_key(
    connection: sqlite3.Connection, key: str, wanted: Wanted
) -> tuple[str, OrderRecord | None]:
    """The order that this one repeats, if any, and else the key that is free for it."""
    found = store.latest_with_key(connection, key)
    while found is not None and (wanted.again or _came_to_nothing(found)):
        key += "+"
        found = store.latest_with_key(connection, key)
    return key, found


def is_same(found: OrderRecord, wanted: Wanted) -> bool:
    """Whether the order of an id is the very one that is wished for under that id."""
    then = found.intent
    if (then.account, then.kind) != (wanted.account, wanted.kind.value):
        return False
    if wanted.kind is not OrderKind.OPEN:
        return then.ticket == wanted.ticket
    side = None if wanted.side is None else wanted.side.value
    if (then.symbol, then.side) != (wanted.symbol, side):
        return False
    # It was rounded down to a step of its symbol, so by less than what was left of it.
    lost = (wanted.volume or Decimal(0)) - (then.volume or Decimal(0))
    return lost == 0 or 0 < lost < (then.volume or Decimal(0))


def replayed(found: OrderRecord, wanted: Wanted) -> Receipt:
    """The receipt of the order that is there.

    Raises
    ------
    UsageError
        It is another one under the same id, and its receipt would tell a lie.
    """
    if wanted.order_id is None or is_same(found, wanted):
        return journal.receipt_of(found, replayed=True)
    then = found.intent
    what = f"{then.kind} {then.symbol or then.ticket} on {then.account}"
    raise UsageError(f"order_id {then.order_id} is that of another order ({what}): give a new one.")


def _came_to_nothing(found: OrderRecord) -> bool:
    closes = found.intent.kind != OrderKind.OPEN
    return closes and found.head.facts.outcome in journal.REFUNDED
