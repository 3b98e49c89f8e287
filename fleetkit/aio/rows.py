"""From what the gateways know to rows of `accounts()`, and the snapshot other threads read.

May import `gateway`, `cache`, `frames` and below. The trap: a row without figures
has NaN, never zero, and a row that is not connected has a sentence.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec
import numpy as np
import numpy.typing as npt

from fleetkit.cache import AccountCache, Entry
from fleetkit.frames import DataFrame, with_ages
from fleetkit.gateway import Failure, Gateway, TradesValue
from fleetkit.model import Account, AccountReading, AccountStatus, Label, Source


class Snapshot(msgspec.Struct, frozen=True):
    """The whole fleet, fresh; any thread may read it while it is true.

    ``version`` is the cache's when this was made, ``store_stamp`` the store file's.
    """

    frame: DataFrame
    stamps: npt.NDArray[np.float64]
    valid_until: float
    version: int
    store_stamp: object
    labels: tuple[Label, ...]
    accounts: tuple[int, ...]

    def relabelled(
        self, frame: DataFrame, labels: tuple[Label, ...], store_stamp: object
    ) -> Snapshot:
        """The same figures under other labels."""
        return msgspec.structs.replace(self, frame=frame, labels=labels, store_stamp=store_stamp)

    def serve(self, now: float) -> DataFrame:
        """A copy with the ages of this moment."""
        return with_ages(self.frame, now - self.stamps)


def nameless(agent: str) -> str:
    """Why an agent that answered has no row."""
    return (
        f"{agent} has not said which account it serves, or another agent claims the same one; "
        "set `account` for it in the configuration."
    )


def account_row(
    gateway: Gateway,
    account: int,
    entry: Entry[AccountReading] | None,
    source: Source,
    failure: Failure | None,
    label: Label,
    now: float,
    residual: float | None,
) -> Account:
    """One row. `failure` is why the figures are not fresh, where they are not."""
    if entry is None:
        return Account(
            account=account,
            agent=gateway.name,
            status=AccountStatus.ERROR if failure is None else failure.status,
            source=Source.NONE,
            phase=label.phase,
            vs_group=label.vs_group,
            error=None if failure is None else failure.sentence,
        )
    reading = entry.value
    balance, initial = reading.balance, reading.initial_balance
    pnl = None if initial is None else balance - initial
    return Account(
        account=account,
        agent=gateway.name,
        status=AccountStatus.CONNECTED if failure is None else failure.status,
        source=source,
        name=reading.name,
        holder=reading.holder,
        firm=reading.firm,
        server=reading.server,
        currency=reading.currency,
        leverage=reading.leverage,
        balance=balance,
        credit=reading.credit,
        equity=reading.equity,
        profit=reading.profit,
        margin=reading.margin,
        margin_free=reading.margin_free,
        margin_level=reading.margin_level,
        initial_balance=initial,
        pnl=pnl,
        pnl_pct=pnl / initial * 100 if pnl is not None and initial else None,
        residual=residual,
        days_operating=reading.days_operating,
        has_open_position=reading.has_open_position,
        phase=label.phase,
        vs_group=label.vs_group,
        as_of=entry.as_of,
        age_s=max(now - entry.stamp, 0.0),
        error=None if failure is None else failure.sentence,
    )


def residual_of(
    entry: Entry[AccountReading], trades: AccountCache[str, TradesValue], agent: str
) -> float | None:
    """Balance that neither the start nor the trades explain, where all trades are known (T11).

    They are not once the balance is newer than a history that may have grown.
    """
    reading = entry.value
    history = trades.last_good(agent)
    if history is None or reading.initial_balance is None or reading.days_operating is None:
        return None
    if entry.stamp > history.stamp and not trades.is_fresh(agent):
        return None
    try:
        start = history.as_of - timedelta(days=reading.days_operating + 1)
    except OverflowError:
        return None
    if history.value.since > start:
        return None
    return reading.balance - reading.initial_balance - history.value.block.net_total()
