"""The cache keyed by account: freshness, generations, single flight, last good values.

Why: after a trade one account is read again, not 69. `cachetools.TTLCache` decides
what is fresh; what was good last never expires and is served as stale. May import
`model` and `clock`; belongs to the loop thread, so it needs no lock.
The trap: a reply that was on its way when its key was invalidated is older than the
invalidation. It goes to whoever asked for it and never into the cache.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec
from cachetools import TTLCache

from fleetkit.clock import Clock

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Entry(msgspec.Struct, Generic[Value], frozen=True, gc=False):
    """A value, and when it was true."""

    value: Value
    as_of: datetime
    stamp: float  # the Clock's elapsed at that moment


class Generation(msgspec.Struct, frozen=True, gc=False):
    """What was current when a flight began."""

    epoch: int
    count: int


class _Freshness(TTLCache[Key, None]):
    """Counts what it drops for want of room; expiry is no eviction."""

    evictions = 0

    def popitem(self) -> tuple[Key, None]:
        self.evictions += 1
        return super().popitem()

    def clear(self) -> None:
        # Older cachetools clear item by item, which is no want of room either.
        evictions = self.evictions
        super().clear()
        self.evictions = evictions


class AccountCache(Generic[Key, Value]):
    """Values by account, each fresh for `ttl_s`, each remembered for ever.

    Parameters
    ----------
    maxsize
        How many keys can be fresh at once: the number of agents.
    ttl_s
        Seconds a value is fresh; 0 switches caching off.
    clock
        Where time comes from.
    """

    def __init__(self, maxsize: int, ttl_s: float, clock: Clock) -> None:
        self.ttl_s = ttl_s
        self._clock = clock
        self._fresh: _Freshness[Key] = _Freshness(
            maxsize=max(maxsize, 1), ttl=ttl_s, timer=clock.elapsed
        )
        self._good: dict[Key, Entry[Value]] = {}
        self._flights: dict[Key, dict[Hashable, Flight[Value]]] = {}
        self._in_air: set[Flight[Value]] = set()
        self._epoch = 0
        self._generations: dict[Key, int] = {}
        self.hits = 0
        self.misses = 0
        self.stale_hits = 0
        self.flights_joined = 0
        self.invalidations = 0
        self.version = 0  # moves with every change; a snapshot made at another one is void

    def __repr__(self) -> str:
        self._fresh.expire()
        return (
            f"<AccountCache {len(self._fresh)} fresh, {len(self._in_air)} in flight, "
            f"ttl {self.ttl_s:g} s>"
        )

    def __len__(self) -> int:
        self._fresh.expire()
        return len(self._fresh)

    @property
    def evictions(self) -> int:
        """How many fresh values were dropped for want of room."""
        return self._fresh.evictions

    def fresh(self, key: Key) -> Entry[Value] | None:
        """Return the value if it is fresh, and count a hit or a miss."""
        if key in self._fresh:
            self.hits += 1
            return self._good[key]
        self.misses += 1
        return None

    def is_fresh(self, key: Key) -> bool:
        """Whether the value is fresh; counts nothing."""
        return key in self._fresh

    def last_good(self, key: Key) -> Entry[Value] | None:
        """Return the newest value there ever was; counts nothing."""
        return self._good.get(key)

    def generation(self, key: Key) -> Generation:
        """What a flight must take along and show when it lands."""
        return Generation(self._epoch, self._generations.get(key, 0))

    def put(self, key: Key, value: Value, generation: Generation) -> Entry[Value]:
        """Store a reply, unless its key was invalidated since the flight began."""
        entry = Entry(value, self._clock.now(), self._clock.elapsed())
        if generation == self.generation(key):
            self.version += 1
            self._good[key] = entry
            self._fresh[key] = None
        return entry

    def update(self, key: Key, change: Callable[[Value], Value]) -> bool:
        """Change a value in place; its age goes on growing. False when there is none."""
        entry = self._good.get(key)
        if entry is None:
            return False
        self.version += 1
        self._good[key] = Entry(change(entry.value), entry.as_of, entry.stamp)
        return True

    def invalidate(self, key: Key) -> None:
        """Make one key stale, and every reply now on its way to it."""
        self.version += 1
        self.invalidations += 1
        self._generations[key] = self._generations.get(key, 0) + 1
        self._fresh.pop(key, None)
        self._flights.pop(key, None)

    def mark_all_stale(self) -> None:
        """Make every key stale, and every reply now on its way; last good values stay."""
        self.version += 1
        self._epoch += 1
        self._fresh.clear()
        self._flights.clear()

    def clear(self) -> None:
        """Forget everything, the last good values too."""
        self.mark_all_stale()
        self._good.clear()

    def forget(self, key: Key) -> None:
        """Drop one key with its last good value: it was never this account's."""
        self.invalidate(key)
        self._good.pop(key, None)

    def join(
        self,
        key: Key,
        start: Callable[[], Coroutine[Any, Any, Value]],
        variant: Hashable = None,
    ) -> Flight[Value]:
        """Return the flight to `key`: the one in the air, or a new one.

        The caller must `Flight.leave` it. A value that lands is stored under the
        generation that was current at take-off. Requests that differ (another span
        of history) are different `variant`s of one key.
        """
        flights = self._flights.setdefault(key, {})
        flight = flights.get(variant)
        if flight is not None and flight.takes_passengers:
            self.flights_joined += 1
            flight.waiting += 1
            return flight
        flying = self._fly(key, start, self.generation(key))
        task = asyncio.get_running_loop().create_task(flying)
        flight = flights[variant] = Flight(task)
        self._in_air.add(flight)
        task.add_done_callback(lambda _: self._landed(key, variant, flight))
        return flight

    async def _fly(
        self,
        key: Key,
        start: Callable[[], Coroutine[Any, Any, Value]],
        generation: Generation,
    ) -> Entry[Value]:
        try:
            value = await start()
        except Exception:  # whatever it was, it goes on to whoever asked
            if generation == self.generation(key):
                self._expire(key)
            raise
        return self.put(key, value, generation)

    def _expire(self, key: Key) -> None:
        """End a value's freshness: the newest answer was a failure, whatever its age is."""
        self.version += 1
        self._fresh.pop(key, None)

    def _landed(self, key: Key, variant: Hashable, flight: Flight[Value]) -> None:
        self._in_air.discard(flight)
        flights = self._flights.get(key)
        if flights is not None and flights.get(variant) is flight:
            del flights[variant]
        if not flight.task.cancelled():
            flight.task.exception()  # seen: those who wait read it from the task

    def cancel_flights(self) -> int:
        """Cancel everything in the air; returns how many that were."""
        for flight in tuple(self._in_air):
            flight.call_back()
        return len(self._in_air)


class Flight(Generic[Value]):
    """One request in the air and how many callers wait for it."""

    __slots__ = ("called_back", "kept", "task", "waiting")

    def __init__(self, task: asyncio.Task[Entry[Value]]) -> None:
        self.task = task
        self.waiting = 1
        self.kept = False
        self.called_back = False

    def __repr__(self) -> str:
        state = "landed" if self.task.done() else f"{self.waiting} waiting"
        return f"<Flight {state}>"

    @property
    def takes_passengers(self) -> bool:
        """Whether one more caller may wait for it: it is in the air and will arrive."""
        return not self.called_back and not self.task.done()

    def call_back(self) -> None:
        """Cancel the request; who asks from now on needs another flight."""
        self.called_back = True
        self.task.cancel()

    def leave(self, *, keep: bool = False) -> None:
        """One caller stops waiting; the last to leave cancels, unless one kept it going."""
        self.waiting -= 1
        self.kept = self.kept or keep
        if self.waiting <= 0 and not self.kept and not self.task.done():
            self.call_back()
