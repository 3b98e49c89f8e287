"""One account's open positions, closed trades and ledger, and what may happen to them.

Why: every change of a position is a deal, and a deal is booked in one place, so
balance, history and ledger cannot part. May import `agent.terminal`, `contract`
and the simulator's market, money, positions and ledger.
The trap: nothing here asks whether an order is allowed or what the price is; it
books what it is told, at the moment it is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from fleetkit.agent.terminal import ClosedTrade, Deal
from fleetkit.contract import DealEntry, DealReason, DealType
from fleetkit.model import Side
from fleetkit.sim.ledger import CANCELED, FIRST_NEW_DEAL, Ledger, deal_type
from fleetkit.sim.market import Instrument, Market
from fleetkit.sim.money import Valuer, cents, nights_booked, sign, swap_per_lot
from fleetkit.sim.people import FIRST_ACCOUNT
from fleetkit.sim.position import Position

FIRST_NEW_ORDER: Final = 1_000_000_000  # beyond every number of before the anchor
NEW_ORDERS_PER_ACCOUNT: Final = 200_000  # to open and to close 100,000 positions
COMMENT_MAX: Final = 31  # characters that MetaTrader keeps


class By(msgspec.Struct, frozen=True):
    """Who or what made a deal, as it is booked."""

    reason: DealReason
    magic: int = 0
    comment: str = ""


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """What the market gave to an order."""

    order: int
    side: Side
    volume: float
    price: float
    market_s: float
    time: datetime
    by: By


class Book:
    """One account.

    Parameters
    ----------
    account
        Its number decides the tickets.
    nets
        Whether it has one position per symbol. It then pays half of a commission
        when a position is opened; others pay all of it when it is closed.
    market, valuer, ledger
        What prices are worth, and where it is booked.
    trades, positions
        What was closed before the anchor, newest first, and what was open then.
    """

    def __init__(
        self,
        account: int,
        *,
        nets: bool,
        market: Market,
        valuer: Valuer,
        ledger: Ledger,
        trades: Sequence[ClosedTrade],
        positions: Sequence[Position],
    ) -> None:
        self.nets = nets
        self.ledger = ledger
        self._past = list(trades)
        self._since: list[ClosedTrade] = []  # the anchor, oldest first
        self._market = market
        self._valuer = valuer
        self._open = {position.ticket: position for position in positions}
        self._next_order = FIRST_NEW_ORDER + (account - FIRST_ACCOUNT) * NEW_ORDERS_PER_ACCOUNT

    def __repr__(self) -> str:
        return f"<fleetkit.sim Book, {len(self._open)} open, {self.ledger!r}>"

    @property
    def positions(self) -> list[Position]:
        """The open positions, oldest first."""
        return list(self._open.values())

    @property
    def trades(self) -> list[ClosedTrade]:
        """A row for every closing deal, newest first."""
        return [*reversed(self._since), *self._past]

    def find(self, ticket: int) -> Position | None:
        """The open position with that ticket."""
        return self._open.get(ticket)

    def held(self, symbol: str) -> Position | None:
        """A netting account's one position of a symbol."""
        if not self.nets:
            return None
        return next((each for each in self._open.values() if each.symbol == symbol), None)

    def take_order(self) -> int:
        """The ticket of the next order."""
        self._next_order += 1
        return self._next_order - 1

    def open(
        self, symbol: str, done: Execution, sl: float | None, tp: float | None
    ) -> tuple[int, Deal]:
        """Book what an open order got; the position's ticket and the deal."""
        held = self.held(symbol)
        if held is None or held.side is done.side:
            return self._enter(held, self._drafted(symbol, done, sl, tp), done)
        if done.volume <= held.volume:
            return held.ticket, self.close(held, done)
        rest = round(done.volume - held.volume, 2)
        turned = self._drafted(symbol, msgspec.structs.replace(done, volume=rest), sl, tp)
        turned = msgspec.structs.replace(turned, identifier=held.identifier)
        deal = self.close(held, msgspec.structs.replace(done, volume=held.volume), turned)
        self._open[turned.ticket] = turned
        return turned.ticket, deal

    def close(self, position: Position, done: Execution, turned: Position | None = None) -> Deal:
        """Book the end of a position, or of a part of it, and what it turned into."""
        instrument, part = self._market.instruments[position.symbol], position.part(done.volume)
        profit = self._valuer.profit(
            instrument,
            position.side,
            part.volume,
            entry=position.open_price,
            exit_=done.price,
            market_s=done.market_s,
        )
        deal = self._book(
            position,
            done,
            DealEntry.OUT if turned is None else DealEntry.INOUT,
            volume=part.volume if turned is None else round(part.volume + turned.volume, 2),
            profit=cents(profit) / 100,  # through whole cents, which know no -0.0
            swap=part.swap / 100,
            commission=(part.due + (0 if turned is None else turned.paid)) / 100,
            fee=part.fee_due / 100,
        )
        self._since.append(_row(instrument, position, part, deal))
        self._put(position.ticket, position.without(part))
        return deal

    def change(self, position: Position, sl: float | None, tp: float | None) -> None:
        """Give a position other stops; from now on it is spared nothing."""
        self._put(position.ticket, msgspec.structs.replace(position, sl=sl, tp=tp, spared=False))

    def roll_over(self, weekday: int) -> None:
        """Charge the swaps of the day that ends; 0 is Monday."""
        for position in self.positions:
            instrument = self._market.instruments[position.symbol]
            nights = nights_booked(instrument, weekday)
            swap = cents(swap_per_lot(instrument, position.side) * position.volume * nights)
            self._put(position.ticket, msgspec.structs.replace(position, swap=position.swap + swap))

    def transfer(self, amount_cents: int, comment: str, time: datetime) -> Deal:
        """Book a deposit, or a withdrawal below zero."""
        draft = Deal(
            ticket=0,
            order=0,
            time=time,
            type=DealType.BALANCE,
            entry=DealEntry.IN,
            reason=DealReason.CLIENT,
            position_id=0,
            profit=amount_cents / 100,
            comment=comment[:COMMENT_MAX],
        )
        return self.ledger.book(draft)

    def cancel(self, ticket: int) -> Deal:
        """Take a buy or sell back, and the open position that it made.

        Raises
        ------
        ValueError
            Where there is no such buy or sell.
        """
        deal = self.ledger.find(ticket)
        if deal is None or deal.type not in CANCELED:
            raise ValueError(f"Deal {ticket} is no buy and no sell of this account: see deals()")
        for position in self.positions:
            if _opened(position, deal):
                self._give_back(position, deal)
        self._since = [trade for trade in self._since if not _closed(trade, deal)]
        self._past = [trade for trade in self._past if not _closed(trade, deal)]
        return self.ledger.cancel(deal)

    def _give_back(self, position: Position, deal: Deal) -> None:
        # Of a position that several deals made, this deal's lots go.
        whole = deal.entry == DealEntry.INOUT or deal.volume >= position.volume
        left = None if whole else position.without(position.part(deal.volume))
        self._put(position.ticket, left)

    def _put(self, ticket: int, position: Position | None) -> None:
        if position is None:
            del self._open[ticket]
        else:
            self._open[ticket] = position

    def _enter(self, held: Position | None, draft: Position, done: Execution) -> tuple[int, Deal]:
        position = draft if held is None else held.with_more(draft)
        deal = self._book(
            position, done, DealEntry.IN, volume=done.volume, commission=draft.paid / 100
        )
        self._put(position.ticket, position)
        return position.ticket, deal

    def _drafted(
        self, symbol: str, done: Execution, sl: float | None, tp: float | None
    ) -> Position:
        instrument = self._market.instruments[symbol]
        commission = cents(instrument.commission_per_lot * done.volume)
        paid = round(commission / 2) if self.nets else 0
        return Position(
            ticket=done.order,
            identifier=done.order,
            symbol=symbol,
            side=done.side,
            volume=done.volume,
            entered=done.volume,
            open_time=done.time,
            open_price=done.price,
            sl=sl,
            tp=tp,
            margin_per_lot=self._valuer.margin_per_lot(instrument, done.price, done.market_s),
            swap=0,
            paid=paid,
            due=commission - paid,
            fee_due=cents(instrument.fee_per_lot * done.volume),
            magic=done.by.magic,
            comment=done.by.comment,
            openers=(self.ledger.next_ticket,),
        )

    def _book(
        self,
        position: Position,
        done: Execution,
        entry: DealEntry,
        *,
        volume: float,
        profit: float = 0.0,
        swap: float = 0.0,
        commission: float = 0.0,
        fee: float = 0.0,
    ) -> Deal:
        draft = Deal(
            ticket=0,
            order=done.order,
            time=done.time,
            type=deal_type(done.side),
            entry=entry,
            reason=done.by.reason,
            position_id=position.identifier,
            symbol=position.symbol,
            volume=volume,
            price=done.price,
            profit=profit,
            swap=swap,
            commission=commission,
            fee=fee,
            magic=done.by.magic,
            comment=done.by.comment,
        )
        return self.ledger.book(draft)


def _opened(position: Position, deal: Deal) -> bool:
    first = deal.entry == DealEntry.IN and deal.order == position.ticket
    return first or deal.ticket in position.openers


def _closed(trade: ClosedTrade, deal: Deal) -> bool:
    if trade.deal:
        return trade.deal == deal.ticket
    # Rows of before the anchor are older than their deals; each position has one.
    past = deal.ticket < FIRST_NEW_DEAL and deal.entry == DealEntry.OUT
    return past and trade.position_id == deal.position_id


def _row(instrument: Instrument, position: Position, part: Position, deal: Deal) -> ClosedTrade:
    move = sign(position.side) * (deal.price - position.open_price)
    return ClosedTrade(
        position_id=position.identifier,
        symbol=position.symbol,
        side=position.side,
        volume=part.volume,
        pips=round(move / instrument.pip, 1) + 0.0,  # no -0.0
        profit=deal.profit,
        commission=(part.due + part.paid) / 100,
        swap=deal.swap,
        fee=deal.fee,
        entry_time=position.open_time,
        exit_time=deal.time,
        entry_price=position.open_price,
        exit_price=deal.price,
        deal=deal.ticket,
        magic=position.magic,
        comment=position.comment,
        entry_volume=position.entered,
    )
