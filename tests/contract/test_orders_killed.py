"""A trading process is killed at random moments: no executed order is lost with it.

Twenty killings, half of them on each layer; ``FLEETKIT_KILLS=200`` for more.
"""

from __future__ import annotations

import os

import pytest

from tests.support.killed_traders import kill_traders

KILLS = int(os.environ.get("FLEETKIT_KILLS", "20"))


@pytest.mark.timeout(120 + 6 * KILLS)
@pytest.mark.parametrize("layer", ["base", "extended"])
def test_killed_while_trading(layer, tmp_path, nothing_left_behind) -> None:
    """Executed is filled or unknown in the journal at once, and filled after reconciliation."""
    came = kill_traders(tmp_path, KILLS // 2 or 1, layer=layer, seed=5)
    assert came.violations == []
    assert came.broken_words == []
    assert came.unsettled == []
    assert came.executed > KILLS
    assert came.in_doubt > 0, "no killing hit an order in flight, so this has shown nothing"
    if layer == "extended":
        assert came.left == []
    inferred = {told.evidence for told in came.journal if told.outcome == "filled"}
    allowed = {"answer", "by_id"} if layer == "extended" else {"answer", "inferred", "history"}
    assert inferred <= allowed | {"balance"}
