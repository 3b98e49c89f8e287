"""One TLS connection of a simulated agent, served by hypercorn: HTTP/2 or HTTP/1.1.

Why: HTTP/2's faults need the live connection, and this is the only file that knows
how hypercorn keeps it. May import hypercorn and h2 (the extra ``fleetkit[demo]``).
The trap: a GOAWAY names the last stream that was looked at. Whatever is above it
is safe to send again, so the number decides what a client may do.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final, cast

from h2.settings import SettingCodes
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import RawData
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H11Protocol

from fleetkit.agent.app import Scope
from fleetkit.sim.line import Line
from fleetkit.sim.seat import ServedAgent

STREAMS: Final = 100  # at once on one connection, unless a fault says less
REQUESTS: Final = 1_000_000  # never a GOAWAY by count


def settings(keep_alive_s: float) -> Config:
    """How hypercorn serves one agent; changed while it runs."""
    config = Config()
    config.keep_alive_timeout = keep_alive_s
    config.keep_alive_max_requests = REQUESTS
    config.h2_max_concurrent_streams = STREAMS
    config.include_server_header = False
    config.include_date_header = False  # each machine has a clock of its own
    config.accesslog = config.errorlog = None
    return config


class SecureLine(Line):
    """One connection whose handshake is done."""

    def __init__(
        self,
        agent: ServedAgent,
        config: Config,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        super().__init__(cast(asyncio.Transport, writer.transport))
        self._server = TCPServer(
            # An ASGI app for hypercorn's checker, whose TypedDicts are narrower than ours.
            ASGIWrapper(cast(Any, agent)),
            asyncio.get_running_loop(),
            config,
            WorkerContext(None),
            {},
            reader,
            writer,
        )

    async def serve(self) -> None:
        """Answer its requests until it ends."""
        # Errors of a connection that goes away under its server's hands.
        with contextlib.suppress(OSError):
            await self._server.run()

    async def hang_up(self, scope: Scope, *, counted: bool) -> None:
        """Say GOAWAY where HTTP/2 is spoken, and close."""
        protocol = self._protocol
        if isinstance(protocol, H2Protocol):
            stream = next(
                number
                for number, each in protocol.streams.items()
                if cast(Scope, each.scope) is scope
            )
            last = stream if counted else max(0, stream - 2)
            protocol.connection.close_connection(last_stream_id=last)
            await self._flush(protocol)
        self.transport.close()

    async def limit_streams(self, streams: int) -> None:
        """Tell the client how many streams it may open at once."""
        protocol = self._protocol
        if isinstance(protocol, H2Protocol) and not self.closing:
            protocol.connection.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: streams})
            await self._flush(protocol)

    async def start_idling(self) -> None:
        """Count the idle time anew, where nothing is under way."""
        protocol = self._protocol
        idle = protocol.idle if isinstance(protocol, H2Protocol) else protocol.stream is None
        if idle and not self.closing:
            group = self._server._task_group
            await self._server.idle_task.restart(group, self._server._idle_timeout)

    @property
    def _protocol(self) -> H2Protocol | H11Protocol:
        return self._server.protocol.protocol

    @staticmethod
    async def _flush(protocol: H2Protocol) -> None:
        await protocol.send(RawData(data=protocol.connection.data_to_send()))
