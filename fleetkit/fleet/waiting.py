"""What both faces hold, and how a core coroutine becomes a plain call or an awaited one.

May import `loop`, `progress`, `cells` and `clock`. The trap: what knows the caller, its
cell and its bar, must be asked on the caller's own thread, before anything is handed over.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, Generic, NamedTuple, ParamSpec, TypeVar, cast

from fleetkit.aio import AsyncFleet
from fleetkit.cells import current_cell
from fleetkit.clock import Clock
from fleetkit.errors import FleetkitError
from fleetkit.loop import LoopThread
from fleetkit.progress import Tally, progress_bar

Given = ParamSpec("Given")
Result = TypeVar("Result")
Target = TypeVar("Target")
Method = Callable[Concatenate[Any, Given], Coroutine[Any, Any, Result]]
Shortcut = Callable[Concatenate[Any, Given], Result | None]


class Face(Generic[Target]):
    """What both faces hold: the core object and the way to its thread."""

    def __init__(
        self,
        target: Target,
        loop: LoopThread,
        clock: Clock,
        progress: bool | None,
        fleet: object = None,
    ) -> None:
        self._target = target
        self._loop = loop
        self._clock = clock
        self._progress = progress
        self._fleet = fleet  # kept: `connect(...).aio` must not close when only it is left


class Behind(NamedTuple):
    """What stands behind a fleet: its core, which belongs to the thread beside it."""

    core: AsyncFleet
    loop: LoopThread


def behind(fleet: Face[AsyncFleet]) -> Behind:
    """What panels observe and act on; everything of the core happens on its thread."""
    return Behind(fleet._target, fleet._loop)  # the two are of this module's own class


def blocking(
    method: Method[Given, Result],
    shortcut: Shortcut[Given, Result] | None = None,
    *,
    sends: bool = False,
) -> Callable[Concatenate[Any, Given], Result]:
    """Make a core coroutine a plain call that waits.

    A `shortcut` may answer from what is published for every thread. One that ``sends``
    orders knows the cell that calls it, and says which orders go on when it is interrupted.
    """

    @wraps(method)
    def call(self: Face[Any], *args: Given.args, **kwargs: Given.kwargs) -> Result:
        if shortcut is not None:
            self._loop.check()
            published = shortcut(self._target, *args, **kwargs)
            if published is not None:
                self._loop.post(self._target.count_hits)
                return published
        tally = Tally(cell=current_cell() if sends else None)
        bar = progress_bar(tally, self._progress, self._clock)
        try:
            return self._loop.blocking(
                lambda: method(self._target, *args, **kwargs), tally, bar.tick
            )
        except BaseException as error:
            if not isinstance(error, FleetkitError):  # that one tells of its order itself
                _name_orders(tally)
            raise
        finally:
            bar.close()

    return cast("Callable[Concatenate[Any, Given], Result]", call)


def _name_orders(tally: Tally) -> None:
    """Say which orders somebody stopped waiting for: they run to their end."""
    if tally.order_ids:
        ids = ", ".join(tally.order_ids)
        sys.stderr.write(
            f"fleetkit: nobody waits any more, and these orders go on: {ids}. "
            "fleet.orders() shows what became of them.\n"
        )


def awaiting(
    method: Method[Given, Result],
    *,
    sends: bool = False,
) -> Callable[Concatenate[Any, Given], Coroutine[Any, Any, Result]]:
    """Make a core coroutine awaitable on any asyncio loop."""

    @wraps(method)
    async def call(self: Face[Any], *args: Given.args, **kwargs: Given.kwargs) -> Result:
        tally = Tally(cell=current_cell() if sends else None)
        bar = progress_bar(tally, self._progress, self._clock)
        try:
            return await self._loop.awaiting(
                lambda: method(self._target, *args, **kwargs), tally, bar.tick
            )
        except asyncio.CancelledError:
            _name_orders(tally)
            raise
        finally:
            bar.close()

    return cast("Callable[Concatenate[Any, Given], Coroutine[Any, Any, Result]]", call)
