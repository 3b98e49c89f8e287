"""The refresh watch over scripted agents: who is asked, who waits for whom, what is called back."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

import fleetkit as fk
from fleetkit.fleet import behind
from tests.support.agents import until
from tests.support.watching import Watching

SHORT = fk.Timeouts(read_deadline_s=0.4)  # real time


@pytest.fixture
def agents(serve):
    return serve(3)


@pytest.fixture
def fleet(agents, connect):
    return connect(agents.configured(), progress=False)


@pytest.fixture
def threads():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def states(watching):
    return [row["state"] for row in watching.rows().values()]


def test_watching_asks_nobody(agents, fleet):
    """What a cell reads is seen, and nothing is fetched twice."""
    watching = Watching(fleet)
    assert states(watching) == ["idle"] * 3
    fleet.accounts()
    watching.until_over()
    assert states(watching) == ["done"] * 3
    assert watching.progress().startswith("3 refreshed in ")
    assert agents.count() == agents.count("/accounts") == 3


def test_a_press_joins_what_a_cell_is_reading(agents, fleet, threads):
    """One request for both; the cell's being interrupted does not cost the panel its answer."""
    hold = agents[0].hold("/accounts")
    watching = Watching(fleet)
    cell = behind(fleet).loop.submit(lambda: watching.core.refresh(agents[0].number))
    hold.wait()
    watching.press("all")
    watching.until_state(agents[0].number, "running", others="done")
    cell.cancel()
    hold.release()
    watching.until_over()
    assert states(watching) == ["done"] * 3
    assert agents.count("/accounts") == 3


def test_a_cell_that_is_interrupted_is_no_stuck_agent(agents, fleet):
    """Nobody waits for it any more: that is told, though no event tells of it."""
    hold = agents[0].hold("/accounts")
    watching = Watching(fleet)
    cell = behind(fleet).loop.submit(lambda: watching.core.refresh(agents[0].number))
    hold.wait()
    watching.until_state(agents[0].number, "running", others="idle")
    cell.cancel()
    watching.until_state(agents[0].number, "cancelled", others="idle")
    assert watching.progress().endswith("1 cancelled")


def test_cancel_does_not_call_back_what_a_cell_waits_for(agents, fleet, threads):
    """The cell gets its row, and the panel goes on showing that the agent is being read."""
    hold = agents[0].hold("/accounts")
    watching = Watching(fleet)
    watching.press("all")
    hold.wait()
    watching.until_state(agents[0].number, "running", others="done")
    cell = threads.submit(fleet.refresh, agents[0].number)
    flights = behind(fleet).core.caches.accounts._flights
    until(lambda: watching.on_loop(lambda: flights["vps00"][None].waiting == 2))
    watching.press("cancel")
    watching.until_state(agents[0].number, "running", others="done")
    hold.release()
    assert cell.result()["status"].tolist() == ["connected"] * 3
    watching.until_state(agents[0].number, "done", others="done")
    assert agents.count("/accounts") == 3


def test_an_answer_after_cancelling_and_asking_again_is_the_new_one(agents, fleet):
    """What was called back cannot end what was asked for since."""
    old = agents[0].hold("/accounts")
    watching = Watching(fleet)
    watching.press("all")
    old.wait()
    agents[0].account["balance"] = 77_777.5
    watching.press("cancel", "all")  # before anything can land
    watching.until_over()
    assert states(watching) == ["done"] * 3
    assert fleet.accounts().loc[agents[0].number, "balance"] == 77_777.5


def test_who_does_not_answer_fails_with_the_reason(agents, connect):
    """At its deadline; the others are long done."""
    agents[1].hang("/accounts")
    watching = Watching(connect(agents.configured(), progress=False, timeouts=SHORT))
    watching.press("all")
    watching.until_over()
    assert states(watching) == ["done", "failed", "done"]
    row = watching.rows()["vps01"]
    assert "did not answer /accounts within 0.4 s" in row["why"]
    assert re.fullmatch(r"2 refreshed in \d+\.\d s, 1 failed", watching.progress())


def test_auto_refresh_leaves_alone_whom_the_breaker_does(agents, connect):
    """A person's press still tries at once."""
    for agent in agents:
        agent.account["has_open_position"] = True  # so that it is everybody's turn each time
    breaker = fk.BreakerPolicy(failures=1, open_s=60.0)
    hung = agents[1].hang("/accounts")
    fleet = connect(agents.configured(), progress=False, timeouts=SHORT, breaker=breaker)
    fleet.accounts()
    watching = Watching(fleet)
    watching.set("auto", True)
    watching.look()
    watching.until_over()
    assert states(watching) == ["done", "failed", "done"]
    assert "is left alone for another" in watching.rows()["vps01"]["why"]
    assert agents[1].count("/accounts") == 1
    agents[1].always("/accounts", None)
    hung.release()
    watching.press("all")
    watching.until_over()
    assert states(watching) == ["done"] * 3
    watching.set("auto", False)
    agents.forget_requests()
    watching.look(later_s=1000.0)
    assert watching.in_air() == 0
    assert agents.count() == 0


def test_an_agent_whose_account_nobody_knows_can_be_chosen(agents, connect):
    """It has no number to be chosen by, and is the one that needs to be read."""
    watching = Watching(connect(agents.config(), progress=False))
    watching.on_loop(lambda: watching.watch.choose("watch", ("vps01", "nobody", 5)))
    assert watching.on_loop(lambda: watching.watch.controls(0.0)["chosen"]["description"]) == (
        "Refresh 1 chosen"
    )
    watching.press("chosen")
    watching.until_over()
    assert states(watching) == ["idle", "done", "idle"]
    assert watching.rows()["vps01"]["account"] == agents[1].number
    assert (agents.count(), agents[1].count()) == (1, 1)


def test_nothing_chosen_is_said_so(fleet):
    """With what to do."""
    watching = Watching(fleet)
    with pytest.raises(fk.UsageError, match="Choose accounts first"):
        watching.press("chosen")


def test_readings_that_everybody_called_back_are_told_as_such(agents, fleet):
    """`cancel_all` is somebody else's decision, too."""
    holds = [agent.hold("/accounts") for agent in agents]
    watching = Watching(fleet)
    watching.press("all")
    for hold in holds:
        hold.wait()
    fleet.cancel_all()
    watching.until_over()
    assert states(watching) == ["cancelled"] * 3


def test_a_closed_fleet_ends_what_runs_and_starts_nothing(serve, connect):
    """What waits for its turn does not take off from a fleet that is going."""
    agents = serve(70)
    for agent in agents:
        agent.hang("/accounts")
    fleet = connect(agents.configured(), progress=False)
    watching = Watching(fleet)
    watching.press("all")
    until(lambda: watching.in_air() == agents.count() == 64)
    fleet.close()
    assert watching.in_air() == 0
    assert agents.count() == 64
    waited = list(watching.core.gateways.values())[64:]
    assert [gateway.failure for gateway in waited] == [None] * 6  # they were not even tried
    assert states(watching) == ["cancelled"] * 70
