"""Watch, health and results on a simulated fleet: what they say of what happens."""

from __future__ import annotations

import pytest

import fleetkit as fk
from fleetkit.panels.health_panel import Health
from fleetkit.panels.results_panel import Results
from fleetkit.panels.watch_panel import Watch
from tests.support.driven import Driven


@pytest.fixture
def fleet():
    with fk.demo(accounts=5, seed=7, progress=False) as fleet:
        yield fleet


def words(driven, table, column):
    return {row["agent"]: row[column] for row in driven.table(table)}


def test_refreshing_all_with_one_that_hangs(fleet):
    """Four are done at once, one is seen not to answer; cancelled, it is nobody's."""
    fleet.accounts()
    watch = Driven(fleet, Watch)
    hanging = fleet.demo.agents[0]["name"]
    fleet.demo.faults[hanging] = fk.sim.Faults(hang=True)
    asked = sum(routes.get("accounts", 0) for routes in fleet.demo.requests().values())
    watch.act("all")
    watch.until(lambda: watch.presenter.state.run.done == 4)
    watch.until(
        lambda: any(record.word == "stuck" for record in watch.presenter.state.records.values())
    )
    assert words(watch, "watch", "state")[hanging] == "stuck"
    assert f"{hanging} does not answer" in watch.line("progress")
    assert watch.controls()["cancel"] == {"disabled": False}
    watch.act("cancel")
    assert words(watch, "watch", "state")[hanging] == "cancelled"
    assert "1 cancelled" in watch.line("progress")
    fleet.demo.faults.clear()
    after = sum(routes.get("accounts", 0) for routes in fleet.demo.requests().values())
    assert after - asked == 5


def test_what_a_cell_refreshes_is_watched(fleet):
    """And a failure is said with its sentence."""
    watch = Driven(fleet, Watch)
    watch.until(lambda: watch.core.bus.is_watched)
    account = fleet.demo.agents[1]["account"]
    fleet.accounts()
    fleet.demo.faults[account] = fk.sim.Faults(status_code=500)
    fleet.refresh()
    states = words(watch, "watch", "state")
    assert sorted(states.values()) == ["done"] * 4 + ["failed"]
    (why,) = (row["why"] for row in watch.table("watch") if row["state"] == "failed")
    assert "500" in why


def test_stale_and_chosen_ones_are_refreshed_alone(fleet):
    """Only those that are asked for are read."""
    fleet.accounts()
    watch = Driven(fleet, Watch)
    before = {name: routes.get("accounts", 0) for name, routes in fleet.demo.requests().items()}
    fleet.cache.invalidate(fleet.demo.agents[2]["account"])
    watch.act("stale")
    watch.until(lambda: watch.presenter.state.run is not None and watch.presenter.state.run.is_over)
    watch.act("chosen")
    assert "Choose accounts first" in watch.contents()["problem"]
    watch.select(fleet.demo.agents[3]["account"])
    watch.act("chosen")
    watch.until(lambda: watch.presenter.state.run.number == 2 and watch.presenter.state.run.is_over)
    after = {name: routes.get("accounts", 0) for name, routes in fleet.demo.requests().items()}
    changed = {name for name in after if after[name] != before.get(name, 0)}
    assert changed == {fleet.demo.agents[2]["name"], fleet.demo.agents[3]["name"]}


def test_auto_refresh_goes_on_while_it_is_seen(fleet):
    """The first round begins with the next look."""
    watch = Driven(fleet, Watch)
    watch.act("interval", 2.0)
    watch.act("auto", True)
    watch.until(lambda: watch.presenter.state.run is not None and watch.presenter.state.run.is_over)
    assert "every 2 s" in watch.line("auto")
    watch.act("auto", False)
    assert watch.line("auto") == ""


def test_health_shows_agents_orders_and_what_the_doctor_says(fleet):
    """Latencies as a line of numbers, an agent that is away, the journal, advice."""
    fleet.accounts()
    with fleet.armed(minutes=5, max_volume=1, max_orders=2):
        receipt = fleet.open_position(7100001, "EURUSD", "buy", 0.1)
    health = Driven(fleet, Health)
    broken = fleet.demo.agents[4]
    fleet.demo.faults[broken["account"]] = fk.sim.Faults(refuse=True)
    for _ in range(3):
        fleet.accounts(refresh=True)
    health.run(health.presenter.shown)
    rows = {row["agent"]: row for row in health.table("agents")}
    assert rows[broken["name"]]["status"] == "offline"
    assert rows[broken["name"]]["failures"] >= 1
    healthy = next(row for name, row in rows.items() if name != broken["name"])
    assert (healthy["status"], healthy["http_version"]) == ("online", "HTTP/1.1")
    assert len(healthy["latencies"]) >= 4
    assert "1 offline" in health.line("totals")
    health.run(health.hub.redraw)
    health.until(lambda: health.hub.journal)
    (order,) = health.table("journal")
    assert (order["order_id"], order["outcome"]) == (receipt.order_id, "filled")
    health.act("doctor")
    health.until(lambda: health.presenter._examined.rows)
    found = {row["agent"]: row for row in health.table("doctor")}
    assert found[broken["name"]]["reachable"] is False
    assert found[broken["name"]]["advice"]


def test_reconnecting_takes_two_clicks(fleet):
    """It takes up to a minute and touches terminals."""
    fleet.accounts()
    health = Driven(fleet, Health)
    assert health.controls()["reconnect"]["disabled"]
    health.select(7100001)
    health.act("reconnect")
    assert health.controls()["reconnect"]["description"].startswith("Click again")
    assert fleet.demo.requests()[fleet.demo.agents[0]["name"]].get("refresh", 0) == 0
    health.act("reconnect")
    health.until(lambda: health.presenter._busy is None)
    asked = [routes.get("refresh", 0) for routes in fleet.demo.requests().values()]
    assert sum(asked) == 1


def test_results_are_drawn_from_trades_at_hand(fleet):
    """No request of its own for trades; read, they are a curve, bars and a table that agree."""
    results = Driven(fleet, Results)
    results.until(lambda: results.core.cache_stats().accounts_cached == 5)
    assert all("trade_history" not in routes for routes in fleet.demo.requests().values())
    assert "5 without trades at hand" in results.line("made_of")
    results.select(7100001, 7100002)
    results.act("read_90")
    results.until(
        lambda: results.presenter._drawn is not None and results.presenter._drawn.rows.rows
    )
    shown = results.contents()
    assert "<svg" in shown["balance"].svg
    assert "trades of 2 accounts" in shown["balance"].alt
    trades = fleet.trades([7100001, 7100002], days=90)
    by_symbol = {row["symbol"]: row for row in results.table("symbols")}
    assert set(by_symbol) == set(trades["symbol"])
    assert sum(row["net"] for row in by_symbol.values()) == pytest.approx(trades["net"].sum())
    assert f"{trades['net'].sum():+,.2f}" in results.line("headline")


def test_panels_are_text_in_a_terminal(fleet, capsys):
    """``print`` shows them; so does a cell of plain IPython."""
    fleet.accounts()
    panel = fleet.panel()
    print(panel)  # noqa: T201  # that is what is tried
    shown = capsys.readouterr().out
    assert "READ ONLY" in shown
    assert "5 of 5 live" in shown
    assert "7100003" in shown
    panel._ipython_display_()
    assert "5 of 5 live" in capsys.readouterr().out
    assert "<table" in panel.snapshot()
    panel.close()
