"""The totals of a fleet: no zero for unknown, no sum over currencies."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd

from fleetkit.frames import SUMMARY, accounts_frame, summary_frame
from fleetkit.model import Account, AccountStatus, Source

NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)


def account(number: int, **given: Any) -> Account:
    fields = {"status": AccountStatus.CONNECTED, "source": Source.LIVE} | given
    return Account(account=number, agent=f"vps-{number}", **fields)


def summed(*rows: Account) -> pd.DataFrame:
    return summary_frame(accounts_frame(rows), NOON)


def test_an_empty_fleet_has_no_figures_but_a_row() -> None:
    """Counts are zero, sums unknown, and the schema is the constant one."""
    frame = summary_frame(accounts_frame([]), None)
    assert list(frame.columns) == SUMMARY.names
    assert frame.dtypes.to_dict() == SUMMARY.dtypes
    assert frame["accounts"].tolist() == [0]
    assert frame[["balance", "equity", "profit", "last_refresh", "currency"]].isna().all(axis=None)


def test_unknown_figures_are_left_out_and_nothing_known_is_not_zero() -> None:
    """The balance sums what is known; the equity nobody told is NaN."""
    row = summed(account(1, balance=100.0), account(2), account(3, balance=50.5)).iloc[0]
    assert row["balance"] == 150.5
    assert pd.isna(row["equity"])
    assert row["last_refresh"] == pd.Timestamp(NOON)


def test_every_account_is_connected_or_not() -> None:
    """Whatever the reason, an account that is not connected counts as disconnected."""
    row = summed(
        account(1),
        account(2, status=AccountStatus.DISCONNECTED, source=Source.STALE),
        account(3, status=AccountStatus.OFFLINE, source=Source.NONE),
        account(4, status=AccountStatus.TIMEOUT, source=Source.STALE),
    ).iloc[0]
    assert (row["accounts"], row["connected"], row["disconnected"], row["stale"]) == (4, 1, 3, 2)


def test_one_currency_is_named() -> None:
    """A fleet in one currency says which; an account never read does not blur it."""
    row = summed(account(1, balance=1.0, currency="USD"), account(2)).iloc[0]
    assert (row["currency"], row["balance"]) == ("USD", 1.0)


def test_money_of_unknown_currency_is_not_given_a_name() -> None:
    """A sum that contains an account of unknown currency is in no known currency."""
    row = summed(account(1, balance=1.0, currency="USD"), account(2, balance=1.0)).iloc[0]
    assert pd.isna(row["currency"])


def test_several_currencies_have_a_row_each() -> None:
    """No euro is added to a dollar; accounts of unknown currency stand apart, none is lost."""
    frame = summed(
        account(1, balance=10.0, currency="USD"),
        account(2, balance=5.0, currency="EUR"),
        account(3, balance=20.0, currency="USD"),
        account(4, balance=7.0),
    )
    assert frame["currency"].tolist()[:2] == ["EUR", "USD"]
    assert pd.isna(frame["currency"].iloc[2])
    assert frame["balance"].tolist() == [5.0, 30.0, 7.0]
    assert frame["accounts"].sum() == 4
    assert frame.dtypes.to_dict() == SUMMARY.dtypes
