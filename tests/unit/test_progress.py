"""The bar: when it shows, where it shows, and that it leaves nothing behind."""

from __future__ import annotations

import io
import sys
import threading
from contextvars import Context, copy_context
from datetime import UTC, datetime
from types import ModuleType, SimpleNamespace

import pytest

from fleetkit import progress
from fleetkit.progress import Activity, Tally, current_tally, progress_bar, use_tally


class HandClock:
    """A clock that a test turns by hand."""

    def __init__(self) -> None:
        self.at = 100.0

    def elapsed(self) -> float:
        return self.at

    def now(self) -> datetime:
        return datetime(2026, 2, 1, tzinfo=UTC)

    async def sleep(self, seconds: float) -> None:
        self.at += seconds

    def take_jump(self) -> float:
        return 0.0


class Screen(io.StringIO):
    """A stream that remembers what was drawn."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def waited(seconds: float, screen: Screen, enabled: bool | None = None) -> tuple[HandClock, object]:
    clock, tally = HandClock(), Tally(total=69)
    bar = progress_bar(tally, enabled, clock, screen)
    clock.at += seconds
    tally.advance(40)
    bar.tick()
    return clock, bar


def test_a_quick_call_shows_nothing() -> None:
    """Nothing is drawn in the first half second."""
    screen = Screen(terminal=True)
    _, bar = waited(0.49, screen)
    bar.close()
    assert screen.getvalue() == ""


def test_a_long_call_in_a_terminal_shows_how_far_it_is() -> None:
    """After half a second the words, the count and the total are on the screen."""
    screen = Screen(terminal=True)
    _, bar = waited(0.5, screen)
    assert "reading agents" in screen.getvalue()
    assert "40/69" in screen.getvalue()
    bar.close()


def test_a_closed_bar_is_wiped_and_stays_silent() -> None:
    """Closing clears the line; later ticks draw nothing, closing twice is fine."""
    screen = Screen(terminal=True)
    clock, bar = waited(0.5, screen)
    bar.close()
    drawn = screen.getvalue()
    assert drawn.endswith("\r")
    assert drawn.rsplit("\r", 2)[-2].strip() == ""
    clock.at += 5
    bar.tick()
    bar.close()
    assert screen.getvalue() == drawn


def test_a_script_without_terminal_shows_nothing() -> None:
    """A stream that is no tty stays empty, however long the call takes."""
    screen = Screen(terminal=False)
    clock, bar = waited(5, screen)
    clock.at += 60
    bar.tick()
    bar.close()
    assert screen.getvalue() == ""


def test_true_writes_a_bar_anywhere() -> None:
    """`progress=True` draws where no terminal is."""
    screen = Screen(terminal=False)
    _, bar = waited(5, screen, enabled=True)
    bar.close()
    assert "40/69" in screen.getvalue()


def test_false_silences_a_terminal() -> None:
    """`progress=False` draws nothing, even in a terminal."""
    screen = Screen(terminal=True)
    _, bar = waited(5, screen, enabled=False)
    bar.close()
    assert screen.getvalue() == ""


def test_a_call_with_nothing_to_count_shows_nothing() -> None:
    """No bar of 0 of 0, and none when all is done at the first look."""
    screen, clock = Screen(terminal=True), HandClock()
    tally = Tally()
    bar = progress_bar(tally, None, clock, screen)
    clock.at += 1
    bar.tick()
    tally.expect(3)
    tally.advance(3)
    clock.at += 1
    bar.tick()
    bar.close()
    assert screen.getvalue() == ""


def test_a_total_that_grows_is_followed() -> None:
    """Steps announced while the bar is shown widen its scale."""
    screen, clock = Screen(terminal=True), HandClock()
    tally = Tally(total=10)
    bar = progress_bar(tally, None, clock, screen)
    clock.at += 1
    bar.tick()
    tally.expect(10)
    tally.advance(15)
    clock.at += 1
    bar.tick()
    bar.close()
    assert "15/20" in screen.getvalue()


def test_a_bar_is_not_drawn_more_often_than_it_can_be_read() -> None:
    """Two ticks within a tenth of a second are one drawing."""
    screen = Screen(terminal=True)
    clock, bar = waited(1, screen)
    drawn = screen.getvalue()
    clock.at += 0.05
    bar.tick()
    assert screen.getvalue() == drawn
    bar.close()


def test_a_bar_starts_no_thread() -> None:
    """tqdm's monitor thread is not started on our behalf."""
    before = set(threading.enumerate())
    _, bar = waited(1, Screen(terminal=True))
    assert set(threading.enumerate()) == before
    bar.close()


def test_a_missing_stream_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no standard error at all, nothing is drawn and nothing raised."""
    monkeypatch.setattr(sys, "stderr", None)
    clock = HandClock()
    bar = progress_bar(Tally(total=3), None, clock)
    clock.at += 1
    bar.tick()
    bar.close()


def test_a_notebook_gets_the_widget_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a kernel's shell the bar is tqdm's notebook bar with our constant words."""
    drawn: list[dict[str, object]] = []

    class FakeBar:
        total, n = 0, 0

        def __init__(self, **options: object) -> None:
            drawn.append(options)
            self.total = options["total"]

        def refresh(self) -> None:
            drawn.append({"n": self.n})

        def close(self) -> None:
            drawn.append({"closed": True})

    shell = type("ZMQInteractiveShell", (), {})()
    fake_tqdm = ModuleType("tqdm.notebook")
    fake_tqdm.tqdm = FakeBar  # type: ignore[attr-defined]  # a stand-in module
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "tqdm.notebook", fake_tqdm)
    screen = Screen(terminal=False)
    _, bar = waited(1, screen)
    bar.close()
    assert drawn[0]["desc"] == "reading agents"
    assert drawn[1:] == [{"n": 40}, {"closed": True}]
    assert screen.getvalue() == ""


def test_a_terminal_ipython_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """IPython in a terminal gets the terminal bar."""
    shell = type("TerminalInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    screen = Screen(terminal=True)
    _, bar = waited(1, screen)
    bar.close()
    assert "40/69" in screen.getvalue()


def test_the_words_of_a_bar_are_plain() -> None:
    """No activity holds anything that a notebook would take for markup."""
    assert all(word.replace(" ", "").isalpha() for word in Activity)


def test_the_core_finds_the_tally_of_its_own_call() -> None:
    """`use_tally` reaches the context it is called in and no other."""
    tally = Tally()

    def work() -> Tally | None:
        use_tally(tally)
        return copy_context().run(current_tally)

    assert Context().run(work) is tally
    assert current_tally() is None


def test_a_tally_says_where_it_is() -> None:
    """The repr has the words and the figures."""
    tally = Tally(total=3)
    tally.advance()
    assert repr(tally) == "<Tally reading agents 1 of 3>"
    assert progress.QUIET_S == 0.5
