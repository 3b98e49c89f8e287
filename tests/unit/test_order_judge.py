"""The judge of order storms finds each thing that must never happen, and excuses little."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fleetkit.model import Side
from fleetkit.sim.mishaps import Executed
from tests.support.order_judge import Told, Truth, Wrong, judge

ACCOUNT, TICKET = 7100012, 5001
NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)


def executed(
    kind="open", *, ticket=TICKET, volume=0.5, comment="storm-1", account=ACCOUNT, late=False
):
    """What a terminal did."""
    return Executed(
        time=NOON,
        kind=kind,
        account=account,
        ticket=ticket,
        symbol="EURUSD",
        side=Side.BUY,
        volume=volume,
        comment=comment,
        late=late,
    )


def told(outcome="filled", **changes):
    """An open that was told so, with comment ``storm-1``."""
    fields = {
        "order_id": "id-1",
        "account": ACCOUNT,
        "kind": "open",
        "ticket": TICKET,
        "volume": 0.5,
        "filled_volume": 0.5,
        "symbol": "EURUSD",
        "side": "buy",
        "comment": "storm-1",
    }
    return Told(**fields | {"outcome": outcome} | changes)


def close(outcome="filled", **changes):
    """A close of a base agent, which carries no name."""
    return told(outcome, **{"kind": "close", "comment": "", "order_id": "id-9"} | changes)


def verdict(orders, *executions, foreign=(), still_open=()):
    truth = Truth({ACCOUNT: executions}, {ACCOUNT: frozenset(still_open)}, frozenset(foreign))
    return [violation.what for violation in judge(orders, truth)]


def test_a_journal_that_is_right() -> None:
    """Filled and executed, refused and not, unknown either way: nothing is wrong."""
    assert verdict([told()], executed()) == []
    assert verdict([told("unknown", ticket=None)], executed()) == []
    for outcome in ("unknown", "rejected", "not_sent", "not_executed"):
        assert verdict([told(outcome, ticket=None)]) == []
    assert verdict([told(comment="other", order_id="storm-1")], executed()) == []


def test_executed_twice() -> None:
    """By its name, and among closes of one ticket by their number."""
    assert verdict([told()], executed(), executed(ticket=5002)) == [Wrong.TWICE]
    bare = executed("close", comment="")
    assert verdict([close()], bare, bare) == [Wrong.TWICE]
    assert verdict([close(), close(order_id="id-8")], bare, bare) == []
    named = executed("close", comment="id-9")
    assert verdict([close(), close(order_id="id-8")], named, bare) == []
    assert verdict([close()], named, named) == [Wrong.TWICE]


def test_executed_without_an_entry() -> None:
    """An execution that no order of that kind and account explains."""
    assert verdict([], executed()) == [Wrong.NO_ENTRY]
    assert verdict([], executed("close", comment="")) == [Wrong.NO_ENTRY]
    assert verdict([told(comment="storm-2", outcome="unknown")], executed()) == [Wrong.NO_ENTRY]
    assert Wrong.NO_ENTRY in verdict([told(account=1)], executed())
    assert Wrong.NO_ENTRY in verdict([close()], executed(comment=""))


@pytest.mark.parametrize("outcome", ["rejected", "not_sent", "not_executed"])
def test_executed_and_denied(outcome: str) -> None:
    """Whatever word it is denied with; a close, too, unless another order explains it."""
    assert verdict([told(outcome)], executed()) == [Wrong.DENIED]
    bare = executed("close", comment="")
    sent = outcome != "not_sent"
    assert verdict([close(outcome, sent=sent)], bare) == [Wrong.DENIED]
    assert verdict([close(outcome, sent=sent), close(order_id="id-8")], bare) == []
    assert verdict([close(outcome, sent=sent), close("unknown", order_id="id-8")], bare) == []


@pytest.mark.parametrize("evidence", ["answer", "by_id", "inferred", "history"])
def test_told_filled_and_not_executed(evidence: str) -> None:
    """Whatever it is told by."""
    assert verdict([told(evidence=evidence)]) == [Wrong.INVENTED]
    modify = told(kind="modify", comment="", evidence=evidence, filled_volume=None)
    assert verdict([modify]) == [Wrong.INVENTED]


def test_only_an_identical_trade_of_a_person_excuses_an_inference() -> None:
    """Same account, symbol, side and volume, and the receipt must say that it is inferred."""
    person = (ACCOUNT, "EURUSD", "buy", 0.5)
    assert verdict([told(evidence="inferred")], foreign=[person]) == []
    assert verdict([told(evidence="answer")], foreign=[person]) == [Wrong.INVENTED]
    inferred = told(evidence="inferred")
    for other in ((1, *person[1:]), (*person[:3], 0.6), (*person[:2], "sell", 0.5)):
        assert verdict([inferred], foreign=[other]) == [Wrong.INVENTED]
    elsewhere = executed(ticket=5002)
    assert verdict([inferred], elsewhere, foreign=[person]) == []
    assert verdict([inferred], elsewhere) == [Wrong.OTHER_TICKET]


def test_the_position_of_another_order_is_no_persons() -> None:
    """Whoever is told to have opened it is told wrong, whatever a person traded."""
    person = (ACCOUNT, "EURUSD", "buy", 0.5)
    other = told("unknown", order_id="id-2", comment="storm-2", ticket=None)
    his = executed(comment="storm-2")
    inferred = told(evidence="inferred")
    assert verdict([inferred, other], his, foreign=[person]) == [Wrong.INVENTED]
    mine = executed(ticket=5002)
    assert verdict([inferred, other], mine, his, foreign=[person]) == [Wrong.OTHER_TICKET]


def test_a_close_is_also_done_where_somebody_else_did_it() -> None:
    """Only when the position is really gone, and the evidence says so."""
    assert verdict([close(evidence="history")]) == []
    assert verdict([close(evidence="answer", retcode=10036)]) == []
    assert verdict([close(evidence="answer")]) == [Wrong.INVENTED]
    assert verdict([close(evidence="history")], still_open=[TICKET]) == [Wrong.INVENTED]


def test_tickets_and_volumes_are_those_executed() -> None:
    """Of a fill that was executed."""
    assert verdict([told(ticket=5002)], executed()) == [Wrong.OTHER_TICKET]
    assert verdict([told(ticket=None)], executed()) == []
    assert verdict([told()], executed(volume=0.4)) == [Wrong.OTHER_VOLUME]
    assert verdict([told(filled_volume=None)], executed(volume=0.4)) == []


def test_a_netting_account_may_be_told_the_old_ticket() -> None:
    """A reversal gives a position a new one; everywhere else another ticket is wrong."""
    truth = Truth({ACCOUNT: [executed()]}, {}, netting=frozenset({ACCOUNT}))
    assert judge([told(ticket=5002)], truth) == []


def test_plain_answers_are_told_plainly() -> None:
    """Ok is filled and a refusal rejected; what was not sent had no answer."""
    unknown = told("unknown", answered="plainly")
    assert verdict([unknown], executed()) == [Wrong.OK_NOT_FILLED]
    assert verdict([unknown]) == [Wrong.REFUSAL_NOT_REJECTED]
    assert verdict([close("unknown", answered="plainly")]) == []
    assert verdict([told("unknown", answered="no")]) == [Wrong.REFUSAL_NOT_REJECTED]
    assert verdict([told("rejected", answered="no")]) == []
    assert verdict([told("not_sent", answered="no", sent=False)]) == []
    assert verdict([told("rejected", answered="plainly"), close()], executed()) == [
        Wrong.DENIED,
        Wrong.INVENTED,
    ]


def test_what_was_executed_before_an_order_was_asked_for_is_not_its_own() -> None:
    """It accuses nobody who came later: "Position … not found" is then what was answered."""
    bare = executed("close", comment="")
    lost = close(evidence="history")  # and the position is gone, whoever closed it
    not_found = close("unknown", order_id="id-8", answered="plainly", after=1)
    assert verdict([lost, not_found], bare) == []
    assert verdict([not_found, lost], bare) == []
    assert verdict([close("rejected", order_id="id-8", after=1), lost], bare) == []
    early, late = close(order_id="id-7"), close(after=1)
    assert verdict([early, late], bare, bare) == verdict([late, early], bare, bare) == []


def test_what_was_executed_after_an_order_was_asked_for_may_be_its_own() -> None:
    """An ok answer that is not told filled is found, though another's position is gone, too."""
    bare = executed("close", comment="")
    lost = close(evidence="history")
    unknown = close("unknown", order_id="id-8", answered="plainly")
    assert verdict([lost, unknown], bare) == [Wrong.OK_NOT_FILLED]
    late = close("unknown", order_id="id-8", answered="plainly", after=1)
    assert verdict([lost, late], bare, bare) == [Wrong.OK_NOT_FILLED]


def test_what_was_executed_before_an_order_was_asked_for_does_not_excuse_it() -> None:
    """Nor is it explained by it."""
    bare = executed("close", comment="")
    assert verdict([close("unknown", after=1)], bare) == [Wrong.NO_ENTRY]
    assert verdict([close(after=1)], bare) == [Wrong.NO_ENTRY, Wrong.INVENTED]
    late, denied = close("unknown", after=1), close("not_executed", order_id="id-8")
    assert verdict([late, denied], bare) == [Wrong.DENIED]
    assert verdict([close("unknown", after=1)], bare, bare, bare) == [Wrong.NO_ENTRY, Wrong.TWICE]
    fix = executed("modify", comment="", volume=None)
    change = close("unknown", kind="modify", after=2)
    assert verdict([told(corrections=1), change], executed(), fix) == []
    assert verdict([told(), change], executed(), fix) == [Wrong.NO_ENTRY]


def test_what_was_executed_late_is_of_nobody_who_was_answered() -> None:
    """Late is after the answer: a plain one, or a refusal, speaks of something else."""
    late, soon = (executed("close", comment="", late=is_late) for is_late in (True, False))
    lost = close(evidence="history")
    not_found = close("unknown", order_id="id-8", answered="plainly")
    assert verdict([lost, not_found], late) == verdict([not_found, lost], late) == []
    assert verdict([lost, not_found], soon) == [Wrong.OK_NOT_FILLED]
    assert verdict([lost, not_found], late, soon) == [Wrong.OK_NOT_FILLED]
    assert verdict([not_found], late) == [Wrong.NO_ENTRY]
    assert verdict([close("rejected", answered="no")], late) == [Wrong.NO_ENTRY]


def test_whoever_can_explain_more_leaves_the_rest_to_the_others() -> None:
    """Whatever the turn in which orders and executions come."""
    late, soon = (executed("close", comment="", late=is_late) for is_late in (True, False))
    anyone = close()
    plain = close(order_id="id-8", answered="plainly")
    later = close(order_id="id-7", after=1)
    for orders in ([anyone, plain], [plain, anyone]):
        assert verdict(orders, late, soon) == verdict(orders, soon, late) == []
    for orders in ([anyone, later], [later, anyone]):
        assert verdict(orders, soon, late) == verdict(orders, late, soon) == []
    assert verdict([plain, later, anyone], late, soon, late) == []
    assert verdict([plain, later, anyone], late, late, late) == [Wrong.TWICE, Wrong.INVENTED]


def test_a_receipt_keeps_its_word() -> None:
    """Only unknown may become something else."""
    assert verdict([told("rejected", shown="not_sent")]) == [Wrong.CHANGED]
    assert verdict([told("rejected", shown="unknown")]) == []


def test_a_correction_of_stops_is_the_opens_own() -> None:
    """One modify for each that the journal says was made, and no other."""
    fix = executed("modify", comment="", volume=None)
    assert verdict([told(corrections=1)], executed(), fix) == []
    assert verdict([told()], executed(), fix) == [Wrong.NO_ENTRY]
    late = told("not_sent", kind="modify", comment="", order_id="id-8", sent=False)
    assert verdict([told(corrections=1), late], executed(), fix) == []
    assert verdict([told(), late], executed(), fix) == [Wrong.DENIED]
    assert verdict([told(corrections=1)], executed(), fix, fix) == [Wrong.NO_ENTRY]
