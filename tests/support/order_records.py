"""Any intent and any settlement, for tests that let hypothesis think of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from fleetkit.model import MarginMode, Side
from fleetkit.orders.readings import BeforeSnapshot, SeenPosition
from fleetkit.orders.records import Intent, Settlement
from fleetkit.trading import Evidence, OrderKind, Outcome
from tests.support.order_store import order_id

NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)

tickets = st.integers(1, 2**63 - 1)
lots = st.decimals("0.00000001", "100000", allow_nan=False, places=None)
prices = st.floats(0, 1e12, allow_nan=False)
exact = st.decimals("-1e12", "1e12", allow_nan=False, allow_infinity=False)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
moments = st.timedeltas(timedelta(days=-9_000), timedelta(days=9_000)).map(lambda ago: NOON + ago)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


positions = st.builds(
    SeenPosition,
    ticket=tickets,
    symbol=words,
    side=st.sampled_from(Side),
    volume=lots,
    sl=maybe(exact),
    tp=maybe(exact),
    open_time=maybe(moments),
    open_price=maybe(prices),
)
snapshots = st.builds(
    BeforeSnapshot,
    account=tickets,
    as_of=moments,
    margin_mode=st.sampled_from(MarginMode),
    positions=st.lists(positions, max_size=3).map(tuple),
    balance=maybe(exact),
    closed_ids=maybe(st.frozensets(tickets, max_size=3)),
    known_tickets=st.frozensets(tickets, max_size=3),
    closed_volume=lots,
    zone_known=st.booleans(),
)
intents = st.builds(
    Intent,
    order_id=st.just(order_id(1)),
    account=st.integers(1, 2**63 - 1),
    agent=words,
    kind=st.sampled_from(OrderKind),
    created_at=moments,
    symbol=maybe(words),
    side=maybe(st.sampled_from(Side)),
    volume=maybe(lots),
    ticket=maybe(tickets),
    sl=maybe(exact),
    tp=maybe(exact),
    stops_tolerance=exact,
    by_id=st.booleans(),
    capabilities=st.frozensets(words, max_size=3),
    before=maybe(snapshots),
    deadline_s=prices,
    grace_s=prices,
    skew_s=prices,
)
settlements = st.builds(
    Settlement,
    outcome=st.sampled_from(Outcome),
    evidence=st.sampled_from(Evidence),
    reason=words,
    retcode=maybe(st.integers(0, 100_000)),
    retryable=st.booleans(),
    ticket=maybe(tickets),
    filled_volume=maybe(lots),
    price=maybe(prices),
    sl=maybe(prices),
    tp=maybe(prices),
    stops_ok=maybe(st.booleans()),
    candidates=st.lists(tickets, max_size=3).map(tuple),
    partly=st.booleans(),
    received=st.booleans(),
    id_conflict=st.booleans(),
)
