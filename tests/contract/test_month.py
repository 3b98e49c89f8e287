"""A month passes in a moment: the terminals and the client read one clock that the test turns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

import fleetkit as fk
from fleetkit.agent.app import Layer
from tests.support.fake_clock import FakeClock
from tests.support.simulated import Simulated, simulated

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)
MONTH = timedelta(days=30)


def opened(served: Simulated, agent: int, **order: object) -> int:
    """The ticket of a position that an agent was asked to open."""
    body = {"symbol": "EURUSD", "lot": 0.1, "order_type": "BUY", **order}
    reply = httpx.post(f"{served.agents[agent]['url']}/positions/open", json=body)
    assert reply.status_code == 200, reply.text
    return int(reply.json()["ticket"])


@pytest.mark.parametrize("layer", ["base", "extended"])
def test_a_month_of_an_open_position(layer: Layer, tmp_path, nothing_left_behind) -> None:
    """It collects swaps, ages in the cache, and closes into the history of both layers."""
    clock = FakeClock(MONDAY)
    with (
        simulated(3, layer=layer, clock=clock) as served,
        fk.connect(served.agents, home=tmp_path, clock=clock) as fleet,
    ):
        account = served.agents[0]["account"]
        before = fleet.accounts(strict=True)
        ticket = opened(served, 0)
        assert fleet.positions(account).loc[ticket, "swap"] == 0.0
        clock.advance(MONTH.total_seconds())
        held = fleet.positions(account)
        assert held.loc[ticket, "swap"] < -1.0
        assert held.loc[ticket, "open_time"] == MONDAY
        assert fleet.accounts()["source"].tolist() == ["live"] * 3  # the cache is a month old
        reply = httpx.post(f"{served.agents[0]['url']}/positions/close", json={"ticket": ticket})
        assert reply.status_code == 200, reply.text
        clock.advance(5)
        trade = fleet.trades(account, days=40).set_index("position_id").loc[ticket]
        assert trade["exit_time"] - trade["entry_time"] == MONTH
        if layer == "base":
            return
        assert trade["swap"] == held.loc[ticket, "swap"]
        after = fleet.accounts(refresh=True)
        deals = fleet.deals(account, since=MONDAY)
        booked = deals["effect"].sum()
        grown = after.loc[account, "balance"] - before.loc[account, "balance"]
        assert grown == pytest.approx(booked, abs=0.005)
        assert deals["position_id"].eq(ticket).sum() == 2
