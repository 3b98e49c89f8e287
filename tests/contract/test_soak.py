"""A fleet of which a tenth is always ill: right rows, and nothing that grows.

The same at 1,000 agents and 200 refreshes is in tests/bench/bench_soak.py.
"""

from __future__ import annotations

from pathlib import Path

from fleetkit.sim import SimProcess
from tests.support.soak import soak


def test_a_tenth_is_always_ill(tmp_path: Path, nothing_left_behind) -> None:
    """Every row says what its agent has, and keeps its last good balance."""
    with SimProcess.start(accounts=40, seed=7, keep_alive_s=60) as process:
        soaked = soak(process, tmp_path, refreshes=12, deadline_s=0.5)
    assert soaked.wrong == []
    assert soaked.sockets[1] <= soaked.sockets[0] + 4
    assert soaked.tasks[1] <= soaked.tasks[0]
