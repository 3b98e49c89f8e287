"""The loop thread: callers on any thread and loop, refusals, interrupts, ends."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import os
import threading
import weakref
from typing import Any

import pytest

import fleetkit as fk
from fleetkit.loop import LoopThread, loop_thread
from fleetkit.progress import Tally, current_tally
from tests.support.leftovers import open_sockets
from tests.support.one_agent import until
from tests.support.raw_server import BOUND_S, Exchange, RawServer, base_agent

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


async def hang(exchange: Exchange) -> None:
    await exchange.hang()


def in_thread(function: Any) -> concurrent.futures.Future[Any]:
    """Run a function on a thread of its own."""
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001  # the test's thread raises it
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


# Callers.


def test_there_is_one_thread() -> None:
    """Eight threads that ask at once get the same one."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        threads = set(pool.map(lambda _: loop_thread(), range(64)))
    assert len(threads) == 1
    assert sum(thread.name == "fleetkit-loop" for thread in threading.enumerate()) == 1
    assert repr(loop_thread()).startswith("<LoopThread running, ")


def test_eight_threads_call_at_once() -> None:
    """Every caller gets its answer, and one account is asked once."""
    with RawServer(agents=5) as server, fk.connect(server.agents()) as fleet:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            frames = list(pool.map(lambda _: fleet.accounts(), range(40)))
        assert all((frame["status"] == "connected").all() for frame in frames)
        assert len(server.requests) == 5


def test_the_same_fleet_across_several_runs() -> None:
    """`asyncio.run` again and again, called and awaited in turn: one connection serves all."""
    with RawServer() as server, fk.connect(server.agents()) as fleet:

        async def awaited() -> int:
            return len(await fleet.aio.accounts(refresh=True))

        async def called() -> int:
            return len(fleet.accounts(refresh=True))  # blocks this loop, as a cell does

        for _ in range(3):
            assert asyncio.run(awaited()) == 1
            assert asyncio.run(called()) == 1
            assert len(fleet.accounts(refresh=True)) == 1
        assert (len(server.requests), server.seen.connections) == (9, 1)


def test_many_awaits_at_once() -> None:
    """A gather of calls is as many answers, and joined flights."""
    with RawServer(agents=3) as server, fk.connect(server.agents()) as fleet:

        async def gather() -> list[Any]:
            return await asyncio.gather(
                fleet.aio.accounts(), fleet.aio.summary(), fleet.aio.account(7100002)
            )

        accounts, summary, one = asyncio.run(gather())
        assert (len(accounts), len(summary), one.account) == (3, 1, 7100002)
        assert len(server.requests) == 3


def test_what_the_caller_keeps_in_context_stays_there() -> None:
    """Work runs in an empty context, but for its own tally."""
    tally = Tally()

    async def look() -> Any:
        return current_tally()

    assert loop_thread().blocking(look) is None
    assert loop_thread().blocking(look, tally) is tally
    assert loop_thread().blocking(look) is None


# Refusals.


def test_a_blocking_call_on_the_loop_thread_is_refused() -> None:
    """It would wait for itself; the sentence says what to do instead."""
    with RawServer() as server, fk.connect(server.agents()) as fleet:
        failures: list[Exception] = []

        def handler(_: object) -> None:
            try:
                fleet.positions()
            except Exception as error:  # noqa: BLE001  # looked at below
                failures.append(error)

        stop = fleet._target.subscribe(handler)
        fleet.accounts()
        stop()
        assert failures
        assert all(isinstance(error, fk.LoopThreadBusy) for error in failures)
        assert "await fleet.aio" in str(failures[0])


def test_awaiting_on_the_loop_thread_works() -> None:
    """What runs there already needs no hop."""
    with RawServer() as server, fk.connect(server.agents()) as fleet:
        frame = loop_thread().blocking(fleet.aio.accounts)
        assert frame["status"].tolist() == ["connected"]


def test_a_thread_of_a_forked_child_is_never_taken_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Thread numbers are used again after a fork."""
    loop = LoopThread()
    monkeypatch.setattr(loop, "_pid", os.getpid() + 1)

    async def look() -> bool:
        return loop.is_current

    future = asyncio.run_coroutine_threadsafe(look(), loop._loop)
    assert future.result(BOUND_S) is False
    with pytest.raises(fk.ForkedProcess, match="connect"):
        loop.submit(look)
    monkeypatch.undo()
    loop.stop()


# Interrupts and cancellations.


class Interrupted(BaseException):
    """Stands for KeyboardInterrupt, which pytest would take for its own."""


def test_a_blocking_call_that_is_interrupted_cancels_its_request() -> None:
    """The socket closes at the agent, and the fleet is usable."""
    with RawServer(hang) as server, fk.connect(server.agents()) as fleet:

        def interrupt() -> None:
            if server.seen.concurrent:
                raise Interrupted

        with pytest.raises(Interrupted):
            fleet._loop.blocking(lambda: fleet._target.accounts(), tick=interrupt)
        server.wait_until_left()
        server.script = base_agent
        assert fleet.accounts()["status"].tolist() == ["connected"]


def test_an_interrupt_that_comes_at_once_cancels_the_request_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between handing the work over and waiting for it there is no gap to fall into."""
    with RawServer(hang) as server, fk.connect(server.agents()) as fleet:
        loop = fleet._loop._loop
        hand_over = loop.call_soon_threadsafe

        def interrupted(*args: Any, **kwargs: Any) -> None:
            hand_over(*args, **kwargs)
            if not fleet._loop.is_current:
                monkeypatch.undo()
                server.wait_for_requests(1)
                raise Interrupted

        monkeypatch.setattr(loop, "call_soon_threadsafe", interrupted)
        with pytest.raises(Interrupted):
            fleet.accounts()
        server.wait_until_left()


@pytest.mark.parametrize(
    "call", ["accounts", "positions", "trades", "doctor", "refresh", "summary"]
)
def test_an_awaited_call_that_is_cancelled_cancels_its_request(call: str) -> None:
    """Every kind of reading: the socket closes, and the fleet is usable."""
    with RawServer(hang) as server, fk.connect(server.agents(account=7100001)) as fleet:

        async def cancelled() -> None:
            task = asyncio.ensure_future(getattr(fleet.aio, call)())
            await asyncio.to_thread(server.wait_for_requests, 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(cancelled())
        server.wait_until_left()
        server.script = base_agent
        assert fleet.accounts()["status"].tolist() == ["connected"]


def test_cancelling_one_caller_leaves_the_others_theirs() -> None:
    """A flight that two wait for goes on when one leaves."""
    go = threading.Event()

    async def holding(exchange: Exchange) -> None:
        await exchange.until(go)
        await base_agent(exchange)

    with RawServer(holding) as server, fk.connect(server.agents()) as fleet:
        other = in_thread(fleet.accounts)
        server.wait_for_requests(1)

        async def cancelled() -> None:
            task = asyncio.ensure_future(fleet.aio.accounts())
            await until(lambda: fleet.cache.stats().flights_joined)
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()

        asyncio.run(cancelled())
        go.set()
        assert other.result(BOUND_S)["status"].tolist() == ["connected"]
        assert len(server.requests) == 1


@pytest.mark.parametrize("call", ["accounts", "refresh", "summary"])
def test_cancel_all_ends_a_blocked_call(call: str) -> None:
    """From another thread: the blocked caller comes back at once with what is known."""
    with RawServer(hang) as server, fk.connect(server.agents(account=7100001)) as fleet:
        blocked = in_thread(getattr(fleet, call))
        server.wait_for_requests(1)
        assert fleet.cancel_all() >= 1
        frame = blocked.result(BOUND_S)
        server.wait_until_left()
        if call != "summary":
            assert "cancelled" in frame.loc[7100001, "error"]


def test_cancel_all_ends_what_has_no_flight() -> None:
    """A quote and the doctor's questions are calls of their own, and end as well."""
    with RawServer(hang) as server, fk.connect(server.agents(account=7100001)) as fleet:
        quoting = in_thread(lambda: fleet.quote(7100001, "EURUSD"))
        server.wait_for_requests(1)
        assert fleet.cancel_all() == 1
        with pytest.raises(fk.AgentCancelled):
            quoting.result(BOUND_S)
        examining = in_thread(fleet.doctor)
        server.wait_for_requests(2)
        fleet.cancel_all()
        assert "cancelled" in examining.result(BOUND_S)["last_error"].iloc[0]
        server.wait_until_left()


def test_cancel_all_ends_a_strict_call_with_its_reason() -> None:
    """`positions` says what is missing, and why."""
    with RawServer(hang) as server, fk.connect(server.agents(account=7100001)) as fleet:
        blocked = in_thread(fleet.positions)
        server.wait_for_requests(1)
        fleet.cancel_all()
        with pytest.raises(fk.PartialResult, match="cancelled"):
            blocked.result(BOUND_S)


def test_an_error_shows_no_plumbing() -> None:
    """Frames of the loop thread are not in the caller's traceback."""
    with RawServer() as server, fk.connect(server.agents()) as fleet:
        with pytest.raises(fk.UnknownAccount) as caught:
            fleet.quote(1, "EURUSD")
        files = {entry.path.name for entry in caught.traceback}
        assert files <= {"test_loop.py", "waiting.py", "loop.py"}
        assert caught.value.__cause__ is None


def test_an_awaited_error_was_seen(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever awaits a call that raises has its error; asyncio does not log it as forgotten."""
    gc.collect()  # what other tests left behind is not this one's
    caplog.clear()
    with RawServer() as server, fk.connect(server.agents()) as fleet:

        async def failing() -> None:
            with pytest.raises(fk.UnknownAccount):
                await fleet.aio.quote(1, "EURUSD")

        asyncio.run(failing())
    gc.collect()  # after the close: until its next turn, the loop thread holds the last call
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


# Ends.


def test_rerunning_the_connect_cell_leaks_nothing() -> None:
    """Thirty times: no thread, no socket more than once, and each fleet works."""
    with RawServer(agents=3) as server:
        fleet = fk.connect(server.agents())
        fleet.accounts()
        threads, sockets = threading.active_count(), len(open_sockets())
        for _ in range(30):
            fleet = fk.connect(server.agents())
            assert (fleet.accounts()["status"] == "connected").all()
        server.wait(lambda seen: seen.open == 3)
        assert threading.active_count() == threads
        assert len(open_sockets()) == sockets
        fleet.close()
        server.wait_until_left()


def test_an_older_fleet_over_the_same_agents_is_closed() -> None:
    """It raises FleetClosed and says why, also for those who share its cache."""
    with RawServer(agents=2) as server:
        older = fk.connect(server.agents())
        older.accounts()
        cache, aio = older.cache, older.aio
        with fk.connect(list(reversed(server.agents()))) as newer:
            with pytest.raises(fk.FleetClosed, match="newer fleet"):
                older.accounts()
            with pytest.raises(fk.FleetClosed):
                cache.stats()
            with pytest.raises(fk.FleetClosed):
                asyncio.run(aio.positions())
            assert "closed" in repr(older)
            assert len(newer.accounts()) == 2


def test_a_fleet_over_other_agents_leaves_it_alone() -> None:
    """Two fleets of different agents live side by side."""
    with (
        RawServer(agents=3) as server,
        fk.connect(server.agents()[:2]) as one,
        fk.connect(server.agents()[2:]) as other,
    ):
        assert (len(one.accounts()), len(other.accounts())) == (2, 1)


def test_a_dropped_fleet_closes_its_sockets() -> None:
    """`del` and the garbage collector are enough."""
    with RawServer(agents=3) as server:
        fleet = fk.connect(server.agents())
        fleet.accounts()
        server.wait(lambda seen: seen.open == 3)
        gone = weakref.ref(fleet)
        del fleet
        gc.collect()
        assert gone() is None
        server.wait_until_left()


@pytest.mark.parametrize("kept", ["aio", "cache", "aio.cache", "method"])
def test_a_fleet_lives_as_long_as_any_part_of_it(kept: str) -> None:
    """`connect(...).aio` does not close under the hands of whoever holds only that."""
    with RawServer() as server:
        fleet = fk.connect(server.agents())
        part: Any = fleet.accounts
        if kept != "method":
            part = fleet
            for name in kept.split("."):
                part = getattr(part, name)
        del fleet
        gc.collect()
        if kept == "aio":
            assert len(asyncio.run(part.accounts())) == 1
        elif kept == "cache":
            assert part.stats().accounts_cached == 0
        elif kept == "aio.cache":
            assert asyncio.run(part.stats()).accounts_cached == 0
        else:
            assert len(part()) == 1
        del part
        gc.collect()
        server.wait_until_left()


def test_close_twice_and_calls_afterwards() -> None:
    """The second close does nothing; a call says that the fleet is closed."""
    with RawServer() as server:
        fleet = fk.connect(server.agents())
        fleet.accounts()
        fleet.close()
        fleet.close()
        server.wait_until_left()
        with pytest.raises(fk.FleetClosed, match="Connect again"):
            fleet.accounts()
        asyncio.run(fleet.aio.close())
        assert server.seen.connections == 1


def test_close_does_not_wait_for_an_agent_that_hangs() -> None:
    """Whoever was waiting gets an answer at once, and no socket stays."""
    with RawServer(hang, agents=2) as server:
        agents = server.agents()
        fleet = fk.connect([dict(agent, account=i + 1) for i, agent in enumerate(agents)])
        blocked = [in_thread(fleet.accounts), in_thread(lambda: fleet.quote(1, "EURUSD"))]
        server.wait_for_requests(2)
        fleet.close(timeout_s=1.0)
        server.wait_until_left()
        assert blocked[0].result(BOUND_S)["status"].tolist() == ["error", "error"]
        with pytest.raises(fk.FleetkitError, match=r"cancelled|closed"):
            blocked[1].result(BOUND_S)
        assert len(server.requests) == 2, "nothing was asked after the close"


def test_closing_on_the_way_out_of_an_async_with() -> None:
    """`async with connect(...).aio` works, and closes."""
    with RawServer() as server:

        async def scenario() -> None:
            async with fk.connect(server.agents()).aio as fleet:
                assert len(await fleet.accounts()) == 1
            with pytest.raises(fk.FleetClosed):
                await fleet.accounts()

        asyncio.run(scenario())
        server.wait_until_left()


def test_a_stopped_loop_thread_says_so() -> None:
    """After exit has begun, no call is taken and none hangs."""
    loop = LoopThread()

    async def nothing() -> None:
        return None

    loop.blocking(nothing)
    loop.stop()
    loop.stop()
    assert repr(loop) == "<LoopThread not usable, 0 calls in flight>"
    with pytest.raises(fk.FleetClosed, match="exiting"):
        loop.blocking(nothing)


# Progress.


def test_a_script_that_is_no_terminal_sees_no_progress(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither `None` nor `False` writes a byte where no terminal is, however long it takes."""

    async def slow(exchange: Exchange) -> None:
        await asyncio.wait({asyncio.ensure_future(exchange.peer.gone.wait())}, timeout=0.7)
        await base_agent(exchange)

    with RawServer(slow) as server:
        for progress in (None, False):
            with fk.connect(server.agents(), progress=progress) as fleet:
                assert len(fleet.accounts()) == 1
    assert capfd.readouterr() == ("", "")


def test_progress_is_written_where_it_is_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    """`progress=True` shows a bar anywhere, so that the test above can fail."""

    async def slow(exchange: Exchange) -> None:
        await asyncio.wait({asyncio.ensure_future(exchange.peer.gone.wait())}, timeout=0.7)
        await base_agent(exchange)

    with RawServer(slow) as server, fk.connect(server.agents(), progress=True) as fleet:
        fleet.accounts()
    output, errors = capfd.readouterr()
    assert output == ""
    assert "reading agents" in errors
