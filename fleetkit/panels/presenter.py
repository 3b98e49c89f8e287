"""`Presenter`: what one panel shows and what its controls do, without any widget.

Why: what a panel decides can be tested against a real fleet with no front end at all; the
shell over it only writes what differs. May import `sheet_model`, `hub` and below, no widget.
The trap: everything here runs on the loop thread, in the middle of other work. Whatever
waits is a chore of the hub.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from fleetkit import events
from fleetkit.panels.sheet_model import Block, Contents, Key

if TYPE_CHECKING:
    from fleetkit.panels.hub import Hub

Controls = Mapping[str, Mapping[str, Any]]
"""Values of widget traits by control: ``{"send": {"disabled": True}}``."""


class Presenter:
    """One panel's part that is no widget.

    Attributes
    ----------
    name : str
        What the panel is called in texts.
    blocks : tuple of Block
        What its sheet is made of.
    problem : str or None
        The last handler's error; the shell shows it until the next action.
    """

    name: ClassVar[str] = "panel"
    blocks: tuple[Block, ...] = ()

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.core = hub.core
        self.problem: str | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def contents(self, now: float) -> Contents:
        """Everything the sheet shows at this moment of the Clock; may be asked at any time."""
        raise NotImplementedError

    def controls(self, now: float) -> Controls:
        """How the controls look at this moment; only what a presenter decides."""
        return {}

    def hear(self, event: events.Event) -> bool:
        """Take note of something that happened; whether the panel looks different now."""
        return False

    def look(self, now: float) -> bool:
        """Once a second while somebody sees it: whether time itself changed something."""
        return False

    def fields(self) -> Mapping[str, Any]:
        """What the fields of a new panel begin with, where several panels share them."""
        return {}

    def reselected(self) -> None:
        """Other accounts were chosen, in whatever panel."""

    def shown(self) -> None:
        """Somebody sees the panel again after nobody did; what was missed is read from scratch."""

    def act(self, control: str, value: Any) -> None:
        """A control was used: a button pressed (``None``), or a field set."""

    def choose(self, block: str, keys: tuple[Key, ...]) -> None:
        """Rows were selected in a table."""

    def act_on(self, block: str, key: Key) -> None:
        """A row was opened: Enter, or a double click."""
