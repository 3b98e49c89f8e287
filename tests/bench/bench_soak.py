"""1,000 agents, 100 of them ill at any time in eight ways, refreshed 200 times."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetkit.sim import SimProcess
from tests.support.soak import soak

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]


def test_two_hundred_refreshes(tmp_path: Path, table) -> None:
    """Right rows throughout; sockets, tasks and memory are what they were after settling."""
    with SimProcess.start(accounts=1000, seed=7, keep_alive_s=120, timeout_s=60) as process:
        soaked = soak(process, tmp_path, refreshes=200)
    assert soaked.wrong == []
    assert soaked.tasks[1] <= soaked.tasks[0]
    assert soaked.sockets[1] <= soaked.sockets[0] + 100
    table.add(
        "1,000 agents, 100 of them ill, refreshed 200 times",
        f"median {soaked.median_s:.1f} s with hanging ones in it",
        f"sockets {soaked.sockets[0]} → {soaked.sockets[1]}, tasks {soaked.tasks[0]} → "
        f"{soaked.tasks[1]}, memory {soaked.memory_mb[0]:.0f} → {soaked.memory_mb[1]:.0f} MB",
        "0 wrong rows",
        "nothing grows",
    )
