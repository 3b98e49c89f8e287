"""The refresh watch over a real fleet without any front end: heard, looked at, pressed.

The trap: what a presenter does, it does on the loop thread, so every question here is a trip
there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from fleetkit.fleet import Fleet, behind
from fleetkit.panels.hub import Hub
from fleetkit.panels.plain import segments_text
from fleetkit.panels.sheet_model import Rows
from fleetkit.panels.watch_panel import Watch
from fleetkit.panels.watch_rows import TABLE
from tests.support.agents import until

Result = TypeVar("Result")


class Watching:
    """A watch that hears everything, as if somebody saw it."""

    def __init__(self, fleet: Fleet) -> None:
        self.core, self.loop = behind(fleet)
        self.watch: Watch = self.on_loop(self._made)

    def _made(self) -> Watch:
        watch = Watch(Hub.of(self.core, self.loop))
        self.core.subscribe(watch.hear)
        return watch

    def on_loop(self, function: Callable[[], Result]) -> Result:
        """What a function returns on the thread that owns everything."""

        async def call() -> Result:
            return function()

        return self.loop.blocking(call)

    def press(self, *buttons: str) -> None:
        """Press buttons, one right after the other."""
        self.on_loop(lambda: [self.watch.act(button, None) for button in buttons])

    def set(self, field: str, value: Any) -> None:
        """Set a field."""
        self.on_loop(lambda: self.watch.act(field, value))

    def look(self, later_s: float = 0.0) -> None:
        """Let the watch look at the time, and find it so much later."""
        self.on_loop(lambda: self.watch.look(self.core.clock.elapsed() + later_s))

    def rows(self) -> dict[str, dict[str, Any]]:
        """The table by agent and column."""
        shown = self.on_loop(lambda: self.watch.contents(self.core.clock.elapsed()))["watch"]
        assert isinstance(shown, Rows)
        columns = [column.name for column in TABLE.columns]
        return {str(key): dict(zip(columns, row, strict=True)) for key, row in shown.rows.items()}

    def states(self) -> list[str]:
        """The states of all agents, in order."""
        return [row["state"] for row in self.rows().values()]

    def progress(self) -> str:
        """The line above the table."""
        now = self.core.clock.elapsed()
        line = self.on_loop(lambda: self.watch.contents(now))["progress"]
        assert isinstance(line, tuple)
        return segments_text(line, now)

    def until_over(self) -> None:
        """Wait until nothing is left to wait for."""
        until(lambda: self.on_loop(lambda: self.watch.state.run is not None))
        until(lambda: self.on_loop(lambda: self.watch.state.run.is_over))

    def until_state(self, account: int, state: str, *, others: str) -> None:
        """Wait until one account's state is this, and every other's that."""
        until(lambda: self._are(account, state, others))

    def _are(self, account: int, state: str, others: str) -> bool:
        rows = self.rows().values()
        return all(row["state"] == (state if row["account"] == account else others) for row in rows)

    def in_air(self) -> int:
        """How many accounts are being read just now, for whomever."""
        return self.on_loop(lambda: len(self.core.caches.accounts._in_air))
