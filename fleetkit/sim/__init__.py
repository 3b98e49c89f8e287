"""A simulated fleet that speaks the base or the extended layer, and the faults it can have.

Why: what a client does when agents fail is worth a test in your own notebook
too, so faults are public data: ``fleet.demo.faults[7100012] = Faults(hang=True)``.
Stands beside the client and may import `agent`, `contract`, `model`, `clock`
and `errors` only. Importing this package loads no server.
The trap: faults live in the simulator's process; changing a record here changes
nothing until it is set.
"""

from __future__ import annotations

from fleetkit.sim.fault_control import FaultControl, SimAgent
from fleetkit.sim.faults import Faults, Latency
from fleetkit.sim.mishaps import Executed
from fleetkit.sim.persons import Persons
from fleetkit.sim.process import SimProcess

__all__ = [
    "Executed",
    "FaultControl",
    "Faults",
    "Latency",
    "Persons",
    "SimAgent",
    "SimProcess",
]
