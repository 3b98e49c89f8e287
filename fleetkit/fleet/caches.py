"""`Fleet.cache`, in both faces.

May import `aio`, `waiting` and `html`. The trap: nothing is implemented here.
"""

from __future__ import annotations

from fleetkit.aio import AsyncCache
from fleetkit.fleet.waiting import Face, awaiting, blocking
from fleetkit.html import record_html


class FleetCache(Face[AsyncCache]):
    """`Fleet.cache`: statistics, invalidation and field updates."""

    stats = blocking(AsyncCache.stats)
    invalidate = blocking(AsyncCache.invalidate)
    update = blocking(AsyncCache.update)
    clear = blocking(AsyncCache.clear)

    def __repr__(self) -> str:
        return f"<FleetCache ttl {self._target.ttl_s:g} s; .stats() for figures>"

    def _repr_html_(self) -> str:
        return record_html(self.stats())


class AioFleetCache(Face[AsyncCache]):
    """`AioFleet.cache`: the same, awaited."""

    stats = awaiting(AsyncCache.stats)
    invalidate = awaiting(AsyncCache.invalidate)
    update = awaiting(AsyncCache.update)
    clear = awaiting(AsyncCache.clear)

    def __repr__(self) -> str:
        return f"<AioFleetCache ttl {self._target.ttl_s:g} s; await .stats() for figures>"
