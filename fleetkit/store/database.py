"""`Database`: one SQLite file, one thread that holds its connection.

Why: a commit waits for a disk and for other kernels, and the loop thread may
wait for neither. May import `errors` and the rest of this package.
The trap: never open the file, its ``-wal`` or its ``-shm`` by other means than
`os.stat`: closing any handle of them drops every POSIX lock SQLite holds here.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from fleetkit.errors import ForkedProcess, StoreError
from fleetkit.store.failures import translated
from fleetkit.store.place import make_private
from fleetkit.store.schema import Migrations, migrate

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
ChangeStamp = tuple[int, ...]

BUSY_TIMEOUT_S: Final = 5.0
_WAL_ATTEMPTS: Final = 20


class Database:
    """One file of the store, open in this process.

    Parameters
    ----------
    path
        The file, in a folder that exists.
    migrations
        Its schema.
    thread_name
        What the thread is called that holds its connection.
    durable
        Whether a commit must survive a power cut, which costs a write to the disk itself.
    busy_timeout_s
        How long a write waits for another process's.

    Raises
    ------
    StoreError
        When the file cannot be opened, is damaged, or belongs to a newer fleetkit.
    """

    def __init__(
        self,
        path: Path,
        migrations: Migrations,
        *,
        thread_name: str,
        durable: bool,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
    ) -> None:
        self.path = path
        self._process = os.getpid()
        self._closed = False
        self._queue: SimpleQueue[tuple[Work[Any], Future[Any]] | None] = SimpleQueue()
        opened: Future[None] = Future()

        def connect() -> sqlite3.Connection:
            return _open(path, migrations, durable=durable, busy_timeout_s=busy_timeout_s)

        # Ours and daemonic, not an executor's: those refuse work as soon as the interpreter
        # begins to exit, and that is when the last writes come.
        self._thread = threading.Thread(
            target=self._serve, args=(opened, connect), name=thread_name, daemon=True
        )
        self._thread.start()
        try:
            opened.result()
        except BaseException:
            self.close()
            raise

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Execute ``work(connection)`` on the file's thread and await its result.

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
        """`change_stamp` of this file."""
        return change_stamp(self.path)

    def close(self, timeout_s: float = 1.0) -> None:
        """Finish what was submitted and close the file; more than once does no harm."""
        self.begin_close()
        if os.getpid() == self._process:
            self._thread.join(timeout_s)

    def begin_close(self) -> None:
        """Take no more work, and wait for nothing."""
        if os.getpid() != self._process:
            return  # the thread and the locks are the parent's
        self._closed = True
        self._queue.put(None)

    @property
    def is_closed(self) -> bool:
        """Whether it takes no more work."""
        return self._closed

    def __repr__(self) -> str:
        return f"<Database {self.path}{' closed' if self._closed else ''}>"

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

    def _serve(self, opened: Future[None], connect: Callable[[], sqlite3.Connection]) -> None:
        try:
            connection = connect()
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


def _open(
    path: Path, migrations: Migrations, *, durable: bool, busy_timeout_s: float
) -> sqlite3.Connection:
    with translated(path):
        connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None)
        try:
            make_private(path)
            _use_wal(connection)
            # In WAL mode NORMAL means: a commit survives the death of this process at any
            # moment, and may be lost with the machine's power, without ever damaging the
            # file. Right for labels, which a person can set again, and it spares an fsync
            # per write. FULL makes every commit wait until the disk has it.
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            if durable:  # macOS only: elsewhere an fsync already empties the disk's own cache
                connection.execute("PRAGMA fullfsync = ON")
            # Cuts the -wal file when it starts over, so its length grows with each commit.
            connection.execute("PRAGMA journal_size_limit = 0")
            migrate(connection, migrations)
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
