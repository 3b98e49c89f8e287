"""How many requests reach the agents: counted there, to the last one."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

FLEET = 69


@pytest.fixture
def agents(serve):
    return serve(FLEET)


def test_one_invalidation_costs_one_request_and_keeps_every_row(agents, connect):
    """69 agents, one invalidated: one request, 69 rows, 68 of them from the cache."""
    fleet = connect(agents.config())
    assert len(fleet.accounts()) == FLEET
    agents.forget_requests()
    before = fleet.cache.stats()
    fleet.cache.invalidate(agents[7].number)
    agents[7].account = {**agents[7].account, "balance": 5.0}

    frame = fleet.accounts()

    assert agents.counts() == {"/accounts": 1}
    assert agents[7].count() == 1
    assert frame["source"].value_counts().to_dict() == {
        "cache": 68,
        "live": 1,
        "stale": 0,
        "none": 0,
    }
    assert frame.loc[agents[7].number, "balance"] == 5.0
    after = fleet.cache.stats()
    assert (after.hits - before.hits, after.misses - before.misses) == (68, 1)
    assert after.invalidations - before.invalidations == 1
    assert after.evictions == 0


def test_a_label_costs_no_request_and_makes_nothing_younger(agents, connect, clock):
    """set_phase and set_vs_group: 0 requests, and the rows' ages go on growing."""
    fleet = connect(agents.config(), clock=clock)
    number = agents[3].number
    fleet.accounts()
    agents.forget_requests()
    clock.advance(20)
    fleet.set_phase(number, "F2")
    fleet.set_vs_group(number, "left")
    clock.advance(5)

    row = fleet.accounts().loc[number]

    assert agents.count() == 0
    assert (row["phase"], row["vs_group"], row["age_s"], row["source"]) == (
        "F2",
        "left",
        25,
        "cache",
    )
    clock.advance(30)
    assert fleet.accounts().loc[number, "age_s"] == 55
    assert agents.count() == 0


def test_a_field_update_does_not_restamp(agents, connect, clock):
    """An updated account turns stale with the others, on time."""
    fleet = connect(agents.config(), clock=clock)
    number = agents[3].number
    as_of = fleet.accounts().loc[number, "as_of"]
    agents.forget_requests()
    clock.advance(59)
    fleet.cache.update(number, "balance", 1.5)
    row = fleet.accounts().loc[number]
    assert (row["balance"], row["age_s"], row["as_of"]) == (1.5, 59, as_of)
    assert agents.count() == 0
    clock.advance(1.5)
    assert fleet.accounts().loc[number, "balance"] == agents[3].account["balance"]
    assert agents.count() == FLEET


def test_fifty_threads_share_one_flight_an_account(agents, connect):
    """50 threads ask a cold fleet at once: 69 requests in all, the rest joined."""
    holds = [agent.hold("/accounts") for agent in agents]
    fleet = connect(agents.config())
    with ThreadPoolExecutor(50) as threads:
        frames = [threads.submit(fleet.accounts) for _ in range(50)]
        for hold in holds:
            hold.wait()
        while fleet.cache.stats().flights_joined < 49 * FLEET:
            pass  # each turn is a call of its own, so this waits rather than spins
        for hold in holds:
            hold.release()
        assert {len(frame.result()) for frame in frames} == {FLEET}
    assert agents.counts() == {"/accounts": FLEET}
    assert fleet.cache.stats().flights_joined == 49 * FLEET


def test_fifty_coroutines_share_one_flight_an_account(agents, connect):
    """The same, awaited on one loop."""
    holds = [agent.hold("/accounts") for agent in agents]
    fleet = connect(agents.config())

    async def crowd():
        calls = [asyncio.ensure_future(fleet.aio.accounts()) for _ in range(50)]
        while (await fleet.aio.cache.stats()).flights_joined < 49 * FLEET:
            pass
        for hold in holds:
            hold.release()
        return await asyncio.gather(*calls)

    frames = asyncio.run(crowd())
    assert {len(frame) for frame in frames} == {FLEET}
    assert agents.counts() == {"/accounts": FLEET}


def test_a_whole_fleet_from_the_cache_counts_hits(agents, connect):
    """A warm `accounts` is 69 hits, on the loop thread or beside it."""
    fleet = connect(agents.config())
    for _ in range(4):
        fleet.accounts()
    stats = fleet.cache.stats()
    assert (stats.hits, stats.misses, stats.accounts_cached) == (3 * FLEET, FLEET, FLEET)
    assert stats.hit_rate == 0.75
    assert agents.count() == FLEET


def test_without_a_cache_every_call_asks(serve, connect):
    """`cache_ttl_s=0`: a request per call, of every kind."""
    agents = serve(2)
    fleet = connect(agents.config(), cache_ttl_s=0)
    fleet.accounts()
    agents.forget_requests()
    for _ in range(3):
        fleet.accounts()
        fleet.positions()
        fleet.trades()
    assert agents.counts() == {"/accounts": 6, "/positions": 6, "/trade-history": 6}


def test_without_pooling_every_call_connects(serve, connect):
    """`pooling=False`: a new connection per call; with it, one for all of them."""
    pooled, single = serve(1), serve(1)
    for agents, pooling, connections in ((pooled, True, 1), (single, False, 5)):
        fleet = connect(agents.config(), pooling=pooling)
        for _ in range(5):
            fleet.accounts(refresh=True)
        assert len(agents[0].connections) == connections
        assert fleet.agents()["connections"].tolist() == [connections]


def test_a_terminal_gets_one_request_at_a_time(serve, connect):
    """One lane per agent (T12): callers of different readings wait for each other."""
    agents = serve(1)
    fleet = connect(agents.configured())
    hold = agents[0].hold("/accounts")
    with ThreadPoolExecutor(3) as threads:
        calls = [threads.submit(call) for call in (fleet.accounts, fleet.positions, fleet.trades)]
        hold.wait()
        hold.release()
        for call in calls:
            call.result()
    assert agents[0].most_at_once == 1
    assert agents.count() == 3


def test_lanes_let_more_requests_through(serve, connect):
    """With three lanes three requests are at the agent at once."""
    agents = serve(1)
    fleet = connect(agents.configured(lanes=3))
    holds = [agents[0].hold(path) for path in ("/accounts", "/positions", "/trade-history")]
    with ThreadPoolExecutor(3) as threads:
        calls = [threads.submit(call) for call in (fleet.accounts, fleet.positions, fleet.trades)]
        for hold in holds:
            hold.wait()
        for hold in holds:
            hold.release()
        for call in calls:
            call.result()
    assert agents[0].most_at_once == 3


def test_agents_labels_and_statistics_make_no_request(agents, connect):
    """What is known already is asked of nobody."""
    fleet = connect(agents.config())
    fleet.agents(), fleet.labels(), fleet.cache.stats(), fleet.load_labels({7_100_001: "R"})
    assert agents.count() == 0
