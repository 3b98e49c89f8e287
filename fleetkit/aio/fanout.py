"""Waiting for many flights at once.

May import `cache`, `clock` and `progress`. The trap: whoever stops waiting must
leave every flight it joined, on every way out, or nobody ever cancels them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from fleetkit.cache import Flight
from fleetkit.clock import Clock
from fleetkit.progress import current_tally


async def wait_for(
    cold: Collection[Flight[Any]],
    warm: Collection[Flight[Any]] = (),
    *,
    patience_s: float | None = None,
    clock: Clock | None = None,
) -> None:
    """Wait until every `cold` flight has landed, and for the `warm` ones no longer than patience.

    Flights left behind by patience go on; an interrupted wait cancels those that
    nobody else waits for.
    """
    flights = [*cold, *warm]
    _count(flights)
    keep = False
    try:
        if warm and patience_s is not None and clock is not None:
            await _within(warm, patience_s, clock)
        else:
            cold = flights
        if cold:
            await asyncio.wait([flight.task for flight in cold])
        keep = True
    finally:
        for flight in flights:
            flight.leave(keep=keep)


async def _within(flights: Collection[Flight[Any]], patience_s: float, clock: Clock) -> None:
    landing = asyncio.ensure_future(asyncio.wait([flight.task for flight in flights]))
    timer = asyncio.ensure_future(clock.sleep(patience_s))
    try:
        await asyncio.wait((landing, timer), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for helper in (landing, timer):
            helper.cancel()
            with suppress(asyncio.CancelledError):
                await helper


def _count(flights: Collection[Flight[Any]]) -> None:
    """Let the call's progress bar see these flights land."""
    tally = current_tally()
    if tally is None:
        return
    tally.expect(len(flights))
    for flight in flights:
        flight.task.add_done_callback(lambda _: tally.advance())
