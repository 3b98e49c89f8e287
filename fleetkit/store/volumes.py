"""Volumes as whole numbers of 1e-8 lots, which SQLite adds without rounding.

Why: three orders of 0.1 lots must be 0.3 and not a little more than a limit of it. May
import `errors`. The trap: a float is no volume; make a Decimal of its text.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from fleetkit.errors import UsageError

_DIGITS: Final = 8
_LARGEST_LOTS: Final = Decimal(10) ** 10  # in units still far from what SQLite's integers hold


def to_units(volume: Decimal) -> int:
    """A volume in lots as a number of units.

    Raises
    ------
    UsageError
        When it is negative, too large, finer than a unit, or no number.
    """
    if not isinstance(volume, Decimal) or not volume.is_finite():
        raise UsageError(f"A volume is a finite Decimal in lots, not {volume!r}.")
    if not 0 <= volume <= _LARGEST_LOTS:
        raise UsageError(f"A volume of {volume} lots makes no sense; give one from 0 to 10^10.")
    units = volume.scaleb(_DIGITS)
    if units != units.to_integral_value():
        raise UsageError(f"A volume of {volume} lots is too fine; give {_DIGITS} decimals at most.")
    return int(units)


def to_lots(units: int) -> Decimal:
    """The volume in lots, without zeros at its end."""
    whole, rest = divmod(units, 10**_DIGITS)
    return Decimal(f"{whole}.{rest:0{_DIGITS}d}".rstrip("0").rstrip("."))
