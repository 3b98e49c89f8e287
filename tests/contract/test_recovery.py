"""A terminal in trouble is made to reconnect: once, politely, and at nobody else's cost."""

from __future__ import annotations

import pytest

import fleetkit as fk
from tests.support.agents import Reply, until
from tests.support.bodies import disconnected_body

FAILING = Reply({"detail": "MT5 not initialized"}, status=500)
TROUBLES = pytest.mark.parametrize(
    "trouble", [FAILING, Reply(disconnected_body())], ids=["failing", "disconnected"]
)


def recovering(fleet):
    """The agents whose terminal is being reconnected."""
    fleet.cache.stats()  # a trip to the loop thread: what was ready to run has run
    gateways = fleet._target.gateways.values()
    return [gateway.name for gateway in gateways if gateway.link.health.recovering]


def quiet(fleet):
    """Wait until no recovery is under way."""
    until(lambda: not recovering(fleet))


@TROUBLES
def test_two_failures_in_a_row_make_one_reconnect_one_pause_one_retry(
    serve, connect, clock, trouble
):
    """Exactly one POST /refresh; after two seconds one GET /accounts; then all is well."""
    agents = serve(2)
    fleet = connect(agents.config(), clock=clock, recovery=fk.RecoveryPolicy())
    fleet.accounts()
    agents[1].always("/accounts", trouble)
    fleet.accounts(refresh=True)
    assert not recovering(fleet)
    fleet.accounts(refresh=True)
    clock.wait_for_sleeper(2.0)
    assert agents[1].count("/refresh") == 1
    assert recovering(fleet) == ["vps01"]
    asked = agents[1].count("/accounts")
    agents[1].heal()

    row = fleet.accounts(refresh=True).iloc[1]
    assert row["source"] == "stale"
    assert "is being reconnected" in row["error"]
    assert agents[1].count("/accounts") == asked

    clock.advance(2)
    quiet(fleet)
    assert agents[1].count("/accounts") == asked + 1
    assert fleet.accounts()["source"].tolist() == ["cache", "cache"]
    assert fleet.agents()["recoveries"].tolist() == [0, 1]
    assert agents.counts()["/refresh"] == 1
    (request,) = (r for r in agents[1].requests if r.path == "/refresh")
    assert (request.method, request.headers.get("Content-Length")) == ("POST", "0")


def test_a_recovery_that_did_not_help_waits_twice_as_long_each_time(serve, connect, clock):
    """/refresh itself succeeds, the account goes on failing: 60, 120, 240 seconds."""
    agents = serve(1)
    agents[0].always("/accounts", FAILING)
    policy = fk.RecoveryPolicy(pause_s=0, budget=100)
    fleet = connect(agents.configured(), clock=clock, recovery=policy)

    def fail_twice():
        for _ in range(2):
            fleet.accounts(refresh=True)
            quiet(fleet)
        return agents[0].count("/refresh")

    assert fail_twice() == 1
    for number, wait_s in enumerate((60, 120, 240), start=1):
        clock.advance(wait_s - 1)
        assert fail_twice() == number
        clock.advance(1)
        assert fail_twice() == number + 1
    assert fleet.agents()["recoveries"].tolist() == [4]


def test_a_recovery_delays_no_other_row(serve, connect):
    """While one terminal takes its minute, the others answer live."""
    agents = serve(3)
    fleet = connect(agents.config(), recovery=fk.RecoveryPolicy(pause_s=0))
    fleet.accounts()
    agents[1].always("/accounts", FAILING)
    hold = agents[1].hold("/refresh")
    fleet.accounts(refresh=True), fleet.accounts(refresh=True)
    hold.wait()
    for _ in range(3):
        assert fleet.accounts(refresh=True)["source"].tolist() == ["live", "stale", "live"]
    assert agents[1].count() == 4
    agents[1].always("/accounts", None)
    hold.release()
    quiet(fleet)
    assert fleet.accounts()["status"].tolist() == ["connected"] * 3


def test_an_agent_nobody_reaches_is_not_recovered(serve, connect):
    """A reconnect could not reach it either; its return is noticed at once."""
    agents = serve(2)
    fleet = connect(agents.config(), recovery=fk.RecoveryPolicy(pause_s=0))
    fleet.accounts()
    agents.run(agents[1].hang_up())
    for _ in range(4):
        row = fleet.accounts(refresh=True).iloc[1]
        assert (row["status"], row["source"]) == ("offline", "stale")
        assert "cannot be reached at http://127.0.0.1" in row["error"]
    assert not recovering(fleet)
    agents.run(agents[1].listen())
    assert fleet.accounts(refresh=True)["status"].tolist() == ["connected"] * 2
    assert agents[1].count("/refresh") == 0
    assert fleet.agents()["recoveries"].tolist() == [0, 0]


def test_a_refused_question_is_no_failure(serve, connect):
    """An unknown symbol, a route the agent is too old for: it is well."""
    agents = serve(1)
    agents[0].always("/positions", Reply({"detail": "Not Found"}, status=404))
    agents[0].always("/quote/NOPE", Reply({"detail": "Symbol NOPE not found"}, status=404))
    fleet = connect(agents.configured(), recovery=fk.RecoveryPolicy(pause_s=0))
    for _ in range(3):
        fleet.positions(strict=False)
        with pytest.raises(fk.AgentRefused, match="Symbol NOPE not found"):
            fleet.quote(agents[0].number, "NOPE")
    quiet(fleet)
    assert agents[0].count("/refresh") == 0
    assert fleet.agents()[["failures", "status"]].iloc[0].tolist() == [0, "online"]


def test_the_budget_is_shared_by_fleets_on_one_store(serve, connect):
    """A broker's outage restarts three terminals of eight, not each of them."""
    agents, others = serve(4), serve(4, first_number=8_100_001)
    policy = fk.RecoveryPolicy(pause_s=0, budget=3)
    fleets = [connect(some.configured(), recovery=policy) for some in (agents, others)]
    for agent in (*agents, *others):
        agent.always("/accounts", FAILING)
    for _ in range(3):
        for fleet in fleets:
            fleet.accounts(refresh=True)
            quiet(fleet)
    assert agents.count("/refresh") + others.count("/refresh") == 3
    assert sum(fleet.agents()["recoveries"].sum() for fleet in fleets) == 3


def test_no_budget_means_no_recovery(serve, connect):
    """And a switched-off recovery neither."""
    for policy in (fk.RecoveryPolicy(budget=0), fk.RecoveryPolicy(enabled=False)):
        agents = serve(1)
        agents[0].always("/accounts", FAILING)
        fleet = connect(agents.configured(), recovery=policy)
        for _ in range(4):
            fleet.accounts(refresh=True)
            quiet(fleet)
        assert agents.count("/refresh") == 0


def test_closing_a_fleet_ends_its_recoveries(serve, connect, clock):
    """The pause is not waited for, and no retry follows."""
    agents = serve(1)
    agents[0].always("/accounts", FAILING)
    fleet = connect(agents.configured(), clock=clock, recovery=fk.RecoveryPolicy())
    fleet.accounts(), fleet.accounts()
    clock.wait_for_sleeper(2.0)
    asked = agents[0].count("/accounts")
    fleet.close()
    clock.advance(5)
    assert agents[0].count("/accounts") == asked
    assert repr(clock).endswith("0 asleep>")
