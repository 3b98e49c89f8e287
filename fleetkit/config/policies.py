"""The ``[[policies]]`` tables become the policies of a fleet.

Why: a limit that was misspelt must not be a limit that is not there. May import `trading`,
`errors`, `records` and `values`.
The trap: volumes are exact. A TOML float counts as the digits it was written with, so that
a policy of 0.1 lots allows an order of 0.1 lots.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from decimal import Decimal, InvalidOperation
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import msgspec

from fleetkit.config.records import Bound
from fleetkit.config.values import (
    Place,
    read_choice,
    read_number,
    read_table,
    read_text,
    shown,
)
from fleetkit.trading import Hedging, Policies, TradingPolicy

_LOTS: Final = Bound(at_least=0, at_most=1_000_000)  # 0 forbids
_DECIMALS: Final = 8
_ALLOWED_LOTS: Final = f"lots as a number or a text {_LOTS}, with {_DECIMALS} decimals at most"
_LIMITS: Final = 'symbols, max_volume, max_open_volume or hedging = "forbidden"'


def read_policies(value: object, place: Place) -> Policies:
    """Every policy of a list, checked one by one.

    Parameters
    ----------
    value
        A list of tables or `TradingPolicy` records, or `Policies`.
    place
        The list's place.
    """
    if isinstance(value, Policies):
        value = value.policies
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise place.wrong_type(value, "a list of tables, each written as [[policies]]")
    return Policies(tuple(_read_policy(item, place.at(at)) for at, item in enumerate(value)))


def _read_policy(value: object, place: Place) -> TradingPolicy:
    if isinstance(value, TradingPolicy):
        value = msgspec.structs.asdict(value)
    values: dict[str, Any] = {
        key: _READERS[key](item, place.at(key))
        for key, item in read_table(value, _READERS, place).items()
        if item is not None  # Python and JSON write "not given" as None and null
    }
    policy = TradingPolicy(**values)
    limits = (policy.symbols, policy.max_volume, policy.max_open_volume)
    if policy.hedging is Hedging.ALLOWED and limits == (None, None, None):
        # Policies only ever take away: this one would be believed to do something.
        raise place.error(
            f"{policy.name[0].upper()}{policy.name[1:]} limits nothing.", allowed=_LIMITS
        )
    return policy


def _read_label(value: object, place: Place) -> str:
    return read_text(value, place).strip()


def _read_symbols(value: object, place: Place) -> frozenset[str]:
    allowed = 'a list of symbols such as ["EURUSD", "XAUUSD"]; an empty one forbids all'
    # A text is a sequence of texts as well, one for each letter.
    if isinstance(value, str) or not isinstance(value, Sequence | Set):
        raise place.wrong_type(value, allowed)
    return frozenset(_read_label(item, place.at(at)) for at, item in enumerate(value))


def _read_lots(value: object, place: Place) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise place.wrong_type(value, _ALLOWED_LOTS)
    found = value if isinstance(value, float) else shown(_written(value))
    try:
        lots = Decimal(_written(value))
    except InvalidOperation:
        raise place.error("This is no number.", found=found, allowed=_ALLOWED_LOTS) from None
    if not lots.is_finite() or not _LOTS.holds(lots) or _decimals(lots) > _DECIMALS:
        raise place.error("The number is out of range.", found=found, allowed=_ALLOWED_LOTS)
    return lots


def _written(value: float | str | Decimal) -> str:
    """The digits of a number; of a huge one only that it is huge."""
    if isinstance(value, int) and abs(value) >= 2**64:
        return f"{'-' * (value < 0)}Infinity"
    return str(value)


def _decimals(lots: Decimal) -> int:
    exponent = lots.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


_READERS: Final[Mapping[str, Callable[[object, Place], object]]] = MappingProxyType(
    {
        "account": partial(read_number, kind=int, bound=Bound(at_least=1)),
        "firm": _read_label,
        "phase": _read_label,
        "symbols": _read_symbols,
        "max_volume": _read_lots,
        "max_open_volume": _read_lots,
        "hedging": partial(read_choice, choices=Hedging),
    }
)
