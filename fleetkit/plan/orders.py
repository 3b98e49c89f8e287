"""From a wish to a planned order: opens, closes, modifies.

See the package's docstring. The trap: a refusal does not end the work. The row shows
everything that could be worked out, and the first refusal in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

import msgspec

from fleetkit.model import Side, StopsUnit
from fleetkit.plan.facts import AccountFacts, PositionFacts, PriceFacts, SymbolFacts
from fleetkit.plan.stops import PlannedStop, planned_stop, sent_stop, stops_unit
from fleetkit.plan.volume import rounded
from fleetkit.trading import (
    KEEP,
    REMOVE,
    Keep,
    OrderKind,
    PlannedOrder,
    Refusal,
    Remove,
    Rule,
    Stop,
)

CENT: Final = Decimal("0.01")
MOST_DIGITS: Final = 20
SLIP_POINTS: Final = 20  # by how much an agent's own price may differ from the planned one
_TRADE_MODES: Final[Mapping[int, str]] = MappingProxyType(
    {
        0: "is not traded at all",
        1: "may only be bought",
        2: "may only be sold",
        3: "may only be closed",
    }
)


def plan_open(
    account: AccountFacts,
    symbol: SymbolFacts,
    prices: PriceFacts,
    *,
    side: Side,
    volume: Decimal,
    sl: Stop = Stop(),  # noqa: B008 - frozen
    tp: Stop = Stop(),  # noqa: B008 - frozen
    comment: str | None = None,
) -> PlannedOrder:
    """Plan an open: what would be sent, what it costs, and why it would be refused."""
    lots = rounded(volume, symbol)
    order = PlannedOrder(
        account=account.account,
        agent=account.agent,
        kind=OrderKind.OPEN,
        symbol=symbol.symbol,
        side=side,
        asked_volume=volume,
        volume=lots.volume,
        comment=comment,
        warnings=lots.warnings,
        refusal=_not_traded(symbol, side) or _no_price(symbol, prices) or lots.refusal,
    )
    if lots.volume is None or _no_price(symbol, prices) is not None:
        return order
    loss = planned_stop("sl", sl, side, lots.volume, symbol, prices)
    gain = planned_stop("tp", tp, side, lots.volume, symbol, prices)
    order = _with_stops(order, account, loss, gain)
    by_distance = any(stop.given and stop.price is None for stop in (sl, tp))
    tolerance = _tolerance(symbol, order.stops_unit, by_distance=by_distance)
    order = msgspec.structs.replace(order, stops_tolerance=tolerance)
    return _with_money(order, account, symbol, prices, lots.volume, loss)


def _with_stops(
    order: PlannedOrder, account: AccountFacts, loss: PlannedStop, gain: PlannedStop
) -> PlannedOrder:
    refusal = order.refusal or loss.refusal or gain.refusal
    unit: StopsUnit | None = None
    sent: list[Decimal | None] = [None, None]
    if loss.price is not None or gain.price is not None:
        found = stops_unit(account)
        if isinstance(found, Refusal):
            refusal = refusal or found
        else:
            unit = found
            for place, stop in enumerate((loss, gain)):
                level = sent_stop(stop, unit)
                if isinstance(level, Refusal):
                    refusal = refusal or level
                else:
                    sent[place] = level
    return msgspec.structs.replace(
        order,
        sl_price=loss.price,
        sl_pips=loss.pips,
        sl_money=_money(loss.money),
        tp_price=gain.price,
        tp_pips=gain.pips,
        tp_money=_money(gain.money),
        stops_unit=unit,
        sent_sl=sent[0],
        sent_tp=sent[1],
        refusal=refusal,
    )


def _tolerance(symbol: SymbolFacts, unit: StopsUnit | None, *, by_distance: bool) -> Decimal | None:
    """How far a stop may be found from its level: half a point.

    An agent of pips counts from its own price; where a distance was asked for, the level
    may be off by as much as that price slipped.
    """
    if symbol.point is None or unit is None:
        return None
    slipped = SLIP_POINTS if unit is StopsUnit.PIPS and by_distance else 0
    return symbol.point * (slipped + Decimal("0.5"))


def _with_money(
    order: PlannedOrder,
    account: AccountFacts,
    symbol: SymbolFacts,
    prices: PriceFacts,
    volume: Decimal,
    loss: PlannedStop,
) -> PlannedOrder:
    per_price = symbol.money_per_price
    entry = prices.entry(order.side or Side.BUY)
    if per_price is None:
        warning = f"Costs are not known: tick value or tick size of {symbol.symbol} is missing."
        return msgspec.structs.replace(order, entry=entry, warnings=(*order.warnings, warning))
    margin = entry * per_price * volume / account.leverage if account.leverage else None
    warnings = order.warnings
    if loss.price is None:
        warnings = (*warnings, "There is no stop loss: the loss has no limit.")
    if margin is not None and account.margin_free is not None and margin > account.margin_free:
        warnings = (
            *warnings,
            f"About {margin:.2f} of margin are needed and {account.margin_free:.2f} are free.",
        )
    return msgspec.structs.replace(
        order,
        entry=entry,
        spread_cost=_money((prices.ask - prices.bid) * per_price * volume),
        risk=_money(loss.money),
        margin=_money(margin),
        warnings=warnings,
    )


def _money(amount: Decimal | None) -> Decimal | None:
    """To the cent; what has more digits than Decimal keeps is nobody's money."""
    if amount is None or amount.adjusted() > MOST_DIGITS:
        return None
    return amount.quantize(CENT)


def _not_traded(symbol: SymbolFacts, side: Side) -> Refusal | None:
    mode = symbol.trade_mode
    free = mode is None or mode == 4 or mode == (1 if side is Side.BUY else 2)
    if free:
        return None
    words = _TRADE_MODES.get(mode or 0, "has an unknown trade mode")
    return Refusal(Rule.SYMBOL, f"{symbol.symbol} {words} at this broker.")


def _no_price(symbol: SymbolFacts, prices: PriceFacts) -> Refusal | None:
    sane = prices.bid.is_finite() and prices.ask.is_finite() and 0 < prices.bid <= prices.ask
    if sane:
        return None
    return Refusal(
        Rule.QUOTE,
        f"{symbol.symbol} is quoted at {prices.bid} to {prices.ask}, which is no price. Wait for "
        "the market, or look at the terminal.",
    )


def plan_close(
    account: AccountFacts,
    ticket: int,
    *,
    position: PositionFacts | None = None,
    symbol: SymbolFacts | None = None,
    volume: Decimal | None = None,
) -> PlannedOrder:
    """Plan a close by ticket, of all of it or of a part.

    A position that is not known can be closed as a whole: closing must stay possible.
    """
    order = PlannedOrder(
        account=account.account,
        agent=account.agent,
        kind=OrderKind.CLOSE,
        symbol=None if position is None else position.symbol,
        side=None if position is None else position.side,
        ticket=ticket,
        asked_volume=volume,
    )
    if volume is None or (position is not None and volume == position.volume):
        return order
    return _partial_close(order, account, position, symbol, volume)


def _partial_close(
    order: PlannedOrder,
    account: AccountFacts,
    position: PositionFacts | None,
    symbol: SymbolFacts | None,
    volume: Decimal,
) -> PlannedOrder:
    if not account.can_close_partly:
        return _refused(
            order,
            Rule.PARTIAL_CLOSE,
            f"{account.agent} can only close a whole position. Leave volume= out, or update the "
            "agent to one with the capability partial-close.",
        )
    if position is None:
        sentence = f"Position {order.ticket} is not known, so no part of it can be worked out."
        return _refused(order, Rule.PARTIAL_CLOSE, f"{sentence} Leave volume= out to close it.")
    lots = rounded(volume, symbol or SymbolFacts(symbol=position.symbol))
    order = msgspec.structs.replace(order, volume=lots.volume, warnings=lots.warnings)
    if lots.refusal is not None:
        return msgspec.structs.replace(order, refusal=lots.refusal)
    if lots.volume is not None and lots.volume > position.volume:
        held = f"{position.volume:f} lots, fewer than {lots.volume:f}"
        sentence = f"Position {order.ticket} has {held}."
        return _refused(order, Rule.VOLUME, f"{sentence} Leave volume= out to close all of it.")
    return order


def plan_modify(
    account: AccountFacts,
    ticket: int,
    *,
    position: PositionFacts | None = None,
    prices: PriceFacts | None = None,
    symbol: SymbolFacts | None = None,
    sl_price: Decimal | Keep | Remove = KEEP,
    tp_price: Decimal | Keep | Remove = KEEP,
) -> PlannedOrder:
    """Plan new stops of a position: price levels on every agent, 0 removes, absent keeps."""
    order = PlannedOrder(
        account=account.account,
        agent=account.agent,
        kind=OrderKind.MODIFY,
        symbol=None if position is None else position.symbol,
        side=None if position is None else position.side,
        ticket=ticket,
        stops_unit=StopsUnit.PRICE,
        sl_price=_level(sl_price) or None,
        tp_price=_level(tp_price) or None,
        sent_sl=_level(sl_price),
        sent_tp=_level(tp_price),
    )
    if order.sent_sl is None and order.sent_tp is None:
        sentence = "Both stops are kept, so there is nothing to change. Give sl_price= or tp_price="
        return _refused(order, Rule.STOPS, f"{sentence}, a price level or fk.REMOVE.")
    for name, level in (("sl_price", sl_price), ("tp_price", tp_price)):
        if isinstance(level, Decimal) and not (level.is_finite() and level > 0):
            sentence = f"{name} takes a price level above 0, fk.KEEP or fk.REMOVE."
            return _refused(order, Rule.STOPS, sentence)
    if (
        position is None
        or prices is None
        or _no_price(symbol or SymbolFacts(symbol=position.symbol), prices)
    ):
        return order
    return _checked_levels(order, position, prices, symbol)


def _checked_levels(
    order: PlannedOrder,
    position: PositionFacts,
    prices: PriceFacts,
    symbol: SymbolFacts | None,
) -> PlannedOrder:
    facts = symbol or SymbolFacts(symbol=position.symbol)
    # An open position's take profit is held against the closing price, as its stop loss is.
    at_exit = PriceFacts(prices.exit(position.side), prices.exit(position.side))
    for which, level in (("sl", order.sl_price), ("tp", order.tp_price)):
        if level is None:
            continue
        stop = planned_stop(
            "sl" if which == "sl" else "tp",
            Stop(price=level),
            position.side,
            position.volume,
            facts,
            at_exit,
        )
        if stop.refusal is not None:
            return msgspec.structs.replace(order, refusal=stop.refusal)
    return order


def _level(level: Decimal | Keep | Remove) -> Decimal | None:
    if level is KEEP:
        return None
    return Decimal(0) if level is REMOVE else level


def _refused(order: PlannedOrder, rule: Rule, sentence: str) -> PlannedOrder:
    return msgspec.structs.replace(order, refusal=Refusal(rule, sentence))
