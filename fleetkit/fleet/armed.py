"""`Fleet.armed`: the block inside of which positions may be opened, in both faces.

May import `aio`. The trap: who only joined another's arming must not end it; the core
knows which, and is told on leaving.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Self

from fleetkit.aio.armings import Armed
from fleetkit.aio.order_words import Number
from fleetkit.aio.selection import Accounts

Limits = tuple[float, Number, int, Accounts, str | Iterable[str] | None]


class ArmedBlock:
    """`Fleet.armed`: opens are allowed inside of it."""

    def __init__(
        self,
        arm: Callable[..., Armed],
        disarm: Callable[[Armed], None],
        limits: Limits,
    ) -> None:
        self._arm, self._disarm, self._limits = arm, disarm, limits
        self._armed: Armed | None = None

    def __enter__(self) -> Self:
        self._armed = self._arm(*self._limits)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._armed is not None:
            self._disarm(self._armed)

    def __repr__(self) -> str:
        return f"<ArmedBlock {'live' if self._armed is not None else 'not entered'}>"


class AioArmedBlock:
    """`AioFleet.armed`: the same, entered with ``async with``."""

    def __init__(
        self,
        arm: Callable[..., Coroutine[Any, Any, Armed]],
        disarm: Callable[[Armed], Coroutine[Any, Any, None]],
        limits: Limits,
    ) -> None:
        self._arm, self._disarm, self._limits = arm, disarm, limits
        self._armed: Armed | None = None

    async def __aenter__(self) -> Self:
        self._armed = await self._arm(*self._limits)
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._armed is not None:
            await self._disarm(self._armed)

    def __repr__(self) -> str:
        return f"<AioArmedBlock {'live' if self._armed is not None else 'not entered'}>"
