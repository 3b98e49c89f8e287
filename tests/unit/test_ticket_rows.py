"""Orders and positions as rows: what would be sent, what became of it, what is locked."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from fleetkit.aio.seen import SeenPositions
from fleetkit.model import Position, Side
from fleetkit.panels import order_rows, position_rows
from fleetkit.panels.sheet_model import Table
from fleetkit.trading import (
    Evidence,
    OrderKind,
    OrderLine,
    Outcome,
    PlannedOrder,
    Receipt,
    Refusal,
    Rule,
)

NOW = datetime(2026, 11, 25, 8, tzinfo=UTC)


def planned(**more):
    more.setdefault("kind", OrderKind.OPEN)
    return PlannedOrder(account=1, agent="a1", symbol="EURUSD", side=Side.BUY, **more)


def line(order_id="one", **more):
    more.setdefault("kind", OrderKind.OPEN)
    more.setdefault("account", 1)
    more.setdefault("symbol", "EURUSD")
    return OrderLine(order_id=order_id, created_at=NOW, **more)


def position(ticket=7, account=1, **more):
    figures = {"open_price": 1.1, "current_price": 1.2, "sl": 0.0, "tp": 1.3, "profit": -5.0}
    return Position(
        **{"ticket": ticket, "account": account, "symbol": "EURUSD", "side": Side.BUY},
        **{"volume": 0.3, "open_time": NOW, "swap": 0.0, "commission": None},
        **(figures | more),
    )


def named(table: Table, rows):
    """Rows by the names of their columns."""
    names = [column.name for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in rows.rows.values()]


def previewed(order):
    (row,) = named(order_rows.PREVIEW, order_rows.preview_rows([order]))
    return row


def test_what_rounding_changed_is_said():
    """Both volumes, and exactly."""
    asked, sent = Decimal("0.015"), Decimal("0.01")
    assert previewed(planned(asked_volume=asked, volume=sent))["volume"] == "0.01 of 0.015"
    assert previewed(planned(asked_volume=sent, volume=sent))["volume"] == "0.01"


def test_a_refusal_is_louder_than_a_warning():
    """And each has its sentence."""
    row = previewed(planned(warnings=("Step not known.", "Wide spread.")))
    assert (row["verdict"], row["why"]) == ("warning", "Step not known. Wide spread.")
    refusal = Refusal(Rule.NOT_ARMED, "Arm first.")
    row = previewed(planned(warnings=("Wide spread.",), refusal=refusal))
    assert (row["verdict"], row["why"]) == ("refused", "Arm first.")
    assert previewed(planned())["verdict"] == "ok"


def test_every_verdict_and_outcome_has_a_tone():
    """A word without one would have no colour."""
    assert {outcome.value for outcome in Outcome} <= order_rows.OUTCOMES.keys()
    refused = planned(refusal=Refusal(Rule.NOT_ARMED, "No."))
    every = [refused, planned(warnings=("Hm.",)), planned()]
    for table, rows in (
        (order_rows.PREVIEW, order_rows.preview_rows(every)),
        (position_rows.PREVIEW, position_rows.preview_rows(every, {})),
    ):
        assert {row["verdict"] for row in named(table, rows)} <= order_rows.VERDICTS.keys()


def test_money_at_risk_is_a_loss():
    """Whatever sign it was planned with."""
    assert previewed(planned(risk=Decimal(12)))["risk"] == -12.0
    assert previewed(planned(sl_money=Decimal(-3)))["risk"] == -3.0
    assert previewed(planned())["risk"] is None


def receipt(order_id, outcome):
    return Receipt(
        order_id=order_id,
        account=1,
        agent="a1",
        kind=OrderKind.OPEN,
        outcome=outcome,
        evidence=Evidence.NONE,
        symbol="EURUSD",
        side=Side.BUY,
        volume=Decimal("0.1"),
    )


def test_an_unknown_receipt_says_what_was_found_out():
    """A receipt that was sure is not changed by the journal; the newest comes first."""
    receipts = {"one": receipt("one", Outcome.UNKNOWN), "two": receipt("two", Outcome.REJECTED)}
    journal = {
        "one": line("one", outcome=Outcome.FILLED, ticket=55),
        "two": line("two", outcome=Outcome.FILLED, ticket=66),
    }
    rows = named(order_rows.RECEIPTS, order_rows.receipt_rows(receipts, journal))
    found = [(row["order_id"], row["outcome"], row["ticket"]) for row in rows]
    assert found == [("two", "rejected", None), ("one", "filled", 55)]
    rows = named(order_rows.RECEIPTS, order_rows.receipt_rows(receipts, {}))
    assert [row["outcome"] for row in rows] == ["rejected", "unknown"]


@pytest.mark.parametrize(
    ("order", "is_locked"),
    [
        (line(outcome=Outcome.UNKNOWN), True),
        (line(outcome=Outcome.UNKNOWN, symbol="eurusd"), True),
        (line(outcome=Outcome.FILLED), False),
        (line(outcome=None), False),
        (line(outcome=Outcome.UNKNOWN, account=2), False),
        (line(outcome=Outcome.UNKNOWN, symbol="GBPUSD"), False),
        (line(outcome=Outcome.UNKNOWN, symbol=None), False),
        (line(outcome=Outcome.UNKNOWN, kind=OrderKind.CLOSE), False),
    ],
)
def test_what_locks_a_symbol(order, is_locked):
    """An unknown open of it on one of the chosen accounts, and nothing else."""
    assert order_rows.locks([order], (1,), "EURUSD") == ([order] if is_locked else [])


def of_positions(order, *held):
    by_key = {position_rows.key_of(each): each for each in held}
    (row,) = named(position_rows.PREVIEW, position_rows.preview_rows([order], by_key))
    return row


def test_who_closes_a_buy_reads_close():
    """With the volume and the money that are at stake."""
    row = of_positions(planned(kind=OrderKind.CLOSE, ticket=7), position(7))
    assert (row["order"], row["side"], row["volume"], row["profit"]) == ("close", "buy", "0.3", -5)
    assert (row["sl"], row["tp"]) == (None, None)


def test_a_position_that_is_gone_is_looked_at():
    """It may have been closed meanwhile; another account's of that number is not it."""
    row = of_positions(planned(kind=OrderKind.CLOSE, ticket=7), position(7, account=2))
    assert (row["verdict"], row["volume"], row["profit"]) == ("warning", "all", None)


@pytest.mark.parametrize(
    ("sent", "was", "said"),
    [
        (None, 1.2, "kept"),
        (Decimal("1.25"), 1.2, "1.2 → 1.25"),
        (Decimal("1.25"), 0.0, "none → 1.25"),
        (Decimal("1.25"), None, "none → 1.25"),
        (Decimal(0), 1.2, "1.2 → none"),
    ],
)
def test_a_stop_says_what_was_and_what_will_be(sent, was, said):
    """Agents take nothing for "keep", and 0 for "remove"."""
    order = planned(kind=OrderKind.MODIFY, ticket=7, sent_sl=sent, sent_tp=sent)
    row = of_positions(order, position(7, sl=was, tp=was))
    assert (row["order"], row["sl"], row["tp"]) == ("change stops", said, said)


def test_money_of_two_currencies_is_not_added_up():
    """Nor is what nobody knows taken for zero of it."""
    held = [position(1), position(2, account=2, profit=7.0), position(3, profit=None)]
    told = position_rows.floating(held, {1: "USD", 2: "EUR"})
    assert [(each.text, each.tone) for each in told] == [
        ("floating -5.00 USD", "bad"),
        ("floating +7.00 EUR", "good"),
    ]
    assert position_rows.floating([position(3, profit=None)], {}) == []


@pytest.mark.parametrize(
    ("is_fresh", "age_s", "is_doubted", "is_live"),
    [
        (True, 0.0, False, True),
        (False, 4.0, False, True),
        (False, 10.0, False, False),
        (True, 0.0, True, False),
    ],
)
def test_what_counts_as_live(is_fresh, age_s, is_doubted, is_live):
    """Read lately, and nothing heard since that contradicts it."""
    seen = SeenPositions((), 100.0, is_fresh)
    found = position_rows.is_live(seen, 100.0 + age_s, 10.0, is_doubted=is_doubted)
    assert found is is_live
