"""The desk: sends orders, and finds out what became of them.

Why: `orders` decides in pure functions; this is the one place that obeys, with the
store, the lane and the clock. Belongs to the loop thread. May import `orders`, `plan`,
`policy`, `gateway`, `store` and below.
The trap: an order runs in a task of its own. Whoever waits for it may leave at any
moment; the send, its answer and its journal entry run to the end.
"""

from fleetkit.desk.desk import OrderDesk
from fleetkit.desk.planning import PlannedBatch, Wanted

__all__ = ["OrderDesk", "PlannedBatch", "Wanted"]
