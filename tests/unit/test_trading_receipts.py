"""Receipts say first what must not be overlooked, and what to do about the rest."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

import fleetkit as fk
from fleetkit.model import Side
from fleetkit.trading import AgentCall, Evidence, OrderKind, Outcome, Receipt, Timings

FILLED = Receipt(
    order_id="A" * 26, account=7, agent="vps01", kind=OrderKind.OPEN, outcome=Outcome.FILLED,
    evidence=Evidence.ANSWER, symbol="EURUSD", side=Side.BUY, volume=Decimal("0.5"),
    filled_volume=Decimal("0.5"), ticket=100, price=1.1,
)  # fmt: skip


def test_a_receipt_reads_as_a_sentence():
    """Outcome, what was asked, where and at what price."""
    assert repr(FILLED) == (
        f"<Receipt filled open buy 0.5 EURUSD on 7 ticket 100 at 1.1, order {'A' * 26}>"
    )
    partly = msgspec.structs.replace(FILLED, filled_volume=Decimal("0.3"))
    assert "0.3 of 0.5" in repr(partly)


def test_inferred_fills_and_wrong_stops_come_first():
    """Before the word filled."""
    inferred = msgspec.structs.replace(FILLED, evidence=Evidence.INFERRED, stops_ok=False)
    text = repr(inferred)
    assert text.index("INFERRED") < text.index("stops_ok=False") < text.index("filled")


@pytest.mark.parametrize("outcome", [each for each in Outcome if each is not Outcome.FILLED])
def test_raise_unless_filled_says_what_to_do(outcome):
    """An unknown order must not be sent again; of the others nothing was executed."""
    receipt = msgspec.structs.replace(FILLED, outcome=outcome, reason="It timed out.")
    with pytest.raises(fk.OrderNotFilled) as caught:
        receipt.raise_unless_filled()
    assert (caught.value.outcome, caught.value.account) == (outcome.value, 7)
    assert ("fleet.resolve" in str(caught.value)) == (outcome is Outcome.UNKNOWN)
    assert FILLED.raise_unless_filled() is FILLED


def test_an_agents_words_cannot_break_the_line():
    """A reason is hostile text."""
    receipt = msgspec.structs.replace(FILLED, outcome=Outcome.UNKNOWN, reason="a\x1b[2Jb\nc")
    assert repr(receipt).isprintable()


def test_timings_part_the_agents_time_from_ours():
    """Total less the calls."""
    calls = (AgentCall("open", 30.0), AgentCall("positions", 10.0))
    assert Timings(calls=calls, total_ms=45.0).overhead_ms == 5.0
    assert Timings(calls=calls).overhead_ms is None
