"""The one thread that owns everything that changes, and the ways to wait for it.

Why: notebooks run callers on many threads and loops, while caches, sockets and
order states need one owner. Everyone else posts a message here and waits for a
future. May import `progress`, `errors` and `clock`.
The trap: the thread that waits must never be this thread, and a forked child has
the object but not the thread.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

from fleetkit.errors import FleetkitError, ForkedProcess, LoopThreadBusy
from fleetkit.progress import Tally, use_tally

Result = TypeVar("Result")
Work = Callable[[], Coroutine[Any, Any, Result]]
Tick = Callable[[], None]

BLOCKING_SLICE_S = 0.1  # a wait is sliced so that an interrupt arrives on every system
AWAITING_SLICE_S = 0.2  # an awaited cell sees an interrupt only when its loop turns
EXIT_BOUND_S = 1.0
DRAIN_S = 5.0  # for orders in flight at the interpreter's exit; what is idle takes none


def _nothing() -> None:
    return None


class LoopThread:
    """A daemon thread with one asyncio event loop, for the life of the process."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._running: set[asyncio.Task[Any]] = set()
        self._stopping = False
        self.owners: weakref.WeakValueDictionary[Any, Any] = weakref.WeakValueDictionary()
        self._thread = threading.Thread(target=self._run, name="fleetkit-loop", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        state = "running" if self.is_usable else "not usable"
        return f"<LoopThread {state}, {len(self._running)} calls in flight>"

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    @property
    def is_usable(self) -> bool:
        """False in a forked child and after the interpreter began to exit."""
        return self._pid == os.getpid() and self._thread.is_alive() and not self._stopping

    @property
    def is_current(self) -> bool:
        """True on the loop thread itself; a forked child's threads reuse its number."""
        return threading.get_ident() == self._thread.ident and self._pid == os.getpid()

    def check(self) -> None:
        """Refuse in a forked child.

        Raises
        ------
        ForkedProcess
            The thread stayed in the parent process.
        """
        if self._pid != os.getpid():
            msg = (
                "This fleet belongs to the process that was forked; its sockets must not be "
                "shared. Call fleetkit.connect(...) again in this process."
            )
            raise ForkedProcess(msg)
        if not self.is_usable:
            msg = "The interpreter is exiting; fleetkit takes no more calls."
            raise ForkedProcess(msg)

    def post(self, function: Callable[..., object], *args: object) -> None:
        """Run a plain function on the loop thread, soon, in order, without waiting."""
        self.check()
        self._loop.call_soon_threadsafe(function, *args, context=Context())

    def submit(
        self, work: Work[Result], tally: Tally | None = None
    ) -> concurrent.futures.Future[Result]:
        """Start `work` on the loop thread; cancelling the future cancels it.

        The work runs in an empty context: what the caller's framework keeps in
        context variables must not reach the transports.
        """
        future: concurrent.futures.Future[Result] = concurrent.futures.Future()
        self._hand_over(work, future, tally)
        return future

    def _hand_over(
        self, work: Work[Result], future: concurrent.futures.Future[Result], tally: Tally | None
    ) -> None:
        self.check()
        self._loop.call_soon_threadsafe(self._start, work, future, tally, context=Context())

    def _start(
        self, work: Work[Result], future: concurrent.futures.Future[Result], tally: Tally | None
    ) -> None:
        if future.cancelled():
            return
        if tally is not None:
            use_tally(tally)
        task = self._loop.create_task(work())
        self._running.add(task)
        task.add_done_callback(lambda done: self._settle(done, future))
        future.add_done_callback(lambda done: self._cancel_with(done, task))

    def _settle(
        self, task: asyncio.Task[Result], future: concurrent.futures.Future[Result]
    ) -> None:
        self._running.discard(task)
        if self._stopping:
            return  # its thread is about to die: what it raised now would only be printed
        if task.cancelled():
            future.cancel()
        if not future.set_running_or_notify_cancel():
            if not task.cancelled():
                task.exception()  # seen here: its caller left
            return
        error = task.exception()
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(task.result())

    def _cancel_with(
        self, future: concurrent.futures.Future[Result], task: asyncio.Task[Result]
    ) -> None:
        if future.cancelled() and not task.done() and self.is_usable:
            self._loop.call_soon_threadsafe(task.cancel)

    def blocking(
        self, work: Work[Result], tally: Tally | None = None, tick: Tick = _nothing
    ) -> Result:
        """Run `work` on the loop thread and wait; an interrupt cancels it.

        Raises
        ------
        LoopThreadBusy
            When called on the loop thread, which would wait for itself.
        """
        if self.is_current:
            msg = (
                "A blocking fleet call was made on fleetkit's own loop thread and would wait "
                "for itself for ever. Use `await fleet.aio...` there, or call it from a cell."
            )
            raise LoopThreadBusy(msg)
        is_cancelled = _cancellation_here()
        future: concurrent.futures.Future[Result] = concurrent.futures.Future()
        # A bare lock: an interrupt inside of anything richer could leave it held, and the
        # loop thread waiting for it.
        landed = threading.Lock()
        landed.acquire()
        future.add_done_callback(lambda _: landed.release())
        try:
            self._hand_over(work, future, tally)  # in here: an interrupt may come at once
            while not landed.acquire(timeout=BLOCKING_SLICE_S):
                tick()
                if is_cancelled():
                    raise asyncio.CancelledError
        except BaseException:
            future.cancel()
            raise
        return _outcome(future)

    async def awaiting(
        self, work: Work[Result], tally: Tally | None = None, tick: Tick = _nothing
    ) -> Result:
        """Run `work` on the loop thread and await it on any other asyncio loop."""
        if self.is_current:
            return await work()
        future: concurrent.futures.Future[Result] = concurrent.futures.Future()
        wrapped = asyncio.wrap_future(future)
        try:
            self._hand_over(work, future, tally)
            while not wrapped.done():
                await asyncio.wait({wrapped}, timeout=AWAITING_SLICE_S)
                tick()
        except BaseException:
            future.cancel()
            wrapped.cancel()
            raise
        if not wrapped.cancelled():
            wrapped.exception()  # seen: or asyncio logs that nobody asked for it
        return _outcome(future)

    def stop(self, bound_s: float = EXIT_BOUND_S) -> None:
        """Stop the loop; for interpreter exit only."""
        if not self.is_usable:
            return
        self._stopping = True
        owners = list(self.owners.values())
        winding_up = asyncio.run_coroutine_threadsafe(_wind_up(owners, bound_s / 2), self._loop)
        concurrent.futures.wait((winding_up,), timeout=bound_s + DRAIN_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=bound_s)
        if not self._thread.is_alive():
            self._loop.close()


async def _wind_up(owners: list[Any], bound_s: float) -> None:
    """Close what is open and cancel the rest, so that nothing is destroyed half done."""
    closing = (owner.aclose(0.0, drain_s=DRAIN_S) for owner in owners)
    await asyncio.gather(*closing, return_exceptions=True)
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    if rest:
        await asyncio.wait(rest, timeout=bound_s)


def _cancellation_here() -> Callable[[], bool]:
    """Tells whether the task that blocks its loop with this call has been cancelled meanwhile.

    Under `asyncio.run` an interrupt does nothing but that, and waits for the task to see it.
    """
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    if task is None:
        return bool
    before = task.cancelling()
    return lambda: task.cancelling() > before


def _outcome(future: concurrent.futures.Future[Result]) -> Result:
    try:
        return future.result()
    except FleetkitError as error:
        # The sentence says it all; frames of the loop thread would only show plumbing.
        raise error.with_traceback(None) from None


class _Process:
    """The single permitted global: this process's loop thread."""

    def __init__(self) -> None:
        self.thread: LoopThread | None = None
        self.starting = threading.Lock()
        self.left_behind: list[LoopThread] = []

    def after_fork(self) -> None:
        # Kept, not collected: closing the parent's selector would reach into the parent.
        if self.thread is not None:
            self.left_behind.append(self.thread)
        self.thread = None
        self.starting = threading.Lock()


_process = _Process()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.after_fork)


def loop_thread() -> LoopThread:
    """This process's loop thread, started on first use."""
    with _process.starting:
        if _process.thread is None:
            _process.thread = LoopThread()
        return _process.thread


@atexit.register
def _at_exit() -> None:
    if _process.thread is not None:
        _process.thread.stop()
