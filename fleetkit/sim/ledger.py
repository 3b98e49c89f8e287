"""What a broker books: the deals behind a balance.

Why: balances, trades and residuals of the simulated fleet agree because they
all come from this one ledger. May import `agent.terminal`, `contract` and `people`.
The trap: this broker books the commission of a round turn with the closing
deal. An open position has cost nothing yet, so a balance is explained by closed
trades alone: balance - initial = sum(profit + swap + commission + fee).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property
from itertools import accumulate
from typing import Final

import msgspec

from fleetkit.agent.terminal import ClosedTrade, Deal, OpenPosition
from fleetkit.contract import DealEntry, DealReason, DealType
from fleetkit.model import Side
from fleetkit.sim.people import FIRST_ACCOUNT

FIRST_DEAL: Final = 77_000_000
DEALS_PER_ACCOUNT: Final = 1_000
CLOSING_ORDER: Final = 500  # its ticket minus the position's; no account has as many positions


class Ledger:
    """One account's deals, oldest first; the first is the deposit."""

    def __init__(
        self,
        *,
        account: int,
        initial_balance: float,
        opened: datetime,
        trades: Sequence[ClosedTrade],
        positions: Sequence[OpenPosition],
    ) -> None:
        self.initial_balance = initial_balance
        self.opened = opened
        self._first_deal = FIRST_DEAL + (account - FIRST_ACCOUNT) * DEALS_PER_ACCOUNT
        self._trades = trades
        self._positions = positions

    def __repr__(self) -> str:
        return f"<fleetkit.sim Ledger of {len(self._trades)} trades, balance {self.balance:.2f}>"

    @cached_property
    def balance(self) -> float:
        """The balance after the last deal, to the cent."""
        return (_cents(self.initial_balance) + sum(map(_net_cents, self._trades))) / 100

    @cached_property
    def deals(self) -> list[Deal]:
        """Every deal, made from the trades when first asked."""
        drafts = sorted(self._drafts(), key=_in_time)
        return [
            msgspec.structs.replace(draft, ticket=ticket)
            for ticket, draft in enumerate(drafts, start=self._first_deal)
        ]

    @property
    def balances(self) -> list[float]:
        """What each deal left."""
        return [cents / 100 for cents in accumulate(map(_net_cents, self.deals))]

    def _drafts(self) -> Iterator[Deal]:
        yield self._deposit()
        for trade in self._trades:
            yield _deal_in(trade, trade.entry_time, trade.entry_price, trade.position_id)
            yield _deal_out(trade)
        for position in self._positions:
            yield _deal_in(position, position.open_time, position.open_price, position.ticket)

    def _deposit(self) -> Deal:
        return Deal(
            ticket=0,
            order=0,
            time=self.opened,
            type=DealType.BALANCE,
            entry=DealEntry.IN,
            reason=DealReason.CLIENT,
            position_id=0,
            profit=self.initial_balance,
            comment="Deposit",
        )


def _deal_in(
    what: ClosedTrade | OpenPosition, time: datetime, price: float, position_id: int
) -> Deal:
    return Deal(
        ticket=0,
        order=position_id,  # a position has the number of the order that opened it
        time=time,
        type=DealType.BUY if what.side is Side.BUY else DealType.SELL,
        entry=DealEntry.IN,
        reason=DealReason.CLIENT,
        position_id=position_id,
        symbol=what.symbol,
        volume=what.volume,
        price=price,
    )


def _deal_out(trade: ClosedTrade) -> Deal:
    return Deal(
        ticket=0,
        order=trade.position_id + CLOSING_ORDER,
        time=trade.exit_time,
        type=DealType.SELL if trade.side is Side.BUY else DealType.BUY,
        entry=DealEntry.OUT,
        reason=DealReason.CLIENT,
        position_id=trade.position_id,
        symbol=trade.symbol,
        volume=trade.volume,
        price=trade.exit_price,
        profit=trade.profit,
        swap=trade.swap,
        commission=trade.commission,
        fee=trade.fee,
    )


def _in_time(deal: Deal) -> tuple[datetime, int, int]:
    return deal.time, deal.position_id, deal.entry


def _net_cents(booked: ClosedTrade | Deal) -> int:
    return sum(map(_cents, (booked.profit, booked.swap, booked.commission, booked.fee)))


def _cents(money: float) -> int:
    return round(money * 100)
