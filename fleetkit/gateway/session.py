"""The session with one agent: read, check identity, judge health, remember.

See the package's docstring. The trap: a method that talks to the agent runs
inside a flight, which several callers share and any of them may leave.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, tzinfo
from http import HTTPStatus
from zoneinfo import ZoneInfo

from fleetkit import contract, events, health
from fleetkit.cache import Flight
from fleetkit.clock import Clock
from fleetkit.config import AgentConfig, FleetConfig
from fleetkit.contract import Capability
from fleetkit.errors import (
    AgentError,
    AgentRefused,
    NotSupported,
    SuspectReply,
    TerminalDisconnected,
    WrongAccount,
)
from fleetkit.gateway.adopt import adopt_account, adopt_position, adopt_quote, adopt_symbol
from fleetkit.gateway.bindings import Bindings
from fleetkit.gateway.capabilities import Advertised
from fleetkit.gateway.identity import Identity
from fleetkit.gateway.landing import landed, status_of
from fleetkit.gateway.ledger import LedgerReader, whole_hour
from fleetkit.gateway.link import Link
from fleetkit.gateway.suspicion import Belief, EmptyGuard
from fleetkit.gateway.trading import Hold
from fleetkit.gateway.values import (
    Caches,
    DealsValue,
    Failure,
    PositionsValue,
    TradesValue,
    percentile_ms,
)
from fleetkit.http import AgentHttp, hold_lane
from fleetkit.model import (
    AccountReading,
    AccountStatus,
    AgentInfo,
    Capabilities,
    Position,
    Quote,
    Symbol,
)
from fleetkit.store import Store


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
        self._clock = clock
        self._guard = EmptyGuard()
        self._identity = Identity(
            self.link, config=config, bindings=bindings, caches=caches, store=store
        )
        self._advertised = Advertised(self.link, lambda: self.account)
        self._ledger = LedgerReader(
            self.link,
            identity=self._identity,
            advertised=self._advertised,
            caches=caches,
            clock=clock,
            zone=self.zone,
            known_account=self._known_account,
            deadline_s=config.timeouts.history_deadline_s,
        )

    def __repr__(self) -> str:
        return f"<Gateway {self.name!r} account {self.account}, {self.link.status}>"

    @property
    def account(self) -> int | None:
        """The account this agent is bound to, once known."""
        return self._identity.account

    @property
    def capabilities(self) -> Capabilities | None:
        """What the agent can do beyond the base layer; ``None`` before anything is known."""
        return self._advertised.known

    async def confirm_capabilities(self) -> Capabilities:
        """What the process that a call made now would reach can do.

        Asks unless it said so over the very connection that the call would go over.

        Raises
        ------
        WrongAccount
            It speaks for another account than this agent is bound to.
        AgentError
            It did not say.
        """
        return await self._advertised.confirmed()

    @property
    def sure_zone(self) -> tzinfo | None:
        """The zone of its naive times; ``None`` where it is only assumed, so proves nothing."""
        sure = self.agent.time_zone is not None or self._advertised.has(Capability.UTC_TIMES)
        return self.zone if sure else None

    @property
    def last_reading(self) -> AccountReading | None:
        """The account's last good figures, however old."""
        entry = self._caches.accounts.last_good(self.name)
        return None if entry is None else entry.value

    def position_seen(self, ticket: int) -> Position | None:
        """A position as it was seen last, if it was."""
        entry = self._caches.positions.last_good(self.name)
        rows = () if entry is None else entry.value.positions
        return next((each for each in rows if each.ticket == ticket), None)

    def note_closed(self, ticket: int) -> None:
        """Take note that an order closed a position, and that the agent says so."""
        self._guard.closed(ticket)

    @property
    def tickets_seen(self) -> frozenset[int]:
        """Tickets of the last positions that were read: none of them is a new order's."""
        entry = self._caches.positions.last_good(self.name)
        read = () if entry is None else entry.value.positions
        return self._guard.tickets | {position.ticket for position in read}

    @asynccontextmanager
    async def hold(self, within_s: float) -> AsyncIterator[Hold]:
        """Hold the agent's lane for an order, ahead of all reads that wait.

        Raises
        ------
        AgentBusy
            The turn did not come in time.
        """
        async with hold_lane(self.link.http, within_s=within_s):
            yield Hold(
                self.link,
                identity=self._identity,
                advertised=self._advertised,
                config=self._config,
                clock=self._clock,
                adopt=self._adopt_positions,
            )

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
            capabilities=None if self.capabilities is None else str(self.capabilities),
            http_version=http.http_version,
            breaker=health.shown_breaker(link.health, self._clock.elapsed()),
            failures=link.health.failures,
            recoveries=link.health.recoveries,
            latency_p50_ms=percentile_ms(latencies, 0.50),
            latency_p95_ms=percentile_ms(latencies, 0.95),
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

    def read_positions(self) -> Flight[PositionsValue]:
        """Ask for the open positions."""
        return self._caches.positions.join(self.name, self._positions)

    def read_trades(self, since: datetime) -> Flight[TradesValue]:
        """Ask for the trades closed since a moment."""
        query = self._ledger.trades_query(since)
        variant = tuple(query.items())
        return self._caches.trades.join(
            self.name, lambda: self._ledger.trades(since, query), variant
        )

    def read_deals(self, since: datetime) -> Flight[DealsValue]:
        """Ask for the deals since a moment."""
        since = whole_hour(since)
        return self._caches.deals.join(self.name, lambda: self._ledger.deals(since), since)

    async def quote(self, symbol: str) -> Quote:
        """Ask for bid and ask of one symbol."""
        refusal = self.link.refusal()
        if refusal is not None:
            raise refusal
        account = await self._known_account()
        wire = await self.link.ask(contract.QUOTE, item=symbol)
        return adopt_quote(wire, account, self.zone)

    async def symbol(self, symbol: str) -> Symbol:
        """Ask how one symbol is traded."""
        refusal = self.link.refusal()
        if refusal is not None:
            raise refusal
        account = await self._known_account()
        await self._advertised.require(Capability.SYMBOLS, "symbols need")
        try:
            wire = await self.link.ask(contract.SYMBOL, item=symbol)
        except NotSupported:
            self._advertised.roll_back()  # it had the route a moment ago
            raise
        return adopt_symbol(wire, account)

    async def check_health(self) -> contract.HealthWire:
        """Ask how the agent is, and take note of what it can do."""
        try:
            wire: contract.HealthWire = await self.link.ask(contract.HEALTH)
        except AgentRefused as refusal:
            if refusal.status_code == HTTPStatus.NOT_FOUND:
                self._advertised.roll_back()
            raise
        self._advertised.heard(wire)
        return wire

    async def _account(self) -> AccountReading:
        try:
            if self._advertised.contradiction is not None:
                await self._advertised.ask()  # until its two answers agree, neither is believed
            wire = self._identity.own(await self.link.ask(contract.ACCOUNTS))
            reading = adopt_account(wire)
            self._check_connected(reading)
            await self._identity.check(reading.account)
        except AgentError as error:
            self.failure = Failure(status_of(error), str(error))
            self.link.last_error = str(error)
            raise
        self.failure = None
        self.link.note(health.Succeeded())
        self._guard.read_balance(reading.balance, reading.has_open_position)
        if self._advertised.saw_account(wire):
            self.link.start_chore(self._follow_hint())
        return reading

    async def _follow_hint(self) -> None:
        """An account showed that its agent is extended: ask what it can do; nobody waits."""
        try:
            await self._advertised.ask()
        except WrongAccount as error:
            self.failure = Failure(AccountStatus.WRONG_ACCOUNT, str(error))
            self.link.last_error = str(error)
            for cache in self._caches.of_figures:
                cache.invalidate(self.name)
        except AgentError:
            self._advertised.hint_was_lost()

    async def _positions(self) -> PositionsValue:
        account = await self._known_account()
        wire = await self.link.ask(contract.POSITIONS)
        if not wire.positions and wire.account_number in (0, account):
            await self._judge_empty(wire.account_number == 0)
            return PositionsValue((), not self._advertised.has(Capability.UTC_TIMES))
        await self._identity.check(wire.account_number)
        positions = self._adopt_positions(wire.positions, account)
        self._guard.saw(position.ticket for position in positions)
        if self._guard.lacks_balance:
            # Asked for now: once the list is empty, it is too late for a balance from before.
            with suppress(AgentError):
                await landed(self.read_account(), self.name)
        times = [each.open_time for each in wire.positions if each.open_time is not None]
        return PositionsValue(positions, any(time.tzinfo is None for time in times))

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
        """Believe an empty list or raise `SuspectReply` (T2).

        An extended agent answers an error with an error: of the right account, over a
        connection over which it said what it is, its empty list is believed at once.
        """
        why = "answered with no positions for account 0" if account_is_zero else ""
        if not account_is_zero:
            if await self._advertised.vouches_for(self.link.last_connection):
                self._guard.saw_flat()
                return
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
        return self._guard.tickets <= await self._ledger.closed_positions()

    async def _read_account_again(self) -> AccountReading:
        self._caches.accounts.invalidate(self.name)
        return (await landed(self.read_account(), self.name)).value

    def _check_connected(self, reading: AccountReading) -> None:
        if reading.connected:
            return
        self.link.note(health.Disconnected())
        message = f"{self.name} answers, but its terminal is not connected to the broker."
        raise TerminalDisconnected(message, agent=self.name, account=self.account)

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
