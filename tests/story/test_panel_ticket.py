"""Ticket and positions on a simulated fleet: what was pressed, and what was executed."""

from __future__ import annotations

import pytest

import fleetkit as fk
from fleetkit.panels.confirm_model import DELIBERATE_S, EXPIRED, TOO_SOON, Stage
from fleetkit.panels.positions_panel import Positions
from fleetkit.panels.ticket_panel import Ticket
from tests.support.driven import Driven

pytestmark = pytest.mark.timeout(120)
FIRST, SECOND = 7100001, 7100002


@pytest.fixture
def fleet():
    """Three simulated accounts."""
    with fk.demo(accounts=3, seed=7, progress=False) as fleet:
        yield fleet


@pytest.fixture
def ticket(fleet):
    """The ticket, two accounts chosen, filled in."""
    driven = Driven(fleet, Ticket)
    driven.select(FIRST, SECOND)
    driven.set(symbol="EURUSD", side="buy", volume="0.1", sl="60", sl_unit="pips")
    return driven


def reviewed(driven):
    """Review, and wait until a person could have read it."""
    driven.act("review")
    driven.until(lambda: driven.presenter.state.stage is not Stage.PLANNING)
    shown = driven.presenter.state.shown_at
    driven.until(lambda: driven.hub.clock.elapsed() > shown + DELIBERATE_S + 0.05)


def told(driven):
    driven.until(lambda: driven.presenter.state.stage is Stage.TOLD)
    return driven.table("receipts")


def executed(fleet, *accounts):
    return [len(fleet.demo.executed(account)) for account in accounts]


def test_reviewed_confirmed_and_told(ticket, fleet):
    """One order on each chosen account, with a receipt that says so; the preview is gone."""
    with fleet.armed(minutes=5, max_volume=1, max_orders=4):
        reviewed(ticket)
        preview = ticket.table("preview")
        assert [row["account"] for row in preview] == [FIRST, SECOND]
        assert {row["verdict"] for row in preview} <= {"ok", "warning"}
        assert preview[0]["sl_pips"] == 60.0
        assert ticket.controls()["send"] == {"disabled": False, "description": "Send 2 orders"}
        ticket.act("send")
        receipts = told(ticket)
    assert {row["outcome"] for row in receipts} == {"filled"}
    assert all(row["stops_ok"] for row in receipts)
    assert executed(fleet, FIRST, SECOND) == [1, 1]
    assert ticket.table("preview") == []
    assert sorted(fleet.orders()["account"]) == [FIRST, SECOND]


def test_a_storm_of_clicks_is_one_order(ticket, fleet):
    """Fifty confirmations in one turn, and fifty more while they are sent."""
    with fleet.armed(minutes=5, max_volume=1, max_orders=9):
        reviewed(ticket)
        ticket.act_at_once(*["send"] * 50)
        ticket.act_at_once(*["send"] * 50)
        told(ticket)
        ticket.act_at_once(*["send"] * 50)
    assert executed(fleet, FIRST, SECOND) == [1, 1]


def test_a_double_click_on_review_sends_nothing(ticket, fleet):
    """Review and confirmation in one instant; the preview stays, with a sentence."""
    with fleet.armed(minutes=5, max_volume=1, max_orders=9):
        ticket.act_at_once("review", "send", "review", "send")
        ticket.until(lambda: ticket.presenter.state.stage is Stage.PREVIEW)
        ticket.act("send")
        assert ticket.presenter.state.said == TOO_SOON
    assert executed(fleet, FIRST, SECOND) == [0, 0]


def test_what_expired_is_not_sent(ticket, fleet):
    """A click that waited until the preview was old is void."""
    with fleet.armed(minutes=5, max_volume=1, max_orders=9):
        reviewed(ticket)
        until = ticket.presenter.state.until
        ticket.until(lambda: ticket.hub.clock.elapsed() > until)
        ticket.act("send")
        assert EXPIRED in ticket.line("stage")
    assert executed(fleet, FIRST, SECOND) == [0, 0]


def test_what_was_edited_must_be_reviewed_again(ticket, fleet):
    """A field or the chosen accounts: the preview is void."""
    with fleet.armed(minutes=5, max_volume=1, max_orders=9):
        reviewed(ticket)
        ticket.set(volume="0.2")
        ticket.act("send")
        assert ticket.presenter.state.stage is Stage.IDLE
        reviewed(ticket)
        ticket.select(FIRST)
        ticket.act("send")
    assert executed(fleet, FIRST, SECOND) == [0, 0]


def test_a_second_panel_shows_the_same_ticket(fleet, front):
    """Two tabs are two views of one state: what one reviewed, the other may confirm, once."""
    first, second = fk.panels.ticket(fleet), fk.panels.ticket(fleet)
    parts = [first.parts["ticket"], second.parts["ticket"]]
    assert parts[0].presenter is parts[1].presenter
    front.set(parts[0].controls["symbol"], value="EURUSD")
    driven = Driven(fleet, type("Other", (Ticket,), {}))
    driven.until(lambda: parts[1].controls["symbol"].value == "EURUSD")
    third = fk.panels.ticket(fleet)
    driven.until(lambda: third.parts["ticket"].controls["symbol"].value == "EURUSD")
    for panel in (first, second, third):
        panel.close()


def test_a_read_only_fleet_shows_why_and_sends_nothing(ticket, fleet):
    """Every row says what to do; there is nothing to confirm."""
    reviewed(ticket)
    assert {row["verdict"] for row in ticket.table("preview")} == {"refused"}
    assert "armed" in ticket.table("preview")[0]["why"]
    assert ticket.controls()["send"]["disabled"]
    assert "read only" in ticket.line("accounts")
    ticket.act("send")
    assert ticket.presenter.state.stage is not Stage.SENDING
    assert executed(fleet, FIRST, SECOND) == [0, 0]


def test_refused_orders_are_left_out_and_the_others_go(ticket, fleet):
    """An arming for one account alone: one is sent, and the button said so."""
    with fleet.armed(minutes=5, max_volume=1, max_orders=9, accounts=FIRST):
        reviewed(ticket)
        assert ticket.controls()["send"]["description"] == "Send 1 of 2 orders"
        ticket.act("send")
        told(ticket)
    assert executed(fleet, FIRST, SECOND) == [1, 0]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"volume": ""}, "Write a volume first."),
        ({"symbol": ""}, "Write a symbol first."),
        ({"volume": "much"}, "`volume` is a number above 0"),
        ({"sl": "-5"}, "sl_pips"),
        ({"comment": "x" * 40}, "26 characters"),
    ],
)
def test_mistakes_meet_a_sentence(ticket, fields, sentence):
    """And nothing is asked of any agent."""
    ticket.set(**fields)
    ticket.act("review")
    assert sentence in ticket.contents()["problem"]
    assert ticket.presenter.state.stage is Stage.IDLE


def test_without_accounts_there_is_no_ticket(ticket):
    """The sentence says where to choose some."""
    ticket.select()
    ticket.act("review")
    assert "Choose accounts first" in ticket.contents()["problem"]


def test_a_quote_is_shown_with_its_age(ticket):
    """Of the first account that is chosen; a symbol nobody knows is a sentence."""
    ticket.until(lambda: ticket.presenter.contents(0.0)["quote"] != ())
    assert "bid 1." in ticket.line("quote")
    ticket.set(symbol="NOSUCH")
    ticket.until(lambda: "bid" not in str(ticket.presenter.contents(0.0)["quote"])
                 and ticket.presenter.contents(0.0)["quote"] != ())  # fmt: skip
    assert "NOSUCH" in ticket.line("quote")


def test_a_lost_answer_locks_the_ticket_until_it_is_reconciled(ticket, fleet):
    """Unknown is shown and locks; the evidence comes, and the receipt becomes filled by itself."""
    fleet.demo.faults[FIRST] = fk.sim.Faults(lost_answer=True, routes=("open",))
    ticket.select(FIRST)
    with fleet.armed(minutes=5, max_volume=1, max_orders=9):
        reviewed(ticket)
        ticket.act("send")
        (receipt,) = told(ticket)
        fleet.demo.faults[FIRST] = fk.sim.Faults(
            routes=("positions", "trade_history"), status_code=500
        )  # or it would be found out about within a second
        assert receipt["outcome"] == "unknown"
        assert "EURUSD on 7100001 is locked" in ticket.line("locks")
        assert ticket.controls()["reconcile"] == {"disabled": False}
        reviewed(ticket)
        (row,) = ticket.table("preview")
        assert row["verdict"] == "refused"
        assert executed(fleet, FIRST) == [1]
        ticket.act("dismiss")
        assert len(ticket.table("receipts")) == 1  # what is unknown stays in sight
        fleet.demo.faults.clear()
        ticket.act("reconcile")
        ticket.until(lambda: not any(line.outcome == "unknown" for line in ticket.hub.journal))
    assert ticket.line("locks") == ""
    assert ticket.table("receipts")[0]["outcome"] == "filled"
    ticket.act("dismiss")
    assert ticket.table("receipts") == []


# Positions


@pytest.fixture
def positions(fleet):
    """Positions of the three accounts, two of them opened just now."""
    with fleet.armed(minutes=5, max_volume=1, max_orders=9):
        opened = [fleet.open_position(account, "EURUSD", "buy", 0.1) for account in (FIRST, SECOND)]
    driven = Driven(fleet, Positions)
    driven.until(lambda: len(driven.presenter.contents(0.0)["positions"].rows) >= 2)
    driven.opened = {receipt.account: receipt.ticket for receipt in opened}
    return driven


def test_what_is_chosen_is_closed_while_halted(positions, fleet):
    """Closing needs no arming, and no halt keeps it back; the others stay open."""
    fleet.halt("for the test")
    ticket = positions.opened[FIRST]
    positions.choose("positions", f"{FIRST}:{ticket}")
    reviewed(positions)
    (row,) = positions.table("preview")
    assert (row["account"], row["ticket"], row["verdict"]) == (FIRST, ticket, "ok")
    positions.act_at_once("send", "send")
    (receipt,) = told(positions)
    assert receipt["outcome"] == "filled"
    open_now = fleet.positions(refresh=True)
    assert ticket not in open_now.index
    assert positions.opened[SECOND] in open_now.index


def test_everything_of_the_chosen_accounts_is_closed(positions, fleet):
    """Read anew, shown, confirmed."""
    positions.select(SECOND)
    positions.act("close_all")
    positions.until(lambda: positions.presenter.state.stage is Stage.PREVIEW)
    assert {row["account"] for row in positions.table("preview")} == {SECOND}
    shown = positions.presenter.state.shown_at
    positions.until(lambda: positions.hub.clock.elapsed() > shown + DELIBERATE_S + 0.05)
    positions.act("send")
    assert {row["outcome"] for row in told(positions)} == {"filled"}
    left = fleet.positions(refresh=True)
    assert SECOND not in set(left["account"])
    assert positions.opened[FIRST] in left.index


def test_accounts_that_cannot_be_read_are_said(positions, fleet):
    """Closing all says whose positions are not in the preview."""
    fleet.demo.faults[SECOND] = fk.sim.Faults(routes=("positions",), status_code=500)
    positions.act("close_all")
    positions.until(lambda: positions.presenter.state.stage is Stage.PREVIEW)
    assert str(SECOND) in positions.contents()["problem"]
    assert "1 could not be read" in positions.line("totals")


def test_stops_are_changed(positions, fleet):
    """Set, keep and remove; a price that is missing is a sentence."""
    ticket = positions.opened[FIRST]
    positions.choose("positions", f"{FIRST}:{ticket}")
    positions.act("modify")
    assert "Both stops are kept" in positions.contents()["problem"]
    positions.set(sl_how="set")
    positions.act("modify")
    assert "Write the price of the SL" in positions.contents()["problem"]
    level = round(float(fleet.positions().loc[ticket, "open_price"]) - 0.01, 5)
    positions.set(sl=str(level))
    positions.act("modify")
    positions.until(lambda: positions.presenter.state.stage is Stage.PREVIEW)
    shown = positions.presenter.state.shown_at
    positions.until(lambda: positions.hub.clock.elapsed() > shown + DELIBERATE_S + 0.05)
    positions.act("send")
    (receipt,) = told(positions)
    assert (receipt["outcome"], receipt["stops_ok"]) == ("filled", True)
    assert fleet.positions(refresh=True).loc[ticket, "sl"] == pytest.approx(level)


def test_two_accounts_may_have_the_same_ticket(positions):
    """Rows are known by account and ticket."""
    keys = list(positions.contents()["positions"].rows)
    assert all(key.count(":") == 1 for key in keys)
