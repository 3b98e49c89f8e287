"""`connect`: from a configuration to a fleet.

May import `aio`, `faces`, `config`, `store` and below. The trap: a re-run cell connects
again; the fleet it left behind is closed, and its orders drained, before this one starts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from fleetkit.aio import AsyncFleet
from fleetkit.clock import Clock, SystemClock
from fleetkit.config import (
    BreakerPolicy,
    CachePolicy,
    PoolLimits,
    RecoveryPolicy,
    Source,
    Timeouts,
    TradingSettings,
    fit_open_files,
    read_config,
)
from fleetkit.fleet.faces import Fleet
from fleetkit.http import silence_secrets
from fleetkit.loop import LoopThread, loop_thread
from fleetkit.store import Store
from fleetkit.trading import Policies, TradingPolicy


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
    trading: TradingSettings | None = None,
    policies: Sequence[TradingPolicy | Mapping[str, object]] | Policies | None = None,
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
    timeouts, pool, cache, recovery, breaker, trading
        Records, instead of the file's tables of the same names.
    policies
        What may be traded, instead of all of the file's ``[[policies]]``.
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
        trading=trading,
        policies=policies,
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
        why = "A newer fleet over the same agents took its place."
        await older.aclose(1.0, why, drain_s=older.config.trading.drain_s)
    await target.desk.start()
