"""`Store`: opening, its thread, and what goes wrong with files."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from fleetkit.errors import LabelError, StoreError
from fleetkit.model import Label
from fleetkit.store import (
    FILE_NAME,
    ORDERS_FILE_NAME,
    Store,
    all_bindings,
    all_labels,
    data_version,
    load_labels,
    orders,
    set_phase,
    store_folder,
    write_intent,
)
from fleetkit.store.place import network_in_mounts
from fleetkit.store.schema import MIGRATIONS
from fleetkit.store.store import ORDERS_THREAD_NAME, THREAD_NAME
from tests.support.order_store import intent

NOBODY = 65534


@pytest.fixture(autouse=True)
def no_thread_left():
    """Every store of a test is closed at its end."""
    yield
    names = {thread.name for thread in threading.enumerate()}
    assert names.isdisjoint({THREAD_NAME, ORDERS_THREAD_NAME})


def phase(account, text):
    return lambda connection: set_phase(connection, account, text)


def run_script(text, *arguments):
    command = [sys.executable, "-W", "ignore", "-c", text, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def test_the_folder_is_private_and_read_at_opening(tmp_path):
    """FLEETKIT_HOME, 0700; the files and their companions 0600."""
    home = tmp_path / "deep" / "home"
    with Store(environ={"FLEETKIT_HOME": str(home)}) as store:
        store.run_blocking(phase(7, "R"))
        assert store.path == home / FILE_NAME
        assert home.stat().st_mode & 0o777 == 0o700
        modes = {path.name: path.stat().st_mode & 0o777 for path in home.iterdir()}
        files = (FILE_NAME, ORDERS_FILE_NAME)
        companions = {f"{name}{end}" for name in files for end in ("", "-wal", "-shm")}
        assert modes == dict.fromkeys(companions, 0o600)


def test_the_home_given_wins_over_the_environment(tmp_path):
    """And without either the user's data folder is taken."""
    environ = {"FLEETKIT_HOME": "~/there"}
    assert store_folder(tmp_path, environ) == tmp_path
    assert store_folder(None, environ) == Path("~/there").expanduser()
    assert store_folder(None, {"FLEETKIT_HOME": " "}).name == "fleetkit"


def test_what_was_written_is_there_again(tmp_path):
    """Through close and reopen, on the loop and off it."""
    with Store(tmp_path) as store:
        asyncio.run(store.run(phase(7, "R")))
        assert store.run_blocking(all_labels) == {7: Label("R")}
    with Store(tmp_path) as store:
        assert asyncio.run(store.run(all_labels)) == {7: Label("R")}


def test_another_kernels_change_is_noticed(tmp_path):
    """data_version and change_stamp move when another connection commits."""
    with Store(tmp_path) as ours, Store(tmp_path) as theirs:
        ours.run_blocking(phase(7, "R"))
        version, stamp = ours.run_blocking(data_version), ours.change_stamp()
        ours.run_blocking(all_labels)
        assert (ours.run_blocking(data_version), ours.change_stamp()) == (version, stamp)
        theirs.run_blocking(phase(7, "Q"))
        assert ours.run_blocking(data_version) != version
        assert ours.change_stamp() != stamp
        assert ours.run_blocking(all_labels) == {7: Label("Q")}


def test_the_stamp_differs_after_every_commit(tmp_path):
    """Also by its lengths alone, as the file system's clock may stand still between two."""
    with Store(tmp_path) as store:
        lengths = []
        for number in range(3_000):  # the log starts over about every thousand pages
            store.run_blocking(phase(number % 70 + 1, f"F{number}"))
            size, _, wal_size, _ = store.change_stamp()
            lengths.append((size, wal_size))
        assert all(one != other for one, other in itertools.pairwise(lengths))
        assert any(one[1] > other[1] for one, other in itertools.pairwise(lengths))


def test_a_refused_write_changes_nothing_and_the_store_goes_on(tmp_path):
    """Errors of the work reach its caller as they are."""
    with Store(tmp_path) as store:
        with pytest.raises(LabelError):
            store.run_blocking(phase(7, "a\nb"))
        with pytest.raises(ZeroDivisionError):
            store.run_blocking(lambda connection: connection.execute("BEGIN IMMEDIATE") and 1 / 0)
        store.run_blocking(phase(7, "R"))
        assert store.run_blocking(all_labels) == {7: Label("R")}


def test_withdrawn_work_is_not_done_and_begun_work_is(tmp_path):
    """Cancelling the caller cancels only what has not begun."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(connection):
        begun.set()
        assert go_on.wait(10)
        set_phase(connection, 1, "begun")

    async def scenario(store):
        first = asyncio.create_task(store.run(slow))
        await asyncio.to_thread(begun.wait, 10)
        second = asyncio.create_task(store.run(phase(2, "waiting")))
        await asyncio.sleep(0)
        first.cancel()
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        go_on.set()
        return await store.run(all_labels)

    with Store(tmp_path) as store:
        assert asyncio.run(scenario(store)) == {1: Label("begun")}


def test_a_closed_store_says_so(tmp_path):
    """Closing finishes what was submitted, and twice does no harm."""
    store = Store(tmp_path)
    store.run_blocking(phase(7, "R"))
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.run_blocking(all_labels)
    with pytest.raises(StoreError, match="closed"):
        asyncio.run(store.run(all_labels))
    assert "closed" in repr(store)


def test_a_file_from_the_future_is_left_alone(tmp_path):
    """A newer fleetkit's store is neither read nor changed."""
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    before = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(StoreError, match="newer fleetkit") as caught:
        Store(tmp_path)
    assert str(tmp_path / FILE_NAME) in str(caught.value)
    assert (tmp_path / FILE_NAME).read_bytes() == before


OF_THE_FIRST_RELEASE = """
CREATE TABLE labels (
    account INTEGER PRIMARY KEY, phase TEXT NOT NULL, vs_group TEXT NOT NULL
);
CREATE INDEX labels_by_group ON labels (vs_group) WHERE vs_group <> '';
CREATE TABLE bindings (
    agent TEXT NOT NULL, url TEXT NOT NULL, account INTEGER NOT NULL,
    confirmations INTEGER NOT NULL, PRIMARY KEY (agent, url)
) WITHOUT ROWID;
CREATE TABLE recoveries (claimed_s REAL NOT NULL, agent_url TEXT NOT NULL);
CREATE INDEX recoveries_by_time ON recoveries (claimed_s);
PRAGMA user_version = 1;
INSERT INTO labels VALUES (7, 'R', 'duel'), (8, 'F2', 'duel');
INSERT INTO bindings VALUES ('vps01', 'http://one', 7, 2);
"""


def test_a_store_from_before_there_were_orders_keeps_what_it_has(tmp_path):
    """The orders' file comes beside it, empty."""
    old = sqlite3.connect(tmp_path / FILE_NAME)
    old.executescript(OF_THE_FIRST_RELEASE)
    old.close()
    with Store(tmp_path) as store:
        assert store.run_blocking(all_labels) == {7: Label("R", "duel"), 8: Label("F2", "duel")}
        assert store.run_blocking(all_bindings) == {("vps01", "http://one"): (7, 2)}
        assert store.orders.run_blocking(orders) == []
        assert store.orders.path == tmp_path / ORDERS_FILE_NAME


def test_a_journal_from_the_future_is_left_alone(tmp_path):
    """Trading on what is half understood is worse than no trading; no thread stays."""
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / ORDERS_FILE_NAME) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="newer fleetkit") as caught:
        Store(tmp_path)
    assert str(tmp_path / ORDERS_FILE_NAME) in str(caught.value)


def test_a_damaged_journal_is_not_called_dispensable(tmp_path):
    """An empty one in its place would know nothing of what was sent."""
    (tmp_path / ORDERS_FILE_NAME).write_bytes(b"not a database at all" * 500)
    with pytest.raises(StoreError, match="look into the terminals for what was sent last"):
        Store(tmp_path)


def test_orders_do_not_look_like_new_labels(tmp_path):
    """An order that is written makes no kernel read its labels again."""
    with Store(tmp_path) as store:
        store.run_blocking(phase(7, "R"))
        labels, journal = store.change_stamp(), store.orders.change_stamp()
        store.orders.run_blocking(lambda c: write_intent(c, intent(), state="intended"))
        assert store.change_stamp() == labels
        assert store.orders.change_stamp() != journal


def test_labels_do_not_wait_for_orders(tmp_path):
    """A disk or a kernel that holds up the journal holds up nothing else."""
    with Store(tmp_path) as store:
        other = sqlite3.connect(store.orders.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waiting = threading.Thread(
            target=store.orders.run_blocking,
            args=(lambda c: write_intent(c, intent(), state="intended"),),
        )
        waiting.start()
        store.run_blocking(phase(7, "R"))
        assert waiting.is_alive()
        other.execute("ROLLBACK")
        other.close()
        waiting.join()
        assert len(store.orders.run_blocking(orders)) == 1


@pytest.mark.parametrize("content", [b"not a database at all" * 500, b"SQLite format 3\0" * 300])
def test_a_damaged_file_is_refused_and_kept(tmp_path, content):
    """The error names the file and what to do; the bytes stay for whoever can save them."""
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(StoreError, match="damaged or not a fleetkit store") as caught:
        Store(tmp_path)
    assert str(tmp_path / FILE_NAME) in str(caught.value)
    assert (tmp_path / FILE_NAME).read_bytes() == content


def test_damage_that_comes_later_is_reported(tmp_path):
    """A page overwritten while nobody looked."""
    with Store(tmp_path) as store:
        for account in range(1, 200):
            store.run_blocking(phase(account, "x" * 60))
    path = tmp_path / FILE_NAME
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(bytes(content))
    with Store(tmp_path) as store, pytest.raises(StoreError, match="damaged"):
        store.run_blocking(all_labels)


@pytest.fixture
def folder_of_nobody():
    """A folder, and the rights of a user whom its mode binds (root is bound by none)."""
    folder = Path(tempfile.mkdtemp())
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    yield folder
    if is_root:
        os.seteuid(0)
    folder.chmod(0o700)
    shutil.rmtree(folder)


def test_a_read_only_folder_is_reported(folder_of_nobody):
    """Whether the store would be made there, or is there already."""
    Store(folder_of_nobody / "old").close()
    (folder_of_nobody / "old").chmod(0o500)
    folder_of_nobody.chmod(0o500)
    for home in (folder_of_nobody / "new", folder_of_nobody / "old"):
        with pytest.raises(StoreError, match="Check their permissions") as caught:
            Store(home)
        assert str(home / FILE_NAME) in str(caught.value)
    (folder_of_nobody / "old").chmod(0o700)


def test_a_read_only_file_is_reported(folder_of_nobody):
    """At the opening, not at the first write."""
    Store(folder_of_nobody).close()
    (folder_of_nobody / FILE_NAME).chmod(0o400)
    with pytest.raises(StoreError, match="Check their permissions"), Store(folder_of_nobody) as s:
        s.run_blocking(phase(7, "R"))


def test_a_home_that_is_a_file_is_reported(tmp_path):
    """FLEETKIT_HOME is a folder."""
    (tmp_path / "home").write_text("")
    with pytest.raises(StoreError, match="FLEETKIT_HOME"):
        Store(tmp_path / "home")


def test_a_store_that_another_process_holds_is_reported(tmp_path):
    """After the busy timeout, with what to do; then it works again."""
    with Store(tmp_path, busy_timeout_s=0.05) as store:
        other = sqlite3.connect(store.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another process holds the store"):
            store.run_blocking(phase(7, "R"))
        assert store.run_blocking(all_labels) == {}  # reading goes on
        other.execute("ROLLBACK")
        other.close()
        store.run_blocking(phase(7, "R"))


def test_a_full_disk_is_reported(tmp_path):
    """Nothing of the failed write stays, and the store goes on."""
    many = dict.fromkeys(range(1, 2_000), "x" * 60)

    def fill(connection):
        connection.execute("PRAGMA max_page_count = 8")
        load_labels(connection, "phase", many)

    with Store(tmp_path) as store:
        with pytest.raises(StoreError, match="disk is full"):
            store.run_blocking(fill)
        assert store.run_blocking(all_labels) == {}
        store.run_blocking(phase(7, "R"))


FORK = """
import os, sys
from pathlib import Path
from fleetkit.store import Store, all_labels
store = Store(Path(sys.argv[1]))
child = os.fork()
if child == 0:
    try:
        store.run_blocking(all_labels)
    except Exception as error:
        store.close()
        os._exit(7 if type(error).__name__ == "ForkedProcess" else 8)
    os._exit(9)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), store.run_blocking(all_labels))
store.close()
"""


def test_a_forked_child_gets_an_error_and_the_parent_goes_on(tmp_path):
    """No deadlock on a thread that the fork did not copy."""
    assert run_script(FORK, tmp_path).strip() == "7 {}"


AT_EXIT = """
import atexit, sys
from pathlib import Path
from fleetkit.store import Store, set_phase
store = Store(Path(sys.argv[1]))
atexit.register(lambda: store.run_blocking(lambda connection: set_phase(connection, 7, "last")))
"""


def test_the_last_write_may_come_at_exit(tmp_path):
    """Draining at exit needs the store when executors are gone already."""
    run_script(AT_EXIT, tmp_path)
    with Store(tmp_path) as store:
        assert store.run_blocking(all_labels) == {7: Label("last")}


MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /mnt/team\\040share rw shared:2 - nfs4 server:/x rw
31 22 0:41 / /home/me/vps rw shared:3 - fuse.sshfs me@vps: rw
32 31 0:42 / /home/me/vps/local rw - ext4 /dev/vdb rw
"""


@pytest.mark.parametrize(
    ("folder", "network"),
    [
        ("/home/me", False),
        ("/mnt/team share/home", True),
        ("/home/me/vps", True),
        ("/home/me/vps2", False),
        ("/home/me/vps/local/x", False),
    ],
)
def test_network_file_systems_are_told_by_their_mount(folder, network):
    """The longest mount point that holds the folder decides."""
    assert network_in_mounts(MOUNTS, folder) is network


def test_an_unknown_mount_is_not_known():
    """None, not False: trading will ask."""
    assert network_in_mounts("", "/home/me") is None


OPEN_AND_CLOSE = """
import sys
from pathlib import Path
from fleetkit.store import Store, all_labels
with Store(Path(sys.argv[1])) as store:
    print(sorted(store.run_blocking(all_labels)))
"""


def test_opening_a_second_store_keeps_the_locks_of_the_first(tmp_path):
    """A kernel that leaves must not take the log away from one that is still writing."""
    with Store(tmp_path) as first:
        first.run_blocking(phase(1, "R"))
        Store(tmp_path).close()  # the re-run connect cell
        assert run_script(OPEN_AND_CLOSE, tmp_path).strip() == "[1]"
        first.run_blocking(phase(2, "R"))
        assert run_script(OPEN_AND_CLOSE, tmp_path).strip() == "[1, 2]"
