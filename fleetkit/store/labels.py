"""What the analyst says of an account: its phase and the group it is paired in.

Why: labels belong to accounts, not to notebooks, and every kernel sees the same.
May import `model`, `errors` and `transaction`. The trap: a group holds at most
two accounts, and only a check inside the write transaction can know who is in it.
"""

from __future__ import annotations

import operator
import sqlite3
import unicodedata
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, Literal

from fleetkit.errors import LabelError
from fleetkit.model import DEFAULT_PHASE, Label
from fleetkit.store.transaction import immediate

LabelField = Literal["phase", "vs_group"]

LONGEST_LABEL: Final = 64
GROUP_SIZE: Final = 2
_LARGEST_ACCOUNT: Final = 2**63 - 1
# Control, format, surrogate, line and paragraph characters: what makes two labels that look
# the same differ, or breaks the row it is shown in.
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_UPSERTS: Final[Mapping[LabelField, str]] = MappingProxyType(
    {
        "phase": "INSERT INTO labels (account, phase, vs_group) VALUES (?, ?, '') "
        "ON CONFLICT (account) DO UPDATE SET phase = excluded.phase",
        "vs_group": "INSERT INTO labels (account, phase, vs_group) "
        f"VALUES (?, '{DEFAULT_PHASE}', ?) "
        "ON CONFLICT (account) DO UPDATE SET vs_group = excluded.vs_group",
    }
)


def all_labels(connection: sqlite3.Connection) -> dict[int, Label]:
    """Every account that was ever labelled; all others have the default `Label`."""
    rows = connection.execute("SELECT account, phase, vs_group FROM labels ORDER BY account")
    return {account: Label(phase, vs_group) for account, phase, vs_group in rows}


def set_phase(connection: sqlite3.Connection, account: int, phase: str) -> None:
    """Set an account's phase; the empty string sets it back to the default.

    Raises
    ------
    LabelError
        When the phase is no label.
    """
    load_labels(connection, "phase", {account: phase})


def set_vs_group(connection: sqlite3.Connection, account: int, group: str) -> None:
    """Pair an account in a group; the empty string takes it out of its group.

    Raises
    ------
    LabelError
        When two other accounts share the group already, or the group is no label.
    """
    load_labels(connection, "vs_group", {account: group})


def load_labels(
    connection: sqlite3.Connection, field: LabelField, mapping: Mapping[int, str]
) -> None:
    """Set one field of many accounts: all of them, or none.

    Groups are counted after the last account is set, so that accounts may swap theirs.

    Raises
    ------
    LabelError
        When any label or account is none, or a group would hold more than two accounts.
    """
    upsert = _UPSERTS.get(field)
    if upsert is None:
        raise LabelError(f"There is no label {field!r}; there are phase and vs_group.")
    default = DEFAULT_PHASE if field == "phase" else ""
    rows = [
        (_checked_account(account), _checked_text(account, field, text) or default)
        for account, text in mapping.items()
    ]
    with immediate(connection):
        connection.executemany(upsert, rows)
        if field == "vs_group":
            _refuse_crowds(connection, rows)


def _refuse_crowds(connection: sqlite3.Connection, rows: Iterable[tuple[int, str]]) -> None:
    changed = dict(rows)
    for group in sorted({text for text in changed.values() if text}):
        members = [
            account
            for (account,) in connection.execute(
                "SELECT account FROM labels WHERE vs_group = ? ORDER BY account", (group,)
            )
        ]
        if len(members) <= GROUP_SIZE:
            continue
        there = [account for account in members if account not in changed]
        newcomers = [account for account in members if account in changed]
        if len(there) == GROUP_SIZE:
            first, second = there
            raise LabelError(
                f"vs_group {group!r} already pairs accounts {first} and {second}, so "
                f"{_listed(newcomers)} cannot join. Clear one of the two first with "
                'set_vs_group(account, "").'
            )
        raise LabelError(
            f"vs_group {group!r} would hold accounts {_listed(members)}; it pairs at most two. "
            "Give the others another group."
        )


def _listed(accounts: list[int]) -> str:
    *most, last = map(str, accounts)
    return f"{', '.join(most)} and {last}" if most else last


def _checked_account(account: object) -> int:
    if isinstance(account, bool) or not hasattr(account, "__index__"):
        raise LabelError(f"An account is a whole number, not {account!r}.")
    number = operator.index(account)  # the index of a frame holds NumPy's integers
    if not 0 < number <= _LARGEST_ACCOUNT:
        raise LabelError(f"There is no account {number}; account numbers are above 0.")
    return number


def _checked_text(account: object, field: str, text: object) -> str:
    if not isinstance(text, str):
        raise LabelError(f"The {field} of account {account} must be a text, not {text!r}.")
    # One form for one look: é is one character or two, depending on the keyboard.
    label = unicodedata.normalize("NFC", text.strip())
    if len(label) > LONGEST_LABEL:
        raise LabelError(
            f"The {field} of account {account} has {len(label)} characters; shorten it to "
            f"{LONGEST_LABEL}."
        )
    if any(unicodedata.category(character) in _INVISIBLE for character in label):
        raise LabelError(
            f"The {field} of account {account} has control or invisible characters in it: "
            f"{label!a}. Type it again without them."
        )
    return label
