"""May this order go out, and if not, why: arming, halt, locks and policies.

Why: deciding is separate from knowing, so each rule is a plain function of facts.
May import `trading`, `contract` and `model`. Counters, halt and locks live in the store;
their values come in here.
The trap: arming, limits, locks and halt gate only what *adds* exposure. Closing by
ticket must stay possible when everything else is refused (rule 10).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from fleetkit.html import visible_text
from fleetkit.model import Binding, MarginMode, Side
from fleetkit.trading import (
    Hedging,
    OrderKind,
    PlannedOrder,
    Policies,
    Refusal,
    Rule,
    TradingPolicy,
)

SURE_BINDINGS: Final = frozenset({Binding.CONFIGURED, Binding.CONFIRMED})


class Arming(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of the live arming, the smaller limits of all who joined it."""

    until: datetime
    volume_left: Decimal
    orders_left: int
    accounts: frozenset[int] | None = None
    symbols: frozenset[str] | None = None


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """One open position, as far as policies care."""

    symbol: str
    side: Side
    volume: Decimal


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that may speak against an order on one account; ``None`` is not known.

    Attributes
    ----------
    network_store : bool or None
        Whether the store lies on a network file system, whose locks cannot be trusted.
    margin_mode : MarginMode or None
        As configured, or as the agent's account says.
    halted : bool or None
        Whether `halt()` is in force.
    arming : Arming or None
        The live arming; ``None`` where there is none.
    locked_by : tuple of str
        Ids of unknown opens on this account and symbol.
    positions : tuple of Held or None
        What is open on the account.
    pending : tuple of Held or None
        Opens under way or unknown: they may be open and not seen yet.
    """

    network_store: bool | None
    binding: Binding
    margin_mode: MarginMode | None
    halted: bool | None = None
    arming: Arming | None = None
    locked_by: tuple[str, ...] = ()
    positions: tuple[Held, ...] | None = None
    pending: tuple[Held, ...] | None = None
    firm: str | None = None
    phase: str | None = None


def may_send(
    order: PlannedOrder,
    situation: Situation,
    policies: Policies,
    *,
    now: datetime,
    override: bool = False,
    compensates: bool = False,
) -> Refusal | None:
    """Say why an order may not go out, or ``None``.

    Parameters
    ----------
    override
        The caller knows of an unknown open on this symbol and opens all the same.
    compensates
        Undoes a part of an operation that has begun: never gated by arming, halt,
        locks or limits.
    """
    refusal = order.refusal or _unsafe(order, situation)
    if refusal is not None or order.kind is not OrderKind.OPEN or compensates:
        return refusal
    for gate in (_halted, _not_armed):
        refusal = gate(order, situation, now)
        if refusal is not None:
            return refusal
    return (None if override else _locked(order, situation)) or _against_policies(
        order, situation, policies
    )


def _unsafe(order: PlannedOrder, situation: Situation) -> Refusal | None:
    """What must be sure before anything is traded at all, a close included."""
    if situation.network_store is not False:
        what = "lies" if situation.network_store else "may lie"
        return Refusal(
            Rule.NETWORK_STORE,
            f"fleetkit's store {what} on a network file system, whose locks cannot keep two "
            "kernels apart. Set FLEETKIT_HOME to a folder on a local disk to trade.",
        )
    if situation.binding not in SURE_BINDINGS:
        return Refusal(
            Rule.BINDING,
            f"It is not sure that {order.agent} serves account {order.account} (its binding is "
            f"{situation.binding}). Write account = {order.account} into the agent's [[agents]] "
            "table, or let it answer twice with that number.",
        )
    if situation.margin_mode is None:
        return Refusal(
            Rule.MARGIN_MODE,
            f"{order.agent} does not say whether account {order.account} hedges or nets, and "
            "fleetkit must know to prove what became of an order. Write "
            'margin_mode = "hedging" or "netting" into the agent\'s [[agents]] table.',
        )
    return None


def _halted(order: PlannedOrder, situation: Situation, now: datetime) -> Refusal | None:
    if situation.halted is False:
        return None
    if situation.halted:
        sentence = "Trading is halted; nothing is opened anywhere until fleet.resume()."
    else:
        sentence = (
            "Whether trading is halted cannot be read from the store, so nothing is opened. "
            "Closing stays possible; look at fleet.doctor()."
        )
    return Refusal(Rule.HALTED, sentence)


def _not_armed(order: PlannedOrder, situation: Situation, now: datetime) -> Refusal | None:
    arming = situation.arming
    if arming is None or now >= arming.until:
        over = "is not armed" if arming is None else "is no longer armed: its time is over"
        return Refusal(
            Rule.NOT_ARMED,
            f"The fleet {over}. Open positions inside "
            "`with fleet.armed(minutes=5, max_volume=1.0, max_orders=4):`.",
        )
    for chosen, name, value in (
        (arming.accounts, "account", order.account),
        (arming.symbols, "symbol", order.symbol),
    ):
        if chosen is not None and value not in chosen:
            return Refusal(
                Rule.ARMED_SCOPE,
                f"The fleet is armed for other {name}s than {_shown(value)}. End that arming, or "
                f"arm with {name}s= naming this one.",
            )
    if arming.orders_left < 1:
        return Refusal(
            Rule.ARMED_ORDERS,
            "This arming's orders are used up. Arm again with max_orders= for the next ones.",
        )
    if order.volume is None or order.volume > arming.volume_left:
        return Refusal(
            Rule.ARMED_VOLUME,
            f"{_lots(order.volume)} are more than the {_lots(arming.volume_left)} that this arming "
            "has left. Arm again with a larger max_volume=, or open less.",
        )
    return None


def _locked(order: PlannedOrder, situation: Situation) -> Refusal | None:
    if not situation.locked_by:
        return None
    first, more = situation.locked_by[0], len(situation.locked_by) - 1
    others = f" and {more} more" if more else ""
    return Refusal(
        Rule.LOCKED,
        f"Order {first}{others} on account {order.account} and {_shown(order.symbol)} is still "
        "unknown and may have been executed. Wait for fleet.reconcile(), settle it with "
        "fleet.resolve(), or open all the same with override=True.",
    )


def _against_policies(
    order: PlannedOrder, situation: Situation, policies: Policies
) -> Refusal | None:
    concerned = policies.concerning(order.account, firm=situation.firm, phase=situation.phase)
    checks: tuple[Callable[[PlannedOrder, Situation, TradingPolicy], Refusal | None], ...] = (
        _wrong_symbol,
        _too_large,
        _too_much,
        _hedges,
    )
    for policy in concerned:
        for check in checks:
            refusal = check(order, situation, policy)
            if refusal is not None:
                return refusal
    return None


def _wrong_symbol(
    order: PlannedOrder, situation: Situation, policy: TradingPolicy
) -> Refusal | None:
    if policy.symbols is None or order.symbol in policy.symbols:
        return None
    allowed = ", ".join(sorted(policy.symbols)) or "no symbol at all"
    return _forbidden(
        Rule.POLICY_SYMBOL, policy, f"allows {allowed}, and not {_shown(order.symbol)}"
    )


def _too_large(order: PlannedOrder, situation: Situation, policy: TradingPolicy) -> Refusal | None:
    most = policy.max_volume
    if most is None or (order.volume is not None and order.volume <= most):
        return None
    what = f"allows {_lots(most)} an order, and not {_lots(order.volume)}"
    return _forbidden(Rule.POLICY_VOLUME, policy, what)


def _too_much(order: PlannedOrder, situation: Situation, policy: TradingPolicy) -> Refusal | None:
    most = policy.max_open_volume
    if most is None:
        return None
    if situation.positions is None or situation.pending is None or order.volume is None:
        what = f"allows {_lots(most)} open at once, and what is open cannot be read just now"
        return _forbidden(Rule.POLICY_OPEN_VOLUME, policy, what)
    held = sum((held.volume for held in situation.positions + situation.pending), Decimal(0))
    if held + order.volume <= most:
        return None
    what = f"allows {_lots(most)} open at once; {_lots(held)} are open or may be"
    return _forbidden(Rule.POLICY_OPEN_VOLUME, policy, what)


def _hedges(order: PlannedOrder, situation: Situation, policy: TradingPolicy) -> Refusal | None:
    if policy.hedging is Hedging.ALLOWED:
        return None
    if situation.positions is None or situation.pending is None or order.side is None:
        what = "forbids hedging, and what is open cannot be read just now"
        return _forbidden(Rule.POLICY_HEDGING, policy, what)
    opposite = [
        held
        for held in situation.positions + situation.pending
        if held.side is not order.side and held.symbol == order.symbol
    ]
    if not opposite:
        return None
    what = f"forbids hedging, and account {order.account} holds, or may hold, the other side"
    return _forbidden(Rule.POLICY_HEDGING, policy, f"{what} of {_shown(order.symbol)}")


def _forbidden(rule: Rule, policy: TradingPolicy, what: str) -> Refusal:
    whose = visible_text(policy.name, 120)
    return Refusal(rule, f"{whose[0].upper()}{whose[1:]} {what}. Change the policy, or the order.")


def _lots(volume: Decimal | None) -> str:
    return "an unknown number of lots" if volume is None else f"{volume:f} lots"


def _shown(value: object) -> str:
    return visible_text(str(value), 40)
