"""The totals of a fleet, from its accounts frame.

May import `schema`, pandas and numpy. The trap: money of two currencies has no
sum, and a sum of nothing known is not zero.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pandas as pd

from fleetkit.frames.schema import SUMMARY
from fleetkit.model import AccountStatus, Source

_MONEY = ("balance", "equity", "profit")


def summary_frame(accounts: pd.DataFrame, last_refresh: datetime | None) -> pd.DataFrame:
    """The fleet in one row, or in one row per currency where it has several.

    ``disconnected`` counts every account that is not connected, whatever the
    reason, so that it and ``connected`` add up to ``accounts``. ``stale`` counts
    rows that show older figures. Sums leave unknown figures out and are NaN when
    nothing is known. ``currency`` is NaN where money of unknown currency is in
    the sum.

    Parameters
    ----------
    accounts
        A frame of `accounts_frame`.
    last_refresh
        When the whole fleet was last read.
    """
    known = accounts["currency"].dropna().unique()
    if len(known) > 1:
        groups: list[tuple[str | None, pd.DataFrame]] = [
            (None if pd.isna(name) else str(name), group)
            for name, group in accounts.groupby("currency", dropna=False, sort=True)
        ]
    else:
        unnamed_money = accounts["balance"].notna() & accounts["currency"].isna()
        named = len(known) == 1 and not unnamed_money.any()
        groups = [(str(known[0]) if named else None, accounts)]
    rows = [_totals(group, currency, last_refresh) for currency, group in groups]
    return SUMMARY.frame(
        {
            column.name: column.kind.fill([row[column.name] for row in rows])
            for column in SUMMARY.columns
        }
    )


def _totals(
    group: pd.DataFrame, currency: str | None, last_refresh: datetime | None
) -> dict[str, Any]:
    connected = int((group["status"] == AccountStatus.CONNECTED.value).sum())
    return {
        "accounts": len(group),
        "connected": connected,
        "disconnected": len(group) - connected,
        "stale": int((group["source"] == Source.STALE.value).sum()),
        **{name: group[name].sum(min_count=1) for name in _MONEY},
        "last_refresh": last_refresh,
        "currency": currency,
    }
