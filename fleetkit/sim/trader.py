"""How a simulated account came to its trades and open positions.

Why: history is made from the market's own prices, so pips, profits and swaps
can be checked against them. May import `market`, `money`, `people` and
`agent.terminal`.
The trap: everything is drawn in market time before the anchor. Nothing here may
ask what time it is, or two demos of one seed would differ.
"""

from __future__ import annotations

import math
from random import Random
from typing import Final

import msgspec

from fleetkit.agent.terminal import ClosedTrade
from fleetkit.model import Side
from fleetkit.sim.market import Instrument, Market, TradingCalendar
from fleetkit.sim.money import Valuer, nights_between, other, sign, swap_per_lot
from fleetkit.sim.people import FIRST_ACCOUNT, Person
from fleetkit.sim.sessions import DAY_S

LAST_EXIT_S: Final = -180.0  # every closed trade ended three minutes before the anchor
TICKETS_PER_ACCOUNT: Final = 1_000
FIRST_TICKET: Final = 55_000_000
POPULAR: Final = (24, 38, 50, 57, 63, 70, 88, 96, 100)  # adding up, in the order of INSTRUMENTS
DRAWDOWN: Final = 0.06  # of the initial balance, after which an account trades carefully
LONGEST_TRADE_S: Final = 3.5 * DAY_S


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """A position that is open at the anchor, without what the market makes of it."""

    ticket: int
    symbol: str
    side: Side
    volume: float
    open_s: float
    open_price: float
    sl: float | None
    tp: float | None
    swap: float


class Trader:
    """Makes one account's history, the same one every time."""

    def __init__(self, person: Person, market: Market, calendar: TradingCalendar) -> None:
        self._person = person
        self._market = market
        self._calendar = calendar
        self._valuer = Valuer(market, person.currency, person.leverage)
        self._instruments = tuple(market.instruments.values())
        self._first_ticket = FIRST_TICKET + (person.account - FIRST_ACCOUNT) * TICKETS_PER_ACCOUNT

    def trades(self) -> list[ClosedTrade]:
        """Every closed trade, newest exit first."""
        person = self._person
        random = Random(f"{self._market.seed}:trades:{person.account}")
        entries = sorted(self._entry_s(random) for _ in range(person.trades))
        made, earned = [], 0.0
        for number, entry_s in enumerate(entries):
            careful = earned < -DRAWDOWN * person.initial_balance
            trade = self._trade(random, self._first_ticket + number, entry_s, careful)
            earned += trade.profit + trade.swap + trade.commission + trade.fee
            made.append(trade)
        made.sort(key=lambda trade: (trade.exit_time, trade.position_id), reverse=True)
        return made

    def holdings(self) -> list[Holding]:
        """The open positions; the halves of a pair hold opposite sides of one idea."""
        person = self._person
        whose = person.account if person.pair is None else f"pair{person.pair}"
        random = Random(f"{self._market.seed}:open:{whose}")
        count = random.choices((0, 1, 2, 3), (50, 28, 15, 7))[0]
        if person.pair is not None:
            count = max(count, 1)
        first = self._first_ticket + person.trades
        return [self._holding(random, first + number) for number in range(count)]

    def _entry_s(self, random: Random) -> float:
        day = random.randint(-self._person.days_operating, -1)
        return day * DAY_S + random.triangular(6.5 * 3600, 20.5 * 3600, 14.0 * 3600)

    def _trade(
        self, random: Random, position_id: int, entry_s: float, careful: bool
    ) -> ClosedTrade:
        person = self._person
        instrument = random.choices(self._instruments, cum_weights=POPULAR)[0]
        duration_s = min(LONGEST_TRADE_S, 3600 * random.lognormvariate(0.4, 1.3) + 90)
        exit_s = max(entry_s + 5, min(entry_s + duration_s, LAST_EXIT_S))
        right = random.random() < (0.68 if careful else person.skill)
        mid_in = self._market.mid(instrument.symbol, entry_s)
        mid_out = self._market.mid(instrument.symbol, exit_s)
        side = Side.BUY if (mid_out >= mid_in) == right else Side.SELL
        volume = self._volume(random, instrument, entry_s, duration_s)
        entry = _fill(instrument, side, mid_in)
        exit_ = _fill(instrument, other(side), mid_out)
        profit = self._valuer.profit(
            instrument, side, volume, entry=entry, exit_=exit_, market_s=exit_s
        )
        return ClosedTrade(
            position_id=position_id,
            symbol=instrument.symbol,
            side=side,
            volume=volume,
            pips=round(sign(side) * (exit_ - entry) / instrument.pip, 1),
            profit=profit,
            commission=round(instrument.commission_per_lot * volume, 2),
            swap=_swap(instrument, side, volume, entry_s, exit_s),
            fee=round(instrument.fee_per_lot * volume, 2),
            entry_time=self._calendar.date(entry_s),
            exit_time=self._calendar.date(exit_s),
            entry_price=entry,
            exit_price=exit_,
        )

    def _holding(self, random: Random, ticket: int) -> Holding:
        instrument = random.choices(self._instruments, cum_weights=POPULAR)[0]
        open_s = random.uniform(-1.8 * DAY_S, -900.0)
        up = random.choice((1, -1)) * self._person.pair_sign
        side = Side.BUY if up > 0 else Side.SELL
        volume = self._volume(random, instrument, open_s, DAY_S)
        price = _fill(instrument, side, self._market.mid(instrument.symbol, open_s))
        step = round(price * instrument.daily_move * random.uniform(2.5, 4.0), instrument.digits)
        has_sl, has_tp = random.random() < 0.8, random.random() < 0.5
        return Holding(
            ticket=ticket,
            symbol=instrument.symbol,
            side=side,
            volume=volume,
            open_s=open_s,
            open_price=price,
            sl=round(price - up * step, instrument.digits) if has_sl else None,
            tp=round(price + up * step, instrument.digits) if has_tp else None,
            swap=_swap(instrument, side, volume, open_s, 0.0),
        )

    def _volume(
        self, random: Random, instrument: Instrument, market_s: float, duration_s: float
    ) -> float:
        """Lots that win or lose about what this person risks in that time."""
        person = self._person
        move = instrument.price * instrument.daily_move * math.sqrt(duration_s / DAY_S)
        money = (
            move
            * instrument.contract_size
            * self._market.rate(instrument.quote, person.currency, market_s)
        )
        most = person.initial_balance / 10_000
        lots = person.initial_balance * person.risk * random.uniform(0.4, 1.6) / money
        return max(0.01, round(min(lots, most), 2))


def _fill(instrument: Instrument, side: Side, mid: float) -> float:
    bid, ask = instrument.bid_ask(mid)
    return ask if side is Side.BUY else bid


def _swap(
    instrument: Instrument, side: Side, volume: float, entry_s: float, exit_s: float
) -> float:
    nights = nights_between(entry_s, exit_s)
    return round(swap_per_lot(instrument, side) * volume * nights, 2) if nights else 0.0
