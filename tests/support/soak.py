"""Many refreshes of a fleet of which a tenth is faulty: right rows, and nothing that grows.

Faults go round: every refresh some agents fall ill and others recover, so that every
path is taken again and again. The trap: what grows by a little is seen only after
things have settled, so the first refreshes are not counted.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

import fleetkit as fk
from fleetkit.clock import SystemClock
from fleetkit.loop import loop_thread
from fleetkit.sim import Faults, SimProcess
from tests.support.leftovers import open_sockets

SETTLING = 10  # refreshes until connections, caches and pools are what they will be
ILLNESSES: tuple[tuple[Faults, frozenset[str]], ...] = (
    (Faults(status_code=500), frozenset({"error"})),
    (Faults(disconnected=True), frozenset({"disconnected"})),
    (Faults(hang=True), frozenset({"timeout"})),
    (Faults(reset_in_body=True), frozenset({"error"})),
    (Faults(malformed_json=True), frozenset({"error"})),
    (Faults(answers_account=7_999_999), frozenset({"wrong_account"})),
    (Faults(refuse=True), frozenset({"offline"})),
    (Faults(html_error=True), frozenset({"error"})),
)
PAGE_BYTES = 4096
FIRST_TRIES = 20


@dataclass(frozen=True)
class Soaked:
    """What was there after settling and at the end, and what was wrong in between."""

    refreshes: int
    median_s: float
    sockets: tuple[int, int]
    tasks: tuple[int, int]
    memory_mb: tuple[float, float]
    wrong: list[str]

    def __str__(self) -> str:
        return (
            f"{self.refreshes} refreshes, median {self.median_s * 1000:.0f} ms; sockets "
            f"{self.sockets[0]} → {self.sockets[1]}, tasks {self.tasks[0]} → {self.tasks[1]}, "
            f"memory {self.memory_mb[0]:.0f} → {self.memory_mb[1]:.0f} MB"
        )


def soak(process: SimProcess, home: Path, refreshes: int, *, deadline_s: float = 2.0) -> Soaked:
    """Refresh a simulated fleet again and again while a tenth of it is ill."""
    ill_at_once = max(1, len(process.agents) // 10)
    timeouts = fk.Timeouts(read_deadline_s=deadline_s)
    # The breaker would leave the ill alone, and this is about asking them.
    quiet = fk.BreakerPolicy(failures=1_000_000)
    off = fk.RecoveryPolicy(enabled=False)
    agents = [dict(agent, time_zone="UTC") for agent in process.agents]
    with fk.connect(
        agents, home=home, progress=False, timeouts=timeouts, breaker=quiet, recovery=off
    ) as fleet:
        for _ in range(FIRST_TRIES):  # the simulator makes its history while it is asked
            whole = fleet.refresh()
            if not whole.attrs["missing"]:
                break
        balances = whole["balance"].to_dict()
        sick = Sick(process, ill_at_once)
        clock, wrong, took = SystemClock(), [], []
        settled: tuple[int, int, float] | None = None
        for number in range(refreshes + SETTLING):
            if number == SETTLING:
                settled = _counts()
            expected = sick.go_round()
            started = clock.elapsed()
            frame = fleet.refresh()
            took.append(clock.elapsed() - started)
            wrong += _mistakes(frame, expected, balances, number)
        process.faults.clear()
        last = fleet.refresh()
        wrong += _mistakes(last, {}, balances, refreshes + SETTLING)
        ended = _counts()
    assert settled is not None
    pairs = list(zip(settled, ended, strict=True))
    return Soaked(refreshes, median(took[SETTLING:]), pairs[0], pairs[1], pairs[2], wrong)


class Sick:
    """Which agents are ill now."""

    def __init__(self, process: SimProcess, at_once: int) -> None:
        self._process = process
        self._at_once = at_once
        self._names = itertools.cycle([agent["name"] for agent in process.agents])
        self._accounts = {agent["name"]: agent["account"] for agent in process.agents}
        self._illnesses = itertools.cycle(ILLNESSES)
        self._ill: list[str] = []

    def go_round(self) -> dict[int, frozenset[str]]:
        """Heal those who are ill, let the next ones fall ill; account → statuses expected."""
        for name in self._ill:
            self._process.faults.clear(name)
        self._ill = list(itertools.islice(self._names, self._at_once))
        expected = {}
        for name, (faults, statuses) in zip(self._ill, self._illnesses, strict=False):
            self._process.faults[name] = faults
            expected[self._accounts[name]] = statuses
        return expected


def _mistakes(
    frame: pd.DataFrame,
    expected: dict[int, frozenset[str]],
    balances: dict[Any, float],
    number: int,
) -> list[str]:
    found = []
    for account, row in frame.iterrows():
        statuses = expected.get(account, frozenset({"connected"}))
        source = "stale" if account in expected else "live"
        if row["status"] not in statuses or row["source"] != source:
            found.append(f"refresh {number}: {account} is {row['status']}, {row['source']}")
        if row["balance"] != balances[account]:
            found.append(f"refresh {number}: {account} shows {row['balance']}")
    if len(frame) != len(balances):
        found.append(f"refresh {number}: {len(frame)} rows")
    return found


def _counts() -> tuple[int, int, float]:
    gc.collect()
    tasks = loop_thread().blocking(_count_tasks)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return len(open_sockets()), tasks, pages * PAGE_BYTES / 1e6


async def _count_tasks() -> int:
    return len(asyncio.all_tasks())
