"""What a trade call's answer proves: the table of outcomes, line by line, and nothing else."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetkit.contract import REFUSED, Capability, Retcode
from fleetkit.orders.classify import (
    BODY_MAX,
    Answer,
    Asked,
    Broken,
    NotConnected,
    TimedOut,
    Unreadable,
    classify,
    lots,
)
from fleetkit.orders.texts import BROKER_TEXTS, is_definite
from fleetkit.trading import Evidence, OrderKind, Outcome

ID = "A" * 26
EVERYTHING = frozenset(Capability)
OPEN = Asked(kind=OrderKind.OPEN, order_id=ID, volume=Decimal("0.5"))
DONE = {"success": True, "ticket": 7, "message": "ok", "price": 1.1, "error_code": 0}
BEFORE_HANDLER = (401, 403, 405, 413, 415, 422)
DEFINITE = (
    "MT5 not initialized",
    "Failed to get account info",
    "Failed to get current price",
    "Trading not allowed",
    "Trading not allowed for this account",
    "Symbol EURUSD not found",
    "Failed to enable symbol EURUSD",
    "Lot size 0.001 below minimum 0.01",
    "Lot size 500 is above maximum 100",
    "Invalid order type: HOLD",
    "Insufficient margin. Required: 100, free: 5",
    "SL 1.08 too close",
    "SL too close to the price",
)
INDEFINITE = (
    "",
    "order_send failed: None",
    "Exception: MT5 not initialized",
    "Order failed: Nicht genug Geld",
    "Order failed: MT5 not initialized",
    "Position 7 not found",
    "Symbol EURUSD not found after the order was placed",
    "The order went out. MT5 not initialized",
    "MT5 not initialized, but the order was placed",
    "mt5 not initialized",
    " MT5 not initialized",
    "MT5 not initialized\n",
    "Trading not allowedness",
    "Trading not allowed\nafter all",
    "Trading not allowed: order_send failed: timeout",
    "Insufficient margin. Order failed: 10012",
    "Lot size below minimum",
    "Insufficient margin " + "x" * 400,
)


def answer(status, body, headers=None):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, content, headers or {})


def asked(kind=OrderKind.OPEN, capabilities=frozenset(), **more):
    volume = more.pop("volume", Decimal("0.5"))
    return Asked(kind=kind, order_id=ID, volume=volume, capabilities=capabilities, **more)


def outcome(status, body, headers=None, order=OPEN):
    return classify(order, answer(status, body, headers)).outcome


def test_a_200_with_success_is_filled():
    """With what it says of ticket, price and volume; without a volume, all of it."""
    found = classify(OPEN, answer(200, DONE))
    assert (found.outcome, found.evidence) == (Outcome.FILLED, Evidence.ANSWER)
    assert (found.ticket, found.price, found.filled_volume) == (7, 1.1, Decimal("0.5"))
    partial = classify(OPEN, answer(200, {**DONE, "retcode": 10010, "volume": 0.3}))
    assert (partial.outcome, partial.filled_volume) == (Outcome.FILLED, Decimal("0.3"))
    assert classify(OPEN, answer(200, {**DONE, "retcode": 10010})).filled_volume is None


@pytest.mark.parametrize(
    "contradiction",
    [
        {"success": False},
        {"success": False, "message": "MT5 not initialized"},
        {"retcode": 10008},
        {"retcode": 10012},
        {"retcode": 10019},
        {"retcode": 10025},
        {"error_code": 10031},
        {"error_code": -10004},
        {"order_status": "rejected"},
        {"order_id": "B" * 26},
        {"retcode": 10009, "volume": 0.6},
        {"success": "yes"},
        {"ticket": -1},
    ],
)
def test_a_200_that_contradicts_itself_is_unknown(contradiction):
    """It is believed only where all of it says the same."""
    assert outcome(200, {**DONE, **contradiction}) is Outcome.UNKNOWN


def test_done_has_another_retcode_for_each_kind():
    """No changes is a done modify, position closed a done close, and nothing for others."""
    modify, close = asked(OrderKind.MODIFY, ticket=7), asked(OrderKind.CLOSE, ticket=7)
    assert outcome(200, {"success": True, "retcode": 10025}, order=modify) is Outcome.FILLED
    assert outcome(200, {"success": True, "retcode": 10036}, order=close) is Outcome.FILLED
    assert outcome(200, {"success": True, "retcode": 10036}, order=modify) is Outcome.UNKNOWN
    found = classify(close, answer(200, {"success": True, "ticket": 99, "close_price": 1.2}))
    assert (found.ticket, found.price) == (7, 1.2)


@pytest.mark.parametrize("text", DEFINITE)
def test_definite_refusals_are_rejected(text):
    """The exact texts of base agents."""
    assert outcome(400, {"detail": text}) is Outcome.REJECTED
    assert outcome(500, {"detail": text}) is Outcome.UNKNOWN


@pytest.mark.parametrize("text", INDEFINITE)
def test_other_texts_prove_nothing(text):
    """A 400 is no proof that nothing happened (T4)."""
    assert outcome(400, {"detail": text}) is Outcome.UNKNOWN


@pytest.mark.parametrize(("text", "retcode"), BROKER_TEXTS.items())
def test_a_brokers_exactly_known_comment_is_its_retcode(text, retcode):
    """Localised or longer ones are not; a part that was done is unknown, and remembered."""
    found = classify(OPEN, answer(400, {"detail": f"Order failed: {text}"}))
    assert (found.outcome is Outcome.REJECTED) == (retcode in REFUSED)
    assert found.partly == (retcode == Retcode.DONE_PARTIAL)
    assert outcome(400, {"detail": f"Order failed: {text} (or so)"}) is Outcome.UNKNOWN
    assert outcome(400, {"detail": text}) is Outcome.UNKNOWN


def test_a_modify_that_changes_nothing_is_done():
    """The stops are where they were asked for."""
    modify = asked(OrderKind.MODIFY, ticket=7)
    assert outcome(400, {"detail": "Modify failed: No changes"}, order=modify) is Outcome.FILLED
    assert outcome(400, {"detail": "Order failed: No changes"}) is Outcome.UNKNOWN


@pytest.mark.parametrize("status", BEFORE_HANDLER)
def test_statuses_given_before_the_handler_are_rejected(status):
    """Whatever their body says, unless it speaks of an order that was executed."""
    assert outcome(status, b"<html>") is Outcome.REJECTED
    assert outcome(status, {"detail": "x", "retcode": 10009}) is Outcome.UNKNOWN
    assert outcome(status, {"detail": "x", "order_status": "filled"}) is Outcome.UNKNOWN


def test_only_the_frameworks_own_404_is_rejected():
    """Position not found may be said after it was closed."""
    assert outcome(404, {"detail": "Not Found"}) is Outcome.REJECTED
    for body in ({"detail": "not found"}, {"detail": "Not Found", "x": 1}, b"Not Found", {}):
        assert outcome(404, body) is Outcome.UNKNOWN


def test_a_503_is_believed_only_from_an_agent_that_promises_it():
    """And only with Retry-After."""
    busy = asked(capabilities=frozenset({Capability.BUSY_503}))
    body, headers = {"detail": "busy", "retcode": None}, {"Retry-After": "1"}
    found = classify(busy, answer(503, body, headers))
    assert (found.outcome, found.retryable) == (Outcome.REJECTED, True)
    assert outcome(503, body, order=busy) is Outcome.UNKNOWN
    assert outcome(503, body, headers) is Outcome.UNKNOWN


@pytest.mark.parametrize("retcode", range(10_000, 10_060))
def test_retcodes_count_where_they_are_promised(retcode):
    """Definite ones reject, done ones fill, all others and unpromised ones are unknown."""
    body = {"detail": "Order failed: ???", "retcode": retcode, "order_id": ID}
    found = classify(asked(capabilities=EVERYTHING), answer(400, body))
    expected = Outcome.UNKNOWN
    if retcode in REFUSED:
        expected = Outcome.REJECTED
    elif retcode in (10009, 10010):
        expected = Outcome.FILLED
    assert found.outcome is expected
    assert found.retryable == (retcode in (10004, 10020, 10021))
    assert outcome(400, body) is Outcome.UNKNOWN


def test_lots_are_what_was_meant():
    """Compared exactly, so binary dust must not part equal volumes."""
    assert lots(0.1 + 0.2) == Decimal("0.3")
    assert lots(0.57) == Decimal("0.57")
    assert lots(None) is lots(0.0) is lots(-1.0) is lots(float("nan")) is lots(1e300) is None
    dusty = {**DONE, "retcode": 10009, "volume": 0.5000000000000001}
    assert outcome(200, dusty) is Outcome.FILLED


def test_an_id_that_is_another_orders_is_never_asked_for():
    """409: what its log says is that other order's fate."""
    found = classify(OPEN, answer(409, {"detail": f"order_id {ID} was used", "order_status": "x"}))
    assert (found.outcome, found.id_conflict) == (Outcome.UNKNOWN, True)


@pytest.mark.parametrize("status", [201, 204, 301, 307, 308, 408, 429, 500, 502, 503, 504])
def test_everything_else_is_unknown(status):
    """Redirects, gateway errors, other successes, with whatever text."""
    assert outcome(status, {"detail": "MT5 not initialized"}) is Outcome.UNKNOWN
    assert outcome(status, DONE) is Outcome.UNKNOWN


def test_without_an_answer_only_a_missing_connection_is_certain():
    """No byte left, or nobody knows."""
    found = classify(OPEN, NotConnected("refused"))
    assert (found.outcome, found.evidence) == (Outcome.NOT_SENT, Evidence.LOCAL)
    for wire in (TimedOut("30 s"), Broken("reset"), Unreadable("cut off")):
        assert classify(OPEN, wire).outcome is Outcome.UNKNOWN


HOSTILE = (
    b"",
    b"null",
    b"[]",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"success":true,"ticket":' + b"9" * 10_000 + b"}",
    b'{"success":true,"price":1e999,"close_price":1e999,"new_sl":1e999}',
    b'{"success":true,"price":NaN,"close_price":NaN,"new_sl":NaN}',
    b'{"detail":' + b'{"a":' * 50_000,
    b'{"detail":"MT5 not initialized","retcode":1e400}',
    b'{"detail":"MT5 not initialized"}' + b" " * BODY_MAX,
    b'{"detail":["MT5 not initialized"]}',
    b"<html>MT5 not initialized</html>",
)


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("status", [200, 400, 404, 409, 500])
def test_hostile_bodies_are_unknown_and_never_an_error(status, body):
    """Huge, nested, not a number, of the wrong type."""
    for kind in OrderKind:
        assert outcome(status, body, order=asked(kind, EVERYTHING)) is Outcome.UNKNOWN


json_values = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        7,
        2**70,
        0.5,
        float("nan"),
        float("inf"),
        "",
        "filled",
        [],
        [1],
        {},
        {"a": 1},
    ]
)
bodies = st.binary(max_size=60) | st.fixed_dictionaries(
    {},
    optional={
        "success": st.booleans() | json_values,
        "detail": st.sampled_from(DEFINITE + INDEFINITE) | json_values,
        "retcode": st.integers(9990, 10060) | json_values,
        "error_code": st.integers(9990, 10060) | json_values,
        "order_status": st.sampled_from(["filled", "rejected", "accepted"]) | json_values,
        "ticket": json_values,
        "message": st.sampled_from(DEFINITE) | json_values,
        "volume": json_values,
        "order_id": st.sampled_from([ID, "B" * 26]),
    },
).map(lambda body: json.dumps(body).encode())
orders = st.builds(asked, st.sampled_from(OrderKind), st.sampled_from([frozenset(), EVERYTHING]))


@given(orders, st.integers(100, 599), bodies, st.sampled_from([{}, {"retry-after": "1"}]))
def test_nothing_outside_the_table_is_ever_rejected_or_filled(order, status, body, headers):
    """Every rejection and every fill names its line of the table."""
    found = classify(order, Answer(status, body, headers))
    if found.outcome is Outcome.FILLED:
        assert status == 200 or (
            status == 400 and (found.retcode in (10009, 10010) or order.kind is not OrderKind.OPEN)
        )
    elif found.outcome is Outcome.REJECTED:
        if status == 400:
            text = json.loads(body)["detail"]
            assert found.retcode in REFUSED or is_definite(text)
        else:
            promised = status == 503 and headers and Capability.BUSY_503 in order.capabilities
            assert status in (*BEFORE_HANDLER, 404) or promised
    else:
        assert found.outcome is Outcome.UNKNOWN
