"""Loopback ports, and how many files the process may open for them.

Why: both servers need a port that can be shut and kept. Imports nothing of the
simulator. The trap: a socket that is bound and does not listen refuses
connections, and the port stays ours.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Final

from fleetkit.errors import DemoError

LOOPBACK: Final = "127.0.0.1"
SPARE_FILES: Final = 256  # what the process needs besides agents and their connections
FILES_PER_AGENT: Final = 10  # a door, and connections of a client with many lanes


def bound(port: int) -> socket.socket:
    """A socket at a port, any free one for 0, that refuses connections."""
    # The protocol is named: asyncio turns off the delay of small packets only then.
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    with contextlib.ExitStack() as undo:
        undo.callback(made.close)
        if os.name == "posix":
            # The port is taken again while old connections linger on it. On
            # Windows this option would let others steal the port.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setblocking(False)
        made.bind((LOOPBACK, port))
        undo.pop_all()
    return made


def allow_files(agents: int) -> None:
    """Raise the limit of open files for so many agents.

    Raises
    ------
    DemoError
        The system does not allow that many.
    """
    try:
        import resource
    except ImportError:
        return  # Windows has no such limit for sockets
    wanted = agents * FILES_PER_AGENT + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    reachable = wanted if hard == unlimited else min(wanted, hard)
    if soft not in (unlimited,) and soft < reachable:
        resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
        soft = reachable
    if soft != unlimited and soft < 2 * agents + SPARE_FILES:
        raise DemoError(
            f"{agents} agents need {2 * agents + SPARE_FILES} open files, {soft} are allowed: "
            "ask for fewer accounts, or raise the limit with `ulimit -n`."
        )
