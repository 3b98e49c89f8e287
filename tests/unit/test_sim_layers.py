"""One simulated terminal on both layers: what base agents get right, both say alike.

What they get wrong has a name in the agent API. T7: times are wall times without a
zone. T8: a window goes by entry, and hides what closed while the broker's clock was
ahead. T11: swap and fee are absent, and of a position that was closed in parts only
the newest part shows.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

import fleetkit as fk
from fleetkit.agent.app import Layer
from fleetkit.errors import DemoError
from fleetkit.sim.faults import HEALTHY, Faults
from fleetkit.sim.fleet import SimFleet
from fleetkit.sim.process import SimProcess
from fleetkit.sim.seat import ServedAgent
from tests.support.fake_clock import FakeClock

NOW = datetime(2026, 2, 2, 10, 15, tzinfo=UTC)


class Layers:
    """The same terminals behind base and extended agents, at one moment."""

    def __init__(self, faults: Faults = HEALTHY, now: datetime = NOW) -> None:
        self._faults = faults
        self._clock = FakeClock(now)
        self.fleet = SimFleet(accounts=9, seed=7, clock=self._clock, start=NOW)

    def ask(self, layer: Layer, path: str, seat: int = 0, **sent: Any) -> httpx.Response:
        agent = ServedAgent(self.fleet.seats[seat], self.fleet, self._clock, lambda _: None, layer)
        agent.condition.set(self._faults)

        async def scenario() -> httpx.Response:
            transport = httpx.ASGITransport(agent)
            async with httpx.AsyncClient(transport=transport, base_url="http://agent") as client:
                return await client.request(sent.pop("method", "GET"), path, **sent)

        return asyncio.run(scenario())

    def both(self, path: str, seat: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
        old, new = (self.ask(layer, path, seat) for layer in ("base", "extended"))
        assert (old.status_code, new.status_code) == (200, 200)
        return old.json(), new.json()


def common(new: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    """The base layer's fields of an extended record."""
    return {name: new[name] for name in old}


def without_times(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if not name.endswith("_time")}


def test_accounts_agree() -> None:
    """Every base field but the time's spelling is the same; equity and margin come on top."""
    layers = Layers()
    for seat in range(9):
        old, new = layers.both("/accounts", seat)
        assert new.pop("last_updated") == old.pop("last_updated") + "Z"
        assert common(new, old) == old
        assert new["margin_free"] == pytest.approx(new["equity"] - new["margin"], abs=0.005)
        assert set(new) - set(old) >= {"equity", "margin", "currency", "server", "margin_mode"}


def test_trades_agree_where_the_base_is_right() -> None:
    """Over a year every trade is in both, equal but for the spelling of times."""
    layers = Layers()
    for seat in range(9):
        old, new = layers.both("/trade-history?days=365", seat)
        for mine, theirs in zip(new.pop("trades"), old.pop("trades"), strict=True):
            assert without_times(common(mine, theirs)) == without_times(theirs)
            assert mine["entry_time"] == theirs["entry_time"] + "Z"
            assert mine["exit_time"] == theirs["exit_time"] + "Z"
        assert new == old


def test_swap_and_fee_explain_the_balance_on_the_extended_layer_only() -> None:
    """Deposit and extended trades are the balance to the cent; base trades leave T11's rest."""
    layers = Layers()
    rests = []
    for seat in range(9):
        account = layers.ask("base", "/accounts", seat).json()
        old, new = layers.both("/trade-history?days=365", seat)
        earned = account["balance"] - account["initial_balance"]
        whole = ("profit", "commission", "swap", "fee")
        told = sum(trade[name] for trade in new["trades"] for name in whole)
        assert earned == pytest.approx(told, abs=0.005)
        rests.append(earned - old["total_profit"] - old["total_commission"])
    assert any(abs(rest) > 1 for rest in rests)


def test_only_the_extended_layer_shows_what_entered_before_the_window() -> None:
    """A trade that ended within the window but entered before it is missing on base (T8)."""
    layers = Layers()
    missing = 0
    for seat in range(9):
        terminal = layers.fleet.terminal(layers.fleet.seats[seat].account)
        for days in (3, 5, 10):
            old, new = layers.both(f"/trade-history?days={days}", seat)
            since = NOW - timedelta(days=days)
            early = {t.position_id for t in terminal.trades if t.entry_time < since}
            told = [trade["position_id"] for trade in new["trades"]]
            theirs = [trade["position_id"] for trade in old["trades"]]
            assert theirs == [number for number in told if number not in early]
            missing += len(told) - len(theirs)
    assert missing


def test_only_the_base_layer_has_wall_times_and_is_blinded_by_them() -> None:
    """A broker three hours ahead shifts base times (T7) and hides what just closed (T8)."""
    ahead, zone = timedelta(hours=3), timedelta(hours=-5)
    newest = max(
        (trade.exit_time, seat)
        for seat, place in enumerate(Layers().fleet.seats)
        for trade in Layers().fleet.terminal(place.account).trades
    )
    faults = Faults(broker_offset_s=ahead.total_seconds(), zone_offset_s=zone.total_seconds())
    layers = Layers(faults, now=newest[0] + timedelta(hours=1))
    old, new = layers.both("/trade-history?days=30", newest[1])
    told = {trade["position_id"]: trade for trade in new["trades"]}
    assert new["trades"][0]["position_id"] not in {t["position_id"] for t in old["trades"]}
    assert datetime.fromisoformat(new["trades"][0]["exit_time"]) == newest[0]
    for trade in old["trades"]:
        true = datetime.fromisoformat(told[trade["position_id"]]["exit_time"])
        assert datetime.fromisoformat(trade["exit_time"]) == (true + ahead + zone).replace(
            tzinfo=None
        )
    health = layers.ask("extended", "/health").json()
    assert health["server_utc_offset_s"] == ahead.total_seconds()


def test_positions_and_quotes_agree() -> None:
    """Same prices, same profit; only times are spelled another way."""
    layers = Layers()
    for seat in range(9):
        old, new = layers.both("/positions", seat)
        for mine, theirs in zip(new.pop("positions"), old.pop("positions"), strict=True):
            assert without_times(common(mine, theirs)) == without_times(theirs)
        assert new == old
    old, new = layers.both("/quote/EURUSD")
    assert new == {**old, "timestamp": old["timestamp"] + "Z"}


def test_the_ledger_in_pages_is_the_balance() -> None:
    """Followed by its cursor, the deals add up to the account's balance."""
    layers = Layers()
    balance, after, pages = 0.0, 0, 0
    while after is not None:
        page = layers.ask("extended", "/deals", params={"after": after, "limit": 100}).json()
        money = ("profit", "commission", "swap", "fee")
        balance += sum(deal[name] for deal in page["deals"] for name in money)
        after, pages = page["next_after"], pages + 1
    assert pages > 1
    account = layers.ask("extended", "/accounts").json()
    assert balance == pytest.approx(account["balance"], abs=0.005)


@pytest.mark.parametrize("layer", ["base", "extended"])
def test_trades_are_refused_in_the_same_words(layer: Layer) -> None:
    """A definite refusal; the extended layer says MetaTrader's number for it, where it has one."""
    layers = Layers()
    order = {"symbol": "EURUSD", "lot": 0.001, "order_type": "BUY"}
    for method, path, body, words, retcode in (
        ("POST", "/positions/open", order, "Lot size 0.001 below minimum 0.01", 10014),
        ("POST", "/positions/close", {"ticket": 5}, "Position 5 not found", None),
        ("PUT", "/positions/modify", {"ticket": 5, "sl": 1.0}, "Position 5 not found", None),
    ):
        reply = layers.ask(layer, path, method=method, json=body)
        assert reply.status_code == 400
        said = reply.json()
        assert said.pop("detail") == words
        assert said == ({} if layer == "base" else {
            "retcode": retcode, "order_id": None, "order_status": "rejected",
        })  # fmt: skip


def opened(layers: Layers, layer: Layer, **more: Any) -> int:
    """The ticket of a position that an agent of that layer was asked to open."""
    body = {"symbol": "EURUSD", "lot": 0.4, "order_type": "BUY", **more}
    reply = layers.ask(layer, "/positions/open", method="POST", json=body)
    assert reply.status_code == 200, reply.text
    ticket: int = reply.json()["ticket"]
    return ticket


def test_both_layers_see_what_either_traded() -> None:
    """A position of each, with its stops, its price and its money, and neither after a close."""
    layers = Layers()
    bid = layers.ask("base", "/quote/EURUSD").json()["bid"]
    stops = {"sl": round(bid - 0.01, 5), "tp": round(bid + 0.01, 5)}
    tickets = [opened(layers, "base", **stops), opened(layers, "extended", **stops)]
    old, new = layers.both("/positions")
    for mine, theirs in zip(new["positions"], old["positions"], strict=True):
        assert without_times(common(mine, theirs)) == without_times(theirs)
    shown = {each["ticket"]: each for each in old["positions"]}
    assert [shown[ticket]["sl"] for ticket in tickets] == [stops["sl"]] * 2
    for layer, ticket in zip(("base", "extended"), reversed(tickets), strict=True):
        body = {"ticket": ticket, "sl": round(bid - 0.02, 5)}
        changed = layers.ask(layer, "/positions/modify", method="PUT", json=body)
        assert changed.json()["new_sl"] == body["sl"]
        body = {"ticket": ticket, "deviation": 1000}
        closed = layers.ask(layer, "/positions/close", method="POST", json=body)
        assert closed.json()["success"] is True
    old, new = layers.both("/positions")
    assert not {each["ticket"] for each in new["positions"]} & set(tickets)
    old, new = layers.both("/trade-history?days=30")
    assert [t["position_id"] for t in old["trades"][:2]] == tickets
    for mine, theirs in zip(new["trades"], old["trades"], strict=True):
        assert without_times(common(mine, theirs)) == without_times(theirs)


def test_of_a_position_closed_in_parts_the_base_layer_shows_the_newest_part() -> None:
    """One row on base, one for each closing deal on extended; only those explain it (T11)."""
    layers = Layers()
    before = layers.ask("base", "/accounts").json()["balance"]
    ticket = opened(layers, "extended")
    for part in ({"volume": 0.1}, {}):
        body = {"ticket": ticket, "deviation": 1000, **part}
        closed = layers.ask("extended", "/positions/close", method="POST", json=body).json()
        assert closed["order_status"] == "filled"
    earned = layers.ask("base", "/accounts").json()["balance"] - before
    old, new = layers.both("/trade-history?days=30")
    rows = [trade for trade in new["trades"] if trade["position_id"] == ticket]
    (row,) = (trade for trade in old["trades"] if trade["position_id"] == ticket)
    assert [trade["closed_volume"] for trade in rows] == [0.3, 0.1]
    assert {trade["entry_volume"] for trade in rows} == {0.4}
    assert without_times(common(rows[0], row)) == without_times(row)
    whole = sum(trade["profit"] + trade["commission"] for trade in rows)
    assert earned == pytest.approx(whole, abs=0.005)
    assert earned != pytest.approx(row["profit"] + row["commission"], abs=0.005)


def test_faults_work_on_the_extended_layer() -> None:
    """Lies of the terminal and damage on the wire, also where a client likes compression."""
    can = {"headers": {"accept-encoding": "gzip"}}
    said = Layers(Faults(disconnected=True)).ask("extended", "/accounts").json()
    assert (said["status"], said["account_number"], said["login_ok"]) == ("disconnected", 0, False)
    for path in ("/trade-history", "/deals"):
        told = Layers(Faults(empty_history=True)).ask("extended", path).json()
        assert told["trades" if "trade" in path else "deals"] == []
    wrong = Layers(Faults(wrong_types=True)).ask("extended", "/trade-history?days=365", **can)
    assert wrong.json()["trades"][0]["profit"] == "n/a"
    late = Layers(Faults(routes=("deals",), status_code=503)).ask("extended", "/deals")
    assert late.status_code == 503


def test_large_replies_of_healthy_agents_are_compressed() -> None:
    """The extended layer compresses for who can read it; the base layer never does."""
    layers, can = Layers(), {"headers": {"accept-encoding": "gzip"}}
    new = layers.ask("extended", "/trade-history?days=365", **can)
    old = layers.ask("base", "/trade-history?days=365", **can)
    assert new.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in old.headers
    assert len(new.json()["trades"]) == len(old.json()["trades"])


def test_a_fleet_reads_extended_demo_agents() -> None:
    """Frames of both demos agree; what only the extended layer tells is not used yet."""
    with fk.demo(accounts=4, layer="extended") as new, fk.demo(accounts=4) as old:
        figures = ["agent", "status", "balance", "initial_balance", "days_operating"]
        assert new.accounts()[figures].equals(old.accounts()[figures])
        kept = ["account", "position_id", "symbol", "side", "volume", "profit", "pips"]
        mine, theirs = new.trades(days=365), old.trades(days=365)
        assert len(mine) > 200
        assert mine[kept].equals(theirs[kept])
        assert len(new.positions()) == len(old.positions())
        url = new.demo.agents[0]["url"]
        assert httpx.get(f"{url}/health").json()["api"] == "1.1"
        assert "api" not in httpx.get(f"{old.demo.agents[0]['url']}/health").json()


def test_an_unknown_layer_is_refused() -> None:
    """Before anything is started."""
    with pytest.raises(DemoError, match='"base" or "extended"'):
        SimProcess.start(accounts=1, layer="future")  # type: ignore[arg-type]  # the mistake
