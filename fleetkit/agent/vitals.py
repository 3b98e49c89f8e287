"""``GET /health`` of our own agent: answered beside the terminal's queue.

Why: whoever asks how an agent is must not wait for a terminal that hangs. May
import `terminal`, `lane`, `wall`, `request` and `contract`.
The trap: it may say nothing that was not true a moment ago, so the terminal is
asked in a task of its own, and the last answer stands until the next one comes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from fleetkit import contract
from fleetkit.agent.lane import Lane, LaneFullError
from fleetkit.agent.request import Reply
from fleetkit.agent.terminal import Terminal, TerminalError
from fleetkit.clock import Clock
from fleetkit.contract import API_VERSION, Capability
from fleetkit.model import StopsUnit

LOGGER: Final = logging.getLogger("fleetkit.agent")
PATIENCE_S: Final = 0.025  # for the terminal's own answer
STUCK_S: Final = 10.0  # in one call, after which a terminal is called unhealthy


class Vitals:
    """What is known of a terminal without waiting for it."""

    def __init__(
        self,
        terminal: Terminal,
        lane: Lane,
        clock: Clock,
        capabilities: Sequence[Capability],
    ) -> None:
        self._number: int | None = None
        self._terminal = terminal
        self._lane = lane
        self._clock = clock
        self._capabilities = [capability.value for capability in capabilities]
        self._up: bool | None = None
        self._busy_from: float | None = None
        self._probe: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<fleetkit.agent Vitals of {self._terminal!r}: up {self._up}>"

    def began(self) -> None:
        """A call has its turn at the terminal."""
        self._busy_from = self._clock.elapsed()

    def ended(self) -> None:
        """The terminal came back from it."""
        self._busy_from = None

    async def reply(self) -> Reply:
        """The reply, after a few milliseconds whatever the terminal does."""
        await self._refresh()
        busy_s = 0.0
        if self._busy_from is not None:
            busy_s = max(0.0, self._clock.elapsed() - self._busy_from)
        up = bool(self._up)
        now = self._terminal.now()
        body = {
            "status": "healthy" if up and busy_s < STUCK_S else "unhealthy",
            "accounts_monitored": 1 if up else 0,
            "mt5_initialized": up,
            "timestamp": now,
            "api": API_VERSION,
            "capabilities": self._capabilities,
            "stops_unit": StopsUnit.PRICE.value,
            "server_utc_offset_s": self._terminal.server_offset(now).total_seconds(),
            "account_number": self._number,
            "busy_s": round(busy_s, 3),
        }
        return Reply(200, body)

    async def account(self) -> int | None:
        """Whose terminal it is now; while it is busy, whose it was last."""
        await self._refresh()
        return self._number

    async def close(self) -> None:
        """Stop asking."""
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.wait([self._probe])

    async def _refresh(self) -> None:
        if self._probe is None and self._lane.free:
            self._probe = asyncio.create_task(self._ask())
        if self._probe is not None:
            await asyncio.wait([self._probe], timeout=PATIENCE_S)

    async def _ask(self) -> None:
        try:
            async with self._lane.hold(contract.HEALTH, limit=0, watch=self):
                self._up = await self._terminal.initialised()
                self._number = (await self._terminal.account()).number or None
        except TerminalError:
            self._up = False
        except LaneFullError:
            pass  # somebody was faster: their call tells how the terminal is
        except Exception:  # /health must answer whatever breaks; the log has it
            self._up = False
            LOGGER.exception("The terminal broke when it was asked how it is")
        finally:
            self._probe = None
