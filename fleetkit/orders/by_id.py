"""What an agent's own log says became of an order.

Why: our own agent knows an order by its id, which beats every inference. May import
`classify`, `verdicts`, `contract` and `trading`.
The trap: an agent rolled back to the base layer answers 404 to everything it does not
know. Only the body ``never_received`` counts, only after deadline and grace, and only
from the bound account of an agent whose capability was confirmed just now.
"""

from __future__ import annotations

import codecs

import msgspec

from fleetkit.contract import ORDER_STATUS, REFUSED, OrderStatus, OrderStatusWire
from fleetkit.orders.classify import (
    BODY_MAX,
    UNREADABLE,
    Answer,
    Asked,
    is_done,
    lots,
    shown,
)
from fleetkit.orders.verdicts import Executed, NotExecuted, Refused, Undecided, Verdict
from fleetkit.trading import Evidence, OrderKind


class Doubts(msgspec.Struct, frozen=True, kw_only=True):
    """What decides whether an agent's word counts.

    Attributes
    ----------
    account : int
        The one the agent is bound to.
    capability_confirmed : bool
        Whether ``GET /health`` just now, on the same agent, listed ``orders``.
    grace_over : bool
        Whether the trade's deadline and the grace have passed.
    was_received : bool
        Whether an earlier answer showed that the order arrived.
    """

    account: int
    capability_confirmed: bool
    grace_over: bool
    was_received: bool = False


def judge_by_id(asked: Asked, answer: Answer, doubts: Doubts) -> Verdict:
    """Read the answer of ``GET /orders/{order_id}``; never raises."""
    if answer.status not in (200, 404):
        return Undecided(f"Asked by id, the agent answered HTTP {answer.status}.")
    try:
        wire = _decode(answer.body)
    except UNREADABLE:
        return Undecided(f"Asked by id, the agent answered HTTP {answer.status} unreadably.")
    if wire.account_number != doubts.account:
        return Undecided("Asked by id, the agent answered for another account, or for none.")
    if wire.order_id != asked.order_id or wire.kind not in (None, asked.kind.value):
        return Undecided("Asked by id, the agent answered about another order.")
    if answer.status == 404:
        return _never_received(wire, doubts)
    return _told(asked, wire)


def _decode(body: bytes) -> OrderStatusWire:
    if len(body) > BODY_MAX:
        msg = "too large"
        raise ValueError(msg)
    return ORDER_STATUS.decode(body.removeprefix(codecs.BOM_UTF8))


def _never_received(wire: OrderStatusWire, doubts: Doubts) -> Verdict:
    if wire.status != OrderStatus.NEVER_RECEIVED:
        return Undecided("Asked by id, the agent answered 404 without saying never_received.")
    if not doubts.capability_confirmed:
        return Undecided("The agent may have been rolled back; its 404 proves nothing.")
    if doubts.was_received:
        return Undecided("The agent answered this order earlier and now says it never came.")
    if not doubts.grace_over:
        return Undecided("The order has not arrived yet; it still may.")
    return NotExecuted(Evidence.BY_ID, "The agent never received this order.")


def _told(asked: Asked, wire: OrderStatusWire) -> Verdict:
    words = shown(wire.message or "no reason given")
    if wire.status in (OrderStatus.FILLED, OrderStatus.PARTIALLY_FILLED):
        return _executed(asked, wire)
    if wire.status == OrderStatus.REJECTED and wire.retcode in (None, *REFUSED):
        return Refused(f"The agent's log says rejected: {words}", wire.retcode)
    if wire.status == OrderStatus.ACCEPTED:
        return Undecided("The agent has the order, and its terminal has not answered yet.")
    return Undecided(f"The agent itself does not know: {words}")


def _executed(asked: Asked, wire: OrderStatusWire) -> Verdict:
    if wire.retcode is not None and not is_done(asked.kind, wire.retcode):
        return Undecided(f"The agent says {wire.status} with retcode {wire.retcode}.")
    volume = lots(wire.volume)
    if volume is not None and asked.volume is not None and volume > asked.volume:
        return Undecided(f"The agent says that {volume:f} lots of {asked.volume:f} were executed.")
    if volume is None and wire.status == OrderStatus.FILLED:
        volume = asked.volume
    return Executed(
        Evidence.BY_ID,
        ticket=asked.ticket or wire.ticket or None,
        filled_volume=None if asked.kind is OrderKind.MODIFY else volume,
        price=wire.price or None,
        retcode=wire.retcode,
    )
