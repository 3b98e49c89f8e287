"""`Sheet`: the one anywidget through which a panel's data reaches the browser.

Why: what is in a widget's traits is saved with the notebook, and what is sent in bursts is
dropped in silence. So data goes as numbered messages, one for each tick, and never as a
trait unless asked for. May import `sheet_model`, msgspec and anywidget. The trap: what the
browser sends is no more trusted than what an agent says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

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
# The parts of the module, each after those it imports.
PARTS: Final = (
    "text",
    "store",
    "filter",
    "order",
    "columns",
    "choosing",
    "pictures",
    "lines",
    "table",
    "view",
)
SAVED_EVERY_S: Final = 10.0
Id = Annotated[str, msgspec.Meta(max_length=80)]


def one_module(folder: Path) -> str:
    """The parts of the sheet's module as the one that anywidget takes.

    What they import of each other is in the same scope then, so these lines go. There is no
    other syntax to it: an import of a part stands on one line, an export before what it names.
    """
    parts = [(folder / f"{name}.js").read_text(encoding="utf-8") for name in PARTS]
    joined = re.sub(r'^import \{.*\} from "\./\w+\.js";\n', "", "\n".join(parts), flags=re.M)
    return re.sub(r"^export (?!default)", "", joined, flags=re.M)


class Hello(msgspec.Struct, frozen=True, tag_field="kind", tag="hello"):
    """A view was made and knows nothing."""

    view: Id


class Resync(msgspec.Struct, frozen=True, tag_field="kind", tag="resync"):
    """A message was lost."""

    have: int


class Visible(msgspec.Struct, frozen=True, tag_field="kind", tag="visible"):
    """A view came into sight, or went out of it."""

    view: Id
    visible: bool


class Gone(msgspec.Struct, frozen=True, tag_field="kind", tag="gone"):
    """A view is no more."""

    view: Id


class Select(msgspec.Struct, frozen=True, tag_field="kind", tag="select"):
    """Rows were selected."""

    block: Id
    keys: list[int | str]


class Act(msgspec.Struct, frozen=True, tag_field="kind", tag="act"):
    """A row was opened."""

    block: Id
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
        Keep what is shown in the widget's state, which notebooks save; as it was at most
        ten seconds before.
    """

    _esm = one_module(STATIC / "sheet")
    _css = STATIC / "sheet.css"
    blocks: Any = traitlets.List().tag(sync=True)
    # The version that was saved; what goes out is all that is shown, made when it is asked for.
    saved: Any = traitlets.Any(None).tag(sync=True, to_json=lambda _, sheet: sheet.everything())

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
        self._sent_at = self._saved_at = 0.0
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

    def everything(self) -> dict[str, Any] | None:
        """What is kept with the notebook: all that was sent, or nothing unless asked for."""
        if self._sent is None or not self._save_state:
            return None
        return first_message(self.version, self._sent_at, self._sent, self._made_of)

    def _deliver(self, message: dict[str, Any], now: float) -> int:
        self._sent_at = now
        self.send(message)
        if message["kind"] == "full" or now - self._saved_at >= SAVED_EVERY_S:
            self._saved_at = now
            if self._save_state:
                self.saved = self.version  # not with each tick: it is everything, each time
        return len(msgspec.json.encode(message))

    def _heard(self, _widget: object, content: object, _buffers: object) -> None:
        try:
            message = msgspec.convert(content, FromBrowser)
        except msgspec.ValidationError:
            return  # of another version, or not ours at all
        self._receive(msgspec.to_builtins(message))
