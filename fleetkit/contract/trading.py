"""MetaTrader's numbers, named: what a trade was answered and what a deal is.

Why: agent, client and simulator speak of the same codes. May import nothing.
The trap: a code that is in neither `DONE` nor `REFUSED` proves nothing; the
order may have been executed, and only reconciliation can tell.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Retcode(IntEnum):
    """MetaTrader 5's trade server return codes (``TRADE_RETCODE_…``)."""

    REQUOTE = 10004
    REJECT = 10006
    CANCEL = 10007
    PLACED = 10008
    DONE = 10009
    DONE_PARTIAL = 10010
    ERROR = 10011
    TIMEOUT = 10012
    INVALID = 10013
    INVALID_VOLUME = 10014
    INVALID_PRICE = 10015
    INVALID_STOPS = 10016
    TRADE_DISABLED = 10017
    MARKET_CLOSED = 10018
    NO_MONEY = 10019
    PRICE_CHANGED = 10020
    PRICE_OFF = 10021
    INVALID_EXPIRATION = 10022
    ORDER_CHANGED = 10023
    TOO_MANY_REQUESTS = 10024
    NO_CHANGES = 10025
    SERVER_DISABLES_AT = 10026
    CLIENT_DISABLES_AT = 10027
    LOCKED = 10028
    FROZEN = 10029
    INVALID_FILL = 10030
    CONNECTION = 10031
    ONLY_REAL = 10032
    LIMIT_ORDERS = 10033
    LIMIT_VOLUME = 10034
    INVALID_ORDER = 10035
    POSITION_CLOSED = 10036
    INVALID_CLOSE_VOLUME = 10038
    CLOSE_ORDER_EXIST = 10039
    LIMIT_POSITIONS = 10040
    REJECT_CANCEL = 10041
    LONG_ONLY = 10042
    SHORT_ONLY = 10043
    CLOSE_ONLY = 10044
    FIFO_CLOSE = 10045
    HEDGE_PROHIBITED = 10046


DONE: Final = frozenset({Retcode.DONE, Retcode.DONE_PARTIAL})
"""Executed, wholly or in part; beside them 10025 is a done modify, 10036 a done close."""

RETRYABLE: Final = frozenset({Retcode.REQUOTE, Retcode.PRICE_CHANGED, Retcode.PRICE_OFF})
"""Refused because the price moved on: nothing happened, and a person may try again."""

REFUSED: Final = RETRYABLE | frozenset(
    map(
        Retcode,
        (
            *(10006, 10007, *range(10013, 10020), 10022, 10026, 10027, 10029, 10030),
            *(*range(10032, 10036), 10038, *range(10040, 10047)),
        ),
    )
)
"""Definite: nothing was executed."""


class DealType(IntEnum):
    """What a deal is (``DEAL_TYPE_…``)."""

    BUY = 0
    SELL = 1
    BALANCE = 2
    CREDIT = 3
    CHARGE = 4
    CORRECTION = 5
    BONUS = 6
    COMMISSION = 7
    COMMISSION_DAILY = 8
    COMMISSION_MONTHLY = 9
    COMMISSION_AGENT_DAILY = 10
    COMMISSION_AGENT_MONTHLY = 11
    INTEREST = 12
    BUY_CANCELED = 13
    SELL_CANCELED = 14
    DIVIDEND = 15
    DIVIDEND_FRANKED = 16
    TAX = 17


class DealEntry(IntEnum):
    """Which way a deal changed its position (``DEAL_ENTRY_…``)."""

    IN = 0
    OUT = 1
    INOUT = 2  # a netting reversal
    OUT_BY = 3  # closed by an opposite position


class DealReason(IntEnum):
    """Who or what made a deal (``DEAL_REASON_…``)."""

    CLIENT = 0
    MOBILE = 1
    WEB = 2
    EXPERT = 3
    SL = 4
    TP = 5
    SO = 6  # stop-out: margin ran out
    ROLLOVER = 7
    VMARGIN = 8
    SPLIT = 9
    CORPORATE_ACTION = 10
