"""The words and frozen records of trading: outcomes, receipts, planned orders, policies.

Why: plan, policy, the life of an order, the store and the config speak of the same
things. May import `model`, `html` and `errors`. Volumes and money are `Decimal`
wherever they are compared or sent.
The trap: ``None`` means "not known". A receipt without a ticket is not one of ticket 0.
"""

from __future__ import annotations

from fleetkit.trading.cards import plan_html
from fleetkit.trading.lines import OrderLine
from fleetkit.trading.planned import KEEP, REMOVE, Keep, PlannedOrder, Refusal, Remove, Rule, Stop
from fleetkit.trading.policies import Hedging, Policies, TradingPolicy
from fleetkit.trading.receipts import (
    AgentCall,
    Evidence,
    OrderKind,
    Outcome,
    Receipt,
    Timings,
    add_call,
    name_of_call,
)

__all__ = [
    "KEEP",
    "REMOVE",
    "AgentCall",
    "Evidence",
    "Hedging",
    "Keep",
    "OrderKind",
    "OrderLine",
    "Outcome",
    "PlannedOrder",
    "Policies",
    "Receipt",
    "Refusal",
    "Remove",
    "Rule",
    "Stop",
    "Timings",
    "TradingPolicy",
    "add_call",
    "name_of_call",
    "plan_html",
]
