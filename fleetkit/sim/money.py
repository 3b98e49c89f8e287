"""What prices are worth in the currency of an account.

Why: history, open positions and new deals are valued by the same lines. May
import `market` and `model`.
The trap: books are kept in whole cents, because 0.1 + 0.2 is not 0.3. A share of
an amount is rounded once and what it leaves is the rest, so nothing gets lost.
"""

from __future__ import annotations

from typing import Final

from fleetkit.model import Side
from fleetkit.sim.market import Instrument, Market
from fleetkit.sim.sessions import DAY_S, Session

WEDNESDAY: Final = 2
SATURDAY: Final = 5
SELLER_KEEPS: Final = 0.6  # the seller earns less than the buyer pays: the broker keeps a part


def cents(money: float) -> int:
    """Money as it is booked."""
    return round(money * 100)


def sign(side: Side) -> int:
    """+1 for what gains when the price rises, -1 for what loses then."""
    return 1 if side is Side.BUY else -1


def other(side: Side) -> Side:
    """The side of the order that closes a position."""
    return Side.SELL if side is Side.BUY else Side.BUY


def share(amount: int, volume: float, whole: float) -> int:
    """The cents of an amount that belong to a part of a volume."""
    return amount if volume >= whole else round(amount * volume / whole)


def swap_per_lot(instrument: Instrument, side: Side) -> float:
    """Money per lot and night."""
    rate = instrument.swap_per_lot
    return rate if side is Side.BUY else -SELLER_KEEPS * rate


def nights_booked(instrument: Instrument, weekday: int) -> int:
    """How many nights the rollover at the end of a weekday (0 is Monday) books.

    Wednesday's books the weekend, on which banks rest; what is always open pays
    every night.
    """
    if instrument.session is Session.ALWAYS:
        return 1
    if weekday >= SATURDAY:
        return 0
    return 3 if weekday == WEDNESDAY else 1


class Valuer:
    """Values one account's volumes: its currency and its leverage.

    Parameters
    ----------
    market
        Where prices and rates come from.
    currency, leverage
        The account's.
    """

    def __init__(self, market: Market, currency: str, leverage: int) -> None:
        self._market = market
        self._currency = currency
        self._leverage = leverage

    def __repr__(self) -> str:
        return f"<fleetkit.sim Valuer in {self._currency}, 1:{self._leverage}>"

    def profit(
        self,
        instrument: Instrument,
        side: Side,
        volume: float,
        *,
        entry: float,
        exit_: float,
        market_s: float,
    ) -> float:
        """What the move from entry to exit is worth, to the cent."""
        rate = self.rate(instrument, market_s)
        return round(sign(side) * (exit_ - entry) * instrument.contract_size * volume * rate, 2)

    def margin_per_lot(self, instrument: Instrument, price: float, market_s: float) -> float:
        """What the broker holds back for a lot opened at that price and moment."""
        worth = price * instrument.contract_size
        return worth * self.rate(instrument, market_s) / self._leverage

    def rate(self, instrument: Instrument, market_s: float) -> float:
        """What one unit of the currency of the instrument's profit is worth."""
        return self._market.rate(instrument.quote, self._currency, market_s)

    def rate_reach(
        self, instrument: Instrument, first_s: float, last_s: float
    ) -> tuple[float, float]:
        """The least and the largest that it can be between two moments."""
        return self._market.rate_reach(instrument.quote, self._currency, first_s, last_s)


def nights_between(entry_s: float, exit_s: float) -> int:
    """How many rollovers lie between two moments."""
    return int(exit_s // DAY_S) - int(entry_s // DAY_S)
