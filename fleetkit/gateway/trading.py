"""One agent's lane, held for an order: the reads around it and the call itself.

Why: what was open before an order must be seen in the same hold of the lane as its
send, or another order of this process could come in between. May import `http`,
`link`, `identity`, `capabilities` and below. The trap: nothing here may use a cache's
flight; one that waits for the lane would wait for whoever holds it, for ever.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from fleetkit import contract, health
from fleetkit.clock import Clock
from fleetkit.config import FleetConfig
from fleetkit.contract import Call, PositionWire, TradeHistoryWire
from fleetkit.errors import AgentOffline, AgentTimeout, TerminalDisconnected, WrongAccount
from fleetkit.gateway.adopt import adopt_account
from fleetkit.gateway.capabilities import Advertised
from fleetkit.gateway.identity import Identity
from fleetkit.gateway.link import Link
from fleetkit.http import Exchange, RawReply, look_up, trade
from fleetkit.model import AccountReading, Capabilities, Position
from fleetkit.trading import add_call


class Listed(msgspec.Struct, frozen=True):
    """Open positions as one reply had them, and whose it says they are."""

    account: int
    positions: tuple[Position, ...]


class Hold:
    """What may be asked of an agent while its lane is held.

    Attributes
    ----------
    timings : dict of str to float
        Milliseconds of each call that was made, by the contract's name; the same call
        made again is added.
    """

    def __init__(
        self,
        link: Link,
        *,
        identity: Identity,
        advertised: Advertised,
        config: FleetConfig,
        clock: Clock,
        adopt: Callable[[list[PositionWire], int], tuple[Position, ...]],
    ) -> None:
        self.timings: dict[str, float] = {}
        self._link = link
        self._identity = identity
        self._advertised = advertised
        self._timeouts = config.timeouts
        self._clock = clock
        self._adopt = adopt

    def __repr__(self) -> str:
        return f"<Hold of {self._link.name!r}, calls {', '.join(self.timings) or 'none'}>"

    async def capabilities(self) -> Capabilities:
        """What the process that the next call reaches can do, asked where that is not sure."""
        started = self._clock.elapsed()
        asked = not (self._advertised.known is not None and self._advertised.is_confirmed)
        try:
            return await self._advertised.confirmed(in_turn=True)
        finally:
            if asked:
                self._took(contract.HEALTH.name, started)

    async def account(self) -> AccountReading:
        """The account now; raises `WrongAccount`, `TerminalDisconnected` and any `AgentError`."""
        wire = self._identity.own(await self._ask(contract.ACCOUNTS))
        reading = adopt_account(wire)
        if not reading.connected:
            message = f"{self._link.name} answers, but its terminal is not connected to the broker."
            raise TerminalDisconnected(message, agent=self._link.name, account=self._link.account)
        await self._identity.check(reading.account)
        return reading

    async def positions(self) -> Listed:
        """The open positions as the agent lists them; an empty list is no evidence (T2)."""
        wire = await self._ask(contract.POSITIONS)
        self._check_number(wire.account_number)
        return Listed(wire.account_number, self._adopt(wire.positions, wire.account_number))

    async def history(self, query: dict[str, str]) -> TradeHistoryWire:
        """The closed trades of a window, as the wire has them."""
        deadline_s = self._timeouts.history_deadline_s
        wire: TradeHistoryWire = await self._ask(
            contract.TRADE_HISTORY, query=query, deadline_s=deadline_s
        )
        self._check_number(wire.account_number)
        return wire

    async def order_status(self, order_id: str) -> RawReply:
        """What the agent's own log says of an order, its 404 included."""
        started = self._clock.elapsed()
        deadline_s = self._timeouts.read_deadline_s
        try:
            return await look_up(
                self._link.http, contract.ORDER_STATUS, order_id, deadline_s=deadline_s
            )
        finally:
            self._took(contract.ORDER_STATUS.name, started)

    async def trade(
        self,
        call: Call[Any],
        body: bytes,
        *,
        order_id: str | None,
        may_send: Callable[[], Awaitable[str | None]],
    ) -> Exchange:
        """Send a trade call, once; see `fleetkit.http.trade`."""
        exchange = await trade(
            self._link.http,
            call,
            body,
            order_id=order_id,
            deadline_s=self._timeouts.trade_deadline_s,
            read_deadline_s=self._timeouts.read_deadline_s,
            may_send=may_send,
            clock=self._clock,
        )
        if exchange.sent:
            add_call(self.timings, call.name, exchange.latency_s * 1000)
        self._note(exchange)
        return exchange

    def _note(self, exchange: Exchange) -> None:
        """Let the agent's health know how it went."""
        if exchange.reply is not None:
            self._link.note(health.Answered())
        elif exchange.error is not None:
            timed_out = isinstance(exchange.error, AgentTimeout)
            recoverable = not isinstance(exchange.error, AgentOffline)
            self._link.note(health.Failed(exchange.latency_s, recoverable, timed_out))
            self._link.last_error = str(exchange.error)

    def _check_number(self, number: int) -> None:
        """Take nothing that is another account's; 0 is nobody's and proves nothing (T1)."""
        bound = self._identity.account
        if number in (0, bound):
            return
        message = (
            f"{self._link.name} answered for account {number} but is bound to {bound}; nothing "
            "of it was used."
        )
        raise WrongAccount(message, agent=self._link.name, account=bound)

    async def _ask(self, call: Call[Any], **more: Any) -> Any:
        started = self._clock.elapsed()
        try:
            return await self._link.ask(call, in_turn=True, **more)
        finally:
            self._took(call.name, started)

    def _took(self, name: str, started: float) -> None:
        took_ms = (self._clock.elapsed() - started) * 1000
        add_call(self.timings, name, took_ms)
