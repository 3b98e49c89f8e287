"""An agent's health as a state machine: failures, recovery, circuit breaker.

Why: deciding is separate from doing, so every path is a plain function call in a
test. May import `config` and `model`. Times are the Clock's elapsed seconds.
The trap: only failures that cost waiting open the breaker. An agent that refuses
at once costs nothing to ask again, and asking again is how its return is noticed.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from fleetkit.config import BreakerPolicy, RecoveryPolicy
from fleetkit.model import Breaker

SLOW_S = 1.0  # a failure that took this long kept somebody waiting


class Succeeded(msgspec.Struct, frozen=True):
    """The agent gave its account, and its terminal is connected."""


class Answered(msgspec.Struct, frozen=True):
    """The agent answered something else, a refusal perhaps: it is alive.

    That says nothing of its terminal: neither disconnected answers nor failed
    recoveries are forgiven.
    """


class Failed(msgspec.Struct, frozen=True):
    """The agent did not answer, or with an error."""

    took_s: float
    recoverable: bool = True  # False where a reconnect could not help: unreachable, refused
    timed_out: bool = False  # somebody waited, however short the deadline was


class Disconnected(msgspec.Struct, frozen=True):
    """The agent answered that its terminal has no connection (T1)."""


class RecoveryRefused(msgspec.Struct, frozen=True):
    """The fleet's budget of reconnects is used up for now."""


class RecoveryEnded(msgspec.Struct, frozen=True):
    """The reconnect and its one retry are over."""

    succeeded: bool


Event = Succeeded | Answered | Failed | Disconnected | RecoveryRefused | RecoveryEnded


class Command(StrEnum):
    """What the shell must do."""

    RECOVER = "recover"


class Health(msgspec.Struct, frozen=True):
    """Everything remembered of one agent's behaviour.

    ``failures`` counts failures in a row and ``disconnects`` disconnected answers
    in a row; either reaching the policy's number asks for a recovery.
    """

    failures: int = 0
    disconnects: int = 0
    slow_failures: int = 0
    breaker: Breaker = Breaker.CLOSED
    open_until: float = 0.0
    times_opened: int = 0
    recovering: bool = False
    in_doubt: bool = False  # while recovering, until an answer shows the terminal connected
    recoveries: int = 0
    recoveries_failed: int = 0
    recover_not_before: float = 0.0


def admits(health: Health, now: float) -> bool:
    """Whether a call may go out: the breaker is closed, or it is time to try one."""
    return health.breaker is not Breaker.OPEN or now >= health.open_until


def step(
    health: Health, event: Event, now: float, recovery: RecoveryPolicy, breaker: BreakerPolicy
) -> tuple[Health, Command | None]:
    """Return the next state and what to do about it."""
    match event:
        case Succeeded():
            well = _alive(health)
            return _replace(well, disconnects=0, recoveries_failed=0, in_doubt=False), None
        case Answered():
            return _alive(health), None
        case Failed(took_s, recoverable, timed_out):
            failed = _opened(health, timed_out or took_s >= SLOW_S, now, breaker)
            in_a_row = failed.failures if recoverable else 0
            return _maybe_recover(failed, in_a_row, now, recovery)
        case Disconnected():
            answered = _replace(_alive(health), disconnects=health.disconnects + 1)
            return _maybe_recover(answered, answered.disconnects, now, recovery)
        case RecoveryRefused():
            later = now + recovery.backoff_s
            refused = _replace(health, recovering=False, in_doubt=False, recover_not_before=later)
            return refused, None
        case RecoveryEnded(succeeded):
            return _after_recovery(health, succeeded, now, recovery), None


def _replace(health: Health, **changes: object) -> Health:
    return msgspec.structs.replace(health, **changes)


def _alive(health: Health) -> Health:
    return _replace(
        health, failures=0, slow_failures=0, breaker=Breaker.CLOSED, open_until=0.0, times_opened=0
    )


def _opened(health: Health, was_slow: bool, now: float, policy: BreakerPolicy) -> Health:
    """Count a failure; enough slow ones in a row, or one while half open, open the breaker."""
    slow = health.slow_failures + was_slow
    failed = _replace(health, failures=health.failures + 1, slow_failures=slow, disconnects=0)
    tried_again = health.breaker is Breaker.OPEN
    if slow < policy.failures and not tried_again:
        return failed
    open_s = min(policy.open_s * 2**health.times_opened, policy.open_max_s)
    return _replace(
        failed,
        breaker=Breaker.OPEN,
        open_until=now + open_s,
        times_opened=health.times_opened + 1,
    )


def _maybe_recover(
    health: Health, in_a_row: int, now: float, policy: RecoveryPolicy
) -> tuple[Health, Command | None]:
    due = (
        policy.enabled
        and in_a_row >= policy.failures
        and not health.recovering
        and now >= health.recover_not_before
    )
    if not due:
        return health, None
    return _replace(health, recovering=True, in_doubt=True), Command.RECOVER


def _after_recovery(health: Health, succeeded: bool, now: float, policy: RecoveryPolicy) -> Health:
    failed = 0 if succeeded else health.recoveries_failed + 1
    wait_s = min(policy.backoff_s * 2 ** max(failed - 1, 0), policy.backoff_max_s)
    return _replace(
        health,
        recovering=False,
        in_doubt=False,
        recoveries=health.recoveries + 1,
        recoveries_failed=failed,
        recover_not_before=now + wait_s,
    )


def shown_breaker(health: Health, now: float) -> Breaker:
    """The breaker as a person should see it: half open once a try is due."""
    if health.breaker is Breaker.OPEN and now >= health.open_until:
        return Breaker.HALF_OPEN
    return health.breaker
