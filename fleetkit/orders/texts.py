"""Which texts of a base agent prove that nothing was executed.

Why: base agents answer every trade that did not end in "done" with a 400 and a text,
and only some texts were written before the terminal was asked (T4). May import
`contract`. The trap: a text is compared whole or from its first letter. One that merely
contains a known phrase may go on to say that the order was sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from fleetkit.contract import Retcode

LONGEST: Final = 300  # characters; a real refusal is a line

_NUMBER: Final = r"[0-9]+(?:[.,][0-9]+)?(?:[eE][+-]?[0-9]+)?"
# A word may not go on: "Trading not allowedness" is none of these texts.
_REST: Final = r"(?:[^\w\r\n][^\r\n]*)?"

_DEFINITE: Final = re.compile(
    "|".join(
        (
            r"MT5 not initialized",
            r"Failed to get account info",
            r"Failed to get current price",
            rf"Trading not allowed{_REST}",
            r"Symbol [^\s:;,]{1,64} not found",
            rf"Failed to enable symbol{_REST}",
            rf"Lot size {_NUMBER} (?:is )?(?:below minimum|above maximum){_REST}",
            rf"Invalid order type{_REST}",
            rf"Insufficient margin{_REST}",
            rf"SL (?:{_NUMBER} )?(?:is )?too close{_REST}",
        )
    )
)
# What is said only after the terminal was asked; it unsays whatever stands before it.
_SENT: Final = re.compile(r"order_send|exception|failed:|retcode", re.IGNORECASE)
_BROKER: Final = re.compile(r"(?:Order|Close|Modify) failed: (.+)")

BROKER_TEXTS: Final[Mapping[str, Retcode]] = MappingProxyType(
    {
        "Requote": Retcode.REQUOTE,
        "Request rejected": Retcode.REJECT,
        "Request canceled by trader": Retcode.CANCEL,
        "Invalid request": Retcode.INVALID,
        "Invalid volume": Retcode.INVALID_VOLUME,
        "Invalid price": Retcode.INVALID_PRICE,
        "Invalid stops": Retcode.INVALID_STOPS,
        "Trade disabled": Retcode.TRADE_DISABLED,
        "Trade is disabled": Retcode.TRADE_DISABLED,
        "Market closed": Retcode.MARKET_CLOSED,
        "Market is closed": Retcode.MARKET_CLOSED,
        "No money": Retcode.NO_MONEY,
        "Not enough money": Retcode.NO_MONEY,
        "Prices changed": Retcode.PRICE_CHANGED,
        "Price changed": Retcode.PRICE_CHANGED,
        "Off quotes": Retcode.PRICE_OFF,
        "No prices": Retcode.PRICE_OFF,
        "No quotes": Retcode.PRICE_OFF,
        "AutoTrading disabled by server": Retcode.SERVER_DISABLES_AT,
        "AutoTrading disabled by client": Retcode.CLIENT_DISABLES_AT,
        "Unsupported filling mode": Retcode.INVALID_FILL,
        "Invalid close volume": Retcode.INVALID_CLOSE_VOLUME,
        "No changes": Retcode.NO_CHANGES,
        "Request executed partially": Retcode.DONE_PARTIAL,
        "Done partially": Retcode.DONE_PARTIAL,
        "Only part of the request was completed": Retcode.DONE_PARTIAL,
    }
)
"""MetaTrader's own English comments, exactly as terminals write them, and what they mean.

A broker's free or localised text is in no such table and proves nothing.
"""


def is_definite(text: str) -> bool:
    """Whether a base agent's text proves that the terminal was never asked."""
    return (
        len(text) <= LONGEST
        and _DEFINITE.fullmatch(text) is not None
        and _SENT.search(text) is None
    )


def broker_retcode(text: str) -> Retcode | None:
    """The retcode behind ``Order failed: …``, where the rest is exactly a known comment."""
    found = _BROKER.fullmatch(text) if len(text) <= LONGEST else None
    return None if found is None else BROKER_TEXTS.get(found[1])
