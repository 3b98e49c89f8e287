"""Whose a new ticket is while other orders are not settled: what each cannot have opened."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetkit.model import Side
from fleetkit.orders.evidence import judge
from fleetkit.orders.readings import (
    BeforeSnapshot,
    Claims,
    Contender,
    Rules,
    Sighting,
    Sought,
    window,
)
from fleetkit.orders.verdicts import Executed, NotExecuted, Undecided
from fleetkit.trading import Evidence, OrderKind
from tests.unit.orders_terminal import SENT, Book, lots, position, sighting, snapshot, trade

LATE_S = 75.0  # deadline and grace
RULES = Rules(grace_s=45.0, not_before=LATE_S)
OPEN = Sought(kind=OrderKind.OPEN, symbol="EURUSD", side=Side.BUY, volume=lots(5))
SAME = Contender(side=Side.BUY, volume=lots(5))
OTHER = position(60, "XAUUSD")
OLD = (trade(1), trade(2))
BOUNDS = {"skew_s": 5.0, "deadline_s": 30.0, "grace_s": 45.0, "zone_known": True}


def verdict(before, *sightings, rivals=(SAME,), order=OPEN):
    claims = Claims(rivals=bool(rivals), contenders=tuple(rivals))
    return judge(order, before, sightings, claims=claims, rules=RULES)


def is_ours(found):
    return isinstance(found, Executed) and (found.ticket, found.evidence) == (
        100,
        Evidence.INFERRED,
    )


def of_contender(**changes):
    return msgspec.structs.replace(SAME, **changes)


OPENED = sighting(1, [OTHER, position(100)], OLD)


@pytest.mark.parametrize(
    ("rival", "ours"),
    [
        (SAME, False),
        (of_contender(side=Side.SELL), True),
        (of_contender(side=None), False),
        (of_contender(volume=lots(4)), True),
        (of_contender(volume=lots(6)), False),
        (of_contender(volume=None), False),
        (of_contender(old_tickets=frozenset({60, 100})), True),
        (of_contender(old_tickets=frozenset({60, 99})), False),
        (of_contender(is_over=True), True),
    ],
)
def test_a_rival_that_cannot_have_opened_a_ticket_leaves_it_to_this_order(rival, ours):
    """By side, by a volume that is too small, by the ticket's age; a part of more it may be."""
    before = snapshot([OTHER])
    assert is_ours(verdict(before, OPENED, rivals=[rival])) is ours
    assert not is_ours(verdict(before, OPENED, rivals=[rival, SAME]))
    assert not is_ours(verdict(before, OPENED, rivals=[SAME, rival]))


def test_rivals_of_whom_nothing_is_known_may_have_opened_anything():
    """As a kernel of an earlier fleetkit tells of them."""
    found = judge(OPEN, snapshot([OTHER]), [OPENED], claims=Claims(rivals=True), rules=RULES)
    assert isinstance(found, Undecided)
    assert found.candidates == (100,)


OVER = of_contender(is_over=True)


@pytest.mark.parametrize(
    "before",
    [
        snapshot([]),
        snapshot([], known_tickets=frozenset({60})),
        snapshot([OTHER], known_tickets=frozenset({61})),
    ],
    ids=["empty", "refuted", "lacking"],
)
def test_what_a_wrong_list_of_before_lacks_may_be_as_old_as_a_rival(before):
    """Then that the rival was too late for this order's time says nothing (T2)."""
    assert not is_ours(verdict(before, OPENED, rivals=[OVER]))


def test_what_only_the_history_shows_may_be_as_old_as_a_rival():
    """A trade appears in it late (T8); a position that is open now was opened after the list."""
    before = snapshot([OTHER])
    stopped = sighting(1, [OTHER], [*OLD, trade(100)], "990.00")
    assert not is_ours(verdict(before, stopped, rivals=[OVER]))
    assert is_ours(verdict(before, stopped, rivals=[of_contender(side=Side.SELL)]))
    assert is_ours(verdict(before, OPENED, stopped, rivals=[OVER]))


def test_a_moment_within_the_rivals_own_time_keeps_it_a_rival():
    """The two clocks contradict each other then, and neither is believed."""
    now = position(100, open_time=SENT)
    seen = sighting(1, [OTHER, now], OLD)
    long_ago = window(SENT - timedelta(minutes=5), **BOUNDS)
    just_now = window(SENT - timedelta(seconds=60), **BOUNDS)
    before = snapshot([OTHER])
    assert is_ours(verdict(before, seen, rivals=[of_contender(is_over=True, window=long_ago)]))
    assert not is_ours(verdict(before, seen, rivals=[of_contender(is_over=True, window=just_now)]))
    # Alone a moment proves nothing: our clock may have been wrong when the rival was sent.
    assert not is_ours(verdict(before, seen, rivals=[of_contender(window=long_ago)]))


def test_a_partly_closed_ticket_is_measured_by_what_was_surely_open_of_it():
    """Read between two closes, open and closed lots can add up to more than it ever had."""
    before, order = snapshot([OTHER]), msgspec.structs.replace(OPEN, volume=lots(8))
    between = sighting(1, [OTHER, position(100, tenths=5)], [*OLD, trade(100, tenths=3)], "990.00")
    assert not is_ours(verdict(before, between, rivals=[SAME], order=order))
    assert is_ours(verdict(before, between, rivals=[of_contender(volume=lots(4))], order=order))


@pytest.mark.parametrize(
    ("rivals", "mine"), [((OVER,), True), ((SAME,), False), ((OVER, SAME), False)]
)
def test_on_netting_an_order_that_was_over_before_changes_nothing_since(rivals, mine):
    """What it did is in the volume of before, if that was read right."""
    held = position(50, tenths=3)
    before = snapshot([held, OTHER], mode="netting")
    grown = sighting(1, [position(50, tenths=8), OTHER])
    assert isinstance(verdict(before, grown, rivals=rivals), Executed) is mine
    lacking = msgspec.structs.replace(before, known_tickets=frozenset({61}))
    assert isinstance(verdict(lacking, grown, rivals=rivals), Undecided)
    close = Sought(kind=OrderKind.CLOSE, ticket=50)
    gone = sighting(1, [OTHER], OLD, "990.00")
    assert isinstance(verdict(before, gone, rivals=rivals, order=close), Executed) is mine


def test_on_netting_a_stopped_position_may_be_of_an_order_that_was_over():
    """Only the history shows it, and that lags."""
    before = snapshot([OTHER], mode="netting")
    stopped = sighting(1, [OTHER], [*OLD, trade(100)], "990.00")
    assert not is_ours(verdict(before, stopped, rivals=[OVER]))
    assert is_ours(verdict(before, stopped, rivals=[]))


@pytest.mark.parametrize("mode", ["hedging", "netting"])
def test_a_list_of_before_that_lacks_what_an_older_order_opened_was_wrong(mode):
    """A process that was started anew knows no tickets but those in the journal."""
    before, both = snapshot([], mode=mode), [OTHER, position(100)]
    told = Claims(tickets=frozenset({60}), older=frozenset({60}))
    found = judge(OPEN, before, [sighting(1, both)], claims=told, rules=RULES)
    assert isinstance(found, Undecided)
    gone = judge(OPEN, before, [sighting(1, both[1:])], claims=told, rules=RULES)
    assert is_ours(gone)


# Many orders of one account, and nobody else in it


@dataclass
class Own:
    """One own open on its way."""

    sought: Sought
    before: BeforeSnapshot
    sent_at: float
    late_at: float | None  # when it is executed; None is never
    ticket: int | None = None
    seen: list[Sighting] = field(default_factory=list)
    found: Executed | NotExecuted | None = None
    found_at: float = 0.0
    over: list[Own] = field(default_factory=list)  # what could not come any more before it

    def is_rival_of(self, other: Own, *, nets: bool) -> bool:
        """As the journal says it."""
        done = nets and isinstance(self.found, Executed) and self.found_at >= other.sent_at
        return self is not other and (self.found is None or done)

    def is_settled_before(self, other: Own) -> bool:
        return isinstance(self.found, Executed) and self.found_at < other.sent_at

    def contender(self, other: Own) -> Contender:
        return Contender(
            side=self.sought.side,
            volume=self.sought.volume,
            old_tickets=self.before.old_tickets,
            is_over=any(self is each for each in other.over),
        )


class Trader:
    """A kernel that sends opens, forgets what it knew now and then, and reconciles."""

    def __init__(self, *, nets):
        self.book, self.now, self.orders = Book(nets=nets), 0.0, []
        self.book.buy_or_sell("XAUUSD", Side.BUY, 2)

    def let_pass(self, seconds):
        self.now += seconds
        for each in self.orders:
            if each.ticket is None and each.late_at is not None and each.late_at <= self.now:
                self._execute(each)

    def _execute(self, each):
        sought = each.sought
        each.ticket = self.book.buy_or_sell(sought.symbol, sought.side, int(sought.volume * 10))

    def send(self, side, tenths, fate, is_empty, forgets):
        sought = Sought(kind=OrderKind.OPEN, symbol="EURUSD", side=side, volume=lots(tenths))
        before = self.book.before(is_empty=is_empty)
        if forgets:
            before = msgspec.structs.replace(before, known_tickets=frozenset())
        late_at = None if fate is None else self.now + fate
        order = Own(sought, before, self.now, late_at)
        order.over += [o for o in self.orders if o.found is None and self.now >= o.sent_at + LATE_S]
        self.orders.append(order)
        if fate == 0:
            self._execute(order)

    def close(self, index, tenths):
        tickets = sorted(self.book.open)
        self.book.close(tickets[index % len(tickets)], None if tenths is None else lots(tenths))

    def look(self, index, faults):
        order = self.orders[index % len(self.orders)]
        if order.found is not None:
            return
        order.seen.append(self.book.look(self.now, faults=faults))
        nets = self.book.nets
        told = [e.found for e in self.orders if e is not order and isinstance(e.found, Executed)]
        done = frozenset(each.ticket for each in told if each.ticket is not None)
        rivals = [e.contender(order) for e in self.orders if e.is_rival_of(order, nets=nets)]
        claims = Claims(
            tickets=done,
            inferred=done,
            older=frozenset(e.found.ticket for e in self.orders if e.is_settled_before(order)),
            rivals=bool(rivals),
            contenders=tuple(rivals),
        )
        rules = Rules(grace_s=45.0, not_before=order.sent_at + LATE_S)
        found = judge(order.sought, order.before, order.seen, claims=claims, rules=rules)
        if isinstance(found, Undecided):
            return
        order.found, order.found_at = found, self.now
        if isinstance(found, NotExecuted):
            assert order.late_at is None
        else:
            assert order.ticket is not None
            assert found.ticket == order.ticket or self.book.nets


sends = st.tuples(
    st.just("send"), st.sampled_from(Side), st.sampled_from((2, 3, 5)),
    st.sampled_from((0, 0, 0, 1, 30, 74, None)), st.booleans(), st.booleans(),
)  # fmt: skip
closes = st.tuples(st.just("close"), st.integers(0, 5), st.sampled_from((None, 1, 2)))
looks = st.tuples(
    st.just("look"), st.integers(0, 5),
    st.just(set()) | st.sets(st.sampled_from(("no positions", "no history", "lag")), max_size=2),
)  # fmt: skip
acts = st.lists(
    st.tuples(st.sampled_from((0, 1, 20, 46, 80)), sends | closes | looks | looks),
    min_size=4,
    max_size=14,
)


@settings(max_examples=800)
@given(acts, st.booleans())
def test_among_own_orders_each_is_told_its_own_ticket(actions, nets):
    """Late, never or at once, with wrong lists and partial closes in between, in both modes."""
    trader = Trader(nets=nets)
    for wait, (what, *arguments) in actions:
        trader.let_pass(wait)
        if what == "close" and (nets or not trader.book.open):
            continue  # on netting anybody's trade may be taken for an order's
        if what == "look" and not trader.orders:
            continue
        getattr(trader, what)(*arguments)
