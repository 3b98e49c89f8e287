"""From wire struct to domain record: one function a record.

Why: names, zones and units get their meaning in one place. May import `contract`,
`config` and `model`. The trap: a naive time is the broker's wall clock; without a
configured zone it is only assumed to be UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from typing import Final, TypeVar

from fleetkit.contract import AccountWire, HealthWire, PositionWire, QuoteWire, SymbolWire
from fleetkit.model import (
    AccountReading,
    Capabilities,
    MarginMode,
    Position,
    Quote,
    Side,
    StopsUnit,
    Symbol,
    TradeMode,
)

Word = TypeVar("Word", bound=StrEnum)

TRADE_MODES: Final = tuple(TradeMode)  # in the order of MetaTrader's numbers, from 0


def adopt_time(time: datetime | None, zone: tzinfo) -> datetime | None:
    """Give a wire time its meaning, in UTC.

    Of an ambiguous local time (the hour a clock is set back) the earlier instant.
    """
    if time is None:
        return None
    if time.tzinfo is None:
        time = time.replace(tzinfo=zone, fold=0)
    try:
        return time.astimezone(UTC)
    except OverflowError:
        return None  # year 1 or 9999 at the edge of a zone: not a time anybody traded


def adopt_account(wire: AccountWire) -> AccountReading:
    """Make the reading of one account."""
    return AccountReading(
        account=wire.account_number,
        balance=wire.balance,
        connected=wire.status.strip().lower() == "connected" and wire.account_number != 0,
        name=wire.account_name,
        holder=wire.account_holder,
        firm=wire.prop_firm,
        server=wire.server,
        currency=wire.currency,
        leverage=wire.leverage,
        credit=wire.credit,
        equity=wire.equity,
        profit=wire.profit,
        margin=wire.margin,
        margin_free=wire.margin_free,
        margin_level=wire.margin_level,
        initial_balance=wire.initial_balance,
        days_operating=wire.days_operating,
        has_open_position=wire.has_open_position,
        margin_mode=adopt_word(wire.margin_mode, MarginMode),
        trade_allowed=wire.trade_allowed,
        company=wire.company,
        login_ok=wire.login_ok,
    )


def has_figures(wire: AccountWire) -> bool:
    """Whether an account comes from an extended agent: it has more than base agents tell."""
    return wire.margin_mode is not None or wire.equity is not None


def adopt_word(text: str | None, words: type[Word]) -> Word | None:
    """Read a word in any case; one that is not known is not known, and no error."""
    found = "" if text is None else text.strip().lower()
    return next((word for word in words if word == found), None)


def adopt_capabilities(wire: HealthWire) -> Capabilities:
    """Make what an agent can do; without an `api` it can do nothing beyond the base."""
    if wire.api is None:
        return Capabilities()
    return Capabilities(
        api=wire.api,
        names=frozenset(wire.capabilities or ()),
        stops_unit=adopt_word(wire.stops_unit, StopsUnit),
        server_utc_offset_s=wire.server_utc_offset_s,
        account=wire.account_number or None,  # 0 is a terminal without an account
    )


def adopt_side(word: str) -> Side:
    """Read BUY or SELL in any case.

    Raises
    ------
    ValueError
        For any other word.
    """
    return Side(word.strip().lower())


def adopt_position(wire: PositionWire, account: int, zone: tzinfo) -> Position:
    """Make one open position of `account`."""
    return Position(
        ticket=wire.ticket,
        account=account,
        symbol=wire.symbol,
        side=adopt_side(wire.type),
        volume=wire.volume,
        open_time=adopt_time(wire.open_time, zone),
        open_price=wire.open_price,
        current_price=wire.current_price,
        sl=wire.sl or None,  # 0.0 is the terminal's word for "none"
        tp=wire.tp or None,
        profit=wire.profit,
        swap=wire.swap,
        commission=wire.commission,
        magic=wire.magic,
        comment=wire.comment,
        order_id=wire.order_id,
    )


def adopt_quote(wire: QuoteWire, account: int, zone: tzinfo) -> Quote:
    """Make one quote as `account`'s terminal sees it."""
    return Quote(
        account=account,
        symbol=wire.symbol,
        bid=wire.bid,
        ask=wire.ask,
        point=wire.point,
        tick_value=wire.trade_tick_value,
        time=adopt_time(wire.timestamp, zone),
    )


def adopt_symbol(wire: SymbolWire, account: int) -> Symbol:
    """Make one symbol as `account`'s terminal trades it."""
    mode = wire.trade_mode
    known = mode is not None and 0 <= mode < len(TRADE_MODES)
    return Symbol(
        account=account,
        symbol=wire.symbol,
        digits=wire.digits,
        point=wire.point,
        volume_min=wire.volume_min,
        volume_max=wire.volume_max,
        volume_step=wire.volume_step,
        stops_level_points=wire.trade_stops_level,
        contract_size=wire.trade_contract_size,
        tick_size=wire.trade_tick_size,
        tick_value=wire.trade_tick_value,
        trade_mode=TRADE_MODES[mode] if mode is not None and known else None,
        currency_profit=wire.currency_profit,
        filling_mode=wire.filling_mode,
    )
