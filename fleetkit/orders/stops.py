"""After a fill the stops are read back, and corrected once (T6).

Why: one agent takes a stop for a price and another for pips, and a position without its
stop is a risk nobody chose. May import `moves`, `messages`, `records` and `evidence`.
The trap: an inferred ticket may be a person's. It is never modified.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from fleetkit.orders.evidence import has_stops
from fleetkit.orders.messages import (
    BumpGeneration,
    CorrectStops,
    ReadStops,
    StopsCorrected,
    StopsRead,
)
from fleetkit.orders.moves import Stepped, recorded
from fleetkit.orders.readings import SeenPosition
from fleetkit.orders.records import Intent, OrderState, Phase, Settlement, Step
from fleetkit.trading import Evidence, OrderKind, Outcome

SURE_TICKETS = frozenset({Evidence.ANSWER, Evidence.BY_ID})


def are_wanted(intent: Intent, settlement: Settlement) -> bool:
    """Whether the position's stops are still to be read back (T6)."""
    asked = intent.sl is not None or intent.tp is not None
    told = settlement.stops_ok is not None
    return (
        asked
        and not told
        and settlement.outcome is Outcome.FILLED
        and intent.kind is not OrderKind.CLOSE
    )


def read_back(state: OrderState, settlement: Settlement) -> Stepped:
    """Ask for the position, where its ticket is known."""
    if settlement.ticket is None:
        return _stops_found(state, settlement, ok=False)
    return state.changed(phase=Phase.READING_STOPS), (ReadStops(settlement.ticket),)


def seen(state: OrderState, event: StopsRead | StopsCorrected) -> Stepped:
    """Judge a position that was read back, or go on after its correction."""
    settlement = state.settlement
    ticket = None if settlement is None else settlement.ticket
    if settlement is None or ticket is None:
        return state, ()
    match state.phase, event:
        case Phase.READING_STOPS, StopsRead(None):
            # One list that does not show it may be a terminal's hiccup (T2). It is no reason
            # to modify anything.
            if state.reads == 0:
                return state.changed(reads=1), (ReadStops(ticket),)
            return _stops_found(state, settlement, ok=False)
        case Phase.READING_STOPS, StopsRead(position) if position is not None:
            ok = _are_stops_ok(state.intent, position, ticket)
            sl, tp = _number(position.sl), _number(position.tp)
            settlement = msgspec.structs.replace(settlement, sl=sl, tp=tp)
            if ok or not _may_correct(state, settlement):
                return _stops_found(state, settlement, ok=ok)
            return recorded(state.changed(corrected=True), settlement, Step.CORRECTING)
        case Phase.CORRECTING, StopsCorrected():
            # Whatever was answered, what counts is what the position has now.
            return state.changed(phase=Phase.READING_STOPS), (ReadStops(ticket),)
        case _:
            return state, ()


def correct(state: OrderState, settlement: Settlement) -> Stepped:
    """Give the one correction; that it is given is on disk."""
    if settlement.ticket is None:
        return state, ()
    command = CorrectStops(settlement.ticket, state.intent.sl, state.intent.tp)
    return state.changed(phase=Phase.CORRECTING), (BumpGeneration(), command)


def _may_correct(state: OrderState, settlement: Settlement) -> bool:
    # A modify is not sent a second time under another name, and after a restart a person
    # may have moved the stop meanwhile: both are only told.
    return (
        not state.corrected
        and state.intent.kind is OrderKind.OPEN
        and settlement.evidence in SURE_TICKETS
    )


def _stops_found(state: OrderState, settlement: Settlement, *, ok: bool) -> Stepped:
    reason = settlement.reason
    if not ok:
        reason = f"{reason} The stops are not shown where they were asked for.".strip()
    found = msgspec.structs.replace(settlement, stops_ok=ok, reason=reason)
    return recorded(state, found, Step.STOPS)


def _are_stops_ok(intent: Intent, position: SeenPosition, ticket: int) -> bool:
    return position.ticket == ticket and has_stops(intent.sought(), position)


def _number(price: Decimal | None) -> float | None:
    return None if price is None else float(price)
