"""What a test may leave behind: nothing.

Why: a fleet is connected again by every re-run cell, so a thread or socket that
stays is one more each time. The trap: sockets close on the loop thread a turn
after their owner let go, so looking once is looking too early.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from dataclasses import dataclass

from fleetkit.loop import loop_thread

TURNS = 200
KEPT = {"fleetkit-loop"}  # one for the life of the process


@dataclass(frozen=True)
class Leftovers:
    """Threads and sockets of this process, tasks of the loop thread."""

    threads: frozenset[str]
    sockets: frozenset[str]
    tasks: int

    @classmethod
    def now(cls) -> Leftovers:
        """Look."""
        tasks = loop_thread().blocking(_count_tasks)  # first: it may have to start, sockets and all
        return cls(
            frozenset(
                f"{thread.name} {thread.ident}"
                for thread in threading.enumerate()
                if thread.name not in KEPT and thread is not threading.main_thread()
            ),
            frozenset(open_sockets()),
            tasks,
        )

    @classmethod
    def check(cls, before: Leftovers) -> None:
        """Give the loop thread some turns, and then insist."""
        for turn in range(TURNS):
            if turn:
                gc.collect()
            after = cls.now()
            if (
                after.threads <= before.threads
                and after.sockets <= before.sockets
                and after.tasks <= before.tasks
            ):
                return
        raise AssertionError(f"left behind: {after} was {before}")


async def _count_tasks() -> int:
    return len(asyncio.all_tasks())


def open_sockets() -> set[str]:
    """The inodes of this process's open sockets."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the listing's own
        if target.startswith("socket:"):
            found.add(target)
    return found
