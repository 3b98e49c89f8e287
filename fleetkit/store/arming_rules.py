"""One arming as a record: when it is over, and what it refuses.

Why: apart from the tables, so that it is read at a glance. May import `errors`, `clocks`
and `volumes`. The trap: ``None`` accounts are all accounts, and an empty set is none.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from fleetkit.errors import UsageError
from fleetkit.store.clocks import was_set_back
from fleetkit.store.volumes import to_lots, to_units

T = TypeVar("T", int, str)

_LISTED: Final = 5


class Arming(msgspec.Struct, frozen=True, kw_only=True):
    """What may add exposure: volumes in lots, moments in wall-clock seconds since 1970."""

    arming_id: str
    made_s: float
    until_s: float
    seen_s: float
    max_volume: Decimal
    max_orders: int
    used_volume: Decimal = Decimal(0)
    used_orders: int = 0
    accounts: frozenset[int] | None = None
    symbols: frozenset[str] | None = None
    ended_s: float | None = None
    ended_why: str | None = None

    @property
    def volume_left(self) -> Decimal:
        """Lots that may still be opened."""
        return self.max_volume - self.used_volume

    @property
    def orders_left(self) -> int:
        """Orders that may still go out."""
        return self.max_orders - self.used_orders


class Refusal(msgspec.Struct, frozen=True):
    """Why an order is not counted: a word for code and a sentence for people."""

    word: str  # not_armed, account, symbol, orders, volume, counted
    sentence: str


def check(arming: Arming) -> None:
    """Refuse what makes no sense.

    Raises
    ------
    UsageError
        With what would.
    """
    if not arming.made_s < arming.until_s:
        raise UsageError("An arming must last for some time; give more than 0 minutes.")
    if arming.max_orders < 0:
        raise UsageError(f"An arming cannot allow {arming.max_orders} orders; give 0 or more.")
    to_units(arming.max_volume)


def is_over(arming: Arming, now_s: float, *, jumped: bool) -> str:
    """Why it is over at a moment, or the empty text."""
    if now_s >= arming.until_s:
        return "its time was up"
    if jumped:
        return "the clock was set or the machine slept"
    if was_set_back(now_s, max(arming.made_s, arming.seen_s)):
        return "the clock was set back"
    return ""


def refusal(arming: Arming | None, *, account: int, symbol: str, volume: Decimal) -> Refusal | None:
    """Why an order does not fit under an arming, or ``None``."""
    if arming is None:
        return Refusal("not_armed", "The fleet is not armed. Trade inside fleet.armed(...).")
    if arming.ended_s is not None:
        return Refusal("not_armed", f"The arming is over: {arming.ended_why}. Arm the fleet again.")
    if arming.accounts is not None and account not in arming.accounts:
        return Refusal(
            "account",
            f"The arming does not allow account {account}, only {_listed(arming.accounts)}. "
            "Arm the fleet for it.",
        )
    if arming.symbols is not None and symbol not in arming.symbols:
        return Refusal(
            "symbol",
            f"The arming does not allow {symbol}, only {_listed(arming.symbols)}. "
            "Arm the fleet for it.",
        )
    if arming.orders_left < 1:
        return Refusal(
            "orders",
            f"All {arming.max_orders} orders of the arming are used up. Arm the fleet again.",
        )
    if volume > arming.volume_left:
        return Refusal(
            "volume",
            f"{volume} lots are more than the {arming.volume_left} that are left of "
            f"{arming.max_volume}. Ask for less, or arm the fleet again.",
        )
    return None


def already_counted(order_id: str) -> Refusal:
    """The refusal of an order id that an arming has counted before."""
    return Refusal(
        "counted", f"Order {order_id} was counted before. Give a new order an id of its own."
    )


def arming_of(row: Sequence[Any]) -> Arming:
    """The record of a row, columns in the record's order."""
    fields = dict(zip(Arming.__struct_fields__, row, strict=True))
    for name in ("max_volume", "used_volume"):
        fields[name] = to_lots(fields[name])
    for name in ("accounts", "symbols"):
        if fields[name] is not None:
            fields[name] = frozenset(json.loads(fields[name]))
    return Arming(**fields)


def names_text(names: frozenset[Any] | None) -> str | None:
    """Accounts or symbols as they are stored."""
    return None if names is None else json.dumps(sorted(names))


def common(one: frozenset[T] | None, other: frozenset[T] | None) -> frozenset[T] | None:
    """What both allow, where ``None`` allows everything."""
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _listed(names: frozenset[Any]) -> str:
    shown = [str(name) for name in sorted(names)[:_LISTED]]
    if not shown:
        return "none, for nothing is common to those that were joined"
    return ", ".join(shown) + (" and others" if len(names) > _LISTED else "")
