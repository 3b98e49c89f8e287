"""What is kept of one agent's readings, and where.

May import `cache`, `frames` and `model`. The trap: a value in a cache belongs to
several callers at once, so none of these can be changed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from fleetkit.cache import AccountCache
from fleetkit.frames import DealBlock, TradeBlock
from fleetkit.model import AccountReading, AccountStatus, AgentStatus, Position


class TradesValue(msgspec.Struct, frozen=True):
    """Closed trades of one account, whole from `since` on.

    The newest answer reached back to `asked_since` only; what lies before it was
    read earlier and may have got company (T8).
    """

    block: TradeBlock
    since: datetime
    asked_since: datetime


class DealsValue(msgspec.Struct, frozen=True):
    """The deal ledger of one account, whole from `since` on."""

    block: DealBlock
    since: datetime


class PositionsValue(msgspec.Struct, frozen=True):
    """Open positions of one account."""

    positions: tuple[Position, ...]
    is_naive: bool  # a time among them had no offset


class Failure(msgspec.Struct, frozen=True, gc=False):
    """Why the last reading of an account failed."""

    status: AccountStatus
    sentence: str


class Caches(msgspec.Struct, frozen=True):
    """The fleet's caches, each keyed by agent: one agent is one account."""

    accounts: AccountCache[str, AccountReading]
    positions: AccountCache[str, PositionsValue]
    trades: AccountCache[str, TradesValue]
    deals: AccountCache[str, DealsValue]
    agents: AccountCache[str, AgentStatus]

    @property
    def of_figures(self) -> tuple[AccountCache[str, Any], ...]:
        """All that hold what an account is worth and did."""
        return (self.accounts, self.positions, self.trades, self.deals)


def percentile_ms(ordered: list[float], share: float) -> float | None:
    """The value below which that share of sorted latencies lies, in milliseconds."""
    if not ordered:
        return None
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] * 1000
