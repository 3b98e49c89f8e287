"""What keeps an order back, and what closing, renaming or a lost lane leave of it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import fleetkit as fk
from fleetkit import store
from fleetkit.sim import Faults
from tests.support.agents import Reply, ScriptedAgent, served
from tests.support.bodies import position, positions_body

ACCOUNT = 7100001
UNCLEAR = Reply({"detail": "Exception: boom"}, status=400)


@pytest.fixture
def agent() -> Iterator[ScriptedAgent]:
    """A base agent with one open position."""
    with served() as fleet:
        fleet[0].positions = [position(11)]
        yield fleet[0]


@pytest.fixture
def demo() -> Iterator[Any]:
    """Three simulated accounts."""
    with fk.demo(accounts=3, seed=7, progress=False) as fleet:
        yield fleet


def connect(agent: ScriptedAgent, **more: object) -> fk.Fleet:
    fields = {"account": agent.number, "margin_mode": "hedging", "stops_unit": "price"} | more
    return fk.connect([agent.config(**fields)])


def unclear_order(fleet: fk.Fleet, agent: ScriptedAgent) -> fk.Receipt:
    """An order of which the agent does not say what became of it."""
    agent.then("/positions/open", UNCLEAR)
    with fleet.armed(minutes=5, max_volume=1.0, max_orders=4):
        receipt = fleet.open_position(agent.number, "EURUSD", "buy", 0.1)
    assert receipt.outcome is fk.Outcome.UNKNOWN
    return receipt


def test_an_arming_that_ends_before_the_first_byte_keeps_the_order_back(demo: Any) -> None:
    """What admitted an order must still be live when it is sent."""
    core = demo._target
    with demo.armed(minutes=5, max_volume=1.0, max_orders=4):
        receipt = demo.open_position(ACCOUNT, "EURUSD", "buy", 0.1)
        record = core.store.orders.run_blocking(lambda c: store.order(c, receipt.order_id))
        assert demo._loop.blocking(lambda: core.desk.office.stopped(record)) is None
    why = demo._loop.blocking(lambda: core.desk.office.stopped(record))
    assert why == "its arming ended meanwhile"


def test_closing_a_fleet_ends_its_arming(agent: ScriptedAgent) -> None:
    """Leaving the block afterwards raises nothing, and the next fleet may not open."""
    with connect(agent) as fleet, fleet.armed(minutes=5, max_volume=1.0, max_orders=4):
        fleet.close()
    with connect(agent) as fleet:
        receipt = fleet.open_position(agent.number, "EURUSD", "buy", 0.1)
    assert receipt.outcome is fk.Outcome.NOT_SENT
    assert "not armed" in receipt.reason


def test_one_order_of_a_list_that_breaks_keeps_no_receipt_from_the_others(demo: Any) -> None:
    """Its row says why, and its account is among the missing."""
    with demo.armed(minutes=5, max_volume=9.0, max_orders=9):
        first = demo.open_position(ACCOUNT, "EURUSD", "buy", 0.1)
        wishes = [
            {"account": ACCOUNT + 1, "symbol": "EURUSD", "side": "buy", "volume": 0.1},
            {
                "account": ACCOUNT + 2,
                "symbol": "EURUSD",
                "side": "buy",
                "volume": 0.1,
                "order_id": first.order_id,
            },
        ]
        receipts = demo.open_positions(wishes)
    assert receipts["outcome"].tolist() == ["filled", "not_sent"]
    assert "another order" in receipts["reason"].iloc[1]
    assert receipts.attrs["missing"] == [ACCOUNT + 2]


def test_an_empty_list_where_positions_were_seen_is_named(demo: Any) -> None:
    """Nothing was closed, and nobody is told that there was nothing to close (T2)."""
    held = int(demo.positions()["account"].iloc[0])
    demo.demo.faults[held] = Faults(routes=("positions",), empty_positions="right")
    demo.cache.invalidate(held)
    closed = demo.close_all(held)
    assert closed.empty
    assert closed.attrs["missing"] == [held]


def test_no_terminal_is_reconnected_under_an_order_of_another_kernel(
    agent: ScriptedAgent,
) -> None:
    """What the other does not know yet would be harder to find out."""
    with connect(agent) as fleet:
        unclear_order(fleet, agent)
    agent.heal()
    for path in ("/positions", "/accounts", "/trade-history"):
        agent.always(path, Reply({"detail": "boom"}, status=500))
    with connect(agent) as fleet:
        core = fleet._target
        (gateway,) = core.gateways.values()
        asked = gateway.link.is_traded
        assert asked is not None
        assert fleet._loop.blocking(asked) is True
        assert fleet._loop.blocking(gateway.link._may_recover) is False


def test_an_agent_by_another_name_settles_what_it_was_sent(agent: ScriptedAgent) -> None:
    """The account says whose order it is, not what a config calls its agent today."""
    with connect(agent) as fleet:
        order = unclear_order(fleet, agent)
    with connect(agent, name="renamed") as fleet:
        settled = fleet.resolve(order.order_id, executed=False)
    assert settled.outcome is fk.Outcome.NOT_EXECUTED
    assert settled.evidence is fk.Evidence.PERSON


def test_that_a_lock_was_overridden_is_journalled(agent: ScriptedAgent) -> None:
    """In the event that lets the order in, whatever came of it."""
    with connect(agent) as fleet:
        unclear_order(fleet, agent)
        with fleet.armed(minutes=5, max_volume=1.0, max_orders=4):
            kept = fleet.open_position(agent.number, "EURUSD", "buy", 0.1)
            over = fleet.open_position(agent.number, "EURUSD", "buy", 0.1, override=True)
        journal = fleet._target.store.orders
        first = journal.run_blocking(lambda c: store.events(c, over.order_id))[0]
    assert kept.outcome is fk.Outcome.NOT_SENT
    assert (first.state, first.facts.reason) == (
        "intended",
        "override=True: no unknown order was to keep it back.",
    )


def test_a_close_knows_its_symbol_from_the_look_before_it(agent: ScriptedAgent) -> None:
    """Or it would be a rival of every order on a netting account, whatever its symbol."""
    agent.then("/positions/close", Reply({"success": True, "ticket": 11, "message": ""}))
    with connect(agent) as fleet:
        receipt = fleet.close_position(agent.number, 11)
        row = fleet.orders().loc[receipt.order_id]
    assert (row["symbol"], row["side"]) == ("EURUSD", "sell")


def test_an_empty_list_of_an_account_that_says_it_holds_one_is_named(agent: ScriptedAgent) -> None:
    """Also where nothing was ever read of it: whoever closes all may do so first thing."""
    agent.always("/positions", Reply(positions_body(agent.number, [])))
    agent.account["has_open_position"] = True
    with connect(agent) as fleet:
        closed = fleet.close_all()
    assert closed.empty
    assert closed.attrs["missing"] == [agent.number]


def test_an_agent_that_hangs_keeps_nobody_elses_position_open() -> None:
    """What can be closed is closed while the other is still waited for."""
    with served(2) as agents, ThreadPoolExecutor(1) as pool:
        stuck, well = agents.agents
        read = stuck.hold("/positions")
        well.positions = [position(11)]
        close = well.hold("/positions/close", Reply({"success": True, "ticket": 11, "message": ""}))
        configs = agents.configured(margin_mode="hedging", stops_unit="price")
        with fk.connect(configs) as fleet:
            closing = pool.submit(fleet.close_all)
            close.wait()
            close.release()
            read.release()
            assert closing.result(10)["account"].tolist() == [well.number]


def test_an_order_of_a_list_that_never_began_was_not_sent(demo: Any) -> None:
    """It is no unknown order: there is nothing in the journal that anybody could settle."""
    demo._target.store.orders.close()
    wish = {"account": ACCOUNT, "symbol": "EURUSD", "side": "buy", "volume": 0.1}
    (outcome,) = demo.open_positions([{**wish, "order_id": "A" * 26}])["outcome"]
    assert outcome == "not_sent"


def test_what_cannot_be_written_down_is_not_told(demo: Any) -> None:
    """Not even that nothing was sent; the sentence says why."""
    demo._target.store.orders.close()
    wish = {"account": ACCOUNT, "symbol": "EURUSD", "side": "buy", "volume": 0.1}
    (row,) = demo.open_positions([wish]).to_dict("records")
    assert row["outcome"] == "unknown"
    assert "cannot be written down" in row["reason"]


def test_each_step_of_an_order_is_an_event(demo: Any) -> None:
    """In the journal's words, for whoever shows what goes on."""
    heard: list[tuple[str, object]] = []

    def hear(event: object) -> None:
        if isinstance(event, fk.events.OrderStep):
            heard.append((event.step, event.outcome))

    demo._target.bus.subscribe(hear)
    with demo.armed(minutes=5, max_volume=1.0, max_orders=4):
        demo.open_position(ACCOUNT, "EURUSD", "buy", 0.1)
    assert heard[:2] == [("intended", None), ("outcome", fk.Outcome.FILLED)]


def test_the_last_order_of_an_arming_is_sent(demo: Any) -> None:
    """Limits that are used up by this very order do not keep it back."""
    with demo.armed(minutes=5, max_volume=0.1, max_orders=1):
        assert demo.open_position(ACCOUNT, "EURUSD", "buy", 0.1).outcome is fk.Outcome.FILLED
        assert demo.open_position(ACCOUNT, "EURUSD", "buy", 0.1).outcome is fk.Outcome.NOT_SENT
