"""What the market and the broker make of an order before it is booked.

Why: the refusals and their words are a broker's own, one place for each. May
import `agent.terminal`, `contract` and the simulator's market and people.
The trap: a fill is drawn from the account and the number of the order, never from
the time, so the same orders at the same moments always get the same prices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from random import Random
from types import MappingProxyType
from typing import Final

from fleetkit.agent.terminal import TradeResult
from fleetkit.contract import Retcode
from fleetkit.model import Side
from fleetkit.sim.market import Instrument

LEAST_LOTS: Final = 0.01
MOST_LOTS: Final = 100.0
PUNCTUAL: Final = 0.6  # of the orders get the price they saw
BETTER: Final = 0.15  # of the others get a better one
SLIPPAGE_POINTS: Final = 3.0  # on average, of those that slip

WORDS: Final[Mapping[Retcode, str]] = MappingProxyType(
    {
        Retcode.REQUOTE: "Requote",
        Retcode.DONE: "Request executed",
        Retcode.DONE_PARTIAL: "Request executed partially",
        Retcode.INVALID_VOLUME: "Invalid volume",
        Retcode.INVALID_STOPS: "Invalid stops",
        Retcode.MARKET_CLOSED: "Market closed",
        Retcode.NO_MONEY: "No money",
        Retcode.NO_CHANGES: "No changes",
        Retcode.INVALID_CLOSE_VOLUME: "Invalid close volume",
    }
)


def refused(
    retcode: Retcode, *, position: int | None = None, price: float | None = None
) -> TradeResult:
    """An answer that says that nothing was done."""
    return TradeResult(retcode=retcode, comment=WORDS[retcode], position=position, price=price)


def is_tradable(volume: float) -> bool:
    """Whether a volume is within the limits and on the step of every symbol."""
    return LEAST_LOTS <= volume <= MOST_LOTS and is_on_step(volume)


def is_on_step(volume: float) -> bool:
    """Whether a volume is a number of whole steps."""
    steps = volume / LEAST_LOTS
    return math.isfinite(steps) and abs(steps - round(steps)) < 1e-6


def stops_fit(
    instrument: Instrument,
    side: Side,
    quote: tuple[float, float],
    sl: float | None,
    tp: float | None,
) -> bool:
    """Whether stops are on their sides, and not nearer to the price than the broker allows."""
    bid, ask = quote
    if side is Side.BUY:
        distances = (None if sl is None else bid - sl, None if tp is None else tp - bid)
    else:
        distances = (None if sl is None else sl - ask, None if tp is None else ask - tp)
    # Half a point for what floats make of a distance of whole points.
    least = (instrument.spread_points - 0.5) * instrument.point
    return all(distance is None or distance >= least for distance in distances)


def slippage_points(account: str, number: int) -> int:
    """How much worse than the quote the account's order of that number is filled.

    Below zero is better.
    """
    random = Random(f"{account}:fill:{number}")
    if random.random() < PUNCTUAL:
        return 0
    points = 1 + int(random.expovariate(1 / SLIPPAGE_POINTS))
    return -points if random.random() < BETTER else points
