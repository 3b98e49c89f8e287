"""When something happens to open positions by itself: the first minute of many.

Why: a terminal is asked now and then, and must know what happened meanwhile
without walking through all of it. May import the simulator's market, money,
positions and risk.
The trap: whether something happens is decided by `Risk`, exactly and on whole
minutes. The bounds here only say where it certainly does not, so a result never
depends on how far one search looked or where it began.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from fleetkit.model import Side
from fleetkit.sim.market import Instrument, Market
from fleetkit.sim.money import Valuer, cents
from fleetkit.sim.position import Position
from fleetkit.sim.risk import MINUTE_S, SPARED_S, STOP_OUT_LEVEL, Risk, margin_of


class Exposure(msgspec.Struct):
    """All positions of one symbol: lots bought and sold, and what for."""

    instrument: Instrument
    bought: float = 0.0
    sold: float = 0.0
    cost: float = 0.0  # lots times price, of what was bought less what was sold

    def add(self, position: Position) -> None:
        """Count a position in."""
        if position.side is Side.BUY:
            self.bought += position.volume
            self.cost += position.volume * position.open_price
        else:
            self.sold += position.volume
            self.cost -= position.volume * position.open_price

    def worth(self, bid: float, ask: float) -> float:
        """What closing all of it would earn, in the currency of the profit."""
        return (self.bought * bid - self.sold * ask - self.cost) * self.instrument.contract_size


class Outlook:
    """Looks ahead over positions that do not change.

    Parameters
    ----------
    market, valuer, risk
        Prices, their worth, and what decides.
    positions, balance_cents
        What is open, and the account's balance meanwhile.
    """

    def __init__(
        self,
        market: Market,
        valuer: Valuer,
        risk: Risk,
        *,
        positions: Sequence[Position],
        balance_cents: int,
    ) -> None:
        self._market = market
        self._valuer = valuer
        self._risk = risk
        self._positions = positions
        self._balance_cents = balance_cents
        self._stopped = [each for each in positions if not (each.sl is None and each.tp is None)]
        self._all_spared = all(position.spared for position in positions)
        self._exposures = _exposures(market, positions)
        # Equity that is more than this above nothing is no stop-out; each profit is
        # rounded to a cent, and exposures are not.
        least = STOP_OUT_LEVEL * cents(margin_of(positions)) / 100 + len(positions) + 1
        self._least_cents = least - balance_cents - sum(each.swap for each in positions)

    def __repr__(self) -> str:
        return f"<fleetkit.sim Outlook over {len(self._positions)} positions>"

    def first_event(self, first: int, last: int) -> int | None:
        """The first minute, of those from first to last, in which a stop or margin is hit."""
        if first > last:
            return None
        if first == last:
            return first if self._strikes(float(first * MINUTE_S)) else None
        if not self._may_strike(float(first * MINUTE_S), float(last * MINUTE_S)):
            return None
        middle = (first + last) // 2
        found = self.first_event(first, middle)
        return self.first_event(middle + 1, last) if found is None else found

    def _strikes(self, market_s: float) -> bool:
        if self._all_spared and market_s < SPARED_S:
            return False
        if any(self._risk.touched(position, market_s) for position in self._stopped):
            return True
        floating = 0.0
        for symbol, exposure in self._exposures.items():
            rate = self._valuer.rate(exposure.instrument, market_s)
            floating += exposure.worth(*self._market.bid_ask(symbol, market_s)) * rate
        if floating * 100 > self._least_cents:
            return False
        return self._risk.victim(self._positions, self._balance_cents, market_s) is not None

    def _may_strike(self, first_s: float, last_s: float) -> bool:
        if self._all_spared and last_s < SPARED_S:
            return False
        reaches = {
            symbol: self._market.reach(symbol, first_s, last_s) for symbol in self._exposures
        }
        if any(_may_touch(position, reaches[position.symbol]) for position in self._stopped):
            return True
        floating = 0.0
        for symbol, exposure in self._exposures.items():
            worth = self._least_worth(exposure, reaches[symbol])
            rates = self._valuer.rate_reach(exposure.instrument, first_s, last_s)
            floating += worth * (rates[1] if worth < 0 else rates[0])
        return floating * 100 <= self._least_cents

    def _least_worth(self, exposure: Exposure, reach: tuple[float, float]) -> float:
        # Bid and ask move together, so what is bought and sold alike is at stake only
        # with the spread.
        mid = reach[0] if exposure.bought > exposure.sold else reach[1]
        half = self._market.widest_spread(exposure.instrument.symbol) / 2
        return exposure.worth(mid - half, mid + half)


def _exposures(market: Market, positions: Sequence[Position]) -> dict[str, Exposure]:
    exposures: dict[str, Exposure] = {}
    for position in positions:
        symbol = position.symbol
        exposures.setdefault(symbol, Exposure(market.instruments[symbol])).add(position)
    return exposures


def _may_touch(position: Position, reach: tuple[float, float]) -> bool:
    low, high = reach
    below, above = position.sl, position.tp
    if position.side is Side.SELL:
        below, above = above, below
    return (below is not None and low <= below) or (above is not None and high >= above)
