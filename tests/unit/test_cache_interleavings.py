"""No order of events puts a reply into the cache that is older than an invalidation.

A state machine plays calls, replies, invalidations, clearings, updates, expiry and
cancellations against a real event loop, one turn at a time, and keeps its own books.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from fleetkit.cache import AccountCache
from fleetkit.errors import AgentCancelled, AgentOffline
from fleetkit.gateway import landed
from tests.support.fake_clock import FakeClock

KEYS = ("a", "b")
VARIANTS = (None, "90 days")
TTL_S = 60.0


@dataclass(frozen=True)
class Answer:
    """A value that knows when its request began."""

    key: str
    began: int
    updates: int = 0


@dataclass(eq=False)
class Asked:
    """One request on the wire."""

    key: str
    variant: str | None
    began: int
    reply: asyncio.Future


@dataclass(eq=False)
class Caller:
    key: str
    task: asyncio.Task
    gave_up: bool = False
    called_back: bool = False


class Interleavings(RuleBasedStateMachine):
    callers = Bundle("callers")

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.cache = AccountCache[str, Answer](len(KEYS), TTL_S, self.clock)
        self.now = 0
        self.wire: list[Asked] = []
        self.everyone: list[Caller] = []
        self.invalidated = dict.fromkeys(KEYS, 0)  # when a key's replies were last made void
        self.cleared = dict.fromkeys(KEYS, 0)  # when its last good value was last dropped
        self.stored_at: dict[Answer, float] = {}

    def tick(self) -> int:
        self.now += 1
        return self.now

    async def request(self, key, variant):
        asked = Asked(key, variant, self.tick(), self.loop.create_future())
        self.wire.append(asked)
        try:
            return await asked.reply
        finally:
            self.wire.remove(asked)

    async def turns(self, count):
        for _ in range(count):
            await asyncio.sleep(0)

    @rule(target=callers, key=st.sampled_from(KEYS), variant=st.sampled_from(VARIANTS))
    def call(self, key, variant):
        async def started():
            flight = self.cache.join(key, lambda: self.request(key, variant), variant)
            task = asyncio.ensure_future(landed(flight, key))
            await asyncio.sleep(0)  # a task cancelled before it runs could not leave its flight
            return task

        return self.seated(key, started())

    @rule(target=callers, key=st.sampled_from(KEYS), variant=st.sampled_from(VARIANTS))
    def call_as_another_leaves(self, key, variant):
        def flight():
            return self.cache.join(key, lambda: self.request(key, variant), variant)

        async def started():
            leaving = flight()
            await asyncio.sleep(0)
            leaving.leave()
            task = asyncio.ensure_future(landed(flight(), key))
            await asyncio.sleep(0)
            return task

        return self.seated(key, started())

    def seated(self, key, started):
        caller = Caller(key, self.loop.run_until_complete(started))
        self.everyone.append(caller)
        return caller

    @rule(place=st.integers(0, 9), fails=st.booleans())
    def reply_lands(self, place, fails):
        waiting = [asked for asked in self.wire if not asked.reply.done()]
        if not waiting:
            return
        asked = waiting[place % len(waiting)]
        if fails:
            asked.reply.set_exception(AgentOffline("gone", agent=asked.key))
        else:
            asked.reply.set_result(Answer(asked.key, asked.began))

    @rule(key=st.sampled_from(KEYS))
    def invalidate(self, key):
        self.cache.invalidate(key)
        self.invalidated[key] = self.tick()

    @rule(key=st.sampled_from(KEYS))
    def forget(self, key):
        self.cache.forget(key)
        self.invalidated[key] = self.cleared[key] = self.tick()

    @rule()
    def mark_all_stale(self):
        self.cache.mark_all_stale()
        self.invalidated = dict.fromkeys(KEYS, self.tick())

    @rule()
    def clear(self):
        self.cache.clear()
        self.invalidated = dict.fromkeys(KEYS, self.tick())
        self.cleared = dict(self.invalidated)

    @rule(key=st.sampled_from(KEYS))
    def update(self, key):
        before = self.cache.last_good(key)
        changed = self.cache.update(
            key, lambda value: Answer(value.key, value.began, value.updates + 1)
        )
        assert changed is (before is not None)
        if before is not None:
            after = self.cache.last_good(key)
            assert (after.as_of, after.stamp) == (before.as_of, before.stamp)

    @rule(seconds=st.sampled_from((1.0, 30.0, TTL_S)))
    def time_passes(self, seconds):
        self.clock.advance(seconds)

    @rule(caller=consumes(callers))
    def caller_gives_up(self, caller):
        if not caller.task.done():
            caller.gave_up = True
            caller.task.cancel()

    @rule()
    def cancel_all(self):
        self.cache.cancel_flights()
        for caller in self.everyone:
            caller.called_back = caller.called_back or not caller.task.done()

    @rule(turns=st.integers(1, 4))
    def loop_turns(self, turns):
        self.loop.run_until_complete(self.turns(turns))

    @invariant()
    def nothing_fresh_is_older_than_its_invalidation(self):
        for key in KEYS:
            if self.cache.is_fresh(key):
                entry = self.cache.last_good(key)
                assert entry.value.key == key
                assert entry.value.began > self.invalidated[key]
                assert self.clock.elapsed() - entry.stamp < TTL_S

    @invariant()
    def nothing_remembered_is_older_than_its_clearing(self):
        for key in KEYS:
            entry = self.cache.last_good(key)
            assert entry is None or entry.value.began > self.cleared[key]

    @invariant()
    def one_request_a_key_and_variant(self):
        for key in KEYS:
            for variant in VARIANTS:
                current = [
                    asked
                    for asked in self.wire
                    if (asked.key, asked.variant) == (key, variant)
                    and asked.began > self.invalidated[key]
                    and not asked.reply.done()
                ]
                assert len(current) <= 1

    @invariant()
    def who_waits_is_told_the_truth(self):
        for caller in self.everyone:
            if caller.task.done():
                self.judge(caller)
        self.everyone = [caller for caller in self.everyone if not caller.task.done()]

    def judge(self, caller):
        if caller.task.cancelled():
            assert caller.gave_up
            return
        error = caller.task.exception()
        if isinstance(error, AgentCancelled):
            assert caller.called_back, "cancelled by somebody else's leaving"
        elif error is None:
            assert caller.task.result().value.key == caller.key

    def teardown(self):
        for _ in range(3):
            for asked in self.wire:
                if not asked.reply.done():
                    asked.reply.set_result(Answer(asked.key, asked.began))
            self.loop.run_until_complete(self.turns(4))
        assert all(caller.task.done() for caller in self.everyone)
        self.who_waits_is_told_the_truth()
        self.nothing_fresh_is_older_than_its_invalidation()
        assert not self.wire
        assert "0 in flight" in repr(self.cache)
        self.loop.close()


Interleavings.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, print_blob=True
)
TestInterleavings = Interleavings.TestCase
