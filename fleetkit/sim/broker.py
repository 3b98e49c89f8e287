"""Executes orders on one account's book, and what time does to it.

Why: checks, fills and bookings meet here, for the agent's orders, for a person's
in the same terminal, and for those the broker makes itself. May import
`agent.terminal`, `contract` and the simulator's books below.
The trap: every call first catches up with the time that went by. Who forgets it
trades on a position that was stopped out yesterday.
"""

from __future__ import annotations

import math
from typing import Final

from fleetkit.agent.terminal import (
    CloseOrder,
    Deal,
    ModifyOrder,
    OpenOrder,
    TradeRefusedError,
    TradeResult,
)
from fleetkit.contract import DealReason, Retcode
from fleetkit.model import Side
from fleetkit.sim.book import COMMENT_MAX, Book, By, Execution
from fleetkit.sim.fills import WORDS, is_on_step, is_tradable, refused, slippage_points, stops_fit
from fleetkit.sim.market import Instrument, Market, TradingCalendar
from fleetkit.sim.money import Valuer, other, sign
from fleetkit.sim.outlook import Outlook
from fleetkit.sim.position import Position
from fleetkit.sim.risk import MINUTE_S, Risk, margin_of
from fleetkit.sim.sessions import DAY_S

MINUTES_A_DAY: Final = DAY_S // MINUTE_S


class Broker:
    """One account's.

    Parameters
    ----------
    name
        What fills are drawn from: the seed and the account.
    book
        What is open and booked.
    market, calendar, valuer
        Prices, dates, and what they are worth to the account.
    """

    def __init__(
        self, name: str, book: Book, market: Market, calendar: TradingCalendar, valuer: Valuer
    ) -> None:
        self.book = book
        self.risk = Risk(market, valuer)
        self._name = name
        self._market = market
        self._calendar = calendar
        self._valuer = valuer
        self._minute = 0  # up to which everything has happened
        self._latest_s = -math.inf
        self._filled = 0  # orders that reached the market

    def __repr__(self) -> str:
        return f"<fleetkit.sim Broker {self._name}: {self.book!r}>"

    def catch_up(self, market_s: float) -> float:
        """Let everything happen up to a moment; the moment that the book stands at.

        A clock that was set back does not undo what has happened.
        """
        self._latest_s = max(self._latest_s, market_s)
        last = int(market_s // MINUTE_S)
        while self._minute < last and self.book.positions:
            self._pass(last)
        self._minute = max(self._minute, last)
        return self._latest_s

    def equity_cents(self, market_s: float) -> int:
        """Balance, floating profit and swap."""
        floating = self.risk.floating_cents(self.book.positions, market_s)
        return self.book.ledger.balance_cents + floating

    def free_margin(self, market_s: float) -> float:
        """What is left to open positions with."""
        return self.equity_cents(market_s) / 100 - margin_of(self.book.positions)

    def open(self, order: OpenOrder, market_s: float, by: By) -> TradeResult:
        """Execute an order that adds exposure, or nets it."""
        instrument = self._market.instruments[order.symbol]
        sl, tp = (_level(price, instrument) for price in (order.sl, order.tp))
        quote = self._market.bid_ask(order.symbol, market_s)
        retcode: Retcode | None = None
        if not is_tradable(order.volume):
            retcode = Retcode.INVALID_VOLUME
        elif not self._market.is_open(order.symbol, market_s):
            retcode = Retcode.MARKET_CLOSED
        elif not stops_fit(instrument, order.side, quote, sl, tp):
            retcode = Retcode.INVALID_STOPS
        elif not self._affords(instrument, order, quote, market_s):
            retcode = Retcode.NO_MONEY
        if retcode is not None:
            return refused(retcode)
        volume = round(order.volume, 2)
        done = self._filled_at(instrument, order.side, volume, order.deviation, market_s, by)
        if isinstance(done, TradeResult):
            return done
        ticket, deal = self.book.open(order.symbol, done, sl, tp)
        return _answer(done, deal, ticket, volume)

    def close(self, order: CloseOrder, market_s: float, by: By) -> TradeResult:
        """Execute an order that closes a position or a part of it."""
        position = self._position(order.ticket)
        instrument = self._market.instruments[position.symbol]
        volume = position.volume if order.volume is None else order.volume
        retcode: Retcode | None = None
        if volume <= 0 or not is_on_step(volume):
            retcode = Retcode.INVALID_VOLUME
        elif round(volume, 2) > position.volume:
            retcode = Retcode.INVALID_CLOSE_VOLUME
        elif not self._market.is_open(position.symbol, market_s):
            retcode = Retcode.MARKET_CLOSED
        if retcode is not None:
            return refused(retcode, position=position.ticket)
        volume, side = round(volume, 2), other(position.side)
        done = self._filled_at(instrument, side, volume, order.deviation, market_s, by)
        if isinstance(done, TradeResult):
            return done
        deal = self.book.close(position, done)
        return _answer(done, deal, position.ticket, volume)

    def modify(self, order: ModifyOrder, market_s: float) -> TradeResult:
        """Change the stops of a position: ``None`` keeps one, 0.0 removes it."""
        position = self._position(order.ticket)
        instrument = self._market.instruments[position.symbol]
        sl = position.sl if order.sl is None else _level(order.sl, instrument)
        tp = position.tp if order.tp is None else _level(order.tp, instrument)
        quote = self._market.bid_ask(position.symbol, market_s)
        # A stop that stays where it is may have come close to the price.
        new_sl, new_tp = None if sl == position.sl else sl, None if tp == position.tp else tp
        retcode = Retcode.DONE
        if not self._market.is_open(position.symbol, market_s):
            retcode = Retcode.MARKET_CLOSED
        elif (sl, tp) == (position.sl, position.tp):
            retcode = Retcode.NO_CHANGES
        elif not stops_fit(instrument, position.side, quote, new_sl, new_tp):
            retcode = Retcode.INVALID_STOPS
        else:
            self.book.change(position, sl, tp)
            position = self._position(order.ticket)
        return TradeResult(
            retcode=retcode,
            comment=WORDS[retcode],
            position=position.ticket,
            sl=position.sl,
            tp=position.tp,
        )

    def force(self, ticket: int, reason: DealReason, market_s: float) -> TradeResult:
        """Close a position for a reason of the broker's, opening hours or not."""
        position = self._position(ticket)
        price = {DealReason.SL: position.sl, DealReason.TP: position.tp}.get(reason)
        if price is None:
            price = self.risk.exit_price(position, market_s)
        return self._end(position, reason, price, market_s)

    def _pass(self, last: int) -> None:
        """Go on to the next minute in which something happens, a rollover at the latest."""
        rollover = (self._minute // MINUTES_A_DAY + 1) * MINUTES_A_DAY
        end = min(last, rollover)
        outlook = Outlook(
            self._market,
            self._valuer,
            self.risk,
            positions=self.book.positions,
            balance_cents=self.book.ledger.balance_cents,
        )
        found = outlook.first_event(self._minute + 1, end)
        self._minute = end if found is None else found
        market_s = float(self._minute * MINUTE_S)
        if self._minute == rollover:
            self.book.roll_over(self._calendar.moment(market_s - 1).weekday())
        if found is not None or self._minute == rollover:
            self._strike(market_s)

    def _strike(self, market_s: float) -> None:
        for position in self.book.positions:
            reason = self.risk.touched(position, market_s)
            if reason is not None:
                price = self.risk.stop_price(position, reason, market_s)
                self._end(position, reason, price, market_s)
        while victim := self.risk.victim(
            self.book.positions, self.book.ledger.balance_cents, market_s
        ):
            price = self.risk.exit_price(victim, market_s)
            self._end(victim, DealReason.SO, price, market_s)

    def _end(
        self, position: Position, reason: DealReason, price: float, market_s: float
    ) -> TradeResult:
        done = Execution(
            order=self.book.take_order(),
            side=other(position.side),
            volume=position.volume,
            price=price,
            market_s=market_s,
            time=self._calendar.moment(market_s),
            by=By(reason, position.magic, self._words(position, reason, price, market_s)),
        )
        deal = self.book.close(position, done)
        return _answer(done, deal, position.ticket, position.volume)

    def _words(self, position: Position, reason: DealReason, price: float, market_s: float) -> str:
        """The comment that MetaTrader writes for what the broker closes."""
        if reason in (DealReason.SL, DealReason.TP):
            digits = self._market.instruments[position.symbol].digits
            return f"[{reason.name.lower()} {price:.{digits}f}]"
        if reason is not DealReason.SO:
            return ""
        equity, margin = self.equity_cents(market_s) / 100, margin_of(self.book.positions)
        level = 100 * equity / margin if margin else 0.0
        return f"so {level:.1f}%/{equity:.1f}/{margin:.1f}"[:COMMENT_MAX]

    def _affords(
        self, instrument: Instrument, order: OpenOrder, quote: tuple[float, float], market_s: float
    ) -> bool:
        bid, ask = quote
        volume, free = order.volume, self.free_margin(market_s)
        held = self.book.held(order.symbol)
        if held is not None and held.side is not order.side:
            if volume <= held.volume:
                return True
            volume, free = volume - held.volume, free + held.margin
        price = ask if order.side is Side.BUY else bid
        return self._valuer.margin_per_lot(instrument, price, market_s) * volume <= free

    def _filled_at(
        self,
        instrument: Instrument,
        side: Side,
        volume: float,
        deviation: int,
        market_s: float,
        by: By,
    ) -> Execution | TradeResult:
        bid, ask = self._market.bid_ask(instrument.symbol, market_s)
        points = slippage_points(self._name, self._filled)
        self._filled += 1  # also of a requote, or the same order would never get through
        price = ask if side is Side.BUY else bid
        price = round(price + sign(side) * points * instrument.point, instrument.digits)
        if points > deviation:
            return refused(Retcode.REQUOTE, price=price)
        return Execution(
            order=self.book.take_order(),
            side=side,
            volume=min(volume, instrument.liquidity),
            price=price,
            market_s=market_s,
            time=self._calendar.moment(market_s),
            by=by,
        )

    def _position(self, ticket: int) -> Position:
        position = self.book.find(ticket)
        if position is None:
            raise TradeRefusedError(f"Position {ticket} not found")
        return position


def _answer(done: Execution, deal: Deal, ticket: int, wanted: float) -> TradeResult:
    retcode = Retcode.DONE if done.volume >= wanted else Retcode.DONE_PARTIAL
    return TradeResult(
        retcode=retcode,
        comment=WORDS[retcode],
        deal=deal.ticket,
        order=done.order,
        position=ticket,
        volume=done.volume,
        price=done.price,
    )


def _level(price: float | None, instrument: Instrument) -> float | None:
    return round(price, instrument.digits) if price else None
