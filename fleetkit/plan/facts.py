"""What a plan must know of an account, a symbol and a price.

Why: base agents say little and our own says much; a plan takes what there is. May
import `model`. The trap: binary floats. `decimal` takes the digits that were written,
so 0.1 lots are 0.1 and not a hair more.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import msgspec

from fleetkit.model import Side, StopsUnit


class AccountFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The account and its agent; ``None`` is not known.

    Attributes
    ----------
    configured_stops_unit, advertised_stops_unit : StopsUnit or None
        What the config says, and what the agent says of itself (T6).
    can_close_partly : bool
        Whether the agent's capabilities, confirmed, have ``partial-close``.
    """

    account: int
    agent: str
    configured_stops_unit: StopsUnit | None = None
    advertised_stops_unit: StopsUnit | None = None
    can_close_partly: bool = False
    leverage: int | None = None
    margin_free: Decimal | None = None


class SymbolFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How a symbol is traded, as far as the agent says; ``None`` is not known.

    ``trade_mode`` is MetaTrader's: 0 disabled, 1 long only, 2 short only, 3 close only, 4 full.
    """

    symbol: str
    point: Decimal | None = None
    digits: int | None = None
    volume_min: Decimal | None = None
    volume_max: Decimal | None = None
    volume_step: Decimal | None = None
    stops_level_points: int | None = None
    tick_size: Decimal | None = None
    tick_value: Decimal | None = None  # money in account currency per tick and lot
    trade_mode: int | None = None

    @property
    def money_per_price(self) -> Decimal | None:
        """Money in account currency that one lot makes of a move of 1.0 in the price."""
        if not self.tick_size or not self.tick_value:
            return None
        return self.tick_value / self.tick_size


class PriceFacts(msgspec.Struct, frozen=True):
    """Bid and ask as the account's own terminal sees them."""

    bid: Decimal
    ask: Decimal

    def entry(self, side: Side) -> Decimal:
        """The price at which a position of that side opens."""
        return self.ask if side is Side.BUY else self.bid

    def exit(self, side: Side) -> Decimal:
        """The price at which it would be closed, and at which its stops are watched."""
        return self.bid if side is Side.BUY else self.ask


class PositionFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An open position that is to be closed or modified."""

    ticket: int
    symbol: str
    side: Side
    volume: Decimal
    sl: Decimal | None = None
    tp: Decimal | None = None


def decimal(number: float | str | Decimal | None) -> Decimal | None:
    """A number with the digits it was written with; ``None`` where it is not a finite one."""
    if number is None or isinstance(number, bool):
        return None
    try:
        exact = number if isinstance(number, Decimal) else Decimal(str(number))
    except InvalidOperation:
        return None
    return exact if exact.is_finite() else None


def pip_of(symbol: SymbolFacts) -> Decimal | None:
    """Ten points where the symbol has 3 or 5 digits, else one point (T6).

    Where the digits are not known they are those of the point.
    """
    point = symbol.point
    if point is None or point <= 0:
        return None
    digits = symbol.digits
    if digits is None:
        exponent = point.normalize().as_tuple().exponent
        digits = max(0, -exponent) if isinstance(exponent, int) else 0
    return point * 10 if digits in (3, 5) else point
