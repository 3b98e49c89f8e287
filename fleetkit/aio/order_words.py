"""What callers say of an order, read into exact records.

Pure. May import `trading`, `plan`, `desk` and `errors`. The trap: notebooks hand over
floats, NumPy numbers and text; a volume that makes no sense must meet a sentence
before anything else happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from fleetkit.aio.selection import account_number, real_number, symbol_name
from fleetkit.desk import Wanted
from fleetkit.desk.identifiers import is_order_id
from fleetkit.errors import UsageError
from fleetkit.model import Side
from fleetkit.orders.classify import lots
from fleetkit.plan import decimal
from fleetkit.trading import KEEP, REMOVE, Keep, OrderKind, Remove, Stop

Number = float | int | str | Decimal

STOP_NAMES: Final = ("sl_price", "sl_pips", "sl_money", "tp_price", "tp_pips", "tp_money")
OPEN_NAMES: Final = frozenset(
    {"account", "symbol", "side", "volume", "comment", "order_id", "again", "override"}
) | frozenset(STOP_NAMES)
LEAST, MOST = Decimal("1e-12"), Decimal("1e12")  # of any price, pips, money or lots
TICKET_MAX: Final = 2**63 - 1
COMMENT_MAX: Final = 26  # what every agent and broker keeps of it


def number_of(given: object, name: str) -> Decimal:
    """An exact number above 0.

    Raises
    ------
    UsageError
        For anything else.
    """
    plain: object = given
    if not isinstance(given, (str, int, float, Decimal)):
        # NumPy's; a number of 32 bits has the digits that it shows, not those of a float.
        plain = decimal(str(given)) or real_number(given)
    exact = decimal(plain) if isinstance(plain, (str, int, float, Decimal)) else None
    if exact is None or "_" in str(given) or not LEAST <= exact <= MOST:  # 0_5 is not 5
        msg = f"`{name}` is a number above 0, not {given!r:.60}."
        raise UsageError(msg)
    return exact


def volume_of(given: object) -> Decimal:
    """Lots; of a binary float those that were meant, as 1.0 - 0.9 is 0.1."""
    exact = number_of(given, "volume")
    return exact if isinstance(given, (str, int, Decimal)) else lots(float(exact)) or exact


def side_of(given: object) -> Side:
    """``"buy"`` or ``"sell"``, in any case."""
    try:
        return Side(str(given).strip().lower())
    except ValueError:
        msg = f"`side` is 'buy' or 'sell', not {given!r:.60}."
        raise UsageError(msg) from None


def ticket_of(given: object) -> int:
    """A position's ticket."""
    try:
        ticket = account_number(given)
    except UsageError:
        ticket = TICKET_MAX + 1
    if ticket > TICKET_MAX:
        msg = f"A ticket is a positive whole number, not {given!r:.60}."
        raise UsageError(msg)
    return ticket


def stop_of(which: str, price: object, pips: object, money: object) -> Stop:
    """One stop, given in one of three ways or not at all."""
    said = {"price": price, "pips": pips, "money": money}
    given = {name: value for name, value in said.items() if value is not None}
    if len(given) > 1:
        names = " and ".join(f"{which}_{name}" for name in given)
        msg = f"{names} say the same thing twice: give one of them."
        raise UsageError(msg)
    return Stop(**{name: number_of(value, f"{which}_{name}") for name, value in given.items()})


def stop_level(given: object, name: str) -> Decimal | Keep | Remove:
    """A price level, ``fk.KEEP`` or ``fk.REMOVE``."""
    if given is KEEP or given is REMOVE:
        return given
    if given is None:
        msg = f"`{name}=None` could mean two things: say fk.KEEP or fk.REMOVE."
        raise UsageError(msg)
    return number_of(given, name)


def order_id_of(given: object) -> str | None:
    """An order id that somebody made up."""
    if given is None or is_order_id(given):
        return str(given) if given is not None else None
    msg = (
        f"An order_id has 26 characters of A-Z, a-z, 0-9, _ and -, not {given!r:.60}. "
        "Leave it out to have one made."
    )
    raise UsageError(msg)


def comment_of(given: object) -> str | None:
    """A comment that agents and brokers keep whole."""
    if given is None:
        return None
    if not isinstance(given, str) or len(given) > COMMENT_MAX or not given.isprintable():
        msg = f"`comment` is printable text of up to {COMMENT_MAX} characters, not {given!r:.60}."
        raise UsageError(msg)
    return given


def flag_of(given: object, name: str) -> bool:
    """True or False; an empty cell of a frame is NaN, and Python takes that for true."""
    if isinstance(given, str) or str(given) not in ("True", "False"):
        msg = f"`{name}` is True or False, not {given!r:.60}."
        raise UsageError(msg)
    return bool(given)


def open_wish(order: object) -> Wanted:
    """One open, from the parameters of `open_position`.

    Raises
    ------
    UsageError
        With the name of what makes no sense.
    """
    if not isinstance(order, Mapping):
        msg = f"An order is a dict with account, symbol, side and volume, not {order!r:.60}."
        raise UsageError(msg)
    unknown = sorted(str(name) for name in set(order) - OPEN_NAMES)
    missing = [name for name in ("account", "symbol", "side", "volume") if name not in order]
    if unknown or missing:
        what = f"knows no {', '.join(unknown)}" if unknown else f"needs {', '.join(missing)}"
        msg = f"An order {what}. Its names are {', '.join(sorted(OPEN_NAMES))}."
        raise UsageError(msg)
    stops = {name: order.get(name) for name in STOP_NAMES}
    return Wanted(
        kind=OrderKind.OPEN,
        account=account_number(order["account"]),
        symbol=symbol_name(order["symbol"]),
        side=side_of(order["side"]),
        volume=volume_of(order["volume"]),
        sl=stop_of("sl", stops["sl_price"], stops["sl_pips"], stops["sl_money"]),
        tp=stop_of("tp", stops["tp_price"], stops["tp_pips"], stops["tp_money"]),
        comment=comment_of(order.get("comment")),
        order_id=order_id_of(order.get("order_id")),
        again=flag_of(order.get("again", False), "again"),
        override=flag_of(order.get("override", False), "override"),
    )
