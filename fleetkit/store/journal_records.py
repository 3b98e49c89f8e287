"""What the journal holds of an order, as records, and how it refuses.

Why: an intent is written once and each event once, and both must read the same years
later. May import `errors`. The trap: a field that was written once is never renamed or
given another meaning; what an older fleetkit did not know is ignored by it.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from fleetkit.errors import StoreError


class OrderTerms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an order asks for, as a list of orders shows it.

    ``kind`` is ``open``, ``close`` or ``modify``; ``key`` tells a cell that is run again,
    unique within an arming; ``owner`` is the `Owner.id` of who wrote it. Moments are
    wall-clock seconds since 1970.
    """

    order_id: str
    account: int
    agent: str
    kind: str
    created_s: float
    owner: str
    symbol: str | None = None
    side: str | None = None
    volume: Decimal | None = None
    ticket: int | None = None
    key: str | None = None
    arming_id: str | None = None
    pair_id: str | None = None
    comment: str | None = None


class Intent(OrderTerms, frozen=True, kw_only=True, gc=False):
    """All that is on disk before the first byte is sent.

    ``body`` is the request exactly as it will be sent; ``before`` the caller's snapshot of
    the account, JSON in the caller's words.
    """

    body: bytes
    before: bytes | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What one event says; ``None`` is "nothing of that".

    Later events add to earlier ones and overrule them field by field; what they come to
    is `Head.facts`. ``memo`` is text of the caller's own that it must find again.
    """

    outcome: str | None = None
    ticket: int | None = None
    price: float | None = None
    filled_volume: Decimal | None = None
    retcode: int | None = None
    reason: str | None = None
    evidence: str | None = None
    stops_ok: bool | None = None
    retryable: bool | None = None
    sent_s: float | None = None
    status_code: int | None = None
    answer: str | None = None
    candidates: tuple[int, ...] | None = None
    sl_price: float | None = None
    tp_price: float | None = None
    by: str | None = None
    timings: dict[str, float] | None = None
    memo: str | None = None

    def followed_by(self, later: Facts) -> Facts:
        """Both together, the later one where they differ."""
        new = {
            name: value
            for name in self.__struct_fields__
            if (value := getattr(later, name)) is not None
        }
        return msgspec.structs.replace(self, **new) if new else self


NO_FACTS = Facts()


class OrderEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of an order's life. Numbers rise by one; moments may go back, as clocks do."""

    order_id: str
    number: int
    at_s: float
    state: str
    settled: bool
    owner: str
    facts: Facts


class Head(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an order's events come to; ``number`` is the last one's."""

    number: int
    state: str
    at_s: float
    settled_s: float | None
    facts: Facts

    @property
    def settled(self) -> bool:
        """Whether nothing is left to be found out."""
        return self.settled_s is not None


class OrderRow(msgspec.Struct, frozen=True, gc=False):
    """One order of a list: without request and snapshot, which can be large."""

    terms: OrderTerms
    head: Head


class OrderRecord(msgspec.Struct, frozen=True):
    """One order with everything that reconciliation needs."""

    intent: Intent
    head: Head


class OrderExists(StoreError):
    """The id, or the key within its arming, is in the journal; nothing was written.

    Attributes
    ----------
    earlier : OrderRecord
        The order that has it.
    """

    def __init__(self, earlier: OrderRecord) -> None:
        self.earlier = earlier
        intent, head = earlier.intent, earlier.head
        super().__init__(
            f"Order {intent.order_id} of account {intent.account} was journalled before and is "
            f"{head.state}. Look at it instead of sending it again."
        )


class OrderMoved(StoreError):
    """Another process or task has written an event of this order meanwhile; nothing was written.

    Attributes
    ----------
    head : Head
        Where the order stands now: decide again from there.
    """

    def __init__(self, order_id: str, expected: int, head: Head) -> None:
        self.head = head
        super().__init__(
            f"Order {order_id} went on to event {head.number} ({head.state}) while event "
            f"{expected + 1} was to be written. Read it again."
        )


class OrderNotFound(StoreError, LookupError):
    """There is no such order in the journal of this store."""

    def __init__(self, order_id: str) -> None:
        super().__init__(
            f"There is no order {order_id} in this store. Look for it with fleet.orders(), and "
            "check FLEETKIT_HOME."
        )


class TicketClaimed(StoreError):
    """The ticket is the result of another order already; nothing was written.

    Attributes
    ----------
    order_id : str
        That order.
    """

    def __init__(self, account: int, ticket: int, order_id: str) -> None:
        self.order_id = order_id
        super().__init__(
            f"Ticket {ticket} of account {account} is the result of order {order_id}, so it "
            "cannot be another's as well. Look for another ticket."
        )
