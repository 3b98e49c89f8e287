"""What a fleet holds: gateways, caches, labels, bindings; made once, closed once.

May import `gateway` and below. The trap: everything here belongs to the loop
thread, except `snapshot`, `facts` and `closed`, which are replaced as a whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from sqlite3 import Connection
from typing import Any, Protocol

import msgspec

from fleetkit import events, frames
from fleetkit.aio.announcer import Announcer
from fleetkit.aio.rows import Snapshot
from fleetkit.cache import AccountCache
from fleetkit.clock import Clock
from fleetkit.config import AgentConfig, FleetConfig
from fleetkit.desk import OrderDesk
from fleetkit.errors import FleetClosed, StoreError, UnknownAccount
from fleetkit.gateway import (
    Bindings,
    Caches,
    DealsValue,
    Gateway,
    PositionsValue,
    TradesValue,
    landed,
)
from fleetkit.http import AgentHttp, TlsContexts
from fleetkit.model import AccountReading, AgentStatus, CacheStats, Label
from fleetkit.store import Store, all_bindings, all_labels, disarm, set_phase, set_vs_group

JUMP_S = 30.0  # a clock that jumped this far: the machine slept, nothing is fresh


NO_LABEL = Label()


class Facts(msgspec.Struct, frozen=True):
    """What a fleet's repr says; replaced as a whole after each reading."""

    agents: int
    accounts: int
    connected: int
    last_full_refresh: datetime | None


class Attached(Protocol):
    """Something of an upper layer that lives as long as its fleet."""

    def fleet_closed(self, why: str) -> None:
        """The fleet is closing; called on the loop thread."""


class FleetState:
    """The parts of one fleet and how to find an account's gateway among them."""

    def __init__(self, config: FleetConfig, store: Store, clock: Clock) -> None:
        self.config = config
        self.store = store
        self.clock = clock
        self.bus = events.EventBus()
        self.closed: str | None = None  # why, once it is
        self.last_full_refresh: datetime | None = None
        self.snapshot: Snapshot | None = None
        self.store_stamp: object = store.change_stamp()
        self.known_labels: dict[int, Label] = store.run_blocking(all_labels)
        self.bindings = _bindings_of(config, store)
        self.caches = _caches_of(config, clock)
        contexts = TlsContexts(config.source)
        self.gateways = {agent.name: self._gateway_to(agent, contexts) for agent in config.agents}
        self.facts = Facts(len(config.agents), 0, 0, None)
        self.desk = OrderDesk(
            config,
            store,
            clock,
            self.gateways,
            forget=self.forget_freshness,
            refetch=self.refetch,
            label_of=self.label_of,
            told=Announcer(self.bus),
            notice_jump=self.notice_jump,
        )
        for gateway in self.gateways.values():
            gateway.link.is_traded = partial(self.desk.is_trading, gateway)
        self.armings: set[str] = set()  # that this fleet made and has to end
        self.attached: dict[str, Attached] = {}  # what upper layers keep here, one of a name

    def _gateway_to(self, agent: AgentConfig, contexts: TlsContexts) -> Gateway:
        config = self.config
        http = AgentHttp(
            agent,
            timeouts=config.timeouts,
            limits=config.pool,
            contexts=contexts,
            clock=self.clock,
        )
        return Gateway(
            agent,
            config=config,
            http=http,
            caches=self.caches,
            bindings=self.bindings,
            store=self.store,
            bus=self.bus,
            clock=self.clock,
        )

    def check_open(self) -> None:
        """Refuse once the fleet is closed.

        Raises
        ------
        FleetClosed
            With the reason.
        """
        if self.closed is not None:
            raise FleetClosed(self.closed)

    async def gateways_for(self, accounts: Sequence[int] | None) -> list[Gateway]:
        """The gateways of some accounts, or of all.

        Agents whose account is not known yet are asked when a number is not found.

        Raises
        ------
        UnknownAccount
            No agent of this fleet serves a number.
        """
        self.check_open()
        if accounts is None:
            return list(self.gateways.values())
        if any(self.bindings.agent_of(account) is None for account in accounts):
            await self._learn()
        return [self.gateways[self._agent_of(account)] for account in accounts]

    async def _learn(self) -> None:
        strangers = [
            gateway
            for gateway in self.gateways.values()
            if gateway.account is None and gateway.link.refusal() is None
        ]
        readings = (landed(gateway.read_account(), gateway.name) for gateway in strangers)
        await asyncio.gather(*readings, return_exceptions=True)

    def _agent_of(self, account: int) -> str:
        agent = self.bindings.agent_of(account)
        if agent is not None:
            return agent
        unknown = [g.name for g in self.gateways.values() if g.account is None]
        hint = ""
        if unknown:
            hint = f" {len(unknown)} agents have not said whose they are ({unknown[0]}, …)."
        msg = (
            f"No agent of this fleet serves account {account}.{hint} "
            "fleet.agents() lists every agent with its account."
        )
        raise UnknownAccount(msg, account=account)

    def forget_freshness(self, gateway: Gateway) -> None:
        """Make everything read of one account stale, and what is on its way."""
        for cache in self._figures():
            cache.invalidate(gateway.name)

    def refetch(self, gateway: Gateway) -> None:
        """Read one account again; nobody waits for it."""
        gateway.read_account().leave(keep=True)

    def forget_everything(self) -> None:
        """Drop all that was read."""
        for cache in self._figures():
            cache.clear()
        self.caches.agents.clear()

    def _figures(self) -> tuple[AccountCache[str, Any], ...]:
        return self.caches.of_figures

    def notice_jump(self) -> None:
        """Mark everything stale after the machine slept or its clock was set."""
        if abs(self.clock.take_jump()) > JUMP_S:
            self.desk.office.jumps += 1
            for cache in self._figures():
                cache.mark_all_stale()

    def label_of(self, account: int) -> Label:
        """The account's label, or the default one."""
        return self.known_labels.get(account, NO_LABEL)

    async def notice_labels(self) -> None:
        """Read the labels again if any kernel wrote to the store."""
        if self.store.change_stamp() != self.store_stamp:
            await self.write_labels(lambda _: None)

    async def write_labels(self, write: Callable[[Connection], None]) -> None:
        """Write to the store and read all labels back, in one trip to its thread."""

        def work(connection: Connection) -> tuple[object, dict[int, Label]]:
            write(connection)
            # Taken before reading: what another kernel writes from here on is noticed.
            return self.store.change_stamp(), all_labels(connection)

        self.store_stamp, self.known_labels = await self.store.run(work)

    async def set_label(self, account: int, field: str, text: str) -> None:
        """Write one label of one account.

        Raises
        ------
        LabelError
            The text will not do, or the group is full.
        UnknownAccount
            Every agent has said whose it is, and none is this one's.
        """
        self.check_open()
        if self.bindings.agent_of(account) is None and all(
            gateway.account is not None for gateway in self.gateways.values()
        ):
            self._agent_of(account)
        setter = {"phase": set_phase, "vs_group": set_vs_group}[field]
        await self.write_labels(lambda connection: setter(connection, account, text))
        self.labels_changed([account])

    def labels_changed(self, accounts: Sequence[int]) -> None:
        """Show new labels in what is published, and tell who listens."""
        before = self.snapshot
        if before is not None and before.version == self.caches.accounts.version:
            labels = tuple(map(self.label_of, before.accounts))
            frame = frames.with_labels(before.frame, before.labels, labels)
            self.snapshot = before.relabelled(frame, labels, self.store_stamp)
        for account in accounts:
            self.bus.publish(events.LabelChanged(account))

    def cache_stats(self) -> CacheStats:
        """The account cache's counters."""
        cache = self.caches.accounts
        return CacheStats(
            accounts_cached=len(cache),
            agents_cached=len(self.caches.agents),
            last_full_refresh=self.last_full_refresh,
            ttl_s=cache.ttl_s,
            hits=cache.hits,
            misses=cache.misses,
            stale_hits=cache.stale_hits,
            flights_joined=cache.flights_joined,
            invalidations=cache.invalidations,
            evictions=cache.evictions,
        )

    def subscribe(self, handler: Callable[[events.Event], None]) -> Callable[[], None]:
        """Call `handler` on the loop thread for every event; returns the way to stop."""
        return self.bus.subscribe(handler)

    async def cancel_all(self) -> int:
        """Cancel every reading in flight; callers get what is known. Returns how many."""
        flights = sum(cache.cancel_flights() for cache in self._figures())
        # Quotes, the doctor and reconnects are calls without a flight.
        calls = sum(gateway.link.http.cancel() for gateway in self.gateways.values())
        return max(flights, calls)

    async def end_armings(self, arming_ids: Iterable[str]) -> None:
        """End armings that this fleet made; again does nothing."""
        now_s = self.clock.now().timestamp()
        for arming_id in tuple(arming_ids):
            await self.store.orders.run(partial(disarm, arming_id=arming_id, now_s=now_s))
            self.armings.discard(arming_id)

    def count_hits(self) -> None:
        """A whole `accounts` was answered from the snapshot."""
        self.caches.accounts.hits += len(self.gateways)

    async def close(self, timeout_s: float = 5.0) -> None:
        """Cancel what is in flight and close every connection; again does nothing."""
        await self.aclose(timeout_s)

    async def aclose(
        self,
        timeout_s: float = 5.0,
        why: str = "This fleet was closed.",
        *,
        drain_s: float | None = None,
    ) -> None:
        """Cancel reads, close every connection and the store; again does nothing.

        Orders in flight have ``drain_s`` of their own, `timeout_s` unless told, and never
        more than the configured one.
        """
        if self.closed is not None:
            return
        self.closed = f"{why} Connect again with fleetkit.connect(...)."
        self.snapshot = None
        for attached in tuple(self.attached.values()):
            attached.fleet_closed(self.closed)
        asked_s = timeout_s if drain_s is None else drain_s
        await self.desk.close(min(asked_s, self.config.trading.drain_s))
        with suppress(StoreError):  # one that cannot be ended runs out
            await self.end_armings(self.armings)
        await self.cancel_all()
        closing = [asyncio.ensure_future(g.aclose()) for g in self.gateways.values()]
        await asyncio.wait(closing, timeout=max(timeout_s, 0.05))
        for late in closing:
            late.cancel()
        self.store.close(timeout_s=max(timeout_s, 0.05))


def _bindings_of(config: FleetConfig, store: Store) -> Bindings:
    """Which account each agent is bound to, by config and by what was learned of that URL."""
    learned = store.run_blocking(all_bindings)
    return Bindings(
        config.agents,
        {
            agent.name: learned[agent.name, agent.url]
            for agent in config.agents
            if (agent.name, agent.url) in learned
        },
    )


def _caches_of(config: FleetConfig, clock: Clock) -> Caches:
    count, policy = len(config.agents), config.cache
    ttl_s = policy.cache_ttl_s
    positions_ttl_s = policy.positions_ttl_s if ttl_s else 0.0  # 0 switches all caching off
    trades_ttl_s = policy.trades_ttl_s if ttl_s else 0.0
    return Caches(
        accounts=AccountCache[str, AccountReading](count, ttl_s, clock),
        positions=AccountCache[str, PositionsValue](count, positions_ttl_s, clock),
        trades=AccountCache[str, TradesValue](count, trades_ttl_s, clock),
        deals=AccountCache[str, DealsValue](count, trades_ttl_s, clock),
        agents=AccountCache[str, AgentStatus](count, ttl_s, clock),
    )
