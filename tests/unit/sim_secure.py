"""Clients of a simulated fleet over TLS: httpx, bare h2 over a socket, and bare sockets.

The trap: ssl's sockets call a reset an end of file; whoever must tell them apart
reads below TLS.
"""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import httpx

from fleetkit.sim import SimAgent, SimProcess

FIRST, SECOND = 7_100_001, 7_100_002
BOUND_S = 10.0


def agent_of(demo: SimProcess, account: int) -> SimAgent:
    return next(agent for agent in demo.agents if agent["account"] == account)


def address(demo: SimProcess, account: int) -> tuple[str, int]:
    return "127.0.0.1", int(agent_of(demo, account)["url"].rpartition(":")[2])


def token(demo: SimProcess, account: int) -> str:
    return Path(agent_of(demo, account)["token"].removeprefix("file:")).read_text()


def trust(demo: SimProcess, *protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=agent_of(demo, FIRST)["ca_file"])
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def client(demo: SimProcess, account: int, *, http2: bool = True) -> httpx.Client:
    return httpx.Client(
        base_url=agent_of(demo, account)["url"],
        http2=http2,
        verify=trust(demo),
        headers={"authorization": f"Bearer {token(demo, account)}"},
        timeout=BOUND_S,
    )


def get(demo: SimProcess, account: int, path: str, *, http2: bool = True) -> httpx.Response:
    with client(demo, account, http2=http2) as asking:
        return asking.get(path)


class RawH2:
    """The h2 library over a bare TLS socket: a client that shares no code with httpx."""

    def __init__(self, demo: SimProcess, account: int) -> None:
        raw = socket.create_connection(address(demo, account), timeout=BOUND_S)
        self.socket = trust(demo, "h2").wrap_socket(raw, server_hostname="127.0.0.1")
        assert self.socket.selected_alpn_protocol() == "h2"
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self._authority = f"127.0.0.1:{address(demo, account)[1]}"
        self._token = token(demo, account)
        self._flush()

    def __enter__(self) -> RawH2:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, path: str) -> int:
        """Send a request; its stream."""
        stream = self.h2.get_next_available_stream_id()
        headers = [(":method", "GET"), (":path", path), (":scheme", "https")]
        headers += [(":authority", self._authority), ("authorization", f"Bearer {self._token}")]
        self.h2.send_headers(stream, headers, end_stream=True)
        self._flush()
        return stream

    def until(self, kind: type[h2.events.Event] | None) -> list[h2.events.Event]:
        """What comes up to the first event of that kind, or to the end of the connection."""
        seen: list[h2.events.Event] = []
        while data := self.socket.recv(65_536):
            seen += self.h2.receive_data(data)
            self._flush()
            if kind is not None and any(isinstance(event, kind) for event in seen):
                break
        return seen

    def _flush(self) -> None:
        self.socket.sendall(self.h2.data_to_send())


def of_kind(seen: list[h2.events.Event], kind: type[h2.events.Event]) -> list[Any]:
    return [event for event in seen if isinstance(event, kind)]


def secure_socket(fleet: SimProcess) -> socket.socket:
    raw = socket.create_connection(address(fleet, FIRST), timeout=BOUND_S)
    return trust(fleet, "http/1.1").wrap_socket(raw, server_hostname="127.0.0.1")


def plain_socket(fleet: SimProcess) -> socket.socket:
    return socket.create_connection(address(fleet, FIRST), timeout=BOUND_S)
