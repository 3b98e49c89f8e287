"""One question to one agent, and everything that follows from how it was answered.

Why: decoding, status, latency, health and recovery are the same for every kind of
reading. May import `http`, `health`, `cache`, `store` and below. The trap: an
answer with an HTTP error in it is still an answer; only what shows the agent or
its terminal in trouble counts against its health.
"""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from fleetkit import contract, events, health
from fleetkit.cache import AccountCache
from fleetkit.clock import Clock
from fleetkit.config import AgentConfig, FleetConfig
from fleetkit.contract import Call
from fleetkit.errors import (
    AgentBusy,
    AgentCancelled,
    AgentError,
    AgentOffline,
    AgentRefused,
    AgentTimeout,
    BreakerOpen,
    ContractError,
    StoreError,
)
from fleetkit.frames import FrameError
from fleetkit.http import AgentHttp, Reply
from fleetkit.model import AgentStatus
from fleetkit.store import Store, claim_recovery


class Link:
    """Asks, and keeps the agent's health.

    Parameters
    ----------
    retry
        Reads the account again after a recovery; raises `AgentError` if that fails.
    """

    def __init__(
        self,
        agent: AgentConfig,
        *,
        config: FleetConfig,
        http: AgentHttp,
        statuses: AccountCache[str, AgentStatus],
        store: Store,
        bus: events.EventBus,
        clock: Clock,
        retry: Callable[[], Awaitable[object]],
    ) -> None:
        self.agent = agent
        self.name = agent.name
        self.http = http
        self.account = agent.account  # the gateway keeps it current
        self.health = health.Health()
        self.status = AgentStatus.UNKNOWN
        self.last_error: str | None = None
        self.last_ok: datetime | None = None
        self.last_connection: int | None = None  # which one the last answer came over
        self.open_orders = 0  # of this process, in flight or unknown
        self.is_traded: Callable[[], Awaitable[bool]] | None = None  # by any process
        self._last_date: str | None = None
        self._config = config
        self._statuses = statuses
        self._store = store
        self._bus = bus
        self._clock = clock
        self._retry = retry
        self._chores: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Link {self.name!r} {self.status}, breaker {self.health.breaker}>"

    @property
    def clock_skew_s(self) -> float | None:
        """The agent machine's clock minus ours, from its last Date header."""
        if self._last_date is None or self.last_ok is None:
            return None
        return _skew_s(self._last_date, self.last_ok)

    def refusal(self) -> AgentError | None:
        """Why the agent must not be asked just now, if so: report instead of waiting."""
        now = self._clock.elapsed()
        if self.health.in_doubt:
            message = f"{self.name}'s terminal is being reconnected; last: {self.last_error}"
        elif not health.admits(self.health, now):
            rest_s = self.health.open_until - now
            message = (
                f"{self.name} is left alone for another {rest_s:.0f} s after "
                f"{self.health.failures} failures in a row; last: {self.last_error} "
                "Use fleet.refresh(account) to try at once."
            )
        else:
            return None
        return BreakerOpen(message, agent=self.name, account=self.account)

    async def ask(
        self,
        call: Call[Any],
        *,
        query: dict[str, str] | None = None,
        item: str | None = None,
        deadline_s: float | None = None,
        decode: Callable[[bytes], Any] | None = None,
        in_turn: bool = False,
    ) -> Any:
        """Make a call and decode its answer, into the call's wire struct unless told otherwise.

        ``item`` is what the braces of the path stand for. ``in_turn`` is for whoever
        holds the agent's lane.
        """
        started = self._clock.elapsed()
        if self._bus.is_watched:
            self._bus.publish(events.Refreshing(self.name, self.account, call.name))
        try:
            reply = await self.http.call(
                call,
                query=query,
                item=item,
                deadline_s=deadline_s or self._config.timeouts.read_deadline_s,
                in_turn=in_turn,
            )
            decoded = self._decode(call, reply, decode or call.decode)
        except RecursionError:
            # Of any decoder, that of an error's body, too: a body can be as deep as it likes.
            deep = self.contract_error("nested too deeply", "$", call)
            self._note_failure(deep, self._clock.elapsed() - started, call)
            raise deep from None
        except AgentError as error:
            self._note_failure(error, self._clock.elapsed() - started, call)
            raise
        self._note_answer(reply, call)
        return decoded

    def _decode(self, call: Call[Any], reply: Reply, decode: Callable[[bytes], Any]) -> Any:
        try:
            return decode(reply.body.removeprefix(codecs.BOM_UTF8))
        except FrameError as error:
            raise self.contract_error(str(error), error.json_path, call) from None
        except msgspec.ValidationError as error:
            text, _, path = str(error).partition(" - at ")
            raise self.contract_error(text, path.strip("`") or "$", call) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            what = "an HTML page" if reply.body.lstrip()[:1] == b"<" else str(error)
            raise self.contract_error(f"expected JSON, got {what}", "$", call) from None

    def contract_error(self, text: str, path: str, call: Call[Any]) -> ContractError:
        """The error for an answer of the wrong shape."""
        message = f"{self.name} answered {call.path} with something unexpected: {text} at {path}."
        return ContractError(message, agent=self.name, json_path=path, account=self.account)

    def note(self, event: health.Event) -> None:
        """Tell the state machine, and do what it says."""
        self.health, command = health.step(
            self.health,
            event,
            self._clock.elapsed(),
            self._config.recovery,
            self._config.breaker,
        )
        if command is health.Command.RECOVER:
            # A reconnect in the middle of an order would make its fate harder to find out.
            if self.open_orders:
                self.note(health.RecoveryRefused())
            else:
                self.start_chore(self._recover())

    def start_chore(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something in the background that nobody waits for; it ends with the link."""
        chore = asyncio.get_running_loop().create_task(work)
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)

    def _note_answer(self, reply: Reply, call: Call[Any]) -> None:
        self.last_ok = self._clock.now()
        self.last_connection = reply.connection
        self._set_status(AgentStatus.ONLINE)
        self._last_date = reply.date
        if call is not contract.ACCOUNTS:  # that one counts once its terminal turned out connected
            self.note(health.Answered())
        if self._bus.is_watched:
            latency_ms = reply.latency_s * 1000
            self._bus.publish(events.Refreshed(self.name, self.account, call.name, latency_ms))

    def _note_failure(self, error: AgentError, took_s: float, call: Call[Any]) -> None:
        self.last_error = str(error)
        if isinstance(error, (AgentBusy, AgentCancelled)):
            pass  # our own doing; says nothing of the agent
        elif _is_answer(error):
            self._set_status(AgentStatus.ONLINE)
            self.note(health.Answered())
        else:
            self._set_status(_agent_status(error))
            recoverable = not isinstance(error, AgentOffline) and call is not contract.REFRESH
            timed_out = isinstance(error, AgentTimeout)
            self.note(health.Failed(took_s, recoverable, timed_out))
        if self._bus.is_watched:
            self._bus.publish(events.RefreshFailed(self.name, self.account, call.name, str(error)))

    def _set_status(self, status: AgentStatus) -> None:
        self.status = status
        self._statuses.put(self.name, status, self._statuses.generation(self.name))

    async def reconnect(self) -> None:
        """Make the terminal reconnect; takes up to a minute."""
        await self.ask(contract.REFRESH, deadline_s=self._config.timeouts.refresh_deadline_s)

    async def _recover(self) -> None:
        """Reconnect the terminal, pause, try once; nobody waits for it."""
        if not await self._may_recover():
            self.note(health.RecoveryRefused())
            return
        self._bus.publish(events.RecoveryStarted(self.name, self.account))
        succeeded = False
        try:
            await self.reconnect()
            await self._clock.sleep(self._config.recovery.pause_s)
            await self._retry()
            succeeded = True
        except AgentError as error:
            self.last_error = str(error)
        finally:
            self.note(health.RecoveryEnded(succeeded))
        self._bus.publish(events.RecoveryEnded(self.name, self.account, succeeded))

    async def _may_recover(self) -> bool:
        """Claim one reconnect of the budget that all kernels share; none while one trades."""
        if self.is_traded is not None and await self.is_traded():
            return False
        policy = self._config.recovery
        now_s = self._clock.now().timestamp()
        try:
            return await self._store.run(
                lambda connection: claim_recovery(
                    connection, self.agent.url, now_s, policy.budget, policy.budget_window_s
                )
            )
        except StoreError as error:
            self.last_error = str(error)
            return False

    async def aclose(self) -> None:
        """Stop what runs in the background and close the connections."""
        chores = tuple(self._chores)
        for chore in chores:
            chore.cancel()
        await asyncio.gather(*chores, return_exceptions=True)
        await self.http.aclose()


def _agent_status(error: AgentError) -> AgentStatus:
    if isinstance(error, AgentOffline):
        return AgentStatus.OFFLINE
    if isinstance(error, AgentTimeout):
        return AgentStatus.TIMEOUT
    return AgentStatus.ERROR


def _is_answer(error: AgentError) -> bool:
    """Whether a working agent said no: an unknown symbol, a route it is too old for."""
    return isinstance(error, AgentRefused) and error.status_code in (400, 404)


def _skew_s(date: str, now: datetime) -> float | None:
    """The agent machine's clock minus ours; the Date header has whole seconds."""
    try:
        skew = (parsedate_to_datetime(date) - now).total_seconds()
    except (TypeError, ValueError):
        return None
    return 0.0 if -2.0 <= skew <= 1.0 else skew + 0.5
