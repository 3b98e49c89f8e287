"""Each fault of trades over a real socket, on both layers, asked with plain httpx."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from fleetkit.agent.app import Layer
from fleetkit.agent.terminal import OpenOrder, OpenPosition
from fleetkit.contract import DealReason
from fleetkit.model import Side
from fleetkit.sim.mishaps import share_of
from tests.unit.agent_terminal import ACCOUNT, order_id, until
from tests.unit.sim_paper import Paper, paper

both = pytest.mark.parametrize("layer", ["base", "extended"])


def run(layer: Layer, scenario: Callable[[Paper], Awaitable[None]]) -> None:
    async def served() -> None:
        async with asyncio.timeout(30), paper(layer) as agent:
            await scenario(agent)

    asyncio.run(served())


@both
def test_a_lost_answer_of_an_executed_order(layer: Layer) -> None:
    """The position is there, and not one byte of the answer came."""

    async def scenario(agent: Paper) -> None:
        await agent.set(lost_answer=True)
        with pytest.raises(httpx.ReadError):  # a reset, where a close would say "disconnected"
            await agent.open()
        (ticket,) = await agent.tickets()
        assert [(each.kind, each.ticket) for each in agent.agent.executed] == [("open", ticket)]
        for work in (agent.modify(ticket, sl=1.08), agent.close(ticket)):
            with pytest.raises(httpx.ReadError):
                await work
        assert [each.kind for each in agent.agent.executed] == ["open", "modify", "close"]
        assert not any(each.late for each in agent.agent.executed)
        assert await agent.tickets() == []
        await agent.set()
        assert (await agent.open()).status_code == 200

    run(layer, scenario)


@both
def test_faults_of_trades_know_routes(layer: Layer) -> None:
    """A fault of closes leaves opens alone."""

    async def scenario(agent: Paper) -> None:
        await agent.set(lost_answer=True, routes=("close",))
        assert (await agent.open()).status_code == 200
        with pytest.raises(httpx.ReadError):
            await agent.close((await agent.tickets())[0])

    run(layer, scenario)


@both
def test_a_late_execution(layer: Layer) -> None:
    """504 at once; reads show nothing until the order is executed after all (T13)."""

    async def scenario(agent: Paper) -> None:
        await agent.set(late_execution_s=40)
        reply = await agent.open()
        assert (reply.status_code, list(reply.json())) == (504, ["detail"])
        assert await agent.tickets() == []
        agent.clock.advance(39.9)
        assert await agent.tickets() == []
        assert agent.agent.executed == []
        agent.clock.advance(0.2)
        await until(lambda: agent.agent.executed)
        (executed,) = agent.agent.executed
        assert await agent.tickets() == [executed.ticket]
        assert executed.late

    run(layer, scenario)


@both
def test_what_is_refused_is_not_late(layer: Layer) -> None:
    """A symbol that does not exist is refused at once, in the agent's own words."""

    async def scenario(agent: Paper) -> None:
        await agent.set(late_execution_s=40)
        reply = await agent.open(symbol="NOSUCH")
        assert (reply.status_code, reply.json()["detail"]) == (400, "Symbol NOSUCH not found")

    run(layer, scenario)


def test_what_the_order_log_says_of_a_late_execution() -> None:
    """`unknown` while nobody knows, `filled` when the ledger shows it."""

    async def scenario(agent: Paper) -> None:
        await agent.set(late_execution_s=40)
        assert (await agent.open(order_id=order_id(1))).status_code == 504
        fate = f"/orders/{order_id(1)}"
        assert (await agent.client.get(fate)).json()["status"] == "unknown"
        agent.clock.advance(40)
        await until(lambda: agent.agent.executed)
        assert (await agent.client.get(fate)).json()["status"] == "filled"

    run("extended", scenario)


@both
def test_executed_as_400(layer: Layer) -> None:
    """The text of an ambiguous failure for an order that was executed (T4)."""

    async def scenario(agent: Paper) -> None:
        await agent.set(executed_as_400=True)
        reply = await agent.open()
        assert (reply.status_code, reply.json()["detail"]) == (
            400,
            "Order failed: Request timed out",
        )
        assert reply.json().get("order_status") == {"base": None, "extended": "unknown"}[layer]
        (ticket,) = await agent.tickets()
        await agent.set(executed_as_400="Exception: 'NoneType' object has no attribute 'retcode'")
        assert (await agent.close(ticket)).json()["detail"].startswith("Exception: ")
        assert await agent.tickets() == []
        # What was refused is no lie, and stays as it is.
        reply = await agent.close(ticket)
        assert (reply.status_code, reply.json()["detail"]) == (400, f"Position {ticket} not found")

    run(layer, scenario)


@both
def test_a_retcode_that_refuses(layer: Layer) -> None:
    """Nothing is executed; the extended layer says the code, both its words."""

    async def scenario(agent: Paper) -> None:
        await agent.set(retcode=10018)
        reply = await agent.open()
        assert (reply.status_code, reply.json()["detail"]) == (400, "Order failed: Market closed")
        assert reply.json().get("retcode") == {"base": None, "extended": 10018}[layer]
        assert await agent.tickets() == []
        assert agent.agent.executed == []

    run(layer, scenario)


@both
def test_a_retcode_of_a_done_order(layer: Layer) -> None:
    """10010 executes, and base agents call it a failure (T4)."""

    async def scenario(agent: Paper) -> None:
        await agent.set(retcode=10010)
        reply = await agent.open()
        assert reply.status_code == {"base": 400, "extended": 200}[layer]
        assert len(await agent.tickets()) == 1

    run(layer, scenario)


@both
def test_a_partial_fill(layer: Layer) -> None:
    """A share of the volume in whole steps, of opens and of closes."""

    async def scenario(agent: Paper) -> None:
        await agent.set(partial_fill=0.5)
        reply = await agent.open(lot=0.55)
        (position,) = agent.terminal.book.values()
        assert position.volume == 0.27
        assert reply.status_code == {"base": 400, "extended": 200}[layer]
        if layer == "extended":
            said = reply.json()
            assert (said["retcode"], said["volume"], said["order_status"]) == (
                10010,
                0.27,
                "partially_filled",
            )
        await agent.close(position.ticket)
        assert agent.terminal.book[position.ticket].volume == 0.14
        assert [each.volume for each in agent.agent.executed] == [0.27, 0.13]

    run(layer, scenario)


@pytest.mark.parametrize(
    ("volume", "share", "part"),
    [(0.01, 0.5, 0.01), (0.02, 0.99, 0.01), (1.0, 0.3, 0.3), (0.03, 0.01, 0.01), (0.5, None, 0.5)],
)
def test_a_share_is_whole_steps(volume: float, share: float | None, part: float) -> None:
    """Rounded down, never nothing; one step cannot be parted."""
    assert share_of(volume, share, 0.01) == part


@both
@pytest.mark.parametrize("how", ["identical", "other"])
def test_a_foreign_trade_at_the_same_moment(layer: Layer, how: Any) -> None:
    """A person's position beside ours, which the journal must not take for ours (T5)."""

    async def scenario(agent: Paper) -> None:
        await agent.set(foreign_trade=how)
        assert (await agent.open(lot=0.5, sl=1.08, comment="mine")).status_code == 200
        (foreign,) = agent.terminal.by_hand
        wanted = {
            "identical": OpenOrder(symbol="EURUSD", side=Side.BUY, volume=0.5),
            "other": OpenOrder(symbol="EURUSD", side=Side.SELL, volume=0.51),
        }
        assert foreign == wanted[how]
        assert len(await agent.tickets()) == 2
        assert [each.comment for each in agent.agent.executed] == ["mine"]
        # Also where ours is refused: then the person's is the only candidate.
        await agent.set(foreign_trade=how, retcode=10012)
        await agent.open()
        assert (len(await agent.tickets()), len(agent.agent.executed)) == (3, 1)

    run(layer, scenario)


@both
def test_a_stop_is_hit_at_once(layer: Layer) -> None:
    """Filled, says the answer, and the position is gone before anybody can look (T5)."""

    async def scenario(agent: Paper) -> None:
        await agent.set(stop_hit=True)
        reply = await agent.open()
        assert reply.json()["success"] is True
        assert await agent.tickets() == []
        assert agent.terminal.forced == [(reply.json()["ticket"], DealReason.SL)]

    run(layer, scenario)


@both
def test_a_full_queue(layer: Layer) -> None:
    """503 and nothing done; only our own agent promises it with `Retry-After`."""

    async def scenario(agent: Paper) -> None:
        await agent.set(queue_full=True)
        for reply in (await agent.open(), await agent.client.get("/accounts")):
            assert reply.status_code == 503
            assert reply.headers.get("retry-after") == {"base": None, "extended": "1"}[layer]
        health = await agent.client.get("/health")
        assert health.status_code == {"base": 503, "extended": 200}[layer]
        assert (agent.terminal.opened, agent.agent.executed) == ([], [])
        await agent.set(queue_full=True, routes=("open",))
        assert (await agent.client.get("/accounts")).status_code == 200

    run(layer, scenario)


def test_a_full_queue_never_received_the_order() -> None:
    """The order log forgets what was not asked of the terminal."""

    async def scenario(agent: Paper) -> None:
        await agent.set(queue_full=True, routes=("open",))
        assert (await agent.open(order_id=order_id(2))).status_code == 503
        fate = await agent.client.get(f"/orders/{order_id(2)}")
        assert fate.json()["status"] == "never_received"

    run("extended", scenario)


@both
def test_stops_in_pips(layer: Layer) -> None:
    """The agent takes levels for pips, whatever it advertises (T6); a modify does not."""

    async def scenario(agent: Paper) -> None:
        await agent.set(stops_unit="pips")
        await agent.open(sl=20, tp=30)
        await agent.open(sl=20, tp=30, order_type="SELL")
        bought, sold = agent.terminal.book.values()
        assert stops(bought) == (1.0842, 1.0892)  # from the ask, 1.0862
        assert stops(sold) == (1.0881, 1.0831)  # from the bid, 1.0861
        health = (await agent.client.get("/health")).json()
        assert health.get("stops_unit") == {"base": None, "extended": "price"}[layer]
        await agent.open()
        assert stops(list(agent.terminal.book.values())[-1]) == (None, None)

    run(layer, scenario)


def stops(position: OpenPosition) -> tuple[float | None, float | None]:
    return position.sl, position.tp


@both
def test_the_ground_truth(layer: Layer) -> None:
    """What was executed: when, what, where, in the order it happened."""

    async def scenario(agent: Paper) -> None:
        await agent.set(rolled_back=False)
        opened = (await agent.open(lot=0.3, comment="swing")).json()["ticket"]
        await agent.modify(opened, sl=1.08)
        await agent.close(opened)
        await agent.close(opened)  # refused: it is gone
        said = [
            (each.kind, each.account, each.ticket, each.symbol, each.side, each.volume)
            for each in agent.agent.executed
        ]
        assert said == [
            ("open", ACCOUNT, opened, "EURUSD", Side.BUY, 0.3),
            ("modify", ACCOUNT, opened, "EURUSD", Side.BUY, None),
            ("close", ACCOUNT, opened, "EURUSD", Side.BUY, 0.3),
        ]
        assert agent.agent.executed[0].comment == "swing"
        assert agent.agent.executed[0].time == agent.terminal.now()

    run(layer, scenario)
