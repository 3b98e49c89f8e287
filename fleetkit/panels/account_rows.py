"""The table of accounts: its columns, and one row of values for each account.

Pure. May import `sheet_model`, `model` and what `aio` says of accounts never read. The trap:
a row that did not change must stay
the same object, by which the sheet knows that there is nothing to compare.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from fleetkit.aio.seen import NOT_READ
from fleetkit.model import Account, AccountStatus, Source
from fleetkit.panels.sheet_model import Column, Segment, Table

STATUS_TONES: Final = {
    "connected": "good",
    "disconnected": "fair",
    "timeout": "fair",
    "offline": "bad",
    "error": "bad",
    "wrong_account": "bad",
    "not read": "off",
}
FAILURES_SHOWN: Final = 3
SOURCE_TONES: Final = {"live": "good", "stale": "fair", "none": "off"}

COLUMNS: Final = (
    Column("account", "account", "id"),
    Column("status", "status", "word", tones=STATUS_TONES, tip="error"),
    Column("source", "source", "word", tones=SOURCE_TONES),
    Column("age", "age", "age"),
    Column("name", "name", shown=False),
    Column("holder", "holder", shown=False),
    Column("firm", "firm"),
    Column("server", "server", shown=False),
    Column("phase", "phase"),
    Column("vs_group", "group"),
    Column("balance", "balance", "number"),
    Column("equity", "equity", "number"),
    Column("profit", "floating", "money"),
    Column("pnl", "pnl", "money"),
    Column("pnl_pct", "pnl %", "money"),
    Column("has_open_position", "open", "flag"),
    Column("currency", "cur."),
    Column("leverage", "leverage", "count", shown=False),
    Column("margin_free", "free margin", "number", shown=False),
    Column("margin_level", "margin %", "number", shown=False),
    Column("days_operating", "days", "count", shown=False),
    Column("error", "why", tip="error", width=260),
    Column("agent", "agent", shown=False),
)

TABLE: Final = Table(
    "accounts",
    "Accounts",
    COLUMNS,
    sort=("account", False),
    row_tone="status",
    empty="No account has been read yet.",
    rows_high=14,
)


def account_values(account: Account, now: float) -> tuple[Any, ...]:
    """One row, in the order of `COLUMNS`."""
    born = None if account.age_s is None else now - account.age_s
    said = {"age": born, "status": status_word(account)}
    return tuple(
        said[column.name] if column.name in said else _plain(getattr(account, column.name))
        for column in COLUMNS
    )


def status_word(account: Account) -> str:
    """How its last reading ended; before there was one that is no error."""
    return "not read" if account.error == NOT_READ else account.status.value


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Source) else value


def totals(accounts: Iterable[Account], nameless: Mapping[str, str]) -> tuple[Segment, ...]:
    """The line above the table: how many are live, what they come to, who is missing."""
    rows = list(accounts)
    live = sum(row.source is Source.LIVE for row in rows)
    everyone = len(rows) + len(nameless)
    tone = "good" if live == everyone else "fair" if live else "bad"
    line = [Segment(f"{live:,} of {everyone:,} live", tone, "strong")]
    line += [Segment(text) for text in _sums(rows)]
    words = Counter(map(status_word, rows))
    del words[AccountStatus.CONNECTED.value]
    line += [
        Segment(f"{count:,} {word.replace('_', ' ')}", STATUS_TONES[word])
        for word, count in words.most_common()
    ]
    if nameless:
        agent, why = next(iter(nameless.items()))
        text = f"{len(nameless):,} not known yet"
        line.append(Segment(text, "fair", title=f"{agent}: {why}"))
    return tuple(line)


def failures(accounts: Iterable[Account], nameless: Mapping[str, str]) -> tuple[Segment, ...]:
    """Why accounts are not live, in sentences, of the first few."""
    said = [
        Segment(f"{row.account}: {row.error}", STATUS_TONES[row.status.value])
        for row in accounts
        if row.error is not None and row.error != NOT_READ
    ]
    said += [Segment(why, "fair") for why in nameless.values() if why != NOT_READ]
    more = len(said) - FAILURES_SHOWN
    if more > 0:
        said = [*said[:FAILURES_SHOWN], Segment(f"and {more:,} more: filter by -status:connected")]
    return tuple(said)


def _sums(rows: list[Account]) -> list[str]:
    """Balance per currency, of every account whose balance is known, and of how many."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.balance is not None:
            found.setdefault(row.currency or "", []).append(row.balance)
    return [
        f"balance {sum(values):,.2f} {currency}".rstrip() for currency, values in found.items()
    ][:4]
