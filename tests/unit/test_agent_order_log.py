"""The order log: what survives a crash, a restart and a terminal that hangs."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import httpx
import msgspec
import pytest

from fleetkit.agent import OrderLog, OrderLogError
from fleetkit.agent.orders import Intent, Settlement
from fleetkit.contract import OrderStatus
from tests.unit.agent_terminal import NOW, PaperTerminal, order, order_id, served, until

ID = order_id(1)


CRASH = """
import asyncio, os, sys
from pathlib import Path
from fleetkit.agent import AgentApp, OrderLog
from fleetkit.agent.serve import AgentServer
from tests.unit.agent_terminal import PaperTerminal

class Deadly(PaperTerminal):
    async def open(self, order):
        os._exit(9)

async def main():
    app = AgentApp(Deadly(), layer="extended", order_log=OrderLog(Path(sys.argv[1])))
    async with AgentServer(app) as server:
        print(server.url, flush=True)
        await server.wait()

asyncio.run(main())
"""


def test_an_agent_that_dies_in_the_middle(tmp_path: Path) -> None:
    """After a crash between accepting and answering the order is unknown, and stays sent once."""
    path = tmp_path / "orders.sqlite"
    agent = subprocess.Popen(
        [sys.executable, "-c", CRASH, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert agent.stdout is not None
    with agent:
        url = agent.stdout.readline().strip()
        with pytest.raises(httpx.TransportError):
            httpx.post(f"{url}/positions/open", json=order(ID), timeout=20)
        assert agent.wait(10) == 9

    async def scenario() -> None:
        terminal = PaperTerminal()
        async with served(terminal, order_log=OrderLog(path)) as (client, _):
            assert (await client.get(f"/orders/{ID}")).json()["status"] == "unknown"
            again = await client.post("/positions/open", json=order(ID))
            assert (again.status_code, again.json()["order_status"]) == (500, "unknown")
            assert "open" not in terminal.asked
            # Later its deal shows in the ledger, under the id.
            terminal.book_deal(entry=0, position=77, volume=0.5, comment=ID)
            fate = (await client.get(f"/orders/{ID}")).json()
            assert (fate["status"], fate["ticket"], fate["volume"]) == ("filled", 77, 0.5)
            again = await client.post("/positions/open", json=order(ID))
            assert (again.status_code, again.json()["ticket"]) == (200, 77)
            assert "open" not in terminal.asked

    asyncio.run(scenario())


def test_the_ledger_proves_only_the_right_side() -> None:
    """A stop that closed under the same comment is no proof of the open; too little is partial."""

    async def scenario(entry: int, volume: float, age_s: float = 61) -> str:
        log, received_at = OrderLog(":memory:"), NOW - timedelta(seconds=age_s)
        log.accept(Intent(order_id=ID, kind="open", digest=b"", wanted=0.5), received_at)
        log.settle(ID, Settlement(status=OrderStatus.UNKNOWN), NOW)
        terminal = PaperTerminal()
        terminal.book_deal(entry=entry, position=77, volume=volume, comment=ID)
        async with served(terminal, order_log=log) as (client, _):
            found: str = (await client.get(f"/orders/{ID}")).json()["status"]
            return found

    assert asyncio.run(scenario(1, 0.5)) == "unknown"
    assert asyncio.run(scenario(0, 0.2)) == "partially_filled"
    # A young one may still be filling, and what is written down stays.
    assert asyncio.run(scenario(0, 0.2, age_s=5)) == "unknown"
    assert asyncio.run(scenario(0, 0.5)) == "filled"


def test_the_fate_of_an_order_does_not_wait_for_a_terminal_that_hangs() -> None:
    """An unknown order stays unknown while the ledger cannot be read, and is found later."""

    async def scenario() -> None:
        log = OrderLog(":memory:")
        log.accept(Intent(order_id=ID, kind="open", digest=b"", wanted=0.5), NOW)
        log.settle(ID, Settlement(status=OrderStatus.UNKNOWN), NOW)
        terminal = PaperTerminal()
        terminal.book_deal(entry=0, position=77, volume=0.5, comment=ID)
        async with served(terminal, order_log=log) as (client, _):
            terminal.hang = asyncio.Event()
            fates = await asyncio.gather(*(client.get(f"/orders/{ID}") for _ in range(5)))
            assert {fate.json()["status"] for fate in fates} == {"unknown"}
            assert len(terminal.asked) == 1  # by all of them together
            terminal.hang.set()
            await until(lambda: not terminal.concurrent)
            assert (await client.get(f"/orders/{ID}")).json()["status"] == "filled"

    asyncio.run(scenario())


def test_a_log_belongs_to_one_agent(tmp_path: Path) -> None:
    """A second agent over the same log is refused; after the first has ended it may."""
    path = tmp_path / "orders.sqlite"
    first = OrderLog(path)
    first.accept(Intent(order_id=ID, kind="open", digest=b"d", comment="c"), NOW)
    with pytest.raises(OrderLogError, match="no other agent"):
        OrderLog(path)
    first.close()
    second = OrderLog(path)
    found = second.find(ID)
    assert found is not None
    assert found.settlement.status is OrderStatus.UNKNOWN
    assert (found.intent.digest, found.received_at) == (b"d", NOW)
    second.close()


def test_a_restarted_agent_knows_its_positions(tmp_path: Path) -> None:
    """Which order opened which position survives a restart."""
    path = tmp_path / "orders.sqlite"
    log = OrderLog(path)
    log.accept(Intent(order_id=ID, kind="open", digest=b"", comment="mine"), NOW)
    log.settle(ID, Settlement(status=OrderStatus.FILLED, ticket=42), NOW + timedelta(seconds=1))
    assert log.identify(42, "whatever") == (ID, "mine")
    log.close()
    log = OrderLog(path)
    assert log.identify(42, "whatever") == (ID, "mine")
    assert log.identify(43, "typed by hand") == (None, "typed by hand")
    assert log.identify(44, order_id(9)) == (order_id(9), "")
    log.close()


def test_a_reversal_found_in_the_ledger_has_the_positions_new_ticket() -> None:
    """The position keeps its identity in the ledger; what is open has its order's ticket."""

    async def scenario() -> None:
        log = OrderLog(":memory:")
        log.accept(Intent(order_id=ID, kind="open", digest=b"", wanted=0.5), NOW)
        log.settle(ID, Settlement(status=OrderStatus.UNKNOWN), NOW)
        terminal = PaperTerminal()
        terminal.book_deal(entry=2, position=77, volume=0.5, comment=ID)
        terminal.ledger[-1] = msgspec.structs.replace(terminal.ledger[-1], order=99)
        async with served(terminal, order_log=log) as (client, _):
            fate = (await client.get(f"/orders/{ID}")).json()
            assert (fate["status"], fate["ticket"]) == ("filled", 99)

    asyncio.run(scenario())
