"""Reading positions, trades and deals of many accounts, and saying what is missing.

May import `gateway`, `cache`, `frames` and below. The trap: an account that
failed is either missing or stale, and always named; it is never simply absent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from fleetkit.aio.fanout import wait_for
from fleetkit.aio.rows import nameless
from fleetkit.cache import AccountCache, Entry, Flight
from fleetkit.clock import Clock
from fleetkit.errors import AgentError
from fleetkit.frames import DealsPart, PositionsPart, TradesPart
from fleetkit.gateway import DealsValue, Gateway, PositionsValue, TradesValue, outcome
from fleetkit.model import Source

Value = TypeVar("Value")


class Found(msgspec.Struct, Generic[Value], frozen=True):
    """One account's value and where it comes from."""

    gateway: Gateway
    account: int
    entry: Entry[Value]
    source: Source


class Collected(msgspec.Struct, Generic[Value], frozen=True):
    """What could be had, and a reason for each account (or nameless agent) that could not."""

    found: list[Found[Value]]
    reasons: dict[int | str, str]


async def collect(
    gateways: Collection[Gateway],
    cache: AccountCache[str, Value],
    read: Callable[[Gateway], Flight[Value]],
    suffices: Callable[[Value], bool],
    *,
    refresh: bool,
) -> Collected[Value]:
    """Take what is fresh from the cache, ask for the rest, wait for all of it."""
    fresh: dict[str, Entry[Value]] = {}
    flights: dict[str, Flight[Value]] = {}
    failures: dict[str, AgentError] = {}
    for gateway in gateways:
        entry = None if refresh else cache.fresh(gateway.name)
        if entry is not None and suffices(entry.value):
            fresh[gateway.name] = entry
            continue
        refusal = gateway.link.refusal()
        if refusal is None:
            flights[gateway.name] = read(gateway)
        else:
            failures[gateway.name] = refusal
    await wait_for(flights.values())
    live: dict[str, Entry[Value]] = {}
    for name, flight in flights.items():
        try:
            live[name] = outcome(flight, name)
        except AgentError as error:
            failures[name] = error
    return _gathered(gateways, cache, fresh, live, failures)


def _gathered(
    gateways: Collection[Gateway],
    cache: AccountCache[str, Value],
    fresh: dict[str, Entry[Value]],
    live: dict[str, Entry[Value]],
    failures: dict[str, AgentError],
) -> Collected[Value]:
    found: list[Found[Value]] = []
    reasons: dict[int | str, str] = {}
    for gateway in gateways:
        name, account = gateway.name, gateway.account
        if name in failures:
            reasons[name if account is None else account] = str(failures[name])
        if account is None:
            reasons.setdefault(name, nameless(name))
            continue
        if name in live:
            found.append(Found(gateway, account, live[name], Source.LIVE))
        elif name in fresh:
            found.append(Found(gateway, account, fresh[name], Source.CACHE))
        elif (old := cache.last_good(name)) is not None:
            cache.stale_hits += 1
            found.append(Found(gateway, account, old, Source.STALE))
    return Collected(found, reasons)


def positions_parts(collected: Collected[PositionsValue], clock: Clock) -> list[PositionsPart]:
    """The parts of a positions frame."""
    now = clock.elapsed()
    return [
        PositionsPart(
            account=found.account,
            rows=found.entry.value.positions,
            as_of=found.entry.as_of,
            age_s=max(now - found.entry.stamp, 0.0),
            source=found.source,
        )
        for found in collected.found
    ]


def trades_parts(
    collected: Collected[TradesValue], since: datetime, clock: Clock
) -> list[TradesPart]:
    """The parts of a trades frame, each cut to the span that was asked for."""
    now = clock.elapsed()
    return [
        TradesPart(
            account=found.account,
            block=found.entry.value.block.since(since),
            as_of=found.entry.as_of,
            age_s=max(now - found.entry.stamp, 0.0),
            source=found.source,
        )
        for found in collected.found
    ]


def deals_parts(collected: Collected[DealsValue], since: datetime, clock: Clock) -> list[DealsPart]:
    """The parts of a deals frame, each cut to the span that was asked for."""
    now = clock.elapsed()
    return [
        DealsPart(
            account=found.account,
            block=found.entry.value.block.since(since),
            as_of=found.entry.as_of,
            age_s=max(now - found.entry.stamp, 0.0),
            source=found.source,
        )
        for found in collected.found
    ]
