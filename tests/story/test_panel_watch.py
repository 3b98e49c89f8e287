"""An operator watches a simulated fleet being refreshed, one agent of it stuck."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import fleetkit as fk
from fleetkit.demo_fleet import DemoFleet
from fleetkit.fleet import behind
from tests.support.recorded_comms import RecordedFront
from tests.support.watching import Watching

ACCOUNTS = 12
STUCK = 7_100_005


@pytest.fixture
def fleet(nothing_left_behind: None) -> Iterator[DemoFleet]:
    """Twelve accounts."""
    with fk.demo(accounts=ACCOUNTS, seed=7, progress=False) as fleet:
        yield fleet


def test_all_are_refreshed_and_each_tells_how_long_it_took(fleet: DemoFleet) -> None:
    """One press, one request each, and a sentence at the end."""
    watching = Watching(fleet)
    assert watching.states() == ["idle"] * ACCOUNTS
    watching.press("all")
    watching.until_over()
    rows = watching.rows().values()
    assert {row["state"] for row in rows} == {"done"}
    assert all(row["ms"] >= 0 and row["born"] is not None for row in rows)
    assert [row["account"] for row in rows] == fleet.accounts().index.tolist()
    assert watching.progress().startswith(f"{ACCOUNTS} refreshed in ")
    assert fleet.cache.stats().misses == 0  # the cell read none of them again


def test_one_stuck_agent_is_seen_to_be_stuck_while_the_others_finish(fleet: DemoFleet) -> None:
    """Its age is told, cancelling ends it, and no request stays behind."""
    fleet.accounts()
    fleet.demo.faults[STUCK] = fk.sim.Faults(hang=True)
    watching = Watching(fleet)
    watching.press("all")
    watching.until_state(STUCK, "running", others="done")
    watching.look(later_s=7.0)
    (stuck,) = (row for row in watching.rows().values() if row["account"] == STUCK)
    assert (stuck["state"], stuck["running"] is not None) == ("stuck", True)
    assert f"{stuck['agent']} does not answer" in watching.progress()
    assert watching.on_loop(lambda: watching.watch.controls(0.0)["cancel"]) == {"disabled": False}
    watching.press("cancel")
    watching.until_state(STUCK, "cancelled", others="done")
    assert watching.progress().endswith("1 cancelled")
    assert watching.on_loop(lambda: watching.watch.controls(0.0)["cancel"]) == {"disabled": True}
    fleet.cache.stats()
    assert watching.in_air() == 0


def test_a_disconnected_terminal_has_answered_and_still_failed(fleet: DemoFleet) -> None:
    """Whether it was asked for here or in a cell; the row says why, and keeps its figures."""
    fleet.accounts()
    fleet.demo.faults[STUCK] = fk.sim.Faults(disconnected=True)
    watching = Watching(fleet)
    fleet.refresh()
    assert watching.states().count("done") == ACCOUNTS - 1
    (row,) = (row for row in watching.rows().values() if row["account"] == STUCK)
    assert (row["state"], "not connected" in row["why"]) == ("failed", True)
    assert row["born"] is not None
    fleet.demo.faults[STUCK] = fk.sim.Faults()
    watching.press("stale")
    watching.until_over()
    assert watching.states() == ["done"] * ACCOUNTS
    assert watching.progress().startswith("1 refreshed in ")


def test_two_panels_of_a_fleet_show_the_same_refreshes(
    fleet: DemoFleet, front: RecordedFront
) -> None:
    """What is switched on in one is on in the other, and in one that is made later."""
    first, second = fk.panels.watch(fleet), fk.panels.watch(fleet)
    parts = [each.parts["watch"] for each in (first, second)]
    assert parts[0].presenter is parts[1].presenter
    loop = behind(fleet).loop

    async def settled() -> None:
        return None

    for value in (True, False, True):  # quicker than any of it is shown
        front.set(parts[0].controls["auto"], value=value)
    front.set(parts[0].controls["interval"], value=30.0)
    for _ in range(5):
        loop.blocking(settled)
    third = fk.panels.watch(fleet)
    loop.blocking(settled)
    parts.append(third.parts["watch"])
    assert [part.controls["auto"].value for part in parts] == [True] * 3
    assert [part.controls["interval"].value for part in parts] == [30.0] * 3
    assert "every 30 s" in str(third)
    for each in (first, second, third):
        each.close()
