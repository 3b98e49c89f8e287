"""An order before it is sent: rounding, stops in three units, money, refusals, bodies."""

from __future__ import annotations

import json
from decimal import Decimal as D

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetkit.errors import UsageError
from fleetkit.model import Side, StopsUnit
from fleetkit.plan import (
    AccountFacts,
    PositionFacts,
    PriceFacts,
    SymbolFacts,
    close_request,
    decimal,
    modify_request,
    open_request,
    pip_of,
    plan_close,
    plan_modify,
    plan_open,
)
from fleetkit.trading import KEEP, REMOVE, Rule, Stop

ACCOUNT = AccountFacts(
    account=7, agent="vps01", configured_stops_unit=StopsUnit.PRICE, leverage=100,
    margin_free=D(10_000),
)  # fmt: skip
PIPS = msgspec.structs.replace(ACCOUNT, configured_stops_unit=StopsUnit.PIPS)
EURUSD = SymbolFacts(
    symbol="EURUSD", point=D("0.00001"), digits=5, volume_min=D("0.01"), volume_max=D(50),
    volume_step=D("0.01"), stops_level_points=10, tick_size=D("0.00001"), tick_value=D(1),
    trade_mode=4,
)  # fmt: skip
BARE = SymbolFacts(symbol="EURUSD")
PRICES = PriceFacts(D("1.10000"), D("1.10010"))
LONG = PositionFacts(ticket=50, symbol="EURUSD", side=Side.BUY, volume=D("0.5"))


def planned(side=Side.BUY, volume="0.5", account=ACCOUNT, symbol=EURUSD, prices=PRICES, **stops):
    return plan_open(account, symbol, prices, side=side, volume=D(volume), **stops)


def rule(order):
    return order.refusal and order.refusal.rule


@pytest.mark.parametrize(
    ("asked", "step", "volume"),
    [
        ("0.5", "0.01", "0.5"),
        ("0.579", "0.01", "0.57"),
        ("0.3", "0.1", "0.3"),
        ("0.99", "0.5", "0.5"),
        ("10", "0.01", "10"),
        ("0.009", "0.01", None),
        ("0", "0.01", None),
        ("-1", "0.01", None),
        ("NaN", "0.01", None),
        ("Infinity", "0.01", None),
    ],
)
def test_volume_is_rounded_down_to_the_step(asked, step, volume):
    """To 0 it is refused."""
    order = planned(volume=asked, symbol=msgspec.structs.replace(EURUSD, volume_step=D(step)))
    assert order.volume == (None if volume is None else D(volume))
    assert rule(order) is (Rule.VOLUME if volume is None else None)


@given(st.decimals("0.001", "40", places=3), st.sampled_from(["0.01", "0.1", "1", "0.25"]))
def test_no_volume_is_ever_rounded_up(asked, step):
    """And less than a step is lost."""
    order = planned(volume=asked, symbol=msgspec.structs.replace(EURUSD, volume_step=D(step)))
    if order.volume is not None:
        assert 0 <= asked - order.volume < D(step)
        assert order.volume % D(step) == 0
        assert bool(order.warnings) >= (order.volume != asked)


def test_an_unknown_step_is_said():
    """0.01 is assumed on base agents."""
    order = planned(volume="0.579", symbol=BARE)
    assert order.volume == D("0.57")
    assert "not known" in order.warnings[0]


@pytest.mark.parametrize("volume", ["0.005", "51"])
def test_volumes_outside_the_symbols_limits_are_refused(volume):
    """Never cut down to the limit."""
    assert rule(planned(volume=volume)) is Rule.VOLUME


@pytest.mark.parametrize(
    ("point", "digits", "pip"),
    [
        ("0.00001", 5, "0.0001"),
        ("0.001", 3, "0.01"),
        ("0.01", 2, "0.01"),
        ("0.1", 1, "0.1"),
        ("0.00001", None, "0.0001"),
        ("0.001", None, "0.01"),
        ("1", None, "1"),
        (None, None, None),
    ],
)
def test_a_pip_is_ten_points_with_three_or_five_digits(point, digits, pip):
    """Digits that are not known are those of the point; binary floats have their written ones."""
    symbol = SymbolFacts(symbol="X", point=decimal(point), digits=digits)
    assert pip_of(symbol) == (None if pip is None else D(pip))
    assert decimal(1e-05) == D("0.00001")
    assert decimal(float("nan")) is decimal(True) is None


@pytest.mark.parametrize("stop", [Stop(price=D("1.09810")), Stop(pips=D(20)), Stop(money=D(100))])
def test_a_stop_is_the_same_in_price_pips_and_money(stop):
    """0.5 lots from 1.10010 down 20 pips are 100 in money."""
    order = planned(sl=stop)
    assert (order.sl_price, order.sl_pips, order.sl_money) == (D("1.09810"), D(20), D(100))
    assert (order.sent_sl, order.stops_unit, order.refusal) == (D("1.09810"), StopsUnit.PRICE, None)
    assert planned(sl=stop, account=PIPS).sent_sl == D(20)
    assert (order.spread_cost, order.risk, order.margin) == (D("5.00"), D(100), D("550.05"))


def test_a_sell_has_its_stops_the_other_way_round():
    """From the bid, the loss above and the gain below."""
    order = planned(Side.SELL, sl=Stop(pips=D(20)), tp=Stop(pips=D(30)))
    assert (order.entry, order.sl_price, order.tp_price) == (D("1.1"), D("1.102"), D("1.097"))


@pytest.mark.parametrize(
    ("side", "stops"),
    [
        (Side.BUY, {"sl": Stop(price=D("1.10000"))}),
        (Side.BUY, {"sl": Stop(price=D("1.2"))}),
        (Side.BUY, {"tp": Stop(price=D("1.10005"))}),
        (Side.SELL, {"sl": Stop(price=D("1.0"))}),
        (Side.SELL, {"tp": Stop(price=D("1.2"))}),
        (Side.BUY, {"sl": Stop(price=D("1.09991"))}),
        (Side.BUY, {"sl": Stop(pips=D(0))}),
        (Side.BUY, {"sl": Stop(pips=D("NaN"))}),
        (Side.BUY, {"sl": Stop(price=D(1), pips=D(5))}),
        (Side.BUY, {"sl": Stop(money=D(10_000_000))}),
    ],
)
def test_a_stop_that_cannot_be_one_is_refused(side, stops):
    """On the wrong side, below the stops level, 0, or said twice."""
    assert rule(planned(side, **stops)) is Rule.STOPS


def test_what_is_not_known_is_not_guessed():
    """Pips need the point, money the tick's value and size; a price needs neither."""
    assert rule(planned(symbol=BARE, sl=Stop(pips=D(20)))) is Rule.STOPS
    for missing in ("tick_size", "tick_value"):
        symbol = msgspec.structs.replace(EURUSD, **{missing: None})
        order = planned(symbol=symbol, sl=Stop(money=D(100)))
        assert (rule(order), order.spread_cost, order.margin) == (Rule.STOPS, None, None)
    assert planned(symbol=BARE, sl=Stop(price=D("1.09"))).refusal is None
    assert rule(planned(symbol=BARE, account=PIPS, sl=Stop(price=D("1.09")))) is Rule.STOPS


@pytest.mark.parametrize(
    ("configured", "advertised", "refused"),
    [
        (None, None, True),
        (StopsUnit.PRICE, StopsUnit.PIPS, True),
        (StopsUnit.PIPS, StopsUnit.PRICE, True),
        (StopsUnit.PIPS, StopsUnit.PIPS, False),
        (StopsUnit.PRICE, None, False),
        (None, StopsUnit.PRICE, False),
    ],
)
def test_an_order_with_stops_needs_a_sure_unit(configured, advertised, refused):
    """Without stops it does not matter; the sentence says what to write (T6)."""
    account = msgspec.structs.replace(
        ACCOUNT, configured_stops_unit=configured, advertised_stops_unit=advertised
    )
    order = planned(account=account, sl=Stop(pips=D(20)))
    assert rule(order) is (Rule.STOPS_UNIT if refused else None)
    assert not refused or "stops_unit = " in order.refusal.sentence
    assert order.sl_price is not None
    assert planned(account=account).refusal is None


def test_a_symbol_that_is_not_traded_and_a_price_that_is_none_are_refused():
    """Before anything is sent."""
    for mode, rules in ((0, [Rule.SYMBOL] * 2), (1, [None, Rule.SYMBOL]), (3, [Rule.SYMBOL] * 2)):
        symbol = msgspec.structs.replace(EURUSD, trade_mode=mode)
        assert [rule(planned(side, symbol=symbol)) for side in Side] == rules
    for prices in (PriceFacts(D(0), D(0)), PriceFacts(D(2), D(1)), PriceFacts(D("NaN"), D(1))):
        assert rule(planned(prices=prices)) is Rule.QUOTE


def test_stops_are_read_back_to_half_a_point():
    """An agent of pips counts from its own price, which may have slipped."""
    assert planned(sl=Stop(pips=D(20))).stops_tolerance == D("0.000005")
    assert planned(sl=Stop(pips=D(20)), account=PIPS).stops_tolerance == D("0.000205")
    assert planned(sl=Stop(price=D("1.09")), account=PIPS).stops_tolerance == D("0.000005")


def test_missing_margin_is_a_warning():
    """It is an estimate from the leverage, and the broker decides."""
    poor = msgspec.structs.replace(ACCOUNT, margin_free=D(100))
    order = planned(account=poor)
    assert order.refusal is None
    assert any("margin" in warning for warning in order.warnings)


def test_a_close_needs_to_know_nothing_and_a_part_of_one_does():
    """Closing must stay possible; agents that cannot do it are not asked for a part."""
    assert plan_close(ACCOUNT, 50).refusal is None
    assert rule(plan_close(ACCOUNT, 50, position=LONG, volume=D("0.2"))) is Rule.PARTIAL_CLOSE
    whole = plan_close(ACCOUNT, 50, position=LONG, volume=D("0.5"))
    assert (whole.volume, whole.refusal) == (None, None)
    able = msgspec.structs.replace(ACCOUNT, can_close_partly=True)
    part = plan_close(able, 50, position=LONG, symbol=EURUSD, volume=D("0.209"))
    assert (part.volume, part.refusal) == (D("0.2"), None)
    assert rule(plan_close(able, 50, position=LONG, volume=D(1))) is Rule.VOLUME
    assert rule(plan_close(able, 50, volume=D("0.2"))) is Rule.PARTIAL_CLOSE
    assert rule(plan_close(able, 50, position=LONG, volume=D("0.001"))) is Rule.VOLUME


def test_a_modify_keeps_removes_or_sets_each_stop():
    """Absent keeps, 0 removes; a change of nothing and a wrong side are refused."""
    order = plan_modify(ACCOUNT, 50, sl_price=D("1.09"), tp_price=REMOVE)
    assert (order.sent_sl, order.sent_tp) == (D("1.09"), D(0))
    assert plan_modify(ACCOUNT, 50, sl_price=REMOVE, tp_price=KEEP).sent_tp is None
    assert rule(plan_modify(ACCOUNT, 50)) is Rule.STOPS
    assert rule(plan_modify(ACCOUNT, 50, sl_price=D(0))) is Rule.STOPS
    known = {"position": LONG, "prices": PRICES, "symbol": EURUSD}
    assert plan_modify(ACCOUNT, 50, sl_price=D("1.09"), **known).refusal is None
    assert rule(plan_modify(ACCOUNT, 50, sl_price=D("1.11"), **known)) is Rule.STOPS
    assert rule(plan_modify(ACCOUNT, 50, tp_price=D("1.09"), **known)) is Rule.STOPS
    assert (repr(KEEP), repr(REMOVE)) == ("fk.KEEP", "fk.REMOVE")


def body(request):
    return json.loads(msgspec.json.encode(request))


def test_what_was_planned_is_what_is_sent():
    """Old agents see no field that they do not know."""
    order = planned(volume="0.579", sl=Stop(pips=D(20)))
    assert body(open_request(order)) == {
        "symbol": "EURUSD", "lot": 0.57, "order_type": "BUY", "sl": 1.0981,
    }  # fmt: skip
    assert body(close_request(plan_close(ACCOUNT, 50))) == {"ticket": 50, "deviation": 20}
    modify = plan_modify(ACCOUNT, 50, sl_price=REMOVE)
    assert body(modify_request(modify, "A" * 26)) == {
        "ticket": 50, "sl": 0.0, "order_id": "A" * 26,
    }  # fmt: skip
    with pytest.raises(UsageError, match="round down to 0"):
        open_request(planned(volume="0.001"))
