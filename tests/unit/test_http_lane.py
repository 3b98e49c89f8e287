"""A lane: so many at a time, trades first, no turn lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetkit.http.lane import Lane, Priority


async def settle() -> None:
    """Let every task that can run, run."""
    for _ in range(10):
        await asyncio.sleep(0)


def worker(lane: Lane, log: list[str], name: str, done: asyncio.Event) -> Callable[..., Any]:
    async def work(priority: Priority = Priority.READ) -> None:
        await lane.acquire(priority)
        log.append(name)
        try:
            await done.wait()
        finally:
            lane.release()

    return work


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


def test_a_free_slot_is_taken_at_once() -> None:
    """Nobody waits while there is room."""

    async def scenario() -> None:
        lane = Lane(2)
        await lane.acquire()
        await lane.acquire()
        assert repr(lane) == "<Lane 2 of 2 held, 0 waiting>"
        lane.release()
        lane.release()
        assert lane.held == 0

    run(scenario())


def test_trades_overtake_reads_that_wait() -> None:
    """The next turn is a trade's, and among equals the first come's."""

    async def scenario() -> None:
        lane, log, done = Lane(1), [], asyncio.Event()
        await lane.acquire()
        tasks = [
            asyncio.ensure_future(worker(lane, log, name, done)(priority))
            for name, priority in [
                ("read 1", Priority.READ),
                ("read 2", Priority.READ),
                ("trade 1", Priority.TRADE),
                ("trade 2", Priority.TRADE),
            ]
        ]
        await settle()
        done.set()
        lane.release()
        await asyncio.gather(*tasks)
        assert log == ["trade 1", "trade 2", "read 1", "read 2"]
        assert lane.held == 0

    run(scenario())


def test_a_waiter_that_is_cancelled_is_passed_over() -> None:
    """Its turn goes to the one behind it."""

    async def scenario() -> None:
        lane, log, done = Lane(1), [], asyncio.Event()
        await lane.acquire()
        first = asyncio.ensure_future(worker(lane, log, "first", done)())
        second = asyncio.ensure_future(worker(lane, log, "second", done)())
        await settle()
        first.cancel()
        done.set()
        lane.release()
        await second
        with pytest.raises(asyncio.CancelledError):
            await first
        assert log == ["second"]
        assert lane.held == 0

    run(scenario())


def test_a_turn_that_came_to_a_cancelled_waiter_goes_on() -> None:
    """Release and cancellation in one turn of the loop lose no slot."""

    async def scenario() -> None:
        lane, log, done = Lane(1), [], asyncio.Event()
        await lane.acquire()
        first = asyncio.ensure_future(worker(lane, log, "first", done)())
        second = asyncio.ensure_future(worker(lane, log, "second", done)())
        await settle()
        done.set()
        lane.release()  # it is the first one's turn now, and it has not run yet
        first.cancel()
        await second
        assert log == ["second"]
        assert lane.held == 0

    run(scenario())


@given(
    st.lists(st.sampled_from(["arrive", "trade", "cancel", "leave"]), max_size=40),
    st.integers(1, 3),
)
def test_slots_are_neither_lost_nor_invented(steps: list[str], slots: int) -> None:
    """Whatever happens in whatever order, never more than `slots` hold, and at the end none."""

    async def scenario() -> None:
        lane = Lane(slots)
        waiting: list[asyncio.Task[None]] = []
        holding: list[asyncio.Event] = []
        most = 0

        async def hold(priority: Priority) -> None:
            nonlocal most
            await lane.acquire(priority)
            mine = asyncio.Event()
            holding.append(mine)
            most = max(most, len(holding))
            try:
                await mine.wait()
            finally:
                holding.remove(mine)
                lane.release()

        for step in steps:
            if step in ("arrive", "trade"):
                priority = Priority.TRADE if step == "trade" else Priority.READ
                waiting.append(asyncio.ensure_future(hold(priority)))
            elif step == "cancel" and waiting:
                waiting[len(waiting) // 2].cancel()
            elif step == "leave" and holding:
                holding[0].set()
            if len(waiting) % 2:
                await settle()
        while not all(task.done() for task in waiting):
            for event in tuple(holding):
                event.set()
            await asyncio.sleep(0)
        assert most <= slots
        assert lane.held == 0
        assert "0 waiting" in repr(lane)

    run(scenario())
