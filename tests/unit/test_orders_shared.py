"""Two closes of one position: what one of them did is not told of the other."""

from __future__ import annotations

import msgspec
import pytest

from fleetkit.model import Side
from fleetkit.orders.evidence import judge
from fleetkit.orders.readings import Claims, Rules, Sought
from fleetkit.orders.verdicts import Executed, Undecided
from fleetkit.trading import Evidence, OrderKind
from tests.unit.orders_terminal import lots, position, sighting, snapshot, trade

RULES = Rules(grace_s=45.0, not_before=75.0)
CLOSE = Sought(kind=OrderKind.CLOSE, ticket=50)
OTHER = position(60, "XAUUSD")
OLD = (trade(1), trade(2))
SHARED = Claims(closing=frozenset({50}))
MODES = pytest.mark.parametrize("mode", ["hedging", "netting"])


def verdict(order, before, *sightings, claims=SHARED):
    return judge(order, before, sightings, claims=claims, rules=RULES)


@MODES
def test_how_much_of_a_closed_position_was_this_ones_is_not_known(mode):
    """It is closed, and another close of it may have done a part."""
    before = snapshot([position(50), OTHER], mode=mode)
    parts = [trade(50, tenths=3), trade(50, tenths=2)]
    for rows in (parts, [trade(50)]):
        closed = sighting(1, [OTHER], [*OLD, *rows], "990.00")
        found = verdict(CLOSE, before, closed)
        assert (found.evidence, found.filled_volume) == (Evidence.HISTORY, None)
        alone = verdict(CLOSE, before, closed, claims=Claims())
        assert (alone.evidence, alone.filled_volume) == (Evidence.HISTORY, lots(5))


def test_on_netting_any_other_order_of_the_symbol_may_have_done_a_part():
    """One against the position reduces it, whatever ticket it names."""
    before = snapshot([position(50), OTHER], mode="netting")
    closed = sighting(1, [OTHER], [*OLD, trade(50)], "990.00")
    found = verdict(CLOSE, before, closed, claims=Claims(rivals=True))
    assert (found.evidence, found.filled_volume) == (Evidence.HISTORY, None)


@MODES
def test_what_is_gone_without_a_trade_is_closed_by_one_of_them(mode):
    """The balance moved; how much each of them did is not told."""
    before = snapshot([position(50), OTHER], mode=mode)
    gone = sighting(1, [OTHER], OLD, "990.00")
    found = verdict(CLOSE, before, gone)
    assert (found.evidence, found.filled_volume) == (Evidence.BALANCE, None)
    assert verdict(CLOSE, before, gone, claims=Claims()).filled_volume == lots(5)


@MODES
def test_a_reduced_position_may_be_the_work_of_either(mode):
    """The one that asks has no more of a claim than the other."""
    before = snapshot([position(50), OTHER], mode=mode)
    order = msgspec.structs.replace(CLOSE, volume=lots(2))
    reduced = sighting(1, [position(50, tenths=3), OTHER])
    assert isinstance(verdict(order, before, reduced), Undecided)
    assert isinstance(verdict(order, before, reduced, claims=Claims()), Executed)
    partly = msgspec.structs.replace(CLOSE, partly=True)
    assert isinstance(verdict(partly, before, reduced), Undecided)


def test_no_more_is_told_closed_than_was_open():
    """The history of before may have lagged behind an earlier part."""
    before = snapshot([position(50, tenths=3), OTHER])
    closed = sighting(1, [OTHER], [*OLD, trade(50, tenths=5)], "990.00")
    assert verdict(CLOSE, before, closed, claims=Claims()).filled_volume == lots(3)


def test_how_much_a_part_was_is_not_known_once_a_close_may_have_made_it_less():
    """What is left is less than what was filled; of a whole open it is told all the same."""
    whole = Sought(kind=OrderKind.OPEN, symbol="EURUSD", side=Side.BUY, volume=lots(5))
    order = msgspec.structs.replace(whole, partly=True)
    before = snapshot([OTHER])
    closing = Claims(closing=frozenset({100}))
    left = sighting(1, [OTHER, position(100, tenths=2)], OLD)
    found = verdict(order, before, left, claims=closing)
    assert (found.evidence, found.ticket, found.filled_volume) == (Evidence.INFERRED, 100, None)
    assert verdict(order, before, left, claims=SHARED).filled_volume == lots(2)
    all_of_it = sighting(1, [OTHER, position(100)], OLD)
    for each in (order, whole):
        assert verdict(each, before, all_of_it, claims=closing).filled_volume == lots(5)
