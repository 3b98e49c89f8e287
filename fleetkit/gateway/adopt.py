"""From wire struct to domain record: one function a record.

Why: names, zones and units get their meaning in one place. May import `contract`,
`config` and `model`. The trap: a naive time is the broker's wall clock; without a
configured zone it is only assumed to be UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from fleetkit.contract import AccountWire, PositionWire, QuoteWire
from fleetkit.model import AccountReading, Position, Quote, Side


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
        initial_balance=wire.initial_balance,
        days_operating=wire.days_operating,
        has_open_position=wire.has_open_position,
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
