"""The two sides that a judge of orders compares: the journal on disk and the terminals.

The journal is read from the store itself, not through a fleet: what a frame leaves out
would be left out of the verdict as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pandas as pd

from fleetkit.sim import SimProcess
from fleetkit.sim.mishaps import Executed
from fleetkit.store import OrderEvent, OrderRow, Store, events, orders
from tests.support.order_judge import Foreign, Told, Truth

NEVER_ANSWERED = "unknown"  # an intent without an outcome may have gone out


def journal_of(home: Path) -> list[Told]:
    """Every order of a store."""
    with Store(home) as store:
        rows = store.orders.run_blocking(orders)
        lives = {
            row.terms.order_id: store.orders.run_blocking(
                lambda c, name=row.terms.order_id: events(c, name)
            )
            for row in rows
        }
    return [_told(row, lives[row.terms.order_id]) for row in rows]


def life_of(home: Path, order_id: str) -> str:
    """The events of one order, a line each."""
    with Store(home) as store:
        life = store.orders.run_blocking(lambda c: events(c, order_id))
    lines = [f"  {each.number} {each.state} at {each.at_s:.3f}: {each.facts}" for each in life]
    return "\n".join(lines)


def truth_of(
    process: SimProcess, positions: pd.DataFrame, foreign: frozenset[Foreign] = frozenset()
) -> Truth:
    """What every terminal executed, and what healthy agents list as open now."""
    accounts = [agent["account"] for agent in process.agents]
    executed = {number: process.persons.executed(number) for number in accounts}
    tickets = {
        number: frozenset(positions.index[positions["account"] == number]) for number in accounts
    }
    nets = frozenset(a["account"] for a in process.agents if a["margin_mode"] == "netting")
    return Truth(executed, tickets, foreign, nets)


def open_now(executed: Sequence[Executed], account: int) -> dict[int, Executed]:
    """Positions that an agent opened and did not close; a stop may have closed them since."""
    found: dict[int, Executed] = {}
    for each in executed:
        if each.account != account:
            continue
        if each.kind == "open":
            found[each.ticket] = each
        elif each.kind == "close" and each.ticket in found:
            was = found[each.ticket]
            left = round((was.volume or 0) - (each.volume or 0), 8)
            if left <= 0:
                del found[each.ticket]
            else:
                found[each.ticket] = msgspec.structs.replace(was, volume=left)
    return found


def _told(row: OrderRow, life: list[OrderEvent]) -> Told:
    terms, head = row.terms, row.head
    facts = head.facts
    return Told(
        order_id=terms.order_id,
        account=terms.account,
        kind=terms.kind,
        outcome=facts.outcome or NEVER_ANSWERED,
        evidence=facts.evidence or "none",
        ticket=terms.ticket if terms.ticket is not None else facts.ticket,
        volume=None if terms.volume is None else float(terms.volume),
        filled_volume=None if facts.filled_volume is None else float(facts.filled_volume),
        symbol=terms.symbol,
        side=terms.side,
        comment=terms.comment or "",
        retcode=facts.retcode,
        sent=facts.outcome != "not_sent",
        corrections=sum(each.state == "correcting" for each in life),
    )
