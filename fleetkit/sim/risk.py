"""What open positions are worth, and what happens to them at a given moment.

Why: stops, targets and the stop-out are decided here and nowhere else. May import
`contract`, `model` and the simulator's market, money and positions.
The trap: a broker watches all the time and this one on whole minutes, so a stop is
filled at its level although the price of the minute is past it; but not where the
price jumped over the level.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fleetkit.contract import DealReason
from fleetkit.model import Side
from fleetkit.sim.market import Market
from fleetkit.sim.money import Valuer, cents
from fleetkit.sim.position import Position
from fleetkit.sim.sessions import DAY_S

MINUTE_S: Final = 60
SPARED_S: Final = DAY_S  # for how long nothing happens to positions of before the anchor
STOP_OUT_LEVEL: Final = 50  # per cent of margin that equity must not fall below


class Risk:
    """Watches one account's positions.

    Parameters
    ----------
    market, valuer
        Prices, and what they are worth to the account.
    """

    def __init__(self, market: Market, valuer: Valuer) -> None:
        self._market = market
        self._valuer = valuer

    def __repr__(self) -> str:
        return f"<fleetkit.sim Risk over {self._market!r}>"

    def exit_price(self, position: Position, market_s: float) -> float:
        """What closing it would be done at."""
        bid, ask = self._market.bid_ask(position.symbol, market_s)
        return bid if position.side is Side.BUY else ask

    def profit_cents(self, position: Position, market_s: float) -> int:
        """What closing it would earn, but for swap and commission."""
        profit = self._valuer.profit(
            self._market.instruments[position.symbol],
            position.side,
            position.volume,
            entry=position.open_price,
            exit_=self.exit_price(position, market_s),
            market_s=market_s,
        )
        return cents(profit)

    def floating_cents(self, positions: Sequence[Position], market_s: float) -> int:
        """What positions add to the balance to make it the equity."""
        return sum(self.profit_cents(each, market_s) + each.swap for each in positions)

    def touched(self, position: Position, market_s: float) -> DealReason | None:
        """Which of its stops the price has reached, if any."""
        if (position.sl is None and position.tp is None) or not self._mortal(position, market_s):
            return None
        price, up = self.exit_price(position, market_s), position.side is Side.BUY
        if position.sl is not None and (price <= position.sl if up else price >= position.sl):
            return DealReason.SL
        if position.tp is not None and (price >= position.tp if up else price <= position.tp):
            return DealReason.TP
        return None

    def stop_price(self, position: Position, reason: DealReason, market_s: float) -> float:
        """Where a stop that was reached since the last minute is filled."""
        level = position.sl if reason is DealReason.SL else position.tp
        price = self.exit_price(position, market_s)
        if level is None:
            return price
        # What was spared until now meets its market for the first time.
        fresh = position.spared and market_s <= SPARED_S
        if reason is DealReason.TP or not (
            fresh or self._market.jumped(position.symbol, market_s - MINUTE_S, market_s)
        ):
            return level
        return min(level, price) if position.side is Side.BUY else max(level, price)

    def victim(
        self, positions: Sequence[Position], balance_cents: int, market_s: float
    ) -> Position | None:
        """The position that a stop-out closes now: the largest loser, where margin ran out."""
        mortal = [each for each in positions if self._mortal(each, market_s)]
        equity = balance_cents + self.floating_cents(positions, market_s) if mortal else 0
        if not mortal or not _runs_out(equity, positions):
            return None
        return min(mortal, key=lambda each: self.profit_cents(each, market_s) + each.swap)

    def _mortal(self, position: Position, market_s: float) -> bool:
        if position.spared and market_s < SPARED_S:
            return False
        return self._market.is_open(position.symbol, market_s)


def margin_of(positions: Sequence[Position]) -> float:
    """What the broker holds back for all of them, to the cent."""
    return round(sum(position.margin for position in positions), 2)


def _runs_out(equity_cents: int, positions: Sequence[Position]) -> bool:
    return equity_cents * 100 < STOP_OUT_LEVEL * cents(margin_of(positions))
