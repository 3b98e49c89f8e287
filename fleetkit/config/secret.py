"""`Secret`, a token that can be passed around but not shown.

Why: a token travels from a file to one HTTP header, and everything on the way
may end in a repr, a log line or a traceback. May import `errors`.
The trap: `reveal` gives the text; hold what it returns no longer than the line that needs it.
"""

from __future__ import annotations

import hmac
from typing import Any, NoReturn, Self, final

from fleetkit.errors import ConfigError

_MASKED = "***"


@final
class Secret:
    """A text that shows itself only to `reveal`.

    ``repr``, ``str`` and formatting are masked, copies are the same object, and
    pickling is refused. A `Secret` equals another of the same text, never a `str`.

    Parameters
    ----------
    value
        The text: one line of latin-1 characters, as an HTTP header can carry.

    Raises
    ------
    ConfigError
        When a header cannot carry the text. The message does not contain it.
    """

    __slots__ = ("__value",)
    __value: str

    def __init__(self, value: str) -> None:
        complaint = _complaint(value)
        if complaint:
            del value  # a traceback that prints locals must not find it
            raise ConfigError(complaint, allowed="one line of latin-1 characters")
        object.__setattr__(self, "_Secret__value", value)

    def reveal(self) -> str:
        """The text itself."""
        return self.__value

    def __repr__(self) -> str:
        return f"Secret({_MASKED!r})"

    def __str__(self) -> str:
        return _MASKED

    def __format__(self, format_spec: str) -> str:
        return format(_MASKED, format_spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.__value.encode(), other.__value.encode())

    def __hash__(self) -> int:
        return hash(Secret)  # a hash of the text would be a fingerprint of it

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Secret does not change; make another one")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret is never pickled; read it again from its env: or file: source")


def _complaint(value: object) -> str | None:
    if not isinstance(value, str):
        return "A secret must be a text."
    if not value:
        return "The secret is empty."
    if any(character < " " or character == "\x7f" for character in value):
        return "The secret has a line break or another control character in it."
    if any(ord(character) > 0xFF for character in value):
        return "The secret has characters outside latin-1 in it."
    if value != value.strip():
        return "The secret begins or ends with a space."
    return None
