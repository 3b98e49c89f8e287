"""What must not happen to orders when store, agents, clocks and callers misbehave at once."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

import fleetkit as fk
from fleetkit import store
from fleetkit.cells import CellCall
from fleetkit.clock import SystemClock
from fleetkit.desk import journal, looks
from fleetkit.model import Position, Side
from fleetkit.orders.records import Settlement
from fleetkit.progress import Tally
from fleetkit.sim import Faults, Latency
from fleetkit.sim.process import SimProcess
from fleetkit.trading import Outcome
from tests.support.one_agent import until
from tests.support.raw_server import BOUND_S, Exchange, RawServer, base_agent

ACCOUNT = 7100001
CLOSED = 10018  # the market is


@pytest.fixture
def fleet() -> Iterator[Any]:
    """Two simulated accounts, armed."""
    with (
        fk.demo(accounts=2, seed=7) as fleet,
        fleet.armed(minutes=5, max_volume=9.0, max_orders=50),
    ):
        yield fleet


def in_cell(fleet: Any, run: int, work: Callable[[Any], Any]) -> Any:
    """What a call of one cell returns in its `run`-th execution."""
    tally = Tally(cell=CellCall("cell", f"message {run}", 0))
    return fleet._loop.blocking(lambda: work(fleet._target), tally)


def beside(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Run a call on a thread of its own."""
    ended: list[Any] = []

    def run() -> None:
        try:
            ended.append(work())
        except Exception as error:  # noqa: BLE001  # the test looks at it
            ended.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, ended


def wish(account: int, **more: Any) -> dict[str, Any]:
    return {"account": account, "symbol": "EURUSD", "side": "buy", "volume": 0.1, **more}


def sending(fleet: Any) -> tuple[threading.Event, list[str]]:
    """When the first byte may have gone, and of which order."""
    sent, ids = threading.Event(), []

    def hear(event: object) -> None:
        if isinstance(event, fk.events.OrderSent):
            ids.append(event.order_id)
            sent.set()

    fleet._target.bus.subscribe(hear)
    return sent, ids


def test_again_sends_what_the_cell_has_sent_before(fleet: Any) -> None:
    """And without it the cell only replays."""
    first = in_cell(fleet, 1, lambda core: core.open_position(**wish(ACCOUNT)))
    second = in_cell(fleet, 2, lambda core: core.open_position(**wish(ACCOUNT)))
    third = in_cell(fleet, 3, lambda core: core.open_position(**wish(ACCOUNT, again=True)))
    assert (second.order_id, second.replayed) == (first.order_id, True)
    assert (third.outcome, third.replayed) == ("filled", False)
    assert len(fleet.demo.executed(ACCOUNT)) == 2


def test_a_cell_closes_what_it_could_not_close_before(fleet: Any) -> None:
    """A close that was refused is no reason not to close; one that was executed is."""
    ticket = fleet.open_position(**wish(ACCOUNT)).ticket
    fleet.demo.faults[ACCOUNT] = Faults(routes=("close",), retcode=CLOSED)
    assert (
        in_cell(fleet, 1, lambda core: core.close_position(ACCOUNT, ticket)).outcome == "rejected"
    )
    fleet.demo.faults[ACCOUNT] = Faults()
    closed = in_cell(fleet, 2, lambda core: core.close_position(ACCOUNT, ticket))
    again = in_cell(fleet, 3, lambda core: core.close_position(ACCOUNT, ticket))
    assert (closed.outcome, again.order_id) == ("filled", closed.order_id)


def test_a_list_in_another_order_sends_nothing_twice(fleet: Any) -> None:
    """A frame that is sorted by balance gives its accounts in another order each time."""
    other = ACCOUNT + 1
    wishes = [wish(ACCOUNT), wish(other)]
    in_cell(fleet, 1, lambda core: core.open_positions(wishes))
    in_cell(fleet, 2, lambda core: core.open_positions(wishes[::-1]))
    assert [len(fleet.demo.executed(each)) for each in (ACCOUNT, other)] == [1, 1]


def test_equal_orders_of_one_list_are_all_sent(fleet: Any) -> None:
    """Once each, however often the cell is run."""
    for run in (1, 2):
        in_cell(fleet, run, lambda core: core.open_positions([wish(ACCOUNT)] * 3))
    assert len(fleet.demo.executed(ACCOUNT)) == 3


def test_an_id_never_tells_of_another_order(fleet: Any) -> None:
    """A close under an open's id is not "filled"."""
    taken = "A" * 26
    assert fleet.open_position(**wish(ACCOUNT, order_id=taken)).outcome == "filled"
    assert fleet.open_position(**wish(ACCOUNT, order_id=taken)).replayed
    with pytest.raises(fk.UsageError, match="another order"):
        fleet.close_position(ACCOUNT, 99, order_id=taken)
    with pytest.raises(fk.UsageError, match="another order"):
        fleet.open_position(**wish(ACCOUNT + 1, order_id=taken))


def test_one_id_twice_in_a_list_is_one_order(fleet: Any) -> None:
    """And nothing goes on in the background."""
    frame = fleet.open_positions([wish(ACCOUNT, order_id="B" * 26)] * 2)
    assert sorted(frame["replayed"]) == [False, True]
    assert len(fleet.demo.executed(ACCOUNT)) == 1
    assert fleet.reconcile().empty


def test_a_list_with_an_unknown_account_sends_nothing(fleet: Any) -> None:
    """What is raised is raised before anything is done."""
    with pytest.raises(fk.UnknownAccount):
        fleet.open_positions([wish(ACCOUNT), wish(9999999)])
    assert fleet.orders().empty


def test_an_answer_is_written_down_once_the_journal_is_free_again(fleet: Any) -> None:
    """Also where the lease could not be given back under the lock."""
    fleet.demo.faults[ACCOUNT] = Faults(routes=("open",), latency=Latency(low_ms=500.0))
    sent, ids = sending(fleet)
    thread, ended = beside(lambda: fleet.open_position(**wish(ACCOUNT)))
    assert sent.wait(BOUND_S)
    locks = sqlite3.connect(fleet._target.store.orders.path, isolation_level=None)
    locks.execute("BEGIN IMMEDIATE")
    thread.join(3 * BOUND_S)
    locks.execute("ROLLBACK")
    locks.close()
    assert isinstance(ended[0], fk.errors.StoreError)
    fleet.reconcile(wait_s=BOUND_S)
    assert fleet.orders().loc[ids[0], "outcome"] == "filled"


def test_an_answer_stands_where_another_kernel_wrote_that_it_does_not_know(fleet: Any) -> None:
    """It took the account over while this one was stopped; nobody waits for ever."""
    fleet.demo.faults[ACCOUNT] = Faults(routes=("open",), latency=Latency(low_ms=800.0))
    sent, ids = sending(fleet)
    thread, ended = beside(lambda: fleet.open_position(**wish(ACCOUNT)))
    assert sent.wait(BOUND_S)
    facts = journal.facts_of(Settlement(outcome=Outcome.UNKNOWN, reason="taken over"))
    fleet._target.store.orders.run_blocking(
        lambda connection: store.append_event(
            connection, ids[0], expected=1, state="outcome", at_s=0.0, owner="other", facts=facts
        )
    )
    thread.join(BOUND_S)
    assert [receipt.outcome for receipt in ended] == ["filled"]
    assert fleet.orders().loc[ids[0], "outcome"] == "filled"


def test_an_account_full_of_positions_is_closed_whole(fleet: Any) -> None:
    """Orders of one account wait for each other as long as that takes."""
    for _ in range(9):
        fleet.demo.open_by_hand(ACCOUNT, "EURUSD", "buy", 0.1)
    fleet.demo.faults[ACCOUNT] = Faults(latency=Latency(low_ms=150.0))
    frame = fleet.close_all(ACCOUNT)
    assert set(frame["outcome"]) == {"filled"}


def test_a_quote_of_another_symbol_opens_nothing() -> None:
    """An agent that mixes its answers up must not choose what is traded."""

    async def mixed_up(exchange: Exchange) -> None:
        if exchange.request.path == "/quote/EURUSD":
            await exchange.reply({"symbol": "GBPUSD", "bid": 1.1, "ask": 1.1002})
        else:
            await base_agent(exchange)

    with RawServer(mixed_up) as server:
        agents = server.agents(account=ACCOUNT, margin_mode="hedging")
        with fk.connect(agents) as fleet, fleet.armed(minutes=5, max_volume=1.0, max_orders=4):
            receipt = fleet.open_position(**wish(ACCOUNT))
        assert receipt.outcome == "not_sent"
        assert "answered about GBPUSD" in receipt.reason
        assert "/positions/open" not in server.paths


def test_a_listed_volume_is_read_as_it_was_meant() -> None:
    """Or 0.3 lots that a terminal added up would look like somebody else's."""
    position = Position(
        ticket=8,
        account=ACCOUNT,
        symbol="EURUSD",
        side=Side.BUY,
        volume=0.1 + 0.2,
        open_time=None,
        open_price=1.1,
        current_price=1.1,
        sl=None,
        tp=None,
        profit=0.0,
        swap=0.0,
        commission=0.0,
        magic=None,
        comment=None,
        order_id=None,
    )
    assert looks.seen_position(position).volume == Decimal("0.3")


class SleepyClock(SystemClock):
    """The real clock of a machine that slept for a while."""

    slept_s = 0.0
    told_s = 0.0

    def elapsed(self) -> float:
        return super().elapsed() + self.slept_s

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.slept_s)

    def jump(self) -> float:
        return self.slept_s - self.told_s

    def take_jump(self) -> float:
        gone = self.jump()
        self.told_s = self.slept_s
        return gone


@pytest.fixture
def sleepy() -> Iterator[tuple[Any, SleepyClock, SimProcess]]:
    """A fleet of one account with an open position, whose clock can be made to jump."""
    clock = SleepyClock()
    process = SimProcess.start(accounts=1, seed=7)
    try:
        agents = [dict(agent, time_zone="UTC", stops_unit="price") for agent in process.agents]
        with fk.connect(agents, clock=clock) as fleet:
            process.persons.open_by_hand(ACCOUNT, "USDJPY", "buy", 0.1)
            yield fleet, clock, process
    finally:
        process.stop()


def test_a_jump_of_the_clock_is_no_grace(sleepy: tuple[Any, SleepyClock, SimProcess]) -> None:
    """An order that a terminal still holds is not called absent."""
    fleet, clock, process = sleepy
    process.faults[ACCOUNT] = Faults(routes=("open",), late_execution_s=3600.0)
    with fleet.armed(minutes=60, max_volume=1.0, max_orders=4):
        receipt = fleet.open_position(**wish(ACCOUNT))
    assert receipt.outcome == "unknown"
    reads = process.requests()["vps01-a1"]["trade_history"]
    for gone_s in (0.0, 600.0):
        clock.slept_s += gone_s
        fleet.reconcile(wait_s=1.5)
    assert process.requests()["vps01-a1"]["trade_history"] > reads + 1
    assert fleet.orders().loc[receipt.order_id, "outcome"] == "unknown"


def test_a_jump_of_the_clock_disarms(sleepy: tuple[Any, SleepyClock, SimProcess]) -> None:
    """And whoever arms again afterwards may trade."""
    fleet, clock, _ = sleepy
    limits = {"minutes": 60, "max_volume": 1.0, "max_orders": 4}
    with fleet.armed(**limits):
        clock.slept_s += 600.0
        assert fleet.open_position(**wish(ACCOUNT)).outcome == "not_sent"
    with fleet.armed(**limits):
        clock.slept_s += 600.0
    with fleet.armed(**limits):
        assert fleet.open_position(**wish(ACCOUNT)).outcome == "filled"


def test_a_plan_is_sent_once(fleet: Any) -> None:
    """A second call is refused instead of doubling the positions."""
    plan = fleet.plan([wish(ACCOUNT)])
    plan.execute()
    with pytest.raises(fk.UsageError, match="sent already"):
        plan.execute()
    assert len(fleet.demo.executed(ACCOUNT)) == 1


@pytest.mark.parametrize(
    ("given", "meant"),
    [(1.0 - 0.9, "0.1"), (0.3 - 0.1, "0.2"), (np.float32(0.7), "0.7"), ("0.50", "0.5"), (2, "2")],
)
def test_a_volume_is_what_was_meant(fleet: Any, given: object, meant: str) -> None:
    """Rounded down from binary noise it would be a step less."""
    receipt = fleet.open_position(**wish(ACCOUNT, volume=given))
    assert (receipt.outcome, receipt.volume) == ("filled", Decimal(meant))


@pytest.mark.parametrize("volume", ["0,5", "1e-999999", "1e999999", float("nan"), -1, True, None])
def test_a_volume_that_makes_no_sense_meets_a_sentence(fleet: Any, volume: object) -> None:
    """Before anything is done."""
    with pytest.raises(fk.UsageError, match="`volume` is a number above 0"):
        fleet.open_position(**wish(ACCOUNT, volume=volume))
    assert fleet.orders().empty


def test_names_and_tickets_that_no_agent_can_have_meet_a_sentence(fleet: Any) -> None:
    """And no error of a library below."""
    with pytest.raises(fk.UsageError, match="ticket"):
        fleet.close_position(ACCOUNT, 2**64)
    with pytest.raises(fk.UsageError, match="symbol"):
        fleet.open_position(**wish(ACCOUNT, symbol="EUR\ud800"))


def test_a_policy_does_not_take_an_empty_list_for_a_flat_account() -> None:
    """A failing terminal looks the same (T2)."""
    process = SimProcess.start(accounts=1, seed=7)
    try:
        agents = [dict(agent, time_zone="UTC", stops_unit="price") for agent in process.agents]
        with fk.connect(agents, policies=[{"hedging": "forbidden"}]) as fleet:
            process.persons.open_by_hand(ACCOUNT, "EURUSD", "sell", 0.4)
            fleet.positions()
            process.faults[ACCOUNT] = Faults(empty_positions="right")
            with fleet.armed(minutes=5, max_volume=1.0, max_orders=4):
                receipt = fleet.open_position(**wish(ACCOUNT))
        assert receipt.outcome == "not_sent"
        assert "forbids hedging" in receipt.reason
    finally:
        process.stop()


def unsure(hold: threading.Event) -> Callable[[Exchange], Any]:
    """A base agent whose opens end, when told to, in words that prove nothing."""

    async def script(exchange: Exchange) -> None:
        if exchange.request.path == "/positions/open":
            await exchange.until(hold)
            await exchange.reply({"detail": "order_send failed: None"}, status=400)
        elif exchange.request.path == "/quote/EURUSD":
            await exchange.reply({"symbol": "EURUSD", "bid": 1.1, "ask": 1.1002, "point": 0.00001})
        else:
            await base_agent(exchange)

    return script


def test_reconciling_does_not_take_up_an_order_that_is_being_sent() -> None:
    """One order has one life here."""
    hold = threading.Event()
    with RawServer(unsure(hold)) as server:
        agents = server.agents(account=ACCOUNT, margin_mode="hedging")
        with fk.connect(agents) as fleet, fleet.armed(minutes=5, max_volume=1.0, max_orders=4):
            thread, ended = beside(lambda: fleet.open_position(**wish(ACCOUNT)))
            server.wait(lambda seen: any(r.path == "/positions/open" for r in seen.requests))
            fleet.reconcile()
            link = fleet._target.gateways["a0"].link
            assert link.open_orders == 1
            hold.set()
            thread.join(BOUND_S)
            assert [receipt.outcome for receipt in ended] == ["unknown"]
            fleet.reconcile()
            assert link.open_orders == 1


def test_a_person_settles_an_order_though_nobody_waits_for_it() -> None:
    """An interrupt stops the waiting and leaves nothing half-way."""
    hold = threading.Event()
    hold.set()
    with RawServer(unsure(hold)) as server:
        agents = server.agents(account=ACCOUNT, margin_mode="hedging")
        with fk.connect(agents) as fleet, fleet.armed(minutes=5, max_volume=1.0, max_orders=4):
            order_id = fleet.open_position(**wish(ACCOUNT)).order_id
            core, gone = fleet._target, []

            async def interrupted() -> None:
                task = asyncio.ensure_future(core.resolve(order_id, False))
                await until(lambda: core.desk._lives[order_id].state.pending)
                task.cancel()
                gone.extend(await asyncio.gather(task, return_exceptions=True))

            fleet._loop.blocking(interrupted)
            assert isinstance(gone[0], asyncio.CancelledError)
            fleet.reconcile(wait_s=BOUND_S)
            assert fleet.orders().loc[order_id, "outcome"] == "not_executed"


def test_a_receipt_quotes_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent may repeat the header that it did not like."""
    monkeypatch.setenv("AGENT_TOKEN", "a-secret-of-32-characters-or-so")

    async def quoting(exchange: Exchange) -> None:
        if exchange.request.path == "/positions/open":
            said = exchange.request.headers["authorization"].partition(" ")[2]
            await exchange.reply({"detail": f"Not understood: {said}"}, status=400)
        elif exchange.request.path == "/quote/EURUSD":
            await exchange.reply({"symbol": "EURUSD", "bid": 1.1, "ask": 1.1002, "point": 0.00001})
        else:
            await base_agent(exchange)

    with RawServer(quoting) as server:
        agents = server.agents(account=ACCOUNT, margin_mode="hedging", token="env:AGENT_TOKEN")
        with fk.connect(agents) as fleet, fleet.armed(minutes=5, max_volume=1.0, max_orders=4):
            receipt = fleet.open_position(**wish(ACCOUNT))
            journalled = fleet.orders()["reason"].item()
    assert "Not understood: " in receipt.reason
    assert "a-secret" not in receipt.reason + journalled
