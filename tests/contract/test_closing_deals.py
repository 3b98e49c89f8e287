"""Trades of extended agents: swap and fee, a row per closing deal, windows by exit."""

from __future__ import annotations

import pytest

import fleetkit as fk
from tests.support.agents import Reply, until
from tests.support.bodies import trade
from tests.support.extended import ExtendedScript, closing, extended_account

FIRST, SECOND = "2026-01-31T10:00:00Z", "2026-02-01T10:00:00Z"


@pytest.fixture
def agent(serve):
    return serve(1)[0]


@pytest.fixture
def script(agent):
    """An extended agent with one position, closed in two equal parts."""
    agent.trades = [closing(21, SECOND, profit=20.0), closing(21, FIRST, profit=10.0)]
    return ExtendedScript(agent)


@pytest.fixture
def fleet(connect, agent, script, clock):
    fleet = connect([agent.config()], clock=clock)
    fleet.accounts()
    until(lambda: fleet.agents()["capabilities"].iloc[0] != "base")
    until(lambda: agent.count("/health") == 1 and fleet.agents()["capabilities"].notna().all())
    return fleet


def test_every_part_is_a_row_with_its_costs(fleet, agent):
    """Volume is what was closed, net has swap and fee in it, and no zone is assumed."""
    agent.trades = [closing(21, SECOND, lot=9.0), *agent.trades[1:]]
    frame = fleet.trades()
    assert frame["position_id"].tolist() == [21, 21]
    assert frame["volume"].tolist() == [0.5, 0.5]
    assert frame["swap"].tolist() == [-1.25] * 2
    assert frame["fee"].tolist() == [-0.5] * 2
    assert frame["net"].tolist() == [61.5 - 3.5 - 1.25 - 0.5, 10.0 - 3.5 - 1.25 - 0.5]
    assert frame["comment"].tolist() == ["in parts"] * 2
    assert frame["order_id"].tolist() == ["B" * 26] * 2
    assert frame.attrs["time_zone_assumed"] == []


def test_only_what_is_wanted_is_asked_for(fleet, script, clock):
    """By exit and with an offset: whoever asks for the same days asks the same question."""
    fleet.trades(days=30)
    assert script.asked("/trade-history")[-1] == {"from_date": "2026-01-02T12:00:00+00:00"}
    fleet.trades(days=900, refresh=True)
    assert script.asked("/trade-history")[-1] == {"from_date": "2023-08-16T12:00:00+00:00"}


def test_an_agent_of_one_capability_alone_is_asked_as_the_base_is(connect, serve, clock):
    """Windows by exit without offsets, or the other way round, are not built on."""
    agents = serve(2)
    for agent, name in zip(agents, ("trade-costs", "utc-times"), strict=True):
        ExtendedScript(agent).names = (name,)
    fleet = connect(agents.config(), clock=clock)
    fleet.accounts()
    until(lambda: fleet.agents()["capabilities"].tolist() == ["trade-costs", "utc-times"])
    fleet.trades()
    assert [dict(agent.requests[-1].query) for agent in agents] == [{"days": "65"}] * 2


def test_parts_stay_parts_however_the_windows_overlap(fleet, agent):
    """A part that a shorter window leaves out is not lost, one seen again is not doubled."""
    fleet.trades()
    agent.trades = agent.trades[:1]
    assert len(fleet.trades(days=1, refresh=True)) == 1
    assert sorted(fleet.trades(days=30)["profit"]) == [10.0, 20.0]
    agent.trades = [closing(21, SECOND, profit=20.0, swap=-9.0), closing(21, FIRST, profit=10.0)]
    frame = fleet.trades(refresh=True)
    assert frame["profit"].tolist() == [20.0, 10.0]
    assert frame["swap"].tolist() == [-9.0, -1.25]


def test_two_parts_that_look_the_same_are_two(fleet, agent):
    """Closed in the same second at the same price: seen once or ten times, two rows."""
    agent.trades = [closing(21, SECOND)] * 2
    for _ in range(3):
        assert len(fleet.trades(refresh=True)) == 2


def test_an_agent_that_changes_its_layer_doubles_no_trade(fleet, agent, script):
    """Extended, then base, then extended again, over one account."""
    assert len(fleet.trades()) == 2
    extended = agent.trades
    script.roll_back()
    # One row of a position, without costs, times without offset: its newest part (T11).
    agent.trades = [trade(21, SECOND[:-1], profit=20.0), trade(22, SECOND[:-1], profit=7.0)]
    fleet.accounts(refresh=True)
    frame = fleet.trades(refresh=True)
    assert sorted(frame["profit"]) == [7.0, 10.0, 20.0]
    assert frame["swap"].sum() == -2.5
    assert frame.attrs["time_zone_assumed"] == [agent.number]
    ExtendedScript(agent)
    agent.trades = [*extended, closing(22, SECOND, profit=7.0)]
    frame = fleet.trades(refresh=True)
    assert sorted(frame["profit"]) == [7.0, 10.0, 20.0]
    assert frame["swap"].notna().all()
    assert frame.attrs["time_zone_assumed"] == []


def test_an_agent_rolled_back_cannot_read_an_offset(fleet, agent, script):
    """It answers 500 (T10); it is asked what it is, and then as a base agent."""
    script.roll_back()
    agent.trades = [trade(23, SECOND[:-1])]

    def old(request):
        if "from_date" in request.query:
            return Reply({"detail": "can't compare offset-naive"}, status=500)
        return agent._figures(request)

    agent.always("/trade-history", old)
    assert fleet.trades()["position_id"].tolist() == [23]
    assert [set(query) for query in script.asked("/trade-history")] == [{"from_date"}, {"days"}]
    assert fleet.agents()["capabilities"].tolist() == ["base"]


def test_a_refusal_of_an_extended_agent_is_no_roll_back(fleet, agent):
    """A 500 of an agent that still is what it was stays an error."""
    agent.always("/trade-history", Reply({"detail": "broken"}, status=500))
    with pytest.raises(fk.PartialResult) as caught:
        fleet.trades()
    assert "HTTP 500: broken" in caught.value.reasons[agent.number]
    assert agent.count("/trade-history") == 1


def test_the_residual_counts_swap_and_fee(fleet, agent):
    """Balance that neither the start nor what trades really brought explains (T11)."""
    net = 20.0 + 10.0 + 2 * (-3.5 - 1.25 - 0.5)
    balance = 100_000.0 + net + 250.0
    agent.account = extended_account(agent.number, balance=balance, days_operating=12)
    fleet.trades()
    assert fleet.accounts(refresh=True)["residual"].tolist() == [pytest.approx(250.0)]
