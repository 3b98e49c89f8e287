"""The OpenAPI document, and schemathesis against the agent it describes."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from fleetkit import contract
from fleetkit.agent import AgentApp, OrderLog
from fleetkit.agent.openapi import document
from fleetkit.agent.serve import AgentServer
from tests.unit.agent_terminal import PaperTerminal, served

TOKEN = "a-token"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def agent_url() -> Iterator[str]:
    """An agent that is served on a thread of its own."""
    started: queue.Queue[tuple[asyncio.AbstractEventLoop, asyncio.Event, str]] = queue.Queue()

    async def serve() -> None:
        app = AgentApp(
            PaperTerminal(), layer="extended", token=TOKEN, order_log=OrderLog(":memory:")
        )
        async with AgentServer(app, stop_s=0.2) as server:
            ending = asyncio.Event()
            started.put((asyncio.get_running_loop(), ending, server.url))
            await ending.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    loop, ending, url = started.get(timeout=10)
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join(10)


schema = schemathesis.openapi.from_dict(document(token=True))


def test_the_document_is_the_contract() -> None:
    """Every call with its method and path, served as generated; health asks for no token."""

    async def scenario() -> None:
        async with served(token=TOKEN) as (client, _):
            reply = await client.get("/openapi.json", headers=HEADERS)
            assert reply.json() == document(token=True)

    asyncio.run(scenario())
    paths = document(token=True)["paths"]
    assert {(call.path, call.method.lower()) for call in contract.EXTENDED} == {
        (path, method) for path, methods in paths.items() for method in methods
    }
    assert paths["/health"]["get"]["security"] == []
    assert "security" not in document(token=False)


@schema.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_schemathesis_finds_nothing(case: Any, agent_url: str) -> None:
    """Whatever is sent, the agent answers as its document says."""
    # A broker may refuse an order that is spelled right, so on trade routes a 400
    # for a valid request is no finding.
    trades = case.operation.path in {call.path for call in contract.EXTENDED if call.trades}
    case.call_and_validate(
        base_url=agent_url,
        headers=HEADERS,
        excluded_checks=[positive_data_acceptance] if trades else None,
    )
