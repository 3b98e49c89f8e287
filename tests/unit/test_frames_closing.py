"""Trades told by their closing deals: merged without loss, whoever told them before."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetkit.contract import TradeWire
from fleetkit.frames import TradeBlock, TradesPart, decode_history, trades_frame
from fleetkit.model import Source

NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)
DAYS = ["2026-01-28", "2026-01-29", "2026-01-30", "2026-01-31"]

gentle = settings(deadline=None, max_examples=60)


def told(position: int | None, day: str, **more: Any) -> dict[str, Any]:
    """What both kinds of agent tell of one closing deal."""
    return {
        "symbol": "EURUSD",
        "side": "BUY",
        "lot": 0.5,
        "profit": 10.0,
        "entry_time": "2026-01-01T08:00:00Z",
        "exit_time": f"{day}T09:30:00Z",
        "entry_price": 1.08,
        "exit_price": 1.09,
        "position_id": position,
        "pips": 12.3,
        "commission": -3.5,
        **more,
    }


def closing(position: int | None, day: str, **more: Any) -> dict[str, Any]:
    """The same as an extended agent tells it."""
    costs = {"swap": -1.0, "fee": -0.1, "comment": "c", "order_id": None, "closed_volume": 0.5}
    return told(position, day, **costs | more)


def block(*rows: dict[str, Any]) -> TradeBlock:
    return TradeBlock.from_wire([TradeWire(**row) for row in rows], None)


def rows(trades: TradeBlock) -> Counter[tuple[Any, ...]]:
    """Position, exit and price of each trade, as a multiset."""
    frame = trades_frame([TradesPart(7, trades, NOON, 1.0, Source.LIVE)])
    return Counter(zip(frame["position_id"], frame["exit_time"], frame["exit_price"], strict=True))


# Few values, so that closings of one position meet, repeat and look alike.
def ledgers(positions: Any) -> Any:
    return st.lists(
        st.builds(
            closing,
            positions,
            st.sampled_from(DAYS),
            exit_price=st.sampled_from([1.09, 1.1]),
        ),
        max_size=7,
    )


known = st.integers(1, 3)


def since(ledger: list[dict[str, Any]], day: str) -> TradeBlock:
    """What an extended agent answers: the rows whose exit lies in the window."""
    return block(*(row for row in ledger if row["exit_time"] >= day))


def base(ledger: list[dict[str, Any]]) -> TradeBlock:
    """What a base agent answers: of each position the newest part, and less of it."""
    newest: dict[int, dict[str, Any]] = {}
    for row in sorted(ledger, key=lambda row: row["exit_time"]):
        newest[row["position_id"]] = row
    names = told(0, DAYS[0])
    return block(*({name: row[name] for name in names} for row in newest.values()))


@gentle
@given(ledgers(known | st.none()), st.lists(st.sampled_from(DAYS), min_size=1, max_size=4))
def test_overlapping_windows_show_each_closing_deal_once(
    ledger: list[dict[str, Any]], windows: list[str]
) -> None:
    """Equal ones as often as they are; what no later window shows is kept."""
    known = TradeBlock.empty()
    for day in windows:
        known = since(ledger, day).merge(known)
    assert rows(known) == rows(since(ledger, min(windows)))
    assert known.merge(known).table.num_rows == len(known)


@gentle
@given(ledgers(known), st.lists(st.sampled_from([*DAYS, "base"]), max_size=4))
def test_whichever_layer_answers_the_last_whole_answer_holds(
    ledger: list[dict[str, Any]], answers: list[str]
) -> None:
    """Base and extended replies over one account, in any order: nothing is doubled."""
    # A base row is known again by its price and profit, so no two parts have both.
    for place, row in enumerate(ledger):
        row["profit"] = float(place)
    known = TradeBlock.empty()
    for answer in answers:
        reply = base(ledger) if answer == "base" else since(ledger, answer)
        known = reply.merge(known)
        assert not rows(known) - rows(since(ledger, DAYS[0]))
    assert rows(since(ledger, DAYS[0]).merge(known)) == rows(since(ledger, DAYS[0]))


def test_a_newer_reply_corrects_the_figures_of_a_deal() -> None:
    """What is told of one closing deal replaces what was told of it before, and of no other."""
    older = block(closing(1, DAYS[1], swap=-1.0), closing(1, DAYS[0], swap=-2.0))
    merged = block(closing(1, DAYS[1], swap=-9.0)).merge(older)
    assert merged.table["swap"].to_pylist() == [-9.0, -2.0]


def test_a_base_row_never_replaces_closing_deals() -> None:
    """Rolled back to the base, an agent tells less: what is known better stays."""
    parts = block(closing(1, DAYS[1], profit=2.0), closing(1, DAYS[0], profit=1.0))
    again = block(told(1, DAYS[1], profit=2.0)).merge(parts)
    assert again.table["swap"].to_pylist() == [-1.0, -1.0]
    counted_otherwise = block(told(1, DAYS[1], profit=-1.5)).merge(parts)
    assert counted_otherwise.table["profit"].to_pylist() == [2.0, 1.0]
    clock_misread = block(told(1, DAYS[3], profit=2.0)).merge(parts)
    assert clock_misread.table["profit"].to_pylist() == [2.0, 1.0]
    newer = block(told(1, DAYS[2], profit=3.0)).merge(parts)
    assert newer.table["profit"].to_pylist() == [3.0, 2.0, 1.0]


def test_an_extended_reply_replaces_the_row_of_a_base_agent() -> None:
    """Known with its costs now, and in all its parts."""
    older = block(told(1, DAYS[1], profit=2.0), told(2, DAYS[1]))
    parts = block(closing(1, DAYS[1], profit=2.0), closing(1, DAYS[0], profit=1.0))
    merged = parts.merge(older)
    assert sorted(merged.table["position_id"].to_pylist()) == [1, 1, 2]


@pytest.mark.parametrize("extended_at", [0, 700, 1_499])
def test_pieces_of_a_reply_may_tell_more_or_less(extended_at: int) -> None:
    """One trade with costs among many without: it has them, the others do not."""
    trades = [told(number, DAYS[0], exit_time="2026-01-28T09:30:00") for number in range(1_500)]
    trades[extended_at] |= {"swap": -1.5, "fee": 0.0, "comment": "c", "closed_volume": 0.25}
    body = json.dumps({"account_number": 7, "trades": trades}).encode()
    whole, read = decode_history(body * 1, None)
    assert whole.account_number == 7
    table = {name: read.table[name].to_pylist() for name in read.table.column_names}
    for name, value in {"swap": -1.5, "fee": 0.0, "comment": "c", "per_deal": True}.items():
        others = {each for place, each in enumerate(table[name]) if place != extended_at}
        assert table[name][extended_at] == value
        assert others == {False if name == "per_deal" else None}
    assert table["volume"][extended_at] == 0.25


def test_a_reply_in_pieces_is_the_reply_as_a_whole() -> None:
    """However it is decoded, an extended history is the same block."""
    trades = [closing(number, DAYS[number % 4]) for number in range(3_000)]
    body = json.dumps({"account_number": 7, "trades": trades}).encode()
    wires = [msgspec.convert(row, TradeWire) for row in trades]
    assert decode_history(body, None)[1].table.equals(TradeBlock.from_wire(wires, None).table)


@pytest.mark.parametrize(
    ("times", "naive"),
    [
        (["2026-01-28T09:30:00Z", "2026-01-28T09:30:00+02:00"], [False, False]),
        (["2026-01-28T09:30:00", "2026-01-28T09:30:00+02:00"], [True, False]),
        (["2026-01-28T09:30:00Z", "2026-01-28T09:30:00"], [False, True]),
        (["2026-01-28T09:30:00", "2026-01-28T09:30:00"], [True, True]),
        (["2026-01-28T09:30:00.1234567Z", "2026-01-28T09:30:00Z"], [False, False]),
    ],
)
def test_a_block_knows_which_times_had_no_offset(times: list[str], naive: list[bool]) -> None:
    """One naive time makes a trade's times somebody's wall clock."""
    trades = block(*(told(n, DAYS[0], exit_time=time) for n, time in enumerate(times, 1)))
    found = dict(
        zip(trades.table["position_id"].to_pylist(), trades.table["naive"].to_pylist(), strict=True)
    )
    assert [found[1], found[2]] == naive
    assert trades.is_naive is any(naive)
