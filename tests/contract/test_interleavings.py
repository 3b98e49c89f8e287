"""No reply from before an invalidation is served after it: any order, over real sockets.

Two agents keep each reply back until the test lets it go. A trade changes the truth
of one account and then invalidates it; from there on nobody may be served the old
figure from the cache, neither from the loop thread nor from the published snapshot.
"""

from __future__ import annotations

import tempfile

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import fleetkit as fk
from tests.support.agents import served, until
from tests.support.fake_clock import FakeClock

PLACES = st.sampled_from((0, 1))
MOST_CALLS = 8


class ServedInterleavings(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.serving = served(2)
        self.agents = self.serving.__enter__()
        self.home = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.fleet = fk.connect(
            self.agents.configured(),
            home=self.home.name,
            clock=self.clock,
            recovery=fk.RecoveryPolicy(enabled=False),
        )
        self.core = self.fleet._target
        self.truth = [0, 0]
        for agent in self.agents:
            agent.account = {**agent.account, "balance": 0.0}
        self.gates = [agent.gate("/accounts") for agent in self.agents]
        self.calls = []

    def start(self, work):
        self.calls = [call for call in self.calls if not call.done()]
        if len(self.calls) < MOST_CALLS:
            self.calls.append(self.fleet._loop.submit(work))
            self.settle()

    @rule(refresh=st.booleans())
    def everyone_is_read(self, refresh):
        self.start(lambda: self.core.accounts(refresh=refresh))

    @rule(place=PLACES, refresh=st.booleans())
    def one_is_read(self, place, refresh):
        number = self.agents[place].number
        self.start(lambda: self.core.account(number, refresh=refresh))

    @rule(place=PLACES, read_again=st.booleans())
    def a_trade_changes_an_account(self, place, read_again):
        agent = self.agents[place]
        self.truth[place] += 1
        agent.account = {**agent.account, "balance": float(self.truth[place])}
        self.fleet.cache.invalidate(agent.number)
        if read_again:  # as after every trade: just the account that was touched
            self.one_is_read(place, refresh=False)
            self.a_reply_lands(place)

    @rule(place=PLACES)
    def a_reply_lands(self, place):
        if self.gates[place].waiting:
            self.gates[place].release()
            self.settle()

    @rule()
    def everything_is_cleared(self):
        self.fleet.cache.clear()

    @rule(place=PLACES)
    def a_name_is_updated(self, place):
        if self.core.caches.accounts.last_good(self.agents[place].name) is not None:
            self.fleet.cache.update(self.agents[place].number, "name", "renamed")

    @rule(place=PLACES, phase=st.sampled_from(("F1", "F2")))
    def a_label_is_set(self, place, phase):
        self.fleet.set_phase(self.agents[place].number, phase)

    @rule(seconds=st.sampled_from((1.0, 59.0)))
    def time_passes(self, seconds):
        self.clock.advance(seconds)

    def settle(self):
        """Wait until every request under way has reached its agent and waits there."""

        def settled():
            self.fleet.cache.stats()  # a trip to the loop thread: what was ready to run has run
            lanes = [gateway.link.http.lane for gateway in self.core.gateways.values()]
            return [lane.held for lane in lanes] == [len(gate.waiting) for gate in self.gates]

        until(settled)

    @invariant()
    def nothing_old_is_served_from_the_cache(self):
        for place, agent in enumerate(self.agents):
            if self.core.caches.accounts.is_fresh(agent.name):
                entry = self.core.caches.accounts.last_good(agent.name)
                assert entry.value.balance == self.truth[place]
        published = self.core.published()
        if published is not None:
            assert published["balance"].tolist() == self.truth
            assert set(published["source"]) == {"cache"}
            assert published["age_s"].max() < 60

    def teardown(self):
        for agent in self.agents:
            agent.heal()
        for call in self.calls:
            call.result(10)
        frame = self.fleet.accounts()
        assert frame["balance"].tolist() == self.truth
        self.fleet.close()
        self.home.cleanup()
        self.serving.__exit__(None, None, None)


ServedInterleavings.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, print_blob=True
)
TestServedInterleavings = ServedInterleavings.TestCase


def test_a_row_from_before_a_trade_is_its_own_callers_only(serve, connect):
    """A slow neighbour holds up a whole reading; the trade and its re-reading overtake it."""
    agents = serve(2)
    fleet = connect(agents.configured())
    quick, slow = agents
    hold = slow.hold("/accounts")
    whole = fleet._loop.submit(fleet._target.accounts)
    hold.wait()
    until(lambda: fleet.cache.stats().accounts_cached == 1)
    before = quick.account["balance"]
    quick.account = {**quick.account, "balance": before + 50}
    fleet.cache.invalidate(quick.number)
    assert fleet.account(quick.number).balance == before + 50
    hold.release()
    assert whole.result(10)["balance"].iloc[0] == before
    for _ in range(3):
        assert fleet.accounts()["balance"].iloc[0] == before + 50
    assert agents.count() == 3
