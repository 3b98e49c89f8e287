"""What a broker books: the deals behind a balance.

Why: balances, trades and residuals of the simulated fleet agree because they
all come from this one ledger. May import `agent.terminal`, `contract`, `money`,
`people` and `position`.
The trap: before the anchor this broker booked the commission of a round turn with
the closing deal, for everybody. A position of that time has cost nothing yet, so
a balance at the anchor is explained by closed trades alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from itertools import accumulate
from types import MappingProxyType
from typing import Final

import msgspec

from fleetkit.agent.terminal import ClosedTrade, Deal
from fleetkit.contract import DealEntry, DealReason, DealType
from fleetkit.model import Side
from fleetkit.sim.money import cents
from fleetkit.sim.people import FIRST_ACCOUNT
from fleetkit.sim.position import Position

FIRST_DEAL: Final = 77_000_000
DEALS_PER_ACCOUNT: Final = 1_000
CLOSING_ORDER: Final = 500  # its ticket minus the position's; no account has as many positions
FIRST_NEW_DEAL: Final = 4_000_000_000  # beyond every number of before the anchor
NEW_DEALS_PER_ACCOUNT: Final = 200_000  # in and out of 100,000 positions
CANCELED: Final[Mapping[DealType, DealType]] = MappingProxyType(
    {
        DealType.BUY: DealType.BUY_CANCELED,
        DealType.SELL: DealType.SELL_CANCELED,
    }
)


class Ledger:
    """One account's deals, oldest first; the first is the deposit.

    Parameters
    ----------
    account, initial_balance, opened
        Whose, and the deposit.
    trades, positions
        What was closed before the anchor and what was open then.
    """

    def __init__(
        self,
        *,
        account: int,
        initial_balance: float,
        opened: datetime,
        trades: Sequence[ClosedTrade],
        positions: Sequence[Position],
    ) -> None:
        self.initial_balance = initial_balance
        self.opened = opened
        index = account - FIRST_ACCOUNT
        self._first_deal = FIRST_DEAL + index * DEALS_PER_ACCOUNT
        self._first_new = FIRST_NEW_DEAL + index * NEW_DEALS_PER_ACCOUNT
        self._trades = trades
        self._positions = positions
        self._new: list[Deal] = []
        self._since_cents = 0  # what happened to the balance after the anchor

    def __repr__(self) -> str:
        return (
            f"<fleetkit.sim Ledger of {len(self._trades)} trades and {len(self._new)} new deals, "
            f"balance {self.balance:.2f}>"
        )

    @property
    def balance(self) -> float:
        """The balance after the last deal, to the cent."""
        return self.balance_cents / 100

    @property
    def balance_cents(self) -> int:
        """The same, in cents."""
        return self._past_cents + self._since_cents

    @property
    def deals(self) -> list[Deal]:
        """Every deal by rising ticket; those of before the anchor are made when first asked."""
        return [*self._past, *self._new]

    @property
    def balances(self) -> list[float]:
        """What each deal left."""
        return [left / 100 for left in accumulate(map(_net_cents, self.deals))]

    @property
    def next_ticket(self) -> int:
        """The next deal's."""
        return self._first_new + len(self._new)

    def book(self, draft: Deal) -> Deal:
        """Book a deal under the next ticket, whatever ticket it has."""
        deal = msgspec.structs.replace(draft, ticket=self.next_ticket)
        self._new.append(deal)
        self._since_cents += _net_cents(deal)
        return deal

    def find(self, ticket: int) -> Deal | None:
        """The deal with that ticket."""
        return next((deal for deal in self.deals if deal.ticket == ticket), None)

    def cancel(self, deal: Deal) -> Deal:
        """Take a buy or sell back: its type says so, and it has moved no money."""
        canceled = msgspec.structs.replace(
            deal,
            type=CANCELED[DealType(deal.type)],
            profit=0.0,
            swap=0.0,
            commission=0.0,
            fee=0.0,
        )
        deals = self._new if deal.ticket >= self._first_new else self._past
        deals[deals.index(deal)] = canceled
        self._since_cents -= _net_cents(deal)
        return canceled

    @cached_property
    def _past_cents(self) -> int:
        return cents(self.initial_balance) + sum(map(_net_cents, self._trades))

    @cached_property
    def _past(self) -> list[Deal]:
        drafts = sorted(self._drafts(), key=_in_time)
        return [
            msgspec.structs.replace(draft, ticket=ticket)
            for ticket, draft in enumerate(drafts, start=self._first_deal)
        ]

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


def deal_type(side: Side) -> DealType:
    """What a deal on that side is."""
    return DealType.BUY if side is Side.BUY else DealType.SELL


def _deal_in(what: ClosedTrade | Position, time: datetime, price: float, position_id: int) -> Deal:
    return Deal(
        ticket=0,
        order=position_id,  # a position has the number of the order that opened it
        time=time,
        type=deal_type(what.side),
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
    return sum(map(cents, (booked.profit, booked.swap, booked.commission, booked.fee)))
