"""Reading one value at one place, and saying exactly what is wrong with it.

Why: every mistake names file, key, what was found and what is allowed, and no
reader should have to remember how. May import `errors`, `records` and `secret`.
The trap: whatever goes into ``found`` is shown to people, so it passes `shown` first.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar, get_args, get_type_hints

from fleetkit.config.records import Bound
from fleetkit.errors import ConfigError

Record = TypeVar("Record")
Choice = TypeVar("Choice", bound=StrEnum)

_LONGEST_SHOWN: Final = 60
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# What of a URL is certainly no password: scheme, host, port and a plain path.
_HARMLESS: Final = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+.-]*:/{1,3})?"
    r"(?:\[[0-9A-Fa-f:.]*\]|[\w.-]*)"
    r"(?::\d{1,5}(?=[/?#]|$))?"
    r"(?:/[\w./~%-]*)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a value stands: a file (or what plays its part) and a key in it."""

    file: str
    folder: Path = Path()  # what relative paths start from
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    key: str = ""

    def at(self, key: str | int) -> Place:
        """The place of `key` inside this one."""
        if isinstance(key, int):
            return replace(self, key=f"{self.key}[{key}]")
        return replace(self, key=f"{self.key}.{key}" if self.key else key)

    def error(
        self, message: str, *, found: object = None, allowed: str | None = None
    ) -> ConfigError:
        """A `ConfigError` at this place. ``found`` must be fit to be shown."""
        return ConfigError(
            message, file=self.file, key=self.key or None, found=found, allowed=allowed
        )

    def wrong_type(self, value: object, allowed: str) -> ConfigError:
        """The error for a value of another type than it must have."""
        return self.error("The value has the wrong type.", found=shown(value), allowed=allowed)


def shown(value: object) -> object:
    """What of `value` may be shown to people: no URL password, nothing long."""
    if isinstance(value, bool | int | float):
        return value
    if not isinstance(value, str):
        return kind_of(value)
    text = shown_url(value) if "://" in value or "@" in value else value
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


def shown_url(text: str) -> str:
    """A URL, well-formed or not, without anything that might be a password."""
    head, at, tail = text.rpartition("@")
    if not at:
        harmless = _harmless(text)
        return harmless if harmless == text else f"{harmless}***"
    scheme = _SCHEME.match(head)
    prefix = f"{scheme.group() if scheme else ''}***"
    # With ? or # before the last @ nobody can say where a password ends.
    return prefix if {"?", "#"} & set(head) else f"{prefix}@{_harmless(tail)}"


def _harmless(text: str) -> str:
    match = _HARMLESS.match(text)
    return match.group() if match else ""


def kind_of(value: object) -> str:
    """The type of `value` in words that suit TOML, JSON and Python."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    return f"a value of type {type(value).__name__}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A sentence that offers the nearest known word, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {str(near[0])!r}?" if near else ""


def read_table(value: object, known: Iterable[str], place: Place) -> Mapping[str, object]:
    """A table whose every key is known.

    Raises
    ------
    ConfigError
        When it is no table, or has a key that means nothing here.
    """
    if not isinstance(value, Mapping):
        raise place.wrong_type(value, "a table of keys and values")
    known = tuple(known)
    for key in value:
        if not isinstance(key, str):
            raise place.wrong_type(key, "keys that are texts")
        if key not in known:
            suggestion = did_you_mean(key, known)
            raise place.at(str(shown(key))).error(
                f"There is no such key.{suggestion}", allowed=", ".join(known)
            )
    return value


def read_text(value: object, place: Place, allowed: str = "a text") -> str:
    """A text that is not empty."""
    if not isinstance(value, str):
        raise place.wrong_type(value, allowed)
    if not value.strip():
        raise place.error("The value is empty.", found=value, allowed=allowed)
    return value


def read_choice(value: object, place: Place, choices: type[Choice]) -> Choice:
    """One word of an enumeration."""
    allowed = ", ".join(choices)
    if not isinstance(value, str):
        raise place.wrong_type(value, allowed)
    try:
        return choices(value)
    except ValueError:
        suggestion = did_you_mean(value, choices)
        message = f"There is no such choice.{suggestion}"
        raise place.error(message, found=shown(value), allowed=allowed) from None


def read_flag(value: object, place: Place) -> bool:
    """``true`` or ``false``."""
    if not isinstance(value, bool):
        raise place.wrong_type(value, "true or false")
    return value


def read_number(value: object, place: Place, kind: type, bound: Bound) -> float:
    """A number of `kind` within `bound`; ``true`` is not 1."""
    words = "a whole number" if kind is int else "a number"
    allowed = f"{words} {bound}"
    fits = isinstance(value, int) or (kind is float and isinstance(value, float))
    if isinstance(value, bool) or not fits:
        raise place.wrong_type(value, allowed)
    assert isinstance(value, int | float)  # for the type checker; `fits` says so
    if not -(2**63) <= value < 2**63 or not bound.holds(value):
        found = value if isinstance(value, float) or abs(value) < 2**64 else "a huge number"
        raise place.error("The number is out of range.", found=found, allowed=allowed)
    return kind(value)  # type: ignore[no-any-return]  # int or float, which mypy cannot know


def read_record(kind: type[Record], value: object, place: Place) -> Record:
    """A record of numbers and flags, each within the bound its field declares."""
    names = tuple(item.name for item in fields(kind))  # type: ignore[arg-type]  # a dataclass
    hints = get_type_hints(kind, include_extras=True)
    values: dict[str, Any] = {}
    for key, item in read_table(value, names, place).items():
        hint = hints[key]
        if hint is bool:
            values[key] = read_flag(item, place.at(key))
        else:
            number_kind, bound = get_args(hint)
            values[key] = read_number(item, place.at(key), number_kind, bound)
    make: Callable[..., Record] = kind
    return make(**values)
