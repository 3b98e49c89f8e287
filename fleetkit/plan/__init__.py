"""An order before it is sent: rounding, stops, money, margin.

Why: what a plan shows is what is sent, so both come from one place. May import
`policy`, `contract`, `trading` and `model`. Prices and money are `Decimal`.
The trap: nothing is guessed. A stop whose distance cannot be worked out, or an agent that may
take prices for pips, refuses the order with the sentence that says what to do.
"""

from __future__ import annotations

from fleetkit.plan.facts import (
    AccountFacts,
    PositionFacts,
    PriceFacts,
    SymbolFacts,
    decimal,
    pip_of,
)
from fleetkit.plan.orders import plan_close, plan_modify, plan_open
from fleetkit.plan.requests import close_request, modify_request, open_request

__all__ = [
    "AccountFacts",
    "PositionFacts",
    "PriceFacts",
    "SymbolFacts",
    "close_request",
    "decimal",
    "modify_request",
    "open_request",
    "pip_of",
    "plan_close",
    "plan_modify",
    "plan_open",
]
