"""`Fleet` and `AioFleet`: two typed lists of names over `AsyncFleet`, and `connect`.

Why: reading the class is reading the API. May import `aio` and below. The trap:
nothing is implemented here; a method that does more than hand over to the loop
thread belongs in the core.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast

from fleetkit.aio import AsyncCache, AsyncFleet
from fleetkit.clock import Clock, SystemClock
from fleetkit.config import (
    BreakerPolicy,
    CachePolicy,
    PoolLimits,
    RecoveryPolicy,
    Source,
    Timeouts,
    fit_open_files,
    read_config,
)
from fleetkit.html import card_html, record_html
from fleetkit.http import silence_secrets
from fleetkit.loop import LoopThread, loop_thread
from fleetkit.progress import Tally, progress_bar
from fleetkit.store import Store

Given = ParamSpec("Given")
Result = TypeVar("Result")
Target = TypeVar("Target")
Method = Callable[Concatenate[Any, Given], Coroutine[Any, Any, Result]]
Shortcut = Callable[Concatenate[Any, Given], Result | None]


class _Face(Generic[Target]):
    """What both faces hold: the core object and the way to its thread."""

    def __init__(
        self,
        target: Target,
        loop: LoopThread,
        clock: Clock,
        progress: bool | None,
        fleet: Fleet | None = None,
    ) -> None:
        self._target = target
        self._loop = loop
        self._clock = clock
        self._progress = progress
        self._fleet = fleet  # kept: `connect(...).aio` must not close when only it is left


def blocking(
    method: Method[Given, Result], shortcut: Shortcut[Given, Result] | None = None
) -> Callable[Concatenate[Any, Given], Result]:
    """Make a core coroutine a plain call that waits.

    A `shortcut` may answer from what is published for every thread.
    """

    @wraps(method)
    def call(self: _Face[Any], *args: Given.args, **kwargs: Given.kwargs) -> Result:
        if shortcut is not None:
            self._loop.check()
            published = shortcut(self._target, *args, **kwargs)
            if published is not None:
                self._loop.post(self._target.count_hits)
                return published
        tally = Tally()
        bar = progress_bar(tally, self._progress, self._clock)
        try:
            return self._loop.blocking(
                lambda: method(self._target, *args, **kwargs), tally, bar.tick
            )
        finally:
            bar.close()

    return cast("Callable[Concatenate[Any, Given], Result]", call)


def awaiting(
    method: Method[Given, Result],
) -> Callable[Concatenate[Any, Given], Coroutine[Any, Any, Result]]:
    """Make a core coroutine awaitable on any asyncio loop."""

    @wraps(method)
    async def call(self: _Face[Any], *args: Given.args, **kwargs: Given.kwargs) -> Result:
        tally = Tally()
        bar = progress_bar(tally, self._progress, self._clock)
        try:
            return await self._loop.awaiting(
                lambda: method(self._target, *args, **kwargs), tally, bar.tick
            )
        finally:
            bar.close()

    return cast("Callable[Concatenate[Any, Given], Coroutine[Any, Any, Result]]", call)


class FleetCache(_Face[AsyncCache]):
    """`Fleet.cache`: statistics, invalidation and field updates."""

    stats = blocking(AsyncCache.stats)
    invalidate = blocking(AsyncCache.invalidate)
    update = blocking(AsyncCache.update)
    clear = blocking(AsyncCache.clear)

    def __repr__(self) -> str:
        return f"<FleetCache ttl {self._target.ttl_s:g} s; .stats() for figures>"

    def _repr_html_(self) -> str:
        return record_html(self.stats())


class AioFleetCache(_Face[AsyncCache]):
    """`AioFleet.cache`: the same, awaited."""

    stats = awaiting(AsyncCache.stats)
    invalidate = awaiting(AsyncCache.invalidate)
    update = awaiting(AsyncCache.update)
    clear = awaiting(AsyncCache.clear)

    def __repr__(self) -> str:
        return f"<AioFleetCache ttl {self._target.ttl_s:g} s; await .stats() for figures>"


class AioFleet(_Face[AsyncFleet]):
    """A fleet for async code: the calls of `Fleet`, awaited on any asyncio loop."""

    accounts = awaiting(AsyncFleet.accounts)
    account = awaiting(AsyncFleet.account)
    positions = awaiting(AsyncFleet.positions)
    trades = awaiting(AsyncFleet.trades)
    deals = awaiting(AsyncFleet.deals)
    agents = awaiting(AsyncFleet.agents)
    summary = awaiting(AsyncFleet.summary)
    quote = awaiting(AsyncFleet.quote)
    symbol = awaiting(AsyncFleet.symbol)
    refresh = awaiting(AsyncFleet.refresh)
    reconnect = awaiting(AsyncFleet.reconnect)
    doctor = awaiting(AsyncFleet.doctor)
    labels = awaiting(AsyncFleet.labels)
    set_phase = awaiting(AsyncFleet.set_phase)
    set_vs_group = awaiting(AsyncFleet.set_vs_group)
    load_labels = awaiting(AsyncFleet.load_labels)
    cancel_all = awaiting(AsyncFleet.cancel_all)
    close = awaiting(AsyncFleet.close)

    @property
    def cache(self) -> AioFleetCache:
        """The account cache."""
        return AioFleetCache(
            self._target.cache, self._loop, self._clock, self._progress, self._fleet
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<AioFleet {_described(self._target)}>"

    def _repr_html_(self) -> str:
        return _card("AioFleet", self._target)


class Fleet(_Face[AsyncFleet]):
    """A fleet of MetaTrader 5 accounts, each behind its agent.

    Made by `connect` or `demo`. The same call works in a cell, in a script, in a
    thread and in a widget callback; `aio` has every call for async code. Usable as a
    context manager.

    Attributes
    ----------
    aio : AioFleet
        The same calls, awaited.
    cache : FleetCache
        Statistics, invalidation, field updates.

    Examples
    --------
    >>> import fleetkit as fk
    >>> with fk.demo(accounts=3, seed=7) as fleet:
    ...     fleet.accounts()["status"].tolist()
    ['connected', 'connected', 'connected']
    """

    def __init__(self, target: AsyncFleet, loop: LoopThread, clock: Clock, progress: bool | None):
        super().__init__(target, loop, clock, progress)
        # A fleet nobody refers to any more closes its sockets.
        self._finalizer = weakref.finalize(self, _abandon, target, loop)
        self._finalizer.atexit = False

    accounts = blocking(AsyncFleet.accounts, AsyncFleet.published)
    account = blocking(AsyncFleet.account)
    positions = blocking(AsyncFleet.positions)
    trades = blocking(AsyncFleet.trades)
    deals = blocking(AsyncFleet.deals)
    agents = blocking(AsyncFleet.agents)
    summary = blocking(AsyncFleet.summary)
    quote = blocking(AsyncFleet.quote)
    symbol = blocking(AsyncFleet.symbol)
    refresh = blocking(AsyncFleet.refresh)
    reconnect = blocking(AsyncFleet.reconnect)
    doctor = blocking(AsyncFleet.doctor)
    labels = blocking(AsyncFleet.labels)
    set_phase = blocking(AsyncFleet.set_phase)
    set_vs_group = blocking(AsyncFleet.set_vs_group)
    load_labels = blocking(AsyncFleet.load_labels)
    cancel_all = blocking(AsyncFleet.cancel_all)

    def close(self, timeout_s: float = 5.0) -> None:
        """Cancel what is in flight and close every connection; again does nothing."""
        if self._loop.is_usable:
            self._loop.blocking(lambda: self._target.close(timeout_s))

    @property
    def aio(self) -> AioFleet:
        """The same calls for async code."""
        return AioFleet(self._target, self._loop, self._clock, self._progress, self)

    @property
    def cache(self) -> FleetCache:
        """The account cache."""
        return FleetCache(self._target.cache, self._loop, self._clock, self._progress, self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {_described(self._target)}>"

    def _repr_html_(self) -> str:
        return _card(type(self).__name__, self._target)


def _card(title: str, target: AsyncFleet) -> str:
    facts = target.facts
    refreshed = facts.last_full_refresh
    connected = f"{facts.connected} of {facts.accounts}" if facts.accounts else "not read yet"
    return card_html(
        title,
        [
            ("state", target.closed or "open"),
            ("agents", facts.agents),
            ("accounts connected", connected),
            ("last full refresh", "never" if refreshed is None else f"{refreshed:%F %T} UTC"),
            ("source", target.config.source),
        ],
    )


def _described(target: AsyncFleet) -> str:
    facts = target.facts
    if target.closed is not None:
        return f"closed, {facts.agents} agents"
    if facts.last_full_refresh is None and not facts.accounts:
        return f"{facts.agents} agents, not read yet"
    return f"{facts.agents} agents, {facts.connected} of {facts.accounts} accounts connected"


def _abandon(target: AsyncFleet, loop: LoopThread) -> None:
    if loop.is_usable and target.closed is None:
        loop.submit(lambda: target.close(1.0))


def connect(
    source: Source = None,
    *,
    home: str | os.PathLike[str] | None = None,
    pooling: bool | None = None,
    cache_ttl_s: float | None = None,
    progress: bool | None = None,
    timeouts: Timeouts | None = None,
    pool: PoolLimits | None = None,
    cache: CachePolicy | None = None,
    recovery: RecoveryPolicy | None = None,
    breaker: BreakerPolicy | None = None,
    clock: Clock | None = None,
) -> Fleet:
    """Connect to a fleet of agents. Makes no request yet.

    Parameters
    ----------
    source
        Path of a TOML file; a JSON list of ``{name, url}``, as a path or as text; a
        Python list of dicts; ``None`` for the environment variable
        ``FLEETKIT_AGENTS_JSON``.
    home
        Folder of the store (labels, learned bindings), instead of ``FLEETKIT_HOME``
        or the user's data folder.
    pooling
        ``False``: a new connection for each call.
    cache_ttl_s
        Seconds an account's figures are fresh (60); 0 switches caching off.
    progress
        ``False`` silences progress bars, ``True`` shows them anywhere.
    timeouts, pool, cache, recovery, breaker
        Policies, instead of the file's tables of the same names.
    clock
        Where time comes from; for tests.

    Returns
    -------
    Fleet
        An older fleet over the same agents is closed: a cell may be run again.

    Raises
    ------
    ConfigError
        With file, key, what was found and what is allowed.
    StoreError
        The store cannot be opened.

    Examples
    --------
    >>> import fleetkit as fk
    >>> fk.connect([{"name": "vps01-a1", "url": "http://127.0.0.1:8001"}])
    <Fleet 1 agents, not read yet>
    """
    return connect_as(
        Fleet,
        source,
        home=home,
        pooling=pooling,
        cache_ttl_s=cache_ttl_s,
        progress=progress,
        timeouts=timeouts,
        pool=pool,
        cache=cache,
        recovery=recovery,
        breaker=breaker,
        clock=clock,
    )


AnyFleet = TypeVar("AnyFleet", bound=Fleet)


def connect_as(
    kind: type[AnyFleet],
    source: Source,
    *,
    progress: bool | None = None,
    clock: Clock | None = None,
    **settings: Any,
) -> AnyFleet:
    """`connect`, for a kind of fleet that has more to it. ``settings`` are `read_config`'s."""
    silence_secrets()
    config = read_config(source, **settings)
    fit_open_files(len(config.agents), sum(agent.lanes for agent in config.agents))
    clock = clock or SystemClock()
    loop = loop_thread()
    store = Store(config.home)
    try:
        target = AsyncFleet(config, store, clock)
        loop.blocking(lambda: _take_place(target, loop))
    except BaseException:
        store.close()
        raise
    return kind(target, loop, clock, progress)


async def _take_place(target: AsyncFleet, loop: LoopThread) -> None:
    """Close the fleet over the same agents that a re-run cell left behind."""
    key = frozenset(agent.url for agent in target.config.agents)
    older = cast("AsyncFleet | None", loop.owners.get(key))
    loop.owners[key] = target
    if older is not None:
        await older.aclose(1.0, why="A newer fleet over the same agents took its place.")
