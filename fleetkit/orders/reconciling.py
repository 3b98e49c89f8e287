"""What one reconciliation read does to an unknown order.

Why: evidence speaks in verdicts and the life of an order in settlements; this is where
one becomes the other. May import `evidence`, `by_id`, `records` and below.
The trap: an undecided read may still teach something, its candidates, and that must
reach the journal without changing the outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

import msgspec

from fleetkit.orders.by_id import Doubts, judge_by_id
from fleetkit.orders.evidence import has_stops, judge
from fleetkit.orders.messages import (
    AskById,
    ByIdAnswered,
    Command,
    ReadFailed,
    SightingTaken,
    TakeSighting,
)
from fleetkit.orders.readings import BeforeSnapshot, Claims, Rules, SeenPosition, collected, window
from fleetkit.orders.records import Intent, OrderState, Settlement
from fleetkit.orders.verdicts import Executed, NotExecuted, Refused, Undecided, Verdict
from fleetkit.trading import Evidence, OrderKind, Outcome

WORDS: Final[Mapping[Evidence, str]] = MappingProxyType(
    {
        Evidence.INFERRED: "Only this order explains what changed, unless a person did the same.",
        Evidence.BY_ID: "The agent's own log says that it was executed.",
        Evidence.HISTORY: "The position is in the history of closed trades.",
        Evidence.BALANCE: "The position is gone, and the balance moved.",
        Evidence.POSITION: "The position was read back as asked.",
    }
)


def read_at(state: OrderState, now: float, at: float) -> tuple[Command, ...]:
    """What to read at a moment: the agent's log where it has one, else the account.

    Where the log still says nothing after the grace, the account is read in turn with it.
    """
    may_infer = state.intent.before is not None
    if not _may_ask_by_id(state):
        return (TakeSighting(at),) if may_infer else ()
    in_turn = may_infer and now > state.not_before and state.reads % 2 == 1
    return (TakeSighting(at),) if in_turn else (AskById(at),)


def look(
    state: OrderState,
    settlement: Settlement,
    event: SightingTaken | ByIdAnswered | ReadFailed,
    now: float,
) -> tuple[OrderState, Settlement]:
    """Take in one read; the settlement that follows from all of them may be the old one."""
    state = state.changed(reads=state.reads + 1)
    if isinstance(event, ReadFailed):
        return state.changed(why=event.reason or state.why), settlement
    if isinstance(event, SightingTaken):
        before = state.intent.before
        if before is None:
            return state, settlement
        pruned = event.sighting.pruned(before, state.intent.ticket)
        state = state.changed(sightings=collected(state.sightings, pruned))
        verdict = _by_evidence(state, settlement, before, event.claims)
    else:
        verdict = _by_id(state, settlement, event, now)
    if isinstance(verdict, Undecided):
        state = state.changed(why=verdict.why)
    return state, _settled(state.intent, settlement, verdict)


def _may_ask_by_id(state: OrderState) -> bool:
    """Whether the agent's log can speak of this order and not of another one."""
    conflict = state.settlement is not None and state.settlement.id_conflict
    return state.intent.by_id and not conflict


def _by_evidence(
    state: OrderState, settlement: Settlement, before: BeforeSnapshot, claims: Claims
) -> Verdict:
    intent = state.intent
    rules = Rules(
        grace_s=intent.grace_s,
        not_before=state.not_before,
        window=window(
            before.as_of,
            skew_s=intent.skew_s,
            deadline_s=intent.deadline_s,
            grace_s=intent.grace_s,
            zone_known=before.zone_known,
        ),
    )
    order = intent.sought(partly=settlement.partly)
    return judge(order, before, state.sightings, claims=claims, rules=rules)


def _by_id(state: OrderState, settlement: Settlement, event: ByIdAnswered, now: float) -> Verdict:
    if not _may_ask_by_id(state):
        return Undecided("The agent's log cannot speak of this order.")
    doubts = Doubts(
        account=state.intent.account,
        capability_confirmed=event.capability_confirmed,
        grace_over=now >= state.not_before,
        was_received=settlement.received,
    )
    return judge_by_id(state.intent.asked, event.answer, doubts)


def _settled(intent: Intent, before: Settlement, verdict: Verdict) -> Settlement:
    match verdict:
        case Executed():
            return _filled(intent, before, verdict)
        case NotExecuted(evidence, why):
            return Settlement(outcome=Outcome.NOT_EXECUTED, evidence=evidence, reason=why)
        case Refused(why, retcode):
            return Settlement(
                outcome=Outcome.REJECTED, evidence=Evidence.BY_ID, reason=why, retcode=retcode
            )
        case Undecided(_, candidates):
            # Candidates only ever add up: a read that shows none takes none away.
            known = tuple(sorted({*before.candidates, *candidates}))
            return msgspec.structs.replace(before, candidates=known)


def _filled(intent: Intent, before: Settlement, verdict: Executed) -> Settlement:
    sl = None if verdict.sl is None else float(verdict.sl)
    tp = None if verdict.tp is None else float(verdict.tp)
    return Settlement(
        outcome=Outcome.FILLED,
        evidence=verdict.evidence,
        reason=WORDS.get(verdict.evidence, "It was executed."),
        retcode=verdict.retcode if verdict.retcode is not None else before.retcode,
        ticket=verdict.ticket,
        filled_volume=verdict.filled_volume,
        price=verdict.price,
        sl=sl,
        tp=tp,
        stops_ok=_stops_ok(intent, verdict),
        candidates=(),
        partly=before.partly,
    )


def _stops_ok(intent: Intent, verdict: Executed) -> bool | None:
    """What the evidence itself shows of the stops; ``None`` where they are to be read back.

    An inferred ticket may be a person's: what was seen is told, and nothing is corrected.
    """
    asked = intent.sl is not None or intent.tp is not None
    if not asked or intent.kind is OrderKind.CLOSE or verdict.evidence is Evidence.BY_ID:
        return None
    if verdict.ticket is None or intent.side is None:
        return verdict.evidence is Evidence.POSITION
    seen = SeenPosition(
        ticket=verdict.ticket,
        symbol=intent.symbol or "",
        side=intent.side,
        volume=verdict.filled_volume or intent.volume or Decimal(0),
        sl=verdict.sl,
        tp=verdict.tp,
    )
    return has_stops(intent.sought(), seen)
