"""An agent's health as plain function calls: failures, recovery, back-off, breaker."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleetkit.config import BreakerPolicy, RecoveryPolicy
from fleetkit.health import (
    Answered,
    Command,
    Disconnected,
    Failed,
    Health,
    RecoveryEnded,
    RecoveryRefused,
    Succeeded,
    admits,
    shown_breaker,
    step,
)
from fleetkit.model import Breaker

RECOVERY = RecoveryPolicy()
BREAKER = BreakerPolicy()
QUICK = Failed(0.1)
SLOW = Failed(10.0)
UNREACHABLE = Failed(0.0, recoverable=False)


def after(*events, health=None, now=0.0, recovery=RECOVERY, breaker=BREAKER):
    """The state after some events, and every command they gave."""
    health, commands = health or Health(), []
    for event in events:
        health, command = step(health, event, now, recovery, breaker)
        commands.append(command)
    return health, [command for command in commands if command]


def test_two_failures_in_a_row_ask_for_one_recovery():
    """Not one failure, and not a second recovery while one is under way."""
    assert after(QUICK)[1] == []
    assert after(QUICK, QUICK)[1] == [Command.RECOVER]
    health, commands = after(QUICK, QUICK, QUICK, QUICK)
    assert commands == [Command.RECOVER]
    assert health.recovering


def test_a_success_between_failures_starts_the_count_anew():
    """In a row means in a row."""
    assert after(QUICK, Succeeded(), QUICK)[1] == []
    assert after(QUICK, Answered(), QUICK)[1] == []


def test_two_disconnected_answers_ask_for_one_recovery():
    """Answers to other questions in between do not connect the terminal."""
    assert after(Disconnected())[1] == []
    assert after(Disconnected(), Disconnected(), Disconnected())[1] == [Command.RECOVER]
    assert after(Disconnected(), Answered(), Disconnected())[1] == [Command.RECOVER]
    assert after(Disconnected(), Succeeded(), Disconnected())[1] == []
    assert after(Disconnected(), QUICK, Disconnected())[1] == []


def test_an_unreachable_agent_is_not_recovered():
    """A reconnect could not reach it either."""
    assert after(*[UNREACHABLE] * 10)[1] == []


def test_recovery_can_be_switched_off():
    """Nothing is ever commanded then."""
    off = RecoveryPolicy(enabled=False)
    assert after(*[QUICK] * 5, *[Disconnected()] * 5, recovery=off)[1] == []


def test_a_failed_recovery_doubles_the_wait_up_to_its_ceiling():
    """60, 120, 240 … 1,800 seconds until the next one."""
    health, now, waits = Health(), 0.0, []
    for _ in range(8):
        health, commands = after(QUICK, QUICK, health=health, now=now)
        assert commands == [Command.RECOVER]
        # The reconnect itself is answered, and the account fails again.
        health, commands = after(Answered(), QUICK, RecoveryEnded(False), health=health, now=now)
        assert commands == []
        waits.append(health.recover_not_before - now)
        assert after(QUICK, QUICK, health=health, now=health.recover_not_before - 1)[1] == []
        now = health.recover_not_before
    assert waits == [60, 120, 240, 480, 960, 1800, 1800, 1800]
    assert health.recoveries == 8


def test_a_healthy_account_forgives_failed_recoveries():
    """The next outage starts with the short wait again."""
    failed, _ = after(QUICK, QUICK, RecoveryEnded(False), RecoveryEnded(False))
    assert failed.recoveries_failed == 2
    assert after(Answered(), health=failed)[0].recoveries_failed == 2
    assert after(Succeeded(), health=failed)[0].recoveries_failed == 0
    recovered, _ = after(Succeeded(), RecoveryEnded(True), health=failed, now=5.0)
    assert (recovered.recoveries_failed, recovered.recover_not_before) == (0, 65.0)


def test_a_recovery_the_budget_refused_waits_without_counting():
    """It was none."""
    health, _ = after(QUICK, QUICK, RecoveryRefused(), now=10.0)
    assert (health.recovering, health.recoveries) == (False, 0)
    assert after(QUICK, health=health, now=69.9)[1] == []
    assert after(QUICK, health=health, now=70.0)[1] == [Command.RECOVER]


def test_slow_failures_open_the_breaker_and_quick_ones_do_not():
    """Asking costs nothing where the answer comes at once."""
    assert after(*[QUICK] * 20)[0].breaker is Breaker.CLOSED
    assert after(SLOW, SLOW)[0].breaker is Breaker.CLOSED
    opened, _ = after(SLOW, SLOW, SLOW, now=100.0)
    assert opened.breaker is Breaker.OPEN
    assert not admits(opened, 114.9)
    assert admits(opened, 115.0)


def test_an_open_breaker_lets_one_try_through_when_it_is_due():
    """Half open is shown; a success closes it, a failure opens it for twice as long."""
    opened, _ = after(SLOW, SLOW, SLOW)
    assert shown_breaker(opened, 14.0) is Breaker.OPEN
    assert shown_breaker(opened, 15.0) is Breaker.HALF_OPEN
    for answer in (Succeeded(), Answered(), Disconnected()):
        closed, _ = after(answer, health=opened, now=15.0)
        assert shown_breaker(closed, 15.0) is Breaker.CLOSED
        assert closed.times_opened == 0
    health, now, waits = opened, 15.0, []
    for _ in range(5):
        health, _ = after(QUICK, health=health, now=now)
        waits.append(health.open_until - now)
        now = health.open_until
    assert waits == [30, 60, 120, 120, 120]


EVENTS = st.one_of(
    st.builds(Failed, st.sampled_from((0.0, 10.0)), st.booleans()),
    st.builds(RecoveryEnded, st.booleans()),
    st.sampled_from((Succeeded(), Answered(), Disconnected(), RecoveryRefused())),
)


@given(st.lists(st.tuples(EVENTS, st.floats(0, 100)), max_size=60))
def test_whatever_happens_the_state_stays_sane(history):
    """One recovery at a time, ceilings hold, and a success always closes everything."""
    health, now = Health(), 0.0
    for event, later in history:
        now += later
        was_recovering = health.recovering
        health, command = step(health, event, now, RECOVERY, BREAKER)
        if command is Command.RECOVER:
            assert (was_recovering, health.recovering) == (False, True)
        assert health.open_until <= now + BREAKER.open_max_s
        assert health.recover_not_before <= now + RECOVERY.backoff_max_s
        if isinstance(event, Succeeded):
            assert admits(health, now)
            assert (health.failures, health.disconnects) == (0, 0)


def test_an_answer_ends_the_doubt_while_a_recovery_runs():
    """What was seen connected is asked again, though its reconnect is not over."""
    health, commands = after(Disconnected(), Disconnected())
    assert (commands, health.in_doubt) == ([Command.RECOVER], True)
    assert after(Answered(), health=health)[0].in_doubt
    well = after(Succeeded(), health=health)[0]
    assert (well.recovering, well.in_doubt) == (True, False)
    assert not after(RecoveryEnded(False), health=health)[0].in_doubt


def test_timeouts_open_the_breaker_however_short_the_deadline():
    """Somebody waited: that is what the breaker is for."""
    events = [Failed(0.2, True, True)] * BREAKER.failures
    assert after(*events)[0].breaker is Breaker.OPEN
