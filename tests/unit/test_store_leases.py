"""Leases and their owners: who may trade an account, and who no longer may."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetkit.store import (
    Owner,
    Store,
    acquire,
    holds,
    is_alive,
    lease_of,
    release,
    renew,
    this_process,
)
from tests.support.order_store import NOON_S, memory_orders
from tests.support.other_process import outcome, running

ACCOUNT = 7100012
TTL_S = 15.0
ONE = Owner(id="one", pid=1)
OTHER = Owner(id="other", pid=2)


def alive(owner):
    return True


def gone(owner):
    return False


@pytest.fixture
def store():
    connection = memory_orders()
    yield connection
    connection.close()


def take(connection, owner, now_s=NOON_S, living=alive, account=ACCOUNT):
    return acquire(connection, account, owner, now_s, TTL_S, living)


def test_an_account_has_one_lease(store):
    """Others get none, nor does its owner a second one; another account is free."""
    lease = take(store, ONE)
    assert (lease.account, lease.owner, lease.token) == (ACCOUNT, ONE, 1)
    assert (lease.acquired_s, lease.renewed_s, lease.expires_s) == (NOON_S, NOON_S, NOON_S + TTL_S)
    assert holds(store, lease, NOON_S + 14.9)
    assert take(store, OTHER, NOON_S + 14.9) is None
    assert take(store, ONE, NOON_S + 14.9) is None
    assert take(store, OTHER, account=ACCOUNT + 1).token == 1
    assert lease_of(store, ACCOUNT) == lease
    assert lease_of(store, 1) is None


def test_a_lease_that_ran_out_is_taken_over(store):
    """The former owner holds it no more from the very moment on."""
    lease = take(store, ONE)
    assert not holds(store, lease, NOON_S + TTL_S)
    taken = take(store, OTHER, NOON_S + TTL_S)
    assert taken.token == 2
    assert holds(store, taken, NOON_S + TTL_S)
    assert not holds(store, lease, NOON_S)  # nor if its clock stood still
    assert renew(store, lease, NOON_S, TTL_S) is None
    assert not release(store, lease)
    assert holds(store, taken, NOON_S + TTL_S)


def test_a_lease_whose_owner_is_gone_is_taken_over_at_once(store):
    """Without waiting for its end."""
    take(store, ONE)
    assert take(store, OTHER, NOON_S + 0.1, gone).token == 2


def test_a_lease_is_given_back(store):
    """Then it is nobody's, and the next token is another one all the same."""
    lease = take(store, ONE)
    assert release(store, lease)
    assert not release(store, lease)
    assert not holds(store, lease, NOON_S)
    assert lease_of(store, ACCOUNT) is None
    assert take(store, OTHER).token == 2


def test_a_lease_is_renewed_from_now(store):
    """The token stays; one that has run out is not renewed, for its snapshot is old."""
    lease = take(store, ONE)
    renewed = renew(store, lease, NOON_S + 10, TTL_S)
    assert renewed == msgspec.structs.replace(
        lease, renewed_s=NOON_S + 10, expires_s=NOON_S + 10 + TTL_S
    )
    assert holds(store, lease, NOON_S + 20)  # what was read earlier tells the token, not the end
    assert take(store, OTHER, NOON_S + 20) is None
    assert renew(store, renewed, NOON_S + 25, TTL_S) is None
    assert take(store, OTHER, NOON_S + 25).token == 2


@pytest.mark.parametrize(("set_to_s", "lost"), [(-29.0, False), (-31.0, True), (3_600.0, True)])
def test_a_clock_that_was_set_loses_a_lease_for_all_or_for_none(store, set_to_s, lost):
    """Its owner and whoever wants it judge alike."""
    lease = take(store, ONE)
    assert holds(store, lease, NOON_S + set_to_s) is not lost
    assert (take(store, OTHER, NOON_S + set_to_s) is not None) is lost


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["acquire", "renew", "release"]),
        st.sampled_from([ONE, OTHER]),
        st.floats(-60, 60),
        st.booleans(),
    ),
    max_size=40,
)


@given(STEPS)
def test_a_lease_is_never_held_by_two(steps):
    """Over any sequence, with any clock, also for what was read long ago."""
    connection, now_s, leases = memory_orders(), NOON_S, []
    for what, owner, wait_s, living in steps:
        now_s += wait_s
        mine = [lease for lease in leases if lease.owner == owner]
        if what == "acquire":
            held = [lease for lease in leases if holds(connection, lease, now_s)]
            lease = take(connection, owner, now_s, lambda _, living=living: living)
            assert (lease is None) == (bool(held) and living)
            if lease is not None:
                assert lease.token > max((other.token for other in leases), default=0)
                leases.append(lease)
        elif mine and what == "renew":
            before = holds(connection, mine[-1], now_s)
            assert (renew(connection, mine[-1], now_s, TTL_S) is not None) == before
        elif mine:
            release(connection, mine[-1])
            assert not holds(connection, mine[-1], now_s)
        assert sum(holds(connection, lease, now_s) for lease in leases) <= 1
    connection.close()


def test_this_process_is_alive_and_every_store_is_an_owner(tmp_path):
    """Two stores of one process are two traders."""
    me, again = this_process(), this_process()
    assert is_alive(me)
    assert me.is_this_process()
    assert me.id != again.id
    assert (me.pid, me.started, me.boot_id) == (again.pid, again.started, again.boot_id)
    with Store(tmp_path) as one, Store(tmp_path) as other:
        assert one.owner.is_this_process()
        assert one.owner != other.owner


@pytest.mark.parametrize(
    ("changes", "living"),
    [
        ({"boot_id": "of another start of the machine"}, False),
        ({"started": "1"}, False),
        ({"pid": 2**22 + 1}, False),
        ({"boot_id": ""}, True),
        ({"started": ""}, True),
        ({"pid_namespace": "pid:[1]", "pid": 2**22 + 1}, True),
        ({"pid_namespace": "pid:[1]", "boot_id": "of another start of the machine"}, False),
    ],
)
def test_only_what_is_certain_makes_an_owner_gone(changes, living):
    """Its number anew, another boot; not what cannot be seen from here."""
    assert is_alive(msgspec.structs.replace(this_process(), **changes)) is living


def test_a_process_may_have_any_name():
    """What looks like the end of its name, and like the state of one that has ended."""
    name = Path("/proc/self/comm")
    before = name.read_text()
    name.write_text("a) Z (b")
    try:
        assert is_alive(this_process())
    finally:
        name.write_text(before)


FORK = """
from fleetkit.store import this_process
me = this_process()
child = os.fork()
if child == 0:
    theirs = this_process()
    say(me.is_this_process(), theirs.is_this_process(), theirs.id != me.id)
    os._exit(0)
os.waitpid(child, 0)
say(me.is_this_process())
"""


def test_a_forked_child_is_another_owner():
    """And the parent's is not its own."""
    assert outcome(FORK, "[]").splitlines() == ["False True True", "True"]


TRADER = """
from pathlib import Path
from fleetkit.store import Store, acquire, holds
home, account, now_s, ttl_s = json.loads(sys.argv[1])
store = Store(Path(home))
lease = store.orders.run_blocking(lambda c: acquire(c, account, store.owner, now_s, ttl_s))
say("holds", store.orders.run_blocking(lambda c: holds(c, lease, now_s)))
sys.stdin.readline()
say("holds", store.orders.run_blocking(lambda c: holds(c, lease, now_s)))
store.close()
"""


def trader(home, ttl_s):
    return running(TRADER, json.dumps([str(home), ACCOUNT, NOON_S, ttl_s]))


def test_the_lease_of_a_killed_process_is_free_at_once(tmp_path):
    """Also while its parent has not looked at its end."""
    with Store(tmp_path) as store, trader(tmp_path, 3_600) as process:
        assert process.stdout.readline() == "holds True\n"

        def ours(connection):
            return acquire(connection, ACCOUNT, store.owner, NOON_S + 1, TTL_S)

        assert store.orders.run_blocking(ours) is None
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, and still a zombie
        assert store.orders.run_blocking(ours).token == 2
        process.wait()


def test_a_stopped_process_loses_its_lease_and_knows_when_it_goes_on(tmp_path):
    """It is alive, so its time must run out; its own clock may have stood still."""
    with Store(tmp_path) as store, trader(tmp_path, TTL_S) as process:
        assert process.stdout.readline() == "holds True\n"
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)

        def ours(now_s):
            return lambda connection: acquire(connection, ACCOUNT, store.owner, now_s, TTL_S)

        assert store.orders.run_blocking(ours(NOON_S + TTL_S - 0.1)) is None
        assert store.orders.run_blocking(ours(NOON_S + TTL_S)).token == 2
        process.send_signal(signal.SIGCONT)
        process.stdin.write("go on\n")
        process.stdin.flush()
        assert process.stdout.readline() == "holds False\n"
