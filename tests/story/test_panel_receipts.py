"""Receipts in panels: none is lost, none says what is not so any more, and none keeps another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import fleetkit as fk
from fleetkit.panels import confirming
from fleetkit.panels.confirm_model import Stage
from fleetkit.sim import Faults, Latency, SimProcess
from tests.story.test_panel_positions import FLAT, HELD, OTHER, Desk
from tests.support.recorded_comms import RecordedFront

LONG_MS = 1_500.0


@pytest.fixture
def served() -> Iterator[SimProcess]:
    with SimProcess.start(accounts=3, seed=7, keep_alive_s=60) as process:
        yield process


@pytest.fixture
def desk(served, tmp_path, monkeypatch, nothing_left_behind):
    """An armed ticket, filled in for two accounts."""
    agents = [dict(agent, time_zone="UTC", stops_unit="price") for agent in served.agents]
    trading = fk.TradingSettings(grace_s=0.5)
    with fk.connect(agents, home=tmp_path, progress=False, trading=trading) as fleet:
        desk = Desk(fleet, RecordedFront.instead(monkeypatch), "ticket")
        desk.choose(HELD, OTHER)
        desk.fill(symbol="EURUSD", volume="0.2", side="buy")
        with fleet.armed(minutes=5, max_volume=5, max_orders=50):
            yield desk
        served.faults.clear()
        desk.close()


def outcomes(desk: Desk) -> dict[int, str]:
    return {row["account"]: row["outcome"] for row in desk.shown("receipts")}


def unknown(desk: Desk, served: SimProcess, account: int = HELD) -> None:
    """Send an order on one account whose answer is lost."""
    served.faults[account] = Faults(lost_answer=True)
    desk.choose(account)
    desk.reviewed()
    desk.confirmed()
    assert outcomes(desk)[account] == "unknown"


def test_a_receipt_waits_for_no_other_one(desk, served):
    """What was filled is told while another agent still thinks; nothing else begins meanwhile."""
    served.faults[OTHER] = Faults(latency=Latency.fixed(LONG_MS), routes=("open",))
    desk.reviewed()
    desk.press("send")
    desk.wait(lambda: desk.presenter._receipts)
    assert outcomes(desk) == {HELD: "filled"}
    assert desk.presenter.state.stage is Stage.SENDING
    desk.wait(lambda: desk.presenter.state.stage is Stage.TOLD)
    assert outcomes(desk) == {HELD: "filled", OTHER: "filled"}


def test_what_is_unknown_stays_whatever_the_journal_was_read_last(desk, served):
    """A journal that could not be read since the order proves nothing about it."""
    unknown(desk, served)
    desk.on_loop(lambda: setattr(desk.hub, "journal", ()))
    desk.at_once("dismiss")
    assert outcomes(desk) == {HELD: "unknown"}


def test_what_was_found_out_is_not_forgotten_when_the_journal_moves_on(desk, served):
    """Panels see a day of the journal; a receipt does not become unknown again after it."""
    unknown(desk, served)
    served.faults.clear()
    desk.press("reconcile")
    desk.wait(lambda: desk.hub.journal and not any(line.is_open for line in desk.hub.journal))
    assert outcomes(desk) == {HELD: "filled"}
    desk.on_loop(lambda: setattr(desk.hub, "journal", ()))
    assert outcomes(desk) == {HELD: "filled"}


def test_dismissing_a_preview_keeps_the_receipts(desk):
    """They are of other orders."""
    desk.reviewed()
    desk.confirmed()
    desk.reviewed()
    desk.press("dismiss")
    desk.on_loop(lambda: None)
    assert outcomes(desk) == {HELD: "filled", OTHER: "filled"}
    desk.press("dismiss")
    desk.on_loop(lambda: None)
    assert outcomes(desk) == {}


def test_only_settled_receipts_make_room(desk, served, monkeypatch):
    """However many there are, one that is unknown stays, and so do those of the last sending."""
    monkeypatch.setattr(confirming, "RECEIPTS_KEPT", 1)
    served.faults[FLAT] = Faults(retcode=10012)
    desk.choose(FLAT)
    desk.reviewed()
    desk.confirmed()
    desk.choose(HELD)
    desk.reviewed()
    desk.confirmed()
    desk.choose(OTHER, HELD)
    desk.reviewed()
    desk.confirmed()
    rows = [(row["account"], row["outcome"]) for row in desk.shown("receipts")]
    assert sorted(rows) == [(HELD, "filled"), (OTHER, "filled"), (FLAT, "unknown")]


def test_a_defect_in_planning_ends_the_review(desk, monkeypatch):
    """It does not say for ever that it is working something out."""

    async def broken(wishes: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(desk.presenter.core, "planned", broken)
    desk.press("review")
    desk.wait(lambda: desk.presenter.problem is not None)
    assert desk.presenter.state.stage is Stage.IDLE
    assert "ZeroDivisionError" in desk.text()
    assert "nothing was sent" in desk.text()


def test_a_key_held_down_on_review_plans_once(desk, served, monkeypatch):
    """An earlier review that nobody waits for any more asks no further."""
    ended = []
    planned = desk.presenter.core.planned

    async def counted(wishes):
        batch = await planned(wishes)
        ended.append(batch)
        return batch

    monkeypatch.setattr(desk.presenter.core, "planned", counted)
    desk.at_once(*["review"] * 30)
    desk.wait(lambda: desk.presenter.state.stage is Stage.PREVIEW)
    assert len(ended) == 1


def test_the_receipt_of_a_close_says_close(desk):
    """The side of what was closed would be taken for an order to open."""
    desk.reviewed()
    desk.confirmed()
    assert {row["order"] for row in desk.shown("receipts")} == {"buy"}
    positions = Desk(desk.fleet, desk.front, "positions")
    positions.choose(HELD)
    positions.reviewed("close_all")
    positions.confirmed()
    assert {row["order"] for row in positions.shown("receipts")} == {"close"}
    positions.close()
