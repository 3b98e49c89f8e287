"""What proves that a close or modify came too late to do anything.

Why: an agent's "Position … not found" is no definite refusal, and a lost answer none at
all, but what was not open can be neither closed nor modified. May import `readings`,
`verdicts` and `trading`. The trap: a list that lacks a ticket proves its absence only where
it is surely a real one (T2), and the absence proves something only of a ticket that had
been a position before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from fleetkit.orders.readings import BeforeSnapshot, Claims, Rules, Sighting, Sought
from fleetkit.orders.verdicts import NotExecuted, quiet_pair
from fleetkit.trading import Evidence

WHY: Final = "Its position was not open any more right before it was sent."


def judge_gone(
    order: Sought,
    before: BeforeSnapshot,
    sightings: Sequence[Sighting],
    claims: Claims,
    rules: Rules,
) -> NotExecuted | None:
    """Conclude that a close or modify did nothing, as its ticket was gone before its send.

    The proof: a ticket is given once. Whatever opens, adds, reverses or rolls over keeps
    the ticket of a position or mints a new one (T5), and none returns. So a ticket that
    was a position, and that a real list of the account does not show, is no position from
    then on: nothing that is sent after that list can close or modify it, however late it
    is executed. What an earlier close of it still does is no exception. That one, too,
    needs the position, so it had been executed before the list.

    What has to hold for that, each of them checked:

    * The list of before is a real one: it shows a position, and all that was known to be
      open and is not in the history of closed trades. Nothing that was read since refutes
      it: neither this ticket nor another known one that it lacks is there.
    * The ticket had been a position before the list: it is in the history of closed trades
      of that moment, an earlier list showed it, or an order that was settled before told of
      it. One that was never seen may be of what was pending, and be opened between the list
      and the send.
    * Reads of the same account, the grace apart, had their chance to refute it.
    """
    ticket = order.ticket
    if ticket is None or not before.is_real(but=ticket) or ticket in before.tickets:
        return None
    if not (claims.was_open or ticket in before.old_tickets):
        return None
    shown = any(ticket in each.listed for each in sightings)
    if shown or before.is_refuted(sightings, claims.older):
        return None
    read = [each for each in sightings if each.positions is not None]
    found = quiet_pair(read, rules, Evidence.POSITION)
    return None if found is None else msgspec.structs.replace(found, why=WHY)
