"""Orders that are shown before they are sent: one deliberate confirmation, one sending."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetkit.panels.confirm_model import (
    BUSY,
    CONFIRM_S,
    DELIBERATE_S,
    EXPIRED,
    NOTHING,
    TOO_SOON,
    Answered,
    Asked,
    Confirmed,
    ConfirmState,
    Dismissed,
    Edited,
    Plan,
    PlanFailed,
    Planned,
    Send,
    Stage,
    Ticked,
    step,
)


def after(*events):
    """The state after some events, and all commands."""
    state, commands = ConfirmState(), []
    for event in events:
        state, new = step(state, event)
        commands += new
    return state, commands


def previewed(sendable=2, refused=0, at=10.0, fresh_s=CONFIRM_S):
    return Asked(9.0), Planned(1, sendable, refused, at, fresh_s)


def test_asked_reviewed_confirmed_answered():
    """The way it should go."""
    state, commands = after(*previewed(), Confirmed(12.0), Answered(1))
    assert state.stage is Stage.TOLD
    assert commands == [Plan(1), Send(1)]


def test_a_storm_of_confirmations_sends_once():
    """A double click, a key held down, two tabs."""
    _, commands = after(*previewed(), *(Confirmed(11.0 + n / 50) for n in range(50)), Answered(1),
                        *(Confirmed(13.0) for _ in range(50)))  # fmt: skip
    assert commands.count(Send(1)) == 1
    assert len(commands) == 2


@pytest.mark.parametrize("at", [10.0, 10.0 + DELIBERATE_S - 0.01])
def test_who_confirms_at_once_has_not_read_it(at):
    """The second click of a double one on "review" confirms nothing, and the preview stays."""
    state, commands = after(*previewed(), Confirmed(at))
    assert commands == [Plan(1)]
    assert (state.stage, state.said) == (Stage.PREVIEW, TOO_SOON)


def test_a_click_that_waited_behind_a_busy_cell_is_void():
    """It says so; nothing is sent until it is reviewed again."""
    state, commands = after(*previewed(), Confirmed(10.0 + CONFIRM_S))
    assert commands == [Plan(1)]
    assert (state.stage, state.said) == (Stage.IDLE, EXPIRED)


def test_a_plan_is_no_longer_good_than_it_is_fresh():
    """The shorter of the two bounds holds."""
    state, _ = after(*previewed(fresh_s=3.0), Ticked(12.9))
    assert state.stage is Stage.PREVIEW
    state, _ = after(*previewed(fresh_s=3.0), Ticked(13.0))
    assert state.stage is Stage.IDLE
    state, _ = after(*previewed(fresh_s=300.0))
    assert state.until == 10.0 + CONFIRM_S


def test_what_is_edited_is_not_what_was_shown():
    """An edit voids a preview, and a plan that is on its way."""
    _, commands = after(*previewed(), Edited(), Confirmed(12.0))
    assert commands == [Plan(1)]
    state, commands = after(Asked(9.0), Edited(), Planned(1, 2, 0, 10.0), Confirmed(12.0))
    assert (state.stage, commands) == (Stage.IDLE, [Plan(1)])


def test_only_the_last_review_counts():
    """A plan that comes late, of an earlier review, is not shown."""
    state, _ = after(Asked(9.0), Asked(9.5), Planned(1, 2, 0, 10.0))
    assert state.stage is Stage.PLANNING
    state, commands = after(Asked(9.0), Asked(9.5), Planned(2, 2, 0, 10.0), Confirmed(11.0))
    assert commands == [Plan(1), Plan(2), Send(2)]


def test_nothing_else_begins_while_orders_are_sent():
    """Asking again is refused with a sentence; editing and dismissing change nothing."""
    sending = (*previewed(), Confirmed(11.0))
    for event in (Asked(12.0), Confirmed(12.0)):
        state, commands = after(*sending, event)
        assert (state.stage, state.said, len(commands)) == (Stage.SENDING, BUSY, 2)
    for event in (Edited(), Dismissed(), Ticked(99.0), Answered(7), Planned(1, 5, 0, 12.0)):
        state, commands = after(*sending, event)
        assert (state.stage, len(commands)) == (Stage.SENDING, 2)


def test_what_would_all_be_refused_cannot_be_confirmed():
    """The preview stays to be read."""
    state, commands = after(*previewed(sendable=0, refused=3), Confirmed(12.0))
    assert (state.stage, state.said, commands) == (Stage.PREVIEW, NOTHING, [Plan(1)])


def test_a_plan_that_failed_is_said():
    """And one of an earlier review is not."""
    state, _ = after(Asked(9.0), PlanFailed(1, "No such symbol."))
    assert (state.stage, state.said) == (Stage.IDLE, "No such symbol.")
    state, _ = after(Asked(9.0), Asked(9.1), PlanFailed(1, "old"))
    assert (state.stage, state.said) == (Stage.PLANNING, None)


moments = st.floats(0.0, 40.0)
nonces = st.integers(0, 4)
events = st.one_of(
    st.builds(Asked, moments),
    st.builds(Planned, nonces, st.integers(0, 2), st.integers(0, 2), moments, st.floats(0, 20)),
    st.builds(PlanFailed, nonces, st.just("why")),
    st.builds(Edited),
    st.builds(Confirmed, moments),
    st.builds(Ticked, moments),
    st.builds(Answered, nonces),
    st.builds(Dismissed),
)


@given(st.lists(events, max_size=40))
def test_no_list_of_events_sends_a_review_twice(listed):
    """Each sending is of a review of its own that was asked for, planned, and not edited since."""
    state, sent, valid = ConfirmState(), set(), None
    for event in listed:
        before = state
        state, commands = step(state, event)
        if isinstance(event, Planned) and state.stage is Stage.PREVIEW != before.stage:
            valid = event.nonce
        if isinstance(event, (Edited, Dismissed)) and before.stage is not Stage.SENDING:
            valid = None
        for command in commands:
            if isinstance(command, Send):
                assert isinstance(event, Confirmed)
                assert command.nonce == valid
                assert command.nonce not in sent
                sent.add(command.nonce)
        assert state.nonce >= before.nonce
