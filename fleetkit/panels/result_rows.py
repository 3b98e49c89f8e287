"""What chosen accounts' trades come to, as lines, a table and two pictures.

May import `sheet_model`, `reports`, `frames`, `model` and what `aio` says of trades at hand;
matplotlib only inside of `drawn`, which runs on a thread of its own. The trap: accounts of
different currencies do not add up.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import msgspec

from fleetkit.aio.seen import SeenTrades
from fleetkit.frames import trades_frame
from fleetkit.html import visible_text
from fleetkit.model import Account
from fleetkit.panels.sheet_model import Column, Drawing, Rows, Segment, Table
from fleetkit.reports import Headline, balance_curve, drawdown, headline, profit_by

TABLE: Final = Table(
    "symbols",
    "Profit by symbol",
    (
        Column("symbol", "symbol", width=160),
        Column("trades", "trades", "count"),
        Column("volume", "lots", "number"),
        Column("net", "net", "money"),
        Column("won_pct", "won %", "number", digits=1),
    ),
    sort=("net", True),
    selectable=False,
    filterable=False,
    chooser=False,
    rows_high=8,
    empty="Nothing to show yet: read trades with a button above.",
    key_kind="text",
)
NAMED: Final = 20  # accounts in a tooltip
SAME_SPAN: Final = timedelta(
    hours=1
)  # a reading that reaches back so much less reaches back far enough


class Chosen(msgspec.Struct, frozen=True):
    """The accounts whose trades add up, and which were left out for their currency.

    Attributes
    ----------
    left_out : tuple of (int, str)
        Account and currency.
    balance : float or None
        What those that add up have together; ``None`` where any of it is not known.
    """

    accounts: tuple[int, ...] = ()
    currency: str | None = None
    left_out: tuple[tuple[int, str], ...] = ()
    balance: float | None = None


class Drawn(msgspec.Struct, frozen=True):
    """Everything that is shown of some trades."""

    line: tuple[Segment, ...]
    balance: Drawing
    symbols: Drawing
    rows: Rows


def chosen_of(accounts: Iterable[Account]) -> Chosen:
    """Those of the currency that most of them have."""
    known = list(accounts)
    if not known:
        return Chosen()
    currency = Counter(account.currency for account in known).most_common(1)[0][0]
    same = [account for account in known if account.currency == currency]
    balances = [account.balance for account in same]
    return Chosen(
        tuple(account.account for account in same),
        currency,
        tuple((each.account, _money(each)) for each in known if each.currency != currency),
        None if None in balances else sum(filter(None, balances)),
    )


def _money(account: Account) -> str:
    return "not told" if account.currency is None else visible_text(account.currency, 8)


def drawn(seen: Sequence[SeenTrades], chosen: Chosen, since: datetime) -> Drawn:
    """Lines, table and pictures; takes a while, so not on the loop thread."""
    from fleetkit.reports.figures import balance_figure, profit_figure, svg

    added = frozenset(chosen.accounts)
    parts = [
        replace(each.part, block=each.part.block.since(since))
        for each in seen
        if each.part.account in added
    ]
    frame = trades_frame(parts)
    # Worked back from a balance to which trades are missing, a curve would be wrong.
    balance = chosen.balance if len(parts) == len(added) else None
    curve = balance_curve(frame, balance)
    table = profit_by(frame)
    found, fall = headline(frame), drawdown(curve)
    unit = "" if chosen.currency is None else f" {visible_text(chosen.currency, 8)}"
    of = f"{_counted(found.trades, 'trade')} of {_counted(len(parts), 'account')}"
    what = "Profit, added up, of" if balance is None else "Balance after"
    said = f"{what} {of}; it fell by {fall.maximal:,.2f}{unit} at most."
    best = "Profit by symbol."
    if not table.empty:
        best += f" Best: {visible_text(str(table.index[0]), 24)}."
    return Drawn(
        line=_headline_line(found, unit, fall.maximal),
        balance=Drawing(svg(balance_figure(curve), "Balance", said), said),
        symbols=Drawing(svg(profit_figure(table), "Profit by symbol", best), best),
        rows=Rows(
            {
                str(symbol): (str(symbol), int(count), volume, net, won)
                for symbol, count, volume, net, won in table.itertuples(name=None)
            }
        ),
    )


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _headline_line(found: Headline, unit: str, fall: float) -> tuple[Segment, ...]:
    if not found.trades:
        return ()
    tone = "good" if found.net >= 0 else "bad"
    factor = found.profit_factor
    line = [
        Segment(f"net {found.net:+,.2f}{unit}", tone, "strong"),
        Segment(_counted(found.trades, "trade")),
        Segment("nothing lost" if math.isinf(factor) else f"profit factor {factor:.2f}"),
        Segment(f"won {found.won_pct:.1f} %", title="a trade that made nothing counts as won"),
        Segment(f"largest fall {fall:,.2f}{unit}", title="balance-based, floating loss not seen"),
    ]
    if found.small_sample:
        line.append(Segment("small sample", "fair", "badge", title="fewer than 30 closed trades"))
    return tuple(line)


def at_hand(
    chosen: Chosen, seen: Sequence[SeenTrades], since: datetime, days: int
) -> tuple[Segment, ...]:
    """What the pictures are made of, and what is missing in them."""
    if not chosen.accounts:
        return (Segment("No account has been read yet.", "off"),)
    added = frozenset(chosen.accounts)
    have = [each for each in seen if each.part.account in added]
    what = _counted(len(added), "account")
    line = [Segment(f"{what}, trades closed in the last {days} days")]
    if have:
        line.append(Segment("read", since=min(each.born for each in have)))
    missing = added - {each.part.account for each in have}
    if missing:
        text = f"{len(missing):,} without trades at hand"
        line.append(Segment(text, "fair", title=named(sorted(missing))))
    short = [each for each in have if each.since > since + SAME_SPAN]
    if short:
        newest = max(each.since for each in short)
        text = f"{len(short):,} read only from {newest:%Y-%m-%d} on"
        line.append(Segment(text, "fair", title=named(each.part.account for each in short)))
    if chosen.left_out:
        text = f"{len(chosen.left_out):,} of another currency left out"
        names = (f"{account} ({currency})" for account, currency in chosen.left_out)
        line.append(Segment(text, "fair", title=named(names)))
    return tuple(line)


def named(names: Iterable[object]) -> str:
    """The first of them, and how many more there are."""
    every = [str(name) for name in names]
    more = len(every) - NAMED
    return ", ".join(every[:NAMED]) + (f" and {more:,} more" if more > 0 else "")
