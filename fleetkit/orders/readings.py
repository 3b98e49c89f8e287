"""What was seen of an account before an order and after it.

Why: evidence compares readings, and these are their only forms. May import `model`
and `trading`. The trap: a reading under another account number, and an empty list,
are no reading at all (T1, T2, T3); `Sighting.listed` and `Sighting.is_controlled` say
which lists count and for what.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Context, Decimal
from typing import Final

import msgspec

from fleetkit.model import MarginMode, Side
from fleetkit.trading import OrderKind

CENT: Final = Decimal("0.01")
ANY_FLOAT: Final = Context(prec=400)  # an agent may write any balance, 1e300 too


class SeenPosition(msgspec.Struct, frozen=True, kw_only=True):
    """An open position, without what the market moves every second.

    Volumes are compared exactly: make them with `classify.lots`.
    """

    ticket: int
    symbol: str
    side: Side
    volume: Decimal
    sl: Decimal | None = None
    tp: Decimal | None = None
    open_time: datetime | None = None  # UTC; means something only where the zone is known
    open_price: float | None = None

    @property
    def signed(self) -> Decimal:
        """Lots, negative where sold."""
        return self.volume if self.side is Side.BUY else -self.volume


class SeenTrade(msgspec.Struct, frozen=True, kw_only=True):
    """A closed trade; ``side`` is that of the position.

    A history with a trade that has no position_id counts as not read at all.
    """

    position_id: int
    symbol: str
    side: Side
    volume: Decimal
    entry_time: datetime | None = None
    entry_price: float | None = None
    exit_price: float | None = None


class BeforeSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The account in the same hold of the lane as the send, stored with the intent.

    Attributes
    ----------
    known_tickets : frozenset of int
        Tickets that were seen at any time before, in the last good answers too. None
        of them can be this order's, also where the list below was wrongly empty (T2).
    closed_ids : frozenset of int or None
        Every position_id in the history of the window; ``None`` where it was not read.
    closed_volume : decimal.Decimal
        Of a close: lots of its position that the history showed closed already.
    zone_known : bool
        Whether the agent's times mean something; only then are they evidence (T7).
    over : frozenset of str
        Unknown orders of the account that could not be executed any more when the list
        was asked for, however late (T13). Whatever came since is not theirs.
    """

    account: int
    as_of: datetime
    margin_mode: MarginMode
    positions: tuple[SeenPosition, ...] = ()
    balance: Decimal | None = None
    closed_ids: frozenset[int] | None = None
    known_tickets: frozenset[int] = frozenset()
    closed_volume: Decimal = Decimal(0)
    zone_known: bool = False
    over: frozenset[str] = frozenset()

    @property
    def has_control(self) -> bool:
        """Whether anything was open; without it no list can show an absence (T2)."""
        return bool(self.positions)

    @property
    def tickets(self) -> frozenset[int]:
        """What was open."""
        return frozenset(position.ticket for position in self.positions)

    @property
    def old_tickets(self) -> frozenset[int]:
        """Tickets that cannot be a new order's."""
        return self.tickets | self.known_tickets | (self.closed_ids or frozenset())

    def position(self, ticket: int | None) -> SeenPosition | None:
        """The position of that ticket, where it was open."""
        return next((each for each in self.positions if each.ticket == ticket), None)

    def is_real(self, *, but: int | None = None) -> bool:
        """Whether the list was surely no failing terminal's (T2).

        It shows a position, and every ticket that was known earlier and not found closed.
        """
        expected = self.known_tickets - (self.closed_ids or frozenset()) - {but}
        return self.has_control and expected <= self.tickets

    def is_refuted(self, sightings: Iterable[Sighting], also: frozenset[int] = frozenset()) -> bool:
        """Whether a position that was known earlier is there, and this list lacks it (T2).

        ``also`` are tickets that others tell to have been there.
        """
        lacking = (self.known_tickets | also) - self.tickets
        return any(not lacking.isdisjoint(each.listed) for each in sightings)


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """What one round of reads saw; ``None`` is what was not read.

    Positions are to be read first, the history next and the balance last: what is
    executed and stopped in between then still shows in one of the later two.

    Attributes
    ----------
    at : float
        The Clock's elapsed seconds when the *first* of its reads was answered.
    account : int
        The number that every reply of this round carried. Replies with another one
        are to be left out, or the sighting counts for nothing.
    """

    at: float
    account: int
    positions: tuple[SeenPosition, ...] | None = None
    history: tuple[SeenTrade, ...] | None = None
    balance: Decimal | None = None

    @property
    def listed(self) -> dict[int, SeenPosition]:
        """The positions that were seen, by ticket. What is missing here proves nothing."""
        return {position.ticket: position for position in self.positions or ()}

    def newly_closed(self, before: BeforeSnapshot) -> frozenset[int]:
        """Position ids in the history that the history before did not have."""
        ids = frozenset(trade.position_id for trade in self.history or ())
        return ids - (before.closed_ids or frozenset())

    def is_controlled(self, before: BeforeSnapshot, *, but: int | None = None) -> bool:
        """Whether the list shows every ticket seen before that was not found closed (T2).

        At least one must be there: what is absent from a list that shows nothing it
        should show is not absent.
        """
        expected = before.tickets - self.newly_closed(before) - {but}
        return bool(expected) and expected <= self.listed.keys()

    def history_is_read(self, before: BeforeSnapshot) -> bool:
        """Whether the history was really read: it shows something it showed before (T2)."""
        if self.history is None or before.closed_ids is None:
            return False
        ids = {trade.position_id for trade in self.history}
        return not before.closed_ids or not ids.isdisjoint(before.closed_ids)

    def pruned(self, before: BeforeSnapshot, ticket: int | None = None) -> Sighting:
        """The same without what proves nothing more: known trades, but one and the ticket's."""
        if self.history is None:
            return self
        known = (before.closed_ids or frozenset()) - {ticket}
        new = [trade for trade in self.history if trade.position_id not in known]
        control = [trade for trade in self.history if trade.position_id in known][:1]
        return msgspec.structs.replace(self, history=(*new, *control))

    def closed_since(self, before: BeforeSnapshot, ticket: int) -> tuple[SeenTrade, ...]:
        """The ticket's closed trades, where more of it is closed than before; else none."""
        if before.closed_ids is None:
            return ()
        rows = tuple(trade for trade in self.history or () if trade.position_id == ticket)
        total = sum((trade.volume for trade in rows), Decimal(0))
        return rows if total > before.closed_volume else ()

    def balance_is_unchanged(self, before: BeforeSnapshot) -> bool | None:
        """Whether the balance is that of before, to the cent; ``None`` where one is not known."""
        if self.balance is None or before.balance is None:
            return None
        return cents(self.balance) == cents(before.balance)


class Sought(msgspec.Struct, frozen=True, kw_only=True):
    """The order that readings are searched for.

    Attributes
    ----------
    volume : decimal.Decimal or None
        Lots; ``None`` of a close is all of it.
    sl, tp : decimal.Decimal or None
        Of a modify: the level asked for, 0 to remove, ``None`` to keep.
    partly : bool
        The agent's answer said that a part was executed: a smaller volume fits.
    tolerance : decimal.Decimal
        How far a stop may be from the level asked for: half a point.
    """

    kind: OrderKind
    symbol: str | None = None
    side: Side | None = None
    volume: Decimal | None = None
    ticket: int | None = None
    sl: Decimal | None = None
    tp: Decimal | None = None
    partly: bool = False
    tolerance: Decimal = Decimal("0.000005")


class Window(msgspec.Struct, frozen=True):
    """When a position of this order can have been opened, in UTC."""

    since: datetime
    until: datetime

    def holds(self, moment: datetime | None) -> bool:
        """Whether a moment lies in it; one that is not known may."""
        return moment is None or self.since <= moment <= self.until


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    """Another order that may have to do with what changed; ``None`` is not known.

    Attributes
    ----------
    old_tickets : frozenset of int
        What was there before it was sent is not its doing.
    window : Window or None
        When what it opened can have been opened, by the agent's clock.
    is_over : bool
        It could not be executed any more when the order that is judged looked at the
        account before its own send.
    """

    side: Side | None = None
    volume: Decimal | None = None
    old_tickets: frozenset[int] = frozenset()
    window: Window | None = None
    is_over: bool = False


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What the journal's other orders, of every process, have to do with the readings.

    Attributes
    ----------
    tickets : frozenset of int
        Tickets that other orders are settled on, with whatever evidence.
    inferred : frozenset of int
        Those of them that were only inferred: they may be this order's after all.
    older : frozenset of int
        Those of them whose orders were settled before this one was asked for: where one
        is listed that was not listed before, the list of before was wrong.
    rivals : bool
        Another open on this account and symbol is not settled or was settled as
        filled without a ticket, or, on netting, any other order was executed there
        since the before-snapshot or may have been: what changed may be its doing.
    contenders : tuple of Contender
        Those, one by one; empty where they are not known, and then each may be anything.
    closing : frozenset of int
        Tickets of which another order's close was executed or may have been: what is
        closed of one may be, wholly or partly, the other one's doing.
    was_open : bool
        The ticket of a close or modify had been a position when it was asked for: another
        order, settled well before, was told to have opened it, or listed it.
    """

    tickets: frozenset[int] = frozenset()
    inferred: frozenset[int] = frozenset()
    older: frozenset[int] = frozenset()
    rivals: bool = False
    contenders: tuple[Contender, ...] = ()
    closing: frozenset[int] = frozenset()
    was_open: bool = False


def window(
    sent_at: datetime, *, skew_s: float, deadline_s: float, grace_s: float, zone_known: bool
) -> Window | None:
    """``[sent − skew, sent + deadline + grace]``, or ``None`` where the zone is not known."""
    if not zone_known:
        return None
    since = sent_at - timedelta(seconds=abs(skew_s))
    return Window(since, sent_at + timedelta(seconds=deadline_s + grace_s))


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """When something may be concluded, in the Clock's elapsed seconds.

    Attributes
    ----------
    grace_s : float
        How far two reads must be apart to show together that nothing happened.
    not_before : float
        The trade's deadline plus the grace: what is stuck in a terminal may execute
        until then (T13).
    """

    grace_s: float
    not_before: float
    window: Window | None = None


def cents(money: Decimal) -> Decimal:
    """Money to the cent; agents write binary floats."""
    return money.quantize(CENT, context=ANY_FLOAT)


def same_symbol(one: str | None, other: str | None) -> bool:
    """Whether two names are one symbol; agents may change the case."""
    return one is not None and other is not None and one.casefold() == other.casefold()


def related_symbols(one: str | None, other: str | None) -> bool:
    """Whether an agent may have taken one name for the other: EURUSD and EURUSD.m."""
    if not one or not other:
        return True
    first, second = one.casefold(), other.casefold()
    return first.startswith(second) or second.startswith(first)


def total_closed(trades: Iterable[SeenTrade], before: BeforeSnapshot) -> Decimal:
    """Lots of a close's position that were closed since the snapshot."""
    return sum((trade.volume for trade in trades), Decimal(0)) - before.closed_volume


def signed(positions: Iterable[SeenPosition], symbol: str | None) -> Decimal:
    """The signed volume of one symbol."""
    return sum((each.signed for each in positions if same_symbol(each.symbol, symbol)), Decimal(0))


def collected(seen: tuple[Sighting, ...], new: Sighting) -> tuple[Sighting, ...]:
    """Add a sighting to those kept: of a run of equal ones the first and the last.

    So a wait of hours stays small, and nothing that was ever different is lost.
    """
    if len(seen) >= 2 and _says(seen[-1]) == _says(seen[-2]) == _says(new):
        return (*seen[:-1], new)
    return (*seen, new)


def _says(sighting: Sighting) -> object:
    return sighting.account, sighting.positions, sighting.history, sighting.balance
