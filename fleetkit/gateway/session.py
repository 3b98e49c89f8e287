"""The session with one agent: read, check identity, judge health, remember.

See the package's docstring. The trap: a method that talks to the agent runs
inside a flight, which several callers share and any of them may leave.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from math import ceil
from sqlite3 import Connection
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from fleetkit import contract, events, health
from fleetkit.cache import AccountCache, Flight
from fleetkit.clock import Clock
from fleetkit.config import AgentConfig, FleetConfig
from fleetkit.errors import (
    AgentError,
    StoreError,
    SuspectReply,
    TerminalDisconnected,
    WrongAccount,
)
from fleetkit.frames import TradeBlock, decode_history
from fleetkit.gateway.adopt import adopt_account, adopt_position, adopt_quote
from fleetkit.gateway.bindings import Bindings, Verdict
from fleetkit.gateway.landing import landed, status_of
from fleetkit.gateway.link import Link
from fleetkit.gateway.suspicion import Belief, EmptyGuard
from fleetkit.http import AgentHttp
from fleetkit.model import (
    AccountReading,
    AccountStatus,
    AgentInfo,
    AgentStatus,
    Position,
    Quote,
)
from fleetkit.store import Store, drop_binding, save_binding

Decoded = TypeVar("Decoded")
CALL_TAKES: Final = timedelta(minutes=1)  # "30 days" is not 31 a moment later
LOOK_BACK_DAYS: Final = 35  # history is windowed by entry, we promise exits (T8)


class TradesValue(msgspec.Struct, frozen=True):
    """Closed trades of one account, whole from `since` on.

    The newest answer reached back to `asked_since` only; what lies before it was
    read earlier and may have got company (T8).
    """

    block: TradeBlock
    since: datetime
    asked_since: datetime


class Failure(msgspec.Struct, frozen=True, gc=False):
    """Why the last reading of an account failed."""

    status: AccountStatus
    sentence: str


class Caches(msgspec.Struct, frozen=True):
    """The fleet's caches, each keyed by agent: one agent is one account."""

    accounts: AccountCache[str, AccountReading]
    positions: AccountCache[str, tuple[Position, ...]]
    trades: AccountCache[str, TradesValue]
    agents: AccountCache[str, AgentStatus]


class Gateway:
    """Everything fleetkit knows of, and does with, one agent."""

    def __init__(
        self,
        agent: AgentConfig,
        *,
        config: FleetConfig,
        http: AgentHttp,
        caches: Caches,
        bindings: Bindings,
        store: Store,
        bus: events.EventBus,
        clock: Clock,
    ) -> None:
        self.agent = agent
        self.name = agent.name
        self.failure: Failure | None = None
        self.zone = ZoneInfo(agent.time_zone or "UTC")
        self.link = Link(
            agent,
            config=config,
            http=http,
            statuses=caches.agents,
            store=store,
            bus=bus,
            clock=clock,
            retry=self._read_account_again,
        )
        self._config = config
        self._caches = caches
        self._bindings = bindings
        self._store = store
        self._clock = clock
        self._guard = EmptyGuard()

    def __repr__(self) -> str:
        return f"<Gateway {self.name!r} account {self.account}, {self.link.status}>"

    @property
    def account(self) -> int | None:
        """The account this agent is bound to, once known."""
        return self._bindings.account_of(self.name)

    def info(self) -> AgentInfo:
        """What `Fleet.agents` shows; asks nobody."""
        link, http = self.link, self.link.http
        latencies = sorted(http.latencies_s)
        return AgentInfo(
            agent=self.name,
            url=self.agent.url,
            account=self.account,
            binding=self._bindings.state(self.name),
            status=link.status,
            http_version=http.http_version,
            breaker=health.shown_breaker(link.health, self._clock.elapsed()),
            failures=link.health.failures,
            recoveries=link.health.recoveries,
            latency_p50_ms=_percentile_ms(latencies, 0.50),
            latency_p95_ms=_percentile_ms(latencies, 0.95),
            requests=http.requests,
            connections=http.connections_made,
            clock_skew_s=link.clock_skew_s,
            last_ok=link.last_ok,
            last_error=link.last_error,
        )

    # Readings: each returns a flight to wait for.

    def read_account(self) -> Flight[AccountReading]:
        """Ask for the account."""
        return self._caches.accounts.join(self.name, self._account)

    def read_positions(self) -> Flight[tuple[Position, ...]]:
        """Ask for the open positions."""
        return self._caches.positions.join(self.name, self._positions)

    def read_trades(self, since: datetime) -> Flight[TradesValue]:
        """Ask for the trades closed since a moment."""
        query = self._history_query(since)
        variant = tuple(query.items())
        return self._caches.trades.join(self.name, lambda: self._trades(since, query), variant)

    async def quote(self, symbol: str) -> Quote:
        """Ask for bid and ask of one symbol."""
        refusal = self.link.refusal()
        if refusal is not None:
            raise refusal
        account = await self._known_account()
        wire = await self.link.ask(contract.QUOTE, symbol=symbol)
        return adopt_quote(wire, account, self.zone)

    async def check_health(self) -> contract.HealthWire:
        """Ask how the agent is."""
        wire: contract.HealthWire = await self.link.ask(contract.HEALTH)
        return wire

    async def _account(self) -> AccountReading:
        try:
            wires = await self.link.ask(contract.ACCOUNTS)
            reading = adopt_account(self._own(wires))
            self._check_connected(reading)
            await self._check_identity(reading.account)
        except AgentError as error:
            self.failure = Failure(status_of(error), str(error))
            self.link.last_error = str(error)
            raise
        self.failure = None
        self.link.note(health.Succeeded())
        self._guard.read_balance(reading.balance, reading.has_open_position)
        return reading

    async def _positions(self) -> tuple[Position, ...]:
        account = await self._known_account()
        wire = await self.link.ask(contract.POSITIONS)
        if not wire.positions and wire.account_number in (0, account):
            await self._judge_empty(wire.account_number == 0)
            return ()
        await self._check_identity(wire.account_number)
        positions = self._adopt_positions(wire.positions, account)
        self._guard.saw(position.ticket for position in positions)
        if self._guard.lacks_balance:
            # Asked for now: once the list is empty, it is too late for a balance from before.
            with suppress(AgentError):
                await landed(self.read_account(), self.name)
        return positions

    def _adopt_positions(
        self, wires: list[contract.PositionWire], account: int
    ) -> tuple[Position, ...]:
        positions = []
        for index, wire in enumerate(wires):
            try:
                positions.append(adopt_position(wire, account, self.zone))
            except ValueError:
                path = f"$.positions[{index}].type"
                raise self.link.contract_error(
                    f"expected BUY or SELL, got {wire.type[:40]!r}", path, contract.POSITIONS
                ) from None
        return tuple(positions)

    async def _judge_empty(self, account_is_zero: bool) -> None:
        """Believe an empty list or raise `SuspectReply` (T2)."""
        why = "answered with no positions for account 0" if account_is_zero else ""
        if not account_is_zero:
            belief = self._guard.judge(self._clock.elapsed())
            if belief is Belief.BELIEVE and not await self._contradicted():
                self._guard.saw_flat()
                return
            if belief is Belief.ASK_BALANCE and await self._explained():
                self._guard.saw_flat()
                return
            why = f"shows no positions where {len(self._guard.tickets) or 'some'} were open"
        message = (
            f"{self.name} {why}; a failing terminal looks the same, so the old rows are kept "
            "until a second empty answer and a changed balance agree."
        )
        self.link.last_error = message
        raise SuspectReply(message, agent=self.name, account=self.account)

    async def _contradicted(self) -> bool:
        """Whether the account itself says that a position is open."""
        entry = self._caches.accounts.last_good(self.name)
        if entry is None or not entry.value.has_open_position:
            return False
        reading = await self._read_account_again()
        return bool(reading.has_open_position)

    async def _explained(self) -> bool:
        """Whether the balance moved, or the history has every vanished ticket."""
        reading = await self._read_account_again()
        if reading.has_open_position:
            return False
        if self._guard.explains(reading.balance):
            return True
        since = self._clock.now() - timedelta(days=contract.DEFAULT_DAYS)
        wire = await self.link.ask(contract.TRADE_HISTORY, query=self._history_query(since))
        closed = {trade.position_id for trade in wire.trades}
        return bool(wire.account_number == self.account and self._guard.tickets <= closed)

    async def _read_account_again(self) -> AccountReading:
        self._caches.accounts.invalidate(self.name)
        return (await landed(self.read_account(), self.name)).value

    def _history_query(self, since: datetime) -> dict[str, str]:
        """Ask further back than wanted: trades are windowed by their entry (T8, T9, T10)."""
        wanted = self._clock.now() - since - CALL_TAKES
        days = ceil(wanted / timedelta(days=1)) + LOOK_BACK_DAYS
        if days <= contract.MAX_DAYS:
            return {"days": str(max(days, 1))}
        start = since - timedelta(days=LOOK_BACK_DAYS)
        local = start.astimezone(self.zone).replace(tzinfo=None)
        return {"from_date": local.replace(hour=0, minute=0, second=0, microsecond=0).isoformat()}

    async def _trades(self, since: datetime, query: dict[str, str]) -> TradesValue:
        account = await self._known_account()
        wire, block = await self.link.ask(
            contract.TRADE_HISTORY,
            query=query,
            deadline_s=self._config.timeouts.history_deadline_s,
            decode=lambda body: decode_history(body, self.zone),
        )
        if wire.account_number != account:
            if wire.account_number == 0:
                self._suspect_history("answered with a trade history for account 0")
            await self._check_identity(wire.account_number)
        older = self._caches.trades.last_good(self.name)
        if older is None:
            return TradesValue(block, since, since)
        if not len(block) and len(older.value.block.since(since)):
            self._suspect_history("shows an empty trade history where it had trades before")
        return TradesValue(block.merge(older.value.block), min(since, older.value.since), since)

    def _suspect_history(self, what: str) -> None:
        message = (
            f"{self.name} {what}; a failing terminal looks the same, so the old rows are kept."
        )
        self.link.last_error = message
        raise SuspectReply(message, agent=self.name, account=self.account)

    def _own(self, wires: list[contract.AccountWire]) -> contract.AccountWire:
        """Of what the agent answered, the account that is its own."""
        bound = self.account
        for wire in wires:
            if len(wires) == 1 or wire.account_number == bound:
                return wire
        raise self.link.contract_error(
            f"{len(wires)} accounts, none of which is known to be its own "
            "(set `account` for this agent in the configuration)",
            "$",
            contract.ACCOUNTS,
        )

    def _check_connected(self, reading: AccountReading) -> None:
        if reading.connected:
            return
        self.link.note(health.Disconnected())
        message = f"{self.name} answers, but its terminal is not connected to the broker."
        raise TerminalDisconnected(message, agent=self.name, account=self.account)

    async def _check_identity(self, account: int) -> None:
        """Raise unless `account` is this agent's own; learn it where it is new (T3)."""
        before = self._bindings.learned(self.name)
        verdict = self._bindings.observe(self.name, account)
        learned = self._bindings.learned(self.name)
        if verdict is Verdict.OWN:
            self.link.account = self.link.http.account = account
            if learned is not None and learned != before:
                await self._persist(learned)
            return
        if verdict is Verdict.CONFLICT:
            await self._void(self._bindings.claimants(account))
            message = (
                f"{self.name} answered for account {account}, which another agent answers for "
                "too; set `account` for both in the configuration."
            )
        else:
            message = (
                f"{self.name} answered for account {account} but is bound to {self.account}; "
                "nothing of it was kept. If the new number is right, set `account` for this "
                "agent in the configuration."
            )
        self.link.last_error = message
        raise WrongAccount(message, agent=self.name, account=self.account)

    async def _persist(self, learned: tuple[int, int]) -> None:
        """Remember a learned binding; reading goes on without when the store fails."""
        name, url = self.name, self.agent.url
        try:
            await self._store.run(lambda connection: save_binding(connection, name, url, *learned))
        except StoreError as error:
            self.link.last_error = str(error)

    async def _void(self, claimants: frozenset[str]) -> None:
        """Forget what was read of agents that claim one number, here and in the store."""
        for name in claimants:
            for cache in (self._caches.accounts, self._caches.positions, self._caches.trades):
                cache.forget(name)
        agents = [agent for agent in self._config.agents if agent.name in claimants]

        def drop(connection: Connection) -> None:
            for agent in agents:
                drop_binding(connection, agent.name, agent.url)

        try:
            await self._store.run(drop)
        except StoreError as error:
            self.link.last_error = str(error)

    async def _known_account(self) -> int:
        """The bound account, asked for when it was never learned."""
        if self.account is None:
            await landed(self.read_account(), self.name)
        account = self.account
        if account is None:
            message = f"{self.name} has not said which account it serves."
            raise WrongAccount(message, agent=self.name)
        return account

    async def aclose(self) -> None:
        """Stop what runs in the background and close the connections."""
        await self.link.aclose()


def _percentile_ms(ordered: list[float], share: float) -> float | None:
    if not ordered:
        return None
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] * 1000
