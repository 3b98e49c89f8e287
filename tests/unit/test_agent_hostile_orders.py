"""Orders under attack and in an agent that breaks or ends: once, or honestly unknown."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from fleetkit.agent import AgentApp, OrderLog, OrderLogError, TerminalError
from fleetkit.agent.serve import AgentServer
from fleetkit.contract import OrderStatus
from tests.unit.agent_terminal import PaperTerminal, order, order_id, served, until

ID = order_id(1)


def test_two_ids_in_one_request() -> None:
    """Nobody could say which of them counts: 422, and nothing is done."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        async with served(terminal) as (client, _):
            for headers, body in (
                ([("Idempotency-Key", ID), ("Idempotency-Key", order_id(2))], order()),
                ([("Idempotency-Key", order_id(2))], order(ID)),
                ([("Idempotency-Key", "")], order()),
                ([("Idempotency-Key", ID + "x")], order()),
            ):
                reply = await client.post("/positions/open", json=body, headers=headers)
                assert reply.status_code == 422
            assert terminal.asked == []
            same = [("Idempotency-Key", ID), ("Idempotency-Key", ID)]
            assert (
                await client.post("/positions/open", json=order(ID), headers=same)
            ).status_code == 200

    asyncio.run(scenario())


def test_one_id_and_two_bodies_at_once() -> None:
    """Of two orders that claim one id at the same moment one is executed, the other a 409."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        async with served(terminal) as (client, _):
            replies = await asyncio.gather(
                *(
                    client.post("/positions/open", json=order(ID, lot=0.1 * lot))
                    for lot in range(1, 9)
                )
            )
            statuses = sorted(reply.status_code for reply in replies)
            assert statuses == [200] + [409] * 7
            assert len(terminal.opened) == 1
            (won,) = (reply for reply in replies if reply.status_code == 200)
            assert won.json()["volume"] == terminal.opened[0].volume

    asyncio.run(scenario())


def test_a_question_before_the_order_that_fails() -> None:
    """A terminal that cannot even say whether it is up was sent nothing: rejected."""

    class Mute(PaperTerminal):
        async def initialised(self) -> bool:
            raise TerminalError("IPC send failed")

    async def scenario() -> None:
        terminal = Mute()
        async with served(terminal) as (client, _):
            reply = await client.post("/positions/open", json=order(ID))
            assert (reply.status_code, reply.json()["detail"]) == (400, "MT5 not initialized")
            assert reply.json()["order_status"] == "rejected"
            assert not terminal.opened

    asyncio.run(scenario())


def test_an_end_that_cannot_be_written_down() -> None:
    """A log that broke after the order: the caller has its answer, the log says unknown."""

    class Breaking(OrderLog):
        broken = False

        def settle(self, *args: Any, **kwargs: Any) -> None:
            if self.broken:
                raise _disk_full()
            super().settle(*args, **kwargs)

        def withdraw(self, order_id: str) -> None:
            if self.broken:
                raise _disk_full()
            super().withdraw(order_id)

    async def scenario() -> None:
        terminal, log = PaperTerminal(), Breaking(":memory:")
        async with served(terminal, order_log=log, queue_limit=0) as (client, _):
            log.broken = True
            reply = await client.post("/positions/open", json=order(ID))
            assert reply.json()["order_status"] == "filled"
            booked, terminal.ledger = terminal.ledger, []
            assert (await client.get(f"/orders/{ID}")).json()["status"] == "unknown"
            terminal.ledger = booked
            # An id that could not be given back is used up, and never executed.
            terminal.hang = asyncio.Event()
            slow = asyncio.create_task(client.get("/accounts"))
            await until(lambda: terminal.concurrent)
            full = await client.post("/positions/open", json=order(order_id(2)))
            assert (full.status_code, full.json()["retcode"]) == (503, None)
            terminal.hang.set()
            await slow
            log.broken = False
            found = (await client.get(f"/orders/{ID}")).json()
            assert (found["status"], found["ticket"]) == ("filled", 5512401)  # by the ledger
            again = await client.post("/positions/open", json=order(order_id(2)))
            assert (again.status_code, again.json()["order_status"]) == (500, "unknown")
            assert len(terminal.opened) == 1

    asyncio.run(scenario())


def _disk_full() -> Exception:
    return OrderLogError("database or disk is full")


def test_an_order_that_waits_when_the_agent_has_ended(tmp_path: Path) -> None:
    """Its turn comes after the last bound: it is not executed behind everybody's back."""

    async def scenario() -> None:
        terminal, path = PaperTerminal(), tmp_path / "orders.sqlite"
        app = AgentApp(terminal, layer="extended", order_log=OrderLog(path), drain_s=0.05)
        server = AgentServer(app, stop_s=0.05)
        await server.start()
        async with httpx.AsyncClient(base_url=server.url) as client:
            terminal.hang = asyncio.Event()
            slow = asyncio.create_task(client.get("/accounts"))
            await until(lambda: terminal.concurrent)
            sent = asyncio.create_task(client.post("/positions/open", json=order(ID)))
            await until(lambda: "1 orders" in repr(app._desk))
            await server.stop()
            terminal.hang.set()
            await asyncio.gather(slow, sent, return_exceptions=True)
            await until(lambda: "0 orders" in repr(app._desk))
        assert not terminal.opened
        log = OrderLog(path)
        found = log.find(ID)
        log.close()
        assert found is not None
        assert found.settlement.status is OrderStatus.UNKNOWN

    asyncio.run(scenario())
