"""What became of an order, as it is told.

See the package's docstring. The trap: the repr must say first what a reader must
not overlook: that a fill is only inferred, and that stops are not where they should be.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from fleetkit.errors import OrderNotFilled
from fleetkit.html import visible_text
from fleetkit.model import Side


class Outcome(StrEnum):
    """What became of an order."""

    FILLED = "filled"  # executed, wholly or in part
    REJECTED = "rejected"  # agent or broker said no
    NOT_SENT = "not_sent"  # no byte left this machine, or fleetkit itself refused
    NOT_EXECUTED = "not_executed"  # sent, and later proven absent
    UNKNOWN = "unknown"  # everything else


class OrderKind(StrEnum):
    """What an order does. Only an open adds exposure."""

    OPEN = "open"
    CLOSE = "close"
    MODIFY = "modify"


class Evidence(StrEnum):
    """How an outcome is known."""

    ANSWER = "answer"  # the agent's answer to the trade call itself
    BY_ID = "by_id"  # the agent's own log of orders, asked by id
    INFERRED = "inferred"  # what only this order explains, unless a person did the same
    POSITION = "position"  # the position itself: still there unchanged, or its stops read back
    HISTORY = "history"  # a closed trade with that position_id
    BALANCE = "balance"  # a ticket absent under positive control, and the balance moved
    ABSENCE = "absence"  # positive control, balance and history all say: nothing happened
    PERSON = "person"  # somebody looked and said so
    LOCAL = "local"  # no byte left this machine; nobody else need be asked
    NONE = "none"  # nothing proves anything yet


class AgentCall(msgspec.Struct, frozen=True):
    """One request that an order made."""

    call: str  # its name in the contract
    ms: float


def add_call(timings: dict[str, float], call: str, ms: float) -> None:
    """Add a request; one that was made before is kept apart: ``positions``, ``positions#2``."""
    key, count = call, 1
    while key in timings:
        count += 1
        key = f"{call}#{count}"
    timings[key] = ms


def name_of_call(key: str) -> str:
    """The call of a key that `add_call` made."""
    return key.partition("#")[0]


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Every request that an order made, in order, and how long it took."""

    calls: tuple[AgentCall, ...] = ()
    total_ms: float | None = None  # from the call to the receipt

    @property
    def agent_ms(self) -> float:
        """What the agent's calls took together."""
        return sum(call.ms for call in self.calls)

    @property
    def overhead_ms(self) -> float | None:
        """What fleetkit itself took: the total without the agent's calls."""
        return None if self.total_ms is None else self.total_ms - self.agent_ms


class Receipt(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """What became of one order.

    Attributes
    ----------
    order_id : str
        By which `Fleet.orders` finds it.
    symbol, side, volume
        As asked for, after rounding; ``None`` where a close or modify does not know.
    filled_volume : decimal.Decimal or None
        Lots really executed; ``None`` where nobody said.
    stops_ok : bool or None
        Whether the stops were read back as asked; ``None`` where none were asked for.
    reason : str
        A sentence: why this outcome.
    retryable : bool
        Whether the price merely moved on. fleetkit never sends again by itself.
    candidates : tuple of int
        Tickets of which one may be this order's.
    replayed : bool
        This is the receipt of an earlier call of the same order; nothing was sent now.
    """

    order_id: str
    account: int
    agent: str
    kind: OrderKind
    outcome: Outcome
    evidence: Evidence
    reason: str = ""
    symbol: str | None = None
    side: Side | None = None
    volume: Decimal | None = None
    filled_volume: Decimal | None = None
    ticket: int | None = None
    price: float | None = None
    sl: float | None = None
    tp: float | None = None
    stops_ok: bool | None = None
    retcode: int | None = None
    retryable: bool = False
    candidates: tuple[int, ...] = ()
    replayed: bool = False
    timings: Timings = Timings()

    def raise_unless_filled(self) -> Receipt:
        """Return the receipt of a filled order.

        Raises
        ------
        OrderNotFilled
            For every other outcome, with what to do about it.
        """
        if self.outcome is Outcome.FILLED:
            return self
        raise OrderNotFilled(
            f"Order {self.order_id} on account {self.account} was not filled but {self.outcome}: "
            f"{self.reason or 'no reason given'} {_advice(self.outcome, self.order_id)}",
            order_id=self.order_id,
            account=self.account,
            outcome=self.outcome.value,
        )

    def _repr_html_(self) -> str:
        from fleetkit.trading.cards import receipt_html  # which knows receipts

        return receipt_html(self)

    def __repr__(self) -> str:
        words = [*self._warnings(), self.outcome.value, self.kind.value]
        words += [str(part) for part in (self.side, self._lots(), self.symbol) if part is not None]
        words.append(f"on {self.account}")
        if self.ticket is not None:
            words.append(f"ticket {self.ticket}")
        if self.price is not None:
            words.append(f"at {self.price:.10g}")
        if self.reason and self.outcome is not Outcome.FILLED:
            words.append(f"({visible_text(self.reason)})")
        return f"<Receipt {' '.join(words)}, order {self.order_id}>"

    def _warnings(self) -> list[str]:
        found = []
        if self.evidence is Evidence.INFERRED:
            found.append("INFERRED, may be a person's trade:")
        if self.stops_ok is False:
            found.append("stops_ok=False:")
        if self.replayed:
            found.append("replayed:")
        return found

    def _lots(self) -> str | None:
        asked = None if self.volume is None else f"{self.volume:f}"
        if self.filled_volume in (None, self.volume):
            return asked
        return f"{self.filled_volume:f} of {asked or 'all'}"


def _advice(outcome: Outcome, order_id: str) -> str:
    if outcome is Outcome.UNKNOWN:
        return (
            "It may have been executed: do not send it again. fleet.reconcile() shows what is "
            f"open; if the terminal shows what happened, fleet.resolve({order_id!r}, "
            "executed=...) settles it."
        )
    if outcome is Outcome.REJECTED:
        return "Nothing was executed; correct the cause before you send another order."
    return "Nothing was executed; it is safe to send another order."
