"""One lane per terminal: its handlers block each other (T12).

Why: MetaTrader's Python package answers one call at a time. May import
`contract` only.
The trap: one slow call delays `/health` too. On a base agent that is the
truth, so the lane holds every route.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fleetkit.contract import Call


class Lane:
    """The single file in front of a terminal; belongs to one event loop."""

    def __init__(self) -> None:
        # An asyncio.Lock is a queue of coroutines on one loop, not a thread lock.
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def hold(self, call: Call[Any]) -> AsyncIterator[None]:
        """Wait for this call's turn, and keep the terminal until the block ends."""
        async with self._turn:
            await self.enter(call)
            yield

    async def enter(self, call: Call[Any]) -> None:
        """Do nothing, at the front of the line; a simulated terminal is slow here."""
