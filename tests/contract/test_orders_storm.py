"""A few hundred orders on each layer while everything goes wrong: none is lost or doubled.

10,000 of them: ``pytest tests/bench/bench_orders.py``.
"""

from __future__ import annotations

import pytest

from tests.support.order_storm import storm


@pytest.mark.parametrize(("layer", "tls"), [("base", False), ("extended", True)])
def test_no_order_is_lost_or_doubled(layer, tls, tmp_path, nothing_left_behind) -> None:
    """0 executed twice, without an entry, denied, or invented; ok is filled, no is rejected."""
    came = storm(tmp_path, 240, layer=layer, tls=tls, accounts=12, seed=11)
    assert came.violations == [], str(came)
    # It was a storm: orders went out, got through, failed and stayed in doubt for a while.
    assert came.counts["sent"] > 100, str(came)
    assert came.counts["executed"] > 60, str(came)
    assert came.counts["rejected"] > 0, str(came)
    assert came.counts["inferred" if layer == "base" else "not_executed"] > 0, str(came)
    if layer == "extended":
        assert came.left_in_doubt == [], str(came)


def test_a_calm_day(tmp_path, nothing_left_behind) -> None:
    """With healthy agents every order that is sent is filled, and no open stays unknown."""
    came = storm(tmp_path, 30, accounts=6, seed=3, calm=1.0)
    assert came.violations == [], str(came)
    # A position that an opposite order has netted away is not found, which is no refusal.
    assert [each for each in came.left_in_doubt if not each.startswith("close")] == []
