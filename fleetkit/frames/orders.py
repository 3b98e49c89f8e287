"""Frames of trading: the journal, receipts, and what a plan would send.

May import `kinds`, `schema` and `trading`. The trap: money and volumes are exact decimals
everywhere below; here they become float64, so nothing is ever compared or sent from here.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from fleetkit.frames.schema import ORDERS, PLAN, RECEIPTS
from fleetkit.trading import OrderLine, PlannedOrder, Receipt


def orders_frame(lines: Sequence[OrderLine]) -> pd.DataFrame:
    """One row per journalled order, indexed by ``order_id``, in the order given.

    Parameters
    ----------
    lines
        The orders; one that is under way has no outcome yet.
    """
    return ORDERS.frame(ORDERS.fill(lines))


def receipts_frame(receipts: Sequence[Receipt]) -> pd.DataFrame:
    """One row per receipt, indexed by ``order_id``, in the order given.

    A replayed receipt is the one of an earlier call, so that one id may be there twice.
    """
    arrays = RECEIPTS.fill(receipts, without=frozenset({"total_ms"}))
    total_ms = [receipt.timings.total_ms for receipt in receipts]
    return RECEIPTS.frame(arrays | {"total_ms": RECEIPTS.kind("total_ms").fill(total_ms)})


def plan_frame(planned: Sequence[PlannedOrder]) -> pd.DataFrame:
    """One row per planned order, in the order they would be sent.

    ``refusal`` is the sentence why one would not be sent, ``warnings`` all of its warnings
    as one text; both are missing where there is nothing to say.
    """
    arrays = PLAN.fill(planned, without=frozenset({"refusal", "warnings"}))
    refusals = [None if order.refusal is None else order.refusal.sentence for order in planned]
    warnings = [" ".join(order.warnings) or None for order in planned]
    texts = PLAN.kind("refusal")
    return PLAN.frame(arrays | {"refusal": texts.fill(refusals), "warnings": texts.fill(warnings)})
