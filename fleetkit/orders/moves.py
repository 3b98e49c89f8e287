"""The one move that many paths of an order's life share: to the journal.

Why: nothing is told before it is on disk, so every outcome goes this way. May import
`records` and `messages`. The trap: a state holds one pending entry; a second one would
lose the first, so nothing but `recorded` sets it.
"""

from __future__ import annotations

from fleetkit.orders.messages import Command, Journal
from fleetkit.orders.records import JournalEntry, OrderState, Phase, Settlement, Step

Stepped = tuple[OrderState, tuple[Command, ...]]


def recorded(state: OrderState, settlement: Settlement, what: Step = Step.OUTCOME) -> Stepped:
    """Have a settlement written down; `Journalled` is the next event that moves it."""
    entry = JournalEntry(what, settlement)
    return state.changed(phase=Phase.JOURNALLING, pending=entry), (Journal(entry),)
