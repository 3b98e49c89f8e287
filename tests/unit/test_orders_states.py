"""The life of an order as plain calls: its usual paths, then every list of events there is."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetkit.model import Side
from fleetkit.orders import messages as m
from fleetkit.orders.classify import Answer, Classification, unknown
from fleetkit.orders.readings import Claims
from fleetkit.orders.receipts import receipt_of
from fleetkit.orders.records import Intent, JournalEntry, OrderState, Phase, Settlement, Step
from fleetkit.orders.schedule import ReadSchedule
from fleetkit.orders.states import rebuilt, step
from fleetkit.trading import Evidence, OrderKind, Outcome, Refusal, Rule
from tests.unit.orders_terminal import ACCOUNT, position, sighting, snapshot, trade

ID = "A" * 26
OTHER = position(60, "XAUUSD")
FILLED = Classification(
    outcome=Outcome.FILLED, reason="done", evidence=Evidence.ANSWER, ticket=100,
    filled_volume=Decimal("0.5"),
)  # fmt: skip
REJECTED = Classification(outcome=Outcome.REJECTED, reason="no", evidence=Evidence.ANSWER)
NOT_SENT = Classification(outcome=Outcome.NOT_SENT, reason="down", evidence=Evidence.LOCAL)
UNKNOWN = unknown("30 s")
TO_SEND = (m.Begin(), m.IntentWritten(), m.LeaseHeld())


def intent(**more):
    usual = {
        "order_id": ID, "account": ACCOUNT, "agent": "vps01", "kind": OrderKind.OPEN,
        "created_at": datetime(2026, 2, 1, tzinfo=UTC), "symbol": "EURUSD", "side": Side.BUY,
        "volume": Decimal("0.5"), "before": snapshot([OTHER]),
    }  # fmt: skip
    return Intent(**{**usual, **more})


def after(*events, state=None, now=0.0):
    """The state after some events, and all commands they gave."""
    state, given_ = state or OrderState(intent=intent()), []
    for event in events:
        state, commands = step(state, event, now)
        given_ += commands
    return state, given_


def of(kind, commands):
    return [command for command in commands if isinstance(command, kind)]


def sighted(reading, claims=Claims()):  # noqa: B008 - frozen
    return m.SightingTaken(reading, claims)


def by_id(status, **more):
    body = {"status": status, "order_id": ID, "account_number": ACCOUNT, **more}
    code = 404 if status == "never_received" else 200
    return m.ByIdAnswered(Answer(code, json.dumps(body).encode()), capability_confirmed=True)


def test_an_order_that_is_answered_runs_through():
    """Intent, lease, generation, send, answer, journal, receipt."""
    state, commands = after(*TO_SEND, m.SendStarted(), m.Answered(FILLED), m.Journalled())
    assert [type(command).__name__ for command in commands] == [
        "WriteIntent", "CheckLease", "BumpGeneration", "Send", "BumpGeneration", "Journal",
        "Show", "Refetch",
    ]  # fmt: skip
    assert (state.phase, state.settlement.outcome) == (Phase.SETTLED, Outcome.FILLED)


@pytest.mark.parametrize("answer", [FILLED, REJECTED, NOT_SENT, UNKNOWN])
def test_nothing_is_shown_before_it_is_on_disk(answer):
    """And a disk that fails is complained about once, and tried again later."""
    state, commands = after(*TO_SEND, m.Answered(answer))
    assert of(m.Show, commands) == []
    state, commands = after(m.JournalFailed("full"), m.JournalFailed("full"), state=state, now=5.0)
    assert len(of(m.Complain, commands)) == 1
    assert [journal.at for journal in of(m.Journal, commands)] == [6.0, 6.0]
    _, commands = after(m.Journalled(), state=state)
    assert of(m.Show, commands)[0].settlement.outcome is answer.outcome


def test_what_is_refused_before_the_first_byte_was_not_sent():
    """By policy, by the disk, by a lost lease, at any point; a lease that comes back is no use."""
    refusal = Refusal(Rule.HALTED, "Trading is halted.")
    for events in (
        (m.Begin(refusal),),
        (m.Begin(), m.IntentFailed("full")),
        (m.Begin(), m.IntentWritten(), m.LeaseLost()),
        (m.Begin(), m.IntentWritten(), m.PolicyRefused(refusal)),
        (*TO_SEND, m.LeaseLost()),
    ):
        state, commands = after(*events, m.Journalled(), m.LeaseHeld(), m.IntentWritten())
        assert of(m.Show, commands)[0].settlement.outcome is Outcome.NOT_SENT
        assert state.is_over


def test_a_lease_lost_after_the_first_byte_changes_nothing():
    """The answer is still to be written down."""
    state, _ = after(*TO_SEND, m.SendStarted(), m.LeaseLost(), m.Interrupted())
    assert state.phase is Phase.SENDING


def test_an_unknown_order_is_told_at_once_and_read_within_a_second():
    """Then ever more rarely, with one read at the end of the grace."""
    state, commands = after(*TO_SEND, m.Answered(UNKNOWN), m.Journalled(), now=10.0)
    assert [show.settlement.outcome for show in of(m.Show, commands)] == [Outcome.UNKNOWN]
    assert [read.at for read in of(m.TakeSighting, commands)] == [10.5]
    now, moments = 10.0, []
    for _ in range(12):
        state, commands = after(m.ReadFailed("hang"), state=state, now=now)
        (read,) = of(m.TakeSighting, commands)
        now = read.at
        moments.append(now)
    assert state.not_before == 85.0
    assert 85.0 in moments
    assert moments == sorted(moments)
    assert ReadSchedule().next_at(99, 0.0, 0.0) == 300.0


def reconciling(now=0.0, answer=UNKNOWN, **more):
    state = OrderState(intent=intent(**more))
    return after(*TO_SEND, m.Answered(answer), m.Journalled(), state=state, now=now)[0]


def test_reconciliation_finds_the_ticket_and_says_that_it_is_inferred():
    """On disk first, then shown, then the account is fetched again."""
    seen = sighted(sighting(1.0, [OTHER, position(100)]))
    state, commands = after(seen, m.Journalled(), state=reconciling())
    assert (state.phase, state.settlement.ticket) == (Phase.SETTLED, 100)
    assert state.settlement.evidence is Evidence.INFERRED
    assert [type(command).__name__ for command in commands][-3:] == ["Journal", "Show", "Refetch"]


def test_candidates_reach_the_journal_and_the_order_stays_unknown():
    """Both, and none is forgotten when a later read shows fewer."""
    two = sighted(sighting(1.0, [OTHER, position(100), position(101)]))
    state, commands = after(two, m.Journalled(), state=reconciling())
    assert state.settlement.candidates == (100, 101)
    assert of(m.Journal, commands)
    assert state.phase is Phase.RECONCILING
    state, commands = after(two, state=state)
    assert of(m.Journal, commands) == []
    assert "2 new tickets" in state.why


def quiet(at):
    return sighted(sighting(at, [OTHER], snapshot_history(), "1000.00"))


def snapshot_history():
    return [trade(1)]


def test_nothing_is_concluded_across_a_jump_of_the_clock():
    """Two reads that only the clock parts are one."""
    state, _ = after(quiet(1.0), state=reconciling())
    jumped, _ = after(m.ClockJumped(), state=state, now=90.0)
    state, _ = after(quiet(91.0), m.Journalled(), state=jumped, now=91.0)
    assert state.phase is Phase.RECONCILING
    state, _ = after(quiet(200.0), m.Journalled(), state=state, now=200.0)
    assert state.settlement.outcome is Outcome.NOT_EXECUTED


def test_an_agent_with_a_log_is_asked_by_id():
    """Filled and rejected settle; never received only after the grace and under the capability."""
    start = reconciling(by_id=True)
    for status, outcome in (("filled", Outcome.FILLED), ("rejected", Outcome.REJECTED)):
        state, _ = after(by_id(status, ticket=100), m.Journalled(), state=start, now=1.0)
        assert (state.settlement.outcome, state.settlement.evidence) == (outcome, Evidence.BY_ID)
    state, commands = after(by_id("never_received"), state=start, now=1.0)
    assert (state.phase, len(of(m.AskById, commands))) == (Phase.RECONCILING, 1)
    state, _ = after(by_id("never_received"), m.Journalled(), state=start, now=75.0)
    assert state.settlement.outcome is Outcome.NOT_EXECUTED
    for doubtful in (
        msgspec.structs.replace(by_id("never_received"), capability_confirmed=False),
        m.ByIdAnswered(Answer(404, b'{"detail":"Not Found"}'), capability_confirmed=True),
        by_id("never_received", account_number=1),
        by_id("filled", account_number=None),
        by_id("filled", order_id="B" * 26),
        by_id("filled", kind="close"),
        by_id("filled", retcode=10019),
        by_id("filled", volume=0.6),
        by_id("rejected", retcode=10012),
        by_id("accepted"),
        by_id("unknown"),
        m.ByIdAnswered(Answer(200, b"[" * 9_999), capability_confirmed=True),
        m.ByIdAnswered(Answer(500, b""), capability_confirmed=True),
    ):
        state, _ = after(doubtful, m.Journalled(), state=start, now=500.0)
        assert state.phase is Phase.RECONCILING


def test_an_id_that_was_another_orders_is_not_asked_for():
    """409: the account's own readings decide."""
    conflict = reconciling(answer=unknown("409", id_conflict=True), by_id=True)
    _, commands = after(m.ReadFailed(), state=conflict)
    assert (len(of(m.AskById, commands)), len(of(m.TakeSighting, commands))) == (0, 1)
    state, _ = after(by_id("filled"), m.Journalled(), state=conflict)
    assert state.phase is Phase.RECONCILING


def test_an_order_whose_answer_named_it_was_received():
    """A log that was lost since says never_received."""
    start = reconciling(answer=unknown("500", received=True), by_id=True)
    state, _ = after(by_id("never_received"), m.Journalled(), state=start, now=500.0)
    assert state.phase is Phase.RECONCILING


def test_only_an_unknown_order_is_settled_by_a_person():
    """And the receipt says who said so."""
    state, commands = after(m.PersonResolved(True, 100), m.Journalled(), state=reconciling())
    assert (state.settlement.outcome, state.settlement.ticket) == (Outcome.FILLED, 100)
    assert state.settlement.evidence is Evidence.PERSON
    settled, commands = after(m.PersonResolved(False), m.Journalled(), state=state)
    assert (settled, commands) == (state, [])


def test_what_another_kernel_settled_is_taken_over():
    """Only while it is unknown here; an answer of our own is better."""
    theirs = Settlement(outcome=Outcome.FILLED, evidence=Evidence.PERSON, ticket=7)
    state, commands = after(m.SettledElsewhere(theirs), state=reconciling())
    assert (state.phase, state.settlement) == (Phase.SETTLED, theirs)
    assert of(m.Show, commands) == [m.Show(theirs)]
    answered, _ = after(*TO_SEND, m.Answered(REJECTED))
    # The answer is first-hand and must not get stuck: it is written onto what they wrote.
    assert answered.pending is not None
    assert after(m.SettledElsewhere(theirs), state=answered) == (
        answered,
        [m.Journal(answered.pending)],
    )
    doubt = m.SettledElsewhere(Settlement(outcome=Outcome.UNKNOWN))
    assert after(doubt, state=reconciling()) == (reconciling(), [])


WITH_STOP = {"sl": Decimal("1.05")}


def filled_with_stop(answer=FILLED):
    state = OrderState(intent=intent(**WITH_STOP))
    return after(*TO_SEND, m.Answered(answer), m.Journalled(), state=state)


def test_stops_are_read_back_before_the_receipt_is_shown():
    """As asked: nothing is sent."""
    state, commands = filled_with_stop()
    assert (of(m.ReadStops, commands), of(m.Show, commands)) == ([m.ReadStops(100)], [])
    right = m.StopsRead(position(100, sl=Decimal("1.05")))
    state, commands = after(right, m.Journalled(), state=state)
    assert of(m.Show, commands)[0].settlement.stops_ok is True
    assert of(m.CorrectStops, commands) == []


def test_wrong_stops_are_corrected_once():
    """The correction is on disk before it is sent, and what counts is what is read afterwards."""
    wrong = m.StopsRead(position(100))
    state, commands = after(wrong, m.Journalled(), state=filled_with_stop()[0])
    steps = [journal.entry.step for journal in of(m.Journal, commands)]
    assert steps == [Step.CORRECTING]
    assert of(m.CorrectStops, commands) == [m.CorrectStops(100, Decimal("1.05"), None)]
    state, commands = after(m.StopsCorrected(UNKNOWN), wrong, m.Journalled(), state=state)
    assert of(m.CorrectStops, commands) == []
    shown = of(m.Show, commands)[0].settlement
    assert (shown.outcome, shown.stops_ok) == (Outcome.FILLED, False)


def test_a_position_that_is_not_shown_is_looked_at_twice_and_never_modified():
    """An empty list is no evidence."""
    state, commands = after(m.StopsRead(None), state=filled_with_stop()[0])
    assert of(m.ReadStops, commands) == [m.ReadStops(100)]
    state, commands = after(m.StopsRead(None), m.Journalled(), state=state)
    assert of(m.Show, commands)[0].settlement.stops_ok is False
    assert of(m.CorrectStops, commands) == []


def test_an_inferred_ticket_is_never_modified():
    """It may be a person's; whether its stops fit is told from what was seen."""
    seen = sighted(sighting(1.0, [OTHER, position(100)]))
    state, commands = after(seen, m.Journalled(), state=reconciling(**WITH_STOP))
    assert state.settlement.stops_ok is False
    assert of(m.CorrectStops, commands) == of(m.ReadStops, commands) == []


def test_an_intent_found_without_an_outcome_may_have_been_sent():
    """Unknown, never sent, reconciled from evidence."""
    state, commands = after(m.Restarted(), m.Journalled(), state=rebuilt(intent(), None), now=5.0)
    assert of(m.Show, commands)[0].settlement.outcome is Outcome.UNKNOWN
    assert (state.phase, state.not_before) == (Phase.RECONCILING, 80.0)
    assert of(m.Send, commands) == []


@pytest.mark.parametrize("outcome", Outcome)
def test_a_restart_goes_on_where_the_journal_ends(outcome):
    """Unknown orders are read again, filled ones get their stops read, others are over."""
    entry = JournalEntry(Step.OUTCOME, Settlement(outcome=outcome, ticket=100))
    _, commands = after(m.Restarted(), state=rebuilt(intent(**WITH_STOP), entry))
    kinds = {type(command).__name__ for command in commands}
    expected = {Outcome.UNKNOWN: {"TakeSighting"}, Outcome.FILLED: {"ReadStops"}}
    assert kinds == expected.get(outcome, set())
    told = JournalEntry(Step.STOPS, Settlement(outcome=outcome, ticket=100, stops_ok=False))
    assert rebuilt(intent(**WITH_STOP), told).is_over == (outcome is not Outcome.UNKNOWN)


def test_stops_are_not_corrected_after_a_restart():
    """A person may have moved them meanwhile, or the correction may have gone out."""
    entry = JournalEntry(
        Step.CORRECTING, Settlement(outcome=Outcome.FILLED, evidence=Evidence.ANSWER, ticket=100)
    )
    wrong = m.StopsRead(position(100))
    _, commands = after(m.Restarted(), wrong, state=rebuilt(intent(**WITH_STOP), entry))
    assert of(m.CorrectStops, commands) == []


def test_intent_and_entries_come_back_from_the_disk_as_they_were():
    """As JSON: exact lots, enums, the snapshot and its ids."""
    order = intent(**WITH_STOP, capabilities=frozenset({"orders"}))
    assert msgspec.json.decode(msgspec.json.encode(order), type=Intent) == order
    entry = JournalEntry(Step.STOPS, Settlement(outcome=Outcome.FILLED, candidates=(1, 2)))
    assert msgspec.json.decode(msgspec.json.encode(entry), type=JournalEntry) == entry


def test_a_receipt_is_made_of_the_newest_outcome_on_disk():
    """A replayed one says so; before there is any, the order is unknown."""
    state, _ = after(*TO_SEND, m.Answered(FILLED), m.Journalled())
    receipt = receipt_of(state, replayed=True)
    assert (receipt.outcome, receipt.ticket, receipt.replayed) == (Outcome.FILLED, 100, True)
    assert (receipt.volume, receipt.symbol) == (Decimal("0.5"), "EURUSD")
    assert receipt_of(OrderState(intent=intent())).outcome is Outcome.UNKNOWN


answers = st.sampled_from([FILLED, REJECTED, NOT_SENT, UNKNOWN, unknown("409", id_conflict=True)])
positions = st.sampled_from([None, position(100), position(100, sl=Decimal("1.05"))])
lists = st.sampled_from([[], [OTHER], [OTHER, position(100)], [position(100), position(101)]])
sightings = st.builds(
    lambda at, seen, claims: sighted(sighting(at, seen, snapshot_history()), claims),
    st.floats(0, 1000), lists, st.sampled_from([Claims(), Claims(rivals=True)]),
)  # fmt: skip
events = st.one_of(
    st.sampled_from(
        [
            m.Begin(), m.Begin(Refusal(Rule.HALTED, "Halted.")), m.IntentWritten(),
            m.IntentFailed("full"), m.LeaseHeld(), m.LeaseLost(), m.SendStarted(), m.ReadFailed(),
            m.GraceOver(), m.ClockJumped(), m.Interrupted(), m.Restarted(), m.Journalled(),
            m.Journalled(), m.JournalFailed("full"), m.PersonResolved(True, 7),
            m.SettledElsewhere(Settlement(outcome=Outcome.REJECTED)),
            m.PersonResolved(False), m.PolicyRefused(Refusal(Rule.LOCKED, "Locked.")),
        ]
    ),
    st.builds(m.Answered, answers),
    st.builds(m.StopsRead, positions),
    st.builds(m.StopsCorrected, answers),
    sightings,
    st.sampled_from(["filled", "rejected", "accepted", "never_received"]).map(by_id),
)  # fmt: skip
prefixes = st.sampled_from([(), TO_SEND, (*TO_SEND, m.Answered(FILLED), m.Journalled()),
                            (*TO_SEND, m.Answered(UNKNOWN), m.Journalled())])  # fmt: skip
intents = st.builds(
    lambda kind, by_id_, stop: intent(kind=kind, by_id=by_id_, sl=stop, ticket=100),
    st.sampled_from(OrderKind), st.booleans(), st.sampled_from([None, Decimal("1.05")]),
)  # fmt: skip


@dataclass
class Books:
    """What the invariants are held against."""

    sends: int = 0
    corrections: int = 0
    may_have_left: bool = False
    restarted: bool = False
    on_disk: list = field(default_factory=list)

    def hold(self, before, event, state, commands):
        if isinstance(event, m.Restarted):
            self.restarted = True
        if isinstance(event, m.SettledElsewhere):
            self.on_disk.append(event.settlement)
        if isinstance(event, m.Journalled) and before.pending is not None:
            self.on_disk.append(before.pending.settlement)
        for command in commands:
            match command:
                case m.Send():
                    assert not self.may_have_left
                    assert not self.restarted
                    self.sends, self.may_have_left = self.sends + 1, True
                case m.Show(settlement):
                    assert settlement in self.on_disk
                case m.CorrectStops():
                    self.corrections += 1
                    assert not self.restarted
                    assert before.pending.settlement.evidence in (Evidence.ANSWER, Evidence.BY_ID)
        assert self.sends <= 1
        assert self.corrections <= 1
        self._settled_stays(before, event, state)
        if isinstance(event, m.Interrupted):
            assert (state, commands) == (before, ())

    def _settled_stays(self, before, event, state):
        if before.settlement is None or before.settlement.outcome is Outcome.UNKNOWN:
            return
        assert state.settlement.outcome is before.settlement.outcome
        if before.phase is Phase.SETTLED:
            assert state.settlement == before.settlement


@settings(max_examples=500)
@given(intents, prefixes, st.lists(events, max_size=20), st.lists(st.floats(0, 60), max_size=30))
def test_no_list_of_events_breaks_a_promise(order, prefix, more, waits):
    """One send at most, none after a restart, nothing shown that is not on disk."""
    state, books, now = OrderState(intent=order), Books(), 0.0
    for index, event in enumerate((*prefix, *more)):
        now += waits[index] if index < len(waits) else 1.0
        before = state
        state, commands = step(state, event, now)
        books.hold(before, event, state, commands)


@settings(max_examples=300)
@given(intents, prefixes, st.lists(events, max_size=12))
def test_a_restart_from_what_is_on_disk_never_sends(order, prefix, more):
    """At any point the machine is rebuilt from intent and last entry, and told less, not more."""
    state, last = OrderState(intent=order), None
    for event in (*prefix, *more):
        if isinstance(event, m.Journalled) and state.pending is not None:
            last = state.pending
        state, _ = step(state, event, 1.0)
    again, commands = after(m.Restarted(), *more, state=rebuilt(order, last), now=500.0)
    assert of(m.Send, commands) == of(m.WriteIntent, commands) == []
    assert of(m.CorrectStops, commands) == []
    if last is not None and last.settlement.outcome is not Outcome.UNKNOWN:
        assert again.settlement.outcome is last.settlement.outcome
