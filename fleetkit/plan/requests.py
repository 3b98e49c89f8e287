"""A planned order as the body of its trade call.

Why: what was shown is what is sent, and this is the only place that makes it. May
import `contract` and `trading`. The trap: a field that an old agent does not know must be
absent, not null; so an order id goes in only where the agent takes one.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec import UNSET

from fleetkit.contract import CloseRequest, ModifyRequest, OpenRequest
from fleetkit.errors import UsageError
from fleetkit.model import Side
from fleetkit.trading import PlannedOrder


def open_request(order: PlannedOrder, order_id: str | None = None) -> OpenRequest:
    """The body of ``POST /positions/open``.

    Raises
    ------
    UsageError
        When the plan refuses the order.
    """
    _check(order)
    if order.symbol is None or order.side is None or order.volume is None:
        raise UsageError("An open needs a symbol, a side and a volume; plan it with plan_open.")
    return OpenRequest(
        symbol=order.symbol,
        lot=float(order.volume),
        order_type="BUY" if order.side is Side.BUY else "SELL",
        sl=_float(order.sent_sl),
        tp=_float(order.sent_tp),
        comment=order.comment,
        order_id=order_id,
    )


def close_request(order: PlannedOrder, order_id: str | None = None) -> CloseRequest:
    """The body of ``POST /positions/close``; a plan that refuses raises `UsageError`."""
    _check(order)
    return CloseRequest(
        ticket=_ticket(order),
        volume=UNSET if order.volume is None else float(order.volume),
        order_id=UNSET if order_id is None else order_id,
    )


def modify_request(order: PlannedOrder, order_id: str | None = None) -> ModifyRequest:
    """The body of ``PUT /positions/modify``; a plan that refuses raises `UsageError`."""
    _check(order)
    return ModifyRequest(
        ticket=_ticket(order),
        sl=_float(order.sent_sl),
        tp=_float(order.sent_tp),
        order_id=order_id,
    )


def _check(order: PlannedOrder) -> None:
    if order.refusal is not None:
        raise UsageError(f"This order is not sent: {order.refusal.sentence}")


def _ticket(order: PlannedOrder) -> int:
    if order.ticket is None:
        raise UsageError("A close or modify needs the ticket of its position.")
    return order.ticket


def _float(number: Decimal | None) -> float | None:
    return None if number is None else float(number)
