"""Evidence on netting accounts: the signed volume of a symbol, never tickets.

Why: a netting account has one position a symbol, and adding, reducing, reversal and
rollover keep or change its ticket as they like (T5, T14). May import `readings`,
`rivals` and `verdicts`. The trap: a person's trade in the same symbol adds to ours. Whatever is not
exactly no change or exactly this order's change is ambiguous.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from fleetkit.model import Side
from fleetkit.orders.readings import (
    BeforeSnapshot,
    Claims,
    Rules,
    SeenPosition,
    SeenTrade,
    Sighting,
    Sought,
    related_symbols,
    same_symbol,
    signed,
    total_closed,
)
from fleetkit.orders.rivals import may_have_changed
from fleetkit.orders.verdicts import Executed, Undecided, Verdict, quiet_pair
from fleetkit.trading import Evidence

NOT_READ: Final = "What was open before was not read right, so no change can be told."


def judge_open(
    order: Sought,
    before: BeforeSnapshot,
    sightings: Sequence[Sighting],
    claims: Claims,
    rules: Rules,
) -> Verdict:
    """Judge an open by how the signed volume of its symbol changed."""
    wanted = (order.volume or Decimal(0)) * (1 if order.side is Side.BUY else -1)
    changes = _changes(order.symbol, before, sightings)
    moved = {change for change, _ in changes if change}
    closed = _new_trades(order.symbol, before, sightings)
    listed = tuple(sorted({trade.position_id for trade in closed} | _tickets(order, changes)))
    if before.is_refuted(sightings, claims.older):
        return Undecided(NOT_READ, candidates=listed)
    alone = not may_have_changed(before, claims) and _only_reduces(order, before, closed, wanted)
    if moved and alone and _all_fit(moved, wanted, order.partly):
        change, last = next(pair for pair in reversed(changes) if pair[0])
        now = _position(last, order.symbol)
        return Executed(
            Evidence.INFERRED,
            ticket=None if now is None else now.ticket,
            filled_volume=abs(change),
            # Of a position that was only added to, the price is an average.
            price=None if now is None or _held(order.symbol, before) else now.open_price,
            sl=None if now is None else now.sl,
            tp=None if now is None else now.tp,
        )
    stopped = None if claims.rivals else _stopped(order, before, closed, moved, wanted, claims)
    if stopped is not None:
        return stopped
    if moved or closed:
        return Undecided(
            "The symbol's volume changed, but not by this order alone.", candidates=listed
        )
    return _judge_quiet(order, before, sightings, rules)


def judge_close(
    order: Sought,
    before: BeforeSnapshot,
    sightings: Sequence[Sighting],
    claims: Claims,
    rules: Rules,
) -> Verdict:
    """Judge a close of a position that was open before."""
    was = before.position(order.ticket)
    assert was is not None  # narrows for mypy; the caller asked
    wanted = was.volume if order.volume is None else min(order.volume, was.volume)
    whole = wanted == was.volume
    contested = may_have_changed(before, claims)
    shared = was.ticket in claims.closing
    changes = _changes(was.symbol, before, sightings)
    target = -wanted if was.side is Side.BUY else wanted
    moved = {change for change, _ in changes if change}
    closed = [trade for each in sightings for trade in each.closed_since(before, was.ticket)]
    for sighting in sightings:
        trades = sighting.closed_since(before, was.ticket)
        gone = _position(sighting, was.symbol) is None
        if whole and gone and total_closed(trades, before) >= was.volume:
            price = trades[0].exit_price if len(trades) == 1 else None
            # It is closed, but any other order of the symbol may have done a part of it.
            alone = not (contested or shared)
            return Executed(Evidence.HISTORY, was.ticket, was.volume if alone else None, price)
    if moved == {target} and not contested and (whole or not shared):
        evidence = Evidence.BALANCE if whole else Evidence.INFERRED
        return Executed(evidence, was.ticket, None if shared else wanted)
    if moved or closed:
        return Undecided("The symbol's volume changed, but not by this order alone.")
    # A person may have bought back what our close sold, or bought as much before it: the
    # volume and even the ticket are the same then, but any close moves the balance.
    quiet = [
        sighting
        for change, sighting in changes
        if not change and sighting.balance_is_unchanged(before)
    ]
    return quiet_pair(quiet, rules, Evidence.POSITION) or Undecided(
        "The symbol's volume is not shown unchanged for long enough."
    )


def _judge_quiet(
    order: Sought, before: BeforeSnapshot, sightings: Sequence[Sighting], rules: Rules
) -> Verdict:
    if not before.has_control:
        return Undecided(
            "The account was flat before, so an empty list proves nothing; only a position, a "
            "closed trade or a person can settle this."
        )
    for each in sightings:
        if each.newly_closed(before):
            return Undecided("Trades were closed since; one of them may have been this order's.")
        if each.balance_is_unchanged(before) is False:
            return Undecided("The balance moved since, and no trade explains it yet.")
        if _strangers(order, before, each):
            return Undecided("A new position of a similar symbol may be this order's.")
    quiet = [
        each
        for each in sightings
        if _is_controlled(before, each)
        and signed(each.positions or (), order.symbol) == signed(before.positions, order.symbol)
        and each.history_is_read(before)
        and each.balance_is_unchanged(before) is True
    ]
    return quiet_pair(quiet, rules, Evidence.ABSENCE) or Undecided(
        "Nothing changed yet; it is too early to conclude that nothing was executed."
    )


def _changes(
    symbol: str | None, before: BeforeSnapshot, sightings: Sequence[Sighting]
) -> list[tuple[Decimal, Sighting]]:
    """By how much the symbol's signed volume differs in each reading that can tell."""
    was = signed(before.positions, symbol)
    found = []
    for sighting in sightings:
        if _position(sighting, symbol) is None and not _shows_absence(symbol, before, sighting):
            continue
        found.append((signed(sighting.positions or (), symbol) - was, sighting))
    return found


def _shows_absence(symbol: str | None, before: BeforeSnapshot, sighting: Sighting) -> bool:
    """Whether a list without the symbol proves that it is flat.

    Another symbol that was held must be there. Where ours was held, it went, and that
    moves the balance.
    """
    others = {each.symbol for each in before.positions if not same_symbol(each.symbol, symbol)}
    listed = {each.symbol for each in sighting.positions or ()}
    if not others or not others <= listed:
        return False
    return not _held(symbol, before) or sighting.balance_is_unchanged(before) is False


def _is_controlled(before: BeforeSnapshot, sighting: Sighting) -> bool:
    """Whether every symbol that was held is shown with the same signed volume."""
    listed = sighting.positions or ()
    symbols = {each.symbol for each in before.positions}
    return bool(symbols) and all(
        signed(listed, symbol) == signed(before.positions, symbol) for symbol in symbols
    )


def _strangers(order: Sought, before: BeforeSnapshot, sighting: Sighting) -> bool:
    return any(
        position.ticket not in before.old_tickets
        and not _held(position.symbol, before)
        and related_symbols(position.symbol, order.symbol)
        for position in sighting.positions or ()
    )


def _stopped(
    order: Sought,
    before: BeforeSnapshot,
    closed: Sequence[SeenTrade],
    moved: set[Decimal],
    wanted: Decimal,
    claims: Claims,
) -> Executed | None:
    """A position that this order opened and a stop closed before we looked."""
    if _held(order.symbol, before) or len(closed) != 1:
        return None
    trade = closed[0]
    volume = trade.volume if trade.side is Side.BUY else -trade.volume
    fits = _all_fit(moved | {volume}, wanted, order.partly)
    if not fits or trade.position_id in claims.tickets | before.old_tickets:
        return None
    return Executed(
        Evidence.INFERRED,
        ticket=trade.position_id,
        filled_volume=trade.volume,
        price=trade.entry_price,
    )


def _only_reduces(
    order: Sought, before: BeforeSnapshot, closed: Sequence[SeenTrade], wanted: Decimal
) -> bool:
    """Whether all that was closed is what an order against a held position itself closes."""
    total = sum((trade.volume for trade in closed), Decimal(0))
    return total <= abs(wanted) and all(
        trade.position_id in before.tickets and trade.side is not order.side for trade in closed
    )


def _all_fit(changes: set[Decimal], wanted: Decimal, partly: bool) -> bool:
    """Whether every change ever seen can be this order's, wholly or, if it was said, partly."""
    if not changes or not wanted:
        return False
    if not partly:
        return changes == {wanted}
    return len(changes) == 1 and all(0 < change / wanted <= 1 for change in changes)


def _new_trades(
    symbol: str | None, before: BeforeSnapshot, sightings: Sequence[Sighting]
) -> list[SeenTrade]:
    """The symbol's closed trades that the history before did not have, from the latest reading."""
    for sighting in reversed(sightings):
        new = sighting.newly_closed(before)
        found = [
            trade
            for trade in sighting.history or ()
            if trade.position_id in new and same_symbol(trade.symbol, symbol)
        ]
        if found:
            return found
    return []


def _position(sighting: Sighting, symbol: str | None) -> SeenPosition | None:
    listed = sighting.positions or ()
    return next((each for each in listed if same_symbol(each.symbol, symbol)), None)


def _held(symbol: str | None, before: BeforeSnapshot) -> bool:
    return any(same_symbol(each.symbol, symbol) for each in before.positions)


def _tickets(order: Sought, changes: Sequence[tuple[Decimal, Sighting]]) -> set[int]:
    found = (_position(sighting, order.symbol) for change, sighting in changes if change)
    return {position.ticket for position in found if position is not None}
