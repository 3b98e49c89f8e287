"""The life of an order as ``step(state, event, now) -> (state, commands)``.

Why: an order is sent at most once and told only what is proven and on disk; every
path to that is a plain call in a test. May import `records`, `reconciling`,
`schedule` and below. ``now`` is the Clock's elapsed seconds.
The trap: everything that an interrupt, a lost lease or a restart may do to an order
comes in as an event, in any order. An event that does not fit the phase changes nothing.

::

    drafted ─ writing ─ checking ─ sending ─ journalling ─┬─ settled
       │         │          │         │        ▲   ▲  │   │
       └─────────┴─ refused, lease lost ───────┘   │  │   └─ reading_stops ─ correcting
                                                   │  │          ▲               │
                              reconciling ─────────┘  │          └───────────────┘
                                   ▲                  │
                                   └──── unknown ─────┘

Only ``checking`` leads to a `Send`, and nothing leads back to it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from fleetkit.orders import reconciling, stops
from fleetkit.orders.classify import Classification
from fleetkit.orders.messages import (
    Answered,
    Begin,
    BumpGeneration,
    ByIdAnswered,
    CheckLease,
    ClockJumped,
    Command,
    Complain,
    Event,
    GraceOver,
    IntentFailed,
    IntentWritten,
    Interrupted,
    Journal,
    JournalFailed,
    Journalled,
    LeaseHeld,
    LeaseLost,
    PersonResolved,
    PolicyRefused,
    ReadFailed,
    Refetch,
    Restarted,
    Send,
    SendStarted,
    SettledElsewhere,
    Show,
    SightingTaken,
    StopsCorrected,
    StopsRead,
    WriteIntent,
)
from fleetkit.orders.moves import Stepped, recorded
from fleetkit.orders.records import Intent, JournalEntry, OrderState, Phase, Settlement, Step
from fleetkit.orders.schedule import JOURNAL_AGAIN_S
from fleetkit.trading import Evidence, Outcome

FIRST_HAND: Final = frozenset({Evidence.ANSWER, Evidence.BY_ID, Evidence.LOCAL})


def rebuilt(intent: Intent, last: JournalEntry | None) -> OrderState:
    """The state of an order found in the journal; `Restarted` is its next event.

    An intent without an outcome may have been sent: that the first byte went is not
    written down, because no write can be one with it. So it is taken for sent.
    """
    state = OrderState(intent=intent, sent=True, started=True, corrected=True)
    if last is None:
        return state.changed(phase=Phase.SENDING)
    state = state.changed(settlement=last.settlement)
    if last.settlement.outcome is Outcome.UNKNOWN:
        return state.changed(phase=Phase.RECONCILING)
    if last.step is not Step.STOPS and stops.are_wanted(intent, last.settlement):
        return state.changed(phase=Phase.READING_STOPS)
    return state.changed(phase=Phase.SETTLED)


def step(state: OrderState, event: Event, now: float) -> Stepped:
    """Return the next state and what to do about it."""
    match event:
        case Interrupted():
            return state, ()
        case Restarted():
            return _restart(state, now)
        case Journalled() if state.phase is Phase.JOURNALLING:
            return _journalled(state, now)
        case JournalFailed(reason) if state.phase is Phase.JOURNALLING:
            return _journal_again(state, reason, now)
        case StopsRead() | StopsCorrected():
            return stops.seen(state, event)
        case SightingTaken() | ByIdAnswered() | ReadFailed() | GraceOver() | ClockJumped():
            return _reconcile(state, event, now)
        case PersonResolved() if state.phase is Phase.RECONCILING:
            return _resolve(state, event)
        case SettledElsewhere(settlement):
            return _adopt(state, settlement)
        case _:
            return _towards_send(state, event, now)


def _towards_send(state: OrderState, event: Event, now: float) -> Stepped:
    match state.phase, event:
        case Phase.DRAFTED, Begin(None) if not state.sent:
            return state.changed(phase=Phase.WRITING), (WriteIntent(),)
        case Phase.DRAFTED, Begin(refusal) if refusal is not None:
            return _not_sent(state, refusal.sentence)
        case Phase.WRITING, IntentWritten():
            return state.changed(phase=Phase.CHECKING), (CheckLease(),)
        case Phase.WRITING, IntentFailed(reason):
            return _not_sent(state, f"The order could not be written down: {reason}")
        case Phase.CHECKING, LeaseHeld() if not state.sent:
            until = now + state.intent.deadline_s + state.intent.grace_s
            sending = state.changed(phase=Phase.SENDING, sent=True, not_before=until)
            return sending, (BumpGeneration(), Send())
        case Phase.SENDING, SendStarted():
            return state.changed(started=True), ()
        case Phase.SENDING, Answered(classification):
            after, commands = recorded(state, _settled_by(classification))
            return after, (BumpGeneration(), *commands)
        case _:
            return _called_off(state, event)


def _called_off(state: OrderState, event: Event) -> Stepped:
    """What may still keep an order back before its first byte."""
    match state.phase, event:
        case ((Phase.WRITING | Phase.CHECKING), PolicyRefused(refusal)):
            return _not_sent(state, refusal.sentence)
        case ((Phase.WRITING | Phase.CHECKING | Phase.SENDING), LeaseLost(reason)):
            if state.started:
                return state, ()  # the byte may have gone; its answer is still to be written
            return _not_sent(state, f"Nothing was sent: {reason}.")
        case _:
            return state, ()


def _not_sent(state: OrderState, reason: str) -> Stepped:
    # The Send is used up as well: a lost lease that comes back must not lead to one.
    settlement = Settlement(outcome=Outcome.NOT_SENT, evidence=Evidence.LOCAL, reason=reason)
    return recorded(state.changed(sent=True), settlement)


def _settled_by(answer: Classification) -> Settlement:
    return Settlement(
        outcome=answer.outcome,
        evidence=answer.evidence,
        reason=answer.reason,
        retcode=answer.retcode,
        retryable=answer.retryable,
        ticket=answer.ticket,
        filled_volume=answer.filled_volume,
        price=answer.price,
        sl=answer.sl,
        tp=answer.tp,
        partly=answer.partly,
        received=answer.received,
        id_conflict=answer.id_conflict,
    )


def _journalled(state: OrderState, now: float) -> Stepped:
    entry = state.pending
    if entry is None:
        return state, ()
    settlement = entry.settlement
    state = state.changed(settlement=settlement, pending=None, complained=False)
    if entry.step is Step.CORRECTING:
        return stops.correct(state, settlement)
    if settlement.outcome is Outcome.UNKNOWN:
        state = state.changed(phase=Phase.RECONCILING)
        return state, (Show(settlement), *_next_read(state, now))
    if entry.step is Step.OUTCOME and stops.are_wanted(state.intent, settlement):
        return stops.read_back(state, settlement)
    filled = settlement.outcome is Outcome.FILLED
    after: tuple[Command, ...] = (Refetch(),) if filled else ()
    return state.changed(phase=Phase.SETTLED, sightings=()), (Show(settlement), *after)


def _journal_again(state: OrderState, reason: str, now: float) -> Stepped:
    if state.pending is None:
        return state, ()
    again = Journal(state.pending, now + JOURNAL_AGAIN_S)
    if state.complained:
        return state, (again,)
    sentence = (
        f"What became of order {state.intent.order_id} cannot be written down ({reason}), so it "
        "is not told yet. It is tried again; fleet.orders() shows the order once the disk is well."
    )
    return state.changed(complained=True), (Complain(sentence), again)


def _reconcile(
    state: OrderState,
    event: SightingTaken | ByIdAnswered | ReadFailed | GraceOver | ClockJumped,
    now: float,
) -> Stepped:
    if isinstance(event, ClockJumped):
        return _forget_times(state, now), ()
    if state.phase is not Phase.RECONCILING or state.settlement is None:
        return state, ()
    if isinstance(event, GraceOver):
        return state, reconciling.read_at(state, now, now)
    state, settlement = reconciling.look(state, state.settlement, event, now)
    if settlement == state.settlement:
        return state, _next_read(state, now)
    after, commands = recorded(state, settlement)
    if settlement.outcome is Outcome.FILLED:
        commands = (BumpGeneration(), *commands)
    return after, commands


def _next_read(state: OrderState, now: float) -> tuple[Command, ...]:
    at = state.schedule.next_at(state.reads, now, state.not_before)
    return reconciling.read_at(state, now, at)


def _resolve(state: OrderState, event: PersonResolved) -> Stepped:
    if state.settlement is None:
        return state, ()
    words = "executed" if event.executed else "not executed"
    settlement = Settlement(
        outcome=Outcome.FILLED if event.executed else Outcome.NOT_EXECUTED,
        evidence=Evidence.PERSON,
        reason=f"A person says that it was {words}; before: {state.settlement.reason}",
        retcode=state.settlement.retcode,
        ticket=(event.ticket or state.intent.ticket) if event.executed else None,
        candidates=state.settlement.candidates,
        stops_ok=None,
    )
    after, commands = recorded(state, settlement)
    return after, ((BumpGeneration(), *commands) if event.executed else commands)


def _adopt(state: OrderState, settlement: Settlement) -> Stepped:
    """Take over what another kernel wrote, where this one knows nothing better."""
    if state.phase is Phase.JOURNALLING and state.pending is not None:
        known = state.pending.settlement
        # Whoever took the order over could only look; the answer that came here stands.
        if settlement.outcome is Outcome.UNKNOWN or known.evidence in FIRST_HAND:
            return state, (Journal(state.pending),)
    pending = None if state.pending is None else state.pending.settlement.outcome
    open_here = state.phase is Phase.RECONCILING or pending is Outcome.UNKNOWN
    if not open_here or settlement.outcome is Outcome.UNKNOWN:
        return state, ()
    settled = state.changed(phase=Phase.SETTLED, settlement=settlement, pending=None, sightings=())
    return settled, (BumpGeneration(), Show(settlement))


def _forget_times(state: OrderState, now: float) -> OrderState:
    """Let no two sightings before a jump of the clock be any time apart."""
    until = now + state.intent.deadline_s + state.intent.grace_s
    stamped = tuple(msgspec.structs.replace(each, at=now) for each in state.sightings)
    return state.changed(sightings=stamped, not_before=max(until, state.not_before))


def _restart(state: OrderState, now: float) -> Stepped:
    state = _forget_times(state.changed(sent=True, corrected=True, reads=0), now)
    match state.phase:
        case Phase.WRITING | Phase.CHECKING | Phase.SENDING:
            reason = "The process ended between writing the order down and writing the answer."
            return recorded(
                state.changed(started=True), Settlement(outcome=Outcome.UNKNOWN, reason=reason)
            )
        case Phase.JOURNALLING if state.pending is not None:
            return state, (Journal(state.pending),)
        case Phase.READING_STOPS | Phase.CORRECTING if state.settlement is not None:
            return stops.read_back(state, state.settlement)
        case Phase.RECONCILING:
            return state, _next_read(state, now)
        case _:
            return state, ()
