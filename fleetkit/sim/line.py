"""A live connection, as faults see it: something to reset, or to hang up.

Why: two servers serve the fleet, and faults must not care which. May import
`agent` only.
The trap: the server must see the end of a connection before its app returns, or
it blames the app for an answer that never came; `gone` waits for that.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct

from fleetkit.agent.app import Receive, Scope


class Line:
    """One HTTP/1.1 connection."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def __repr__(self) -> str:
        return f"<fleetkit.sim {type(self).__name__} {'closing' if self.closing else 'open'}>"

    @property
    def closing(self) -> bool:
        """Whether it is over."""
        return self.transport.is_closing()

    def reset(self) -> None:
        """Close it with a TCP reset instead of a farewell."""
        connection = self.transport.get_extra_info("socket")
        if connection is not None:
            # Linger of zero seconds is what turns a close into a reset.
            linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.transport.abort()

    async def hang_up(self, scope: Scope, *, counted: bool) -> None:
        """Close it in the middle of a request, which was ``counted`` as received or not."""
        self.transport.close()


async def gone(receive: Receive) -> None:
    """Wait until the caller of a request is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
