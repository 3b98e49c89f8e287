"""Trade calls to one agent: each is sent at most once.

Why: an order that is sent twice is money, and so is one that was sent and called "not
sent". May import what `client` may. The trap: a kept connection may be dead without
anybody having said so, and a new one takes its time. So a trade goes over a connection
that answered a moment ago, in the same hold of the lane, and whether it still may go
is asked when nothing is left to wait for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any, Final

import httpcore
import msgspec

from fleetkit import contract
from fleetkit.clock import Clock
from fleetkit.contract import Call
from fleetkit.errors import AgentBusy, AgentError, AgentRefused, AgentTimeout
from fleetkit.http.client import AgentHttp, RawReply
from fleetkit.http.failures import FOREIGN, in_our_words, masked_body
from fleetkit.http.lane import Priority
from fleetkit.http.pool import PooledConnection
from fleetkit.http.turns import Line

FRESH_S: Final = 1.0  # a connection that answered this recently is known to live (T12)


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one trade call on the wire.

    Attributes
    ----------
    sent : bool
        Whether a byte of it may have left this machine.
    reply : RawReply or None
        The answer, whatever its status; ``None`` where there is none.
    error : AgentError or None
        Why there is none.
    withheld : str or None
        Why it was kept back in the last moment; nothing was sent then.
    latency_s : float
        From the last look at the lease to the answer or the failure.
    """

    sent: bool
    reply: RawReply | None = None
    error: AgentError | None = None
    withheld: str | None = None
    latency_s: float = 0.0


@asynccontextmanager
async def hold_lane(http: AgentHttp, *, within_s: float) -> AsyncIterator[None]:
    """Hold an agent's lane, ahead of all reads that wait.

    Raises
    ------
    AgentBusy
        The turn did not come in time.
    """
    try:
        async with asyncio.timeout(within_s):
            await http.wait_for_turn(Priority.TRADE)
    except TimeoutError:
        message = f"{http.agent.name} was busy with other calls for {within_s:g} s."
        raise AgentBusy(message, agent=http.agent.name, account=http.account) from None
    try:
        yield
    finally:
        http.lane.release()


async def trade(
    http: AgentHttp,
    call: Call[Any],
    body: bytes,
    *,
    order_id: str | None,
    deadline_s: float,
    read_deadline_s: float,
    may_send: Callable[[], Awaitable[str | None]],
    clock: Clock,
) -> Exchange:
    """Send a trade call once; the caller holds the lane.

    Parameters
    ----------
    body
        The JSON body, byte for byte what was written down.
    order_id
        Sent as ``Idempotency-Key`` too, where the agent understands it.
    deadline_s
        From the first byte to the end of the answer.
    may_send
        Asked right before the first byte: ``None``, or why it may not go.
    """
    try:
        pooled = await _living_connection(http, clock, read_deadline_s)
    except AgentError as error:
        return Exchange(sent=False, error=error)
    permit = _Permit(may_send, pooled.line)
    if pooled.line.stream is None:
        pooled.retired = True  # nobody else may use it while the permit is asked for
        return await _send_once(http, call, body, pooled, order_id, deadline_s, clock, permit)
    try:
        await permit.ask()
    finally:
        if permit.withheld is not None:
            await http.pool.give_back(pooled, healthy=True)
    if permit.withheld is not None:
        return Exchange(sent=False, withheld=permit.withheld)
    return await _send_once(http, call, body, pooled, order_id, deadline_s, clock, permit)


async def look_up(http: AgentHttp, call: Call[Any], item: str, *, deadline_s: float) -> RawReply:
    """Ask for something whose 404 is an answer too; the caller holds the lane.

    Raises
    ------
    AgentError
        There was no answer.
    """
    request = httpcore.Request(call.method, http.target(call, item=item), headers=http.header_pairs)
    try:
        async with asyncio.timeout(deadline_s):
            return await http.receive(await http.pool.take(), request)
    except TimeoutError:
        message = f"{http.agent.name} did not answer {call.path} within {deadline_s:g} s."
        error: AgentError = AgentTimeout(message, agent=http.agent.name, account=http.account)
    except FOREIGN as foreign:
        error = in_our_words(foreign, call, http.agent, http.account)
    raise error


async def _living_connection(
    http: AgentHttp, clock: Clock, read_deadline_s: float
) -> PooledConnection:
    """A connection that answered a moment ago; asked for a sign of life where there is none."""
    pooled = http.pool.take_answered(clock.elapsed() - FRESH_S)
    if pooled is not None:
        return pooled
    with suppress(AgentRefused):  # an old agent's 404 is a sign of life as well
        await http.call(contract.HEALTH, deadline_s=read_deadline_s, in_turn=True)
    # Without pooling nothing is kept: a new connection then, which connects before it asks.
    return http.pool.take_answered(clock.elapsed() - FRESH_S) or await http.pool.take()


class _Withheld(Exception):
    """The order may not go any more."""


class _Permit:
    """Asks whether an order may go, when the connection that it goes over stands.

    Attributes
    ----------
    withheld : str or None
        Why it may not, also before it was asked; ``None`` once it may.
    """

    def __init__(self, may_send: Callable[[], Awaitable[str | None]], line: Line) -> None:
        self.withheld: str | None = "the order was called back"
        self._may_send = may_send
        self._line = line
        self._bytes_before: int | None = None

    def __repr__(self) -> str:
        return f"<_Permit {self.withheld or 'given'}>"

    async def ask(self) -> None:
        """Ask, and count from here on what leaves."""
        self.withheld = await self._may_send() or None
        self._bytes_before = self._line.bytes_sent

    async def follow(self, event: str, _info: object) -> None:
        """Ask where httpcore is about to write the request, on a connection it just made."""
        if event.endswith(".send_request_headers.started"):
            await self.ask()
            if self.withheld is not None:
                raise _Withheld

    @property
    def was_used(self) -> bool:
        """Whether a byte may have left; what is not counted may have."""
        if self.withheld is not None:
            return False
        before, after = self._bytes_before, self._line.bytes_sent
        return after is None or before is None or after > before


async def _send_once(
    http: AgentHttp,
    call: Call[Any],
    body: bytes,
    pooled: PooledConnection,
    order_id: str | None,
    deadline_s: float,
    clock: Clock,
    permit: _Permit,
) -> Exchange:
    request = http.trade_request(call, body, order_id)
    if permit.withheld is not None:
        request.extensions = {**request.extensions, "trace": permit.follow}
    started = clock.elapsed()
    failure: AgentError
    try:
        async with asyncio.timeout(deadline_s):
            reply = await http.receive(pooled, request)
    except _Withheld:
        return Exchange(sent=False, withheld=permit.withheld)
    except TimeoutError:
        message = f"{http.agent.name} did not answer {call.path} within {deadline_s:g} s."
        failure = AgentTimeout(message, agent=http.agent.name, account=http.account)
    except FOREIGN as foreign:
        failure = in_our_words(foreign, call, http.agent, http.account)
    else:
        if reply.status != HTTPStatus.OK:  # error pages like to quote a request's headers
            body = masked_body(reply.body, http.agent)
            reply = msgspec.structs.replace(reply, body=body)
        return Exchange(sent=True, reply=reply, latency_s=reply.latency_s)
    latency_s = clock.elapsed() - started
    return Exchange(sent=permit.was_used, error=failure, latency_s=latency_s)
