"""One simulated terminal behind a base agent and behind an extended one, on real sockets.

The base agent is what every VPS has: plain HTTP/1.1, no token. The extended one is ours:
TLS, HTTP/2 by ALPN, a token. The trap: both serve one terminal, so they share one lane.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import trustme

from fleetkit.agent.app import AgentApp, Layer, Receive, Scope, Send
from fleetkit.agent.lane import Lane
from fleetkit.agent.serve import AgentServer
from fleetkit.agent.terminal import Terminal

Result = TypeVar("Result")
PATIENCE_S = 10.0
TOKEN = "a-token-of-the-tests-own"


class WatchedApp(AgentApp):
    """An agent that knows what was under way at once, and over which connections."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.paths: list[str] = []
        self.under_way: list[str] = []
        self.most_under_way: list[str] = []
        self.peers: set[Any] = set()
        self.encodings: set[bytes] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        self.paths.append(scope["path"])
        self.peers.add(tuple(scope["client"]))
        self.under_way.append(scope["path"])
        if len(self.under_way) > len(self.most_under_way):
            self.most_under_way = list(self.under_way)

        async def sending(message: Any) -> None:
            self.encodings |= {
                value for name, value in message.get("headers", ()) if name == b"content-encoding"
            }
            await send(message)

        try:
            await super().__call__(scope, receive, sending)
        finally:
            self.under_way.remove(scope["path"])


class BothLayers:
    """The two agents, and what `connect` takes for each."""

    def __init__(self, terminal: Terminal, folder: Path) -> None:
        self.terminal = terminal
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="both-layers")
        self._thread.start()
        self._authority = folder / "ca.pem"
        self._token = folder / "token"
        self._token.write_text(TOKEN)
        self._token.chmod(0o600)
        self._chain, self._key = folder / "chain.pem", folder / "key.pem"
        self._certify()
        self.apps: dict[Layer, WatchedApp] = {}
        self._servers: dict[Layer, AgentServer] = {}
        self.run(self._start())

    def config(self, layer: Layer, **more: object) -> list[dict[str, Any]]:
        """What `connect` takes for the agent of a layer."""
        agent = {"name": layer, "url": self._servers[layer].url, **more}
        if layer == "extended":
            agent |= {"ca_file": str(self._authority), "token": f"file:{self._token}"}
        return [agent]

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run something on the agents' thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    def close(self) -> None:
        self.run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    def _certify(self) -> None:
        authority = trustme.CA()
        made = authority.issue_cert("127.0.0.1")
        authority.cert_pem.write_to_path(str(self._authority))
        made.private_key_pem.write_to_path(str(self._key))
        for blob in made.cert_chain_pems:
            blob.write_to_path(str(self._chain), append=True)

    async def _start(self) -> None:
        lane = Lane()
        self.apps = {
            "base": WatchedApp(self.terminal, layer="base", lane=lane),
            "extended": WatchedApp(self.terminal, layer="extended", lane=lane, token=TOKEN),
        }
        self._servers = {
            "base": AgentServer(self.apps["base"], stop_s=0.1),
            "extended": AgentServer(
                self.apps["extended"], certificate=self._chain, key=self._key, stop_s=0.1
            ),
        }
        for server in self._servers.values():
            await server.start()

    async def _stop(self) -> None:
        await asyncio.gather(*(server.stop() for server in self._servers.values()))


@contextmanager
def both_layers(terminal: Terminal, folder: Path) -> Iterator[BothLayers]:
    """Serve a terminal on both layers for the length of a block."""
    layers = BothLayers(terminal, folder)
    try:
        yield layers
    finally:
        layers.close()
