"""What happened on the wire, in the words that the life of an order knows.

May import `http`, `orders` and `errors`. The trap: an error says what broke, not when;
whether a byte may have left is `Exchange.sent`'s word alone.
"""

from __future__ import annotations

from fleetkit.errors import AgentTimeout, ContractError
from fleetkit.http import Exchange, RawReply
from fleetkit.orders.classify import (
    Answer,
    Broken,
    NotConnected,
    TimedOut,
    Unreadable,
    Wire,
)


def answer_of(reply: RawReply) -> Answer:
    """An HTTP answer as it is judged."""
    headers = {"Retry-After": "1"} if reply.retry_after else {}
    return Answer(reply.status, reply.body, headers)


def wire_of(exchange: Exchange) -> Wire:
    """A trade call's end as it is judged."""
    if exchange.reply is not None:
        return answer_of(exchange.reply)
    reason = str(exchange.error or exchange.withheld or "no reason known")
    if not exchange.sent:
        return NotConnected(reason)
    if isinstance(exchange.error, AgentTimeout):
        return TimedOut(reason)
    if isinstance(exchange.error, ContractError):
        return Unreadable(reason)
    return Broken(reason)
