"""MetaTrader's own Python package, behind one thread and with errors that are raised.

Why: the package blocks, is not safe on two threads, and answers a failure with
``None`` whose reason the next call overwrites. May import `agent.terminal` only.
The trap: a call cannot be taken back. It runs to its end on the thread also when
whoever waited for it is gone, and the thread is a daemon: a call that never ends
must not keep the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from importlib import import_module
from queue import SimpleQueue
from typing import Any, Final, TypeVar

from fleetkit.agent.terminal import TerminalError

Result = TypeVar("Result")
Job = Callable[[], None]

MISSING: Final = (
    "The Python package MetaTrader5 is not installed here. It exists for Windows only: run "
    "`pip install MetaTrader5` beside the terminal, or try `--terminal simulated` elsewhere."
)
# What the package's own codes mean for whoever has to act (RES_E_…).
ADVICE: Final = {
    -6: "log the terminal in by hand once, with the account's password",
    -8: "switch on Algo Trading in the terminal",
    -10001: "the terminal does not take calls; is it still running?",
    -10002: "the terminal does not answer; is it still running?",
    -10003: "start the terminal by hand and close its dialogs, as the same Windows user",
    -10004: "the terminal is gone; start it, or let POST /refresh do it",
    -10005: "the terminal did not answer in time; it may be starting or updating",
}


def load() -> Any:
    """The package.

    Raises
    ------
    TerminalError
        It is not installed.
    """
    try:
        return import_module("MetaTrader5")
    except ImportError as error:
        raise TerminalError(MISSING) from error


def failure(package: Any, call: str) -> TerminalError:
    """Why the call that was just made failed; ask before the next one is made."""
    code, words = package.last_error()
    advice = ADVICE.get(code)
    return TerminalError(f"{call} failed: {words} ({code})" + (f": {advice}" if advice else ""))


class TerminalThread:
    """The one thread that may call the package."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<fleetkit.agent TerminalThread, {self._jobs.qsize()} calls wait>"

    async def run(self, work: Callable[[], Result]) -> Result:
        """Do something on the thread, after what is there already.

        Whoever is cancelled here stops waiting. Work that has begun goes on; work
        that has not is dropped.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._start()
        self._jobs.put(lambda: _do(work, future, loop))
        return await future

    def end(self) -> None:
        """Let the thread end after the work that it has."""
        self._jobs.put(None)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="mt5", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


def _do(
    work: Callable[[], Result], future: asyncio.Future[Result], loop: asyncio.AbstractEventLoop
) -> None:
    if future.cancelled():
        return
    result: Result
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - it belongs to whoever asked
        failed = error
        settle: Job = lambda: None if future.done() else future.set_exception(failed)  # noqa: E731 - one of two
    else:
        settle = lambda: None if future.done() else future.set_result(result)  # noqa: E731 - the other
    with contextlib.suppress(RuntimeError):  # the loop has ended; nobody waits
        loop.call_soon_threadsafe(settle)
