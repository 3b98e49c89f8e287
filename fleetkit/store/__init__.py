"""The embedded store: what must outlive a kernel and be shared by all of them.

Why: labels, bindings and the recovery budget belong to the accounts, not to one
notebook. May import `config`, `model`, `clock` and `errors`. Functions over a
connection are one transaction each; `Store.run` executes them on its own thread.
The trap: the connection belongs to that thread alone.
"""

from __future__ import annotations

from fleetkit.store.bindings import all_bindings, drop_binding, save_binding
from fleetkit.store.database import Store, change_stamp, data_version
from fleetkit.store.labels import all_labels, load_labels, set_phase, set_vs_group
from fleetkit.store.place import FILE_NAME, is_network_file_system, store_folder
from fleetkit.store.recoveries import claim_recovery

__all__ = [
    "FILE_NAME",
    "Store",
    "all_bindings",
    "all_labels",
    "change_stamp",
    "claim_recovery",
    "data_version",
    "drop_binding",
    "is_network_file_system",
    "load_labels",
    "save_binding",
    "set_phase",
    "set_vs_group",
    "store_folder",
]
