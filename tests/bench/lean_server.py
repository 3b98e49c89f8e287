"""Agents that cost next to nothing, in a process of their own, so that a bench times the client.

``python lean_server.py N`` serves N agents on N ports, prints the ports as one JSON
line and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import sys

ACCOUNT = {
    "account_name": "100k F1",
    "balance": 100450.25,
    "status": "connected",
    "days_operating": 12,
    "has_open_position": False,
    "last_updated": "2026-02-01T10:15:00.123456",
    "account_holder": "Unknown",
    "prop_firm": "N/A",
    "initial_balance": 100000.0,
}
FIRST = 7100001


class Agent(asyncio.Protocol):
    """Answers any request with its account."""

    def __init__(self, account: int) -> None:
        body = json.dumps({"account_number": account, **ACCOUNT}).encode()
        self._reply = (
            b"HTTP/1.1 200 OK\r\ndate: Mon, 23 Nov 2026 02:00:00 GMT\r\nserver: lean\r\n"
            b"content-length: %d\r\ncontent-type: application/json\r\n\r\n%s" % (len(body), body)
        )
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            _, _, self._received = self._received.partition(b"\r\n\r\n")
            self._transport.write(self._reply)


async def serve(agents: int) -> None:
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(lambda n=number: Agent(FIRST + n), "127.0.0.1", 0, backlog=4096)
        for number in range(agents)
    ]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    try:
        import resource

        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ImportError, ValueError, OSError):
        pass
    asyncio.run(serve(int(sys.argv[1])))
