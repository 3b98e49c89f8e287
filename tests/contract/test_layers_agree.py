"""Frames of a base and of an extended agent over one terminal, on real sockets.

Where the base is right they are equal in every column that both know; where they differ,
the difference is what the agent API says a base agent gets wrong (T8, T11).
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from fleetkit.sim.fleet import SimFleet
from fleetkit.sim.terminal import SimTerminal
from tests.support.agents import until
from tests.support.both_layers import both_layers
from tests.support.fake_clock import FakeClock
from tests.unit.agent_terminal import ACCOUNT, NOW, PaperTerminal

MONDAY = datetime(2026, 2, 2, 10, 15, tzinfo=UTC)
AHEAD = timedelta(hours=3)
BROKER = "Etc/GMT-3"  # as the zone database writes UTC+3
OF_THE_READING = ["agent", "as_of", "age_s", "source"]
COSTS = ["swap", "fee", "net"]


class AheadTerminal(SimTerminal):
    """A broker whose clock is three hours ahead, as most are."""

    def server_offset(self, moment: datetime) -> timedelta:
        return AHEAD


def sim_terminal(kind: type[SimTerminal], now: datetime) -> SimTerminal:
    fleet = SimFleet(accounts=9, seed=7, clock=FakeClock(now), start=MONDAY)
    made = fleet.terminal(7_100_009)  # two positions are open
    return kind(made.person, fleet._market, fleet._calendar, FakeClock(now))


@pytest.fixture
def frames_of(ending, connect, tmp_path):
    """``frames_of(terminal, now)`` → layer → its fleet, and the agents."""

    def connected(terminal, now, **more):
        layers = ending.enter_context(both_layers(terminal, tmp_path))
        fleets = {
            layer: connect(layers.config(layer, **more), clock=FakeClock(now))
            for layer in ("base", "extended")
        }
        for fleet in fleets.values():
            fleet.accounts()
        until(lambda: "deals" in str(fleets["extended"].agents()["capabilities"].iloc[0]))
        return layers, fleets["base"], fleets["extended"]

    return connected


def known_to_both(old: pd.DataFrame, new: pd.DataFrame) -> list[str]:
    """The columns in which the base agent says something."""
    return [name for name in old if name not in OF_THE_READING and old[name].notna().any()]


def test_each_layer_speaks_its_own_http(frames_of):
    """Plain HTTP/1.1, and HTTP/2 over TLS; what the agents can do is shown."""
    _, base, extended = frames_of(PaperTerminal(), NOW)
    old, new = base.agents().iloc[0], extended.agents().iloc[0]
    assert (old["http_version"], old["capabilities"]) == ("HTTP/1.1", "base")
    assert new["http_version"] == "HTTP/2"
    assert new["connections"] == 1
    http = extended._target.gateways["extended"].link.http
    assert http.tls_expiry is not None
    assert http.tls_expiry.tzinfo is UTC
    assert len(http.lane_waits_s) == http.requests
    assert base._target.gateways["base"].link.http.tls_expiry is None


def test_accounts_and_positions_agree(frames_of):
    """Every column both know; the extended one knows equity and margin on top."""
    terminal = sim_terminal(SimTerminal, MONDAY)
    _, base, extended = frames_of(terminal, MONDAY, time_zone="UTC")
    old, new = base.accounts(), extended.accounts()
    shared = known_to_both(old, new)
    assert {"balance", "initial_balance", "pnl", "has_open_position"} <= set(shared)
    pd.testing.assert_frame_equal(old[shared], new[shared])
    only_new = ["equity", "margin", "margin_free", "currency", "leverage", "server", "credit"]
    assert old[only_new].isna().all().all()
    assert new[only_new].notna().all().all()
    old, new = base.positions(), extended.positions()
    assert len(old) > 0
    shared = known_to_both(old, new)
    assert {"swap", "open_time", "profit"} <= set(shared)
    pd.testing.assert_frame_equal(old[shared], new[shared])


def test_trades_agree_but_for_swap_and_fee(frames_of):
    """A year of them: the same rows, and a net that differs by exactly swap and fee (T11)."""
    terminal = sim_terminal(SimTerminal, MONDAY)
    layers, base, extended = frames_of(terminal, MONDAY, time_zone="UTC")
    old, new = base.trades(days=300), extended.trades(days=300)
    assert len(old) > 50
    shared = [name for name in known_to_both(old, new) if name not in COSTS]
    assert {"entry_time", "exit_time", "volume", "pips", "commission", "profit"} <= set(shared)
    pd.testing.assert_frame_equal(old[shared], new[shared])
    assert old[["swap", "fee"]].isna().all().all()
    assert (new["swap"] != 0).any()
    np.testing.assert_allclose(new["net"], old["net"] + new["swap"] + new["fee"], atol=1e-9)
    assert layers.apps["extended"].encodings == {b"zstd"}
    assert layers.apps["base"].encodings == set()


def test_the_residual_is_what_a_base_agent_does_not_tell(frames_of):
    """With swap and fee known, nothing of the balance is left unexplained."""
    terminal = sim_terminal(SimTerminal, MONDAY)
    _, base, extended = frames_of(terminal, MONDAY, time_zone="UTC")
    told = extended.trades(days=300)[["swap", "fee"]].sum().sum()
    base.trades(days=300)
    assert extended.accounts()["residual"].iloc[0] == pytest.approx(0.0, abs=0.01)
    assert base.accounts()["residual"].iloc[0] == pytest.approx(told, abs=0.01)


def test_the_ledger_explains_the_balance(frames_of):
    """The effect of all deals is the balance; a closing deal is a trade's exit."""
    terminal = sim_terminal(SimTerminal, MONDAY)
    _, _, extended = frames_of(terminal, MONDAY)
    deals = extended.deals(since="2020-01-01")
    assert deals["effect"].sum() == pytest.approx(extended.accounts()["balance"].iloc[0])
    trades = extended.trades(days=300)
    exits = deals[(deals["entry"] == "out") & (deals["position_id"].isin(trades["position_id"]))]
    assert exits["effect"].sum() == pytest.approx(trades["net"].sum())
    assert deals["type"].tolist()[-1] == "balance"


def test_the_newest_trade_is_hidden_from_a_base_agent(frames_of):
    """A broker's clock ahead hides what closed within those hours, and nothing else (T8)."""
    newest = max(trade.exit_time for trade in sim_terminal(SimTerminal, MONDAY).trades)
    now = newest + timedelta(hours=1)
    _, base, extended = frames_of(sim_terminal(AheadTerminal, now), now, time_zone=BROKER)
    old, new = base.trades(days=60), extended.trades(days=60)
    hidden = new[new["exit_time"] > pd.Timestamp(now - AHEAD)]
    assert len(hidden) >= 1
    rest = new.drop(hidden.index).reset_index(drop=True)
    shared = [name for name in known_to_both(old, new) if name not in COSTS]
    pd.testing.assert_frame_equal(old[shared], rest[shared])


def test_partial_closes_are_lost_to_a_base_agent(frames_of):
    """One row of a position instead of two: the newest part's (T11)."""
    terminal = PaperTerminal()
    terminal.close_in_parts()
    _, base, extended = frames_of(terminal, NOW, time_zone=BROKER)
    old, new = base.trades(), extended.trades()
    assert new["volume"].tolist() == [0.3, 0.2]
    assert new["position_id"].tolist() == [5512345, 5512345]
    assert new["net"].sum() == pytest.approx(30.0 + 20.0 - 0.5 - 2 * 1.1)
    shared = [name for name in known_to_both(old, new) if name not in COSTS]
    pd.testing.assert_frame_equal(old[shared], new[shared].head(1))


def test_a_history_and_an_account_share_one_connection(frames_of):
    """HTTP/2 with two lanes: both are at the agent at once, over one connection."""
    terminal = PaperTerminal()
    terminal.close_in_parts()
    layers, _, extended = frames_of(terminal, NOW, lanes=2)
    app = layers.apps["extended"]

    async def hold():
        terminal.hang = asyncio.Event()

    async def let_go():
        terminal.hang.set()
        terminal.hang = None

    layers.run(hold())
    app.most_under_way = []
    with ThreadPoolExecutor(2) as threads:
        calls = [
            threads.submit(extended.trades, refresh=True),
            threads.submit(extended.accounts, refresh=True, patience_s=10),
        ]
        until(lambda: extended.cache.stats() and len(app.under_way) == 2)
        layers.run(let_go())
        trades, accounts = (call.result() for call in calls)
    assert sorted(app.most_under_way) == ["/accounts", "/trade-history"]
    assert len(app.peers) == 1
    row = extended.agents().iloc[0]
    assert (row["connections"], row["http_version"]) == (1, "HTTP/2")
    assert len(trades) == 2
    assert accounts["equity"].tolist() == [100_440.0]
    assert accounts.index.tolist() == [ACCOUNT]
