"""Deals: adopted page by page, joined by ticket, and framed by a constant schema."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetkit import frames
from fleetkit.contract import DealWire
from fleetkit.frames import DealBlock, DealsPart, FrameError, deals_frame
from fleetkit.model import Source

NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)

gentle = settings(deadline=None, max_examples=50)


def deal(ticket: int, time: str = "2026-02-01T10:00:00Z", **more: Any) -> DealWire:
    return DealWire(**{"ticket": ticket, "time": time, "type": 0, "entry": 0} | more)


def block(*deals: DealWire, zone: ZoneInfo | None = None) -> DealBlock:
    return DealBlock.from_wire(list(deals), zone)


def framed(*blocks: DealBlock) -> pd.DataFrame:
    return deals_frame(
        [DealsPart(7100012 + i, part, NOON, 1.5, Source.LIVE) for i, part in enumerate(blocks)]
    )


int64 = st.integers(-(2**63), 2**63 - 1)
wires = st.builds(
    deal,
    st.integers(0, 6),
    time=st.sampled_from(["2026-02-01T10:00:00Z", "2026-01-01T10:00:00", "2026-01-15 10:00+02:00"]),
    type=st.integers(0, 20) | int64,
    entry=st.integers(0, 4) | int64,
    reason=st.none() | st.integers(0, 12) | int64,
    order=st.none() | st.integers(0, 2**63 - 1),
    magic=st.none() | int64,
    symbol=st.none() | st.sampled_from(["", "EURUSD", "XAU\nUSD"]),
    profit=st.none() | st.floats(-1e6, 1e6),
    comment=st.none() | st.text(max_size=4),
)


@gentle
@given(st.lists(st.lists(wires, max_size=4), max_size=3))
def test_the_schema_does_not_depend_on_the_deals(parts: list[list[DealWire]]) -> None:
    """Columns, dtypes and categories are those of no deal at all; the newest comes first."""
    frame, empty = framed(*(block(*deals) for deals in parts)), deals_frame([])
    assert list(frame.columns) == frames.DEALS.names
    assert frame.dtypes.to_dict() == empty.dtypes.to_dict() == frames.DEALS.dtypes
    assert frame.index.name == empty.index.name == "deal"
    assert frame.index.dtype == empty.index.dtype == "int64"
    assert frame["time"].is_monotonic_decreasing


def test_the_columns_are_the_ones_of_the_design() -> None:
    """In the documented order, with MetaTrader's words as categories."""
    assert " ".join(frames.DEALS.names) == (
        "account order position_id time type entry reason symbol volume price profit swap "
        "commission fee effect magic comment as_of age_s source"
    )
    frame = deals_frame([])
    assert list(frame["entry"].cat.categories) == ["in", "out", "inout", "out_by"]
    assert "commission_agent_monthly" in frame["type"].cat.categories
    assert list(frame["reason"].cat.categories)[3:7] == ["expert", "sl", "tp", "so"]


@gentle
@given(st.lists(wires, max_size=8), st.lists(wires, max_size=8))
def test_merging_keeps_each_ticket_once_and_the_newer_word(
    newer: list[DealWire], older: list[DealWire]
) -> None:
    """Late deals come in, re-typed ones replace what was known, none is lost or doubled."""
    merged = framed(block(*newer).merge(block(*older)))
    assert merged.index.is_unique
    assert set(merged.index) == {deal.ticket for deal in (*newer, *older)}
    told = framed(block(*newer))
    for ticket in told.index[~told.index.duplicated(keep=False)]:
        assert merged.loc[ticket].equals(told.loc[ticket])


def test_an_unknown_part_counts_as_nothing_in_the_effect() -> None:
    """The column of that part stays missing."""
    frame = framed(block(deal(1, profit=10.0, commission=-3.5)))
    assert frame["effect"].tolist() == [6.5]
    assert frame[["swap", "fee"]].isna().all().all()


def test_numbers_beyond_what_floats_hold_are_exact() -> None:
    """Tickets and magics of 64 bits, with and without gaps in their column."""
    magic = -(2**63) + 1
    frame = framed(block(deal(2**63 - 1, magic=magic), deal(1, magic=None)))
    assert frame.index.max() == 2**63 - 1
    assert frame["magic"].dropna().tolist() == [magic]


def test_since_keeps_the_deals_made_then_or_later() -> None:
    """The bound itself is in."""
    both = block(deal(1), deal(2, "2026-01-01T10:00:00Z"))
    assert len(both.since(datetime(2026, 2, 1, 10, tzinfo=UTC))) == 1
    assert len(both.since(datetime(2026, 2, 1, 10, 0, 1, tzinfo=UTC))) == 0
    assert both.newest == datetime(2026, 2, 1, 10, tzinfo=UTC)
    assert repr(both).startswith("<DealBlock 2 deals, newest 2026-02-01 10:00 UTC")


def test_wall_clock_of_a_zone_becomes_utc_and_is_known_for_it() -> None:
    """As in a trade history."""
    local = block(deal(1, "2026-07-01T12:00:00"), zone=ZoneInfo("Europe/Athens"))
    assert framed(local)["time"].iloc[0] == pd.Timestamp("2026-07-01 09:00", tz="UTC")
    assert (local.is_naive, block(deal(1)).is_naive) == (True, False)


def test_a_malformed_time_is_an_error_with_its_place() -> None:
    """In the list it stands in."""
    with pytest.raises(FrameError, match="is no date and time") as raised:
        block(deal(1), deal(2, "2026-02-30T10:00:00Z"))
    assert raised.value.json_path == "$.deals[1].time"


def test_a_frame_can_be_written_to_and_its_block_cannot() -> None:
    """Changing a frame changes neither the block nor another frame of it."""
    kept = block(deal(1, profit=1.0, symbol="EURUSD", comment="c", order=5))
    frame = framed(kept)
    changes = {"profit": 0.0, "symbol": "x", "type": "sell", "order": 1, "comment": "x"}
    for name, value in changes.items():
        frame.loc[1, name] = value
    again = framed(kept).loc[1]
    assert again[["profit", "symbol", "type", "order", "comment"]].tolist() == [
        1.0,
        "EURUSD",
        "buy",
        5,
        "c",
    ]
