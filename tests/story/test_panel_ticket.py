"""The trade ticket on simulated agents: from a click to an order, once or not at all.

What an agent's terminal really executed is the truth here, whatever a panel shows.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

import fleetkit as fk
from fleetkit.fleet import behind
from fleetkit.panels.confirm_model import BUSY, EXPIRED, TOO_SOON, Stage
from fleetkit.sim import Faults, Latency, SimProcess
from tests.story.test_panel_positions import FLAT, HELD, OTHER, PATIENCE_S, Desk
from tests.support.recorded_comms import RecordedFront

GRACE_S = 0.5
SLOW = Latency.fixed(700.0)


@pytest.fixture
def served() -> Iterator[SimProcess]:
    with SimProcess.start(accounts=3, seed=7, keep_alive_s=60) as process:
        yield process


@pytest.fixture
def connect(served: SimProcess, tmp_path, nothing_left_behind):
    """``connect()`` → a fleet on one store, whatever the number of kernels before it."""
    made: list[fk.Fleet] = []

    def connected(**trading: float) -> fk.Fleet:
        agents = [dict(agent, time_zone="UTC", stops_unit="price") for agent in served.agents]
        settings = fk.TradingSettings(grace_s=GRACE_S, **trading)
        fleet = fk.connect(agents, home=tmp_path, progress=False, trading=settings)
        made.append(fleet)
        return fleet

    yield connected
    served.faults.clear()
    for fleet in made:
        fleet.close()


@pytest.fixture
def front(monkeypatch):
    """A front end that records what widgets send."""
    return RecordedFront.instead(monkeypatch)


@pytest.fixture
def desk(connect, front):
    """A ticket that is filled in for two accounts, on a fleet that may not trade yet."""
    desk = Desk(connect(), front, "ticket")
    filled_in(desk)
    yield desk
    desk.close()


@pytest.fixture
def armed(desk):
    """The same, and armed."""
    with desk.fleet.armed(minutes=5, max_volume=5, max_orders=50):
        yield desk


def filled_in(desk: Desk, *accounts: int) -> None:
    desk.choose(*(accounts or (HELD, OTHER)))
    desk.fill(symbol="EURUSD", volume="0.2", side="buy")


def executed(served: SimProcess) -> int:
    """How many orders all terminals executed."""
    return sum(len(served.persons.executed(agent["account"])) for agent in served.agents)


def test_reviewed_confirmed_and_told(armed, served):
    """One order for each account, as it was shown, and a receipt of each."""
    armed.fill(sl="20", tp="40")
    armed.reviewed()
    preview = armed.shown("preview")
    assert [(row["account"], row["order"]) for row in preview] == [(HELD, "buy"), (OTHER, "buy")]
    assert executed(served) == 0
    assert armed.control("send").description == "Send 2 orders"
    armed.confirmed()
    for account, row in zip((HELD, OTHER), preview, strict=True):
        (order,) = served.persons.executed(account)
        assert (order.kind, order.symbol, order.volume) == ("open", "EURUSD", 0.2)
        held = armed.fleet.positions(account, refresh=True).loc[order.ticket]
        assert held["sl"] == pytest.approx(row["sl"], abs=1e-5)
        assert held["tp"] == pytest.approx(row["tp"], abs=1e-5)
    receipts = armed.shown("receipts")
    assert {row["account"] for row in receipts} == {HELD, OTHER}
    assert {row["outcome"] for row in receipts} == {"filled"}


def test_a_storm_of_confirmations_in_two_panels_is_one_order(armed, served):
    """Double clicks, a key held down and a second tab: once for each account."""
    armed.show()
    armed.reviewed()
    armed.at_once(*["send"] * 50)
    for turn in range(50):
        armed.press("send", panel=turn % 2)
    armed.wait(lambda: armed.presenter.state.stage is Stage.TOLD)
    armed.at_once(*["send"] * 50)
    assert executed(served) == 2
    assert len(armed.fleet.orders()) == 2


def test_review_and_confirm_in_one_instant_is_no_order(armed, served):
    """What nobody can have read is not confirmed, before it is there and right after it."""
    armed.at_once("review", "send", "review", "send")
    armed.wait(lambda: armed.presenter.state.stage is Stage.PREVIEW)
    armed.at_once("send", "send")
    assert armed.presenter.state.said == TOO_SOON
    assert armed.presenter.state.stage is Stage.PREVIEW
    assert len(armed.fleet.orders()) == executed(served) == 0


def test_a_confirmation_that_comes_too_late_is_void(connect, front, served):
    """It says so; the plan had become too old, and nothing is sent until it is reviewed again."""
    desk = Desk(connect(plan_fresh_s=0.2), front, "ticket")
    filled_in(desk)
    with desk.fleet.armed(minutes=5, max_volume=5, max_orders=50):
        desk.press("review")
        desk.wait(lambda: desk.presenter.state.said == EXPIRED)
        desk.press("send")
        desk.on_loop(lambda: None)
        assert EXPIRED in desk.text()
        assert len(desk.fleet.orders()) == executed(served) == 0
    desk.close()


@pytest.mark.parametrize("how", ["field", "unit", "side", "accounts", "dismiss"])
def test_what_was_changed_is_not_what_was_shown(armed, served, how):
    """Any change voids the preview, and "Send" with it."""
    armed.reviewed()
    change = {
        "field": lambda: armed.fill(volume="0.3"),
        "unit": lambda: armed.fill(sl_unit="price"),
        "side": lambda: armed.fill(side="sell"),
        "accounts": lambda: armed.choose(HELD),
        "dismiss": lambda: armed.press("dismiss"),
    }
    change[how]()
    armed.press("send")
    armed.wait(lambda: armed.presenter.state.stage is Stage.IDLE)
    armed.wait(lambda: armed.control("send").disabled)
    assert armed.shown("preview") == []
    assert len(armed.fleet.orders()) == executed(served) == 0


def test_a_selection_made_while_no_ticket_is_open_voids_its_preview(armed, served):
    """The ticket lives on without a panel; what it showed does not outlive the choice."""
    armed.reviewed()
    presenter = armed.presenter
    armed.panels[0].close()
    accounts = fk.panels.accounts(armed.fleet)
    accounts.selected = [FLAT]
    assert presenter.state.stage is Stage.IDLE
    accounts.close()


def test_a_fleet_that_is_not_armed_sends_nothing(desk, served):
    """Read only looks like it: every order is refused with a sentence, and "Send" is off."""
    assert "read only: arm in the bar above" in desk.text()
    desk.reviewed()
    assert {row["verdict"] for row in desk.shown("preview")} == {"refused"}
    assert "not armed" in desk.shown("preview")[0]["why"]
    desk.press("send")
    desk.wait(lambda: desk.presenter.state.said is not None)
    assert desk.control("send").disabled
    assert len(desk.fleet.orders()) == executed(served) == 0


def test_a_halt_after_the_review_still_holds(armed, served):
    """The order is looked at once more before it is sent."""
    armed.reviewed()
    armed.fleet.halt("news")
    armed.confirmed()
    assert {row["outcome"] for row in armed.shown("receipts")} == {"not_sent"}
    assert executed(served) == 0
    armed.wait(lambda: armed.hub.standing.halt is not None)
    assert "halted: resume in the bar above" in armed.text()
    armed.reviewed()
    assert {row["verdict"] for row in armed.shown("preview")} == {"refused"}


def test_what_would_be_refused_is_left_out(desk, served):
    """The button says how many of how many; only those go out."""
    with desk.fleet.armed(minutes=5, max_volume=5, max_orders=50, accounts=[OTHER]):
        desk.reviewed()
        verdicts = {row["account"]: row["verdict"] for row in desk.shown("preview")}
        assert verdicts[HELD] == "refused"
        assert verdicts[OTHER] != "refused"
        desk.wait(lambda: desk.control("send").description == "Send 1 of 2 orders")
        desk.confirmed()
    assert served.persons.executed(HELD) == []
    assert len(served.persons.executed(OTHER)) == 1
    assert [row["account"] for row in desk.shown("receipts")] == [OTHER]


def test_nothing_begins_while_orders_are_sent(armed, served):
    """A second review waits for the receipts of the first."""
    served.faults.set(None, Faults(latency=SLOW, routes=("open",)))
    armed.reviewed()
    armed.press("send", "review", "send")
    armed.wait(lambda: armed.presenter.state.said == BUSY)
    armed.wait(lambda: armed.presenter.state.stage is Stage.TOLD)
    assert executed(served) == len(armed.fleet.orders()) == 2


def test_an_unknown_order_locks_its_symbol_until_it_is_reconciled(armed, served):
    """It says which order, offers to reconcile, and its receipt becomes what was found out."""
    filled_in(armed, HELD)
    served.faults[HELD] = Faults(lost_answer=True)
    armed.reviewed()
    armed.confirmed()
    (receipt,) = armed.shown("receipts")
    assert receipt["outcome"] == "unknown"
    served.faults[HELD] = Faults(hang=True, routes=("positions",))  # no proof can be had yet
    lock = f"EURUSD on {HELD} is locked: order {receipt['order_id']} is unknown"
    armed.wait(lambda: armed.hub.journal)
    assert lock in armed.text()
    armed.wait(lambda: not armed.control("reconcile").disabled)
    armed.press("dismiss")
    assert len(armed.shown("receipts")) == 1  # what is unknown stays in sight
    served.faults.clear()
    armed.press("reconcile")
    armed.wait(lambda: not any(line.is_open for line in armed.hub.journal))
    (found,) = armed.shown("receipts")
    (order,) = served.persons.executed(HELD)
    assert (found["outcome"], found["ticket"]) == ("filled", order.ticket)
    assert found["order_id"] == receipt["order_id"]
    assert lock not in armed.text()
    armed.wait(lambda: armed.control("reconcile").disabled)
    armed.press("dismiss")
    assert armed.shown("receipts") == []


def test_a_locked_symbol_is_refused_and_the_other_accounts_are_not(armed, served):
    """A second order beside an unknown one might be the same one twice."""
    served.faults[FLAT] = Faults(retcode=10012)  # of a flat account, proves nothing
    filled_in(armed, FLAT)
    armed.reviewed()
    armed.confirmed()
    served.faults.clear()
    filled_in(armed, FLAT, OTHER)
    armed.reviewed()
    verdicts = {row["account"]: row["verdict"] for row in armed.shown("preview")}
    assert verdicts[FLAT] == "refused"
    armed.confirmed()
    assert served.persons.executed(FLAT) == []
    assert len(served.persons.executed(OTHER)) == 1


def test_a_closed_panel_loses_no_receipt(armed, served):
    """The order goes on, and the panel of the cell that is run again shows what became of it."""
    served.faults.set(None, Faults(latency=SLOW, routes=("open",)))
    armed.reviewed()
    armed.press("send")
    armed.wait(lambda: armed.presenter.state.stage is Stage.SENDING)
    armed.panels[0].close()
    again = armed.show()
    armed.panels.pop(0)
    armed.wait(lambda: armed.presenter.state.stage is Stage.TOLD)
    assert {row["outcome"] for row in armed.shown("receipts")} == {"filled"}
    assert "filled" in str(again)
    assert executed(served) == 2


def test_a_new_kernel_knows_what_the_old_one_left_unknown(connect, front, served):
    """Nothing is sent again, and the lock is there before anybody presses anything."""
    desk = Desk(connect(), front, "ticket")
    filled_in(desk, FLAT)
    served.faults[FLAT] = Faults(retcode=10012)
    with desk.fleet.armed(minutes=5, max_volume=5, max_orders=50):
        desk.reviewed()
        desk.confirmed()
    (order_id,) = desk.fleet.orders().index
    desk.close()
    desk.fleet.close()
    later = Desk(connect(), front, "ticket")
    filled_in(later, FLAT)
    later.wait(lambda: later.hub.journal)
    assert f"locked: order {order_id} is unknown" in later.text()
    assert len(later.fleet.orders()) == 1
    later.close()


def test_a_panel_that_is_shown_again_shows_the_same_ticket(armed, served):
    """Fields, preview and state are the fleet's, not a panel's."""
    armed.reviewed()
    armed.show()
    armed.wait(lambda: armed.control("volume", panel=1).value == "0.2")
    assert armed.control("symbol", panel=1).value == "EURUSD"
    assert len(armed.shown("preview")) == 2
    armed.press("send", panel=1)
    armed.wait(lambda: armed.presenter.state.stage is Stage.TOLD)
    assert executed(served) == 2


def test_two_panels_agree_on_what_was_typed_last(desk):
    """However quickly it was typed, and without setting each other back for ever."""
    desk.show()
    loop, typed = behind(desk.fleet).loop, threading.Event()
    loop.post(typed.wait, PATIENCE_S)  # so that every key waits behind the one before
    for text in ("0", "0.", "0.1", "0.12"):
        desk.fill(volume=text)
    typed.set()
    for _ in range(20):
        desk.on_loop(lambda: None)
    before = len(desk.front.messages)
    assert [desk.control("volume", panel).value for panel in (0, 1)] == ["0.12", "0.12"]
    assert desk.presenter.fields()["volume"] == "0.12"
    for _ in range(20):
        desk.on_loop(lambda: None)
    set_again = [data for _, _, data, _ in desk.front.messages[before:] if "volume" in str(data)]
    assert set_again == []


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"symbol": ""}, "Write a symbol first."),
        ({"volume": ""}, "Write a volume first."),
        ({"volume": "0,2"}, "`volume` is a number above 0"),
        ({"volume": "-1"}, "`volume` is a number above 0"),
        ({"volume": "nan"}, "`volume` is a number above 0"),
        ({"sl": "twenty"}, "`sl_pips` is a number above 0"),
        ({"comment": "x" * 40}, "up to 26 characters"),
    ],
)
def test_a_mistake_meets_a_sentence(desk, fields, sentence):
    """And nothing is planned."""
    desk.fill(**fields)
    desk.press("review")
    desk.wait(lambda: desk.presenter.problem is not None)
    assert sentence in desk.text()
    assert desk.presenter.state.stage is Stage.IDLE


def test_without_accounts_it_says_where_to_choose_them(desk):
    """None chosen is not all of them."""
    desk.choose()
    desk.press("review")
    desk.wait(lambda: desk.presenter.problem is not None)
    assert "Choose accounts first" in desk.text()
    assert "no account chosen" in desk.text()


def test_the_quote_is_of_the_first_account_and_never_an_old_ones(desk):
    """Another symbol shows no price until it has one of its own; a wrong one says why."""
    desk.wait(lambda: "bid" in str(desk.presenter.contents(0.0)["quote"]))
    assert f"on {HELD}" in desk.text()
    desk.fill(symbol="NOSUCH")
    desk.on_loop(lambda: None)
    assert "bid" not in desk.text()
    desk.wait(lambda: "NOSUCH" in str(desk.presenter.contents(0.0)["quote"]))
    assert "bid" not in desk.text()
