"""What a broker books: the deals behind a balance.

Why: balances, trades and residuals of the simulated fleet agree because they
all come from this one ledger. May import `agent.terminal`.
The trap: this broker books the commission of a round turn with the closing
deal. An open position has cost nothing yet, so a balance is explained by closed
trades alone: balance - initial = sum(profit + swap + commission + fee).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from functools import cached_property

import msgspec

from fleetkit.agent.terminal import ClosedTrade, OpenPosition
from fleetkit.model import Side


class DealType(StrEnum):
    """What a deal is."""

    BALANCE = "balance"  # a deposit
    BUY = "buy"
    SELL = "sell"


class Deal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One line of the ledger; ``balance`` is what it left."""

    deal: int
    time: datetime
    type: DealType
    balance: float
    entry: str = ""  # "in" or "out"
    position_id: int = 0
    symbol: str = ""
    volume: float = 0.0
    price: float = 0.0
    profit: float = 0.0
    swap: float = 0.0
    commission: float = 0.0
    fee: float = 0.0


class Ledger:
    """One account's deals, oldest first; the first is the deposit."""

    def __init__(
        self,
        *,
        initial_balance: float,
        opened: datetime,
        trades: Sequence[ClosedTrade],
        positions: Sequence[OpenPosition],
    ) -> None:
        self.initial_balance = initial_balance
        self.opened = opened
        self._trades = trades
        self._positions = positions

    def __repr__(self) -> str:
        return f"<fleetkit.sim Ledger of {len(self._trades)} trades, balance {self.balance:.2f}>"

    @cached_property
    def balance(self) -> float:
        """The balance after the last deal, to the cent."""
        return (_cents(self.initial_balance) + sum(map(_net_cents, self._trades))) / 100

    @property
    def deals(self) -> list[Deal]:
        """Every deal with the balance it left, made from the trades when asked."""
        cents = _cents(self.initial_balance)
        first = Deal(
            deal=1,
            time=self.opened,
            type=DealType.BALANCE,
            profit=self.initial_balance,
            balance=cents / 100,
        )
        booked = [first]
        for number, draft in enumerate(sorted(self._drafts(), key=_in_time), start=2):
            cents += sum(map(_cents, (draft.profit, draft.swap, draft.commission, draft.fee)))
            booked.append(msgspec.structs.replace(draft, deal=number, balance=cents / 100))
        return booked

    def _drafts(self) -> Iterator[Deal]:
        for trade in self._trades:
            yield _deal_in(trade, trade.entry_time, trade.entry_price, trade.position_id)
            yield _deal_out(trade)
        for position in self._positions:
            yield _deal_in(position, position.open_time, position.open_price, position.ticket)


def _deal_in(
    what: ClosedTrade | OpenPosition, time: datetime, price: float, position_id: int
) -> Deal:
    return Deal(
        deal=0,
        time=time,
        type=DealType(what.side.value),
        entry="in",
        position_id=position_id,
        symbol=what.symbol,
        volume=what.volume,
        price=price,
        balance=0.0,
    )


def _deal_out(trade: ClosedTrade) -> Deal:
    return Deal(
        deal=0,
        time=trade.exit_time,
        type=DealType.SELL if trade.side is Side.BUY else DealType.BUY,
        entry="out",
        position_id=trade.position_id,
        symbol=trade.symbol,
        volume=trade.volume,
        price=trade.exit_price,
        profit=trade.profit,
        swap=trade.swap,
        commission=trade.commission,
        fee=trade.fee,
        balance=0.0,
    )


def _in_time(deal: Deal) -> tuple[datetime, int, str]:
    return deal.time, deal.position_id, deal.entry


def _net_cents(trade: ClosedTrade) -> int:
    return sum(map(_cents, (trade.profit, trade.swap, trade.commission, trade.fee)))


def _cents(money: float) -> int:
    return round(money * 100)
