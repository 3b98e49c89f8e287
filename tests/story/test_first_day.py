"""An analyst's first day: a file of agents, frames, labels, an afternoon of trouble."""

from __future__ import annotations

import pytest

import fleetkit as fk
from tests.support.agents import Reply, served
from tests.support.bodies import disconnected_body, position, trade
from tests.support.fake_clock import FakeClock


@pytest.fixture
def agents(nothing_left_behind):
    """Three accounts on three machines, one of them with a position and a past."""
    with served(3) as fleet:
        for agent in fleet:
            agent.account = {**agent.account, "balance": 100_058.0, "prop_firm": "North"}
            agent.trades = [trade(agent.number + 20)]
        fleet[1].positions = [position(11, profit=-4.2)]
        fleet[1].account = {**fleet[1].account, "has_open_position": True}
        yield fleet


@pytest.fixture
def file(agents, tmp_path):
    """The file the analyst wrote: names and addresses, and the broker's zone."""
    path = tmp_path / "fleet.toml"
    tables = [
        f'[[agents]]\nname = "{agent.name}"\nurl = "{agent.url}"\ntime_zone = "Europe/Athens"\n'
        for agent in agents
    ]
    path.write_text("\n".join(tables), encoding="utf-8")
    return path


def test_the_first_day(agents, file):
    """From the first import to the next morning, with nothing lost and nothing silent."""
    clock = FakeClock()
    first, second, third = agents.numbers

    # Morning: who is there, and what do they have? This analyst reconnects terminals by hand.
    by_hand = fk.RecoveryPolicy(enabled=False)
    with fk.connect(file, clock=clock, recovery=by_hand) as fleet:
        assert repr(fleet) == "<Fleet 3 agents, not read yet>"
        assert agents.count() == 0
        accounts = fleet.accounts()
        assert accounts.index.tolist() == [first, second, third]
        assert accounts["balance"].sum() == 300_174.0
        assert accounts["pnl"].tolist() == [58.0] * 3
        assert fleet.positions()[["account", "profit"]].iloc[0].tolist() == [second, -4.2]
        trades = fleet.trades(days=90)
        assert trades.groupby("account")["net"].sum().tolist() == [58.0] * 3
        assert fleet.accounts()["residual"].tolist() == [0.0] * 3
        assert fleet.quote(first, "EURUSD").bid == 1.0861
        assert fleet.doctor()["reachable"].all()

        # Noon: what the analyst says of them costs no request.
        agents.forget_requests()
        fleet.load_labels({first: "F2", second: "WIN"})
        fleet.set_vs_group(first, "left")
        fleet.set_vs_group(third, "left")
        with pytest.raises(fk.LabelError, match="already pairs accounts"):
            fleet.set_vs_group(second, "left")
        accounts = fleet.accounts()
        assert accounts["phase"].tolist() == ["F2", "WIN", "F1"]
        assert accounts["vs_group"].tolist() == ["left", "", "left"]
        assert agents.count() == 0

        # Afternoon: one terminal loses its broker, one machine goes down.
        clock.advance(3600)
        agents[1].always("/accounts", Reply(disconnected_body()))
        agents.run(agents[2].hang_up())
        accounts = fleet.accounts()
        assert accounts["status"].tolist() == ["connected", "disconnected", "offline"]
        assert accounts["source"].tolist() == ["live", "stale", "stale"]
        assert accounts["age_s"].tolist() == [0.0, 3600.0, 3600.0]
        assert accounts["balance"].sum() == 300_174.0
        with pytest.raises(fk.PartialResult) as caught:
            fleet.accounts(strict=True)
        assert caught.value.missing == [second, third]
        assert "Check that the VPS is up" in fleet.doctor()["advice"].iloc[2]

        # Evening: both come back.
        agents.run(agents[2].listen())
        agents[1].heal()
        assert fleet.reconnect(second)["status"].tolist() == ["connected"] * 3
        assert agents[1].count("/refresh") == 1

    # The next morning: labels and accounts are known before anybody is asked.
    agents.forget_requests()
    with fk.connect(file, clock=clock) as fleet:
        assert fleet.agents()["account"].tolist() == [first, second, third]
        assert fleet.labels()["phase"].to_dict() == {first: "F2", second: "WIN", third: "F1"}
        assert agents.count() == 0
        assert fleet.account(first).phase == "F2"
        assert agents.counts() == {"/accounts": 1}
