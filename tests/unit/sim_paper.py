"""A served fleet of one paper terminal, for the faults of trades: real sockets, a still clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx

from fleetkit.agent.app import Layer
from fleetkit.agent.terminal import CloseOrder, OpenOrder, TradeResult
from fleetkit.contract import DealReason
from fleetkit.model import MarginMode
from fleetkit.sim.faults import Faults
from fleetkit.sim.fleet import Seat, SimFleet
from fleetkit.sim.seat import ServedAgent
from fleetkit.sim.serve import FleetServer
from fleetkit.sim.terminal import SimTerminal
from tests.support.fake_clock import FakeClock
from tests.unit.agent_terminal import ACCOUNT, PaperTerminal


class PersonsPaper(PaperTerminal):
    """A paper terminal that a person and a broker trade in, too."""

    margin_mode = MarginMode.HEDGING

    def __init__(self) -> None:
        super().__init__()
        self.by_hand: list[OpenOrder] = []
        self.forced: list[tuple[int, DealReason]] = []

    async def open_by_hand(self, order: OpenOrder) -> TradeResult:
        self.by_hand.append(order)
        return await super().open(order)

    async def close_by_hand(self, order: CloseOrder) -> TradeResult:
        return await super().close(order)

    async def force_close(self, ticket: int, reason: DealReason) -> TradeResult:
        self.forced.append((ticket, reason))
        return await super().close(CloseOrder(ticket=ticket))


class PaperFleet(SimFleet):
    """A fleet whose every account is the one paper terminal."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(accounts=1, seed=7, clock=clock)
        self.seats = [Seat("vps01-a1", ACCOUNT)]
        self.paper = PersonsPaper()

    def terminal(self, account: int) -> SimTerminal:
        return cast(SimTerminal, self.paper)


class Paper:
    """One served agent and a plain client of it."""

    def __init__(self, server: FleetServer, client: httpx.AsyncClient, clock: FakeClock) -> None:
        self.client = client
        self.clock = clock
        self.terminal = cast(PaperFleet, server.fleet).paper
        self.agent: ServedAgent = server.served[0]
        self._server = server

    async def set(self, **faults: Any) -> None:
        await self._server.set_faults(self.agent, Faults(**faults))

    async def open(self, lot: float = 0.5, **more: Any) -> httpx.Response:
        body = {"symbol": "EURUSD", "lot": lot, "order_type": "BUY", **more}
        return await self.client.post("/positions/open", json=body)

    async def close(self, ticket: int) -> httpx.Response:
        return await self.client.post("/positions/close", json={"ticket": ticket})

    async def modify(self, ticket: int, **stops: float) -> httpx.Response:
        return await self.client.put("/positions/modify", json={"ticket": ticket, **stops})

    async def tickets(self) -> list[int]:
        reply = await self.client.get("/positions")
        return [position["ticket"] for position in reply.json()["positions"]]


@asynccontextmanager
async def paper(layer: Layer) -> AsyncIterator[Paper]:
    """Serve it, and end it whatever happens."""
    clock = FakeClock()
    server = FleetServer(PaperFleet(clock), clock, keep_alive_s=5.0, layer=layer)
    running = asyncio.create_task(server.serve())
    await server.ready.wait()
    try:
        url = str(server.agents()[0]["url"])
        async with httpx.AsyncClient(base_url=url, timeout=10) as client:
            yield Paper(server, client, clock)
    finally:
        server.should_exit = True
        await running
