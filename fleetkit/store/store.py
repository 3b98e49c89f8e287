"""`Store`: the two files of one ``FLEETKIT_HOME`` and who opened them.

Why two: each order commits several times, and every commit changes its file, by which
a kernel notices new labels; with one file each order would make `accounts` read all
labels again. And the files want different commits: labels cheap ones, orders ones that
survive a power cut, for which a label shall wait neither in SQLite nor on a thread.
May import `errors` and the rest of this package. The trap: no transaction spans both
files, so nothing that must agree may be split between them.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Self, TypeVar

from fleetkit.store.database import BUSY_TIMEOUT_S, ChangeStamp, Database
from fleetkit.store.failures import translated
from fleetkit.store.order_schema import ORDER_MIGRATIONS
from fleetkit.store.owner import this_process
from fleetkit.store.place import (
    FILE_NAME,
    ORDERS_FILE_NAME,
    is_network_file_system,
    store_folder,
)
from fleetkit.store.schema import MIGRATIONS

T = TypeVar("T")

THREAD_NAME: Final = "fleetkit-store"
ORDERS_THREAD_NAME: Final = "fleetkit-store-orders"


class Store:
    """The store of one ``FLEETKIT_HOME``, open in this process.

    Parameters
    ----------
    home
        The folder; ``FLEETKIT_HOME`` or the user's data folder unless given.
    environ
        Where ``FLEETKIT_HOME`` is looked up, ``os.environ`` unless given.
    busy_timeout_s
        How long a write waits for another process's.

    Attributes
    ----------
    path : pathlib.Path
        The file of labels, bindings and the recovery budget, which `run` works on.
    orders : Database
        The file of journal, claims, leases, armings and halts: ``store.orders.run(work)``.
    owner : Owner
        Who this process is in leases and journal; another one in a forked child, which
        must open a store of its own.
    is_network_fs : bool or None
        Whether it lies on a network file system, whose locks trading does not trust.

    Raises
    ------
    StoreError
        When a file cannot be opened, is damaged, or belongs to a newer fleetkit.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
    ) -> None:
        folder = store_folder(home, os.environ if environ is None else environ)
        self.path = folder / FILE_NAME
        with translated(self.path):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.is_network_fs = is_network_file_system(folder)
        self.owner = this_process()
        self._labels = Database(
            self.path,
            MIGRATIONS,
            thread_name=THREAD_NAME,
            durable=False,
            busy_timeout_s=busy_timeout_s,
        )
        try:
            self.orders = Database(
                folder / ORDERS_FILE_NAME,
                ORDER_MIGRATIONS,
                thread_name=ORDERS_THREAD_NAME,
                durable=True,
                busy_timeout_s=busy_timeout_s,
            )
        except BaseException:
            self._labels.close()
            raise

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Execute ``work(connection)`` on the labels' thread and await its result.

        Cancelling the caller withdraws work that has not begun; work that has
        begun runs to its end.

        Raises
        ------
        StoreError
            When SQLite fails, or the store is closed.
        """
        return await self._labels.run(work)

    def run_blocking(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The same for callers without an event loop: opening, tests, command line."""
        return self._labels.run_blocking(work)

    def change_stamp(self) -> ChangeStamp:
        """Differs whenever any process has committed labels, bindings or recoveries."""
        return self._labels.change_stamp()

    def close(self, timeout_s: float = 1.0) -> None:
        """Finish what was submitted and close both files, waiting so long for each at most."""
        self._labels.begin_close()  # so that the two end side by side
        self.orders.close(timeout_s)
        self._labels.close(timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Store {self.path}{' closed' if self._labels.is_closed else ''}>"
