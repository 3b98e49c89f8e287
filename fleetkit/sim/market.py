"""A seeded market: instruments, spreads, and a price at any time.

Why: a price is a pure function of seed, symbol and time, so a trade of three
months ago, a floating profit and a quote agree without storing a single tick.
May import the standard library, `msgspec`, `gaps` and `sessions` only.
The trap: market time is *seconds of open market since the anchor*, negative
before it. Weekends do not exist in it; `TradingCalendar` puts them back. Jumps,
wide spreads and opening hours begin at the anchor: before it every price is what
history was made from, to the last bit.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from functools import cached_property
from random import Random
from typing import Final

import msgspec

from fleetkit.sim.gaps import Gaps
from fleetkit.sim.sessions import DAY_S, Session, Sessions


class Instrument(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One symbol. ``quote`` is the currency its profit is in."""

    symbol: str
    quote: str
    digits: int
    price: float  # around which its path wanders
    spread_points: int
    contract_size: float
    daily_move: float  # typical move of a day, as a fraction of the price
    swap_per_lot: float  # money per lot and night; negative costs
    commission_per_lot: float  # of a round turn
    fee_per_lot: float = 0.0
    liquidity: float  # lots that the market takes at once
    session: Session = Session.WEEK

    @cached_property
    def point(self) -> float:
        """The smallest step of the price."""
        return round(10.0**-self.digits, self.digits)

    @cached_property
    def pip(self) -> float:
        """Ten points where the symbol has 3 or 5 digits, else one."""
        factor = 10 if self.digits in (3, 5) else 1
        return round(self.point * factor, self.digits)

    def bid_ask(self, mid: float, spread_points: int | None = None) -> tuple[float, float]:
        """Bid and ask around a middle price, rounded as a terminal shows them.

        The spread is the usual one unless told.
        """
        points = self.spread_points if spread_points is None else spread_points
        spread = round(points * self.point, self.digits)
        bid = round(mid - spread / 2, self.digits)
        return bid, round(bid + spread, self.digits)


def _forex(
    symbol: str,
    price: float,
    spread_points: int,
    daily_move: float,
    swap: float,
    liquidity: float,
) -> Instrument:
    quote = symbol[3:]
    return Instrument(
        symbol=symbol,
        quote=quote,
        digits=3 if quote == "JPY" else 5,
        price=price,
        spread_points=spread_points,
        contract_size=100_000.0,
        daily_move=daily_move,
        swap_per_lot=swap,
        commission_per_lot=-7.0,
        liquidity=liquidity,
    )


INSTRUMENTS: Final = (
    _forex("EURUSD", 1.0850, 8, 0.0050, -6.4, 40.0),
    _forex("GBPUSD", 1.2710, 11, 0.0058, -4.1, 25.0),
    _forex("USDJPY", 149.80, 10, 0.0056, 8.2, 40.0),
    _forex("AUDUSD", 0.6570, 10, 0.0060, -2.7, 25.0),
    _forex("USDCAD", 1.3580, 13, 0.0042, -1.9, 25.0),
    _forex("EURJPY", 162.50, 16, 0.0060, 5.5, 15.0),
    Instrument(
        symbol="XAUUSD",
        quote="USD",
        digits=2,
        price=2310.0,
        spread_points=18,
        contract_size=100.0,
        daily_move=0.0095,
        swap_per_lot=-28.0,
        commission_per_lot=-7.0,
        liquidity=10.0,
    ),
    Instrument(
        symbol="US30",
        quote="USD",
        digits=1,
        price=38_900.0,
        spread_points=24,
        contract_size=1.0,
        daily_move=0.0080,
        swap_per_lot=-6.2,
        commission_per_lot=0.0,
        liquidity=20.0,
        session=Session.BREAKS,
    ),
    Instrument(
        symbol="BTCUSD",
        quote="USD",
        digits=2,
        price=64_000.0,
        spread_points=1450,
        contract_size=1.0,
        daily_move=0.0260,
        swap_per_lot=-18.0,
        commission_per_lot=0.0,
        fee_per_lot=-12.0,  # the exchange's, booked with the closing deal
        liquidity=3.0,
        session=Session.ALWAYS,
    ),
)

LONGEST_S: Final = 45.0 * DAY_S
WAVES: Final = 13
SHARE: Final = 0.42  # of a wave's typical move that its amplitude is
RESTLESS: Final = 0.3  # how much wider than usual a spread is at times
NIGHTLY: Final = 3.0  # and how much wider on top at the rollover
NIGHT_S: Final = 900.0  # before and after the rollover
MONDAY: Final = 0


class Market:
    """Prices of every instrument at any market time.

    A path is a sum of sine waves, each a third as long as the one before, with
    amplitudes that grow with the root of their period: from afar it looks like
    a random walk, and a value costs two microseconds. After the anchor it jumps.

    Parameters
    ----------
    seed
        Decides every price.
    first_weekday
        Which day the anchor begins; 0 is Monday. It matters after the anchor only.
    sessions
        Whether instruments keep their hours after the anchor. A price stands still
        while its market is closed.
    """

    def __init__(self, seed: int, *, first_weekday: int = MONDAY, sessions: bool = False) -> None:
        self.seed = seed
        self.first_weekday = first_weekday
        self.instruments = {instrument.symbol: instrument for instrument in INSTRUMENTS}
        self._waves = {i.symbol: _waves(i, Random(f"{seed}:{i.symbol}")) for i in INSTRUMENTS}
        self._gaps = {i.symbol: _gaps(i, seed, first_weekday) for i in INSTRUMENTS}
        self._sessions = Sessions(first_weekday) if sessions else None

    def __repr__(self) -> str:
        return f"<fleetkit.sim Market seed {self.seed}, {len(self.instruments)} instruments>"

    def mid(self, symbol: str, market_s: float) -> float:
        """The unrounded middle price."""
        sin, exponent, jumps = math.sin, 0.0, 0.0  # local names: this runs millions of times
        if market_s > 0:
            market_s = self._traded_s(symbol, market_s)
            jumps = self._gaps[symbol].total(market_s)
        for amplitude, frequency, phase in self._waves[symbol]:
            exponent += amplitude * sin(frequency * market_s + phase)
        return self.instruments[symbol].price * math.exp(exponent + jumps)

    def bid_ask(self, symbol: str, market_s: float) -> tuple[float, float]:
        """Bid and ask as a terminal shows them: rounded to the symbol's digits."""
        points = self.spread_points(symbol, market_s)
        return self.instruments[symbol].bid_ask(self.mid(symbol, market_s), points)

    def spread_points(self, symbol: str, market_s: float) -> int:
        """The spread: the usual one before the anchor, restless and wide at night after it."""
        usual = self.instruments[symbol].spread_points
        if market_s <= 0:
            return usual
        market_s = self._traded_s(symbol, market_s)
        phase = self._waves[symbol][0][2]
        calm = 1.0 + RESTLESS * math.sin(market_s / 531.0 + phase) ** 2
        second = market_s % DAY_S
        night = max(0.0, 1.0 - min(second, DAY_S - second) / NIGHT_S)
        return round(usual * calm * (1.0 + NIGHTLY * night))

    def is_open(self, symbol: str, market_s: float) -> bool:
        """Whether the symbol can be traded; always where the fleet has no sessions."""
        if self._sessions is None:
            return True
        session = self.instruments[symbol].session
        return self._sessions.closed_since(session, market_s) is None

    def jumped(self, symbol: str, after_s: float, until_s: float) -> bool:
        """Whether the price was anywhere between the two moments without passing through."""
        if not self.is_open(symbol, after_s) and self.is_open(symbol, until_s):
            return True
        return self._gaps[symbol].between(after_s, until_s)

    def reach(self, symbol: str, first_s: float, last_s: float) -> tuple[float, float]:
        """Bid and ask beyond which the market cannot be between two moments after the anchor.

        The least possible bid and the largest possible ask. Waves that are long
        beside the interval are taken at its middle and by their steepest slope, short
        ones by their amplitude: the bounds are sure, and cost as much as one price.
        """
        instrument = self.instruments[symbol]
        first_s, last_s = self._traded_s(symbol, first_s), self._traded_s(symbol, last_s)
        middle, half = (first_s + last_s) / 2, (last_s - first_s) / 2
        exponent = slack = 0.0
        for amplitude, frequency, phase in self._waves[symbol]:
            if frequency * half < 1.0:
                exponent += amplitude * math.sin(frequency * middle + phase)
                slack += amplitude * frequency * half
            else:
                slack += amplitude
        low, high = self._gaps[symbol].span(first_s, last_s)
        widest = self.widest_spread(symbol)
        least = instrument.price * math.exp(exponent - slack + low) - widest
        most = instrument.price * math.exp(exponent + slack + high) + widest
        return least, most

    def widest_spread(self, symbol: str) -> float:
        """A price difference that ask minus bid never exceeds, two roundings included."""
        instrument = self.instruments[symbol]
        points = instrument.spread_points * (1.0 + RESTLESS) * (1.0 + NIGHTLY) + 3
        return points * instrument.point

    def _traded_s(self, symbol: str, market_s: float) -> float:
        if self._sessions is None:
            return market_s
        closed_s = self._sessions.closed_since(self.instruments[symbol].session, market_s)
        return market_s if closed_s is None else closed_s

    def rate(self, currency: str, into: str, market_s: float) -> float:
        """What one unit of a currency is worth in another."""
        if currency == into:
            return 1.0
        return self._in_dollars(currency, market_s) / self._in_dollars(into, market_s)

    def rate_reach(
        self, currency: str, into: str, first_s: float, last_s: float
    ) -> tuple[float, float]:
        """The least and the largest that `rate` can be between two moments."""
        if currency == into:
            return 1.0, 1.0
        least, most = self._dollars_reach(currency, first_s, last_s)
        least_into, most_into = self._dollars_reach(into, first_s, last_s)
        return least / most_into, most / least_into

    def _dollars_reach(self, currency: str, first_s: float, last_s: float) -> tuple[float, float]:
        if currency == "USD":
            return 1.0, 1.0
        if f"{currency}USD" in self.instruments:
            return self.reach(f"{currency}USD", first_s, last_s)
        least, most = self.reach(f"USD{currency}", first_s, last_s)
        return 1.0 / most, 1.0 / least

    def _in_dollars(self, currency: str, market_s: float) -> float:
        if currency == "USD":
            return 1.0
        if f"{currency}USD" in self.instruments:
            return self.mid(f"{currency}USD", market_s)
        return 1.0 / self.mid(f"USD{currency}", market_s)


def _waves(instrument: Instrument, random: Random) -> tuple[tuple[float, float, float], ...]:
    periods = [LONGEST_S / 3**n * random.uniform(0.8, 1.2) for n in range(WAVES)]
    return tuple(
        (
            SHARE * instrument.daily_move * math.sqrt(period / DAY_S),
            2 * math.pi / period,
            random.uniform(0.0, 2 * math.pi),
        )
        for period in periods
    )


def _gaps(instrument: Instrument, seed: int, first_weekday: int) -> Gaps:
    return Gaps(
        f"{seed}:{instrument.symbol}",
        daily_move=instrument.daily_move,
        first_weekday=first_weekday,
        weekends=instrument.session is not Session.ALWAYS,
    )


class TradingCalendar:
    """Market time to dates and back, around an anchor at the start of a day.

    Before the anchor only Mondays to Fridays count. From the anchor on, market
    time runs as the clock does, so that a demo moves on a Sunday as well. The
    anchor is aware, and every date has its zone.
    """

    def __init__(self, anchor: datetime, *, days: int) -> None:
        self.anchor = anchor
        self._past = _weekdays_before(anchor, days)

    def date(self, market_s: float) -> datetime:
        """When that was, to the second, in the anchor's zone."""
        if market_s >= 0:
            return self.anchor + timedelta(seconds=int(market_s))
        day, second = divmod(math.floor(market_s), DAY_S)
        return self._past[-day - 1] + timedelta(seconds=second)

    def moment(self, market_s: float) -> datetime:
        """The moment that `market_s` was asked for, to the second: its inverse."""
        return self.anchor + timedelta(seconds=math.floor(market_s))

    def market_s(self, moment: datetime) -> float:
        """Market time of a moment after the anchor."""
        return (moment - self.anchor).total_seconds()


def _weekdays_before(anchor: datetime, count: int) -> list[datetime]:
    found: list[datetime] = []
    day = anchor
    while len(found) < count:
        day -= timedelta(days=1)
        if day.weekday() < 5:
            found.append(day)
    return found
