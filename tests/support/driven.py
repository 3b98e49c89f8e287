"""A panel's presenter driven by hand: what a browser would do, without one.

Everything happens on the loop thread, as it does behind a front end.
"""

from __future__ import annotations

from typing import Any

from fleetkit.fleet import Fleet, behind
from fleetkit.panels.hub import Hub
from fleetkit.panels.presenter import Presenter
from fleetkit.panels.sheet_model import Rows

PATIENCE_S = 20.0


class Driven:
    """One presenter of a fleet, in somebody's sight."""

    def __init__(self, fleet: Fleet, kind: type[Presenter]) -> None:
        self.fleet = fleet
        self.core, self.loop = behind(fleet)

        async def make() -> tuple[Hub, Presenter]:
            hub = Hub.of(self.core, self.loop)
            await hub.look_at_orders()
            shell = Seen(kind(hub))
            hub.join(shell)
            hub.seen(shell)
            return hub, shell.presenter

        self.hub, self.presenter = self.loop.blocking(make)

    def run(self, function: Any, *args: Any) -> Any:
        """Call something on the loop thread."""

        async def call() -> Any:
            return function(*args)

        return self.loop.blocking(call)

    def act(self, control: str, value: Any = None) -> None:
        """Use a control."""
        self.run(self.hub.do, self.presenter, lambda: self.presenter.act(control, value))

    def act_at_once(self, *controls: str) -> None:
        """Use several within one turn of the loop, as a burst of clicks arrives."""

        def burst() -> None:
            for control in controls:
                self.hub.do(self.presenter, lambda name=control: self.presenter.act(name, None))

        self.run(burst)

    def set(self, **fields: Any) -> None:
        """Set fields."""
        for name, value in fields.items():
            self.act(name, value)

    def choose(self, block: str, *keys: Any) -> None:
        """Select rows."""
        self.run(self.hub.do, self.presenter, lambda: self.presenter.choose(block, keys))

    def select(self, *accounts: int) -> None:
        """Choose accounts, for all panels."""
        self.run(self.hub.select, accounts)

    def table(self, block: str) -> list[dict[str, Any]]:
        """A table's rows by the names of their columns."""
        shown = self.contents()[block]
        assert isinstance(shown, Rows)
        (spec,) = (each for each in self.presenter.blocks if each.id == block)
        names = [column.name for column in spec.columns]
        return [dict(zip(names, row, strict=True)) for row in shown.rows.values()]

    def line(self, block: str) -> str:
        """A line's texts."""
        return " · ".join(segment.text for segment in self.contents()[block])

    def contents(self) -> dict[str, Any]:
        return dict(self.run(lambda: self.presenter.contents(self.hub.clock.elapsed())))

    def controls(self) -> dict[str, Any]:
        return dict(self.run(lambda: self.presenter.controls(self.hub.clock.elapsed())))

    def until(self, condition: Any) -> None:
        """Let the loop thread go on until something is so."""

        async def wait() -> None:
            clock = self.hub.clock
            end = clock.elapsed() + PATIENCE_S
            while not condition():
                assert clock.elapsed() < end, "it never came to that"
                await clock.sleep(0.01)

        self.loop.blocking(wait)


class Seen:
    """A shell that somebody looks at, and that draws nothing."""

    def __init__(self, presenter: Presenter) -> None:
        self.presenter = presenter
        self.is_seen = True

    def draw(self, now: float) -> None:
        self.presenter.contents(now)
        self.presenter.controls(now)

    def set_field(self, control: str, value: Any) -> None:
        return None

    def end(self) -> None:
        self.is_seen = False
