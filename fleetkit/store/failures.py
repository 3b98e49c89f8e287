"""SQLite's and the system's errors as `StoreError`, with the path and what to do.

Why: "database is locked" helps nobody who did not write this package.
May import `errors` and `place`. The trap: an extended result code carries the plain one in
its low byte, so compare that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

from fleetkit.errors import StoreError
from fleetkit.store.place import ORDERS_FILE_NAME

_PERMISSIONS: Final = (
    "the file or its folder cannot be written. Check their permissions, or set FLEETKIT_HOME "
    "to a folder of your own."
)
_DAMAGED: Final = (
    "the file is damaged or not a fleetkit store. Move it away together with its -wal and -shm "
    "files to start with an empty store, and restore it from a backup if you have one."
)
_DAMAGED_JOURNAL: Final = (
    "the file is damaged or not fleetkit's order journal. Restore it from a backup. An empty "
    "journal knows of no order, so before you move the file away together with its -wal and "
    "-shm files, look into the terminals for what was sent last."
)
_LOCKED: Final = (
    "another process holds the store and did not release it. Close or restart the kernel that "
    "is stuck in it, then try again."
)
_FULL: Final = "the disk is full. Free some space, or set FLEETKIT_HOME to another disk."
_DISK: Final = (
    "the disk did not do what it was asked. Check it, and keep FLEETKIT_HOME on a local disk."
)
_SENTENCES: Final[Mapping[int, str]] = MappingProxyType(
    {
        sqlite3.SQLITE_AUTH: _PERMISSIONS,
        sqlite3.SQLITE_BUSY: _LOCKED,
        sqlite3.SQLITE_CANTOPEN: _PERMISSIONS,
        sqlite3.SQLITE_CORRUPT: _DAMAGED,
        sqlite3.SQLITE_FULL: _FULL,
        sqlite3.SQLITE_IOERR: _DISK,
        sqlite3.SQLITE_LOCKED: _LOCKED,
        sqlite3.SQLITE_NOTADB: _DAMAGED,
        sqlite3.SQLITE_PERM: _PERMISSIONS,
        sqlite3.SQLITE_PROTOCOL: _LOCKED,
        sqlite3.SQLITE_READONLY: _PERMISSIONS,
    }
)
_OTHERWISE: Final = "the store could not do this. Please report it with the words in brackets."


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what SQLite or the system raise inside into `StoreError`."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        sentence = _OTHERWISE if code is None else _SENTENCES.get(code & 0xFF, _OTHERWISE)
        if sentence is _DAMAGED and path.name == ORDERS_FILE_NAME:
            sentence = _DAMAGED_JOURNAL
        raise StoreError(f"{path}: {sentence} [{error}]") from error
    except OSError as error:
        raise StoreError(f"{path}: {_PERMISSIONS} [{error.strerror or error}]") from error
    except StoreError as error:
        # Kinds of it say something of an order, not of the file, and carry more than words.
        if type(error) is not StoreError or str(path) in str(error):
            raise
        raise StoreError(f"{path}: {error}") from None
