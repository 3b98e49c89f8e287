"""`Hub`: what all panels of one fleet share, on the loop thread.

Why: panels agree on what is selected, see arming, halt and journal of every kernel, and
are drawn together, four times a second at most. May import `aio`, `events`, `loop`, and of
this package `presenter` and `sheet_model`; no widget. The trap: nobody may be looking.
Then nothing runs here: no timer, no subscription.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Final, Protocol

from fleetkit import events
from fleetkit.aio import AsyncFleet
from fleetkit.aio.seen import Standing, journal_lines, standing
from fleetkit.errors import FleetkitError
from fleetkit.loop import LoopThread
from fleetkit.panels.presenter import Presenter
from fleetkit.trading import OrderLine

TICK_S: Final = 0.25  # the server drops bursts of messages in silence
LOOKS_EVERY: Final = 4  # ticks: once a second what no event tells
JOURNAL_S: Final = 86_400.0  # how far back panels show orders; open ones are shown however old


class Shell(Protocol):
    """The widget over a presenter, as the hub sees it."""

    presenter: Presenter

    @property
    def is_seen(self) -> bool:
        """Whether any view of it is on a screen."""

    def draw(self, now: float) -> None:
        """Send what differs."""

    def set_field(self, control: str, value: Any) -> None:
        """Show a value in a field."""

    def end(self) -> None:
        """Draw no more: the fleet is closed."""


class Hub:
    """The panels of one fleet; belongs to the loop thread.

    Attributes
    ----------
    selected : tuple of int
        The accounts chosen in any panel; replaced as a whole, any thread may read it.
    standing : Standing
        Arming and halt, as they were found last.
    journal : tuple of OrderLine
        The orders of the last day and all open ones, oldest first.
    closed : str or None
        Why the fleet is closed, once it is.
    """

    def __init__(self, core: AsyncFleet, loop: LoopThread) -> None:
        self.core = core
        self.loop = loop
        self.clock = core.clock
        self.selected: tuple[int, ...] = ()
        self.standing = Standing()
        self.journal: tuple[OrderLine, ...] = ()
        self.closed: str | None = None
        self._shared: dict[str, Presenter] = {}  # of which there is one, in all panels of a kind
        self._shells: list[Shell] = []
        self._due: set[int] = set()
        self._drawn: dict[int, float] = {}  # when each was drawn last
        self._stamp: object = None
        self._ticking: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._chores: set[asyncio.Task[Any]] = set()
        self._drawer: ThreadPoolExecutor | None = None

    @property
    def drawer(self) -> ThreadPoolExecutor:
        """The one thread that draws pictures, begun with the first one."""
        if self._drawer is None:
            self._drawer = ThreadPoolExecutor(1, thread_name_prefix="fleetkit-drawer")
        return self._drawer

    def is_watched(self, presenter: Presenter) -> bool:
        """Whether any panel of a presenter is in sight."""
        return any(shell.is_seen and shell.presenter is presenter for shell in self._shells)

    @classmethod
    def of(cls, core: AsyncFleet, loop: LoopThread) -> Hub:
        """The fleet's hub, made when it is first asked for; on the loop thread."""
        core.check_open()
        hub = core.attached.get("panels")
        if not isinstance(hub, Hub):
            hub = core.attached["panels"] = cls(core, loop)
        return hub

    def __repr__(self) -> str:
        state = "idle" if self._ticking is None else "ticking"
        return f"<Hub {len(self._shells)} panels, {state}>"

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs here."""
        return self._ticking is None and not self._chores

    # Panels come and go

    def join(self, shell: Shell) -> None:
        """Take a panel in."""
        self._shells.append(shell)

    def leave(self, shell: Shell) -> None:
        """A panel is gone; again does nothing."""
        self._due.discard(id(shell))
        self._drawn.pop(id(shell), None)
        with suppress(ValueError):
            self._shells.remove(shell)
        self.rest()

    def seen(self, shell: Shell) -> None:
        """A panel came into sight."""
        if self.closed is None:
            self._guarded(shell.presenter, shell.presenter.shown)
            self.start()
        self._due.add(id(shell))
        self._draw(shell)

    def start(self) -> None:
        """Tick for as long as anybody looks."""
        if self._ticking is None:
            self._ticking = asyncio.create_task(self._tick())

    def rest(self) -> None:
        """Stop ticking where nobody looks any more."""
        if self._ticking is not None and not any(shell.is_seen for shell in self._shells):
            self._ticking.cancel()

    def redraw(self, presenter: Presenter | None = None) -> None:
        """Draw the panels of a presenter, or all, with the next tick."""
        for shell in self._shells:
            if presenter is None or shell.presenter is presenter:
                self._due.add(id(shell))

    def fleet_closed(self, why: str) -> None:
        """Show it in every panel, and stop."""
        self.closed = why
        if self._drawer is not None:
            self._drawer.shutdown(wait=False, cancel_futures=True)
        for chore in tuple(self._chores):
            chore.cancel()
        for shell in tuple(self._shells):
            shell.end()
        self.rest()

    # What happens

    def select(self, accounts: tuple[int, ...]) -> None:
        """Choose accounts, for all panels."""
        if accounts != self.selected:
            self.selected = accounts
            # Those that nobody shows just now, too: a preview of theirs is void.
            every = [*(shell.presenter for shell in self._shells), *self._shared.values()]
            for presenter in {id(each): each for each in every}.values():
                presenter.reselected()
            self.redraw()

    def shared_presenter(self, name: str, kind: type[Presenter]) -> Presenter:
        """The one presenter of a name, whatever the number of panels that show it."""

        async def find() -> Presenter:
            if name not in self._shared:
                self._shared[name] = kind(self)
            return self._shared[name]

        return self.loop.blocking(find)

    def mirror(self, shell: Shell, control: str, value: Any) -> None:
        """Show in the other panels of a presenter what was set in one of them."""
        for other in self._shells:
            if other is not shell and other.presenter is shell.presenter:
                other.set_field(control, value)

    def do(self, presenter: Presenter, work: Callable[[], object]) -> None:
        """Let a handler run; its error is the panel's to show."""
        presenter.problem = None
        if self._guarded(presenter, self.core.check_open):
            self._guarded(presenter, work)
        self.redraw(presenter)
        self._draw_now(presenter)

    def _guarded(self, presenter: Presenter, work: Callable[[], object]) -> bool:
        """Whether it went well; what went wrong is the panel's to show."""
        try:
            work()
        except FleetkitError as error:
            presenter.problem = str(error)
        except Exception as error:  # noqa: BLE001  # or it would come to nothing, unseen
            presenter.problem = unforeseen(error)
        else:
            return True
        return False

    def chore(self, presenter: Presenter, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Let something run that waits; its error is the panel's to show."""
        task = asyncio.create_task(work)
        self._chores.add(task)
        task.add_done_callback(lambda done: self._chore_done(presenter, done))
        return task

    def _chore_done(self, presenter: Presenter, task: asyncio.Task[Any]) -> None:
        self._chores.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, FleetkitError):
            presenter.problem = str(error)
        elif error is not None:
            presenter.problem = unforeseen(error)
        self.redraw(presenter)

    # Ticking

    async def _tick(self) -> None:
        unsubscribe = self.core.subscribe(self._hear)
        count = 0
        try:
            while True:  # until `rest`
                if count % LOOKS_EVERY == 0 and self._looking is None:
                    # Beside the ticks: a store that is locked must not stop the drawing.
                    self._looking = asyncio.create_task(self._look())
                count += 1
                self._draw_due()
                await self.clock.sleep(TICK_S)
        finally:
            unsubscribe()
            self._ticking = None
            if self._looking is not None:
                self._looking.cancel()

    def _hear(self, event: events.Event) -> None:
        for presenter in self._presenters():
            try:
                is_changed = presenter.hear(event)
            except Exception as error:  # noqa: BLE001  # the next panel shall hear of it all the same
                presenter.problem, is_changed = unforeseen(error), True
            if is_changed:
                self.redraw(presenter)

    async def _look(self) -> None:
        """Notice what no event tells: other kernels, and time."""
        try:
            with suppress(FleetkitError):  # a store that is locked now is looked at in a second
                await self.core.notice_labels()
                await self.look_at_orders()
        finally:
            self._looking = None
        now = self.clock.elapsed()
        for presenter in self._presenters():
            self._guarded(presenter, partial(self._let_look, presenter, now))

    def _let_look(self, presenter: Presenter, now: float) -> None:
        if presenter.look(now):
            self.redraw(presenter)

    async def look_at_orders(self) -> None:
        """Read arming, halt and journal again if any kernel wrote to them."""
        stamp = self.core.store.orders.change_stamp()
        now_s = self.clock.now().timestamp()
        arming = self.standing.arming
        is_over = arming is not None and now_s >= arming.until_s
        if stamp == self._stamp and not is_over:
            return
        found = await standing(self.core)
        lines = await journal_lines(self.core, since_s=now_s - JOURNAL_S)
        self._stamp, self.standing, self.journal = stamp, found, tuple(lines)
        self.redraw()

    def _presenters(self) -> list[Presenter]:
        seen = (shell.presenter for shell in self._shells if shell.is_seen)
        return list({id(presenter): presenter for presenter in seen}.values())

    def _draw_due(self) -> None:
        for shell in tuple(self._shells):
            if id(shell) in self._due and shell.is_seen:
                self._draw(shell)

    def _draw_now(self, presenter: Presenter) -> None:
        """Answer an action at once, unless the panel was drawn less than a tick ago."""
        latest = self.clock.elapsed() - TICK_S
        for shell in tuple(self._shells):
            is_free = self._drawn.get(id(shell), latest) <= latest
            if shell.presenter is presenter and shell.is_seen and is_free:
                self._draw(shell)

    def _draw(self, shell: Shell) -> None:
        now = self.clock.elapsed()
        self._due.discard(id(shell))
        self._drawn[id(shell)] = now
        shell.draw(now)


def unforeseen(error: BaseException) -> str:
    """What is said of an error that is a defect of ours."""
    return f"Something unforeseen happened ({type(error).__name__}): {error}"
