"""The public faces: `Fleet`, `AioFleet`, and `connect`.

Why: reading the classes is reading the API. May import `aio` and below. The trap:
nothing is implemented here; what does more than hand over to the loop thread belongs
in the core.
"""

from fleetkit.aio.plans import Plan
from fleetkit.fleet.caches import AioFleetCache, FleetCache
from fleetkit.fleet.connecting import connect, connect_as
from fleetkit.fleet.faces import AioFleet, Fleet
from fleetkit.fleet.waiting import Behind, behind

__all__ = [
    "AioFleet",
    "AioFleetCache",
    "Behind",
    "Fleet",
    "FleetCache",
    "Plan",
    "behind",
    "connect",
    "connect_as",
]
