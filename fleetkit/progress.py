"""How far a long call is: a notebook bar, a terminal bar, or nothing.

Why: the core counts on the loop thread and knows nothing of bars; the waiting
thread looks at the count and draws. May import `clock`; tqdm when a bar is drawn.
The trap: tqdm's notebook bar renders its description as HTML, so a description
is one of `Activity`'s constant words, never a text that came from an agent.
"""

from __future__ import annotations

import importlib.util
import sys
from contextvars import ContextVar
from enum import StrEnum
from typing import Any, Final, Protocol, TextIO

from fleetkit.cells import CellCall, replay_key
from fleetkit.clock import Clock

QUIET_S: Final = 0.5  # a call that is done sooner shows nothing
REDRAW_S: Final = 0.1  # and no bar is drawn more often than this


class Activity(StrEnum):
    """What a bar says is going on."""

    READING = "reading agents"


class Tally:
    """The count of one call. Written on the loop thread only, read from any.

    Attributes
    ----------
    total, done : int
        Steps expected so far, and those behind us.
    what : Activity
        The constant words beside the bar.
    cell : CellCall or None
        The cell that called, where orders are sent for it.
    order_ids : list of str
        The orders that the call has sent, for whoever stops waiting.
    """

    __slots__ = ("_orders", "cell", "done", "order_ids", "total", "what")

    def __init__(
        self,
        what: Activity = Activity.READING,
        total: int = 0,
        cell: CellCall | None = None,
    ) -> None:
        self.what = what
        self.total = total
        self.done = 0
        self.cell = cell
        self.order_ids: list[str] = []
        self._orders: dict[bytes, int] = {}

    def key_for(self, intent: bytes) -> str | None:
        """What tells this order of the cell from a new one when the cell is run again."""
        if self.cell is None:
            return None
        # Counted for each order apart: their turn may be another one in the next run.
        self._orders[intent] = count = self._orders.get(intent, 0) + 1
        return replay_key(self.cell, self.cell.ordinal, b"%d:%b" % (count, intent))

    def expect(self, steps: int) -> None:
        """Say that `steps` more will be done."""
        self.total += steps

    def advance(self, steps: int = 1) -> None:
        """Say that `steps` more are done."""
        self.done += steps

    def __repr__(self) -> str:
        return f"<Tally {self.what} {self.done} of {self.total}>"


_current: Final[ContextVar[Tally | None]] = ContextVar("fleetkit_tally", default=None)


def current_tally() -> Tally | None:
    """The tally of the call this code runs for, ``None`` when nobody watches."""
    return _current.get()


def use_tally(tally: Tally) -> None:
    """Make `tally` the current one of this context and of the tasks started in it."""
    _current.set(tally)


class Bar(Protocol):
    """What the waiting thread does while it waits; never the loop thread."""

    def tick(self) -> None:
        """Draw, if it is time to."""

    def close(self) -> None:
        """Leave nothing behind, neither a line nor a widget."""


class _Nothing:
    def tick(self) -> None: ...

    def close(self) -> None: ...


class _Delayed:
    """A bar that appears when the call has taken a while and is not done."""

    def __init__(self, tally: Tally, clock: Clock, stream: TextIO | None, *, anywhere: bool):
        self._tally, self._clock = tally, clock
        self._stream, self._anywhere = stream, anywhere
        self._draw_at = clock.elapsed() + QUIET_S
        self._bar: Any = None
        self._closed = False

    def tick(self) -> None:
        now = self._clock.elapsed()
        if self._closed or now < self._draw_at:
            return
        self._draw_at = now + REDRAW_S
        if self._bar is None:
            if self._tally.done >= self._tally.total:
                return  # nothing to count yet, or nothing left to wait for
            self._bar = _open_bar(self._tally, self._stream, anywhere=self._anywhere)
            self._closed = self._bar is None
        if self._bar is not None:
            _draw(self._bar, self._tally)

    def close(self) -> None:
        self._closed = True
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()


def progress_bar(
    tally: Tally, enabled: bool | None, clock: Clock, stream: TextIO | None = None
) -> Bar:
    """A bar for `tally`, drawn by whoever waits.

    Parameters
    ----------
    tally
        The count to show.
    enabled
        ``None`` shows a bar in notebooks and terminals and nothing elsewhere,
        ``False`` shows nothing, ``True`` writes one even where no terminal is.
    clock
        Tells how long the call has taken: nothing is shown in its first half second.
    stream
        Where a terminal bar goes; standard error unless told.
    """
    if enabled is False:
        return _Nothing()
    return _Delayed(tally, clock, stream, anywhere=enabled is True)


def _open_bar(tally: Tally, stream: TextIO | None, *, anywhere: bool) -> Any:
    options = {"total": tally.total, "desc": tally.what.value, "unit": "agent", "leave": False}
    if _in_notebook():
        from tqdm.notebook import tqdm as notebook_tqdm

        return _without_monitor(notebook_tqdm)(**options)
    target = sys.stderr if stream is None else stream
    if not anywhere and not _is_terminal(target):
        return None
    from tqdm import tqdm

    return _without_monitor(tqdm)(file=target, dynamic_ncols=True, **options)


def _without_monitor(kind: Any) -> Any:
    """`kind` without the thread tqdm starts to redraw bars that nobody ticks: we tick."""
    return type("Bar", (kind,), {"monitor_interval": 0})


def _draw(bar: Any, tally: Tally) -> None:
    if bar.total != tally.total:
        bar.reset(total=tally.total)  # the only way that reaches the widget's scale
    bar.n = min(tally.done, tally.total)
    bar.refresh()


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False  # no stream at all (pythonw), or a closed one


def _in_notebook() -> bool:
    """Whether cells run here and can show widgets; asks only what is imported already."""
    interactive = sys.modules.get("IPython")
    shell = interactive.get_ipython() if interactive is not None else None
    if not any(kind.__name__ == "ZMQInteractiveShell" for kind in type(shell).__mro__):
        return False
    return importlib.util.find_spec("ipywidgets") is not None
