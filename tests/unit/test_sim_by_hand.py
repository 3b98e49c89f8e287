"""People and brokers at the simulated terminals, and the ground truth of orders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

import fleetkit as fk
from fleetkit.agent.app import Layer
from fleetkit.errors import ConfigError, DemoError
from fleetkit.sim import Faults, SimProcess

FIRST, SECOND = 7_100_001, 7_100_002


@pytest.fixture(params=["base", "extended"])
def demo(request: pytest.FixtureRequest) -> Iterator[SimProcess]:
    """A fleet of each layer."""
    layer: Layer = request.param
    with SimProcess.start(accounts=3, seed=7, layer=layer) as process:
        yield process


def url(demo: SimProcess, account: int) -> str:
    return next(agent["url"] for agent in demo.agents if agent["account"] == account)


def get(demo: SimProcess, account: int, path: str) -> Any:
    return httpx.get(url(demo, account) + path).json()


def tickets(demo: SimProcess, account: int) -> set[int]:
    return {each["ticket"] for each in get(demo, account, "/positions")["positions"]}


def open_position(demo: SimProcess, account: int, **more: Any) -> httpx.Response:
    body = {"symbol": "EURUSD", "lot": 0.2, "order_type": "BUY", **more}
    return httpx.post(url(demo, account) + "/positions/open", json=body)


def close_position(demo: SimProcess, account: int, ticket: int) -> httpx.Response:
    return httpx.post(url(demo, account) + "/positions/close", json={"ticket": ticket})


def test_a_person_opens_and_closes(demo: SimProcess) -> None:
    """The agent shows it, and it is not among what the agent executed."""
    before = tickets(demo, FIRST)
    ticket = demo.persons.open_by_hand(FIRST, "EURUSD", "sell", 0.3)
    assert tickets(demo, FIRST) == before | {ticket}
    demo.persons.close_by_hand(FIRST, ticket)
    assert tickets(demo, FIRST) == before
    assert demo.persons.executed(FIRST) == []
    history = get(demo, FIRST, "/trade-history?days=1")["trades"]
    assert ticket in {trade["position_id"] for trade in history}


def test_money_comes_and_goes(demo: SimProcess) -> None:
    """A deposit, a withdrawal, and a deal that is taken back, move the balance."""
    balance = get(demo, FIRST, "/accounts")["balance"]
    demo.persons.deposit(FIRST, 1_000.5)
    demo.persons.withdraw(FIRST, 0.25)
    assert get(demo, FIRST, "/accounts")["balance"] == pytest.approx(balance + 1_000.25)


def test_a_deal_is_taken_back() -> None:
    """The position that it opened is gone, and the ledger shows why."""
    with SimProcess.start(accounts=3, seed=7, layer="extended") as demo:
        ticket = demo.persons.open_by_hand(FIRST, "EURUSD", "buy", 0.1)
        deals = get(demo, FIRST, "/deals?limit=5000")["deals"]
        (deal,) = [each["ticket"] for each in deals if each["position_id"] == ticket]
        demo.persons.cancel_deal(FIRST, deal)
        assert ticket not in tickets(demo, FIRST)


def test_what_cannot_be_is_a_sentence(demo: SimProcess) -> None:
    """The terminal's own words, or what is allowed."""
    hand = demo.persons
    with pytest.raises(DemoError, match="open_by_hand: Symbol NOSUCH not found"):
        hand.open_by_hand(FIRST, "NOSUCH", "buy", 0.1)
    with pytest.raises(DemoError, match="no account 1 in this fleet"):
        hand.deposit(1, 5.0)
    with pytest.raises(DemoError, match="amount must be at least"):
        hand.deposit(FIRST, -5.0)
    with pytest.raises(DemoError, match="refused close_by_hand"):
        hand.close_by_hand(FIRST, 1)
    with pytest.raises(DemoError, match="refused cancel_deal"):
        hand.cancel_deal(FIRST, 1)
    with pytest.raises(ConfigError, match='"buy" or "sell"'):
        hand.open_by_hand(FIRST, "EURUSD", "long", 0.1)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(KeyError, match="no agent or account"):
        hand.executed(1)


def test_the_ground_truth_of_orders(demo: SimProcess) -> None:
    """What was executed through the order routes, also where the answer lied."""
    ticket = open_position(demo, FIRST, comment="swing").json()["ticket"]
    demo.faults[FIRST] = Faults(lost_answer=True)
    with pytest.raises(httpx.ReadError):
        close_position(demo, FIRST, ticket)
    demo.faults[FIRST] = Faults(retcode=10006)
    assert open_position(demo, FIRST).status_code == 400
    opened, closed = demo.persons.executed(FIRST)
    assert (opened.kind, opened.ticket, opened.symbol, opened.side, opened.volume) == (
        ("open", ticket, "EURUSD", "buy", 0.2)
    )
    assert (closed.kind, closed.ticket, closed.volume) == ("close", ticket, 0.2)
    assert (opened.comment, opened.account, closed.account) == ("swing", FIRST, FIRST)
    assert opened.time < closed.time
    assert demo.persons.executed(demo.agents[0]["name"]) == [opened, closed]
    assert demo.persons.executed(SECOND) == []


def test_orders_go_where_the_terminal_is_logged_in(demo: SimProcess) -> None:
    """A terminal that is logged into another account trades there (T3)."""
    mine, theirs = tickets(demo, FIRST), tickets(demo, SECOND)
    demo.faults[FIRST] = Faults(answers_account=SECOND)
    ticket = open_position(demo, FIRST).json()["ticket"]
    assert tickets(demo, SECOND) == theirs | {ticket}
    (executed,) = demo.persons.executed(FIRST)
    assert (executed.account, executed.ticket) == (SECOND, ticket)
    demo.faults.clear()
    assert tickets(demo, FIRST) == mine


def test_faults_of_trades_on_the_simulated_market(demo: SimProcess) -> None:
    """Partial fills, foreign trades, stops hit and stops in pips, as the broker books them."""
    before = tickets(demo, FIRST)
    demo.faults[FIRST] = Faults(partial_fill=0.5, foreign_trade="identical")
    open_position(demo, FIRST, lot=0.3)
    (ours,) = demo.persons.executed(FIRST)
    rows = {row["ticket"]: row for row in get(demo, FIRST, "/positions")["positions"]}
    (foreign,) = rows.keys() - before - {ours.ticket}
    assert (rows[ours.ticket]["volume"], rows[foreign]["volume"]) == (0.15, 0.3)

    demo.faults[FIRST] = Faults(stop_hit=True)
    hit = open_position(demo, FIRST).json()["ticket"]
    assert hit not in tickets(demo, FIRST)

    demo.faults[FIRST] = Faults(stops_unit="pips")
    reply = open_position(demo, FIRST, sl=50, tp=100)
    assert reply.status_code == 200, reply.text
    book = get(demo, FIRST, "/positions")["positions"]
    (row,) = [each for each in book if each["ticket"] == reply.json()["ticket"]]
    assert row["open_price"] - row["sl"] == pytest.approx(0.0050, abs=0.0005)
    assert row["tp"] - row["open_price"] == pytest.approx(0.0100, abs=0.0005)


def test_late_executions_on_the_simulated_market(demo: SimProcess) -> None:
    """504 first; the position appears by itself."""
    before = tickets(demo, FIRST)
    demo.faults[FIRST] = Faults(late_execution_s=0.2)
    assert open_position(demo, FIRST).status_code == 504
    assert tickets(demo, FIRST) == before
    while not (executed := demo.persons.executed(FIRST)):
        pass
    assert tickets(demo, FIRST) == before | {executed[0].ticket}


def test_all_of_it_from_a_fleet() -> None:
    """`fleet.demo` has it all, and the client sees what happened."""
    with fk.demo(accounts=2) as fleet:
        balance = fleet.accounts().loc[FIRST, "balance"]
        ticket = fleet.demo.open_by_hand(FIRST, "EURUSD", "buy", 0.1)
        assert ticket in fleet.positions(FIRST, refresh=True).index
        fleet.demo.close_by_hand(FIRST, ticket)
        fleet.demo.deposit(FIRST, 10_000)
        fleet.demo.withdraw(FIRST, 1_000)
        assert fleet.accounts(refresh=True).loc[FIRST, "balance"] > balance + 8_000
        assert fleet.demo.executed(FIRST) == []
        with pytest.raises(DemoError, match="cancel_deal"):
            fleet.demo.cancel_deal(FIRST, 1)
