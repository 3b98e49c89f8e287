"""Stops: price, pips and money of one level, and what an agent must be sent for it.

Why: callers say where a stop shall be in the unit they think in, agents take one of
two units under the same names (T6). May import `facts` and `trading`.
The trap: an agent's pip is ten points or one by its digits, never by a symbol's name, and
never `/quote`'s ``pip_value``.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, Literal

import msgspec

from fleetkit.model import Side, StopsUnit
from fleetkit.plan.facts import AccountFacts, PriceFacts, SymbolFacts, pip_of
from fleetkit.trading import Refusal, Rule, Stop

Which = Literal["sl", "tp"]


class PlannedStop(msgspec.Struct, frozen=True, kw_only=True):
    """One stop three ways; distances from the entry, positive."""

    price: Decimal | None = None
    pips: Decimal | None = None
    money: Decimal | None = None
    refusal: Refusal | None = None


NO_STOP: Final = PlannedStop()


def stops_unit(account: AccountFacts) -> StopsUnit | Refusal:
    """The unit an agent takes stops in, or why no order with stops may be sent to it."""
    configured, advertised = account.configured_stops_unit, account.advertised_stops_unit
    if configured is not None and advertised not in (None, configured):
        return Refusal(
            Rule.STOPS_UNIT,
            f"The config says that {account.agent} takes stops as {configured}, and the agent "
            f'says {advertised}. Correct stops_unit = "{configured}" in its [[agents]] table, or '
            "send the order without stops.",
        )
    unit = configured or advertised
    if unit is None:
        return Refusal(
            Rule.STOPS_UNIT,
            f"{account.agent} may take sl and tp for prices or for pips, and a wrong guess leaves "
            'the position without its stop. Write stops_unit = "price" or stops_unit = "pips" '
            "into its [[agents]] table.",
        )
    return unit


def planned_stop(
    which: Which,
    asked: Stop,
    side: Side,
    volume: Decimal,
    symbol: SymbolFacts,
    prices: PriceFacts,
) -> PlannedStop:
    """Work one stop out in all three ways, and refuse what cannot be a stop."""
    if not asked.given:
        return NO_STOP
    name = f"{which}_price, {which}_pips and {which}_money"
    if asked.given > 1:
        return _refused(f"{name} say three things; give one of them.")
    values = (asked.price, asked.pips, asked.money)
    if any(value is not None and not (value.is_finite() and value > 0) for value in values):
        return _refused(f"{name} take a number above 0; leave it out for no {which}.")
    entry = prices.entry(side)
    worse = (which == "sl") == (side is Side.BUY)  # the level lies below the entry
    price = asked.price
    if price is None:
        distance = _distance(which, asked, volume, symbol)
        if isinstance(distance, Refusal):
            return PlannedStop(refusal=distance)
        price = _on_grid(entry - distance if worse else entry + distance, symbol)
    refusal = _misplaced(which, price, side, symbol, prices)
    pip, per_price = pip_of(symbol), symbol.money_per_price
    distance = abs(price - entry)
    return PlannedStop(
        price=price,
        pips=asked.pips or (distance / pip if pip else None),
        money=None if per_price is None else distance * per_price * volume,
        refusal=refusal,
    )


def _distance(which: Which, asked: Stop, volume: Decimal, symbol: SymbolFacts) -> Decimal | Refusal:
    if asked.pips is not None:
        pip = pip_of(symbol)
        if pip is None:
            return Refusal(
                Rule.STOPS,
                f"The point of {symbol.symbol} is not known, so pips cannot be worked out. Give "
                f"{which}_price instead.",
            )
        return asked.pips * pip
    per_price = symbol.money_per_price
    if per_price is None or asked.money is None:
        return Refusal(
            Rule.STOPS,
            f"Tick value and tick size of {symbol.symbol} are not both known, so money cannot be "
            f"worked out. Give {which}_price or {which}_pips instead.",
        )
    return asked.money / (per_price * volume)


def _misplaced(
    which: Which, price: Decimal, side: Side, symbol: SymbolFacts, prices: PriceFacts
) -> Refusal | None:
    """Whether a level lies on the wrong side of the market, or too near to it."""
    exit_, entry = prices.exit(side), prices.entry(side)
    up = 1 if side is Side.BUY else -1
    # A stop loss is watched at the closing price; a take profit must also win something.
    room = (exit_ - price) * up if which == "sl" else (price - entry) * up
    if price <= 0 or room <= 0:
        where = "below" if (which == "sl") == (side is Side.BUY) else "above"
        market = exit_ if which == "sl" else entry
        return Refusal(
            Rule.STOPS,
            f"The {which} {price:f} of a {side} must lie {where} {market:f}, the price now.",
        )
    level, point = symbol.stops_level_points, symbol.point
    if not level or level < 0 or point is None:
        return None
    least = level * point
    near = abs(price - exit_)
    if near >= least:
        return None
    return Refusal(
        Rule.STOPS,
        f"The {which} {price:f} is {near:f} from the price, and {symbol.symbol} wants at least "
        f"{least:f} ({level} points).",
    )


def _on_grid(price: Decimal, symbol: SymbolFacts) -> Decimal:
    """The nearest price that the symbol has."""
    grid = symbol.tick_size or symbol.point
    if not grid or grid <= 0:
        return price
    return (price / grid).to_integral_value(ROUND_HALF_EVEN) * grid


def sent_stop(stop: PlannedStop, unit: StopsUnit) -> Decimal | Refusal | None:
    """What goes over the wire for a stop; ``None`` where there is none."""
    if stop.price is None:
        return None
    if unit is StopsUnit.PRICE:
        return stop.price
    if stop.pips is None:
        return Refusal(
            Rule.STOPS,
            "The agent takes stops as pips, and the symbol's point is not known. Send the order "
            "without stops and set them with modify_position, which takes prices everywhere.",
        )
    return stop.pips


def _refused(sentence: str) -> PlannedStop:
    return PlannedStop(refusal=Refusal(Rule.STOPS, sentence))
