"""Which orders may go out: every rule on its own, closed by default, closes always open."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetkit.model import Binding, MarginMode, Side
from fleetkit.policy import Arming, Held, Situation, may_send
from fleetkit.trading import (
    Hedging,
    OrderKind,
    PlannedOrder,
    Policies,
    Refusal,
    Rule,
    TradingPolicy,
)

NOW = datetime(2026, 2, 1, 10, tzinfo=UTC)
ARMED = Arming(until=NOW + timedelta(minutes=5), volume_left=Decimal(1), orders_left=4)
FINE = Situation(
    network_store=False,
    binding=Binding.CONFIGURED,
    margin_mode=MarginMode.HEDGING,
    halted=False,
    arming=ARMED,
    positions=(),
    pending=(),
    firm="Acme",
    phase="F1",
)
HELD = Held(symbol="EURUSD", side=Side.SELL, volume=Decimal("0.4"))
NONE = Policies()


def order(kind=OrderKind.OPEN, **more):
    usual = {"symbol": "EURUSD", "side": Side.BUY, "volume": Decimal("0.5"), "ticket": None}
    return PlannedOrder(account=7, agent="vps01", kind=kind, **{**usual, **more})


def rule(situation=FINE, policies=NONE, planned=None, **more):
    refusal = may_send(planned or order(), situation, policies, now=NOW, **more)
    if refusal is not None:
        assert refusal.sentence.endswith(".")
    return refusal and refusal.rule


def but(**more):
    return msgspec.structs.replace(FINE, **more)


def test_an_armed_order_that_nothing_forbids_goes_out():
    """No refusal."""
    assert rule() is None


UNSAFE = [
    (but(network_store=True), Rule.NETWORK_STORE),
    (but(network_store=None), Rule.NETWORK_STORE),
    (but(binding=Binding.LEARNED), Rule.BINDING),
    (but(binding=Binding.CONFLICT), Rule.BINDING),
    (but(margin_mode=None), Rule.MARGIN_MODE),
]
EXPOSED = [
    (but(halted=True), Rule.HALTED),
    (but(halted=None), Rule.HALTED),
    (but(arming=None), Rule.NOT_ARMED),
    (but(arming=msgspec.structs.replace(ARMED, until=NOW)), Rule.NOT_ARMED),
    (but(arming=msgspec.structs.replace(ARMED, orders_left=0)), Rule.ARMED_ORDERS),
    (but(arming=msgspec.structs.replace(ARMED, volume_left=Decimal("0.4"))), Rule.ARMED_VOLUME),
    (but(arming=msgspec.structs.replace(ARMED, accounts=frozenset({8}))), Rule.ARMED_SCOPE),
    (but(arming=msgspec.structs.replace(ARMED, symbols=frozenset({"X"}))), Rule.ARMED_SCOPE),
    (but(locked_by=("A" * 26,)), Rule.LOCKED),
]


@pytest.mark.parametrize(("situation", "expected"), UNSAFE)
def test_what_is_not_sure_is_not_traded_at_all(situation, expected):
    """A close included: it would go to an account that may be another."""
    for kind in OrderKind:
        assert rule(situation, planned=order(kind)) is expected


@pytest.mark.parametrize(("situation", "expected"), EXPOSED)
def test_arming_halt_and_locks_gate_only_what_adds_exposure(situation, expected):
    """Closes, modifies and the compensation of what has begun go out."""
    assert rule(situation) is expected
    assert rule(situation, planned=order(OrderKind.CLOSE)) is None
    assert rule(situation, planned=order(OrderKind.MODIFY)) is None
    assert rule(situation, compensates=True) is None


def test_override_opens_a_lock_and_nothing_else():
    """It is said by somebody who knows of the unknown order."""
    locked = but(locked_by=("A" * 26,))
    assert rule(locked, override=True) is None
    assert rule(but(halted=True), override=True) is Rule.HALTED


def test_a_plan_that_refuses_is_not_sent():
    """Its own refusal comes first."""
    refused = order(refusal=Refusal(Rule.VOLUME, "Too little."))
    assert rule(planned=refused) is Rule.VOLUME


@pytest.mark.parametrize(
    ("limits", "situation", "expected"),
    [
        ({"symbols": frozenset({"EURUSD"})}, FINE, None),
        ({"symbols": frozenset({"XAUUSD"})}, FINE, Rule.POLICY_SYMBOL),
        ({"symbols": frozenset()}, FINE, Rule.POLICY_SYMBOL),
        ({"max_volume": Decimal("0.5")}, FINE, None),
        ({"max_volume": Decimal("0.4")}, FINE, Rule.POLICY_VOLUME),
        ({"max_open_volume": Decimal("0.9")}, but(positions=(HELD,)), None),
        ({"max_open_volume": Decimal("0.8")}, but(positions=(HELD,)), Rule.POLICY_OPEN_VOLUME),
        ({"max_open_volume": Decimal("0.8")}, but(pending=(HELD,)), Rule.POLICY_OPEN_VOLUME),
        ({"max_open_volume": Decimal(9)}, but(positions=None), Rule.POLICY_OPEN_VOLUME),
        ({"max_open_volume": Decimal(9)}, but(pending=None), Rule.POLICY_OPEN_VOLUME),
        ({"hedging": Hedging.FORBIDDEN}, FINE, None),
        ({"hedging": Hedging.FORBIDDEN}, but(positions=(HELD,)), Rule.POLICY_HEDGING),
        ({"hedging": Hedging.FORBIDDEN}, but(pending=(HELD,)), Rule.POLICY_HEDGING),
        ({"hedging": Hedging.FORBIDDEN}, but(positions=None), Rule.POLICY_HEDGING),
        ({}, but(positions=(HELD,)), None),
    ],
)
def test_policies_refuse_when_their_limit_is_passed_or_unsure(limits, situation, expected):
    """And never a close."""
    policies = Policies((TradingPolicy(**limits),))
    assert rule(situation, policies) is expected
    assert rule(situation, policies, order(OrderKind.CLOSE)) is None


@pytest.mark.parametrize(
    ("chosen", "known", "concerned"),
    [
        ({}, {}, True),
        ({"account": 7}, {}, True),
        ({"account": 8}, {}, False),
        ({"firm": "Acme"}, {}, True),
        ({"firm": "Other"}, {}, False),
        ({"firm": "Other"}, {"firm": None}, True),
        ({"phase": "WIN"}, {"phase": None}, True),
        ({"firm": "Acme", "phase": "F2"}, {}, False),
    ],
)
def test_a_policy_concerns_whom_it_selects_and_whoever_it_may(chosen, known, concerned):
    """A firm or phase that is not known may be the selected one."""
    policies = Policies((TradingPolicy(symbols=frozenset(), **chosen),))
    assert rule(but(**known), policies) == (Rule.POLICY_SYMBOL if concerned else None)


@given(st.sampled_from([case[0] for case in UNSAFE + EXPOSED]), st.booleans())
def test_whatever_is_wrong_something_refuses_an_open(situation, override):
    """Closed by default: override opens locks alone."""
    found = rule(situation, override=override)
    assert found is not None or (override and situation.locked_by)
