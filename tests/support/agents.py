"""Agents on real sockets that say what a test tells them to.

Written from the agent API's document with aiohttp and plain dictionaries; shares
no line with fleetkit, so that neither can excuse the other's mistakes. All agents
of a `ScriptedFleet` are served by one thread, each at a port of its own.
The trap: the test changes an agent's figures while that thread reads them, so a
figure is always replaced as a whole.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiohttp import web

from tests.support.bodies import account_body, history_body, positions_body, quote_body

PATIENCE_S = 10.0  # until a test that waits for a request that never comes fails
Result = TypeVar("Result")


@dataclass(frozen=True)
class Request:
    """What an agent was asked."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    """What an agent answers: JSON unless the body is bytes."""

    body: object = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


NOT_FOUND = Reply({"detail": "Not Found"}, status=404)
Answer = Reply | Callable[[Request], Reply]


class Hold:
    """A request that got its answer ready, and waits for the test to let it go."""

    def __init__(self, loop: asyncio.AbstractEventLoop, answer: Answer | None) -> None:
        self.answer = answer
        self.arrived = threading.Event()
        self._loop = loop
        self._released = asyncio.Event()

    def wait(self) -> None:
        """Wait until the request has arrived."""
        assert self.arrived.wait(PATIENCE_S), "the request never came"

    def release(self) -> None:
        """Let the answer go."""
        self._loop.call_soon_threadsafe(self._released.set)

    async def until_released(self) -> None:
        self.arrived.set()
        await self._released.wait()


class Gate:
    """Keeps every request waiting, each until the test lets the oldest one go."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.waiting: deque[asyncio.Event] = deque()
        self._loop = loop

    def release(self) -> None:
        """Let the oldest answer go."""
        self._loop.call_soon_threadsafe(self.waiting.popleft().set)

    async def until_released(self) -> None:
        released = asyncio.Event()
        self.waiting.append(released)
        await released.wait()


class ScriptedAgent:
    """One agent: figures it answers with, and scripts that win over them.

    Attributes
    ----------
    account, positions, trades : dict, list, list
        The figures of its replies, as the wire has them; replace them as you like.
    requests : list of Request
        What it was asked, in order.
    """

    def __init__(self, name: str, number: int, loop: asyncio.AbstractEventLoop) -> None:
        self.name = name
        self.number = number
        self.account: dict[str, Any] = account_body(number)
        self.positions: list[dict[str, Any]] = []
        self.trades: list[dict[str, Any]] = []
        self.requests: list[Request] = []
        self.connections: set[object] = set()
        self.most_at_once = 0
        self.port = 0
        self._at_once = 0
        self._loop = loop
        self._always: dict[str, Answer | Hold | Gate] = {}
        self._next: dict[str, deque[Answer | Hold]] = {}
        self._holds: list[Hold] = []
        self._handlers = web.Server(self._handle)
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def config(self, **more: object) -> dict[str, Any]:
        """What `connect` takes for this agent; its account is left to be learned."""
        return {"name": self.name, "url": self.url, **more}

    def count(self, path: str | None = None) -> int:
        """How many requests came, to one path or to all."""
        return sum(path in (None, request.path) for request in tuple(self.requests))

    # Scripts

    def always(self, path: str, answer: Answer | None) -> None:
        """Answer every request to a path so, or (``None``) from the figures again."""
        if answer is None:
            self._always.pop(path, None)
        else:
            self._always[path] = answer

    def then(self, path: str, *answers: Answer) -> None:
        """Answer the next requests to a path so, each once."""
        self._next.setdefault(path, deque()).extend(answers)

    def hold(self, path: str, answer: Answer | None = None) -> Hold:
        """Keep the next request to a path waiting until the hold is released."""
        hold = Hold(self._loop, answer)
        self._holds.append(hold)
        self._next.setdefault(path, deque()).append(hold)
        return hold

    def hang(self, path: str) -> Hold:
        """Keep every request to a path waiting until the hold is released."""
        hold = Hold(self._loop, None)
        self._holds.append(hold)
        self._always[path] = hold
        return hold

    def gate(self, path: str) -> Gate:
        """Keep every request to a path waiting, each until its own turn comes."""
        gate = self._always[path] = Gate(self._loop)
        return gate

    def heal(self) -> None:
        """Forget every script, and let go whoever waits."""
        for script in self._always.values():
            while isinstance(script, Gate) and script.waiting:
                script.release()
        self._always.clear()
        self._next.clear()
        for hold in self._holds:
            hold.release()

    # Serving

    async def listen(self) -> None:
        self._server = await self._loop.create_server(self._handlers, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def hang_up(self) -> None:
        """Close the port and every connection; `listen` opens the same port again."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._handlers.shutdown(0.05)

    async def _handle(self, raw: web.BaseRequest) -> web.Response:
        request = Request(raw.method, raw.path, dict(raw.query), dict(raw.headers))
        self.connections.add(raw.transport.get_extra_info("peername") if raw.transport else None)
        self.requests.append(request)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            reply = await self._reply(request)
        finally:
            self._at_once -= 1
        headers = {"Content-Type": "application/json", **reply.headers}
        return web.Response(body=reply.encoded(), status=reply.status, headers=headers)

    async def _reply(self, request: Request) -> Reply:
        queue = self._next.get(request.path)
        answer = queue.popleft() if queue else self._always.get(request.path)
        if isinstance(answer, Hold):
            hold, answer = answer, answer.answer
            # Made when the request arrives, as a terminal does: what changes now comes too late.
            reply = self._made(answer, request)
            await hold.until_released()
            return reply
        if isinstance(answer, Gate):
            reply = self._made(None, request)
            await answer.until_released()
            return reply
        return self._made(answer, request)

    def _made(self, answer: Answer | None, request: Request) -> Reply:
        if answer is None:
            return self._figures(request)
        return answer if isinstance(answer, Reply) else answer(request)

    def _figures(self, request: Request) -> Reply:
        match request.method, request.path:
            case "GET", "/health":
                return Reply({"status": "healthy", "accounts_monitored": 1})
            case "GET", "/accounts":
                return Reply(self.account)
            case "GET", "/positions":
                return Reply(positions_body(self.number, self.positions))
            case "GET", "/trade-history":
                return Reply(history_body(self.number, self.trades))
            case "POST", "/refresh":
                return Reply({"status": "success", "message": "reconnected"})
            case "GET", path if path.startswith("/quote/"):
                return Reply(quote_body(path.removeprefix("/quote/")))
        return NOT_FOUND


class ScriptedFleet:
    """Many scripted agents, served by one thread."""

    def __init__(self, agents: int, first_number: int = 7_100_001) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="scripted-agents", daemon=True
        )
        self._thread.start()
        self.agents = self.run(self._start(agents, first_number))

    def __getitem__(self, place: int) -> ScriptedAgent:
        return self.agents[place]

    def __iter__(self) -> Iterator[ScriptedAgent]:
        return iter(self.agents)

    def __len__(self) -> int:
        return len(self.agents)

    @property
    def numbers(self) -> list[int]:
        return [agent.number for agent in self.agents]

    def config(self, **more: object) -> list[dict[str, Any]]:
        """What `connect` takes; accounts are left to be learned."""
        return [agent.config(**more) for agent in self.agents]

    def configured(self, **more: object) -> list[dict[str, Any]]:
        """The same with every account configured."""
        return [agent.config(account=agent.number, **more) for agent in self.agents]

    def count(self, path: str | None = None) -> int:
        """How many requests came in all, to one path or to all."""
        return sum(agent.count(path) for agent in self.agents)

    def counts(self) -> dict[str, int]:
        """How many requests came to each path."""
        return dict(Counter(r.path for agent in self.agents for r in tuple(agent.requests)))

    def forget_requests(self) -> None:
        """Count from nothing again."""
        for agent in self.agents:
            agent.requests = []

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run something on the agents' thread, such as ``agent.hang_up()``."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    def close(self) -> None:
        self.run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    async def _start(self, count: int, first_number: int) -> list[ScriptedAgent]:
        agents = [
            ScriptedAgent(f"vps{place:02d}", first_number + place, self._loop)
            for place in range(count)
        ]
        for agent in agents:
            await agent.listen()
        return agents

    async def _stop(self) -> None:
        for agent in self.agents:
            agent.heal()
        await asyncio.gather(*(agent.hang_up() for agent in self.agents))


@contextmanager
def served(agents: int = 1, first_number: int = 7_100_001) -> Iterator[ScriptedFleet]:
    """Serve scripted agents for the length of a block."""
    fleet = ScriptedFleet(agents, first_number)
    try:
        yield fleet
    finally:
        fleet.close()


def until(condition: Callable[[], object], turns: int = 50_000) -> None:
    """Ask again until it is so; ask something that takes a trip to another thread."""
    for _ in range(turns):
        if condition():
            return
    raise AssertionError("it never came to that")
