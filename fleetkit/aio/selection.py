"""What callers may say for accounts and spans of time.

Pure. May import `errors`. The trap: notebooks hand over numpy integers, index
objects and text; a wrong one must meet a sentence, not a stack of frames.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from math import inf, nan
from numbers import Real
from typing import Final

from fleetkit.contract import DEFAULT_DAYS
from fleetkit.errors import UsageError

Accounts = int | Iterable[int] | None
Since = datetime | date | str | None

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)  # terminals count from here; nothing is older
LONGEST_DAYS: Final = 36500


def account_number(given: object) -> int:
    """Read one account number.

    Raises
    ------
    UsageError
        For anything that is not a positive whole number.
    """
    try:
        number = operator.index(given)  # type: ignore[arg-type]  # that it fails is the test
    except TypeError:
        number = 0
    if number <= 0 or isinstance(given, bool):
        msg = f"An account is a positive whole number such as 7100012, not {given!r:.60}."
        raise UsageError(msg)
    return number


def account_numbers(accounts: Accounts) -> list[int] | None:
    """Read one number, several, or ``None`` for all; each once, in the order given."""
    if accounts is None:
        return None
    if isinstance(accounts, (str, bytes)) or not isinstance(accounts, Iterable):
        return [account_number(accounts)]
    return list(dict.fromkeys(account_number(given) for given in accounts))


def symbol_name(symbol: object) -> str:
    """Read the name of a symbol.

    Raises
    ------
    UsageError
        For anything but text.
    """
    if not isinstance(symbol, str) or not symbol.strip() or not symbol.strip().isprintable():
        msg = f"A symbol is text such as 'EURUSD', not {symbol!r:.60}."
        raise UsageError(msg)
    return symbol.strip()


def real_number(given: object) -> float:
    """The number somebody gave, NumPy's included; NaN where it is none."""
    if isinstance(given, bool) or not isinstance(given, Real):
        return nan
    try:
        return float(given)
    except OverflowError:
        return inf


def span_start(days: float | None, since: Since, now: datetime) -> datetime:
    """Read the start of a history, 30 days back unless told otherwise.

    Raises
    ------
    UsageError
        When both are given, or either makes no sense.
    """
    if days is not None and since is not None:
        msg = "Give `days` or `since`, not both."
        raise UsageError(msg)
    if since is not None:
        return _moment(since, now)
    wanted = real_number(DEFAULT_DAYS if days is None else days)
    if not 0 < wanted < LONGEST_DAYS:
        msg = f"`days` is a number above 0, such as 90, not {days!r:.60}."
        raise UsageError(msg)
    return max(now - timedelta(days=wanted), EPOCH)


def _moment(since: Since, now: datetime) -> datetime:
    try:
        if isinstance(since, str):
            since = datetime.fromisoformat(since)
        if isinstance(since, date) and not isinstance(since, datetime):
            since = datetime.combine(since, time())
    except ValueError:
        since = None
    if not isinstance(since, datetime) or since != since:  # NaT is a datetime, too
        msg = "`since` is a datetime, a date, or text such as '2026-02-01' (UTC unless it says)."
        raise UsageError(msg)
    # A pandas Timestamp becomes a plain datetime here, without its nanoseconds.
    since = datetime.combine(since.date(), since.timetz())
    since = since.replace(tzinfo=UTC) if since.tzinfo is None else since
    if since > now:
        msg = f"`since` lies in the future: {since:%Y-%m-%d %H:%M}."
        raise UsageError(msg)
    return max(since, EPOCH).astimezone(UTC)
