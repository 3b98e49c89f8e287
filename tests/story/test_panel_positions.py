"""The positions panel on simulated agents: what is open, and what a click does to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import fleetkit as fk
from fleetkit.clock import SystemClock
from fleetkit.fleet import behind
from fleetkit.panels.confirm_model import DELIBERATE_S, Stage
from fleetkit.panels.confirming import Confirming
from fleetkit.panels.hub import Hub
from fleetkit.sim import Faults, Latency, SimProcess
from tests.support.recorded_comms import RecordedFront

HELD, OTHER, FLAT = 7_100_001, 7_100_002, 7_100_003  # of seed 7; the last has no position
PATIENCE_S = 15.0
HOW_LONG_MS = 700.0


class Desk:
    """A fleet's panels of one kind, with somebody who looks at them and presses their buttons."""

    def __init__(self, fleet: fk.Fleet, front: RecordedFront, kind: str) -> None:
        self.fleet, self.front, self.kind = fleet, front, kind
        self.panels: list[fk.panels.StandingPanel] = []
        self.show()

    def show(self) -> fk.panels.StandingPanel:
        """One more panel of the kind, in sight."""
        panel = getattr(fk.panels, self.kind)(self.fleet)
        self.panels.append(panel)
        for part in (panel.bar, *panel.parts.values()):
            self.front.send(part.sheet, {"kind": "hello", "view": "v"})
            self.front.send(part.sheet, {"kind": "visible", "view": "v", "visible": True})
        return panel

    @property
    def presenter(self) -> Confirming:
        return self.panels[0].parts[self.kind].presenter

    @property
    def hub(self) -> Hub:
        return self.panels[0].hub

    def text(self) -> str:
        return str(self.panels[-1])

    def control(self, name: str, panel: int = 0) -> Any:
        return self.panels[panel].parts[self.kind].controls[name]

    def on_loop(self, work: Callable[[], Any]) -> Any:
        """Do something on the thread that owns the panels."""

        async def do() -> Any:
            return work()

        return behind(self.fleet).loop.blocking(do)

    def wait(self, condition: Callable[[], object]) -> None:
        """Until something is so, asked on the loop thread, within a bound."""
        clock = SystemClock()
        end = clock.elapsed() + PATIENCE_S
        while not self.on_loop(condition):
            assert clock.elapsed() < end, self.text()

    def fill(self, panel: int = 0, **fields: str) -> None:
        for name, text in fields.items():
            control = self.control(name, panel)
            if hasattr(control, "options"):
                self.front.set(control, index=list(control.options).index(text))
            else:
                self.front.set(control, value=text)

    def press(self, *names: str, panel: int = 0) -> None:
        """Press buttons, as quickly as they come."""
        for name in names:
            self.front.click(self.control(name, panel))

    def at_once(self, *names: str) -> None:
        """Press buttons within one turn of the loop, as a burst of clicks arrives."""

        def burst() -> None:
            for name in names:
                self.hub.do(self.presenter, lambda name=name: self.presenter.act(name, None))

        self.on_loop(burst)

    def reviewed(self, button: str = "review") -> None:
        """Press a button and look at what it would do, for as long as that needs."""
        self.press(button)
        self.wait(lambda: self.presenter.state.stage is Stage.PREVIEW)
        shown_at = self.presenter.state.shown_at
        self.wait(lambda: self.hub.clock.elapsed() > shown_at + DELIBERATE_S)

    def confirmed(self) -> None:
        """Press "Send" and wait for the receipts."""
        self.press("send")
        self.wait(lambda: self.presenter.state.stage is Stage.TOLD)

    def choose(self, *accounts: int) -> None:
        self.panels[0].selected = accounts

    def shown(self, block: str) -> list[dict[str, Any]]:
        """The rows of a table of the panel, by column."""
        (table,) = (each for each in self.presenter.blocks if each.id == block)
        names = [column.name for column in table.columns]
        contents = self.on_loop(lambda: self.presenter.contents(self.hub.clock.elapsed()))
        return [dict(zip(names, row, strict=True)) for row in contents[block].rows.values()]

    def close(self) -> None:
        for panel in self.panels:
            panel.close()


@pytest.fixture
def served() -> Iterator[SimProcess]:
    with SimProcess.start(accounts=3, seed=7, keep_alive_s=60) as process:
        yield process


@pytest.fixture
def fleet(served: SimProcess, tmp_path, nothing_left_behind):
    """A fleet that was never armed: closing needs no arming."""
    agents = [dict(agent, time_zone="UTC", stops_unit="price") for agent in served.agents]
    trading = fk.TradingSettings(grace_s=0.5)
    with fk.connect(agents, home=tmp_path, progress=False, trading=trading) as fleet:
        yield fleet
        served.faults.clear()


@pytest.fixture
def desk(fleet, monkeypatch):
    """Its positions, in sight and read: one each on two accounts of three."""
    desk = Desk(fleet, RecordedFront.instead(monkeypatch), "positions")
    desk.wait(lambda: len(desk.presenter._seen()) == 3)
    yield desk
    desk.close()


def choose_rows(desk: Desk, *keys: str) -> None:
    """Select rows of the table."""
    sheet = desk.panels[0].parts["positions"].sheet
    desk.front.send(sheet, {"kind": "select", "block": "positions", "keys": list(keys)})


def keys(desk: Desk) -> list[str]:
    return [f"{row['account']}:{row['ticket']}" for row in desk.shown("positions")]


def key_of(desk: Desk, account: int) -> str:
    (key,) = (key for key in keys(desk) if key.startswith(f"{account}:"))
    return key


def done(served: SimProcess, account: int) -> list[tuple[str, int]]:
    """What an account's terminal executed."""
    return [(each.kind, each.ticket) for each in served.persons.executed(account)]


def all_done(served: SimProcess) -> list[tuple[str, int]]:
    return [each for agent in served.agents for each in done(served, agent["account"])]


def test_what_is_open_is_shown_without_being_asked_for(desk):
    """Every account's positions, live, with what they come to."""
    rows = desk.shown("positions")
    assert [row["account"] for row in rows] == [HELD, OTHER]
    assert {row["source"] for row in rows} == {"live"}
    assert "2 open positions" in desk.text()
    assert "on 2 of 3 accounts" in desk.text()
    assert "floating" in desk.text()


def test_the_chosen_one_is_closed_and_no_other(desk, served):
    """Neither arming nor halt keeps a close back; the row goes when the list says so."""
    desk.fleet.halt("news")
    key = key_of(desk, HELD)
    choose_rows(desk, key)
    desk.reviewed()
    (row,) = desk.shown("preview")
    assert (row["order"], row["side"], row["account"]) == ("close", "buy", HELD)
    assert row["volume"] == "0.55"
    assert row["profit"] is not None
    desk.confirmed()
    assert done(served, HELD) == [("close", int(key.partition(":")[2]))]
    assert done(served, OTHER) == []
    assert [row["outcome"] for row in desk.shown("receipts")] == ["filled"]
    desk.wait(lambda: key not in desk.presenter._open())


def test_a_storm_of_confirmations_closes_once(desk, served):
    """In two panels."""
    desk.show()
    choose_rows(desk, key_of(desk, HELD))
    desk.reviewed()
    for turn in range(50):
        desk.press("send", panel=turn % 2)
    desk.wait(lambda: desk.presenter.state.stage is Stage.TOLD)
    assert len(done(served, HELD)) == len(desk.fleet.orders()) == 1


def test_other_rows_are_other_orders(desk, served):
    """Choosing another row voids what is shown."""
    choose_rows(desk, key_of(desk, HELD))
    desk.reviewed()
    choose_rows(desk, key_of(desk, OTHER))
    desk.press("send")
    desk.wait(lambda: desk.presenter.state.stage is Stage.IDLE)
    assert all_done(served) == []


def test_rows_out_of_sight_are_not_chosen_when_they_come_back(desk):
    """Accounts that were left out bring no forgotten choice with them."""
    choose_rows(desk, key_of(desk, HELD), key_of(desk, OTHER))
    desk.choose(HELD)
    desk.choose()
    desk.press("review")
    desk.wait(lambda: desk.presenter.state.stage is Stage.PREVIEW)
    assert [row["account"] for row in desk.shown("preview")] == [HELD]


def test_close_all_is_of_the_chosen_accounts(desk, served):
    """And of what their lists say now, not of what was shown."""
    ticket = served.persons.open_by_hand(HELD, "EURUSD", "buy", 0.1)
    desk.choose(HELD)
    desk.reviewed("close_all")
    assert {row["ticket"] for row in desk.shown("preview")} >= {ticket}
    assert {row["account"] for row in desk.shown("preview")} == {HELD}
    desk.confirmed()
    assert len(done(served, HELD)) == 2
    assert done(served, OTHER) == []
    assert desk.fleet.positions(HELD, refresh=True, strict=False).empty


def test_close_all_says_whose_lists_it_could_not_read(desk, served):
    """Beside the preview, for as long as it is there: those accounts may hold more."""
    served.faults[OTHER] = Faults(status_code=500, routes=("positions",))
    desk.reviewed("close_all")
    assert f"1 account could not be read and may hold more than is shown here: {OTHER}" in (
        desk.text()
    )
    choose_rows(desk, key_of(desk, HELD))
    desk.wait(lambda: desk.presenter.state.stage is Stage.IDLE)
    assert "may hold more than is shown here" not in desk.text()
    assert "1 could not be read" in desk.text()


def test_nothing_found_is_not_nothing_there(desk, served):
    """Where a list could not be read, no panel says that there is nothing to close."""
    desk.choose(FLAT)
    desk.press("close_all")
    desk.wait(lambda: desk.presenter.problem is not None)
    assert "There is nothing to close" in desk.text()
    served.faults[FLAT] = Faults(status_code=500, routes=("positions",))
    desk.press("close_all")
    desk.wait(lambda: "could not be read" in (desk.presenter.problem or ""))
    assert str(FLAT) in desk.presenter.problem
    assert all_done(served) == []


def test_an_agent_that_never_said_whose_it_is_is_left_out_aloud(served, tmp_path, monkeypatch):
    """It may hold positions that nobody can see."""
    served.faults[OTHER] = Faults(refuse=True)
    agents = [dict(agent, time_zone="UTC", stops_unit="price") for agent in served.agents]
    (nameless,) = (agent for agent in agents if agent["account"] == OTHER)
    name = nameless["name"]
    del nameless["account"]
    with fk.connect(agents, home=tmp_path, progress=False) as fleet:
        desk = Desk(fleet, RecordedFront.instead(monkeypatch), "positions")
        desk.reviewed("close_all")
        assert f"1 account could not be read and may hold more than is shown here: {name}" in (
            desk.text()
        )
        assert [row["account"] for row in desk.shown("preview")] == [HELD]
        desk.close()


def test_other_accounts_chosen_while_lists_are_read(desk, served):
    """What was asked for three accounts is not shown for one, nor the other way round."""
    served.faults.set(None, Faults(latency=Latency.fixed(HOW_LONG_MS), routes=("positions",)))
    desk.choose(HELD)
    desk.press("close_all", "close_all")
    desk.wait(lambda: desk.presenter._gathering is not None)
    assert "reading every list before anything is closed" in desk.text()
    desk.choose()
    desk.wait(lambda: desk.presenter._gathering is None)
    assert "Other accounts were chosen" in desk.text()
    assert desk.presenter.state.stage is Stage.IDLE
    assert all_done(served) == []


def test_stops_are_changed_kept_and_removed(desk, served):
    """The preview says what was and what will be; what is kept is not touched."""
    key = key_of(desk, HELD)
    ticket = int(key.partition(":")[2])
    (price,) = (row["current_price"] for row in desk.shown("positions") if row["account"] == HELD)
    low, high = f"{price - 0.02:.5f}", f"{price + 0.02:.5f}"
    choose_rows(desk, key)
    desk.fill(sl_how="set", sl=low, tp_how="set", tp=high)
    desk.reviewed("modify")
    (row,) = desk.shown("preview")
    assert (row["order"], row["sl"], row["tp"]) == (
        "change stops",
        f"none → {low}",
        f"none → {high}",
    )
    desk.confirmed()
    held = desk.fleet.positions(HELD, refresh=True).loc[ticket]
    assert (held["sl"], held["tp"]) == (float(low), float(high))
    desk.fill(sl_how="keep", tp_how="remove")
    desk.reviewed("modify")
    (row,) = desk.shown("preview")
    assert (row["sl"], row["tp"].partition(" → ")[2]) == ("kept", "none")
    desk.confirmed()
    held = desk.fleet.positions(HELD, refresh=True).loc[ticket]
    assert held["sl"] == float(low)
    assert not held["tp"] > 0
    assert [kind for kind, _ in done(served, HELD)] == ["modify", "modify"]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "Both stops are kept"),
        ({"sl_how": "set"}, "Write the price of the SL first"),
        ({"sl_how": "set", "sl": "near"}, "`sl_price` is a number above 0"),
    ],
)
def test_a_mistake_about_stops_meets_a_sentence(desk, fields, sentence):
    """And nothing is planned."""
    choose_rows(desk, key_of(desk, HELD))
    desk.fill(**fields)
    desk.press("modify")
    desk.wait(lambda: desk.presenter.problem is not None)
    assert sentence in desk.text()
    assert desk.presenter.state.stage is Stage.IDLE


def test_one_price_is_not_set_for_two_symbols(desk, served):
    """A level of one symbol may be a valid one of the other; removing fits all."""
    served.persons.open_by_hand(OTHER, "EURUSD", "buy", 0.1)
    desk.wait(lambda: len(desk.presenter._open()) == 3)
    choose_rows(desk, *keys(desk))
    desk.fill(sl_how="set", sl="0.6")
    desk.press("modify")
    desk.wait(lambda: desk.presenter.problem is not None)
    assert "One price cannot fit 2 symbols" in desk.text()
    desk.fill(sl_how="remove")
    desk.reviewed("modify")
    assert len(desk.shown("preview")) == 3


def test_a_position_opened_by_an_order_appears_on_a_flat_account(desk):
    """Without the panel being shown again, and before any reading is due."""
    with desk.fleet.armed(minutes=5, max_volume=1, max_orders=5):
        receipt = desk.fleet.open_position(FLAT, "EURUSD", "buy", 0.1)
    assert receipt.outcome == "filled"
    desk.wait(lambda: f"{FLAT}:{receipt.ticket}" in desk.presenter._open())


def test_a_list_that_cannot_be_read_is_stale_and_stays(desk, served):
    """Its rows keep their figures; they are not gone, and not called live."""
    served.faults[HELD] = Faults(status_code=500, routes=("positions",))
    desk.wait(lambda: HELD in desk.presenter._missing)
    sources = {row["account"]: row["source"] for row in desk.shown("positions")}
    assert sources == {HELD: "stale", OTHER: "live"}
    assert "1 could not be read" in desk.text()


def test_an_agent_that_is_stuck_keeps_nobody_waiting(desk, served):
    """The others' positions go on being read."""
    served.faults[HELD] = Faults(hang=True, routes=("positions",))
    desk.wait(lambda: desk.presenter._reading)
    ticket = served.persons.open_by_hand(OTHER, "EURUSD", "buy", 0.1)
    desk.wait(lambda: f"{OTHER}:{ticket}" in desk.presenter._open())
    assert HELD not in desk.presenter._missing  # its deadline has not passed


def test_a_close_whose_answer_was_lost_is_told_in_the_end(desk, served):
    """Unknown at first, then found out; nothing is closed twice."""
    served.faults[HELD] = Faults(lost_answer=True)
    choose_rows(desk, key_of(desk, HELD))
    desk.reviewed()
    desk.confirmed()
    (receipt,) = desk.shown("receipts")
    assert receipt["outcome"] == "unknown"
    served.faults.clear()
    desk.press("reconcile")
    desk.wait(lambda: desk.hub.journal and not any(line.is_open for line in desk.hub.journal))
    (found,) = desk.shown("receipts")
    assert found["outcome"] == "filled"
    assert len(done(served, HELD)) == 1
