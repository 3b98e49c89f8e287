"""A seeded market: instruments, spreads, and a price at any time.

Why: a price is a pure function of seed, symbol and time, so a trade of three
months ago, a floating profit and a quote agree without storing a single tick.
May import the standard library and `msgspec` only.
The trap: market time is *seconds of open market since the anchor*, negative
before it. Weekends do not exist in it; `TradingCalendar` puts them back.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from functools import cached_property
from random import Random
from typing import Final

import msgspec

DAY_S: Final = 86_400


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

    @cached_property
    def point(self) -> float:
        """The smallest step of the price."""
        return round(10.0**-self.digits, self.digits)

    @cached_property
    def pip(self) -> float:
        """Ten points where the symbol has 3 or 5 digits, else one."""
        factor = 10 if self.digits in (3, 5) else 1
        return round(self.point * factor, self.digits)

    @cached_property
    def spread(self) -> float:
        """Ask minus bid, a price difference."""
        return round(self.spread_points * self.point, self.digits)

    def bid_ask(self, mid: float) -> tuple[float, float]:
        """Bid and ask around a middle price, rounded as a terminal shows them."""
        bid = round(mid - self.spread / 2, self.digits)
        return bid, round(bid + self.spread, self.digits)


def _forex(
    symbol: str, price: float, spread_points: int, daily_move: float, swap: float
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
    )


INSTRUMENTS: Final = (
    _forex("EURUSD", 1.0850, 8, 0.0050, -6.4),
    _forex("GBPUSD", 1.2710, 11, 0.0058, -4.1),
    _forex("USDJPY", 149.80, 10, 0.0056, 8.2),
    _forex("AUDUSD", 0.6570, 10, 0.0060, -2.7),
    _forex("USDCAD", 1.3580, 13, 0.0042, -1.9),
    _forex("EURJPY", 162.50, 16, 0.0060, 5.5),
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
    ),
)

LONGEST_S: Final = 45.0 * DAY_S
WAVES: Final = 13
SHARE: Final = 0.42  # of a wave's typical move that its amplitude is


class Market:
    """Prices of every instrument at any market time.

    A path is a sum of sine waves, each a third as long as the one before, with
    amplitudes that grow with the root of their period: from afar it looks like
    a random walk, and a value costs two microseconds.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.instruments = {instrument.symbol: instrument for instrument in INSTRUMENTS}
        self._waves = {i.symbol: _waves(i, Random(f"{seed}:{i.symbol}")) for i in INSTRUMENTS}

    def __repr__(self) -> str:
        return f"<fleetkit.sim Market seed {self.seed}, {len(self.instruments)} instruments>"

    def mid(self, symbol: str, market_s: float) -> float:
        """The unrounded middle price."""
        sin, exponent = math.sin, 0.0  # a local name: this line runs millions of times
        for amplitude, frequency, phase in self._waves[symbol]:
            exponent += amplitude * sin(frequency * market_s + phase)
        return self.instruments[symbol].price * math.exp(exponent)

    def bid_ask(self, symbol: str, market_s: float) -> tuple[float, float]:
        """Bid and ask as a terminal shows them: rounded to the symbol's digits."""
        return self.instruments[symbol].bid_ask(self.mid(symbol, market_s))

    def rate(self, currency: str, into: str, market_s: float) -> float:
        """What one unit of a currency is worth in another."""
        if currency == into:
            return 1.0
        return self._in_dollars(currency, market_s) / self._in_dollars(into, market_s)

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
