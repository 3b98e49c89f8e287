"""The embedded store: what must outlive a kernel and be shared by all of them.

Why: labels, bindings and the recovery budget belong to the accounts, not to one
notebook; and no order may be lost with the kernel that sent it. May import `config`,
`model`, `clock` and `errors`. Functions over a connection are one transaction each;
`Store.run` executes those of labels, bindings and recoveries on their file's own thread,
`Store.orders.run` all others on theirs. The trap: a connection belongs to its thread alone.

Guarantees
----------
* When a function of journal, claims, arming or halt has returned, or the ``durable`` around
  it has ended, what it wrote is on the disk: neither a killed process nor a power cut undoes
  it. One that raised wrote nothing. Labels, bindings, recoveries and leases survive a killed
  process, and may be lost with the power, without harm to the rest.
* Of all processes on one ``FLEETKIT_HOME``, one writes an order id, one a key within an
  arming, one the next event of an order, and one has a ticket or an account's lease.
* What was journalled is never changed or deleted; triggers refuse it.
* An arming's limits hold for all processes together. A clock that is set back prolongs it
  only unseen, or by `clocks.CLOCK_TOLERANCE_S` at most after what was seen last.
* Several functions inside one ``with durable(connection):`` happen together or not at all.
* All of it rests on the locks of a local disk; see `Store.is_network_fs`.
"""

from __future__ import annotations

from fleetkit.store.arming import arm, disarm, find_arming, live, refund, spend
from fleetkit.store.arming_rules import Arming, Refusal
from fleetkit.store.bindings import all_bindings, drop_binding, save_binding
from fleetkit.store.claims import claim_ticket, claimed_tickets
from fleetkit.store.database import Database, change_stamp, data_version
from fleetkit.store.halting import Halt, all_halts, halt, halted, resume
from fleetkit.store.journal import (
    append_event,
    events,
    latest_with_key,
    order,
    order_with_key,
    orders,
    unsettled,
    write_intent,
)
from fleetkit.store.journal_records import (
    NO_FACTS,
    Facts,
    Head,
    Intent,
    OrderEvent,
    OrderExists,
    OrderMoved,
    OrderNotFound,
    OrderRecord,
    OrderRow,
    OrderTerms,
    TicketClaimed,
)
from fleetkit.store.labels import all_labels, load_labels, set_phase, set_vs_group
from fleetkit.store.leases import Lease, acquire, holds, lease_of, release, renew
from fleetkit.store.owner import Owner, is_alive, this_process
from fleetkit.store.place import (
    FILE_NAME,
    ORDERS_FILE_NAME,
    is_network_file_system,
    store_folder,
)
from fleetkit.store.recoveries import claim_recovery
from fleetkit.store.store import Store
from fleetkit.store.transaction import durable

__all__ = [
    "FILE_NAME",
    "NO_FACTS",
    "ORDERS_FILE_NAME",
    "Arming",
    "Database",
    "Facts",
    "Halt",
    "Head",
    "Intent",
    "Lease",
    "OrderEvent",
    "OrderExists",
    "OrderMoved",
    "OrderNotFound",
    "OrderRecord",
    "OrderRow",
    "OrderTerms",
    "Owner",
    "Refusal",
    "Store",
    "TicketClaimed",
    "acquire",
    "all_bindings",
    "all_halts",
    "all_labels",
    "append_event",
    "arm",
    "change_stamp",
    "claim_recovery",
    "claim_ticket",
    "claimed_tickets",
    "data_version",
    "disarm",
    "drop_binding",
    "durable",
    "events",
    "find_arming",
    "halt",
    "halted",
    "holds",
    "is_alive",
    "is_network_file_system",
    "latest_with_key",
    "lease_of",
    "live",
    "load_labels",
    "order",
    "order_with_key",
    "orders",
    "refund",
    "release",
    "renew",
    "resume",
    "save_binding",
    "set_phase",
    "set_vs_group",
    "spend",
    "store_folder",
    "this_process",
    "unsettled",
    "write_intent",
]
