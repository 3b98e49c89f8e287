"""What evidence says of an order, and how long nothing must have happened.

Why: hedging, netting and an agent's own log speak one language. May import
`readings` and `trading`. The trap: `NotExecuted` lets somebody send the order again.
It takes two readings and the grace between them, and never comes from one.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from fleetkit.orders.readings import Rules, Sighting
from fleetkit.trading import Evidence


class Executed(msgspec.Struct, frozen=True):
    """The order was executed; ``None`` is what the evidence does not tell."""

    evidence: Evidence
    ticket: int | None = None
    filled_volume: Decimal | None = None
    price: float | None = None
    sl: Decimal | None = None
    tp: Decimal | None = None
    retcode: int | None = None


class NotExecuted(msgspec.Struct, frozen=True):
    """The order was sent and is proven absent."""

    evidence: Evidence
    why: str


class Refused(msgspec.Struct, frozen=True):
    """The agent's own log says that it or the broker said no."""

    why: str
    retcode: int | None = None


class Undecided(msgspec.Struct, frozen=True):
    """Nothing is proven yet."""

    why: str
    candidates: tuple[int, ...] = ()


Verdict = Executed | NotExecuted | Refused | Undecided


def quiet_pair(quiet: Sequence[Sighting], rules: Rules, evidence: Evidence) -> NotExecuted | None:
    """Conclude that nothing was executed from the first and the last quiet reading.

    They must be the grace apart, and the last one must come after the trade's deadline
    and the grace (T13).
    """
    if len(quiet) < 2:
        return None
    first = min(each.at for each in quiet)
    last = max(each.at for each in quiet)
    if last - first < rules.grace_s or last < rules.not_before:
        return None
    why = f"Two reads {last - first:.0f} s apart show that nothing was executed."
    return NotExecuted(evidence, why)
