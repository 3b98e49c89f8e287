"""Trades: adopted column by column, merged without loss, and framed by a constant schema."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetkit import frames
from fleetkit.contract import TradeWire
from fleetkit.frames import FrameError, TradeBlock, TradesPart, trades_frame
from fleetkit.model import Source

NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)

# How long pandas takes is no property of it; a frame costs a millisecond.
gentle = settings(deadline=None, max_examples=50)
ATHENS = ZoneInfo("Europe/Athens")
EPOCH = datetime.fromisoformat("1975-01-01")  # naive on purpose: wall clock of some zone


def trade(**given: Any) -> TradeWire:
    fields: dict[str, Any] = {
        "symbol": "EURUSD",
        "side": "BUY",
        "lot": 0.5,
        "profit": 61.5,
        "entry_time": "2026-02-01T08:00:00",
        "exit_time": "2026-02-01T09:30:00",
        "entry_price": 1.08412,
        "exit_price": 1.08535,
        "position_id": 5512345,
        "pips": 12.3,
        "commission": -3.5,
    }
    return TradeWire(**(fields | given))


def block(*trades: TradeWire, zone: ZoneInfo | None = None) -> TradeBlock:
    return TradeBlock.from_wire(list(trades), zone)


def framed(*blocks: TradeBlock) -> pd.DataFrame:
    return trades_frame(
        [TradesPart(7100012 + i, part, NOON, 1.5, Source.LIVE) for i, part in enumerate(blocks)]
    )


def held(trades: TradeBlock) -> Counter[tuple[Any, ...]]:
    """The trades of a block without their order, as a multiset."""
    frame = framed(trades).drop(columns=["account", "as_of", "age_s", "source"])
    rows = frame.astype(object).where(frame.notna(), None).itertuples(index=False, name=None)
    return Counter(rows)


# A few values each, so that trades meet, repeat and contradict each other often.
wires = st.builds(
    trade,
    position_id=st.none() | st.integers(1, 4),
    side=st.sampled_from(["BUY", "sell"]),
    profit=st.sampled_from([1.0, -2.0]),
    pips=st.sampled_from([None, 3.0]),
    symbol=st.sampled_from(["EURUSD", "XAUUSD"]),
    exit_time=st.sampled_from(
        ["2026-02-01T09:30:00", "2026-02-01 09:30:01.5", "2026-01-31T23:00:00Z"]
    ),
)
blocks = st.lists(wires, max_size=6).map(lambda trades: block(*trades))


def test_a_trade_in_every_column() -> None:
    """Names, words, units and the derived columns of one trade of a base agent."""
    row = framed(block(trade())).iloc[0]
    assert row["account"] == 7100012
    assert row["position_id"] == 5512345
    assert (row["symbol"], row["side"], row["volume"]) == ("EURUSD", "buy", 0.5)
    assert row["entry_time"] == pd.Timestamp("2026-02-01 08:00", tz="UTC")
    assert row["duration"] == pd.Timedelta(minutes=90)
    assert (row["profit"], row["commission"], row["net"]) == (61.5, -3.5, 58.0)
    assert row[["swap", "fee", "comment", "order_id"]].isna().all()
    assert (row["as_of"], row["age_s"], row["source"]) == (pd.Timestamp(NOON), 1.5, "live")


@gentle
@given(st.lists(st.lists(wires, max_size=4), max_size=3))
def test_the_schema_does_not_depend_on_the_trades(parts: list[list[TradeWire]]) -> None:
    """Columns, dtypes, categories and the range index are those of no trade at all."""
    frame, empty = framed(*(block(*trades) for trades in parts)), trades_frame([])
    assert list(frame.columns) == frames.TRADES.names
    assert frame.dtypes.to_dict() == empty.dtypes.to_dict() == frames.TRADES.dtypes
    assert list(frame["side"].cat.categories) == ["buy", "sell"]
    assert isinstance(frame.index, pd.RangeIndex)
    assert frame["exit_time"].is_monotonic_decreasing


def test_a_large_block_is_adopted_in_pieces_without_a_seam() -> None:
    """Trades beyond one piece keep order, values and the number in an error's path."""
    trades = [
        trade(
            position_id=number,
            symbol=f"S{number // 9000}",
            exit_time=(EPOCH - timedelta(seconds=number)).isoformat(),
        )
        for number in range(20_000)
    ]
    frame = framed(TradeBlock.from_wire(trades, None))
    assert frame["position_id"].tolist() == list(range(20_000))
    assert frame["symbol"].tolist() == [f"S{number // 9000}" for number in range(20_000)]
    trades[19_999] = trade(exit_time="soon")
    with pytest.raises(FrameError) as raised:
        TradeBlock.from_wire(trades, None)
    assert raised.value.json_path == "$.trades[19999].exit_time"


def test_a_frame_can_be_written_to_and_its_block_cannot() -> None:
    """Changing a frame changes neither the block nor another frame of it."""
    kept = block(trade())
    frame = framed(kept)
    for name, value in {
        "profit": 0.0,
        "symbol": "x",
        "side": "sell",
        "swap": 1.0,
        "position_id": 1,
        "exit_time": pd.Timestamp(0, tz="UTC"),
        "duration": pd.Timedelta(0),
        "net": 0.0,
        "account": 1,
        "age_s": 0.0,
    }.items():
        frame.loc[0, name] = value
    again = framed(kept)
    assert again.loc[0, "profit"] == 61.5
    assert again.loc[0, "exit_time"] == pd.Timestamp("2026-02-01 09:30", tz="UTC")
    assert again.loc[0, "side"] == "buy"
    assert pd.isna(again.loc[0, "swap"])


@pytest.mark.parametrize("word", ["BUY", "buy", "Buy"])
def test_sides_in_any_case(word: str) -> None:
    """However an agent spells it, a buy is a buy."""
    assert framed(block(trade(side="SELL"), trade(side=word, position_id=1)))["side"].tolist() == [
        "sell",
        "buy",
    ]


@pytest.mark.parametrize("word", ["", "HOLD", "BUY ", "0"])
def test_an_unknown_side_is_an_error_with_its_place(word: str) -> None:
    """A word that is no side is named, with the trade it stands in."""
    with pytest.raises(FrameError, match="is no side") as raised:
        block(trade(), trade(side=word))
    assert raised.value.json_path == "$.trades[1].side"


@pytest.mark.parametrize(
    "written",
    [
        "2026-02-01T09:30:00",
        "2026-02-01 09:30:00",
        "2026-02-01T09:30:00.000000",
        "2026-02-01T09:30:00.000",
        "2026-02-01T09:30:00.0000000",
        "2026-02-01T09:30:00Z",
        "2026-02-01T11:30:00+02:00",
        "2026-02-01 04:30:00.000-0500",
        "2026-02-01T09:30",
    ],
)
def test_times_as_agents_write_them(written: str) -> None:
    """Separator, fraction and offset may vary, alone and among others; the instant does not."""
    expected = pd.Timestamp("2026-02-01 09:30", tz="UTC")
    assert framed(block(trade(exit_time=written)))["exit_time"].iloc[0] == expected
    mixed = framed(block(trade(), trade(exit_time=written, position_id=1)))
    assert mixed["exit_time"].tolist() == [expected, expected]


@pytest.mark.parametrize(
    "written",
    [
        "",
        "soon",
        "2026-02-30T09:30:00",
        "2026-02-01T25:00:00",
        "2026-02-01T09:30:00\n",
        "\n" * 19,
        "2026-02-01T09:30:00 UTC",
        "2026-02-01T09:30:00+2",
        "1769938200",
        "٢٠٢٦-02-01T09:30:00",
        "0001-01-01T00:00:00",
        "9999-12-31T23:59:59",
        "9999-12-31T23:59:59-14:00",
        "x" * 10_000,
    ],
)
@pytest.mark.parametrize("others", [[], ["2026-02-01T09:30:00Z"], ["2026-02-01T09:30:00"]])
def test_a_malformed_time_is_an_error_with_its_place(written: str, others: list[str]) -> None:
    """The first text that is no time is quoted, shortened, with its JSON path."""
    trades = [trade(entry_time=text) for text in [*others, written]]
    with pytest.raises(FrameError, match="is no date and time") as raised:
        block(*trades)
    assert raised.value.json_path == f"$.trades[{len(others)}].entry_time"
    assert len(str(raised.value)) < 120


def test_texts_cannot_be_shifted_into_each_other() -> None:
    """Two malformed times whose joined texts would read as two good ones are refused."""
    with pytest.raises(FrameError) as raised:
        block(trade(exit_time="2026-02-01T09:30:0"), trade(exit_time="02026-02-01T09:30:00"))
    assert raised.value.json_path == "$.trades[0].exit_time"


def test_wall_clock_of_a_zone_becomes_utc() -> None:
    """Summer and winter have their own offset; a text with an offset is not shifted."""
    frame = framed(
        block(
            trade(exit_time="2026-07-01T12:00:00"),
            trade(exit_time="2026-01-01T12:00:00", position_id=1),
            trade(exit_time="2025-12-01T12:00:00Z", position_id=2),
            zone=ATHENS,
        )
    )
    assert frame["exit_time"].dt.hour.tolist() == [9, 10, 12]


def test_a_repeated_hour_takes_the_earlier_instant_and_is_counted() -> None:
    """Clocks go back at 04:00 in Athens: 03:30 was first 00:30 UTC, and the block says so."""
    adopted = block(
        trade(entry_time="2026-10-25T02:30:00", exit_time="2026-10-25T03:30:00"),
        trade(entry_time="2026-10-25T00:30:00Z", exit_time="2026-10-25T01:30:00Z", position_id=1),
        zone=ATHENS,
    )
    assert adopted.ambiguous == 1
    exits = framed(adopted)["exit_time"].tolist()
    assert exits[1] == pd.Timestamp("2026-10-25 00:30", tz="UTC")
    assert adopted.merge(adopted).ambiguous == 1


def test_a_skipped_hour_shifts_forward() -> None:
    """03:30 did not exist in Athens that night; the moment of the change is taken."""
    frame = framed(block(trade(exit_time="2026-03-29T03:30:00"), zone=ATHENS))
    assert frame["exit_time"].iloc[0] == pd.Timestamp("2026-03-29 01:00", tz="UTC")


@gentle
@given(
    st.integers(0, 85 * 365 * 24 * 60).map(lambda minutes: EPOCH + timedelta(minutes=minutes)),
    st.sampled_from(
        ["Europe/Athens", "Europe/Dublin", "America/New_York", "Australia/Lord_Howe", "Asia/Gaza"]
    ),
)
def test_local_times_agree_with_the_zone_database(wall: datetime, name: str) -> None:
    """Any local time that existed is the earlier instant Python's zoneinfo gives it."""
    zone = ZoneInfo(name)
    first = wall.replace(tzinfo=zone, fold=0)
    second = wall.replace(tzinfo=zone, fold=1)
    if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != wall:
        return  # skipped by a clock change
    adopted = block(trade(exit_time=wall.isoformat()), zone=zone)
    assert framed(adopted)["exit_time"].iloc[0] == pd.Timestamp(first.astimezone(UTC))
    assert adopted.ambiguous == (first.utcoffset() != second.utcoffset())


def test_no_trade_at_all() -> None:
    """The empty block answers every question."""
    nothing = block()
    assert (len(nothing), nothing.net_total(), nothing.ambiguous) == (0, 0.0, 0)
    assert nothing.newest_exit is None
    assert nothing.position_ids == frozenset()
    assert len(nothing.since(NOON)) == 0
    assert nothing.merge(TradeBlock.empty()).merge(nothing).table.equals(nothing.table)
    assert repr(nothing) == "<TradeBlock 0 trades, 0 bytes>"


def test_since_keeps_the_trades_closed_then_or_later() -> None:
    """The bound itself is in; entry times do not matter."""
    both = block(trade(), trade(exit_time="2026-01-31T12:00:00", position_id=1))
    assert both.since(datetime(2026, 2, 1, 9, 30, tzinfo=UTC)).position_ids == {5512345}
    assert len(both.since(datetime(2026, 2, 1, 9, 30, 1, tzinfo=UTC))) == 0
    assert len(both.since(datetime(2026, 1, 1, tzinfo=UTC))) == 2


def test_the_newest_exit_comes_first_whatever_the_agent_sends() -> None:
    """Blocks and frames are ordered by exit time, over all accounts."""
    old = trade(exit_time="2026-01-01T00:00:00", position_id=1)
    new = trade(exit_time="2026-03-01T00:00:00", position_id=2)
    adopted = block(old, trade(), new)
    assert adopted.newest_exit == datetime(2026, 3, 1, tzinfo=UTC)
    frame = framed(adopted, block(trade(exit_time="2026-02-15T00:00:00")))
    assert frame["account"].tolist() == [7100012, 7100013, 7100012, 7100012]
    assert frame["exit_time"].is_monotonic_decreasing


def test_an_unknown_part_counts_as_nothing_in_the_net() -> None:
    """net_total sums what is known; the unknown column stays unknown."""
    adopted = block(trade(commission=None), trade(position_id=1))
    assert adopted.net_total() == 61.5 + 58.0
    assert framed(adopted)["commission"].isna().tolist() == [True, False]
    assert adopted.net_total() == framed(adopted)["net"].sum()


def test_a_newer_reply_replaces_what_an_older_one_said_of_a_position() -> None:
    """One position id is one trade: the newest reply's."""
    older = block(trade(profit=10.0, exit_time="2026-02-01T09:00:00"))
    newer = block(trade(profit=25.0))
    assert framed(newer.merge(older))["profit"].tolist() == [25.0]
    assert framed(older.merge(newer))["profit"].tolist() == [10.0]


def test_trades_without_an_id_merge_only_when_all_is_equal() -> None:
    """Two equal trades in one reply are two, and stay two however often they are seen."""
    pair = block(trade(position_id=None), trade(position_id=None))
    one = block(trade(position_id=None))
    other = block(trade(position_id=None, profit=1.0))
    assert len(pair) == 2
    assert len(pair.merge(pair)) == len(one.merge(pair)) == len(pair.merge(one)) == 2
    assert len(other.merge(pair)) == 3


def test_a_trade_listed_twice_in_one_reply_counts_once() -> None:
    """The same position with the same figures is not doubled; a partial close is kept."""
    partial = trade(lot=0.2, exit_time="2026-02-01T09:00:00")
    assert len(block(trade(), trade(), partial)) == 2


@gentle
@given(blocks)
def test_merging_with_itself_changes_nothing(one: TradeBlock) -> None:
    """Seen again is never doubled."""
    assert held(one.merge(one)) == held(one)


@gentle
@given(blocks, blocks)
def test_merging_loses_no_trade_and_doubles_none(newer: TradeBlock, older: TradeBlock) -> None:
    """All ids of both; the newer reply as it is; the nameless as often as the fuller reply."""
    merged = newer.merge(older)
    assert merged.position_ids == newer.position_ids | older.position_ids
    names = frames.TRADES.names
    place = [name for name in names if name not in ("account", "as_of", "age_s", "source")].index(
        "position_id"
    )

    def split(rows: Counter[tuple[Any, ...]]) -> tuple[Counter[Any], Counter[Any]]:
        named = {row: n for row, n in rows.items() if row[place] is not None}
        return Counter(named), rows - Counter(named)

    new_named, new_nameless = split(held(newer))
    old_named, old_nameless = split(held(older))
    named, nameless = split(held(merged))
    assert nameless == new_nameless | old_nameless
    kept = {row: n for row, n in old_named.items() if row[place] not in newer.position_ids}
    assert named == new_named + Counter(kept)
    assert framed(merged)["exit_time"].is_monotonic_decreasing


@gentle
@given(blocks, blocks, blocks)
def test_merging_is_associative(first: TradeBlock, second: TradeBlock, third: TradeBlock) -> None:
    """Three replies give the same trades in whatever steps they are put together."""
    assert held(third.merge(second).merge(first)) == held(third.merge(second.merge(first)))


@gentle
@given(blocks, blocks)
def test_merging_replies_that_agree_is_commutative(one: TradeBlock, other: TradeBlock) -> None:
    """Where no position is told twice, the order of the replies does not matter."""
    if not one.position_ids & other.position_ids:
        assert held(one.merge(other)) == held(other.merge(one))


def test_a_trade_in_a_block_is_small() -> None:
    """A trade takes no more than 200 bytes."""
    adopted = block(*(trade(position_id=number, profit=number / 7) for number in range(1_000)))
    assert adopted.nbytes <= 200 * 1_000
    assert adopted.merge(adopted).nbytes <= 200 * 1_000
    assert "1,000 trades" in repr(adopted)
