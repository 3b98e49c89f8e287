"""`Panel`: the thin ipywidgets shell over a presenter.

Why: front ends call from any thread, at any time; here every call becomes a message to the
loop thread, and what comes back is written by that thread alone. May import `hub`,
`presenter`, `sheet`, `plain` and ipywidgets. The trap: a handler's error is invisible in a
notebook. None of them does anything here but post.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import ipywidgets

from fleetkit.errors import ForkedProcess
from fleetkit.html import card_html, note_html
from fleetkit.panels.hub import Hub, unforeseen
from fleetkit.panels.plain import contents_html, contents_text
from fleetkit.panels.presenter import Presenter
from fleetkit.panels.sheet import Sheet
from fleetkit.panels.sheet_model import Contents

NOTE = (
    "This panel shows live figures and keeps none of them in the notebook. Run its cell to "
    "connect it again."
)


class Panel(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets ships no types
    """A panel: controls above, a sheet below.

    Attributes
    ----------
    presenter : Presenter
        What it shows and decides; belongs to the loop thread.
    sheet : Sheet
        What carries its data to the browser.
    """

    def __init__(
        self,
        hub: Hub,
        presenter: Presenter,
        controls: Mapping[str, ipywidgets.Widget],
        rows: Sequence[Sequence[str]] = (),
        *,
        save_state: bool = False,
        below: Sequence[str] = (),
    ) -> None:
        self.hub = hub
        self.presenter = presenter
        self.controls = dict(controls)
        self._views: set[str] = set()
        self._ended = False
        self._last: Contents = {}
        self._save_state = save_state
        self.sheet = Sheet(presenter.blocks, self._received, save_state=save_state)
        lines = [_row([self.controls[name] for name in row]) for row in rows]
        after = [_row([self.controls[name] for name in below])] if below else []
        super().__init__([*lines, self.sheet, *after])
        self.add_class("fleetkit-panel")
        for name, control in self.controls.items():
            self._listen(name, control)
        hub.loop.post(hub.join, self)
        hub.loop.post(self._fill)

    # From the front end, on any thread

    def _listen(self, name: str, control: ipywidgets.Widget) -> None:
        if isinstance(control, ipywidgets.Button):
            control.on_click(lambda _: self._used(name, None))
        else:
            control.observe(lambda change: self._used(name, change["new"]), names="value")

    def _used(self, name: str, value: Any) -> None:
        if not self.hub.loop.is_current:  # or two panels would set each other back for ever
            self._post(self._act, name, value)

    def _received(self, message: Mapping[str, Any]) -> None:
        self._post(self._handle, message)

    def _post(self, function: Callable[..., object], *args: object) -> None:
        with suppress(ForkedProcess):  # the kernel is exiting
            self.hub.loop.post(function, *args)

    # On the loop thread

    def _act(self, name: str, value: Any) -> None:
        self.hub.do(self.presenter, lambda: self.presenter.act(name, value))
        if value is not None:
            self.hub.mirror(self, name, value)

    def set_field(self, control: str, value: Any) -> None:
        """Show a value in a field; that it comes back from there changes nothing."""
        field = self.controls[control]
        if field.value != value:
            field.value = value

    def _fill(self) -> None:
        for control, value in self.presenter.fields().items():
            self.set_field(control, value)
        self._dress()

    def _handle(self, message: Mapping[str, Any]) -> None:
        kind = message["kind"]
        if kind in ("hello", "resync"):
            now = self.hub.clock.elapsed()
            self.sheet.show_all(self._shown(now), now)
        elif kind == "visible":
            self._see(str(message["view"]), is_seen=bool(message["visible"]))
        elif kind == "gone":
            self._see(str(message["view"]), is_seen=False)
        elif kind == "select":
            block, keys = str(message["block"]), tuple(message["keys"])
            self.hub.do(self.presenter, lambda: self.presenter.choose(block, keys))
        elif kind == "act":
            block, key = str(message["block"]), message["key"]
            self.hub.do(self.presenter, lambda: self.presenter.act_on(block, key))

    def _see(self, view: str, *, is_seen: bool) -> None:
        was_seen = self.is_seen
        if is_seen:
            self._views.add(view)
        else:
            self._views.discard(view)
        if self.is_seen and not was_seen:
            self.hub.seen(self)
        elif was_seen and not self.is_seen:
            self.hub.rest()

    @property
    def is_seen(self) -> bool:
        """Whether any view of it is on a screen."""
        return bool(self._views) and not self._ended

    def draw(self, now: float) -> None:
        """Send what differs."""
        if not self._ended:
            self.sheet.show(self._shown(now), now)

    def _shown(self, now: float) -> Contents:
        """What the sheet shows; of a presenter that cannot say it, what it showed last and why."""
        try:
            self._dress()
            self._last = self.presenter.contents(now)
        except Exception as error:  # noqa: BLE001  # a panel that stood still would be believed
            return {**self._last, "problem": unforeseen(error)}
        return self._last

    def _dress(self) -> None:
        """Set the controls to what the presenter says, where they differ."""
        now = self.hub.clock.elapsed()
        for name, traits in self.presenter.controls(now).items():
            control = self.controls[name]
            for trait, value in traits.items():
                if getattr(control, trait) != value:
                    setattr(control, trait, value)

    def end(self) -> None:
        """The fleet is closed: say so, and take nothing more."""
        now = self.hub.clock.elapsed()
        self.presenter.problem = self.hub.closed
        self.draw(now)
        self._ended = True
        for control in self.controls.values():
            if hasattr(control, "disabled"):
                control.disabled = True

    # From Python

    def close(self) -> None:
        """Remove the panel from every front end and forget it; again does nothing."""
        self._ended = True
        self._post(self.hub.leave, self)
        close_made_for(self)
        super().close()

    def snapshot(self) -> str:
        """What the panel shows now, as plain HTML without a script."""
        contents, now = self._asked()
        return contents_html(self.presenter.name, self.presenter.blocks, contents, now)

    def __str__(self) -> str:
        contents, now = self._asked()
        return contents_text(self.presenter.blocks, contents, now)

    def _asked(self) -> tuple[Contents, float]:
        """What it shows, asked on the thread that owns it."""

        async def ask() -> tuple[Contents, float]:
            now = self.hub.clock.elapsed()
            return self.presenter.contents(now), now

        return self.hub.loop.blocking(ask)

    def __repr__(self) -> str:
        state = " closed" if self.comm is None else ""
        return f"<fleetkit {self.presenter.name} panel{state}>"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any] | None:
        return with_note(super()._repr_mimebundle_(**kwargs), self, self._note())

    def _ipython_display_(self) -> None:
        display_with_note(super()._repr_mimebundle_(), self, self._note())

    def _note(self) -> str:
        return self.snapshot() if self._save_state else note_of(self)


def note_of(panel: object) -> str:
    """What is read where no kernel stands behind a panel."""
    return card_html(repr(panel).strip("<>"), note=NOTE)


def with_note(bundle: object, panel: object, note: str) -> dict[str, Any] | None:
    """A widget's bundle, and what is read where a front end knows no widgets."""
    if not isinstance(bundle, dict):
        return None
    return bundle | {"text/html": note, "text/plain": repr(panel)}


def display_with_note(bundle: object, panel: object, note: str) -> None:
    """Show a panel, and before it the note that takes its place in a saved notebook.

    A front end without the kernel would write "Error displaying widget" there.
    """
    from IPython.display import display

    if not isinstance(bundle, dict) or get_ipython_kernel() is None:
        print(panel)  # noqa: T201  # a terminal shows no widget
        return
    display({"text/html": note_html([note]), "text/plain": ""}, raw=True)
    display(bundle | {"text/plain": repr(panel)}, raw=True)


def get_ipython_kernel() -> object:
    """The kernel behind this process, if there is one."""
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None)


def close_made_for(widget: ipywidgets.Widget) -> None:
    """Close everything inside of a widget, layouts and styles too, but not itself."""
    for each in _all_of(widget):
        if each is not widget:
            each.close()


def _row(children: Sequence[ipywidgets.Widget]) -> ipywidgets.Widget:
    layout = ipywidgets.Layout(flex_flow="row wrap", align_items="center", overflow="visible")
    return ipywidgets.HBox(list(children), layout=layout)


def _all_of(widget: ipywidgets.Widget) -> list[ipywidgets.Widget]:
    """A widget and everything that was made for it: children, layouts, styles."""
    found = [widget]
    for place, each in enumerate(found):
        del place
        parts = [getattr(each, "layout", None), getattr(each, "style", None)]
        for part in (*parts, *getattr(each, "children", ())):
            if isinstance(part, ipywidgets.Widget) and part not in found:
                found.append(part)
    return found
