"""The bench: ratios within one run, printed as a table; nothing here fails for being slow."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    work: str
    ours: str
    beside: str
    ratio: str
    goal: str


class Table:
    """Collects the rows of a run."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(self, work: str, ours: str, beside: str, ratio: str, goal: str) -> None:
        self.rows.append(Row(work, ours, beside, ratio, goal))


@dataclass(frozen=True)
class Pair:
    """Medians in seconds of two things timed in turn."""

    ours_s: float
    theirs_s: float

    @property
    def times_faster(self) -> float:
        return self.theirs_s / self.ours_s

    @property
    def times_the_time(self) -> float:
        return self.ours_s / self.theirs_s


def in_turn(
    benchmark, ours: Callable[[], object], theirs: Callable[[], object], rounds: int
) -> Pair:
    """Time two things A B A B, so that a machine that slows down slows down both."""
    theirs_s: list[float] = []

    def run_theirs() -> None:
        started = time.perf_counter()
        theirs()
        theirs_s.append(time.perf_counter() - started)

    benchmark.pedantic(ours, setup=run_theirs, rounds=rounds, warmup_rounds=1)
    return Pair(benchmark.stats.stats.median, statistics.median(theirs_s[1:]))


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.3g} ms"


_table = Table()


@pytest.fixture(scope="session")
def table() -> Table:
    """Where a bench puts its row."""
    return _table


@pytest.fixture(scope="session")
def lean_agents() -> Iterator[Callable[[int], list[int]]]:
    """Start N lean agents; returns their ports."""
    running: dict[int, tuple[subprocess.Popen[bytes], list[int]]] = {}

    def start(agents: int) -> list[int]:
        if agents not in running:
            process = subprocess.Popen(
                [sys.executable, str(HERE / "lean_server.py"), str(agents)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            assert process.stdout is not None
            running[agents] = (process, json.loads(process.stdout.readline()))
        return running[agents][1]

    yield start
    for process, _ in running.values():
        process.communicate(timeout=10)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the bench unless it is named on the command line."""
    if any("bench" in argument for argument in config.args):
        return
    ours = [item for item in items if HERE in item.path.parents]
    if ours:
        config.hook.pytest_deselected(items=ours)
        items[:] = [item for item in items if HERE not in item.path.parents]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _table.rows:
        return
    terminalreporter.section("fleetkit bench: ratios within this run")
    terminalreporter.line("| Work | fleetkit | Beside it | Ratio | Goal |")
    terminalreporter.line("|---|---|---|---|---|")
    for row in _table.rows:
        terminalreporter.line(
            f"| {row.work} | {row.ours} | {row.beside} | {row.ratio} | {row.goal} |"
        )
