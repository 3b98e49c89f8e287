"""What is known of accounts, orders and trading right now, without asking any agent.

Why: a panel shows what the events of a cell's call have changed, and never fetches twice.
May import what `core` imports below itself. The trap: none of this is a reading. Whether a
figure is still fresh is asked of the cache each time, and counts no hit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import datetime

import msgspec

from fleetkit import store
from fleetkit.aio.rows import account_row, nameless, residual_of
from fleetkit.aio.state import FleetState
from fleetkit.desk import journal
from fleetkit.frames import TradesPart
from fleetkit.gateway import Failure
from fleetkit.model import Account, AccountStatus, Position, Source
from fleetkit.store import Arming, Halt
from fleetkit.trading import OrderLine

NOT_READ = "Not read yet."


class Standing(msgspec.Struct, frozen=True):
    """Whether orders may add exposure: the live arming and the halt that stands."""

    arming: Arming | None = None
    halt: Halt | None = None


class SeenPositions(msgspec.Struct, frozen=True):
    """An account's positions as they were seen last, and the Clock's moment of that."""

    positions: tuple[Position, ...]
    born: float
    is_fresh: bool


def account_seen(fleet: FleetState, agent: str) -> Account | None:
    """An account as it is known; ``None`` while the agent has not said whose it is.

    ``source`` is live while the figures are fresh, stale after that, none before there
    were any.
    """
    gateway = fleet.gateways[agent]
    account = gateway.account
    if account is None:
        return None
    cache = fleet.caches.accounts
    entry, failure = cache.last_good(agent), gateway.failure
    if entry is None:
        failure = failure or Failure(AccountStatus.ERROR, NOT_READ)
    is_live = failure is None and cache.is_fresh(agent)
    residual = None if entry is None else residual_of(entry, fleet.caches.trades, agent)
    return account_row(
        gateway,
        account,
        entry,
        Source.LIVE if is_live else Source.STALE,
        failure,
        fleet.label_of(account),
        fleet.clock.elapsed(),
        residual,
    )


def reason_without_account(fleet: FleetState, agent: str) -> str:
    """Why an agent has no account yet, in a sentence."""
    gateway = fleet.gateways[agent]
    if gateway.failure is not None:
        return gateway.failure.sentence
    return NOT_READ if gateway.link.last_ok is None else nameless(agent)


def positions_seen(fleet: FleetState, agent: str) -> SeenPositions | None:
    """The positions of an agent's account; ``None`` before they were ever read."""
    entry = fleet.caches.positions.last_good(agent)
    if entry is None:
        return None
    is_fresh = fleet.caches.positions.is_fresh(agent)
    return SeenPositions(entry.value.positions, entry.stamp, is_fresh)


async def standing(fleet: FleetState) -> Standing:
    """Arming and halt of all kernels on this store."""
    now_s = fleet.clock.now().timestamp()

    def work(connection: sqlite3.Connection) -> Standing:
        return Standing(store.live(connection, now_s), store.halted(connection))

    return await fleet.store.orders.run(work)


async def journal_lines(
    fleet: FleetState, *, since_s: float, accounts: Iterable[int] | None = None
) -> list[OrderLine]:
    """The journal's orders since a moment, and all that are still open, oldest first."""
    recent = await fleet.desk.rows(since_s=since_s, accounts=accounts, open_only=False)
    still = await fleet.desk.rows(since_s=None, accounts=accounts, open_only=True)
    rows = {row.terms.order_id: row for row in [*still, *recent]}
    lines = [journal.line_of(row) for row in rows.values()]
    return sorted(lines, key=lambda line: line.created_at)


class SeenTrades(msgspec.Struct, frozen=True):
    """One account's trades as they were read last: whole from `since` on, at the Clock's `born`."""

    part: TradesPart
    since: datetime
    born: float


def trades_seen(fleet: FleetState, agents: Iterable[str]) -> list[SeenTrades]:
    """The trades at hand of some agents; one whose trades were never read is not among them."""
    now, found = fleet.clock.elapsed(), []
    cache = fleet.caches.trades
    for agent in agents:
        account, entry = fleet.gateways[agent].account, cache.last_good(agent)
        if account is None or entry is None:
            continue
        part = TradesPart(
            account=account,
            block=entry.value.block,
            as_of=entry.as_of,
            age_s=max(now - entry.stamp, 0.0),
            source=Source.CACHE if cache.is_fresh(agent) else Source.STALE,
        )
        found.append(SeenTrades(part, entry.value.since, entry.stamp))
    return found
