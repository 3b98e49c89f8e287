"""An analyst looks at what the chosen accounts' trades come to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import fleetkit as fk
from fleetkit.aio.seen import SeenTrades
from fleetkit.fleet import Fleet
from fleetkit.model import Account, AccountStatus, Source
from fleetkit.panels import result_rows, results_panel
from fleetkit.panels.plain import segments_text
from fleetkit.panels.result_rows import Chosen, Drawn, chosen_of
from fleetkit.panels.results_panel import Results
from tests.support.agents import Reply, ScriptedFleet, served, until
from tests.support.bodies import trade
from tests.support.driven import Driven
from tests.support.fake_clock import FakeClock

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def agents(nothing_left_behind: None) -> Iterator[ScriptedFleet]:
    """Two accounts with a past, and one without."""
    with served(3) as agents:
        # Net of fees: 58 and -45 in one account, 100 in the other.
        agents[0].trades = [
            trade(11, "2026-01-31T10:00:00", profit=61.5, commission=-3.5),
            trade(12, "2026-01-30T10:00:00", profit=-40.0, commission=-5.0, symbol="XAUUSD"),
        ]
        agents[1].trades = [trade(21, "2026-01-29T10:00:00", profit=100.0, commission=0.0)]
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
def drawings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads that drew, in order, each told when it had drawn."""
    threads: list[str] = []

    def watched(*given: Any) -> Drawn:
        found = result_rows.drawn(*given)
        threads.append(threading.current_thread().name)
        return found

    monkeypatch.setattr(results_panel, "drawn", watched)
    return threads


@pytest.fixture
def results(fleet: Fleet) -> Driven:
    """The panel, in sight."""
    return Driven(fleet, Results)


def line(results: Driven, block: str = "made_of") -> str:
    """A line as it is read."""
    return segments_text(results.contents()[block], results.hub.clock.elapsed())


def settle(results: Driven) -> None:
    """Wait until nothing is read or drawn any more."""

    def is_over() -> bool:  # in one go, or a picture that is still due would be missed
        results.presenter.contents(results.hub.clock.elapsed())
        return not results.hub._chores

    until(lambda: results.run(is_over))


def read(results: Driven, days: int = 90) -> None:
    """Press a button and wait for all that follows."""
    results.act(f"read_{days}")
    settle(results)


def nets(results: Driven) -> dict[str, float]:
    """Net profit by symbol, as the table has it."""
    return {row["symbol"]: row["net"] for row in results.table("symbols")}


def test_coming_into_sight_asks_for_nothing(agents: ScriptedFleet, results: Driven) -> None:
    """It says what is missing, and waits to be told to read it."""
    settle(results)
    assert line(results) == (
        "3 accounts, trades closed in the last 90 days  ·  3 without trades at hand"
    )
    assert agents.counts() == {"/accounts": 3}


def test_what_was_read_is_told_in_figures_and_pictures(
    agents: ScriptedFleet, results: Driven
) -> None:
    """All of it from the same trades."""
    read(results)
    assert nets(results) == {"EURUSD": 158.0, "XAUUSD": -45.0}
    headline = line(results, "headline")
    for words in ("net +113.00", "3 trades", "won 66.7 %", "small sample", "profit factor 3.51"):
        assert words in headline, words
    shown = results.contents()
    assert shown["balance"].alt.startswith("Balance after 3 trades of 3 accounts")
    assert "300,006" in shown["balance"].svg  # what the three have together now
    assert "XAUUSD" in shown["by_symbol"].svg
    assert "without" not in line(results)
    assert "read 0 s ago" in line(results)
    assert agents.count("/trade-history") == 3


def test_the_chosen_accounts_alone_are_counted(results: Driven) -> None:
    """Choosing others draws again, without reading again."""
    read(results)
    results.select(7100001)
    settle(results)
    assert nets(results) == {"EURUSD": 58.0, "XAUUSD": -45.0}
    assert line(results).startswith("1 account, ")
    assert "100,001" in results.contents()["balance"].svg
    assert results.controls()["read_30"]["description"] == "Read 30 days of 1 chosen"


def test_a_curve_to_which_trades_are_missing_is_not_hung_on_a_balance(results: Driven) -> None:
    """It begins at nothing then, and ends with what was won."""
    results.select(7100002)
    read(results)
    results.select()
    settle(results)
    assert "2 without trades at hand" in line(results)
    shown = results.contents()["balance"]
    assert ">+100<" in shown.svg
    assert "300,006" not in shown.svg
    assert shown.alt.startswith("Profit, added up, of 1 trade of 1 account;")


def test_what_a_cell_reads_is_shown_within_a_second(
    fleet: Fleet, results: Driven, drawings: list[str]
) -> None:
    """By the event of it, drawn once, and not again for what changed nothing."""
    settle(results)
    until(lambda: results.run(lambda: results.core.bus.is_watched))
    drawings.clear()
    fleet.trades(7100002, days=90)
    assert results.run(results.presenter.look, 1.0) is True
    settle(results)
    assert nets(results) == {"EURUSD": 100.0}
    assert len(drawings) == 1
    settle(results)
    assert results.run(results.presenter.look, 2.0) is False
    assert len(drawings) == 1


def test_drawing_is_done_beside_the_loop_thread(results: Driven, drawings: list[str]) -> None:
    """One thread, whatever the number of panels."""
    other = Driven(results.fleet, Results)
    read(results)
    settle(other)
    assert nets(other) == nets(results)
    (name,) = set(drawings)
    assert name.startswith("fleetkit-drawer")


def test_the_newest_choice_is_what_is_shown_in_the_end(
    results: Driven, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was chosen and given up while a picture was drawn is never drawn."""
    read(results)
    begun, go_on, asked = threading.Event(), threading.Event(), []

    def slow(seen: list[SeenTrades], chosen: Chosen, since: datetime) -> Drawn:
        asked.append(chosen.accounts)
        begun.set()
        assert go_on.wait(10.0)
        return result_rows.drawn(seen, chosen, since)

    monkeypatch.setattr(results_panel, "drawn", slow)
    results.select(7100001)
    results.contents()
    assert begun.wait(10.0)
    for accounts in ((7100003,), (7100001, 7100003), (7100002,)):
        results.select(*accounts)
        assert "drawing…" in line(results)
    go_on.set()
    settle(results)
    assert asked == [(7100001,), (7100002,)]
    assert nets(results) == {"EURUSD": 100.0}


def test_nothing_is_drawn_where_nobody_looks(
    fleet: Fleet, results: Driven, drawings: list[str]
) -> None:
    """Asked for its text all the same, it says what it knows."""
    settle(results)
    drawings.clear()
    (shell,) = results.hub._shells
    shell.is_seen = False
    fleet.trades(days=90)
    results.contents()
    settle(results)
    assert drawings == []
    assert "without" not in line(results)


def test_fewer_days_show_fewer_trades_without_being_read_again(
    agents: ScriptedFleet, results: Driven
) -> None:
    """What is at hand is cut to the days that were asked for."""
    agents[0].trades = [*agents[0].trades, trade(13, "2025-12-01T10:00:00", profit=500.0)]
    read(results, 90)
    assert nets(results)["EURUSD"] == pytest.approx(158.0 + 496.5)
    asked = agents.count("/trade-history")
    read(results, 30)
    assert nets(results)["EURUSD"] == 158.0
    assert "last 30 days" in line(results)
    assert agents.count("/trade-history") == asked


def test_what_reaches_back_less_far_is_told(
    agents: ScriptedFleet, fleet: Fleet, results: Driven
) -> None:
    """A year of one account and a month of another are no year of both."""
    fleet.trades(7100001, days=365)
    fleet.trades(7100002, days=30)
    results.select(7100001, 7100002)
    settle(results)
    assert "1 read only from 2026-01-02 on" in line(results)
    read(results, 90)
    assert "only" not in line(results)


def test_an_agent_that_gives_no_trades_is_named(agents: ScriptedFleet, results: Driven) -> None:
    """What was read of it before is still counted; the others are new."""
    read(results, 30)
    agents[0].always("/trade-history", Reply({"detail": "no"}, status=500))
    agents[1].trades = [*agents[1].trades, trade(22, "2026-02-01T11:00:00", profit=13.5)]
    read(results, 365)
    assert "1 account gave no trades: 7100001." in results.contents()["problem"]
    assert nets(results) == {"EURUSD": 168.0, "XAUUSD": -45.0}
    assert "1 read only from 2026-01-02 on" in line(results)


def test_reading_tells_how_far_it_is(agents: ScriptedFleet, results: Driven) -> None:
    """Each answer is counted when it comes, and nothing is asked for twice meanwhile."""
    until(lambda: results.run(lambda: results.core.bus.is_watched))
    hold = agents[2].hold("/trade-history")
    results.act("read_90")
    results.act("read_365")
    hold.wait()
    until(lambda: "2 of 3 answered" in line(results))
    assert results.controls()["read_90"] == {"description": "Reading…", "disabled": True}
    assert results.controls()["read_365"]["disabled"]
    hold.release()
    settle(results)
    assert "answered" not in line(results)
    assert [agent.count("/trade-history") for agent in agents] == [1, 1, 1]


def test_hostile_names_stay_names(agents: ScriptedFleet, results: Driven) -> None:
    """A symbol is text in a picture, and text in what is read aloud."""
    agents[1].trades = [trade(21, profit=1000.0, symbol=HOSTILE + "x" * 10_000)]
    read(results)
    shown = results.contents()
    for picture in (shown["balance"], shown["by_symbol"]):
        assert "<script" not in picture.svg
        assert len(picture.svg) < 60_000
        assert len(picture.alt) < 200


def account(number: int, currency: str | None, balance: float | None = 100.0) -> Account:
    return Account(
        account=number,
        agent=f"vps{number}",
        status=AccountStatus.CONNECTED,
        source=Source.LIVE,
        currency=currency,
        balance=balance,
    )


def test_currencies_are_not_added_up() -> None:
    """The one that most accounts have is shown, and the others are named."""
    given = [account(1, "USD"), account(2, "EUR"), account(3, "USD"), account(4, None)]
    chosen = chosen_of(given)
    assert chosen == Chosen((1, 3), "USD", ((2, "EUR"), (4, "not told")), 200.0)
    said = result_rows.at_hand(chosen, [], datetime(2026, 1, 1, tzinfo=UTC), 30)
    left = next(segment for segment in said if "left out" in segment.text)
    assert left.text == "2 of another currency left out"
    assert left.title == "2 (EUR), 4 (not told)"


def test_a_balance_that_is_not_known_makes_no_sum() -> None:
    """Nothing is made up for it."""
    assert chosen_of([account(1, "USD"), account(2, "USD", None)]).balance is None
    assert chosen_of([account(1, "USD", 0.0)]).balance == 0.0
    assert chosen_of([]) == Chosen()


def test_the_days_shown_move_on_with_time(results: Driven, clock: FakeClock) -> None:
    """A panel that is left open for a week shows the last 30 days of then."""
    read(results, 30)
    began = results.presenter._since
    clock.advance(7 * 86_400)
    results.contents()
    assert results.presenter._since - began == timedelta(days=7)
