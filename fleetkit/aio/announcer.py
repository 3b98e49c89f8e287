"""Who hears of the steps of orders: panels through events, and the log.

May import `events`, `orderlog`, `orders`, `store` and `trading`. The trap: it runs on
the loop thread, in the middle of an order; nothing here may wait or raise.
"""

from __future__ import annotations

from fleetkit import events
from fleetkit.orderlog import log, log_step
from fleetkit.orders.records import Intent
from fleetkit.store import Facts
from fleetkit.trading import Outcome, Receipt


class Announcer:
    """Publishes what the desk does."""

    def __init__(self, bus: events.EventBus) -> None:
        self._bus = bus

    def step(self, order_id: str, account: int, agent: str, what: str, facts: Facts) -> None:
        """Something of an order is on disk."""
        outcome = None if facts.outcome is None else Outcome(facts.outcome)
        self._bus.publish(events.OrderStep(agent, account, order_id, what, outcome))
        log_step(
            what,
            order_id=order_id,
            account=account,
            agent=agent,
            outcome=outcome,
            ticket=facts.ticket,
            reason=facts.reason or "",
        )

    def sent(self, intent: Intent) -> None:
        """Its first byte may have gone."""
        event = events.OrderSent(intent.agent, intent.account, intent.order_id, intent.kind)
        self._bus.publish(event)
        log_step("sent", order_id=intent.order_id, account=intent.account, agent=intent.agent)

    def shown(self, receipt: Receipt) -> None:
        """An outcome of it is on disk."""
        settled = events.OrderSettled(
            receipt.agent, receipt.account, receipt.order_id, receipt.outcome, receipt.ticket
        )
        self._bus.publish(settled)

    def broken(self, order_id: str, error: BaseException | None) -> None:
        """Following an order failed in a way that nobody foresaw."""
        log.error("following order %s failed", order_id, exc_info=error)
