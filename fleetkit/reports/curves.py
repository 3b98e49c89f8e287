"""From closed trades to a balance curve, its drawdown, and profit by anything.

Why: the figures of panels and reports, as plain functions. May import numpy, pandas and msgspec.
The traps: trades arrive newest first, and several may close at one moment; what they come to
must not depend on the order they came in. A trade here is a round trip with the costs of all
its deals, where MetaTrader's report counts each exit: gross figures differ, the net does not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

import msgspec
import numpy as np
import pandas as pd

SMALL_SAMPLE: Final = 30  # trades below which ratios say little


class Drawdown(msgspec.Struct, frozen=True):
    """How far a balance fell, as MetaTrader's report defines it; losses that float are not seen.

    Attributes
    ----------
    absolute : float
        Money from the initial balance down to the lowest one; 0 if it never fell below.
    maximal, maximal_pct : float
        The largest fall from a running peak, in money, and its share of that peak in per cent.
    relative_pct, relative : float
        The largest fall as a share of its running peak in per cent, and its money.

    Shares are NaN, and so is ``relative``, where the balance is not known or no peak is above 0.
    """

    absolute: float = 0.0
    maximal: float = 0.0
    maximal_pct: float = math.nan
    relative_pct: float = math.nan
    relative: float = math.nan


class Headline(msgspec.Struct, frozen=True):
    """What a list of trades comes to: money in account currency, percentages 0 to 100.

    Attributes
    ----------
    trades : int
        How many were closed.
    net, gross_profit, gross_loss : float
        Their sum, and that of those above and below 0.
    profit_factor : float
        ``gross_profit / -gross_loss``: 0 where nothing was won, infinite where nothing was lost.
    won_pct : float
        Share of trades that were won; one that made nothing counts as won, as in MetaTrader.
    average, best, worst : float
        Of the trades' net.
    small_sample : bool
        Fewer than 30 trades: what is a ratio says little.
    """

    trades: int = 0
    net: float = 0.0
    gross_profit: float = 0.0
    gross_loss: float = 0.0
    profit_factor: float = math.nan
    won_pct: float = math.nan
    average: float = math.nan
    best: float = math.nan
    worst: float = math.nan
    small_sample: bool = True


def balance_curve(
    trades: pd.DataFrame, balance: float | Mapping[int, float | None] | pd.Series | None = None
) -> pd.DataFrame:
    """The balance after each closed trade, oldest first.

    Parameters
    ----------
    trades
        The frame of ``fleet.trades()``, of accounts of one currency: others do not add up.
    balance
        What those accounts have together now, or what each has, by account (as in
        ``fleet.accounts()["balance"]``, of which only accounts that traded count); the curve
        is worked back from it. Without it, or where it is not known of an account that traded,
        the curve starts at 0 and shows what was won: ``attrs["balance_known"]`` is False then.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``exit_time`` (UTC), with ``net``, ``cumulative`` and ``balance``, all
        money in account currency. Deposits and withdrawals are not trades: where there were
        any, what lies before them is off by as much. Losses that float are not seen.

    Examples
    --------
    >>> import fleetkit as fk
    >>> from fleetkit.reports import balance_curve
    >>> with fk.demo(accounts=3, seed=7) as fleet:
    ...     balances = fleet.accounts()["balance"]
    ...     curve = balance_curve(fleet.trades(7100001, days=365), balances)
    >>> abs(float(curve["balance"].iloc[-1]) - float(balances[7100001])) < 0.01
    True
    """
    closed = trades.dropna(subset=["exit_time", "net"])
    closed = closed.sort_values(["exit_time", "account", "position_id", "net"], kind="stable")
    net = closed["net"].to_numpy(dtype=np.float64)
    cumulative = np.cumsum(net)
    total = float(cumulative[-1]) if len(cumulative) else 0.0
    known = _together(balance, closed["account"])
    start = 0.0 if known is None else known - total
    times = pd.to_datetime(closed["exit_time"], utc=True)
    index = pd.DatetimeIndex(times, name="exit_time").as_unit("us")
    columns = {"net": net, "cumulative": cumulative, "balance": start + cumulative}
    curve = pd.DataFrame(columns, index=index)
    curve.attrs["balance_known"] = known is not None
    return curve


def _together(
    balance: float | Mapping[int, float | None] | pd.Series | None, accounts: pd.Series
) -> float | None:
    """What accounts have together; None where that of any of them is not known."""
    if isinstance(balance, (Mapping, pd.Series)):
        each = [balance.get(account) for account in accounts.unique()]
    else:
        each = [balance]
    known = [float(money) for money in each if money is not None and not math.isnan(money)]
    return math.fsum(known) if known and len(known) == len(each) else None


def drawdown(curve: pd.DataFrame) -> Drawdown:
    """How far the balance of a `balance_curve` fell.

    Parameters
    ----------
    curve
        A frame of `balance_curve`.

    Returns
    -------
    Drawdown
        As MetaTrader's history report defines it: peaks run over the initial balance and the
        balance after each trade.

    Examples
    --------
    >>> import fleetkit as fk
    >>> from fleetkit.reports import balance_curve, drawdown
    >>> with fk.demo(accounts=3, seed=7) as fleet:
    ...     curve = balance_curve(fleet.trades(7100001, days=90), fleet.accounts()["balance"])
    >>> drawdown(curve).maximal >= drawdown(curve).relative > 0
    True
    """
    if curve.empty:
        return Drawdown()
    balances = curve["balance"].to_numpy(dtype=np.float64)
    initial = float(balances[0] - curve["net"].iloc[0])
    path = np.concatenate(([initial], balances))
    peaks = np.maximum.accumulate(path)
    falls = peaks - path
    has_share = (peaks > 0) & curve.attrs.get("balance_known", True)
    shares = np.divide(falls, peaks, out=np.full_like(falls, np.nan), where=has_share)
    deepest = int(np.argmax(falls))
    steepest = int(np.nanargmax(shares)) if has_share.any() else None
    return Drawdown(
        absolute=max(0.0, initial - float(path.min())),
        maximal=float(falls[deepest]),
        maximal_pct=float(shares[deepest]) * 100,
        relative_pct=math.nan if steepest is None else float(shares[steepest]) * 100,
        relative=math.nan if steepest is None else float(falls[steepest]),
    )


def profit_by(trades: pd.DataFrame, column: str = "symbol") -> pd.DataFrame:
    """What was won and lost by symbol, or by any other column; the best first.

    Parameters
    ----------
    trades
        The frame of ``fleet.trades()``, of accounts of one currency.
    column
        Its column to group by: symbol, side, account, or one that was added, as a phase.

    Returns
    -------
    pandas.DataFrame
        Indexed by the column, with ``trades`` (int64), ``volume`` (lots), ``net`` (account
        currency) and ``won_pct`` (0 to 100; a zero is won, as MetaTrader counts).

    Examples
    --------
    >>> import fleetkit as fk
    >>> from fleetkit.reports import profit_by
    >>> with fk.demo(accounts=3, seed=7) as fleet:
    ...     profit_by(fleet.trades(days=90))["net"].is_monotonic_decreasing
    True
    """
    closed = trades.dropna(subset=["net"])
    # Sorted, so that sums of floats do not depend on the order in which trades came.
    closed = closed.assign(won=closed["net"] >= 0).sort_values(["net", "volume"], kind="stable")
    groups = closed.groupby(column, observed=True, dropna=False)
    table = pd.DataFrame(
        {
            "trades": groups.size().astype("int64"),
            "volume": groups["volume"].sum().astype("float64"),
            "net": groups["net"].sum().astype("float64"),
            "won_pct": groups["won"].mean().astype("float64") * 100,
        }
    )
    table.index.name = column
    return table.sort_index(kind="stable").sort_values("net", ascending=False, kind="stable")


def headline(trades: pd.DataFrame) -> Headline:
    """What a list of closed trades comes to.

    Parameters
    ----------
    trades
        The frame of ``fleet.trades()``, of accounts of one currency.

    Examples
    --------
    >>> import fleetkit as fk
    >>> from fleetkit.reports import headline
    >>> with fk.demo(accounts=3, seed=7) as fleet:
    ...     trades = fleet.trades(days=90)
    >>> headline(trades).trades == len(trades)
    True
    """
    net = np.sort(trades["net"].dropna().to_numpy(dtype=np.float64))
    if not len(net):
        return Headline()
    gross_profit, gross_loss = float(net[net > 0].sum()), float(net[net < 0].sum())
    return Headline(
        trades=len(net),
        net=gross_profit + gross_loss,
        gross_profit=gross_profit,
        gross_loss=gross_loss,
        profit_factor=_profit_factor(gross_profit, gross_loss),
        won_pct=float((net >= 0).mean()) * 100,
        average=float(net.mean()),
        best=float(net[-1]),
        worst=float(net[0]),
        small_sample=len(net) < SMALL_SAMPLE,
    )


def _profit_factor(gross_profit: float, gross_loss: float) -> float:
    if gross_profit == 0:
        return 0.0
    return gross_profit / -gross_loss if gross_loss else math.inf


def decimated(values: np.ndarray[Any, np.dtype[np.float64]], most: int) -> np.ndarray[Any, Any]:
    """Places of at most `most` values that keep every stretch's first, lowest, highest, last."""
    count = len(values)
    if count <= most:
        return np.arange(count)
    edges = np.linspace(0, count, max(most // 4, 1) + 1).astype(int)
    kept: set[int] = set()
    for low, high in pairwise(edges):
        stretch = values[low:high]
        kept |= {low, high - 1, low + int(stretch.argmin()), low + int(stretch.argmax())}
    return np.array(sorted(kept))
