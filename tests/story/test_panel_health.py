"""An operator looks after agents: one goes away, terminals are reconnected, the doctor is asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import fleetkit as fk
from fleetkit.fleet import Fleet
from fleetkit.panels.health_panel import Health
from fleetkit.panels.plain import segments_text
from tests.support.agents import Reply, ScriptedFleet, served, until
from tests.support.driven import Driven
from tests.support.fake_clock import FakeClock


@pytest.fixture
def agents(nothing_left_behind: None) -> Iterator[ScriptedFleet]:
    """Three machines."""
    with served(3) as agents:
        yield agents


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still until the test turns it."""
    return FakeClock()


@pytest.fixture
def fleet(agents: ScriptedFleet, clock: FakeClock) -> Iterator[Fleet]:
    """Their fleet, read once."""
    by_hand = fk.RecoveryPolicy(enabled=False)
    with fk.connect(agents.configured(), clock=clock, recovery=by_hand, progress=False) as fleet:
        fleet.accounts()
        yield fleet


@pytest.fixture
def health(fleet: Fleet) -> Driven:
    """The panel, in sight and drawn once."""
    health = Driven(fleet, Health)
    health.contents()
    return health


def agent_rows(health: Driven) -> dict[str, dict[str, Any]]:
    """The table of agents, as of the second look: what an event told is kept by then."""
    health.contents()
    return {row["agent"]: row for row in health.table("agents")}


def line(health: Driven, block: str) -> str:
    """A line as it is read."""
    return segments_text(health.contents()[block], health.hub.clock.elapsed())


def until_through(health: Driven) -> None:
    """Wait until what was begun is over."""
    until(
        lambda: health.run(lambda: health.presenter._busy is None and health.hub._chores == set())
    )


def test_an_agent_that_goes_away_is_seen_and_what_was_known_stays(
    agents: ScriptedFleet, fleet: Fleet, health: Driven
) -> None:
    """Its row turns, with the sentence; the others keep theirs."""
    before = agent_rows(health)
    assert {row["status"] for row in before.values()} == {"online"}
    agents.run(agents[0].hang_up())
    fleet.refresh(7100001)
    row = agent_rows(health)["vps00"]
    assert (row["status"], row["failures"], row["account"]) == ("offline", 1, 7100001)
    assert row["last_error"]
    assert row["last_ok"] == before["vps00"]["last_ok"]
    assert "2 online" in line(health, "totals")
    assert "1 offline" in line(health, "totals")
    agents.run(agents[0].listen())
    fleet.refresh(7100001)
    assert agent_rows(health)["vps00"]["status"] == "online"


def test_only_the_rows_of_agents_that_were_heard_of_are_made_anew(
    fleet: Fleet, health: Driven
) -> None:
    """What did not change stays the same object, so that nothing is compared or sent."""
    until(lambda: health.run(lambda: health.core.bus.is_watched))
    health.contents()
    before = health.contents()["agents"].rows
    fleet.refresh(7100002)
    after = health.contents()["agents"].rows
    assert after["vps01"] != before["vps01"]
    assert [after[name] is before[name] for name in ("vps00", "vps02")] == [True, True]


def test_it_is_drawn_once_a_second_at_most_for_what_agents_answer(
    fleet: Fleet, health: Driven
) -> None:
    """An event alone draws nothing; the next look does, and one after it for what came late."""
    until(lambda: health.run(lambda: health.core.bus.is_watched))
    health.contents()
    health.contents()
    presenter = health.presenter
    assert health.run(presenter.look, 0.0) is False
    fleet.refresh(7100002)
    assert health.run(presenter.look, 1.0) is True
    health.contents()
    assert health.run(presenter.look, 2.0) is True
    health.contents()
    assert health.run(presenter.look, 3.0) is False


def test_reconnecting_takes_two_clicks_within_five_seconds(
    agents: ScriptedFleet, health: Driven, clock: FakeClock
) -> None:
    """A first click that was left alone, or was about other accounts, counts for nothing."""
    health.choose("agents", "vps00")
    assert health.hub.selected == (7100001,)
    health.act("reconnect")
    clock.advance(5.5)
    health.act("reconnect")
    health.choose("agents", "vps00", "vps02")
    assert health.controls()["reconnect"]["description"] == "Reconnect 2 chosen…"
    health.act("reconnect")
    assert agents.count("/refresh") == 0
    assert health.controls()["reconnect"]["button_style"] == "warning"
    health.act("reconnect")
    until_through(health)
    assert [agent.count("/refresh") for agent in agents] == [1, 0, 1]
    assert "reconnected 2 accounts" in line(health, "report")


def test_a_first_click_is_forgotten_in_sight_of_everybody(health: Driven, clock: FakeClock) -> None:
    """The button is drawn again when its time is over."""
    health.choose("agents", "vps00")
    health.act("reconnect")
    health.contents()
    clock.advance(6.0)
    assert health.run(health.presenter.look, clock.elapsed()) is True
    assert health.controls()["reconnect"]["button_style"] == ""


def test_a_terminal_that_cannot_be_reconnected_is_told(
    agents: ScriptedFleet, health: Driven
) -> None:
    """The reason is the panel's problem, and everything can be pressed again."""
    agents[0].always("/refresh", Reply({"detail": "no broker"}, status=500))
    health.choose("agents", "vps00")
    health.act("reconnect")
    health.act("reconnect")
    until_through(health)
    assert "Could not be reconnected" in health.contents()["problem"]
    assert line(health, "report") == ""
    assert not health.controls()["doctor"]["disabled"]


def test_nothing_is_reconnected_where_nothing_is_chosen(
    agents: ScriptedFleet, health: Driven
) -> None:
    """The button is off; a click that comes all the same is answered with a sentence."""
    assert health.controls()["reconnect"]["disabled"]
    health.act("reconnect")
    health.act("reconnect")
    assert "Choose the agents to reconnect first" in health.contents()["problem"]
    assert agents.count("/refresh") == 0


def test_the_doctor_is_asked_once_and_says_what_to_do(
    agents: ScriptedFleet, health: Driven
) -> None:
    """While it is at work nothing else begins; what it found stays with its age."""
    hold = agents[1].hold("/health")
    assert health.table("doctor") == []
    health.act("doctor")
    hold.wait()
    assert health.controls()["doctor"] == {"disabled": True, "description": "Asking…"}
    assert "Asking every agent how it is" in line(health, "report")
    health.act("reconcile")
    assert health.contents()["problem"].startswith("Still asking every agent")
    hold.release()
    until_through(health)
    found = {row["agent"]: row for row in health.table("doctor")}
    assert [found[name]["reachable"] for name in sorted(found)] == [True] * 3
    assert line(health, "report").startswith("doctor asked 0 s ago")
    assert [agent.count("/health") for agent in agents] == [1, 1, 1]


def test_reconciling_says_that_nothing_is_unknown(health: Driven) -> None:
    """With no order there is nothing to look for, and that is said."""
    health.act("reconcile")
    until_through(health)
    assert "no order is unknown" in line(health, "report")


def test_rows_that_are_no_agents_choose_nothing(health: Driven) -> None:
    """What a browser says it selected is looked up, and never taken for an account."""
    health.choose("agents", "vps01", "nobody", 7100003)
    assert health.hub.selected == (7100002,)
    health.choose("journal", "vps00")
    assert health.hub.selected == (7100002,)
    assert health.contents()["agents"].selected == {"vps01"}
