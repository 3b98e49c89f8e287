"""`Sheet`: the one anywidget through which a panel's data reaches the browser.

Why: what is in a widget's traits is saved with the notebook, and what is sent in bursts is
dropped in silence. So data goes as numbered messages, one for each tick, and never as a
trait unless asked for. May import `sheet_model`, msgspec and anywidget. The trap: what the
browser sends is no more trusted than what an agent says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import anywidget
import msgspec
import traitlets

from fleetkit.panels.sheet_model import (
    Block,
    Contents,
    first_message,
    in_slots,
    next_message,
)

STATIC: Final = Path(__file__).parent / "static"
LONGEST_ID: Final = 80


class Hello(msgspec.Struct, frozen=True, tag_field="kind", tag="hello"):
    """A view was made and knows nothing."""

    view: str


class Resync(msgspec.Struct, frozen=True, tag_field="kind", tag="resync"):
    """A message was lost."""

    have: int


class Visible(msgspec.Struct, frozen=True, tag_field="kind", tag="visible"):
    """A view came into sight, or went out of it."""

    view: str
    visible: bool


class Gone(msgspec.Struct, frozen=True, tag_field="kind", tag="gone"):
    """A view is no more."""

    view: str


class Select(msgspec.Struct, frozen=True, tag_field="kind", tag="select"):
    """Rows were selected."""

    block: str
    keys: list[int | str]


class Act(msgspec.Struct, frozen=True, tag_field="kind", tag="act"):
    """A row was opened."""

    block: str
    key: int | str


FromBrowser = Hello | Resync | Visible | Gone | Select | Act


class Sheet(anywidget.AnyWidget):
    """Tables, lines and pictures of one panel.

    Parameters
    ----------
    blocks
        What it is made of; structure only, nothing of any account.
    receive
        Called with each message of the browser, as a dict with ``kind``, on whatever
        thread the front end calls.
    save_state
        Keep what is shown in the widget's state, which notebooks save.
    """

    _esm = STATIC / "sheet.js"
    _css = STATIC / "sheet.css"
    blocks: Any = traitlets.List().tag(sync=True)
    saved: Any = traitlets.Dict(allow_none=True, default_value=None).tag(sync=True)

    def __init__(
        self,
        blocks: Sequence[Block],
        receive: Callable[[Mapping[str, object]], None],
        *,
        save_state: bool = False,
    ) -> None:
        self._made_of = tuple(blocks)
        self._receive = receive
        self._save_state = save_state
        self._sent: Contents | None = None
        self.version = 0
        super().__init__(blocks=[msgspec.to_builtins(block) for block in blocks])
        self.on_msg(self._heard)

    def show(self, contents: Contents, now: float) -> int:
        """Send what changed; the size of it in bytes. On the loop thread only."""
        before = self._sent
        if before is None:
            return self.show_all(contents, now)
        message = next_message(self.version + 1, now, before, contents, self._made_of)
        if message is None:
            return 0
        self._sent = in_slots(before, contents)
        self.version += 1
        return self._deliver(message, now)

    def show_all(self, contents: Contents, now: float) -> int:
        """Send everything, to views that know nothing or lost something; its size in bytes."""
        self._sent = contents
        self.version += 1
        return self._deliver(first_message(self.version, now, contents, self._made_of), now)

    def _deliver(self, message: dict[str, Any], now: float) -> int:
        self.send(message)
        if self._save_state and self._sent is not None:
            self.saved = first_message(self.version, now, self._sent, self._made_of)
        return len(msgspec.json.encode(message))

    def _heard(self, _widget: object, content: object, _buffers: object) -> None:
        try:
            message = msgspec.convert(content, FromBrowser)
        except msgspec.ValidationError:
            return  # of another version, or not ours at all
        self._receive(msgspec.to_builtins(message))
