"""`Store`: one SQLite file, one thread that holds its connection.

Why: a commit waits for a disk and for other kernels, and the loop thread may
wait for neither. May import `clock`, `errors` and the rest of this package.
The trap: never open the file, its ``-wal`` or its ``-shm`` by other means than
`os.stat`: closing any handle of them drops every POSIX lock SQLite holds here.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, Self, TypeVar

from fleetkit.errors import ForkedProcess, StoreError
from fleetkit.store.failures import translated
from fleetkit.store.place import FILE_NAME, is_network_file_system, make_private, store_folder
from fleetkit.store.schema import migrate

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
ChangeStamp = tuple[int, ...]

THREAD_NAME: Final = "fleetkit-store"
BUSY_TIMEOUT_S: Final = 5.0
_WAL_ATTEMPTS: Final = 20


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
        The file.
    is_network_fs : bool or None
        Whether it lies on a network file system, whose locks trading does not trust.

    Raises
    ------
    StoreError
        When the file cannot be opened, is damaged, or belongs to a newer fleetkit.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
    ) -> None:
        self.path = store_folder(home, os.environ if environ is None else environ) / FILE_NAME
        with translated(self.path):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.is_network_fs = is_network_file_system(self.path.parent)
        self._process = os.getpid()
        self._closed = False
        self._queue: SimpleQueue[tuple[Work[Any], Future[Any]] | None] = SimpleQueue()
        opened: Future[None] = Future()
        # Ours and daemonic, not an executor's: those refuse work as soon as the interpreter
        # begins to exit, and that is when the last writes come.
        self._thread = threading.Thread(
            target=self._serve, args=(opened, busy_timeout_s), name=THREAD_NAME, daemon=True
        )
        self._thread.start()
        try:
            opened.result()
        except BaseException:
            self.close()
            raise

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Execute ``work(connection)`` on the store's thread and await its result.

        Cancelling the caller withdraws work that has not begun; work that has
        begun runs to its end.

        Raises
        ------
        StoreError
            When SQLite fails, or the store is closed.
        """
        return await asyncio.wrap_future(self._submit(work))

    def run_blocking(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The same for callers without an event loop: opening, tests, command line."""
        return self._submit(work).result()

    def change_stamp(self) -> ChangeStamp:
        """`change_stamp` of this store's file."""
        return change_stamp(self.path)

    def close(self, timeout_s: float = 1.0) -> None:
        """Finish what was submitted and close the file; more than once does no harm."""
        if os.getpid() != self._process:
            return  # the thread and the locks are the parent's
        self._closed = True
        self._queue.put(None)
        self._thread.join(timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Store {self.path}{' closed' if self._closed else ''}>"

    def _submit(self, work: Work[T]) -> Future[T]:
        if os.getpid() != self._process:
            message = "This store belongs to the parent process; connect again in the child."
            raise ForkedProcess(message)
        future: Future[T] = Future()
        self._queue.put((work, future))
        # Asked after putting: either the thread sees the work, or we see the closing.
        if self._closed and future.cancel():
            raise self._closed_error()
        return future

    def _closed_error(self) -> StoreError:
        return StoreError(f"{self.path}: the store is closed; connect again.")

    def _serve(self, opened: Future[None], busy_timeout_s: float) -> None:
        try:
            connection = _open(self.path, busy_timeout_s)
        except BaseException as error:  # noqa: BLE001  # whoever opens the store gets it
            opened.set_exception(error)
            return
        opened.set_result(None)
        try:
            while (item := self._queue.get()) is not None:
                self._execute(connection, *item)
                del item  # or the work and its result live until the next one comes
        finally:
            connection.close()
            self._drop_late_work()

    def _execute(
        self, connection: sqlite3.Connection, work: Work[Any], future: Future[Any]
    ) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            with translated(self.path):
                result = work(connection)
        except BaseException as error:  # noqa: BLE001  # whoever awaits the work gets it
            future.set_exception(error)
        else:
            future.set_result(result)
        if connection.in_transaction:  # work that began one by hand and failed
            connection.rollback()

    def _drop_late_work(self) -> None:
        while True:
            try:
                item = self._queue.get_nowait()
            except Empty:
                return
            if item is not None and item[1].set_running_or_notify_cancel():
                item[1].set_exception(self._closed_error())


def change_stamp(path: Path) -> ChangeStamp:
    """Differs whenever any process has committed to the file; callable from any thread.

    Every commit lengthens the ``-wal`` file (see ``journal_size_limit`` in `_open`),
    so that two commits within one tick of the file system's clock differ too.
    """
    stamp: list[int] = []
    for name in (str(path), f"{path}-wal"):
        try:
            status = os.stat(name)
        except OSError:
            stamp += (-1, -1)
        else:
            stamp += (status.st_size, status.st_mtime_ns)
    return tuple(stamp)


def data_version(connection: sqlite3.Connection) -> int:
    """A number that changes when *another* connection has committed."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


def _open(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    with translated(path):
        connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None)
        try:
            make_private(path)
            _use_wal(connection)
            # In WAL mode NORMAL means: a commit survives the death of this process at any
            # moment, and may be lost with the machine's power, without ever damaging the
            # file. Right for labels, which a person can set again, and it spares an fsync
            # per write. The order journal must not lose an intent to a power cut: its
            # connection will need FULL.
            connection.execute("PRAGMA synchronous = NORMAL")
            # Cuts the -wal file when it starts over, so its length grows with each commit.
            connection.execute("PRAGMA journal_size_limit = 0")
            migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log, which lets kernels read while one writes.

    SQLite does not wait for another process that is switching at the same time;
    an empty write transaction does.
    """
    for attempt in range(_WAL_ATTEMPTS):
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or attempt == _WAL_ATTEMPTS - 1:
                raise
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("COMMIT")
        else:
            if mode != "wal":
                raise StoreError(
                    f"SQLite cannot keep a write-ahead log here (its mode stays {mode}). Set "
                    "FLEETKIT_HOME to a folder on a local disk."
                )
            return
