"""The receipt of an order, from its state.

Why: whoever asks, a cell, a panel or a replay, gets the same record of it. May import
`records` and `trading`. The trap: what is not on disk yet is not told; until then an order
is unknown.
"""

from __future__ import annotations

from typing import Final

from fleetkit.orders.records import OrderState, Settlement
from fleetkit.trading import Outcome, Receipt, Timings

NOT_WRITTEN: Final = Settlement(
    outcome=Outcome.UNKNOWN, reason="The order is under way; nothing is written down of it yet."
)


def receipt_of(
    state: OrderState, *, timings: Timings | None = None, replayed: bool = False
) -> Receipt:
    """What became of an order, as far as it is on disk."""
    order, known = state.intent, state.settlement or NOT_WRITTEN
    return Receipt(
        order_id=order.order_id,
        account=order.account,
        agent=order.agent,
        kind=order.kind,
        outcome=known.outcome,
        evidence=known.evidence,
        reason=known.reason,
        symbol=order.symbol,
        side=order.side,
        volume=order.volume,
        filled_volume=known.filled_volume,
        ticket=known.ticket or order.ticket,
        price=known.price,
        sl=known.sl,
        tp=known.tp,
        stops_ok=known.stops_ok,
        retcode=known.retcode,
        retryable=known.retryable,
        candidates=known.candidates,
        replayed=replayed,
        timings=timings or Timings(),
    )
