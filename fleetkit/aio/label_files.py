"""Reading a JSON object account → label.

Pure but for opening the file. May import `errors`. The trap: JSON keys are text,
account numbers are not.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from fleetkit.errors import LabelError

FIELDS = ("phase", "vs_group")


def read_labels(source: str | os.PathLike[str] | Mapping[int, str], field: str) -> dict[int, str]:
    """Read and check account → text.

    Raises
    ------
    LabelError
        With file and key.
    """
    if field not in FIELDS:
        msg = f"`field` is 'phase' or 'vs_group', not {field!r:.60}."
        raise LabelError(msg)
    where, loaded = _load(source)
    labels: dict[int, str] = {}
    for key, text in loaded.items():
        try:
            account = int(str(key))
        except ValueError:
            account = 0
        if account <= 0:
            msg = f"{where}: {key!r:.60} is no account number."
            raise LabelError(msg)
        if not isinstance(text, str):
            msg = f"{where}: the {field} of {account} must be text, not {text!r:.60}."
            raise LabelError(msg)
        labels[account] = text
    return labels


def _load(source: object) -> tuple[str, Mapping[object, object]]:
    if isinstance(source, Mapping):
        return "labels", dict(source.items())
    if not isinstance(source, (str, os.PathLike)):
        msg = f"Labels come as a path, JSON text or a mapping, not as {type(source).__name__}."
        raise LabelError(msg)
    where = "labels"
    try:
        if isinstance(source, str) and source.lstrip().startswith("{"):
            body = source.encode()
        else:
            where = str(source)
            body = Path(source).read_bytes()
        return where, msgspec.json.decode(body, type=dict[object, object])
    except OSError as error:
        msg = f"{where}: cannot be read ({error.strerror}). Give a path to a JSON object."
        raise LabelError(msg) from None
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        msg = f'{where}: expected a JSON object such as {{"7100012": "F2"}}: {error}'
        raise LabelError(msg) from None
