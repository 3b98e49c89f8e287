"""`Plan`: orders that were shown and can be sent exactly so.

May import `desk` and `frames`. The trap: a plan ages; its prices are those of a moment,
and what it would be refused for may have changed since.
"""

from __future__ import annotations

from collections.abc import Callable

from fleetkit import frames
from fleetkit.desk import PlannedBatch
from fleetkit.frames import DataFrame
from fleetkit.trading import plan_html


class Plan:
    """What would be sent, and the way to send it.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per order.
    executed : bool
        Whether it was sent; it is sent once.
    """

    def __init__(self, batch: PlannedBatch) -> None:
        self.batch = batch
        self.frame: DataFrame = frames.plan_frame(batch.planned)
        self.executed = False
        self._execute: Callable[[Plan], DataFrame] | None = None

    @property
    def refused(self) -> int:
        """How many of the orders would be refused."""
        return sum(order.refusal is not None for order in self.batch.planned)

    def execute(self) -> DataFrame:
        """Send exactly what was shown, while it is fresh; a frame of receipts.

        Raises
        ------
        UsageError
            The plan was sent, is too old, or an order in it would be refused.
        """
        if self._execute is None:
            raise RuntimeError("await fleet.aio.execute_plan(plan) sends a plan in async code.")
        return self._execute(self)

    def __repr__(self) -> str:
        count = len(self.batch.planned)
        return f"<Plan {count} order{'s' * (count != 1)}, {self.refused} refused>"

    def _repr_html_(self) -> str:
        return plan_html(self.batch.planned)

    def bound(self, execute: Callable[[Plan], DataFrame]) -> Plan:
        """The same plan with a way to be executed by a plain call."""
        self._execute = execute
        return self
