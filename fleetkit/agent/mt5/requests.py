"""Order requests as MetaTrader's package takes them, and what it answers.

Why: what is in a request decides what happens to somebody's money; here it can be
read and tested without a terminal. May import `agent.terminal` and `model`.
The trap: a stop that a modify leaves out is *removed* by MetaTrader, and a comment
that is a little long or has a bracket in it makes the whole order fail.
"""

from __future__ import annotations

import re
from typing import Any, Final

from fleetkit.agent.terminal import CloseOrder, ModifyOrder, OpenOrder, TradeResult
from fleetkit.model import Side

# Documented are 31; terminals were seen to refuse 31, 30 and 29, all with nothing but
# 'Invalid "comment" argument'. An order id has 26, which every one of them takes.
COMMENT_MAX: Final = 26
UNSAFE: Final = re.compile(r"[^A-Za-z0-9 ._-]")  # brackets and the like were refused too
FILL_OR_KILL, IMMEDIATE_OR_CANCEL = 1, 2  # flags of symbol_info().filling_mode
MARKET_EXECUTION: Final = 2  # symbol_info().trade_exemode


def open_request(package: Any, order: OpenOrder, info: Any, tick: Any) -> dict[str, Any]:
    """A market order."""
    buy = order.side is Side.BUY
    request = {
        "action": package.TRADE_ACTION_DEAL,
        "symbol": order.symbol,
        "volume": float(order.volume),
        "type": package.ORDER_TYPE_BUY if buy else package.ORDER_TYPE_SELL,
        "price": tick.ask if buy else tick.bid,
        "deviation": order.deviation,
        "magic": order.magic,
        "comment": comment(order.comment),
        "type_time": package.ORDER_TIME_GTC,
        "type_filling": filling(package, info),
    }
    if order.sl:
        request["sl"] = order.sl
    if order.tp:
        request["tp"] = order.tp
    return request


def close_request(
    package: Any, order: CloseOrder, position: Any, info: Any, tick: Any
) -> dict[str, Any]:
    """The opposite deal, bound to the position, so that it can open nothing."""
    bought = position.type == package.POSITION_TYPE_BUY
    volume = position.volume if order.volume is None else order.volume
    return {
        "action": package.TRADE_ACTION_DEAL,
        "position": position.ticket,
        "symbol": position.symbol,
        "volume": float(volume),
        "type": package.ORDER_TYPE_SELL if bought else package.ORDER_TYPE_BUY,
        "price": tick.bid if bought else tick.ask,
        "deviation": order.deviation,
        "magic": position.magic,
        "comment": comment(order.comment),
        "type_time": package.ORDER_TIME_GTC,
        "type_filling": filling(package, info),
    }


def modify_request(package: Any, order: ModifyOrder, position: Any) -> dict[str, Any]:
    """New stops; one that is not named is sent as it is, or it would be removed."""
    return {
        "action": package.TRADE_ACTION_SLTP,
        "position": position.ticket,
        "symbol": position.symbol,
        "sl": position.sl if order.sl is None else order.sl,
        "tp": position.tp if order.tp is None else order.tp,
        "magic": position.magic,
    }


def filling(package: Any, info: Any) -> int:
    """How an order may be filled: the symbol's flags are not the order's numbers."""
    if info.filling_mode & FILL_OR_KILL:
        return int(package.ORDER_FILLING_FOK)
    if info.filling_mode & IMMEDIATE_OR_CANCEL:
        return int(package.ORDER_FILLING_IOC)
    if info.trade_exemode == MARKET_EXECUTION:
        return int(package.ORDER_FILLING_FOK)  # "return" is never allowed there
    return int(package.ORDER_FILLING_RETURN)


def comment(text: str) -> str:
    """A comment that every terminal takes; an order id stays whole."""
    return UNSAFE.sub("", text)[:COMMENT_MAX].strip()


def result_of(answer: Any, position: int | None) -> TradeResult:
    """What `order_send` answered; brokers leave price and deal 0 where they do not say."""
    return TradeResult(
        retcode=int(answer.retcode),
        comment=str(answer.comment or ""),
        deal=int(answer.deal),
        order=int(answer.order),
        position=position,
        volume=answer.volume or None,
        price=answer.price or None,
    )
