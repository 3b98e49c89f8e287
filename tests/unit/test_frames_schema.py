"""Frames from records: one constant schema, and nothing unknown becomes a zero."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetkit import frames
from fleetkit.frames import Schema
from fleetkit.model import (
    Account,
    AccountStatus,
    AgentInfo,
    AgentStatus,
    Binding,
    Breaker,
    Diagnosis,
    Label,
    Position,
    Side,
    Source,
    StopsUnit,
)
from fleetkit.trading import (
    Evidence,
    OrderKind,
    OrderLine,
    Outcome,
    PlannedOrder,
    Receipt,
    Refusal,
    Rule,
    Timings,
)

NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)

# How long pandas takes is no property of it; a frame costs a millisecond.
gentle = settings(deadline=None, max_examples=50)

text = st.none() | st.text(max_size=8)
money = st.none() | st.floats(allow_nan=False, allow_infinity=False)
count = st.none() | st.integers(0, 2**63 - 1)
moment = st.none() | st.datetimes(timezones=st.just(UTC))
number = st.integers(0, 2**63 - 1)

accounts = st.builds(
    Account,
    account=number,
    agent=st.text(max_size=8),
    status=st.sampled_from(AccountStatus),
    source=st.sampled_from(Source),
    name=text,
    currency=text,
    leverage=count,
    balance=money,
    equity=money,
    days_operating=count,
    has_open_position=st.none() | st.booleans(),
    as_of=moment,
    age_s=money,
    error=text,
)
positions = st.builds(
    Position,
    ticket=number,
    account=number,
    symbol=st.text(max_size=8),
    side=st.sampled_from(Side),
    volume=st.floats(0, 1e6),
    open_time=moment,
    open_price=st.floats(0, 1e6),
    current_price=money,
    sl=money,
    tp=money,
    profit=money,
    swap=money,
    commission=money,
    magic=count,
    comment=text,
    order_id=text,
)
agents = st.builds(
    AgentInfo,
    agent=st.text(max_size=8),
    url=st.text(max_size=8),
    account=st.none() | number,
    binding=st.sampled_from(Binding),
    status=st.sampled_from(AgentStatus),
    breaker=st.sampled_from(Breaker),
    latency_p50_ms=money,
    last_ok=moment,
    last_error=text,
)
diagnoses = st.builds(
    Diagnosis,
    agent=st.text(max_size=8),
    url=st.text(max_size=8),
    account=st.none() | number,
    reachable=st.booleans(),
    status=st.sampled_from(AgentStatus),
    latency_ms=money,
    advice=text,
)
lots = st.none() | st.decimals(0, 10**6, places=2)
asked = {
    "account": number,
    "kind": st.sampled_from(OrderKind),
    "symbol": text,
    "side": st.none() | st.sampled_from(Side),
    "volume": lots,
    "ticket": count,
}
found = {
    "order_id": st.text(max_size=8),
    "filled_volume": lots,
    "price": money,
    "reason": st.text(max_size=8),
    "retcode": count,
    "stops_ok": st.none() | st.booleans(),
    "evidence": st.sampled_from(Evidence),
}
orders = st.builds(
    OrderLine,
    created_at=st.datetimes(timezones=st.just(UTC)),
    outcome=st.none() | st.sampled_from(Outcome),
    sent_at=moment,
    settled_at=moment,
    pair_id=text,
    **asked,
    **found,
)
receipts = st.builds(
    Receipt,
    agent=st.text(max_size=8),
    outcome=st.sampled_from(Outcome),
    sl=money,
    tp=money,
    retryable=st.booleans(),
    replayed=st.booleans(),
    timings=st.builds(Timings, total_ms=money),
    **asked,
    **found,
)
planned = st.builds(
    PlannedOrder,
    agent=st.text(max_size=8),
    asked_volume=lots,
    entry=lots,
    sl_price=lots,
    tp_money=lots,
    stops_unit=st.none() | st.sampled_from(StopsUnit),
    risk=lots,
    refusal=st.none() | st.builds(Refusal, st.sampled_from(Rule), st.text(max_size=8)),
    warnings=st.lists(st.text(min_size=1, max_size=8), max_size=2).map(tuple),
    **asked,
)


def parts_of(rows: list[Position]) -> list[frames.PositionsPart]:
    return [frames.PositionsPart(7100012, rows, NOON, 1.5, Source.LIVE)] if rows else []


BUILDERS: list[tuple[Schema, st.SearchStrategy[Any], Callable[[list[Any]], pd.DataFrame]]] = [
    (frames.ACCOUNTS, accounts, frames.accounts_frame),
    (
        frames.POSITIONS,
        positions,
        lambda rows: frames.positions_frame(parts_of(rows)),
    ),
    (frames.AGENTS, agents, frames.agents_frame),
    (frames.DOCTOR, diagnoses, frames.doctor_frame),
    (frames.ORDERS, orders, frames.orders_frame),
    (frames.RECEIPTS, receipts, frames.receipts_frame),
    (frames.PLAN, planned, frames.plan_frame),
]

# What a builder works out, so that it is no attribute of the record.
DERIVED: dict[int, set[str]] = {
    id(frames.POSITIONS): {"account", "as_of", "age_s", "source"},
    id(frames.RECEIPTS): {"total_ms"},
    id(frames.PLAN): {"refusal", "warnings"},
}


def shape(frame: pd.DataFrame) -> tuple[Any, ...]:
    """Everything that must not depend on the rows."""
    categories = [
        list(frame[name].cat.categories) for name in frame if frame[name].dtype == "category"
    ]
    index = frame.index
    return list(frame.columns), list(map(str, frame.dtypes)), categories, index.name, index.dtype


@pytest.mark.parametrize(("schema", "records", "build"), BUILDERS)
@gentle
@given(data=st.data())
def test_the_schema_does_not_depend_on_the_rows(
    schema: Schema, records: Any, build: Any, data: st.DataObject
) -> None:
    """Columns, order, dtypes and categories are those of the empty frame, whatever is in it."""
    rows = data.draw(st.lists(records, max_size=4))
    frame = build(rows)
    assert shape(frame) == shape(build([]))
    assert list(frame.columns) == schema.names
    assert {name: frame[name].dtype for name in frame} == schema.dtypes
    assert len(frame) == len(rows)


@pytest.mark.parametrize(("schema", "records", "build"), BUILDERS)
@gentle
@given(data=st.data())
def test_a_record_comes_back_from_its_frame(
    schema: Schema, records: Any, build: Any, data: st.DataObject
) -> None:
    """Every figure is the record's; what is None there is missing here, and nothing else is."""
    rows = data.draw(st.lists(records, min_size=1, max_size=4))
    frame = build(rows).reset_index()
    for name in set(schema.names) - DERIVED.get(id(schema), set()):
        for record, seen in zip(rows, frame[name], strict=True):
            value = getattr(record, name)
            value = float(value) if isinstance(value, Decimal) else value
            assert pd.isna(seen) if value is None else seen == value


def test_the_columns_are_the_ones_of_the_design() -> None:
    """The documented columns, in the documented order and with the documented dtypes."""
    assert " ".join(frames.ACCOUNTS.names) == (
        "agent status name holder firm server currency leverage balance credit equity profit "
        "margin margin_free margin_level initial_balance pnl pnl_pct residual days_operating "
        "has_open_position phase vs_group as_of age_s source error"
    )
    assert " ".join(frames.POSITIONS.names) == (
        "account symbol side volume open_time open_price current_price sl tp profit swap "
        "commission magic comment order_id as_of age_s source"
    )
    assert " ".join(frames.AGENTS.names) == (
        "account binding url status capabilities http_version breaker failures recoveries "
        "latency_p50_ms latency_p95_ms requests connections clock_skew_s last_ok last_error"
    )
    assert " ".join(frames.TRADES.names) == (
        "account position_id symbol side volume entry_time exit_time duration entry_price "
        "exit_price pips profit swap commission fee net comment order_id as_of age_s source"
    )
    assert " ".join(frames.ORDERS.names) == (
        "account kind symbol side volume outcome filled_volume ticket price reason retcode "
        "stops_ok evidence created_at sent_at settled_at pair_id"
    )
    assert " ".join(frames.RECEIPTS.names) == (
        "account kind symbol side volume outcome filled_volume ticket price sl tp stops_ok "
        "evidence reason retcode retryable replayed total_ms"
    )
    assert " ".join(frames.PLAN.names) == (
        "account agent kind symbol side ticket asked_volume volume entry sl_price sl_pips "
        "sl_money tp_price tp_pips tp_money stops_unit spread_cost risk margin refusal warnings"
    )
    frame = frames.accounts_frame([])
    kinds = {str(frame[name].dtype) for name in frame}
    assert kinds == {"str", "category", "Int64", "float64", "boolean", "datetime64[us, UTC]"}
    assert frame.index.dtype == "int64"


def test_times_of_any_zone_are_the_same_instant() -> None:
    """A time with an offset shows as its instant in UTC."""
    athens = NOON.astimezone(timezone(timedelta(hours=2)))
    row = Account(
        account=1, agent="a", status=AccountStatus.CONNECTED, source=Source.LIVE, as_of=athens
    )
    assert frames.accounts_frame([row])["as_of"].iloc[0] == pd.Timestamp(NOON)


def test_positions_of_several_accounts_carry_their_accounts_age() -> None:
    """Account, as_of, age and source are the part's; an empty part gives no row."""
    one = Position(
        ticket=1,
        account=7,
        symbol="EURUSD",
        side=Side.SELL,
        volume=0.5,
        open_time=None,
        open_price=1.08,
        current_price=None,
        sl=None,
        tp=None,
        profit=None,
        swap=None,
        commission=None,
    )
    parts = [
        frames.PositionsPart(7, [one, one], NOON, 1.5, Source.LIVE),
        frames.PositionsPart(8, [], NOON, 2.5, Source.LIVE),
        frames.PositionsPart(9, [one], None, None, Source.STALE),
    ]
    frame = frames.positions_frame(parts)
    assert frame["account"].tolist() == [7, 7, 9]
    assert frame["source"].tolist() == ["live", "live", "stale"]
    assert frame["age_s"].tolist()[:2] == [1.5, 1.5]
    assert frame[["as_of", "age_s"]].iloc[2].isna().all()


def test_labels_are_indexed_by_account() -> None:
    """One row per account, empty or not with the same dtypes."""
    frame = frames.labels_frame({7100012: Label("F2", "pair"), 7100013: Label()})
    assert frame.loc[7100012].tolist() == ["F2", "pair"]
    assert shape(frame) == shape(frames.labels_frame({}))


@pytest.fixture
def cached() -> pd.DataFrame:
    rows = [
        Account(
            account=number,
            agent="a",
            status=AccountStatus.CONNECTED,
            source=Source.CACHE,
            name="n",
            balance=1.0,
            leverage=100,
            has_open_position=True,
            as_of=NOON,
            age_s=0.0,
        )
        for number in range(3)
    ]
    frame = frames.accounts_frame(rows)
    frame.attrs["missing"] = ["7100012: no answer"]
    return frame


def test_other_ages_are_the_only_difference(cached: pd.DataFrame) -> None:
    """All but the age is as cached, `attrs` included, and the cached frame keeps its age."""
    aged = frames.with_ages(cached, np.array([1.0, 2.0, np.nan]))
    assert aged["age_s"].tolist()[:2] == [1.0, 2.0]
    assert cached["age_s"].tolist() == [0.0, 0.0, 0.0]
    pd.testing.assert_frame_equal(aged.drop(columns="age_s"), cached.drop(columns="age_s"))
    assert shape(aged) == shape(cached)
    assert aged.attrs == {"missing": ["7100012: no answer"]}


CHANGES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "figure": lambda frame: frame.__setitem__("balance", -1.0),
    "cell": lambda frame: frame.loc.__setitem__((0, "balance"), -1.0),
    "text": lambda frame: frame.loc.__setitem__((0, "name"), "changed"),
    "word": lambda frame: frame.loc.__setitem__((0, "status"), "error"),
    "count": lambda frame: frame.loc.__setitem__((0, "leverage"), 1),
    "flag": lambda frame: frame.loc.__setitem__((0, "has_open_position"), False),
    "time": lambda frame: frame.loc.__setitem__((0, "as_of"), pd.Timestamp(0, tz="UTC")),
    "age": lambda frame: frame.loc.__setitem__((0, "age_s"), -1.0),
    "column": lambda frame: frame.pop("phase"),
    "index": lambda frame: frame.__setattr__("index", range(3)),
    "index name": lambda frame: frame.index.__setattr__("name", "changed"),
    "column names": lambda frame: frame.columns.__setattr__("name", "changed"),
    "attrs": lambda frame: frame.attrs["missing"].append("changed"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_to_one_copy_stays_in_it(cached: pd.DataFrame, change: str) -> None:
    """Whatever is written into a copy, the cached frame and every other copy do not see it."""
    ages = np.ones(3)
    first, second = frames.with_ages(cached, ages), frames.with_ages(cached, ages)
    before = cached.copy(deep=True)
    CHANGES[change](first)
    third = frames.with_ages(cached, ages)
    pd.testing.assert_frame_equal(cached, before)
    assert cached.attrs == second.attrs == third.attrs == {"missing": ["7100012: no answer"]}
    pd.testing.assert_frame_equal(second, third)
    assert cached.index.name == second.index.name == "account"
    assert cached.columns.name is None


def test_ages_are_copied_not_kept(cached: pd.DataFrame) -> None:
    """The array of ages may be used again by whoever made it."""
    ages = np.ones(3)
    aged = frames.with_ages(cached, ages)
    ages[:] = 9.0
    assert aged["age_s"].tolist() == [1.0, 1.0, 1.0]
