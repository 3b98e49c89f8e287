"""What closed trades come to: curves, drawdowns, profit by symbol, whatever order they came in."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetkit.frames import trades_frame
from fleetkit.reports import Drawdown, Headline, balance_curve, drawdown, headline, profit_by
from fleetkit.reports.curves import decimated

START = pd.Timestamp("2026-01-05 10:00", tz="UTC")


def trades(*rows):
    """A frame of trades of (account, position, symbol, hours, net)."""
    frame = pd.DataFrame(rows, columns=["account", "position_id", "symbol", "hours", "net"])
    frame["exit_time"] = START + pd.to_timedelta(frame.pop("hours"), unit="h")
    return frame.assign(volume=0.1 + frame["position_id"] / 7, side="buy")


one_trade = st.tuples(
    st.integers(1, 3),
    st.integers(1, 10_000),
    st.sampled_from(["EURUSD", "XAUUSD"]),
    st.integers(0, 20),
    st.integers(-50_000, 50_000).map(lambda cents: cents / 100),
)
many_trades = st.lists(one_trade, max_size=20)
# Time is not what is tested: a busy machine takes long for the first frame.
unhurried = settings(deadline=None, max_examples=60)


@unhurried
@given(many_trades, st.randoms())
def test_the_order_of_arrival_does_not_matter(rows, chance):
    """Shuffled trades come to the same curve, table and headline."""
    mixed = list(rows)
    chance.shuffle(mixed)
    one, other = trades(*rows), trades(*mixed)
    pd.testing.assert_frame_equal(balance_curve(one, 1000.0), balance_curve(other, 1000.0))
    pd.testing.assert_frame_equal(profit_by(one), profit_by(other))
    assert repr(headline(one)) == repr(headline(other))


@unhurried
@given(many_trades)
def test_accounts_add_up(rows):
    """What accounts made on their own is together what all of them made."""
    frame = trades(*rows)
    parts = [part for _, part in frame.groupby("account")]
    whole, tables = profit_by(frame), [profit_by(part) for part in parts]
    together = pd.concat(tables or [whole]).groupby(level=0)[["trades", "volume", "net"]].sum()
    found = whole[["trades", "volume", "net"]].sort_index()
    pd.testing.assert_frame_equal(found, together, check_names=False)
    each = [headline(part) for part in parts]
    assert headline(frame).trades == sum(one.trades for one in each)
    assert headline(frame).net == pytest.approx(math.fsum(one.net for one in each), abs=1e-6)


@unhurried
@given(many_trades)
def test_curves_are_worked_back_from_what_accounts_have(rows):
    """They end there, and begin with it less all that was made since."""
    frame = trades(*rows)
    has = {account: 1000.0 * account for account in (1, 2, 3)}
    traded = [float(has[account]) for account in frame["account"].unique()]
    curve = balance_curve(frame, has)
    assert curve.attrs["balance_known"] == bool(rows)
    pd.testing.assert_frame_equal(curve, balance_curve(frame, pd.Series(has, dtype="float64")))
    if rows:
        assert curve["balance"].iloc[-1] == pytest.approx(sum(traded))
        start = curve["balance"].iloc[0] - curve["net"].iloc[0]
        assert start == pytest.approx(sum(traded) - frame["net"].sum())


@pytest.mark.parametrize(
    "has", [None, math.nan, {1: 50.0}, {1: 50.0, 2: None}, {1: 50.0, 2: math.nan}]
)
def test_a_curve_says_that_a_balance_is_not_known(has):
    """Of one account that traded is enough; it starts at 0 then, and falls have no share."""
    frame = trades((1, 1, "EURUSD", 1, 80.0), (2, 2, "EURUSD", 2, -20.0))
    curve = balance_curve(frame, has)
    assert curve.attrs["balance_known"] is False
    assert curve["balance"].tolist() == [80.0, 60.0]
    fall = drawdown(curve)
    assert fall.maximal == 20.0
    assert all(map(math.isnan, (fall.maximal_pct, fall.relative_pct, fall.relative)))


def test_trades_of_one_moment_keep_an_order():
    """By account and position, however they came."""
    rows = [(2, 1, "A", 5, 1.0), (1, 9, "A", 5, 2.0), (1, 3, "A", 5, 3.0)]
    assert balance_curve(trades(*rows))["net"].tolist() == [3.0, 2.0, 1.0]


@pytest.mark.parametrize("column", ["symbol", "side", "account", "phase"])
def test_profit_by_any_column(column):
    """Also by one that was added; a trade without a word in it is not lost."""
    frame = trades((1, 1, "A", 1, 5.0), (2, 2, "B", 2, -7.0), (2, 3, "B", 3, 0.0))
    frame["phase"] = pd.Series(["F1", None, "F1"], dtype="str")
    table = profit_by(frame, column)
    assert table.index.name == column
    assert table["trades"].sum() == 3
    assert table["net"].tolist() == sorted(table["net"], reverse=True)
    if column == "symbol":
        assert table["won_pct"].tolist() == [100.0, 50.0]


def test_the_curve_ends_at_the_present_balance():
    """It is worked back from there; without a balance it shows what was won."""
    frame = trades((1, 1, "EURUSD", 2, 50.0), (1, 2, "EURUSD", 1, -20.0))
    curve = balance_curve(frame, 1030.0)
    assert curve["balance"].tolist() == [980.0, 1030.0]
    assert curve.index.is_monotonic_increasing
    assert balance_curve(frame)["balance"].tolist() == [-20.0, 30.0]
    assert balance_curve(frame, math.nan)["balance"].tolist() == [-20.0, 30.0]


def test_the_worked_example_of_drawdowns():
    """Balances 5000, 6000, 4000, 8000, 5500: absolute 1000, relative 33.33 %, maximal 2500."""
    nets = [1000.0, -2000.0, 4000.0, -2500.0]
    frame = trades(*((1, n, "EURUSD", n, net) for n, net in enumerate(nets)))
    found = drawdown(balance_curve(frame, 5500.0))
    assert (found.absolute, found.maximal, found.relative) == (1000.0, 2500.0, 2000.0)
    assert found.maximal_pct == pytest.approx(31.25)
    assert found.relative_pct == pytest.approx(33.3333, abs=1e-3)


def test_no_trade_is_a_curve_without_a_point():
    """Empty answers have the columns and dtypes of full ones."""
    full, empty = balance_curve(trades((1, 1, "A", 1, 1.0))), balance_curve(trades_frame([]))
    assert list(empty.columns) == list(full.columns)
    assert empty.dtypes.tolist() == full.dtypes.tolist()
    assert empty.index.dtype == full.index.dtype
    assert repr(drawdown(empty)) == repr(Drawdown())
    table = profit_by(trades_frame([]))
    assert table.empty
    assert table.dtypes.tolist() == profit_by(trades((1, 1, "A", 1, 1.0))).dtypes.tolist()
    assert repr(headline(trades_frame([]))) == repr(Headline())


def test_a_zero_is_won_and_a_balance_below_zero_has_no_share():
    """As MetaTrader counts; and of a peak that is not above 0 there are no per cent."""
    found = headline(trades((1, 1, "A", 1, 0.0), (1, 2, "A", 2, -10.0)))
    assert (found.won_pct, found.profit_factor, found.small_sample) == (50.0, 0.0, True)
    assert headline(trades((1, 1, "A", 1, 5.0))).profit_factor == math.inf
    curve = balance_curve(trades((1, 1, "A", 1, -10.0), (1, 2, "A", 2, -10.0)), -20.0)
    assert math.isnan(drawdown(curve).relative_pct)
    assert drawdown(curve).maximal == 20.0


@unhurried
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=500), st.integers(8, 60))
def test_a_thinned_curve_keeps_its_ends_and_extremes(values, most):
    """What is drawn has the first and last point, the highest and the lowest."""
    path = np.array(values)
    kept = decimated(path, most)
    assert len(kept) <= max(most, 8)
    assert kept[0] == 0
    assert kept[-1] == len(path) - 1
    assert path[kept].max() == path.max()
    assert path[kept].min() == path.min()
