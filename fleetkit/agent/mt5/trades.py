"""Closed trades from the deals of a position.

Why: MetaTrader keeps deals, not trades; what a closing deal earned and what the
entry had cost it must be put together. May import `terminal` and `contract`.
The trap: money is shared so that nothing is lost to rounding. The last part that
closes takes what is left, so a position's trades add up to its deals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from fleetkit.agent.terminal import ClosedTrade, Deal
from fleetkit.contract import DealEntry, DealType
from fleetkit.model import Side

LOTS: Final = 8  # decimals of a volume; sums of lots are rounded to it
Pip = Callable[[str], float]


@dataclass
class _Leg:
    """One direction of a position from its first entry to its end."""

    side: Side
    entry_time: datetime
    magic: int
    comment: str
    volume: float = 0.0  # still open
    entered: float = 0.0  # in all
    price: float = 0.0
    commission: float = 0.0  # of the entries, not yet given to a closing deal
    fee: float = 0.0

    def add(self, volume: float, price: float, commission: float, fee: float) -> None:
        left = self.volume + volume
        if left > 0:
            self.price = (self.price * self.volume + price * volume) / left
        self.volume = round(left, LOTS)
        self.entered = round(self.entered + volume, LOTS)
        self.commission += commission
        self.fee += fee

    def take(self, volume: float, decimals: int) -> tuple[float, float]:
        """The share of the entry's costs that closes with this volume."""
        part = 1.0 if volume >= self.volume else volume / self.volume
        commission = round(self.commission * part, decimals)
        fee = round(self.fee * part, decimals)
        self.commission -= commission
        self.fee -= fee
        self.volume = round(max(0.0, self.volume - volume), LOTS)
        return commission, fee


class PositionTrades:
    """Makes the trades of one position.

    Parameters
    ----------
    pip
        How large a symbol's pip is.
    decimals
        Of the account's money.
    """

    def __init__(self, pip: Pip, decimals: int = 2) -> None:
        self._pip = pip
        self._decimals = decimals

    def of(self, deals: Iterable[Deal]) -> list[ClosedTrade]:
        """Every closing deal as a trade, in order; ``deals`` are one position's, whole."""
        made: list[tuple[ClosedTrade, _Leg]] = []
        leg: _Leg | None = None
        for deal in sorted(deals, key=lambda deal: (deal.time, deal.ticket)):
            if deal.type not in (DealType.BUY, DealType.SELL):
                continue
            if deal.entry == DealEntry.IN:
                leg = leg or _leg(deal, _side(deal))
                leg.add(deal.volume, deal.price, deal.commission, deal.fee)
                continue
            # An entry that the broker has forgotten: the exit stands in for it.
            leg = leg or _lost(deal)
            left = round(deal.volume - leg.volume, LOTS) if deal.entry == DealEntry.INOUT else 0.0
            part = 1.0 if left <= 0 else leg.volume / deal.volume
            made.append((self._trade(deal, leg, part), leg))
            if left > 0:
                leg = self._reversed(deal, left, part)
            elif leg.volume <= 0:
                leg = None
        return [_whole(trade, leg) for trade, leg in made]

    def _own(self, deal: Deal, part: float) -> tuple[float, float]:
        if part == 1.0:
            return deal.commission, deal.fee
        return round(deal.commission * part, self._decimals), round(deal.fee * part, self._decimals)

    def _reversed(self, deal: Deal, left: float, part: float) -> _Leg:
        commission, fee = self._own(deal, part)
        leg = _leg(deal, _side(deal))
        leg.add(left, deal.price, deal.commission - commission, deal.fee - fee)
        return leg

    def _trade(self, deal: Deal, leg: _Leg, part: float) -> ClosedTrade:
        commission, fee = self._own(deal, part)
        volume = round(deal.volume * part, LOTS)
        entry_commission, entry_fee = leg.take(volume, self._decimals)
        sign = 1 if leg.side is Side.BUY else -1
        return ClosedTrade(
            position_id=deal.position_id,
            symbol=deal.symbol,
            side=leg.side,
            volume=volume,
            pips=round(sign * (deal.price - leg.price) / self._pip(deal.symbol), 1),
            profit=deal.profit,
            commission=round(commission + entry_commission, self._decimals),
            swap=deal.swap,
            fee=round(fee + entry_fee, self._decimals),
            entry_time=leg.entry_time,
            exit_time=deal.time,
            entry_price=round(leg.price, 8),
            exit_price=deal.price,
            deal=deal.ticket,
            magic=leg.magic,
            comment=leg.comment,
        )


def _whole(trade: ClosedTrade, leg: _Leg) -> ClosedTrade:
    # Known at the end only: a netting position may have been added to in between.
    return msgspec.structs.replace(trade, entry_volume=leg.entered)


def _side(deal: Deal) -> Side:
    return Side.BUY if deal.type == DealType.BUY else Side.SELL


def _leg(deal: Deal, side: Side) -> _Leg:
    return _Leg(side=side, entry_time=deal.time, magic=deal.magic, comment=deal.comment)


def _lost(deal: Deal) -> _Leg:
    side = Side.SELL if _side(deal) is Side.BUY else Side.BUY
    leg = _Leg(side=side, entry_time=deal.time, magic=0, comment="")
    leg.add(deal.volume, deal.price, 0.0, 0.0)
    return leg
