"""Panels over real agents and a recorded front end: what is sent, when, and what is left."""

from __future__ import annotations

import asyncio
import json

import pytest

import fleetkit as fk
from fleetkit import events
from fleetkit.fleet import behind
from fleetkit.panels.confirm_model import DELIBERATE_S
from fleetkit.panels.hub import TICK_S
from fleetkit.panels.presenter import Presenter
from tests.support.agents import until

LOOP_THREAD = "fleetkit-loop"


@pytest.fixture
def fleet(serve, connect, clock):
    """Three agents of holders whose names nobody else has."""
    agents = serve(3)
    fleet = connect(agents.configured(), clock=clock, progress=False)
    fleet.agents_served = agents
    return fleet


@pytest.fixture
def panel(fleet, front):
    """The accounts panel, in nobody's sight yet."""
    shown = fk.panels.accounts(fleet)
    yield shown
    shown.close()


def settled(fleet):
    """Wait until the loop thread has done what was posted to it."""

    async def nothing() -> None:
        return None

    behind(fleet).loop.blocking(nothing)


def see(fleet, front, panel, view="v1"):
    """Bring a panel's parts into sight, as a browser would."""
    for part in (panel.bar, *panel.parts.values()):
        front.send(part.sheet, {"kind": "hello", "view": view})
        front.send(part.sheet, {"kind": "visible", "view": view, "visible": True})
    settled(fleet)


def tick(fleet, clock):
    """Let one tick pass, to its end."""
    clock.wait_for_sleeper(TICK_S)
    clock.advance(TICK_S)
    for _ in range(5):
        settled(fleet)
    clock.wait_for_sleeper(TICK_S)


def hide(fleet, front, panel, view="v1"):
    for part in (panel.bar, *panel.parts.values()):
        front.send(part.sheet, {"kind": "visible", "view": view, "visible": False})
    settled(fleet)


def rows_of(messages):
    """The accounts table after a list of messages, by key, and the numbers of the messages."""
    keys, rows, versions = [], [], []
    for message in messages:
        versions.append(message["version"])
        content = message["blocks"].get("accounts")
        if content is None:
            continue
        if message["kind"] == "full":
            keys, rows = list(content["keys"]), [list(row) for row in content["rows"]]
            continue
        for key in content.get("remove", ()):
            del rows[keys.index(key)]
            keys.remove(key)
        for key, row in content.get("add", ()):
            keys.append(key)
            rows.append(list(row))
        for group in content.get("set", ()):
            for place, column in enumerate(group["c"]):
                for slot, value in zip(group["s"], group["v"][place], strict=True):
                    rows[slot][column] = value
    return dict(zip(keys, rows, strict=True)), versions


def test_accounts_appear_without_being_asked_for(fleet, front, panel, clock):
    """Coming into sight reads what nobody has read yet, once, and shows it with the next tick."""
    part = panel.parts["accounts"]
    see(fleet, front, panel)
    until(lambda: fleet.cache.stats().accounts_cached == 3)
    tick(fleet, clock)
    rows, versions = rows_of(front.custom(part.sheet))
    assert {row[1] for row in rows.values()} == {"connected"}
    assert sorted(rows) == fleet.agents_served.numbers
    assert versions == sorted(set(versions))
    assert front.threads(part.sheet) == {LOOP_THREAD}
    assert fleet.agents_served.count("/accounts") == 3


def test_many_events_are_one_message_for_each_tick(fleet, front, panel, clock):
    """A hundred refreshes between two ticks send one message, and it is the next in number."""
    part = panel.parts["accounts"]
    see(fleet, front, panel)
    until(lambda: fleet.cache.stats().accounts_cached == 3)
    tick(fleet, clock)
    tick(fleet, clock)
    before = len(front.custom(part.sheet))
    for _ in range(30):
        fleet.refresh()
    assert len(front.custom(part.sheet)) == before
    fleet.agents_served[0].account["balance"] = 77_777.25
    fleet.refresh(7100001)
    tick(fleet, clock)
    new = front.custom(part.sheet)[before:]
    assert len(new) == 1
    assert new[0]["base"] == new[0]["version"] - 1
    rows, _ = rows_of(front.custom(part.sheet))
    assert 77_777.25 in rows[7100001]


def test_a_panel_reads_what_a_cell_fetched_and_never_fetches_twice(fleet, front, panel, clock):
    """What is cached is shown without a request."""
    fleet.accounts()
    asked = fleet.agents_served.count()
    see(fleet, front, panel)
    tick(fleet, clock)
    rows, _ = rows_of(front.custom(panel.parts["accounts"].sheet))
    assert {row[1] for row in rows.values()} == {"connected"}
    assert fleet.agents_served.count() == asked


def test_a_hidden_panel_costs_nothing(fleet, front, panel, clock):
    """Out of sight: no timer, no subscription, no message. Back in sight all is there."""
    hub, part = panel.hub, panel.parts["accounts"]
    see(fleet, front, panel)
    until(lambda: fleet.cache.stats().accounts_cached == 3)
    hide(fleet, front, panel)
    until(lambda: settled(fleet) or hub.is_idle)
    assert not behind(fleet).core.bus.is_watched
    before = len(front.messages)
    fleet.agents_served[1].account["balance"] = 88_888.5
    fleet.refresh()
    clock.advance(60.0)
    settled(fleet)
    assert len(front.messages) == before
    front.send(part.sheet, {"kind": "visible", "view": "v1", "visible": True})
    settled(fleet)
    rows, _ = rows_of(front.custom(part.sheet))
    assert 88_888.5 in rows[7100002]


def test_a_lost_message_is_asked_for_again(fleet, front, panel, clock):
    """After a gap the browser gets everything, under a number of its own."""
    fleet.accounts()
    see(fleet, front, panel)
    sheet = panel.parts["accounts"].sheet
    front.send(sheet, {"kind": "resync", "have": 1})
    settled(fleet)
    assert front.custom(sheet)[-1]["kind"] == "full"
    _, versions = rows_of(front.custom(sheet))
    assert versions == sorted(set(versions))


def test_failed_accounts_stay_with_the_reason(fleet, front, panel, clock):
    """A row of an agent that went away keeps its figures, and says why they are old."""
    fleet.accounts()
    see(fleet, front, panel)
    agents = fleet.agents_served
    agents.run(agents[0].hang_up())
    fleet.refresh(7100001)
    tick(fleet, clock)
    text = str(panel)
    assert "2 of 3 live" in text
    (line,) = (line for line in text.splitlines() if line.startswith("7100001 "))
    assert "offline" in line
    assert "stale" in line


def test_what_is_selected_is_shared(fleet, front, panel):
    """The browser's choice is Python's and every panel's, and the other way round."""
    other = fk.panels.accounts(fleet)
    see(fleet, front, panel)
    see(fleet, front, other)
    sheet = panel.parts["accounts"].sheet
    front.send(sheet, {"kind": "select", "block": "accounts", "keys": [7100002, "7100003", True]})
    front.send(sheet, {"kind": "select", "block": "accounts", "keys": [7100002, 7100003]})
    settled(fleet)
    assert panel.selected == other.selected == [7100002, 7100003]
    other.selected = [7100001]
    assert panel.selected == [7100001]
    with pytest.raises(fk.UsageError, match="account"):
        panel.selected = ["all"]
    other.close()


def test_errors_of_handlers_show_in_the_panel(fleet, front, panel):
    """What a button could not do is said where it was pressed."""
    fleet.accounts()
    see(fleet, front, panel)
    part = panel.parts["accounts"]
    panel.selected = [7100001]
    front.click(part.controls["label"])
    settled(fleet)
    settled(fleet)
    assert "Write a phase or a group first" in str(panel)


def test_an_unforeseen_error_shows_too(fleet, front, panel, monkeypatch):
    """Even a defect of ours is not silent, and the panel lives on."""
    see(fleet, front, panel)
    part = panel.parts["accounts"]

    def broken(control: str, value: object) -> None:
        raise ZeroDivisionError("by nobody")

    monkeypatch.setattr(part.presenter, "act", broken)
    front.click(part.controls["refresh"])
    settled(fleet)
    assert "ZeroDivisionError" in str(panel)


def test_no_account_is_in_the_widgets_state(fleet, front, panel, clock):
    """What notebooks save of widgets has no holder, balance or account number."""
    for place, agent in enumerate(fleet.agents_served):
        agent.account["account_holder"] = f"Holder Number{place}"
    fleet.accounts(refresh=True)
    whole = fleet.panel()
    see(fleet, front, whole)
    whole.selected = [7100001, 7100002]
    settled(fleet)
    state = json.dumps(
        [data.get("state") for _, kind, data, _ in front.messages if data.get("method") != "custom"]
        + [part.get_state() for part in whole.parts.values()],
        default=str,
    )
    for secret in ("Holder Number", "71000", "50000"):
        assert secret not in state, secret
    bundle = json.dumps(whole._repr_mimebundle_(), default=str)
    assert "Holder" not in bundle
    assert "71000" not in bundle
    whole.close()


def test_state_is_kept_where_that_is_asked_for(fleet, front, clock):
    """With save_state the notebook has the rows, as state and as HTML."""
    fleet.accounts()
    kept = fk.panels.accounts(fleet, save_state=True)
    see(fleet, front, kept)
    sheet = kept.parts["accounts"].sheet
    assert sheet.get_state()["saved"]["blocks"]["accounts"]["keys"] == [7100001, 7100002, 7100003]
    assert "7100001" in kept._repr_mimebundle_()["text/html"]
    kept.close()


def test_closing_leaves_nothing(fleet, front):
    """A closed panel has no comm, no place in the hub and no task."""
    for _ in range(3):
        shown = fleet.panel()
        see(fleet, front, shown)
        shown.close()
        shown.close()
    settled(fleet)
    assert front.open == set()
    hub = shown.hub
    assert repr(hub).startswith("<Hub 0 panels")


def test_a_closed_fleet_is_said_so_and_nothing_can_be_pressed(fleet, front, panel):
    """Panels outlive their fleet as a notice."""
    see(fleet, front, panel)
    fleet.close()
    text = str(panel)
    assert "This fleet was closed" in text
    assert "CLOSED" in text
    assert all(control.disabled for control in panel.bar.controls.values())
    with pytest.raises(fk.FleetClosed):
        fleet.panel()


def test_the_bar_arms_halts_and_resumes(fleet, front, panel, clock):
    """Halt is one click; resuming takes two, neither late nor of one double click."""
    see(fleet, front, panel)
    bar = panel.bar

    def press(name):
        front.click(bar.controls[name])
        settled(fleet)
        until(lambda: settled(fleet) or not panel.hub._chores)

    assert "READ ONLY" in str(panel)
    front.set(bar.controls["max_volume"], value=0.25)
    press("arm")
    assert "ARMED" in str(panel)
    assert "0 of 0.25 lots" in str(panel)
    press("halt")
    assert "HALTED" in str(panel)
    press("resume")
    assert "HALTED" in str(panel)
    clock.advance(6.0)
    press("resume")
    assert "HALTED" in str(panel)
    press("resume")
    assert "HALTED" in str(panel)
    clock.advance(DELIBERATE_S)
    press("resume")
    assert "HALTED" not in str(panel)
    press("disarm")
    assert "READ ONLY" in str(panel)


def test_what_a_browser_sends_is_not_trusted(fleet, front, panel):
    """Messages that mean nothing change nothing."""
    fleet.accounts()
    see(fleet, front, panel)
    sheet = panel.parts["accounts"].sheet
    before = str(panel)
    for message in (
        {},
        {"kind": "select"},
        {"kind": "select", "block": "accounts", "keys": "7100001"},
        {"kind": "nonsense"},
        {"kind": "visible", "view": 5, "visible": "yes"},
        ["kind"],
        None,
    ):
        front.send(sheet, message)
    settled(fleet)
    assert panel.selected == []
    assert str(panel) == before


def test_a_broken_presenter_does_not_stop_the_others(fleet, front, panel, monkeypatch):
    """An event that one panel cannot digest still reaches the next one."""
    other = fk.panels.accounts(fleet)
    see(fleet, front, panel)
    see(fleet, front, other)
    heard = []
    presenters = [panel.parts["accounts"].presenter, other.parts["accounts"].presenter]

    def broken(event: events.Event) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(presenters[0], "hear", broken)
    monkeypatch.setattr(presenters[1], "hear", heard.append)
    until(lambda: settled(fleet) or behind(fleet).core.bus.is_watched)
    fleet.refresh(7100001)
    assert heard
    assert isinstance(presenters[0], Presenter)
    other.close()


def test_a_presenter_that_fails_to_say_what_it_shows_is_seen_to(
    fleet, front, panel, monkeypatch, clock
):
    """The panel keeps what it showed, says what happened, and ticks on."""
    fleet.accounts()
    see(fleet, front, panel)
    part = panel.parts["accounts"]
    tick(fleet, clock)

    def broken(now: float) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(part.presenter, "contents", broken)
    panel.selected = [7100001]
    tick(fleet, clock)
    assert "ZeroDivisionError" in front.custom(part.sheet)[-1]["blocks"]["problem"]
    monkeypatch.undo()
    panel.selected = [7100002]
    tick(fleet, clock)
    assert front.custom(part.sheet)[-1]["blocks"]["problem"] is None


def test_a_store_that_is_locked_does_not_stop_the_drawing(fleet, front, panel, clock, monkeypatch):
    """What looks at other kernels' orders waits beside the ticks."""
    see(fleet, front, panel)
    until(lambda: fleet.cache.stats().accounts_cached == 3)
    waiting = asyncio.Event()
    monkeypatch.setattr(panel.hub, "look_at_orders", waiting.wait)
    for _ in range(6):
        tick(fleet, clock)
    fleet.agents_served[0].account["balance"] = 66_666.5
    fleet.refresh(7100001)
    tick(fleet, clock)
    tick(fleet, clock)
    rows, _ = rows_of(front.custom(panel.parts["accounts"].sheet))
    assert 66_666.5 in rows[7100001]
