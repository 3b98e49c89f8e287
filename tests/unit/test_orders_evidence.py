"""What readings prove: the rules of reconciliation one by one, then against a person."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetkit.model import Side
from fleetkit.orders.evidence import judge
from fleetkit.orders.readings import Claims, Rules, Sought, collected, window
from fleetkit.orders.verdicts import Executed, NotExecuted, Undecided
from fleetkit.trading import Evidence, OrderKind
from tests.unit.orders_terminal import (
    ACCOUNT,
    SENT,
    Book,
    lots,
    position,
    sighting,
    snapshot,
    trade,
)

RULES = Rules(grace_s=45.0, not_before=75.0)
OPEN = Sought(kind=OrderKind.OPEN, symbol="EURUSD", side=Side.BUY, volume=lots(5))
CLOSE = Sought(kind=OrderKind.CLOSE, ticket=50)
OTHER = position(60, "XAUUSD")  # the positive control
OLD = (trade(1), trade(2))


def verdict(order, before, *sightings, claims=Claims(), rules=RULES):  # noqa: B008 - frozen
    return judge(order, before, sightings, claims=claims, rules=rules)


def test_the_only_new_ticket_that_fits_is_inferred():
    """At once, and on an account that was flat before."""
    for before in (snapshot(), snapshot([OTHER])):
        found = verdict(OPEN, before, sighting(1, [*before.positions, position(100)]))
        assert (found.evidence, found.ticket) == (Evidence.INFERRED, 100)
        assert found.filled_volume == lots(5)


@pytest.mark.parametrize(
    "other",
    [position(100, "GBPUSD"), position(100, side=Side.SELL), position(100, tenths=6)],
    ids=["symbol", "side", "volume"],
)
def test_a_ticket_that_does_not_fit_is_not_this_order(other):
    """Nor is one that was there before."""
    assert isinstance(verdict(OPEN, snapshot(), sighting(1, [other])), Undecided)
    old = snapshot([position(100)])
    assert isinstance(verdict(OPEN, old, sighting(1, [position(100)])), Undecided)
    forgotten = snapshot(known_tickets=frozenset({100}))
    assert isinstance(verdict(OPEN, forgotten, sighting(1, [position(100)])), Undecided)


@pytest.mark.parametrize("mode", ["hedging", "netting"])
def test_nothing_is_new_beside_a_list_that_was_wrong_before(mode):
    """It was empty, and what was known earlier is there: the rest may be as old (T2)."""
    wrong = snapshot(mode=mode, known_tickets=frozenset({60}))
    found = verdict(OPEN, wrong, sighting(1, [OTHER, position(100)]))
    assert isinstance(found, Undecided)
    assert found.candidates == (100,)
    # Also where the two are never seen at once.
    apart = [sighting(1, [position(100)]), sighting(9, [OTHER])]
    assert isinstance(verdict(OPEN, wrong, *apart), Undecided)
    closed = snapshot(mode=mode, known_tickets=frozenset({60}))
    assert isinstance(verdict(OPEN, closed, sighting(1, [position(100)])), Executed)


def test_two_candidates_are_both_listed():
    """Seen in one reading or in two: which is ours cannot be told."""
    one, other = position(100), position(101)
    for seen in ([sighting(1, [one, other])], [sighting(1, [one]), sighting(9, [other])]):
        found = verdict(OPEN, snapshot(), *seen)
        assert isinstance(found, Undecided)
        assert found.candidates == (100, 101)


def test_a_claimed_ticket_is_no_candidate_and_an_inferred_claim_leaves_doubt():
    """What another order only inferred may be ours: never conclude that ours was not executed."""
    before = snapshot([OTHER])
    seen = [sighting(at, [OTHER, position(100)], OLD) for at in (1, 80)]
    surely = Claims(tickets=frozenset({100}))
    assert isinstance(verdict(OPEN, before, *seen, claims=surely), NotExecuted)
    perhaps = Claims(tickets=frozenset({100}), inferred=frozenset({100}))
    found = verdict(OPEN, before, *seen, claims=perhaps)
    assert isinstance(found, Undecided)
    assert found.candidates == (100,)
    rivals = verdict(OPEN, before, *seen, claims=Claims(rivals=True))
    assert isinstance(rivals, Undecided)


def test_a_smaller_volume_fits_only_where_the_agent_said_so():
    """Else it may be a person's, and blocks the opposite conclusion as well."""
    before = snapshot([OTHER])
    seen = [sighting(at, [OTHER, position(100, tenths=3)], OLD) for at in (1, 80)]
    found = verdict(OPEN, before, *seen)
    assert isinstance(found, Undecided)
    assert found.candidates == (100,)
    partly = verdict(msgspec.structs.replace(OPEN, partly=True), before, *seen)
    assert (partly.ticket, partly.filled_volume) == (100, lots(3))


def test_the_time_window_counts_only_where_the_zone_is_known():
    """[sent - skew, sent + deadline + grace]."""
    early = position(100, open_time=SENT - timedelta(minutes=3))
    seen = sighting(1, [early])
    bounds = {"skew_s": 5.0, "deadline_s": 30.0, "grace_s": 45.0}
    assert window(SENT, zone_known=False, **bounds) is None
    assert isinstance(verdict(OPEN, snapshot(), seen), Executed)
    rules = Rules(grace_s=45, not_before=75, window=window(SENT, zone_known=True, **bounds))
    found = verdict(OPEN, snapshot(), seen, rules=rules)
    assert isinstance(found, Undecided)
    assert found.candidates == (100,)
    for late, fits in ((74, True), (76, False), (-6, False), (-4, True)):
        moment = position(100, open_time=SENT + timedelta(seconds=late))
        found = verdict(OPEN, snapshot(), sighting(1, [moment]), rules=rules)
        assert isinstance(found, Executed) == fits


def test_a_position_that_its_stop_closed_before_we_looked_was_executed():
    """A new position_id in the history that fits."""
    found = verdict(OPEN, snapshot([OTHER]), sighting(1, [OTHER], [*OLD, trade(100)], "990.00"))
    assert (found.evidence, found.ticket) == (Evidence.INFERRED, 100)
    partly_closed = sighting(1, [position(100, tenths=2)], [*OLD, trade(100, tenths=3)])
    assert verdict(OPEN, snapshot(), partly_closed).filled_volume == lots(5)


def test_an_open_was_not_executed_after_two_quiet_reads_a_grace_apart():
    """Positive control, balance and history, the later one after deadline and grace (T13)."""
    before = snapshot([OTHER])
    quiet = [sighting(at, [OTHER], OLD) for at in (1, 30, 46, 75)]
    found = verdict(OPEN, before, *quiet)
    assert (type(found), found.evidence) == (NotExecuted, Evidence.ABSENCE)
    assert isinstance(verdict(OPEN, before, *quiet[:3]), Undecided)
    assert isinstance(verdict(OPEN, before, *quiet[2:]), Undecided)


@pytest.mark.parametrize(
    "blind",
    [
        {"positions": ()},
        {"positions": (position(61, "XAUUSD"),)},
        {"history": ()},
        {"history": None},
        {"balance": None},
        {"balance": "1000.01"},
        {"history": (*OLD, trade(99, "GBPUSD", tenths=1))},
        {"account": 1},
        {"account": 0},
    ],
)
def test_a_read_that_shows_less_than_it_must_is_no_proof_of_absence(blind):
    """Empty lists, account 0, another account, a moved balance, a foreign closed trade (T2)."""
    before = snapshot([OTHER])
    usual = {"positions": [OTHER], "history": OLD}
    seen = [sighting(1, **usual), sighting(80, **{**usual, **blind})]
    assert isinstance(verdict(OPEN, before, *seen), Undecided)


def test_an_account_that_was_flat_before_never_shows_an_absence():
    """It stays unknown until something shows."""
    quiet = [sighting(at, [], OLD) for at in (1, 100, 10_000)]
    assert isinstance(verdict(OPEN, snapshot(), *quiet), Undecided)


def test_a_renamed_symbol_forbids_the_conclusion_that_nothing_happened():
    """An agent may have taken EURUSD for EURUSD.m."""
    before = snapshot([OTHER])
    seen = [sighting(at, [OTHER, position(100, "EURUSD.m")], OLD) for at in (1, 80)]
    assert isinstance(verdict(OPEN, before, *seen), Undecided)


def test_a_close_is_executed_by_history_or_by_absence_under_control():
    """And not by an empty list."""
    before = snapshot([position(50), OTHER])
    closed = sighting(1, [OTHER], [*OLD, trade(50, exit_price=1.1)], "990.00")
    found = verdict(CLOSE, before, closed)
    assert (found.evidence, found.price) == (Evidence.HISTORY, 1.1)
    gone = sighting(1, [OTHER], OLD, "990.00")
    assert verdict(CLOSE, before, gone).evidence is Evidence.BALANCE
    for nothing in (
        sighting(1, [OTHER], OLD),
        sighting(1, [], OLD, "990.00"),
        sighting(1, [position(50, tenths=2), OTHER], [*OLD, trade(50, tenths=3)], "990.00"),
    ):
        assert isinstance(verdict(CLOSE, before, nothing), Undecided)


def test_earlier_partial_closes_are_no_evidence_of_a_close():
    """Only what the history shows more of than before."""
    before = snapshot([position(50)], closed_ids=(1, 50), closed_volume=lots(3))
    before_row = trade(50, tenths=3)
    assert isinstance(verdict(CLOSE, before, sighting(1, [], [before_row])), Undecided)
    found = verdict(CLOSE, before, sighting(1, [], [before_row, trade(50)]))
    assert (found.evidence, found.filled_volume) == (Evidence.HISTORY, lots(5))


def test_a_close_was_not_executed_when_its_position_stays_as_it_was():
    """In two reads a grace apart; a reduced one is neither."""
    before = snapshot([position(50)])
    there = [sighting(at, [position(50)]) for at in (1, 80)]
    assert verdict(CLOSE, before, *there).evidence is Evidence.POSITION
    assert isinstance(verdict(CLOSE, before, there[0]), Undecided)
    assert isinstance(
        verdict(CLOSE, before, *there, sighting(81, [position(50, tenths=4)])), Undecided
    )


def test_a_partial_close_reduces_the_volume_by_as_much():
    """By another amount it is undecided."""
    before, order = snapshot([position(50)]), msgspec.structs.replace(CLOSE, volume=lots(2))
    found = verdict(order, before, sighting(1, [position(50, tenths=3)]))
    assert (found.evidence, found.filled_volume) == (Evidence.INFERRED, lots(2))
    assert isinstance(verdict(order, before, sighting(1, [position(50, tenths=4)])), Undecided)
    there = [sighting(at, [position(50)]) for at in (1, 80)]
    assert isinstance(verdict(order, before, *there), NotExecuted)


def test_a_modify_is_read_back():
    """Asked-for levels are proof; those of before are, after the grace; others are not."""
    before = snapshot([position(50, sl=Decimal("1.05"))])
    order = Sought(kind=OrderKind.MODIFY, ticket=50, sl=Decimal("1.06"), tp=Decimal(0))
    done = sighting(1, [position(50, sl=Decimal("1.060000"))])
    assert verdict(order, before, done).evidence is Evidence.POSITION
    unchanged = [sighting(at, [position(50, sl=Decimal("1.05"))]) for at in (1, 80)]
    assert isinstance(verdict(order, before, *unchanged), NotExecuted)
    other = sighting(1, [position(50, sl=Decimal("1.07"))])
    assert isinstance(verdict(order, before, other, *unchanged), Undecided)
    assert isinstance(verdict(order, before, sighting(1)), Undecided)


def test_netting_is_judged_by_signed_volume():
    """Exactly this order's change, in whatever ticket; a foreign one beside it is ambiguous."""
    held = position(50, tenths=3)
    before = snapshot([held, OTHER], mode="netting")
    found = verdict(OPEN, before, sighting(1, [position(50, tenths=8), OTHER]))
    assert (found.evidence, found.filled_volume) == (Evidence.INFERRED, lots(5))
    assert isinstance(
        verdict(OPEN, before, sighting(1, [position(50, tenths=9), OTHER])), Undecided
    )
    quiet = [sighting(at, [held, OTHER], OLD) for at in (1, 80)]
    assert isinstance(verdict(OPEN, before, *quiet), NotExecuted)
    rivals = Claims(rivals=True)
    grown = sighting(1, [position(50, tenths=8), OTHER])
    assert isinstance(verdict(OPEN, before, grown, claims=rivals), Undecided)


def test_netting_reversal_mints_a_new_ticket_and_is_still_this_order():
    """Short 0.3, buy 0.5: long 0.2 under another number."""
    held = position(50, side=Side.SELL, tenths=3)
    before = snapshot([held, OTHER], mode="netting")
    rows = [*OLD, trade(50, side=Side.SELL, tenths=3)]
    found = verdict(OPEN, before, sighting(1, [position(101, tenths=2), OTHER], rows, "990.00"))
    assert (found.evidence, found.ticket) == (Evidence.INFERRED, 101)


def test_netting_close_needs_another_symbol_to_show_that_its_own_is_gone():
    """Or the history."""
    before = snapshot([position(50), OTHER], mode="netting")
    assert verdict(CLOSE, before, sighting(1, [OTHER], OLD, "990.00")).evidence is Evidence.BALANCE
    rows = [*OLD, trade(50)]
    assert verdict(CLOSE, before, sighting(1, [], rows, "990.00")).evidence is Evidence.HISTORY
    assert isinstance(verdict(CLOSE, before, sighting(1, [], OLD, "990.00")), Undecided)
    there = [sighting(at, [position(50), OTHER]) for at in (1, 80)]
    assert isinstance(verdict(CLOSE, before, *there), NotExecuted)


def test_netting_close_that_a_person_bought_back_is_not_told_not_executed():
    """The volume is that of before; the ticket, or the balance, is not."""
    before = snapshot([position(50), OTHER], mode="netting")
    again = [sighting(at, [position(101), OTHER], OLD, "990.00") for at in (1, 80)]
    assert isinstance(verdict(CLOSE, before, *again), Undecided)
    part = msgspec.structs.replace(CLOSE, volume=lots(2))
    topped_up = [sighting(at, [position(50), OTHER], OLD, "990.00") for at in (1, 80)]
    assert isinstance(verdict(part, before, *topped_up), Undecided)
    untouched = [sighting(at, [position(50), OTHER], OLD) for at in (1, 80)]
    assert isinstance(verdict(part, before, *untouched), NotExecuted)


def test_a_long_wait_keeps_few_readings_and_loses_none_that_differed():
    """Of a run of equal ones the first and the last."""
    kept = ()
    for at in range(100):
        kept = collected(kept, sighting(at, [OTHER], balance="1.00" if at == 50 else "2.00"))
    assert [each.at for each in kept] == [0, 49, 50, 51, 99]


SYMBOLS, VOLUMES = ("EURUSD", "XAUUSD"), (2, 3, 5)
FAULTS = ("no positions", "no history", "no balance", "stranger")
person = st.one_of(
    st.tuples(st.just("trade"), st.sampled_from(SYMBOLS), st.sampled_from(Side),
              st.sampled_from(VOLUMES)),
    st.tuples(st.just("close"), st.integers(0, 5), st.sampled_from([None, 2, 3])),
    st.tuples(st.just("execute")),
    st.tuples(st.just("stop out")),
    st.tuples(st.just("execute and stop out")),
)  # fmt: skip
faults = st.just(set()) | st.sets(st.sampled_from(FAULTS), max_size=2)
steps = st.lists(
    st.tuples(st.sampled_from([1, 20, 46, 80]), st.none() | person, faults), min_size=2, max_size=6
)
starts = st.lists(
    st.tuples(st.sampled_from(SYMBOLS), st.sampled_from(Side), st.sampled_from(VOLUMES)), max_size=3
)


class Story:
    """One order, its terminal and a person, read after every step."""

    def __init__(self, book, order, *, before_is_empty=False, history_lags=False):
        self.book, self.order = book, order
        self.before = book.before(is_empty=before_is_empty, ticket=order.ticket)
        self.ours = None  # the ticket, once executed
        self.executed = False
        self.always = {"lag"} if history_lags else set()
        self.foreign = []  # (symbol, side, volume) of every trade that a person made
        self.seen = []

    def act(self, action, at):
        match action:
            case ("trade", symbol, side, tenths):
                self.book.buy_or_sell(symbol, side, tenths)
                self.foreign.append((symbol, side, lots(tenths)))
            case ("close", index, tenths) if self.book.open:
                ticket = sorted(self.book.open)[index % len(self.book.open)]
                gone = self.book.open[ticket]
                part = gone.volume if tenths is None else min(gone.volume, lots(tenths))
                self.book.close(ticket, part)
                opposite = Side.SELL if gone.side is Side.BUY else Side.BUY
                self.foreign.append((gone.symbol, opposite, part))
            case ("execute",) if not self.executed and at <= 75:
                self.execute()
            case ("execute and stop out",) if not self.executed and at <= 75:
                self.execute()
                self.act(("stop out",), at)
            case ("stop out",) if self.ours in self.book.open and not self.book.nets:
                self.book.close(self.ours)

    def execute(self):
        order = self.order
        if order.kind is OrderKind.OPEN:
            self.ours = self.book.buy_or_sell(order.symbol, order.side, int(order.volume * 10))
            self.executed = True
        elif order.ticket in self.book.open:
            self.book.close(order.ticket, order.volume)
            self.executed = True

    def verdicts(self, steps):
        at = 0
        for wait, action, faults in steps:
            at += wait
            self.act(action, at)
            self.seen.append(self.book.look(at, faults=faults | self.always))
            yield judge(self.order, self.before, self.seen, claims=Claims(), rules=RULES)


def started(start, *, nets):
    book = Book(nets=nets)
    for symbol, side, tenths in start:
        book.buy_or_sell(symbol, side, tenths)
    return book


@settings(max_examples=400)
@given(starts, steps, st.booleans(), st.booleans())
def test_on_hedging_an_open_is_never_told_wrong(start, steps, is_empty, lags):
    """Never not_executed when it was; never filled when not, but for an identical trade."""
    book = started(start, nets=False)
    story = Story(book, OPEN, before_is_empty=is_empty, history_lags=lags)
    for found in story.verdicts(steps):
        identical = (OPEN.symbol, OPEN.side, OPEN.volume) in story.foreign
        if isinstance(found, NotExecuted):
            assert not story.executed
        elif isinstance(found, Executed):
            assert found.evidence is Evidence.INFERRED
            assert story.executed or identical
            assert found.ticket == story.ours or identical


@settings(max_examples=400)
@given(starts, steps, st.booleans(), st.booleans())
def test_on_netting_an_open_is_never_told_wrong(start, steps, is_empty, lags):
    """Never not_executed when it was; filled when not only if a person's trades add up to it."""
    book = started(start, nets=True)
    story = Story(book, OPEN, before_is_empty=is_empty, history_lags=lags)
    for found in story.verdicts(steps):
        if isinstance(found, NotExecuted):
            assert not story.executed
        elif isinstance(found, Executed) and not story.executed:
            assert found.evidence is Evidence.INFERRED
            assert _adds_up(story.foreign)


def _adds_up(foreign):
    """Whether trades in a row are, together, what the order would have been."""
    signed = [v if side is Side.BUY else -v for symbol, side, v in foreign if symbol == OPEN.symbol]
    return any(
        sum(signed[first:last]) == OPEN.volume
        for first in range(len(signed))
        for last in range(first + 1, len(signed) + 1)
    )


@settings(max_examples=400)
@given(starts, steps, st.booleans(), st.sampled_from([None, 2, 5]), st.booleans())
def test_a_close_is_never_told_wrong(start, steps, nets, tenths, lags):
    """Executed means the lots are gone, whoever closed them; not executed, that ours was not."""
    book = started(start, nets=nets)
    ticket = book.buy_or_sell("GBPUSD", Side.BUY, 5)
    volume = None if tenths is None else lots(tenths)
    order = Sought(kind=OrderKind.CLOSE, ticket=ticket, volume=volume)
    story = Story(book, order, history_lags=lags)
    for found in story.verdicts(steps):
        if isinstance(found, NotExecuted):
            assert not story.executed
        elif isinstance(found, Executed):
            rows = [each.volume for each in book.closed if each.position_id == ticket]
            assert sum(rows) >= (volume or lots(5))


@settings(max_examples=200)
@given(st.sampled_from([False, True]), st.lists(st.sampled_from(("lag", "no history")), max_size=2))
def test_an_executed_open_with_one_candidate_is_always_found(nets, faults):
    """Leaving what evidence can settle unknown is a defect."""
    story = Story(started([], nets=nets), OPEN)
    story.execute()
    seen = [story.book.look(1, faults=faults)]
    found = judge(OPEN, story.before, seen, claims=Claims(), rules=RULES)
    assert (found.ticket, found.evidence) == (story.ours, Evidence.INFERRED)
    assert story.before.account == ACCOUNT
