"""How long a caller waits: patience, deadlines, breaker, cancellation, clock jumps."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

import fleetkit as fk
from tests.support.agents import until

FLEET = 69
SHORT = fk.Timeouts(read_deadline_s=0.6)  # real time: a busy machine must fit into it


@pytest.fixture
def threads():
    with ThreadPoolExecutor(4) as pool:
        yield pool


def in_flight(fleet):
    fleet.cache.stats()  # a trip to the loop thread: what was ready to run has run
    return len(fleet._target.caches.accounts._in_air)


def test_a_warm_stuck_agent_costs_patience_and_its_late_answer_counts(
    serve, connect, clock, threads
):
    """After patience_s a stale row; the flight goes on, and what it brings is in the cache."""
    agents = serve(FLEET)
    fleet = connect(agents.config(), clock=clock)
    stuck = agents[4]
    total = fleet.accounts()["balance"].sum()
    hold = stuck.hold("/accounts")
    clock.advance(100)
    call = threads.submit(fleet.accounts, patience_s=3)
    hold.wait()
    clock.wait_for_sleeper(3)
    until(lambda: in_flight(fleet) == 1)
    clock.advance(3)

    frame = call.result()

    assert frame["source"].value_counts().to_dict() == {
        "live": 68,
        "stale": 1,
        "cache": 0,
        "none": 0,
    }
    row = frame.loc[stuck.number]
    assert (row["status"], row["source"], row["age_s"]) == ("timeout", "stale", 103)
    assert "has not answered within 3 s" in row["error"]
    assert frame["balance"].sum() == total
    assert frame.attrs["missing"] == [stuck.number]
    assert fleet.cache.stats().stale_hits == 1
    agents.forget_requests()
    hold.release()
    until(lambda: in_flight(fleet) == 0)
    assert fleet.accounts().loc[stuck.number, ["status", "source"]].tolist() == [
        "connected",
        "cache",
    ]
    assert agents.count() == 0


def test_patience_is_real_seconds_on_the_real_clock(serve, connect):
    """With the system's clock, too, a warm call comes back long before the deadline."""
    agents = serve(3)
    fleet = connect(agents.config())
    fleet.accounts()
    agents[1].hang("/accounts")
    frame = fleet.accounts(refresh=True, patience_s=1)
    assert frame["source"].tolist() == ["live", "stale", "live"]
    assert "within 1 s" in frame["error"].iloc[1]


def test_a_second_caller_joins_the_flight_patience_left_behind(serve, connect):
    """A stuck agent is asked once, however often the cell is run."""
    agents = serve(2)
    fleet = connect(agents.config())
    fleet.accounts()
    agents[1].hang("/accounts")
    for _ in range(3):
        fleet.accounts(refresh=True, patience_s=0)
    until(lambda: agents[1].count("/accounts") > 1)  # it is on its way, whoever waits
    assert agents[1].count("/accounts") == 2


def test_a_cold_stuck_agent_is_waited_for_until_its_deadline(serve, connect):
    """68 live rows, one without figures: NaN, no zero, and a sentence."""
    agents = serve(FLEET)
    agents[4].hang("/accounts")
    fleet = connect(agents.configured(), timeouts=SHORT)
    frame = fleet.accounts(patience_s=0)
    row = frame.loc[agents[4].number]
    assert (row["status"], row["source"]) == ("timeout", "none")
    assert row[["balance", "equity", "profit", "age_s"]].isna().all()
    assert "did not answer /accounts within 0.6 s" in row["error"]
    others = [agent.account["balance"] for agent in agents if agent is not agents[4]]
    assert frame["balance"].sum() == sum(others)
    assert frame["balance"].count() == 68
    assert (frame["source"] == "live").sum() == 68


def test_a_stuck_agent_nobody_knows_has_no_row(serve, connect):
    """Its account was never learned: its name is missing, and it is in `agents()`."""
    agents = serve(3)
    agents[1].hang("/accounts")
    fleet = connect(agents.config(), timeouts=SHORT)
    frame = fleet.accounts()
    assert frame.index.tolist() == [agents[0].number, agents[2].number]
    assert frame.attrs["missing"] == [agents[1].name]
    assert fleet.agents()["status"].tolist() == ["online", "timeout", "online"]
    with pytest.raises(fk.PartialResult) as caught:
        fleet.accounts(strict=True)
    assert list(caught.value.reasons) == [agents[1].name]


@pytest.fixture
def broken(serve, connect, clock, threads):
    """A fleet of three whose second agent kept people waiting three times in a row."""
    agents = serve(3)
    fleet = connect(agents.config(), clock=clock, timeouts=SHORT)
    fleet.accounts()
    for _ in range(3):
        hold = agents[1].hold("/accounts")
        call = threads.submit(fleet.account, agents[1].number, refresh=True)
        hold.wait()
        clock.advance(10)
        assert call.result().status == "timeout"
    agents.forget_requests()
    return agents, fleet


def test_an_open_breaker_answers_at_once(broken):
    """No request, a stale row that says why, and the others as ever."""
    agents, fleet = broken
    assert fleet.agents()["breaker"].tolist() == ["closed", "open", "closed"]
    frame = fleet.accounts(refresh=True)
    row = frame.iloc[1]
    assert (row["status"], row["source"]) == ("timeout", "stale")
    assert "left alone for another 15 s after 3 failures in a row" in row["error"]
    assert "fleet.refresh(account)" in row["error"]
    for read in (fleet.positions, fleet.trades):
        with pytest.raises(fk.PartialResult, match="left alone") as caught:
            read()
        assert caught.value.missing == [agents[1].number]
    with pytest.raises(fk.BreakerOpen):
        fleet.quote(agents[1].number, "EURUSD")
    assert agents[1].count() == 0


def test_refresh_goes_through_an_open_breaker_and_closes_it(broken):
    """Whoever asks for this account by name gets it."""
    agents, fleet = broken
    frame = fleet.refresh(agents[1].number)
    assert (len(frame), frame["source"].iloc[1]) == (3, "live")
    assert agents[1].count("/accounts") == 1
    assert fleet.agents()["breaker"].tolist() == ["closed"] * 3


def test_a_breaker_is_half_open_when_a_try_is_due(broken, clock):
    """One request goes out then; its success closes the breaker."""
    agents, fleet = broken
    clock.advance(15)
    assert fleet.agents()["breaker"].iloc[1] == "half_open"
    assert fleet.accounts(refresh=True)["source"].tolist() == ["live"] * 3
    assert fleet.agents()["breaker"].iloc[1] == "closed"
    assert agents[1].count() == 1


def test_looking_for_an_account_does_not_wait_for_a_broken_agent(serve, connect, clock, threads):
    """An unknown number is an error at once, though one agent never said whose it is."""
    agents = serve(2)
    fleet = connect(agents.config(), clock=clock, timeouts=SHORT)
    hold = agents[1].hang("/accounts")
    for times in range(3):
        call = threads.submit(fleet.accounts, refresh=True)
        until(lambda times=times: in_flight(fleet) == 1 and agents[1].count() == times + 1)
        clock.advance(10)
        call.result()
    assert fleet.agents()["breaker"].iloc[1] == "open"
    agents.forget_requests()
    with pytest.raises(fk.UnknownAccount, match="1 agents have not said whose they are"):
        fleet.account(123)
    assert agents[1].count() == 0
    hold.release()


def test_cancelling_one_caller_leaves_the_other_its_answer(serve, connect):
    """And the agent gets one request."""
    agents = serve(2)
    hold = agents[1].hold("/accounts")
    fleet = connect(agents.config())

    async def scenario():
        first, second = (asyncio.ensure_future(fleet.aio.accounts()) for _ in range(2))
        while (await fleet.aio.cache.stats()).flights_joined < 1:
            pass
        await asyncio.to_thread(hold.wait)
        first.cancel()
        await asyncio.wait({first})
        hold.release()
        return first.cancelled(), await second

    cancelled, frame = asyncio.run(scenario())
    assert cancelled
    # The first agent may have answered before the second caller asked.
    assert frame["source"].tolist() in (["live", "live"], ["cache", "live"])
    assert agents.counts() == {"/accounts": 2}


def test_the_last_callers_cancel_cancels_the_request(serve, connect):
    """Nothing is left in the air, and the next call asks anew."""
    agents = serve(1)
    hold = agents[0].hold("/accounts")
    fleet = connect(agents.config())

    async def scenario():
        call = asyncio.ensure_future(fleet.aio.accounts())
        await asyncio.to_thread(hold.wait)
        call.cancel()
        await asyncio.wait({call})

    asyncio.run(scenario())
    until(lambda: in_flight(fleet) == 0)
    assert fleet.accounts()["source"].tolist() == ["live"]
    assert agents[0].count() == 2


def test_cancel_all_gives_callers_what_is_known(serve, connect, threads):
    """The rows say that the call was cancelled, and the fleet works on."""
    agents = serve(3)
    fleet = connect(agents.config())
    fleet.accounts()
    hold = agents[1].hold("/accounts")
    call = threads.submit(fleet.accounts, refresh=True, patience_s=60)
    hold.wait()
    until(lambda: in_flight(fleet) == 1)
    assert fleet.cancel_all() == 1
    row = call.result().iloc[1]
    assert (row["status"], row["source"]) == ("error", "stale")
    assert "cancelled before vps01 answered" in row["error"]
    fleet.cache.invalidate(agents[1].number)
    assert fleet.accounts()["source"].tolist() == ["cache", "live", "cache"]


@pytest.mark.parametrize("jump_s", [40.0, -3600.0])
def test_a_clock_that_jumped_makes_everything_stale(serve, connect, clock, jump_s):
    """The machine slept, or its clock was set: every kind of reading is asked again."""
    agents = serve(3)
    fleet = connect(agents.config(), clock=clock)
    for read in (fleet.accounts, fleet.positions, fleet.trades, fleet.accounts, fleet.accounts):
        read()
    agents.forget_requests()
    clock.sleep_through(jump_s)
    for read in (fleet.accounts, fleet.positions, fleet.trades):
        read()
    assert agents.counts() == {"/accounts": 3, "/positions": 3, "/trade-history": 3}


def test_a_small_jump_is_the_clock_being_adjusted(serve, connect, clock):
    """30 s and less change nothing."""
    agents = serve(3)
    fleet = connect(agents.config(), clock=clock)
    fleet.accounts()
    clock.sleep_through(30)
    assert fleet.accounts()["source"].tolist() == ["cache"] * 3
    assert agents.count() == 3


def test_a_call_that_never_left_the_queue_says_nothing_of_the_agent(serve, connect, threads):
    """A long history holds the lane: rows say so, and no terminal is made to reconnect."""
    agents = serve(1)
    fleet = connect(agents.configured(), timeouts=SHORT, recovery=fk.RecoveryPolicy())
    fleet.accounts()
    hold = agents[0].hold("/trade-history")
    history = threads.submit(fleet.trades)
    hold.wait()
    for _ in range(3):
        row = fleet.accounts(refresh=True).loc[agents[0].number]
        assert (row["status"], row["source"]) == ("timeout", "stale")
        assert "busy with other calls" in row["error"]
    hold.release()
    history.result()
    assert fleet.accounts(refresh=True)["status"].tolist() == ["connected"]
    assert fleet.agents()[["failures", "recoveries"]].to_numpy().tolist() == [[0, 0]]
    assert agents[0].count("/refresh") == 0


def test_short_deadlines_open_the_breaker_too(serve, connect):
    """Three timeouts, and the fourth call answers at once."""
    agents = serve(1)
    agents[0].hang("/accounts")
    fleet = connect(agents.configured(), timeouts=SHORT)
    for _ in range(3):
        fleet.accounts()
    assert fleet.agents()["breaker"].tolist() == ["open"]
    assert "left alone" in fleet.accounts()["error"].iloc[0]
    assert agents[0].count("/accounts") == 3
