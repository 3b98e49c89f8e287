"""Where a configuration comes from: a file, a text, a list or the environment.

Why: whatever it came from, the rest reads one shape, `Document`. May import
`errors` and `values`. The trap: parsers keep the whole text on their errors
(``JSONDecodeError.doc``), so no parser's error is chained to ours.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fleetkit.config.values import Place, read_table, shown

ENVIRONMENT_VARIABLE: Final = "FLEETKIT_AGENTS_JSON"
_TABLES: Final = (
    "defaults",
    "agents",
    "timeouts",
    "pool",
    "cache",
    "recovery",
    "breaker",
    "trading",
    "policies",
)
_ALLOWED: Final = (
    "the path of a TOML or JSON file, a JSON list of {name, url}, or a Python list of dicts"
)
_JSON_LIST: Final = re.compile(r"\s*(\[\s*[\{\]]|\{)")  # in TOML a [ is followed by a name or a [


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The raw tables of a configuration and where they stand."""

    place: Place
    description: str
    tables: Mapping[str, object] = field(repr=False)


def read_document(source: object, environ: Mapping[str, str]) -> Document:
    """Bring any source into the shape of the TOML layout.

    Raises
    ------
    ConfigError
        When the source is none, is missing, or cannot be parsed.
    """
    if source is None:
        return _from_environment(environ)
    if isinstance(source, str) and _JSON_LIST.match(source):
        place = Place(file="JSON text", environ=environ)
        return _document(place, {"agents": _parse_json(source, place)})
    if isinstance(source, str | Path):
        return _from_file(source, environ)
    place = Place(file="list", environ=environ)
    if not isinstance(source, Sequence) or isinstance(source, bytes | bytearray):
        message = "connect() cannot read agents from this."
        raise place.error(message, found=shown(source), allowed=_ALLOWED)
    return Document(place=place, description=f"a list of {len(source)}", tables={"agents": source})


def _document(place: Place, tables: Mapping[str, object]) -> Document:
    return Document(place=place, description=place.file, tables=tables)


def _from_environment(environ: Mapping[str, str]) -> Document:
    place = Place(file=ENVIRONMENT_VARIABLE, environ=environ)
    text = environ.get(ENVIRONMENT_VARIABLE, "")
    if not text.strip():
        raise place.error(
            'There is nothing to connect to: call connect("fleet.toml"), or set this '
            "environment variable to a JSON list of {name, url}, or call demo() for a "
            "simulated fleet.",
            found="a variable that is not set" if not text else "an empty variable",
        )
    return _document(place, {"agents": _parse_json(text, place)})


def _from_file(source: str | Path, environ: Mapping[str, str]) -> Document:
    _refuse_non_path(source, environ)
    place = Place(file=str(source), environ=environ)
    try:
        path = Path(source).expanduser()
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise place.error("The file is not UTF-8 text.", allowed="TOML or JSON") from None
    except (OSError, RuntimeError, ValueError) as error:  # no home for ~; a NUL in the path
        reason = getattr(error, "strerror", None) or "the path cannot be used"
        message = f"The file cannot be read: {reason}."
        raise place.error(message, allowed=_ALLOWED) from None
    place = Place(file=str(source), folder=path.parent, environ=environ)
    suffix = path.suffix.lower()
    if suffix == ".json" or (suffix != ".toml" and _JSON_LIST.match(text)):
        return _document(place, {"agents": _parse_json(text, place)})
    return _document(place, read_table(_parse_toml(text, place), _TABLES, place))


def _refuse_non_path(source: str | Path, environ: Mapping[str, str]) -> None:
    """Refuse texts that are no path, before an error would show them as one."""
    text = str(source)
    if "\n" in text or "://" in text or not text.strip():
        place = Place(file="connect()", environ=environ)
        found = "a text of several lines" if "\n" in text else shown(text)
        raise place.error("This is not the path of a file.", found=found, allowed=_ALLOWED)


def _parse_toml(text: str, place: Place) -> object:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = str(error).rstrip(".")  # ends in (at line 3, column 5)
    raise place.error(f"The file is not TOML: {reason}.")


def _parse_json(text: str, place: Place) -> object:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        reason = f"{error.msg} (at line {error.lineno}, column {error.colno})"
    except RecursionError:
        reason = "it is nested too deeply"
    else:
        if not isinstance(value, list):
            raise place.wrong_type(value, "a list of {name, url}")
        return value
    raise place.error(f"The text is not JSON: {reason}.", allowed="a list of {name, url}")
