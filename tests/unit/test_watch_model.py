"""Refreshing many accounts: who is read next, how many at once, and what is said of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleetkit.panels.watch_model import AUTO_LIMIT, EVERY, LIMIT, SLOT_S, STUCK_S, step, stuck
from fleetkit.panels.watch_records import (
    Asked,
    AutoSet,
    Began,
    Cancelled,
    Done,
    Failed,
    Figures,
    Known,
    Recall,
    Recalled,
    Refresh,
    Ticked,
    WatchState,
    Word,
)
from fleetkit.panels.watch_rows import auto_line, progress_line


def names(count):
    return tuple(f"vps{place:04}" for place in range(count))


def after(*events, state=None):
    """The state after some events, and all that was asked to be refreshed."""
    state, commands = state or WatchState(), []
    for event in events:
        state, new = step(state, event)
        commands += new
    return state, commands


def refreshed(commands):
    return [
        agent for command in commands if isinstance(command, Refresh) for agent in command.agents
    ]


def test_a_few_are_read_at_once():
    """Each is running, then done; the run is over when the last one is."""
    state, commands = after(Asked(names(3), 1.0))
    assert refreshed(commands) == list(names(3))
    assert {record.word for record in state.records.values()} == {Word.RUNNING}
    state, _ = after(*(Done(name, 1.5, 20.0, Figures(1.5)) for name in names(3)), state=state)
    assert state.run.is_over
    assert progress_line(state, 2.0)[0].text == "3 refreshed in 0.5 s"


def test_a_thousand_wait_for_their_turn():
    """No more than the limit in flight; each that ends lets the next one go."""
    state, commands = after(Asked(names(1000), 1.0))
    assert len(refreshed(commands)) == LIMIT
    state, commands = after(Done(refreshed(commands)[0], 1.1, 9.0), state=state)
    assert len(refreshed(commands)) == 1
    assert state.records[names(1000)[-1]].word is Word.QUEUED


def test_positions_come_first_then_the_stalest():
    """Whoever trades is read before whoever was read longest ago, or never."""
    figures = {
        "fresh": Figures(9.0, has_position=False),
        "old": Figures(1.0, has_position=False),
        "trades": Figures(9.5, has_position=True),
    }
    _, commands = after(Known(figures), Asked(("fresh", "old", "trades"), 10.0))
    assert refreshed(commands) == ["trades", "old", "fresh"]


def test_one_that_does_not_answer_holds_up_nobody():
    """After two seconds it gives its slot away; after three it is seen to be stuck."""
    state, _ = after(Asked(names(LIMIT + 5), 1.0))
    state, commands = after(Ticked(1.0 + SLOT_S), state=state)
    assert len(refreshed(commands)) == 5
    others = [Done(name, 3.5, 9.0) for name in names(LIMIT + 5)[1:]]
    state, _ = after(*others, Ticked(1.0 + STUCK_S), state=state)
    assert stuck(state) == {names(1)[0]: 1.0}
    line = " ".join(segment.text for segment in progress_line(state, 5.0))
    assert f"{names(1)[0]} does not answer" in line
    assert f"{LIMIT + 4} of {LIMIT + 5}" in line


def test_a_failure_is_said_with_its_reason():
    """And counted; the others are not touched by it."""
    state, _ = after(Asked(names(2), 1.0), Failed(names(2)[0], 1.2, "It is offline."))
    record = state.records[names(2)[0]]
    assert (record.word, record.why) == (Word.FAILED, "It is offline.")
    assert state.run.failed == 1
    assert not state.run.is_over


def test_what_a_cell_reads_is_seen_and_not_read_twice():
    """A reading that somebody else began counts, and is not ours to call back."""
    state, commands = after(Began("vps1", 1.0), Cancelled(1.5))
    assert commands == []
    assert state.records["vps1"].word is Word.RUNNING
    state, _ = after(Done("vps1", 2.0, 40.0), state=state)
    assert state.records["vps1"].word is Word.DONE


def test_cancel_drops_what_waits_and_calls_back_what_runs():
    """Nothing of ours is left."""
    state, _ = after(Asked(names(LIMIT + 9), 1.0))
    state, commands = after(Cancelled(1.5), state=state)
    (recall,) = commands
    assert isinstance(recall, Recall)
    assert len(recall.agents) == LIMIT
    assert not state.queue
    assert not state.running
    assert state.run.is_over
    assert state.run.cancelled == LIMIT + 9


def test_rounds_read_those_with_positions_each_time_and_the_others_in_turn():
    """Whoever has no position is read in every fourth round."""
    figures = {name: Figures(0.0, has_position=name == "vps0000") for name in names(8)}
    state, _ = after(Known(figures), AutoSet(10.0, 0.0))
    counts = dict.fromkeys(names(8), 0)
    for number in range(EVERY * 2):
        at = number * 10.0
        state, commands = after(Ticked(at), state=state)
        for agent in refreshed(commands):
            counts[agent] += 1
            state, _ = after(Done(agent, at + 0.1, 9.0, figures[agent]), state=state)
    assert counts["vps0000"] == EVERY * 2
    assert {counts[name] for name in names(8)[1:]} == {2}
    assert "every 10 s" in auto_line(state)[1].text


def test_a_round_takes_fewer_slots_and_respects_the_breaker():
    """It has time; and it does not ask those that are better left alone."""
    figures = {name: Figures(0.0, has_position=True) for name in names(100)}
    _, commands = after(Known(figures), AutoSet(10.0, 0.0), Ticked(0.0))
    assert len(refreshed(commands)) == AUTO_LIMIT
    assert not any(command.is_probe for command in commands)


def test_nobody_looking_is_nothing_done():
    """Rounds begin with a tick, and there is none while nobody looks."""
    state, commands = after(AutoSet(2.0, 0.0))
    assert commands == []
    state, commands = after(AutoSet(None, 1.0), Ticked(99.0), state=state)
    assert commands == []


agents = st.sampled_from(names(6))
moments = st.floats(0.0, 60.0)
events = st.one_of(
    st.builds(Asked, st.lists(agents, max_size=6).map(tuple), moments),
    st.builds(Began, agents, moments),
    st.builds(Done, agents, moments, st.floats(0, 99)),
    st.builds(Failed, agents, moments, st.just("why")),
    st.builds(Recalled, agents, moments),
    st.builds(Ticked, moments),
    st.builds(AutoSet, st.none() | st.floats(0.1, 20), moments),
    st.builds(Cancelled, moments),
    st.builds(Known, st.dictionaries(agents, st.builds(Figures, st.none() | st.floats(0, 50)))),
)


@given(st.lists(events, max_size=40))
def test_whatever_happens_nobody_is_read_twice_at_once_or_forgotten(listed):
    """And once everything has answered, nothing is left waiting; progress never goes back."""
    state, flying = WatchState(), set()
    for event in listed:
        before = state
        state, commands = step(state, event)
        agent = getattr(event, "agent", None)
        if isinstance(event, (Done, Failed, Recalled)):
            flying.discard(agent)
        for command in commands:
            if isinstance(command, Recall):
                flying -= set(command.agents)
            else:
                assert not flying & set(command.agents)
                assert len(set(command.agents)) == len(command.agents)
                flying |= set(command.agents)
        assert flying == {name for name, each in state.running.items() if each.is_ours}
        if (
            before.run is not None
            and state.run is not None
            and before.run.number == state.run.number
        ):
            assert state.run.share >= before.run.share
    for turn in range(20):
        for name in [*state.running]:
            state, _ = step(state, Done(name, 100.0 + turn, 1.0))
    assert not state.running
    assert not state.queue
    assert state.run is None or state.run.is_over
