"""An account's seat: one order at a time, lost by time, given back whatever happens."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from fleetkit import store
from fleetkit.desk.seats import ASK_AGAIN_S, NoSeat, Seats
from fleetkit.errors import StoreError
from fleetkit.store import Store
from tests.support.fake_clock import FakeClock
from tests.support.one_agent import until
from tests.support.one_gateway import run

pytestmark = pytest.mark.usefixtures("nothing_left_behind")

ACCOUNT = 7_100_012
OTHER = 7_100_013
SOON_S = 5.0
LEASE_S = 60.0


@pytest.fixture
def kept(fleetkit_home: Path) -> Iterator[Store]:
    """The store of this kernel."""
    with Store(fleetkit_home) as opened:
        yield opened


@pytest.fixture
def other_kernel(fleetkit_home: Path) -> Iterator[Store]:
    """The same home, opened by somebody else who is alive too."""
    with Store(fleetkit_home) as opened:
        opened.owner = msgspec.structs.replace(opened.owner, id="another-kernel")
        yield opened


def holder(kept: Store, account: int = ACCOUNT) -> str | None:
    """Whose the lease is."""
    lease = kept.orders.run_blocking(lambda connection: store.lease_of(connection, account))
    return None if lease is None else lease.owner.id


def test_orders_of_one_account_come_one_after_the_other(kept: Store) -> None:
    """Another account's is beside them."""
    log: list[str] = []

    async def scenario() -> None:
        seats = Seats(kept, FakeClock(), LEASE_S)
        go = asyncio.Event()

        async def trade(name: str, account: int) -> None:
            async with seats.take(account, within_s=SOON_S):
                log.append(f"{name} in")
                await go.wait()
                log.append(f"{name} out")

        tasks = [
            asyncio.ensure_future(trade(name, account))
            for name, account in [("first", ACCOUNT), ("second", ACCOUNT), ("beside", OTHER)]
        ]
        await until(lambda: len(log) == 2)
        assert sorted(log) == ["beside in", "first in"]
        assert repr(seats) == "<Seats 2 taken>"
        go.set()
        await asyncio.gather(*tasks)
        assert log.index("second in") > log.index("first out")
        assert repr(seats) == "<Seats 0 taken>"
        assert holder(kept) is holder(kept, OTHER) is None

    run(scenario())


@pytest.mark.parametrize(
    ("passed_s", "mine"),
    [(0.0, True), (LEASE_S - 0.01, True), (LEASE_S, False), (LEASE_S + 1, False)],
)
def test_a_lease_is_lost_by_time(kept: Store, passed_s: float, mine: bool) -> None:
    """And lasts its whole length again each time that it was found to be ours."""

    async def scenario() -> None:
        clock = FakeClock()
        async with Seats(kept, clock, LEASE_S).take(ACCOUNT, within_s=SOON_S) as seat:
            clock.advance(passed_s)
            assert await seat.still_mine() is mine

    run(scenario())


def test_a_lease_that_ran_out_while_the_store_was_asked_is_lost(kept: Store) -> None:
    """The process may be stopped between the store's answer and the byte."""

    async def scenario() -> None:
        clock = FakeClock()
        async with Seats(kept, clock, LEASE_S).take(ACCOUNT, within_s=SOON_S) as seat:
            real = kept.orders.run

            async def slow(work: object) -> object:
                answer = await real(work)  # type: ignore[arg-type]  # passed on as it is
                clock.advance(LEASE_S)
                return answer

            kept.orders.run = slow  # type: ignore[assignment,method-assign]  # a slow disk
            try:
                assert not await seat.still_mine()
            finally:
                kept.orders.run = real  # type: ignore[method-assign]  # as it was

    run(scenario())


def test_a_lease_that_another_kernel_took_over_is_lost(kept: Store, other_kernel: Store) -> None:
    """After its time another may have it; giving back the old one does not take the new."""

    async def scenario() -> None:
        clock = FakeClock()
        async with Seats(kept, clock, LEASE_S).take(ACCOUNT, within_s=SOON_S) as mine:
            clock.advance(LEASE_S + 1)
            theirs = Seats(other_kernel, clock, LEASE_S).take(ACCOUNT, within_s=SOON_S)
            seat = await theirs.__aenter__()
            assert not await mine.still_mine()
            assert await seat.still_mine()
        assert holder(kept) == "another-kernel"
        assert await seat.still_mine()
        await theirs.__aexit__(None, None, None)
        assert holder(kept) is None

    run(scenario())


def test_a_lease_that_was_taken_over_early_is_lost(kept: Store, other_kernel: Store) -> None:
    """Another kernel thought this one gone; that its time is not up helps nothing."""

    async def scenario() -> None:
        clock = FakeClock()
        now_s = clock.now().timestamp()
        async with Seats(kept, clock, LEASE_S).take(ACCOUNT, within_s=SOON_S) as mine:
            taken = other_kernel.orders.run_blocking(
                lambda connection: store.acquire(
                    connection, ACCOUNT, other_kernel.owner, now_s, LEASE_S, lambda _: False
                )
            )
            assert taken is not None
            assert not await mine.still_mine()

    run(scenario())


def test_while_another_kernel_has_the_seat_there_is_none(kept: Store, other_kernel: Store) -> None:
    """It is asked for again until the time is up, and the turn of this process is given back."""

    async def scenario() -> None:
        clock = FakeClock()
        mine = Seats(kept, clock, LEASE_S)
        async with Seats(other_kernel, clock, LEASE_S).take(ACCOUNT, within_s=SOON_S):

            async def trade() -> None:
                async with mine.take(ACCOUNT, within_s=2 * ASK_AGAIN_S):
                    pytest.fail("two kernels trade one account")

            task = asyncio.ensure_future(trade())
            for _ in range(2):
                await asyncio.to_thread(clock.wait_for_sleeper, ASK_AGAIN_S)
                assert not task.done()
                clock.advance(ASK_AGAIN_S)
                await until(lambda: not clock._sleepers or task.done())
            with pytest.raises(NoSeat):
                await task
            assert repr(mine) == "<Seats 0 taken>"
            assert holder(kept) == "another-kernel"

    run(scenario())


def test_a_seat_that_is_given_back_in_time_is_taken(kept: Store, other_kernel: Store) -> None:
    """Whoever waits gets it with the next question."""

    async def scenario() -> None:
        clock = FakeClock()
        theirs = Seats(other_kernel, clock, LEASE_S).take(ACCOUNT, within_s=SOON_S)
        await theirs.__aenter__()

        async def trade() -> str | None:
            async with Seats(kept, clock, LEASE_S).take(ACCOUNT, within_s=SOON_S):
                return holder(kept)

        task = asyncio.ensure_future(trade())
        await asyncio.to_thread(clock.wait_for_sleeper, ASK_AGAIN_S)
        await theirs.__aexit__(None, None, None)
        clock.advance(ASK_AGAIN_S)
        assert await task == kept.owner.id

    run(scenario())


def test_the_seat_is_given_back_after_an_exception(kept: Store) -> None:
    """Whatever it was."""

    async def scenario() -> None:
        seats = Seats(kept, FakeClock(), LEASE_S)
        with pytest.raises(ZeroDivisionError):
            async with seats.take(ACCOUNT, within_s=SOON_S):
                raise ZeroDivisionError
        assert holder(kept) is None
        assert repr(seats) == "<Seats 0 taken>"

    run(scenario())


def test_a_store_that_fails_gives_the_turn_back(kept: Store) -> None:
    """The next order of this process meets the store and not a turn that never comes."""

    async def scenario() -> None:
        seats = Seats(kept, FakeClock(), LEASE_S)
        kept.orders.run_blocking(lambda connection: connection.execute("DROP TABLE leases"))
        for _ in range(2):
            with pytest.raises(StoreError):
                async with seats.take(ACCOUNT, within_s=SOON_S):
                    pytest.fail("there is no such table")
        assert repr(seats) == "<Seats 0 taken>"

    run(scenario())


async def stay(seats: Seats, inside: asyncio.Event) -> None:
    """Trade, for ever."""
    async with seats.take(ACCOUNT, within_s=SOON_S):
        inside.set()
        await asyncio.Event().wait()


async def called_back(*tasks: asyncio.Task[None]) -> None:
    """Cancel orders, one after the other, and wait for each."""
    for task in tasks:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_an_order_is_called_back_while_another_has_its_turn(kept: Store) -> None:
    """The one that trades trades on, and leaves the account free when it is called back too."""

    async def scenario() -> None:
        seats, first, second = Seats(kept, FakeClock(), LEASE_S), asyncio.Event(), asyncio.Event()
        trading = asyncio.ensure_future(stay(seats, first))
        await first.wait()
        waiting = asyncio.ensure_future(stay(seats, second))
        await asyncio.sleep(0)
        await called_back(waiting)
        assert holder(kept) == kept.owner.id
        await called_back(trading)
        assert not second.is_set()
        assert holder(kept) is None
        assert repr(seats) == "<Seats 0 taken>"

    run(scenario())


def test_an_order_is_called_back_while_it_waits_for_another_kernel(
    kept: Store, other_kernel: Store
) -> None:
    """The turn of this process is free, and the other kernel's lease is its own."""

    async def scenario() -> None:
        clock = FakeClock()
        seats = Seats(kept, clock, LEASE_S)
        async with Seats(other_kernel, clock, LEASE_S).take(ACCOUNT, within_s=SOON_S):
            waiting = asyncio.ensure_future(stay(seats, asyncio.Event()))
            await asyncio.to_thread(clock.wait_for_sleeper, ASK_AGAIN_S)
            await called_back(waiting)
            assert repr(seats) == "<Seats 0 taken>"
            assert holder(kept) == "another-kernel"

    run(scenario())


def test_an_order_is_called_back_before_the_store_came_to_it(kept: Store) -> None:
    """The disk is busy with something else; once it is not, the account is free."""
    stuck, go = threading.Event(), threading.Event()

    def slow_disk(_: sqlite3.Connection) -> None:
        stuck.set()
        assert go.wait(SOON_S)

    async def scenario() -> None:
        seats = Seats(kept, FakeClock(), LEASE_S)
        busy = asyncio.ensure_future(kept.orders.run(slow_disk))
        await asyncio.to_thread(stuck.wait)
        waiting = asyncio.ensure_future(stay(seats, asyncio.Event()))
        await until(lambda: "1 taken" in repr(seats))
        asyncio.get_running_loop().call_soon(go.set)
        await called_back(waiting)
        await busy
        assert holder(kept) is None
        assert repr(seats) == "<Seats 0 taken>"

    run(scenario())


def test_an_order_that_is_called_back_twice_gives_its_seat_back(kept: Store) -> None:
    """The second time it is just giving back, and the disk is busy."""
    stuck, go = threading.Event(), threading.Event()

    def slow_disk(_: sqlite3.Connection) -> None:
        stuck.set()
        assert go.wait(SOON_S)

    async def scenario() -> None:
        seats, inside = Seats(kept, FakeClock(), LEASE_S), asyncio.Event()
        trading = asyncio.ensure_future(stay(seats, inside))
        await inside.wait()
        busy = asyncio.ensure_future(kept.orders.run(slow_disk))
        await asyncio.to_thread(stuck.wait)
        trading.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        await called_back(trading)
        go.set()
        await busy
        await kept.orders.run(lambda _: None)
        assert holder(kept) is None

    run(scenario())


def test_a_lease_that_was_being_taken_when_its_order_was_called_back_is_free(kept: Store) -> None:
    """What the store has begun runs to its end; nobody may sit on the account afterwards."""
    begun, go = threading.Event(), threading.Event()
    real = store.acquire

    def slow(connection: sqlite3.Connection, **words: object) -> object:
        lease = real(connection, **words)  # type: ignore[arg-type]  # passed on as they are
        begun.set()
        assert go.wait(SOON_S)
        return lease

    async def scenario() -> None:
        seats = Seats(kept, FakeClock(), LEASE_S)

        async def trade() -> None:
            async with seats.take(ACCOUNT, within_s=SOON_S):
                pytest.fail("it was called back")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store, "acquire", slow)
            task = asyncio.ensure_future(trade())
            await asyncio.to_thread(begun.wait)
        task.cancel()
        await asyncio.sleep(0)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        await kept.orders.run(lambda _: None)
        assert holder(kept) is None
        async with seats.take(ACCOUNT, within_s=0.01):
            assert holder(kept) == kept.owner.id

    run(scenario())
