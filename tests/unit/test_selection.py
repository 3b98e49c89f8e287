"""What callers may say for accounts, spans of time and patience, and the sentence they get else."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from fleetkit.aio.selection import account_number, account_numbers, span_start
from fleetkit.aio.wholeness import patience
from fleetkit.errors import UsageError

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("given", [7, np.int64(7), np.uint8(7), pd.Index([7])[0]])
def test_an_account_is_a_whole_number_of_any_kind(given):
    """NumPy's and pandas' too; a plain int comes out."""
    assert account_number(given) == 7
    assert type(account_number(given)) is int


@pytest.mark.parametrize("given", [0, -7, 7.0, "7", None, True, np.True_, Decimal(7), [7], b"7"])
def test_anything_else_is_no_account(given):
    """The sentence shows what one looks like."""
    with pytest.raises(UsageError, match="positive whole number such as 7100012"):
        account_number(given)


@pytest.mark.parametrize(
    ("given", "numbers"),
    [
        (None, None),
        (7, [7]),
        ([7, 8, 7], [7, 8]),
        ((8, 7), [8, 7]),
        (range(1, 3), [1, 2]),
        (pd.Index([7, 8]), [7, 8]),
        (pd.Series([7, 8]), [7, 8]),
        (np.array([7, 8]), [7, 8]),
        ((n for n in (7, 8)), [7, 8]),
        ({7: "F1"}, [7]),
        ([], []),
    ],
)
def test_several_accounts_come_in_many_shapes(given, numbers):
    """Each once, in the order given."""
    assert account_numbers(given) == numbers


@pytest.mark.parametrize(
    "given", ["7100012", b"7", 7.5, [7, "8"], [None], [[7]], pd.DataFrame({"a": []})]
)
def test_several_of_something_else_are_refused(given):
    """Text is not taken for a list of characters."""
    if isinstance(given, pd.DataFrame):
        with pytest.raises(UsageError):
            account_numbers(given)
        return
    with pytest.raises(UsageError, match="positive whole number"):
        account_numbers(given)


def test_thirty_days_unless_told():
    """`days` counts back from now; half a day is a span, too."""
    assert span_start(None, None, NOW) == NOW - timedelta(days=30)
    assert span_start(0.5, None, NOW) == NOW - timedelta(hours=12)
    assert span_start(np.int64(90), None, NOW) == NOW - timedelta(days=90)
    assert span_start(np.float32(2), None, NOW) == NOW - timedelta(days=2)


@pytest.mark.parametrize(
    "days", [0, -1, True, "90", float("nan"), float("inf"), 36500, 10**400, [1]]
)
def test_other_days_are_refused(days):
    """None of these is a span one can count back."""
    with pytest.raises(UsageError, match="`days` is a number above 0, such as 90"):
        span_start(days, None, NOW)


@pytest.mark.parametrize(
    "since",
    [
        "2026-01-15",
        "2026-01-15T00:00:00",
        "2026-01-15T02:00:00+02:00",
        date(2026, 1, 15),
        datetime(2026, 1, 15),  # noqa: DTZ001 - a naive one is what is tested
        datetime(2026, 1, 15, 2, tzinfo=timezone(timedelta(hours=2))),
        pd.Timestamp("2026-01-15"),
        pd.Timestamp("2026-01-14T19:00:00", tz="America/New_York"),
        pd.Timestamp("2026-01-15T00:00:00.000000999"),
    ],
)
def test_since_is_a_moment_in_many_shapes(since):
    """UTC unless it says; always a plain, aware datetime."""
    start = span_start(None, since, NOW)
    assert start == datetime(2026, 1, 15, tzinfo=UTC)
    assert (type(start), start.tzinfo) == (datetime, UTC)


@pytest.mark.parametrize("since", ["soon", "", 5, pd.NaT, np.datetime64("2026-01-15"), object()])
def test_other_moments_are_refused(since):
    """The sentence names what would do."""
    with pytest.raises(UsageError, match="`since` is a datetime, a date, or text such as"):
        span_start(None, since, NOW)


def test_the_future_is_refused():
    """A typing mistake, most likely."""
    with pytest.raises(UsageError, match="lies in the future: 2026-02-02"):
        span_start(None, "2026-02-02", NOW)


def test_two_spans_are_refused():
    """They could only disagree."""
    with pytest.raises(UsageError, match="`days` or `since`, not both"):
        span_start(5, "2026-01-01", NOW)


@pytest.mark.parametrize(
    "since", ["0001-01-01", date.min, datetime.min.replace(tzinfo=timezone(timedelta(hours=9)))]
)
def test_the_dawn_of_time_is_when_terminals_begin_to_count(since):
    """No overflow anywhere, and nothing older exists."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert span_start(None, since, NOW) == epoch
    assert span_start(36499, None, NOW) == epoch


@pytest.mark.parametrize("seconds", [0, 2, 2.5, np.int64(2), np.float64(0.1)])
def test_patience_is_a_number_of_seconds(seconds):
    """Zero is patience, too."""
    assert patience(seconds) == seconds
    assert type(patience(seconds)) is float


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "2", None, True])
def test_other_patience_is_refused(seconds):
    """Before anybody is asked."""
    with pytest.raises(UsageError, match="`patience_s` is a number of seconds such as 2"):
        patience(seconds)
