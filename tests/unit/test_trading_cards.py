"""Receipts and plans in a notebook: what must not be overlooked stands first and in red."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal

import pytest

from fleetkit.model import Side
from fleetkit.trading import (
    AgentCall,
    Evidence,
    OrderKind,
    Outcome,
    PlannedOrder,
    Receipt,
    Refusal,
    Rule,
    Timings,
    plan_html,
)
from fleetkit.trading.cards import ORDERS_SHOWN

HOSTILE = '<script>alert(1)</script>"\x1b[31m\u202e'


def receipt(**changes: object) -> Receipt:
    fields: dict[str, object] = {
        "order_id": "01J0",
        "account": 7100012,
        "agent": "vps-01",
        "kind": OrderKind.OPEN,
        "outcome": Outcome.FILLED,
        "evidence": Evidence.ANSWER,
        "symbol": "EURUSD",
        "side": Side.BUY,
        "volume": Decimal("0.50"),
    }
    return Receipt(**(fields | changes))  # type: ignore[arg-type]  # fields by name


def planned(**changes: object) -> PlannedOrder:
    fields: dict[str, object] = {
        "account": 7100012,
        "agent": "vps-01",
        "kind": OrderKind.OPEN,
        "symbol": "EURUSD",
        "side": Side.BUY,
        "volume": Decimal("0.50"),
    }
    return PlannedOrder(**(fields | changes))  # type: ignore[arg-type]  # fields by name


def body(page: str) -> str:
    return page.partition("</style>")[2]


REFUSED = Refusal(Rule.NOT_ARMED, "The fleet is not armed.")


def test_a_filled_receipt_shows_what_is_known_and_no_warning() -> None:
    """Exact lots, the ticket without separators, the requests it made."""
    timings = Timings(calls=(AgentCall("open_trade", 12.34),), total_ms=15.0)
    page = body(receipt(ticket=1234567, price=1.08, timings=timings)._repr_html_())
    for text in ("filled", "0.50", "1234567", "1.08", "open_trade 12.3 ms", "01J0"):
        assert text in page
    assert "fk-warning" not in page
    assert 'class="fk-good"' in page


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"evidence": Evidence.INFERRED}, "INFERRED"),
        ({"stops_ok": False}, "stops_ok=False"),
        ({"outcome": Outcome.UNKNOWN}, "do not send it again"),
        ({"replayed": True}, "nothing was sent now"),
    ],
)
def test_what_must_not_be_overlooked_stands_before_the_facts(changes, words) -> None:
    """In red, above everything but the title."""
    page = body(receipt(**changes)._repr_html_())
    assert page.index("fk-warning") < page.index(words) < page.index("fk-facts")


def test_all_warnings_are_there_inferred_first() -> None:
    """A fill that is only inferred and has no stops says both."""
    page = body(receipt(evidence=Evidence.INFERRED, stops_ok=False)._repr_html_())
    assert page.count("fk-warning") == 2
    assert page.index("INFERRED") < page.index("stops_ok=False")


def test_an_agent_s_words_in_a_receipt_are_inert() -> None:
    """Reason, symbol and agent are escaped, and what is invisible becomes visible."""
    page = receipt(reason=HOSTILE, symbol=HOSTILE, agent=HOSTILE, order_id=HOSTILE)._repr_html_()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_a_plan_shows_refusals_in_red_below_their_order() -> None:
    """The title counts them; an order without a refusal has none."""
    page = plan_html([planned(), planned(account=7100013, refusal=REFUSED)], "Fresh for 10 s.")
    assert "var(--jp-error-color1, Crimson)" in page
    shown = body(page)
    assert "Plan: 2 orders, 1 refused" in shown
    assert shown.index("7100012") < shown.index("7100013") < shown.index("refused: The fleet")
    assert shown.count("fk-refusal") == 1
    assert "Fresh for 10 s." in shown


def test_a_plan_shows_rounding_and_warnings() -> None:
    """What is sent beside what was asked for."""
    rounded = planned(asked_volume=Decimal("0.507"), warnings=("There is no stop loss.",))
    shown = body(plan_html([rounded, planned(kind=OrderKind.CLOSE, side=None, volume=None)]))
    assert "0.50 of 0.507 asked" in shown
    assert "There is no stop loss." in shown
    assert "none refused" in shown


def test_of_many_orders_the_refused_ones_are_not_cut() -> None:
    """The last of a thousand is shown, because it would not be sent."""
    orders = [planned() for _ in range(1000)] + [planned(account=9, refusal=REFUSED)]
    shown = body(plan_html(orders))
    assert "refused: The fleet is not armed." in shown
    assert shown.count("fk-short") < 20 * ORDERS_SHOWN
    assert f"{1001 - ORDERS_SHOWN} more orders are in plan.frame." in shown


def test_an_empty_plan_is_a_card_too() -> None:
    """No table, no error."""
    assert "Plan: 0 orders" in plan_html([])


def test_hostile_text_in_a_plan_is_inert() -> None:
    """Symbols and sentences come from agents."""
    refusal = Refusal(Rule.SYMBOL, HOSTILE)
    page = plan_html([planned(symbol=HOSTILE, refusal=refusal, warnings=(HOSTILE,))], HOSTILE)
    assert "<script" not in page
    assert "\x1b" not in page


def test_the_records_of_trading_need_no_templates() -> None:
    """jinja2 is imported when the first card is drawn."""
    code = "import sys, fleetkit.trading; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
