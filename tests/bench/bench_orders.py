"""10,000 orders through faulty agents, 200 killings, and what an order costs beside its calls.

``pytest tests/bench/bench_orders.py``; fewer with ``FLEETKIT_STORM_ORDERS=1000``, another
storm with ``FLEETKIT_STORM_SEED=2``.
"""

from __future__ import annotations

import os
import statistics
from pathlib import Path

import pytest

import fleetkit as fk
from tests.support.killed_traders import kill_traders
from tests.support.order_storm import storm

ORDERS = int(os.environ.get("FLEETKIT_STORM_ORDERS", "10000"))
SEED = int(os.environ.get("FLEETKIT_STORM_SEED", "1"))
KILLS = int(os.environ.get("FLEETKIT_KILLS", "200"))

pytestmark = [pytest.mark.bench, pytest.mark.timeout(7200)]


@pytest.mark.parametrize("layer", ["base", "extended"])
def test_ten_thousand_orders(layer: str, tmp_path: Path, table) -> None:
    """None is executed twice, none is lost, none is told to be what it was not."""
    came = storm(
        tmp_path, ORDERS // 2, layer=layer, tls=layer == "extended", accounts=40, seed=SEED
    )
    print(came)
    assert came.violations == [], str(came)
    if layer == "extended":
        assert came.left_in_doubt == [], str(came)
    counts = came.counts
    table.add(
        f"{counts['orders']:,} orders through faulty {layer} agents, seed {SEED}",
        f"{counts['sent']:,} sent, {counts['executed']:,} executed",
        f"{counts['inferred']:,} inferred, {counts['unknown']:,} left unknown",
        "0 executed twice, lost, denied or invented",
        "0",
    )


@pytest.mark.parametrize("layer", ["base", "extended"])
def test_two_hundred_killings(layer: str, tmp_path: Path, table) -> None:
    """Each order that a killed process has sent is known to the next one."""
    came = kill_traders(tmp_path, KILLS // 2, layer=layer, seed=SEED)
    assert (came.violations, came.broken_words, came.unsettled) == ([], [], [])
    table.add(
        f"{KILLS // 2} kernels killed while they traded {layer} agents",
        f"{came.executed:,} orders executed",
        f"{came.in_doubt:,} in doubt after a killing, {len(came.left)} left",
        "0 lost",
        "0",
    )


@pytest.mark.parametrize("layer", ["base", "extended"])
def test_an_order_beside_its_calls(layer: str, table) -> None:
    """What fleetkit itself takes of an order, on loopback."""
    took_ms, calls_ms = [], []
    with (
        fk.demo(accounts=2, seed=7, layer=layer, progress=False) as fleet,
        fleet.armed(minutes=5, max_volume=100.0, max_orders=1000),
    ):
        account = int(fleet.accounts().index[0])
        for _ in range(50):
            receipt = fleet.open_position(account, "EURUSD", "buy", 0.01, again=True)
            receipt.raise_unless_filled()
            took_ms.append(receipt.timings.overhead_ms)
            calls_ms.append(receipt.timings.agent_ms)
    table.add(
        f"an order beside the {layer} agent's own calls",
        f"{statistics.median(took_ms):.1f} ms",
        f"calls {statistics.median(calls_ms):.1f} ms",
        "",
        "≤ 15 ms at the median",
    )
