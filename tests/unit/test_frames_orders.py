"""Frames of trading: what a row says beyond its record, and that many rows are no burden."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pandas as pd

from fleetkit import frames
from fleetkit.model import Side, StopsUnit
from fleetkit.trading import (
    Evidence,
    OrderKind,
    OrderLine,
    Outcome,
    PlannedOrder,
    Receipt,
    Refusal,
    Rule,
    Timings,
)

NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)
FILLED = Receipt(
    order_id="one",
    account=7100012,
    agent="vps-01",
    kind=OrderKind.OPEN,
    outcome=Outcome.FILLED,
    evidence=Evidence.ANSWER,
    symbol="EURUSD",
    side=Side.BUY,
    volume=Decimal("0.50"),
    filled_volume=Decimal("0.50"),
    ticket=5,
    price=1.08,
    timings=Timings(total_ms=12.5),
)
PLANNED = PlannedOrder(
    account=7100012,
    agent="vps-01",
    kind=OrderKind.OPEN,
    symbol="EURUSD",
    side=Side.BUY,
    asked_volume=Decimal("0.507"),
    volume=Decimal("0.50"),
    stops_unit=StopsUnit.PIPS,
    warnings=("Rounded down.", "There is no stop loss."),
)


def line(number: int) -> OrderLine:
    return OrderLine(
        order_id=f"{number:026d}",
        account=7100000 + number % 69,
        kind=OrderKind.OPEN,
        created_at=NOON,
        symbol="EURUSD",
        side=Side.SELL,
        volume=Decimal("0.1"),
        outcome=Outcome.FILLED,
        filled_volume=Decimal("0.1"),
        ticket=number,
        price=1.08,
        reason="ok",
        evidence=Evidence.ANSWER,
        sent_at=NOON,
        settled_at=NOON,
    )


def test_a_hundred_thousand_orders_are_a_frame():
    """No row is lost or exchanged; a bench would measure it, a quadratic builder hangs here."""
    frame = frames.orders_frame([line(number) for number in range(100_000)])
    assert frame.index.is_unique
    assert frame.loc[f"{99_999:026d}", "ticket"] == 99_999
    assert frame["volume"].sum().round(6) == 10_000
    assert frame["outcome"].value_counts()["filled"] == 100_000


def test_an_order_under_way_has_no_outcome_yet():
    """Missing is not `unknown`: nobody has answered."""
    waiting = OrderLine(order_id="a", account=1, kind=OrderKind.CLOSE, created_at=NOON)
    frame = frames.orders_frame([waiting])
    assert frame["outcome"].isna().all()
    assert frame[["ticket", "stops_ok", "sent_at", "settled_at", "evidence"]].isna().all().all()
    assert waiting.is_open
    assert not line(1).is_open


def test_a_receipt_brings_its_time():
    """`total_ms` is the time from the call to the receipt."""
    frame = frames.receipts_frame([FILLED])
    assert frame.loc["one", "total_ms"] == 12.5
    assert (frame.loc["one", "outcome"], frame.loc["one", "volume"]) == ("filled", 0.5)


def test_a_plan_says_why_not_in_a_sentence():
    """The refusal's sentence and all warnings, missing where there is nothing to say."""
    sentence = "The fleet is not armed."
    refused = PlannedOrder(
        account=7100013,
        agent="vps-02",
        kind=OrderKind.CLOSE,
        ticket=7,
        refusal=Refusal(Rule.NOT_ARMED, sentence),
    )
    frame = frames.plan_frame([PLANNED, refused])
    assert pd.isna(frame["refusal"][0])
    assert frame["warnings"][0] == "Rounded down. There is no stop loss."
    assert frame["refusal"][1] == sentence
    assert pd.isna(frame["warnings"][1])
    assert frame["stops_unit"].tolist()[0] == "pips"
    assert frame["asked_volume"].tolist()[0] == 0.507
