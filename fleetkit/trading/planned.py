"""An order before it is sent: what was asked for, what will be sent, and why not.

See the package's docstring. The trap: a planned order with a refusal is still a
row of the plan, with everything in it that could be worked out.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum, StrEnum
from typing import Final, Literal

import msgspec

from fleetkit.model import Side, StopsUnit
from fleetkit.trading.receipts import OrderKind


class _StopChange(Enum):
    """What a modify does to a stop, where it is not given another level."""

    KEEP = "KEEP"
    REMOVE = "REMOVE"

    def __repr__(self) -> str:
        return f"fk.{self.value}"


KEEP: Final = _StopChange.KEEP
"""Leave that stop of a position where it is."""
REMOVE: Final = _StopChange.REMOVE
"""Take that stop off a position."""

Keep = Literal[_StopChange.KEEP]
Remove = Literal[_StopChange.REMOVE]


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """Where a stop shall be: a price level, or a distance in pips or in money.

    At most one of them; none at all is no stop. Distances are positive.
    """

    price: Decimal | None = None
    pips: Decimal | None = None
    money: Decimal | None = None

    @property
    def given(self) -> int:
        """How many of the three were given."""
        return sum(value is not None for value in (self.price, self.pips, self.money))


class Rule(StrEnum):
    """What can refuse an order before it is sent."""

    VOLUME = "volume"
    SYMBOL = "symbol"
    QUOTE = "quote"
    STOPS = "stops"
    STOPS_UNIT = "stops_unit"
    PARTIAL_CLOSE = "partial_close"
    NETWORK_STORE = "network_store"
    BINDING = "binding"
    MARGIN_MODE = "margin_mode"
    HALTED = "halted"
    NOT_ARMED = "not_armed"
    ARMED_SCOPE = "armed_scope"
    ARMED_VOLUME = "armed_volume"
    ARMED_ORDERS = "armed_orders"
    LOCKED = "locked"
    POLICY_SYMBOL = "policy_symbol"
    POLICY_VOLUME = "policy_volume"
    POLICY_OPEN_VOLUME = "policy_open_volume"
    POLICY_HEDGING = "policy_hedging"


class Refusal(msgspec.Struct, frozen=True):
    """Why an order may not go out, in a sentence that says what to do."""

    rule: Rule
    sentence: str


class PlannedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One order as it would be sent.

    Attributes
    ----------
    asked_volume, volume : decimal.Decimal or None
        Lots as asked for and as sent; a close of everything sends none.
    entry : decimal.Decimal or None
        The price the order would have met when it was planned.
    sl_price, sl_pips, sl_money, tp_price, tp_pips, tp_money
        The same stop three ways, as far as they can be worked out; distances are positive.
    sent_sl, sent_tp : decimal.Decimal or None
        What goes over the wire, in `stops_unit`; 0 removes, ``None`` is left out.
    stops_tolerance : decimal.Decimal or None
        How far from its level a stop may be found after the fill before it is off.
    spread_cost, risk, margin
        Money in account currency; ``None`` where it cannot be worked out.
    refusal : Refusal or None
        Why it will not be sent.
    """

    account: int
    agent: str
    kind: OrderKind
    symbol: str | None = None
    side: Side | None = None
    ticket: int | None = None
    asked_volume: Decimal | None = None
    volume: Decimal | None = None
    entry: Decimal | None = None
    sl_price: Decimal | None = None
    sl_pips: Decimal | None = None
    sl_money: Decimal | None = None
    tp_price: Decimal | None = None
    tp_pips: Decimal | None = None
    tp_money: Decimal | None = None
    stops_unit: StopsUnit | None = None
    sent_sl: Decimal | None = None
    sent_tp: Decimal | None = None
    stops_tolerance: Decimal | None = None
    spread_cost: Decimal | None = None
    risk: Decimal | None = None
    margin: Decimal | None = None
    comment: str | None = None
    warnings: tuple[str, ...] = ()
    refusal: Refusal | None = None
