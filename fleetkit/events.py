"""What panels and logs subscribe to: one record per thing that happened.

Why: a panel reads the event a cell's call caused and never fetches twice. May
import `trading`. The trap: handlers run on the loop thread; they must return at
once and never print.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from fleetkit.trading import OrderKind, Outcome

log = logging.getLogger("fleetkit.events")


class Refreshing(msgspec.Struct, frozen=True):
    """An agent is being asked."""

    agent: str
    account: int | None
    what: str


class Refreshed(msgspec.Struct, frozen=True):
    """An agent answered."""

    agent: str
    account: int | None
    what: str
    latency_ms: float


class RefreshFailed(msgspec.Struct, frozen=True):
    """An agent did not answer, or not with what was asked for."""

    agent: str
    account: int | None
    what: str
    error: str


class RecoveryStarted(msgspec.Struct, frozen=True):
    """An agent's terminal is being reconnected."""

    agent: str
    account: int | None


class RecoveryEnded(msgspec.Struct, frozen=True):
    """The reconnect is over."""

    agent: str
    account: int | None
    succeeded: bool


class LabelChanged(msgspec.Struct, frozen=True):
    """A phase or group was set."""

    account: int


class OrderSent(msgspec.Struct, frozen=True):
    """The first byte of an order may have gone; what became of it is not known yet."""

    agent: str
    account: int
    order_id: str
    kind: OrderKind


class OrderStep(msgspec.Struct, frozen=True):
    """A step of an order is on disk, in the journal's words: ``intended``, ``outcome``, …"""

    agent: str
    account: int
    order_id: str
    step: str
    outcome: Outcome | None  # None before there is one


class OrderSettled(msgspec.Struct, frozen=True):
    """An order has an outcome that is on disk; after ``unknown`` another one follows."""

    agent: str
    account: int
    order_id: str
    outcome: Outcome
    ticket: int | None


Event = (
    Refreshing
    | Refreshed
    | RefreshFailed
    | RecoveryStarted
    | RecoveryEnded
    | LabelChanged
    | OrderStep
    | OrderSent
    | OrderSettled
)
Handler = Callable[[Event], None]


class EventBus:
    """Hands each event to every handler, on the loop thread."""

    def __init__(self) -> None:
        self._handlers: list[Handler] = []

    def __repr__(self) -> str:
        return f"<EventBus {len(self._handlers)} handlers>"

    def subscribe(self, handler: Handler) -> Callable[[], None]:
        """Call `handler` for every event from now on; returns the way to stop."""
        self._handlers.append(handler)

        def unsubscribe() -> None:
            if handler in self._handlers:
                self._handlers.remove(handler)

        return unsubscribe

    def publish(self, event: Event) -> None:
        """Tell every handler; one that fails is logged and does not stop the others."""
        for handler in tuple(self._handlers):
            try:
                handler(event)
            except Exception:  # a broken panel must not break the fleet
                log.exception("An event handler failed")

    @property
    def is_watched(self) -> bool:
        """Whether building an event is worth its cost."""
        return bool(self._handlers)
