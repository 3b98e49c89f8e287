"""The account cache: freshness, generations, single flight, last good values, statistics."""

from __future__ import annotations

import asyncio

import pytest

from fleetkit.cache import AccountCache
from fleetkit.errors import AgentCancelled, AgentOffline
from fleetkit.gateway import landed
from tests.support.fake_clock import FakeClock


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def cache(clock):
    return AccountCache[str, int](3, 60.0, clock)


def put(cache, key, value):
    return cache.put(key, value, cache.generation(key))


class Wire:
    """Replies that a test sends when it likes."""

    def __init__(self):
        self.asked = []

    def start(self):
        async def request():
            reply = asyncio.get_running_loop().create_future()
            self.asked.append(reply)
            return await reply

        return request()


def play(scenario):
    """Run a scenario of a wire on an event loop of its own."""

    async def played():
        await scenario(Wire())

    asyncio.run(played())


async def turn():
    """Let everything that can run, run."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_value_is_fresh_for_its_time_and_remembered_for_ever(cache, clock):
    """After the TTL it is a miss, and still the last good value, with its age."""
    entry = put(cache, "a", 1)
    clock.advance(59.9)
    assert cache.fresh("a") is entry
    clock.advance(0.1)
    assert cache.fresh("a") is None
    clock.advance(1e9)
    assert cache.last_good("a") is entry
    assert (entry.as_of, entry.stamp) == (clock._start, 0.0)
    assert (cache.hits, cache.misses) == (1, 1)


def test_ttl_zero_switches_caching_off(clock):
    """Nothing is ever fresh; the last good value is there all the same."""
    cache = AccountCache(3, 0.0, clock)
    put(cache, "a", 1)
    assert cache.fresh("a") is None
    assert len(cache) == 0
    assert cache.last_good("a").value == 1


def test_looking_counts_nothing(cache):
    """`is_fresh` and `last_good` leave the statistics alone."""
    put(cache, "a", 1)
    assert cache.is_fresh("a")
    assert not cache.is_fresh("b")
    assert cache.last_good("b") is None
    assert (cache.hits, cache.misses) == (0, 0)


def test_an_update_keeps_the_stamp(cache, clock):
    """A changed value is as old as it was, and as fresh."""
    put(cache, "a", 1)
    clock.advance(59)
    assert cache.update("a", lambda value: value + 1)
    entry = cache.fresh("a")
    assert (entry.value, entry.stamp) == (2, 0.0)
    clock.advance(1)
    assert not cache.is_fresh("a")


def test_an_update_makes_nothing_fresh(cache, clock):
    """A stale value stays stale, and nothing comes from nothing."""
    put(cache, "a", 1)
    cache.invalidate("a")
    assert cache.update("a", lambda value: value + 1)
    assert not cache.is_fresh("a")
    assert cache.last_good("a").value == 2
    assert not cache.update("b", lambda value: value)


def test_an_invalidation_is_of_one_key(cache):
    """The others stay fresh; the last good value stays, too."""
    put(cache, "a", 1), put(cache, "b", 2)
    cache.invalidate("a")
    assert (cache.is_fresh("a"), cache.is_fresh("b")) == (False, True)
    assert cache.last_good("a").value == 1
    assert cache.invalidations == 1


def test_a_reply_from_before_an_invalidation_is_not_stored(cache):
    """It is handed to its caller, and that is all."""
    generation = cache.generation("a")
    cache.invalidate("a")
    assert cache.put("a", 1, generation).value == 1
    assert cache.last_good("a") is None
    for forget in (cache.clear, cache.mark_all_stale, lambda: cache.forget("a")):
        generation = cache.generation("a")
        forget()
        cache.put("a", 1, generation)
        assert cache.last_good("a") is None


def test_marking_all_stale_keeps_last_good_values_and_clearing_does_not(cache):
    """Neither is an eviction."""
    for key in "abc":
        put(cache, key, 1)
    cache.mark_all_stale()
    assert (len(cache), cache.last_good("a").value) == (0, 1)
    put(cache, "a", 2)
    cache.clear()
    assert (len(cache), cache.last_good("a")) == (0, None)
    assert cache.evictions == 0


def test_want_of_room_is_an_eviction_and_expiry_is_not(cache, clock):
    """Only a fresh value that had to go counts."""
    for key in "abc":
        put(cache, key, 1)
    clock.advance(61)
    for key in "def":
        put(cache, key, 1)
    assert cache.evictions == 0
    put(cache, "g", 1)
    assert cache.evictions == 1
    assert len(cache) == 3


def test_every_change_moves_the_version(cache):
    """A snapshot made before any of them is void."""
    seen = [cache.version]
    for change in (
        lambda: put(cache, "a", 1),
        lambda: cache.update("a", lambda value: value),
        lambda: cache.invalidate("a"),
        lambda: cache.forget("a"),
        cache.mark_all_stale,
        cache.clear,
    ):
        change()
        seen.append(cache.version)
    assert sorted(set(seen)) == seen


def test_the_repr_says_how_the_cache_stands(cache, clock):
    """Expired values are not shown as fresh."""
    put(cache, "a", 1)
    assert repr(cache) == "<AccountCache 1 fresh, 0 in flight, ttl 60 s>"
    clock.advance(60)
    assert repr(cache) == "<AccountCache 0 fresh, 0 in flight, ttl 60 s>"


def test_callers_of_one_key_share_one_flight(cache):
    """One request, one value for all of them, counted as joined."""

    async def scenario(wire):
        calls = [asyncio.ensure_future(landed(cache.join("a", wire.start))) for _ in range(5)]
        await turn()
        assert len(wire.asked) == 1
        assert repr(cache.join("a", wire.start)) == "<Flight 6 waiting>"
        wire.asked[0].set_result(7)
        assert {(await call).value for call in calls} == {7}
        assert cache.flights_joined == 5
        assert cache.is_fresh("a")

    play(scenario)


def test_different_variants_fly_apart(cache):
    """Two spans of one history are two requests of one key."""

    async def scenario(wire):
        one = cache.join("a", wire.start, "30 days")
        other = cache.join("a", wire.start, "90 days")
        await turn()
        assert one is not other
        assert len(wire.asked) == 2
        cache.cancel_flights()
        await turn()

    play(scenario)


def test_cancelling_one_caller_leaves_the_others_alone(cache):
    """The request goes on while anybody waits for it."""

    async def scenario(wire):
        first, second = (
            asyncio.ensure_future(landed(cache.join("a", wire.start))) for _ in range(2)
        )
        await turn()
        first.cancel()
        await turn()
        assert not wire.asked[0].cancelled()
        wire.asked[0].set_result(7)
        assert (await second).value == 7
        assert cache.is_fresh("a")

    play(scenario)


def test_the_last_callers_cancel_cancels_the_request(cache):
    """Nobody waits, nobody asks."""

    async def scenario(wire):
        calls = [asyncio.ensure_future(landed(cache.join("a", wire.start))) for _ in range(2)]
        await turn()
        for call in calls:
            call.cancel()
        await turn()
        assert wire.asked[0].cancelled()
        assert "0 in flight" in repr(cache)

    play(scenario)


def test_a_flight_that_was_called_back_takes_nobody_along(cache):
    """Who asks in the very moment the last caller left gets a request of its own."""

    async def scenario(wire):
        first = cache.join("a", wire.start)
        await turn()
        first.leave()
        second = cache.join("a", wire.start)
        assert second is not first
        await turn()
        wire.asked[1].set_result(7)
        assert (await landed(second)).value == 7
        cache.invalidate("a")
        third = cache.join("a", wire.start)
        assert cache.cancel_flights() == 1
        assert cache.join("a", wire.start) is not third
        cache.cancel_flights()
        await turn()

    play(scenario)


def test_a_kept_flight_goes_on_without_callers(cache):
    """Whom patience left behind lands in the cache."""

    async def scenario(wire):
        cache.join("a", wire.start).leave(keep=True)
        late = cache.join("a", wire.start)
        late.leave()
        await turn()
        wire.asked[0].set_result(7)
        await turn()
        assert cache.fresh("a").value == 7

    play(scenario)


def test_an_invalidated_flight_is_joined_by_nobody_new(cache):
    """Its own caller gets its reply; who asks later gets a later one, and so does the cache."""

    async def scenario(wire):
        early = asyncio.ensure_future(landed(cache.join("a", wire.start)))
        await turn()
        cache.invalidate("a")
        later = asyncio.ensure_future(landed(cache.join("a", wire.start)))
        await turn()
        wire.asked[1].set_result(2)
        await turn()
        wire.asked[0].set_result(1)
        assert ((await early).value, (await later).value) == (1, 2)
        assert cache.fresh("a").value == 2

    play(scenario)


def test_an_invalidation_before_take_off_counts(cache):
    """A request that has not gone out yet is not the newer one for it."""

    async def scenario(wire):
        early = cache.join("a", wire.start)
        cache.invalidate("a")
        later = cache.join("a", wire.start)
        await turn()
        wire.asked[1].set_result("later")
        await turn()
        wire.asked[0].set_result("early")
        assert (await landed(early)).value == "early"
        assert (await landed(later)).value == "later"
        assert cache.fresh("a").value == "later"

    play(scenario)


def test_a_failed_flight_stores_nothing_and_bothers_nobody_else(cache):
    """Each caller gets the error; the next call flies again."""

    async def scenario(wire):
        calls = [asyncio.ensure_future(landed(cache.join("a", wire.start))) for _ in range(2)]
        await turn()
        wire.asked[0].set_exception(AgentOffline("gone", agent="a"))
        for call in calls:
            with pytest.raises(AgentOffline):
                await call
        assert cache.last_good("a") is None
        flight = cache.join("a", wire.start)
        await turn()
        assert len(wire.asked) == 2
        wire.asked[1].set_exception(AgentOffline("nobody waits for this", agent="a"))
        flight.leave(keep=True)
        await turn()

    play(scenario)


def test_a_failed_flight_ends_freshness(cache):
    """What the newest answer contradicts is served as stale, however young it is."""

    async def scenario(wire):
        put(cache, "a", 1)
        version = cache.version
        call = asyncio.ensure_future(landed(cache.join("a", wire.start)))
        await turn()
        wire.asked[0].set_exception(AgentOffline("gone", agent="a"))
        await asyncio.wait({call})
        assert isinstance(call.exception(), AgentOffline)
        assert not cache.is_fresh("a")
        assert cache.last_good("a").value == 1
        assert cache.version > version

    play(scenario)


def test_a_failure_from_before_an_invalidation_ends_nothing(cache):
    """A newer flight has brought a value since."""

    async def scenario(wire):
        call = asyncio.ensure_future(landed(cache.join("a", wire.start)))
        await turn()
        cache.invalidate("a")
        put(cache, "a", 2)
        wire.asked[0].set_exception(AgentOffline("gone", agent="a"))
        await asyncio.wait({call})
        assert isinstance(call.exception(), AgentOffline)
        assert cache.fresh("a").value == 2

    play(scenario)


def test_cancelling_all_flights_tells_their_callers(cache):
    """A caller whose flight was called back is not cancelled itself."""

    async def scenario(wire):
        call = asyncio.ensure_future(landed(cache.join("a", wire.start), "vps01"))
        await turn()
        assert cache.cancel_flights() == 1
        with pytest.raises(AgentCancelled, match="cancelled before vps01 answered"):
            await call

    play(scenario)
