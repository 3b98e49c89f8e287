"""What callers may say for accounts and spans of time.

Pure. May import `errors`. The trap: notebooks hand over numpy integers, index
objects and text; a wrong one must meet a sentence, not a stack of frames.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta

from fleetkit.contract import DEFAULT_DAYS
from fleetkit.errors import UsageError

Accounts = int | Iterable[int] | None
Since = datetime | date | str | None


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
    wanted = DEFAULT_DAYS if days is None else days
    if isinstance(wanted, bool) or not isinstance(wanted, (int, float)) or not 0 < wanted < 36500:
        msg = f"`days` is a number above 0, such as 90, not {days!r:.60}."
        raise UsageError(msg)
    return now - timedelta(days=wanted)


def _moment(since: Since, now: datetime) -> datetime:
    try:
        if isinstance(since, str):
            since = datetime.fromisoformat(since)
        if isinstance(since, date) and not isinstance(since, datetime):
            since = datetime.combine(since, time())
    except ValueError:
        since = None
    if not isinstance(since, datetime):
        msg = "`since` is a datetime, a date, or text such as '2026-02-01' (UTC unless it says)."
        raise UsageError(msg)
    if since.tzinfo is None:
        since = since.replace(tzinfo=UTC)
    since = since.astimezone(UTC)
    if since > now:
        msg = f"`since` lies in the future: {since:%Y-%m-%d %H:%M} UTC."
        raise UsageError(msg)
    return since
