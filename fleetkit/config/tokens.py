"""A token's value from where it is kept: the environment or a file of its own.

Why: a token in the configuration file would be in every copy, commit and
screenshot of it. May import `errors`, `secret` and `values`.
The trap: no error here may contain what was read, nor what stands where ``env:`` should.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from fleetkit.config.secret import Secret
from fleetkit.config.values import Place
from fleetkit.errors import ConfigError

ALLOWED: Final = '"env:NAME" or "file:PATH"'
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_FILE: Final = 16_384


def read_token(value: object, place: Place) -> Secret:
    """The secret that ``env:NAME`` or ``file:PATH`` points to.

    Raises
    ------
    ConfigError
        For a literal token, and for a source that is missing, empty or unfit.
    """
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        raise place.error("A token is a text.", found="another type", allowed=ALLOWED)
    scheme, colon, rest = value.partition(":")
    if not colon or scheme not in ("env", "file"):
        raise place.error(
            "A token does not stand in the configuration itself: put it into an environment "
            "variable or a file of its own and point to that.",
            found="a literal token",
            allowed=ALLOWED,
        )
    return _from_environment(rest, place) if scheme == "env" else _from_file(rest, place)


def _from_environment(name: str, place: Place) -> Secret:
    if _NAME.fullmatch(name) is None:
        raise place.error(
            "What follows env: is not the name of an environment variable.",
            found="env: and something else",
            allowed="env:NAME, letters, digits and _",
        )
    value = place.environ.get(name)
    if not value:
        state = "is not set" if value is None else "is empty"
        message = f"The environment variable {name} {state}; set it to the agent's token."
        raise place.error(message, found=f"env:{name}")
    return _secret(value, f"env:{name}", place)


def _from_file(name: str, place: Place) -> Secret:
    if not name.strip():
        raise place.error("There is no path after file:.", found="file:", allowed=ALLOWED)
    try:
        path = place.folder / Path(name).expanduser()
        with path.open("rb") as file:
            content = file.read(_LONGEST_FILE + 1)
    except (OSError, RuntimeError, ValueError) as error:  # no home for ~; a NUL in the path
        reason = getattr(error, "strerror", None) or "the path cannot be used"
        message = f"The token file cannot be read: {reason}."
        raise place.error(message, found=f"file:{name}", allowed="a readable file") from None
    try:
        value = content.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        value = None
    if value is None or len(content) > _LONGEST_FILE:
        message = "The token file is not one line of text."
        raise place.error(message, found=f"file:{name}", allowed="one line, latin-1 characters")
    return _secret(value, f"file:{name}", place)


def _secret(value: str, source: str, place: Place) -> Secret:
    try:
        return Secret(value)
    except ConfigError as error:
        sentence, allowed = str(error).partition(" Allowed:")[0], error.allowed
    raise place.error(sentence, found=source, allowed=allowed)
