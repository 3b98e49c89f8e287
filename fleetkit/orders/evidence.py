"""What readings prove about an order whose answer proved nothing.

Why: base agents keep no order ids, so whether an order was executed is inferred from
what changed, by the rules of "Reconciliation". May import `readings`, `netting`, `gone`,
`rivals`, `trading` and `model`.
The trap: absence. A list that lacks a ticket proves nothing unless it shows all that
was there before, and an account that was flat before has nothing to show (T2). So it is
with the list of before: beside one that lacked what was known earlier nothing is new.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

import msgspec

from fleetkit.model import MarginMode
from fleetkit.orders import netting
from fleetkit.orders.gone import judge_gone
from fleetkit.orders.readings import (
    BeforeSnapshot,
    Claims,
    Rules,
    SeenPosition,
    Sighting,
    Sought,
    related_symbols,
    same_symbol,
    total_closed,
)
from fleetkit.orders.rivals import NewTicket, is_contested
from fleetkit.orders.verdicts import Executed, Undecided, Verdict, quiet_pair
from fleetkit.trading import Evidence, OrderKind


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket that was not there before, as all readings together show it."""

    ticket: int
    volume: Decimal  # the most that was ever open and closed of it
    price: float | None
    sl: Decimal | None
    tp: Decimal | None
    fits: bool  # symbol, side, volume and time are this order's
    resembles: bool  # enough to forbid the conclusion that nothing was executed
    new: NewTicket  # what another order must fit to have opened it


def judge(
    order: Sought,
    before: BeforeSnapshot,
    sightings: Sequence[Sighting],
    *,
    claims: Claims,
    rules: Rules,
) -> Verdict:
    """Say what all readings since the order was sent prove together."""
    mine = [each for each in sightings if each.account == before.account]
    if not mine:
        return Undecided("Nothing was read from this account since the order was sent.")
    if order.kind is OrderKind.OPEN:
        nets = before.margin_mode is MarginMode.NETTING
        judge_open = netting.judge_open if nets else _judge_open
        return judge_open(order, before, mine, claims, rules)
    found = _judge_change(order, before, mine, claims, rules)
    if isinstance(found, Undecided):
        return judge_gone(order, before, mine, claims, rules) or found
    return found


def _judge_change(
    order: Sought,
    before: BeforeSnapshot,
    sightings: Sequence[Sighting],
    claims: Claims,
    rules: Rules,
) -> Verdict:
    """Judge a close or modify by its position."""
    if order.kind is OrderKind.MODIFY:
        return _judge_modify(order, before, sightings, rules)
    nets = before.margin_mode is MarginMode.NETTING
    if nets and before.position(order.ticket) is not None:
        return netting.judge_close(order, before, sightings, claims, rules)
    return _judge_close(order, before, sightings, claims, rules)


def _judge_open(
    order: Sought,
    before: BeforeSnapshot,
    sightings: Sequence[Sighting],
    claims: Claims,
    rules: Rules,
) -> Verdict:
    found = tuple(new_tickets(order, before, sightings, rules))
    free = [each for each in found if each.fits and each.ticket not in claims.tickets]
    # A ticket that another order was only inferred to have may be this one's after all.
    doubtful = [
        each
        for each in found
        if each.resembles and (each.ticket not in claims.tickets or each.ticket in claims.inferred)
    ]
    listed = tuple(each.ticket for each in doubtful)
    is_refuted = before.is_refuted(sightings, claims.older)
    only = free[0] if len(free) == 1 else None
    if only and not is_refuted and not is_contested(only.new, before, claims):
        return Executed(
            Evidence.INFERRED,
            ticket=only.ticket,
            filled_volume=_filled(order, only, claims),
            price=only.price,
            sl=only.sl,
            tp=only.tp,
        )
    if doubtful:
        return Undecided(_doubt(len(free), is_refuted=is_refuted), candidates=listed)
    return _judge_absent_open(before, sightings, rules)


def _filled(order: Sought, found: Candidate, claims: Claims) -> Decimal | None:
    """How much of an open was filled; of a part only where no close has made it less since."""
    is_less = found.volume != order.volume and found.ticket in claims.closing
    return None if is_less else found.volume


def _doubt(fitting: int, *, is_refuted: bool) -> str:
    """Why none of the tickets that look new is told to be an open's."""
    if is_refuted:
        return "What was open before was not read right, so a ticket may only look new."
    if fitting == 0:
        return "New tickets resemble this order without fitting it, or are another order's."
    if fitting == 1:
        return "Another unsettled order may have opened it."
    return f"{fitting} new tickets fit, and one of them at most is this order's."


def _judge_absent_open(
    before: BeforeSnapshot, sightings: Sequence[Sighting], rules: Rules
) -> Verdict:
    if not before.has_control:
        return Undecided(
            "The account was flat before, so an empty list proves nothing; only a position, a "
            "closed trade or a person can settle this."
        )
    # Nothing may have moved in any reading: a stop hit in between moves balance and history.
    moved = next((each for each in sightings if each.newly_closed(before)), None)
    if moved is not None:
        return Undecided("Trades were closed since; one of them may have been this order's.")
    if any(each.balance_is_unchanged(before) is False for each in sightings):
        return Undecided("The balance moved since, and no trade explains it yet.")
    quiet = [each for each in sightings if is_quiet(before, each)]
    return quiet_pair(quiet, rules, Evidence.ABSENCE) or Undecided(
        "Nothing new is there yet; it is too early to conclude that nothing was executed."
    )


def is_quiet(before: BeforeSnapshot, sighting: Sighting) -> bool:
    """Whether one round of reads shows, under positive control, that nothing happened."""
    return (
        sighting.is_controlled(before)
        and sighting.history_is_read(before)
        and not sighting.newly_closed(before)
        and sighting.balance_is_unchanged(before) is True
    )


def new_tickets(
    order: Sought, before: BeforeSnapshot, sightings: Sequence[Sighting], rules: Rules
) -> Iterator[Candidate]:
    """Every ticket in any reading that was not there before and may be the order's.

    Open positions and closed trades alike: a stop may be hit before we look.
    """
    open_now: dict[int, list[SeenPosition]] = {}
    for sighting in sightings:
        for position in sighting.listed.values():
            open_now.setdefault(position.ticket, []).append(position)
    closed = {
        trade.position_id: sighting for sighting in sightings for trade in sighting.history or ()
    }
    for ticket in sorted((open_now.keys() | closed.keys()) - before.old_tickets):
        yield _candidate(order, ticket, open_now.get(ticket, []), closed.get(ticket), rules)


def _candidate(
    order: Sought,
    ticket: int,
    positions: Sequence[SeenPosition],
    last: Sighting | None,
    rules: Rules,
) -> Candidate:
    """One new ticket. ``last`` is the latest sighting that shows it closed, wholly or partly."""
    trades = [t for t in (last.history or () if last else ()) if t.position_id == ticket]
    closed = sum((trade.volume for trade in trades), Decimal(0))
    still_open = last.listed.get(ticket) if last else None
    whole = closed + (still_open.volume if still_open else 0)
    volume = max([whole, *(position.volume for position in positions)])
    first = positions[0] if positions else None
    symbol = first.symbol if first else trades[0].symbol
    side = first.side if first else trades[0].side
    opened = first.open_time if first else trades[0].entry_time
    wanted = order.volume
    enough = wanted is not None and 0 < volume <= wanted
    in_time = rules.window is None or rules.window.holds(opened)
    new = NewTicket(
        ticket=ticket,
        side=side,
        at_least=max([closed, *(position.volume for position in positions)]),
        opened=opened,
        was_open=first is not None,
    )
    fits_volume = volume == wanted or (order.partly and enough)
    fits = same_symbol(symbol, order.symbol) and side is order.side and fits_volume and in_time
    return Candidate(
        ticket=ticket,
        volume=volume,
        price=first.open_price if first else trades[0].entry_price,
        sl=positions[-1].sl if positions else None,
        tp=positions[-1].tp if positions else None,
        fits=fits,
        resembles=fits or (related_symbols(symbol, order.symbol) and side is order.side and enough),
        new=new,
    )


def _judge_close(
    order: Sought,
    before: BeforeSnapshot,
    sightings: Sequence[Sighting],
    claims: Claims,
    rules: Rules,
) -> Verdict:
    ticket = order.ticket
    was = before.position(ticket)
    if order.volume is not None and was is not None and order.volume < was.volume:
        return _judge_partial_close(order, was, sightings, claims, rules)
    for sighting in sightings:
        executed = _closed(sighting, before, ticket, was)
        if executed is not None:
            # It is closed, which is what this order wanted. How much of it was this one's
            # doing is not known where another close of it may have done a part.
            told = None if ticket in claims.closing else executed.filled_volume
            return msgspec.structs.replace(executed, filled_volume=told)
    unchanged = [
        each
        for each in sightings
        if was is not None
        and was.ticket in each.listed
        and each.listed[was.ticket].volume == was.volume
    ]
    reduced = [each for each in sightings if was and _reduction(each, was)]
    if reduced and was is not None:
        if order.partly and ticket not in claims.closing:
            return Executed(
                Evidence.INFERRED, ticket=ticket, filled_volume=_reduction(reduced[-1], was)
            )
        return Undecided("A part of the position was closed, by this order or by a person.")
    return quiet_pair(unchanged, rules, Evidence.POSITION) or Undecided(
        "The position is not shown closed, and not shown unchanged for long enough."
    )


def _closed(
    sighting: Sighting, before: BeforeSnapshot, ticket: int | None, was: SeenPosition | None
) -> Executed | None:
    """Whether one round of reads shows a position closed as a whole."""
    if ticket is None or ticket in sighting.listed:
        return None
    trades = sighting.closed_since(before, ticket)
    closed = total_closed(trades, before)
    if trades and (was is None or closed >= was.volume):
        closed = closed if was is None else was.volume
        price = trades[0].exit_price if len(trades) == 1 else None
        return Executed(Evidence.HISTORY, ticket=ticket, filled_volume=closed, price=price)
    gone = (
        was is not None
        and sighting.is_controlled(before, but=ticket)
        and sighting.balance_is_unchanged(before) is False
    )
    if gone and was is not None:
        return Executed(Evidence.BALANCE, ticket=ticket, filled_volume=was.volume)
    return None


def _judge_partial_close(
    order: Sought,
    was: SeenPosition,
    sightings: Sequence[Sighting],
    claims: Claims,
    rules: Rules,
) -> Verdict:
    listed = [each for each in sightings if was.ticket in each.listed]
    unchanged = [each for each in listed if each.listed[was.ticket].volume == was.volume]
    for sighting in listed:
        reduction = _reduction(sighting, was)
        # A person may have closed as much in the same moment: inferred, and said to be.
        fits = reduction == order.volume or (order.partly and 0 < reduction < (order.volume or 0))
        if fits and was.ticket not in claims.closing:
            return Executed(Evidence.INFERRED, ticket=was.ticket, filled_volume=reduction)
    if len(unchanged) < len(listed):
        return Undecided("The position was reduced, but not surely by this order alone.")
    return quiet_pair(unchanged, rules, Evidence.POSITION) or Undecided(
        "The position is not shown reduced, and not shown unchanged for long enough."
    )


def _reduction(sighting: Sighting, was: SeenPosition) -> Decimal:
    now = sighting.listed.get(was.ticket)
    return Decimal(0) if now is None else was.volume - now.volume


def _judge_modify(
    order: Sought, before: BeforeSnapshot, sightings: Sequence[Sighting], rules: Rules
) -> Verdict:
    was = before.position(order.ticket)
    seen = [
        (sighting, sighting.listed[order.ticket])
        for sighting in sightings
        if order.ticket is not None and order.ticket in sighting.listed
    ]
    for _, position in seen:
        if has_stops(order, position):
            return Executed(Evidence.POSITION, ticket=order.ticket, sl=position.sl, tp=position.tp)
    if not seen:
        return Undecided("The position was not shown since, so its stops cannot be read back.")
    unchanged = [
        each for each, now in seen if was is not None and (now.sl, now.tp) == (was.sl, was.tp)
    ]
    if was is None or len(unchanged) < len(seen):
        return Undecided("The stops are neither those asked for nor those of before.")
    return quiet_pair(unchanged, rules, Evidence.POSITION) or Undecided(
        "The stops are still those of before; it is too early to conclude."
    )


def has_stops(order: Sought, position: SeenPosition) -> bool:
    """Whether a position's stops are those an order asks for; ``None`` asks for nothing."""
    return _is_at(position.sl, order.sl, order.tolerance) and _is_at(
        position.tp, order.tp, order.tolerance
    )


def _is_at(found: Decimal | None, asked: Decimal | None, tolerance: Decimal) -> bool:
    return asked is None or abs((found or Decimal(0)) - asked) <= tolerance
