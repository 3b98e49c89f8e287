"""What other orders of the account that are not settled cannot have done.

Why: an order that stays unknown for good would else keep every later one of its symbol
unknown. May import `readings` and `model`. The trap: to say that something is not a
rival's is to say that it is this order's. A clock that may have jumped, a list that may be
wrong and a history that lags prove nothing of the kind.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from fleetkit.model import Side
from fleetkit.orders.readings import BeforeSnapshot, Claims, Contender


class NewTicket(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket that was not there before, as its opener must fit it.

    Attributes
    ----------
    at_least : decimal.Decimal
        Lots that it surely had: open at one moment, or closed altogether.
    was_open : bool
        A list since has shown it; else only the history of closed trades did.
    """

    ticket: int
    side: Side
    at_least: Decimal
    opened: datetime | None
    was_open: bool


def is_contested(new: NewTicket, before: BeforeSnapshot, claims: Claims) -> bool:
    """Whether a rival of the order that ``before`` is of may have opened a new ticket."""
    if not claims.contenders:
        return claims.rivals
    # Open now and lacking in a real list: it was opened after that list. What only the
    # history shows may have been opened and closed long before, and appear late (T8).
    is_newer = new.was_open and before.is_real() and new.ticket not in before.tickets
    return any(_may_have_opened(each, new, is_newer=is_newer) for each in claims.contenders)


def _may_have_opened(rival: Contender, new: NewTicket, *, is_newer: bool) -> bool:
    if rival.side is not None and rival.side is not new.side:
        return False
    # Of less than was asked it may be a part, or what is left of it.
    if rival.volume is not None and rival.volume < new.at_least:
        return False
    if new.ticket in rival.old_tickets:
        return False
    # By the agent's clock it may be in time: then one of the two clocks is wrong.
    in_time = rival.window is not None and rival.window.holds(new.opened)
    return in_time or not (rival.is_over and is_newer)


def may_have_changed(before: BeforeSnapshot, claims: Claims) -> bool:
    """Whether a rival may have changed a volume since ``before``, which ``before`` then lacks."""
    if not (claims.contenders and before.is_real()):
        return claims.rivals
    return not all(each.is_over for each in claims.contenders)
