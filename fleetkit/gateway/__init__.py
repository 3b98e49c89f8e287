"""One agent's session: what everything above reads through.

Why: identity, meaning of times, suspicion of empty answers, health and cache meet
here, once for every kind of reading. May import `cache`, `health`, `http`,
`store`, `frames` and below. The trap: an agent's answer is a claim. It becomes a
fact only after the account number in it is the one this agent is bound to.
"""

from fleetkit.gateway.adopt import adopt_time
from fleetkit.gateway.bindings import Bindings, Verdict
from fleetkit.gateway.landing import landed, outcome, status_of
from fleetkit.gateway.session import Gateway
from fleetkit.gateway.trading import Hold, Listed
from fleetkit.gateway.values import Caches, DealsValue, Failure, PositionsValue, TradesValue

__all__ = [
    "Bindings",
    "Caches",
    "DealsValue",
    "Failure",
    "Gateway",
    "Hold",
    "Listed",
    "PositionsValue",
    "TradesValue",
    "Verdict",
    "adopt_time",
    "landed",
    "outcome",
    "status_of",
]
