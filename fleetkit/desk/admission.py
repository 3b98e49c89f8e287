"""Whether an order may go out, decided and written down in one transaction.

Why: two kernels that look at one arming at the same moment must not both be let in.
May import `store`, `policy`, `orders` and below. The trap: what is looked up here must
be looked up on the store's thread, inside the transaction that writes the intent.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import msgspec

from fleetkit import store
from fleetkit.model import Binding, MarginMode, Side
from fleetkit.orders.readings import BeforeSnapshot, SeenPosition
from fleetkit.policy import Arming, Held, Situation, may_send
from fleetkit.store import OrderRow
from fleetkit.trading import OrderKind, Outcome, PlannedOrder, Policies, Refusal, Rule

RULES: Final = {
    "not_armed": Rule.NOT_ARMED,
    "account": Rule.ARMED_SCOPE,
    "symbol": Rule.ARMED_SCOPE,
    "orders": Rule.ARMED_ORDERS,
    "volume": Rule.ARMED_VOLUME,
}


class Applicant(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an order outside of the store.

    ``positions`` are the account's, ``None`` where they were not read.
    """

    order: PlannedOrder
    binding: Binding
    margin_mode: MarginMode | None
    is_network_fs: bool | None
    positions: tuple[Held, ...] | None
    firm: str | None
    phase: str | None
    policies: Policies
    override: bool = False
    order_id: str = ""


def judge(connection: sqlite3.Connection, who: Applicant, now: datetime) -> Refusal | None:
    """Say why an order may not go out, or ``None``; counts nothing."""
    return may_send(
        who.order, _situation(connection, who, now), who.policies, now=now, override=who.override
    )


def admit(connection: sqlite3.Connection, who: Applicant, now: datetime) -> Refusal | None:
    """The same, and count an open against the live arming."""
    refusal = judge(connection, who, now)
    if refusal is not None or who.order.kind is not OrderKind.OPEN:
        return refusal
    now_s = now.timestamp()
    arming = store.live(connection, now_s)
    if arming is None or who.order.volume is None or who.order.symbol is None:
        return Refusal(Rule.NOT_ARMED, "The fleet is not armed any more.")
    spent = store.spend(
        connection,
        arming.arming_id,
        who.order_id,
        account=who.order.account,
        symbol=who.order.symbol,
        volume=who.order.volume,
        now_s=now_s,
    )
    if spent is None:
        return None
    return Refusal(RULES.get(spent.word, Rule.NOT_ARMED), spent.sentence)


def held(positions: Iterable[SeenPosition]) -> tuple[Held, ...]:
    """Open positions as policies see them."""
    return tuple(Held(symbol=each.symbol, side=each.side, volume=each.volume) for each in positions)


def held_before(before: BeforeSnapshot) -> tuple[Held, ...] | None:
    """What is open by a snapshot; ``None`` where an empty list is not to be believed (T2)."""
    vanished = before.known_tickets - (before.closed_ids or frozenset())
    return None if vanished and not before.positions else held(before.positions)


def live_arming_id(connection: sqlite3.Connection, now: datetime) -> str | None:
    """Which arming is live, if any."""
    arming = store.live(connection, now.timestamp())
    return None if arming is None else arming.arming_id


def _situation(connection: sqlite3.Connection, who: Applicant, now: datetime) -> Situation:
    order = who.order
    open_rows = [
        row
        for row in store.orders(connection, accounts=[order.account], open_only=True)
        if row.terms.kind == OrderKind.OPEN and row.terms.order_id != who.order_id
    ]
    return Situation(
        network_store=who.is_network_fs,
        binding=who.binding,
        margin_mode=who.margin_mode,
        halted=store.halted(connection) is not None,
        arming=_arming(connection, now),
        locked_by=tuple(_unknown(open_rows, order.symbol)),
        positions=who.positions,
        pending=tuple(_held(row) for row in open_rows),
        firm=who.firm,
        phase=who.phase,
    )


def _arming(connection: sqlite3.Connection, now: datetime) -> Arming | None:
    live = store.live(connection, now.timestamp())
    if live is None:
        return None
    return Arming(
        until=datetime.fromtimestamp(live.until_s, UTC),
        volume_left=live.volume_left,
        orders_left=live.orders_left,
        accounts=live.accounts,
        symbols=live.symbols,
    )


def _unknown(rows: Iterable[OrderRow], symbol: str | None) -> Iterable[str]:
    """Ids of opens of a symbol of which nobody knows whether they were executed."""
    for row in rows:
        unsure = row.head.facts.outcome in (None, Outcome.UNKNOWN)
        same = symbol is None or (row.terms.symbol or "").casefold() == symbol.casefold()
        if unsure and same:
            yield row.terms.order_id


def _held(row: OrderRow) -> Held:
    terms = row.terms
    return Held(
        symbol=terms.symbol or "",
        side=Side(terms.side or Side.BUY),
        volume=terms.volume or Decimal(0),
    )
