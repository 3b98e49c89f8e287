"""What chosen accounts' trades come to, as lines, a table and two pictures.

May import `sheet_model`, `reports`, `frames` and `model`; matplotlib only inside of `drawn`,
which runs on a thread of its own. The trap: accounts of different currencies do not add up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from fleetkit.frames import TradesPart, trades_frame
from fleetkit.html import visible_text
from fleetkit.model import Account
from fleetkit.panels.sheet_model import Column, Drawing, Rows, Segment, Table
from fleetkit.reports import Headline, balance_curve, drawdown, headline, profit_by

TABLE: Final = Table(
    "symbols",
    "Profit by symbol",
    (
        Column("symbol", "symbol"),
        Column("trades", "trades", "count"),
        Column("volume", "lots", "number"),
        Column("net", "net", "money"),
        Column("won_pct", "won %", "number", digits=1),
    ),
    selectable=False,
    filterable=False,
    chooser=False,
    rows_high=8,
    empty="No trades at hand: read some.",
    key_kind="text",
)


class Chosen(msgspec.Struct, frozen=True):
    """The accounts whose trades add up, and how many were left out for their currency."""

    accounts: tuple[int, ...]
    currency: str | None
    left_out: int
    balance: float | None


class Drawn(msgspec.Struct, frozen=True):
    """Everything that is shown of some trades."""

    line: tuple[Segment, ...]
    balance: Drawing
    symbols: Drawing
    rows: Rows


def chosen_of(accounts: Iterable[Account]) -> Chosen:
    """Those of the currency that most of them have."""
    known = list(accounts)
    counts = Counter(account.currency for account in known)
    currency = counts.most_common(1)[0][0] if counts else None
    same = [account for account in known if account.currency == currency]
    balances = [account.balance for account in same]
    whole = sum(b for b in balances if b is not None) if None not in balances and same else None
    numbers = tuple(account.account for account in same)
    return Chosen(numbers, currency, len(known) - len(same), whole)


def drawn(parts: Sequence[TradesPart], chosen: Chosen) -> Drawn:
    """Lines, table and pictures; takes a while, so not on the loop thread."""
    from fleetkit.reports.figures import balance_figure, profit_figure, svg

    frame = trades_frame([part for part in parts if part.account in set(chosen.accounts)])
    has_all = len({part.account for part in parts}) >= len(chosen.accounts)
    curve = balance_curve(frame, chosen.balance if has_all else None)
    table = profit_by(frame)
    found, fall = headline(frame), drawdown(curve)
    unit = "" if chosen.currency is None else f" {visible_text(chosen.currency, 8)}"
    of = f"{found.trades:,} trades of {len(chosen.accounts):,} accounts"
    said = f"Balance after {of}; it fell by {fall.maximal:,.2f}{unit} at most."
    best = "" if table.empty else f" Best: {visible_text(str(table.index[0]), 24)}."
    return Drawn(
        line=_headline_line(found, unit, fall.maximal),
        balance=Drawing(svg(balance_figure(curve), "Balance"), said),
        symbols=Drawing(svg(profit_figure(table), "Profit by symbol"), f"Profit by symbol.{best}"),
        rows=Rows(
            {
                str(symbol): (str(symbol), int(count), volume, net, won)
                for symbol, count, volume, net, won in table.itertuples(name=None)
            }
        ),
    )


def _headline_line(found: Headline, unit: str, fall: float) -> tuple[Segment, ...]:
    if not found.trades:
        return ()
    tone = "good" if found.net >= 0 else "bad"
    line = [
        Segment(f"net {found.net:+,.2f}{unit}", tone, "strong"),
        Segment(f"{found.trades:,} trades"),
        Segment(f"profit factor {found.profit_factor:.2f}"),
        Segment(f"won {found.won_pct:.1f} %"),
        Segment(f"largest fall {fall:,.2f}{unit}", title="balance-based, floating loss not seen"),
    ]
    if found.small_sample:
        line.append(Segment("small sample", "fair", "badge", title="fewer than 30 closed trades"))
    return tuple(line)


def at_hand(
    chosen: Chosen, parts: Sequence[TradesPart], born: float | None, days: int
) -> tuple[Segment, ...]:
    """What the pictures are made of, and what is missing in them."""
    have = {part.account for part in parts} & set(chosen.accounts)
    count = len(chosen.accounts)
    what = f"{count:,} account{'s' * (count != 1)}, trades closed in the last {days} days"
    line: list[Any] = [Segment(what)]
    missing = len(chosen.accounts) - len(have)
    if born is not None and have:
        line.append(Segment("read", since=born))
    if missing:
        line.append(Segment(f"{missing:,} without trades at hand", "fair"))
    if chosen.left_out:
        line.append(Segment(f"{chosen.left_out:,} of another currency left out", "fair"))
    return tuple(line)
