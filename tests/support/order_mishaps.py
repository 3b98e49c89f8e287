"""What goes wrong around an order of a storm, as data: faults of trades and of reads.

Each trade mishap says how the agent answers for certain, where it does. The trap: a read
mishap during the call itself may keep an order from being sent, so most strike the trade
routes only, and those of reads are set beside them now and then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Any, Literal

import msgspec

from fleetkit.sim import Faults

TRADES = ("open", "close", "modify")
LATE_S = 0.4  # until a late order is executed; below every grace of a storm

Answered = Literal["plainly", "no"] | None


@dataclass(frozen=True)
class Mishap:
    """One agent's condition during one order.

    ``answered`` is how it answers for certain; ``weight`` how often it strikes. After some
    not even the agent's own log knows, and an order may stay in doubt.
    """

    name: str
    faults: Faults
    weight: int = 2
    answered: Answered = None
    layer: str | None = None
    kinds: frozenset[str] = frozenset(TRADES)
    log_knows: bool = True


def _trade(name: str, weight: int = 2, **faults: Any) -> Mishap:
    return Mishap(name, Faults(routes=TRADES, **faults), weight)


def _text(name: str, text: str | bool) -> Mishap:
    return _trade(name, executed_as_400=text)


def _only(mishap: Mishap, layer: str, answered: Answered = None) -> Mishap:
    return replace(mishap, layer=layer, answered=answered)


def _vague(mishap: Mishap) -> Mishap:
    return replace(mishap, log_knows=False)


def _open(mishap: Mishap, answered: Answered = None) -> Mishap:
    return replace(mishap, kinds=frozenset({"open"}), answered=answered)


MISHAPS = (
    Mishap("nothing", Faults(), weight=20, answered="plainly"),
    _trade("answer lost", 8, lost_answer=True),
    _vague(_trade("executed late", 5, late_execution_s=LATE_S)),
    _text("executed as 400", True),
    _text("executed, order_send failed", "order_send failed: (-10005, 'IPC timeout')"),
    _text("executed, exception", "Exception: 'NoneType' object has no attribute 'retcode'"),
    _text("executed, localised", "Order failed: Превышено время ожидания"),
    _trade("executed in part", 3, partial_fill=0.5),
    _vague(_trade("placed only", retcode=10008)),
    _vague(_trade("timed out at the broker", retcode=10012)),
    _trade("done under another code", retcode=10010),
    _only(_trade("no money", retcode=10019), "extended", "no"),
    _only(_trade("requoted", retcode=10004), "extended", "no"),
    _only(_trade("market closed", retcode=10018), "base"),
    _trade("redirected", 3, status_code=302),
    _trade("gateway timeout after it was done", status_code=504),
    _trade("error page", html_error=True),
    _trade("answer cut off", malformed_json=True),
    _trade("reset in the answer", reset_in_body=True),
    _trade("hung up before", goaway="before"),
    _trade("hung up after", goaway="after"),
    _only(_trade("queue full", queue_full=True), "extended", "no"),
    _only(_trade("queue full", queue_full=True), "base"),
    Mishap("wrong account", Faults(answers_account=7_999_999)),
    Mishap("disconnected", Faults(disconnected=True)),
    Mishap("nobody listens", Faults(refuse=True), weight=1),
    _vague(_trade("hangs", 1, hang=True)),
    _open(_trade("a person does the same", 3, foreign_trade="identical"), "plainly"),
    _open(_trade("a person too, answer lost", 4, foreign_trade="identical", lost_answer=True)),
    _open(_trade("a person elsewhere, answer lost", 3, foreign_trade="other", lost_answer=True)),
    _open(_trade("stopped at once", 2, stop_hit=True), "plainly"),
    _open(_trade("stopped at once, answer lost", 3, stop_hit=True, lost_answer=True)),
    _only(Mishap("rolled back", Faults(rolled_back=True), weight=1), "extended"),
)

READS = (
    Faults(),
    Faults(empty_positions="right"),
    Faults(empty_positions="zero"),
    Faults(empty_positions="right", empty_history=True),
    Faults(history_lag_s=1.0),
)
"""What reads say while an order is reconciled."""


STRIKE_ANY_ROUTE = (
    *("status_code", "html_error", "malformed_json", "hang", "goaway", "reset_in_body"),
    "queue_full",
)


def draw(random: Random, kind: str, layer: str, calm: float = 0.0) -> Mishap:
    """A mishap that can strike such an order; nothing at all with probability ``calm``."""
    if random.random() < calm:
        return MISHAPS[0]
    fitting = [m for m in MISHAPS if kind in m.kinds and m.layer in (None, layer)]
    return random.choices(fitting, [m.weight for m in fitting])[0]


def afterwards(random: Random) -> Faults:
    """What an agent's reads are like between two orders, healthy more often than not."""
    return random.choices(READS, (12, 1, 1, 1, 1))[0]


def with_reads(trade: Faults, reads: Faults) -> Faults:
    """Both at once, where the trade mishap leaves the reads alone."""
    if trade.routes is None or reads == Faults():
        return trade
    changed = {
        name: getattr(reads, name) for name in ("empty_positions", "empty_history", "history_lag_s")
    }
    routes = (*trade.routes, "accounts", "positions", "trade_history")
    if any(getattr(trade, name) for name in STRIKE_ANY_ROUTE):
        return trade  # the reads as well, and nothing would be sent
    return msgspec.structs.replace(trade, routes=routes, **changed)
