"""The refresh watch as plain calls: who is read next, how many at once, what became of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetkit.panels.watch_model import AUTO_LIMIT, EVERY, LIMIT, SHORTEST_S, SLOT_S, step, stuck
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
)
from fleetkit.panels.watch_rows import TABLE, auto_line, progress_line, rows_of


def names(count, first=0):
    return tuple(f"vps{place:04d}" for place in range(first, first + count))


def known(count, **figures):
    """A state that knows so many agents, all with the same figures."""
    return step(WatchState(), Known(dict.fromkeys(names(count), Figures(**figures))))[0]


def after(state, *events):
    """The state after some events, and every command on the way."""
    commands = []
    for event in events:
        state, more = step(state, event)
        commands += more
    return state, commands


def words(state):
    return [record.word.value for record in state.records.values()]


def taken_off(commands):
    return [name for each in commands if isinstance(each, Refresh) for name in each.agents]


def texts(segments):
    return [segment.text for segment in segments if segment.text]


# One agent


def test_an_account_is_queued_running_and_done_in_so_many_ms():
    """Its line says what happens, and its figures are as young as the answer."""
    state, commands = after(known(1), Asked(names(1), 10.0))
    assert (words(state), state.records["vps0000"].began) == (["running"], 10.0)
    assert commands == [Refresh(names(1), is_probe=True)]
    state, commands = after(state, Done("vps0000", 10.5, 480.0, Figures(born=10.5)))
    record = state.records["vps0000"]
    assert (record.word, record.ms, record.born, record.began) == ("done", 480.0, 10.5, None)
    assert not commands


def test_a_failure_says_why_and_the_next_answer_takes_it_back():
    """What was last known stays beside the reason."""
    state, _ = after(known(1, born=1.0), Asked(names(1), 5.0), Failed("vps0000", 6.0, "no route"))
    record = state.records["vps0000"]
    assert (record.word, record.why, record.born) == ("failed", "no route", 1.0)
    state, _ = after(state, Asked(names(1), 7.0))
    assert state.records["vps0000"].why is None
    state, _ = after(state, Done("vps0000", 8.0, 5.0))
    assert (words(state), state.records["vps0000"].why) == (["done"], None)


def test_who_is_asked_twice_is_read_once():
    """A second press while the first is not over starts nothing, and changes nothing."""
    state, _ = after(known(100), Asked(names(100), 0.0))
    assert after(state, Asked(names(100), 1.0)) == (state, [])


# Many


def test_only_so_many_are_in_flight_and_each_answer_lets_the_next_one_go():
    """The rest waits for its turn."""
    state, commands = after(known(100), Asked(names(100), 0.0))
    assert taken_off(commands) == list(names(LIMIT))
    assert words(state).count("queued") == 100 - LIMIT
    state, commands = after(state, Done("vps0003", 0.1, 90.0))
    assert taken_off(commands) == list(names(1, LIMIT))


def test_open_positions_come_first_then_whoever_was_read_longest_ago():
    """Never read is longest ago; what waits already is put in order with what comes."""
    figures = {
        "young": Figures(born=90.0, has_position=False),
        "never": Figures(),
        "old": Figures(born=10.0, has_position=False),
        "trades": Figures(born=95.0, has_position=True),
    }
    busy = names(LIMIT)
    state, _ = after(WatchState(), Known(figures), Asked(busy, 99.0))
    state, commands = after(state, Asked(("young", "old"), 100.0), Asked(tuple(figures), 100.0))
    assert state.queue == ("trades", "never", "old", "young")
    assert not commands


def test_a_stuck_one_is_seen_to_be_stuck_and_holds_up_nobody():
    """After two seconds its slot is another's; after three it is called stuck, with its age."""
    state, _ = after(known(LIMIT + 2), Asked(names(LIMIT + 2), 0.0))
    state, commands = after(state, Ticked(SLOT_S - 0.5))
    assert not commands
    state, commands = after(state, Ticked(SLOT_S))
    assert taken_off(commands) == list(names(2, LIMIT))
    state, _ = after(state, *(Done(name, 2.5, 9.0) for name in names(LIMIT + 2)[1:]), Ticked(7.0))
    assert stuck(state) == {"vps0000": 0.0}
    assert words(state)[0] == "stuck"
    late = progress_line(state, 7.0)[-1]
    assert (late.text, late.since, late.tone) == ("vps0000 does not answer, asked", 0.0, "bad")
    state, _ = after(state, Done("vps0000", 9.0, 9000.0))
    assert not stuck(state)
    assert state.run.is_over


# Readings of others


def test_what_a_cell_reads_is_seen_and_counted():
    """It takes no slot here, and makes a run of its own."""
    state, commands = after(known(3), *(Began(name, 1.0) for name in names(3)))
    assert (words(state), commands) == (["running"] * 3, [])
    assert state.run.asked == 3
    state, _ = after(state, Done("vps0000", 2.0, 7.0), Failed("vps0001", 2.0, "no"))
    assert (state.run.done, state.run.failed, state.run.is_over) == (1, 1, False)
    state, _ = after(state, Recalled("vps0002", 3.0))
    assert words(state) == ["done", "failed", "cancelled"]
    assert state.run.is_over


def test_who_waits_here_has_its_answer_when_a_cell_reads_it():
    """It is not read once more, whether it came out well or not."""
    state, _ = after(known(LIMIT + 2), Asked(names(LIMIT + 2), 0.0))
    first, second = state.queue
    state, commands = after(state, Began(first, 0.1), Began(second, 0.1), Done(first, 0.2, 9.0))
    assert state.queue == (second,)
    state, more = after(state, Failed(second, 0.3, "no"))
    assert state.queue == ()
    assert taken_off(commands + more) == []


def test_who_waits_here_still_waits_when_the_cell_calls_its_reading_back():
    """The interrupt was the cell's, not this panel's."""
    state, _ = after(known(LIMIT + 1), Asked(names(LIMIT + 1), 0.0))
    (waiting,) = state.queue
    state, _ = after(state, Began(waiting, 0.1), Recalled(waiting, 0.2))
    assert state.records[waiting].word == "queued"
    state, commands = after(state, Done("vps0000", 0.3, 9.0))
    assert taken_off(commands) == [waiting]


def test_a_cells_reading_that_is_wanted_here_too_is_joined():
    """From then on it is ours to leave, and its age counts from when it began."""
    state, commands = after(known(1), Began("vps0000", 1.0), Asked(names(1), 2.0))
    assert taken_off(commands) == ["vps0000"]
    assert state.records["vps0000"].began == 1.0
    _, commands = after(state, Cancelled(3.0))
    assert commands == [Recall(names(1))]


# Progress


def test_progress_tells_how_fast_and_how_long():
    """Rate over the run, and the time left of those that still answer."""
    state, _ = after(known(10), Asked(names(10), 0.0))
    state, _ = after(state, *(Done(name, 0.5, 9.0) for name in names(4)), Ticked(1.0))
    assert state.run.share == pytest.approx(0.4)
    line = progress_line(state, 1.0)
    assert texts(line) == ["4 of 10", "4 per s", "time left"]
    assert line[-1].until == pytest.approx(1.0 + 6 / 4)


def test_time_left_is_not_told_where_only_stuck_ones_are_left():
    """Nobody knows that."""
    state, _ = after(known(3), Asked(names(3), 0.0))
    state, _ = after(state, *(Done(name, 0.5, 9.0) for name in names(2)), Ticked(60.0))
    line = progress_line(state, 60.0)
    assert texts(line) == ["2 of 3", "4 per s", "vps0002 does not answer, asked"]


def test_at_the_end_there_is_a_summary():
    """How many, how long, how many failed."""
    state, _ = after(known(3), Asked(names(3), 1.0))
    state, _ = after(state, Done("vps0000", 1.5, 9.0), Done("vps0001", 1.6, 9.0))
    state, _ = after(state, Failed("vps0002", 1.75, "no"))
    (summary,) = progress_line(state, 100.0)
    assert (summary.text, summary.tone) == ("2 refreshed in 0.8 s, 1 failed", "fair")


def test_what_is_asked_for_later_begins_a_run_with_what_was_left():
    """Its progress is its own, and counts each account once."""
    state, _ = after(known(4), Asked(names(2), 0.0), Done("vps0000", 0.1, 9.0))
    state, _ = after(state, Asked(names(4), 0.2))
    assert (state.run.number, state.run.asked, state.run.share) == (2, 4, 0.0)


def test_progress_never_goes_backwards_while_more_is_read():
    """Cells may begin readings in the middle of a run; its bar waits for them."""
    state, _ = after(known(8), Asked(names(4), 0.0), *(Done(n, 0.1, 9.0) for n in names(3)))
    state, _ = after(state, *(Began(name, 0.2) for name in names(4, 4)))
    assert (state.run.asked, state.run.share) == (8, 0.75)
    state, _ = after(state, Done("vps0003", 0.3, 9.0))
    assert (state.run.ended, state.run.share) == (4, 0.75)


# Cancel


def test_cancel_drops_what_waits_and_calls_back_what_is_ours():
    """What a cell reads goes on."""
    state, _ = after(known(LIMIT + 3), Began("vps0000", 0.0), Asked(names(LIMIT + 2, 1), 0.1))
    state, commands = after(state, Cancelled(0.5))
    assert commands == [Recall(names(LIMIT, 1))]
    assert words(state) == ["running"] + ["cancelled"] * (LIMIT + 2)
    assert (state.queue, list(state.running)) == ((), ["vps0000"])
    assert not state.run.is_over  # the cell's
    state, _ = after(state, Done("vps0000", 0.6, 9.0))
    assert texts(progress_line(state, 9.0)) == [f"1 refreshed in 0.5 s, {LIMIT + 2} cancelled"]


def test_an_answer_that_comes_after_cancelling_still_counts_as_read():
    """It is what the account is now; the run is over all the same."""
    state, _ = after(known(1), Asked(names(1), 0.0), Cancelled(0.1))
    over = state.run
    state, _ = after(state, Done("vps0000", 0.2, 9.0, Figures(born=0.2)))
    assert (words(state), state.run) == (["done"], over)


def test_cancel_leaves_running_what_a_cell_reads_though_it_waits_here_too():
    """It only does not wait here any more."""
    state, _ = after(known(LIMIT + 1), Asked(names(LIMIT + 1), 0.0))
    (waiting,) = state.queue
    state, _ = after(state, Began(waiting, 0.1), Cancelled(0.2))
    assert (list(state.running), state.records[waiting].word) == ([waiting], "running")


# Auto-refresh


def rounds(state, times):
    """What takes off at each of some ticks, all answered before the next."""
    found = []
    for at in times:
        state, commands = after(state, Ticked(at))
        waiting = taken_off(commands)
        found.append(list(waiting))
        while waiting:
            state, commands = step(state, Done(waiting.pop(), at, 1.0, Figures(born=at)))
            more = taken_off(commands)
            waiting += more
            found[-1] += more
    return found


def test_auto_refresh_reads_who_trades_each_time_and_the_others_in_turn():
    """In four rounds each account without a position is read once, a quarter at a time."""
    figures = {name: Figures(born=0.0, has_position=name < "vps0002") for name in names(10)}
    state, _ = after(WatchState(), Known(figures), AutoSet(10.0, 100.0))
    found = rounds(state, [100.0, 105.0, 110.0, 120.0, 130.0])
    assert found.pop(1) == []
    assert all({"vps0000", "vps0001"} <= set(each) for each in found)
    flat = [name for each in found for name in each if name >= "vps0002"]
    assert sorted(flat) == list(names(8, 2))
    assert max(map(len, found)) <= 2 + 8 // EVERY + 1


def test_auto_refresh_leaves_alone_what_is_better_left_alone_and_takes_few_slots():
    """It is no probe; a person's press in the middle of it is one."""
    state, commands = after(known(100, has_position=True), AutoSet(5.0, 0.0), Ticked(0.0))
    (refresh,) = commands
    assert (len(refresh.agents), refresh.is_probe) == (AUTO_LIMIT, False)
    _, commands = after(state, Asked(names(100), 0.5))
    (refresh,) = commands
    assert (len(refresh.agents), refresh.is_probe) == (LIMIT - AUTO_LIMIT, True)


def test_auto_refresh_starts_nobody_who_is_still_running():
    """A stuck one is not asked twice, and the next round does without it."""
    state, _ = after(known(2, has_position=True), AutoSet(10.0, 0.0), Ticked(0.0))
    state, _ = after(state, Done("vps0001", 0.1, 9.0))
    _, commands = after(state, Ticked(10.0))
    assert taken_off(commands) == ["vps0001"]


def test_auto_refresh_does_not_overtake_itself():
    """A round that is not through yet is finished first."""
    state, _ = after(known(40, has_position=True), AutoSet(2.0, 0.0), Ticked(0.0), Ticked(1.9))
    queue, number = state.queue, state.run.number
    state, commands = after(state, Ticked(2.0))
    assert (taken_off(commands), state.run.number) == (list(queue[:AUTO_LIMIT]), number)
    assert state.auto.round == 1
    state, _ = after(state, Ticked(4.0), Ticked(4.5))
    assert state.auto.round == 2


def test_auto_refresh_leaves_to_a_cell_what_the_cell_is_reading():
    """Its answer is as good as one of ours."""
    state, _ = after(known(2, has_position=True), AutoSet(10.0, 0.0), Began("vps0000", 0.0))
    _, commands = after(state, Ticked(0.1))
    assert taken_off(commands) == ["vps0001"]


def test_the_interval_has_a_bound_and_may_be_changed_while_it_runs():
    """A shorter one counts from now on, a longer one from the next round on."""
    state, _ = after(known(1), AutoSet(0.01, 0.0), Ticked(0.0))
    assert state.auto.interval_s == SHORTEST_S
    state, _ = after(state, AutoSet(600.0, 1.0))
    assert state.auto.next_at == SHORTEST_S
    state, _ = after(state, Ticked(2.0))
    assert state.auto.next_at == 602.0
    state, _ = after(state, AutoSet(5.0, 3.0))
    assert state.auto.next_at == 8.0
    assert auto_line(state)[0].until == 8.0
    state, _ = after(state, AutoSet(None, 4.0))
    assert (state.auto, auto_line(state)) == (None, ())


# What is known besides


def test_what_is_known_without_asking_never_disturbs_what_is_on_its_way():
    """An old failure is no answer to a new question."""
    state, _ = after(known(2), Asked(("vps0000",), 1.0))
    failure = Figures(why="no route")
    state, _ = after(state, Known({"vps0000": failure, "vps0001": failure}))
    assert words(state) == ["running", "failed"]
    state, _ = after(state, Known({"vps0001": Figures(born=2.0)}))
    assert (words(state), state.records["vps0001"].why) == (["running", "idle"], None)


def test_a_row_stays_the_same_object_while_nothing_of_it_changed():
    """By which the sheet knows that there is nothing to compare."""
    state, _ = after(known(2), Asked(("vps0000",), 1.0))
    accounts = {"vps0000": 7100001, "vps0001": None}
    before = rows_of(state, accounts, {})
    state, _ = after(state, Done("vps0000", 2.0, 12.4))
    rows = rows_of(state, accounts, before)
    assert rows["vps0001"] is before["vps0001"]
    said = dict(zip((column.name for column in TABLE.columns), rows["vps0000"][1], strict=True))
    assert (said["account"], said["state"], said["ms"]) == (7100001, "done", 12)
    named = rows_of(state, {**accounts, "vps0001": 7100002}, rows)
    assert named["vps0001"][1][0] == 7100002


# Whatever happens

AGENTS = names(LIMIT + 8)
EVENTS = st.one_of(
    st.tuples(st.just("ask"), st.lists(st.sampled_from(AGENTS), max_size=len(AGENTS))),
    st.tuples(st.just("all"), st.none()),
    st.tuples(st.sampled_from(["done", "failed", "overlap"]), st.integers(0, len(AGENTS))),
    st.tuples(st.sampled_from(["began", "foreign"]), st.sampled_from(AGENTS)),
    st.tuples(st.sampled_from(["recalled", "known"]), st.sampled_from(AGENTS)),
    st.tuples(st.just("tick"), st.floats(0.0, 5.0)),
    st.tuples(st.just("auto"), st.one_of(st.none(), st.floats(0.0, 20.0))),
    st.tuples(st.just("cancel"), st.none()),
)


class World:
    """Does what is commanded, and holds every step to what must always be so."""

    def __init__(self):
        self.state, self.at = known(len(AGENTS), has_position=False), 0.0
        self.ours = {}  # by agent, since when

    def feed(self, event):
        before = self.state.run
        self.state, commands = step(self.state, event)
        for command in commands:
            for name in command.agents:
                if isinstance(command, Recall):
                    del self.ours[name]
                    continue
                assert name not in self.ours, "in flight twice"
                self.ours[name] = self.at
        self.check(before)

    def check(self, before):
        state, run = self.state, self.state.run
        assert sum(self.at - since < SLOT_S for since in self.ours.values()) <= LIMIT
        assert {name for name, each in state.running.items() if each.is_ours} == set(self.ours)
        assert len(set(state.queue)) == len(state.queue)
        assert not set(state.queue) & set(self.ours)
        for name, record in state.records.items():
            assert record.is_queued == (name in state.queue)
            assert (record.word in ("running", "stuck")) == (name in state.running)
            assert (record.word == "queued") == (record.is_queued and name not in state.running)
            assert (record.run > 0) == (record.is_queued or name in state.running)
        waiting = sum(record.run > 0 for record in state.records.values())
        assert waiting == (0 if run is None else run.asked - run.ended)
        if run is not None:
            assert 0.0 <= run.share <= 1.0
        if run is not None and before is not None and before.number == run.number:
            assert run.share >= before.share
            assert run.ended >= before.ended

    def answer(self, kind, place):
        """Somebody who is on the way answers, if anybody is."""
        running = list(self.state.running)
        if not running:
            return
        name = running[place % len(running)]
        self.ours.pop(name, None)
        at = self.at
        self.feed(Done(name, at, 1.0) if kind == "done" else Failed(name, at, "no"))

    def happen(self, kind, given):
        match kind:
            case "done" | "failed":
                self.answer(kind, given)
            case "overlap" if self.state.queue:
                self.feed(Began(self.state.queue[given % len(self.state.queue)], self.at))
            case "foreign" if given not in self.ours:
                self.feed(Done(given, self.at, 1.0, Figures(born=self.at)))
            case "recalled":
                self.ours.pop(given, None)
                self.feed(Recalled(given, self.at))
            case "tick":
                self.at += given
                self.feed(Ticked(self.at))
            case _:
                self.press(kind, given)

    def press(self, kind, given):
        match kind:
            case "ask" | "all":
                self.feed(Asked(AGENTS if given is None else tuple(given), self.at))
            case "began":
                self.feed(Began(given, self.at))
            case "known":
                self.feed(Known({given: Figures(born=self.at, why="no")}))
            case "auto":
                self.feed(AutoSet(given, self.at))
            case "cancel":
                self.feed(Cancelled(self.at))


@settings(deadline=None)  # it is the number of steps that takes time
@given(st.lists(EVENTS, max_size=60))
def test_whatever_happens_the_bounds_hold_and_everybody_asked_comes_to_an_end(happenings):
    """Never too many, never one twice, progress never backwards; at last all have their answer."""
    world = World()
    for kind, given_ in happenings:
        world.happen(kind, given_)
    world.feed(AutoSet(None, world.at))
    for _ in range(2 * len(AGENTS)):
        world.answer("done", 0)
        if not world.state.running:
            break
    assert not world.state.queue
    assert not world.state.running
    assert world.state.run is None or world.state.run.is_over
