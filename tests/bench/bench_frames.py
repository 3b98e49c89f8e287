"""Trade histories beside what people use today, and beside the least that decoding costs."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from fleetkit import contract
from fleetkit.frames import (
    DealBlock,
    DealsPart,
    TradesPart,
    deals_frame,
    decode_deals,
    decode_history,
    trades_frame,
)
from fleetkit.model import Source
from tests.bench.cached_history import history_body
from tests.bench.conftest import in_turn, milliseconds

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)
TRADES = 100_000
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def body() -> bytes:
    return history_body(TRADES)


def typed_frame(body: bytes) -> pd.DataFrame:
    """JSON bytes → trades frame, the way of the gateway."""
    header, block = decode_history(body, None)
    return trades_frame([TradesPart(header.account_number, block, NOON, 0.0, Source.LIVE)])


def plain_frame(body: bytes) -> pd.DataFrame:
    """The same frame with nothing but json and pandas."""
    frame = pd.DataFrame(json.loads(body)["trades"])
    return frame.astype(
        {
            "symbol": "str",
            "side": "category",
            "position_id": "Int64",
            "tp_money": "float64",
            "sl_money": "float64",
            "entry_time": "datetime64[us, UTC]",
            "exit_time": "datetime64[us, UTC]",
        }
    )


def test_trades_beside_json_and_pandas(benchmark, table, body) -> None:
    """JSON bytes to the typed frame, beside json, DataFrame and astype."""
    assert typed_frame(body)["profit"].tolist() == plain_frame(body)["profit"].tolist()
    pair = in_turn(benchmark, lambda: typed_frame(body), lambda: plain_frame(body), 9)
    table.add(
        f"{TRADES:,} trades, JSON bytes to typed frame",
        milliseconds(pair.ours_s),
        f"json.loads + DataFrame + astype {milliseconds(pair.theirs_s)}",
        f"{pair.times_faster:.1f} × faster",
        "≥ 2 ×",
    )


def test_trades_beside_bare_decode(benchmark, table, body) -> None:
    """The same beside msgspec's decode alone, of all trades into structs."""
    pair = in_turn(
        benchmark, lambda: typed_frame(body), lambda: contract.TRADE_HISTORY.decode(body), 15
    )
    table.add(
        f"{TRADES:,} trades, JSON bytes to typed frame",
        milliseconds(pair.ours_s),
        f"bare msgspec decode {milliseconds(pair.theirs_s)}",
        f"{pair.times_the_time:.2f} × its time",
        "≤ 1.7 ×",
    )


def ledger_pages() -> list[bytes]:
    """The deals of a year as an extended agent sends them, 5,000 a page."""
    dice, first = random.Random(7), datetime(2025, 2, 1, tzinfo=UTC)
    rows = [
        {
            "ticket": 9_000_000 + number,
            "order": 8_000_000 + number,
            "position_id": 7_000_000 + number // 2,
            "time": f"{first + timedelta(seconds=300 * number):%Y-%m-%dT%H:%M:%SZ}",
            "type": number % 2,
            "entry": number % 2,
            "reason": dice.choice((0, 3, 4, 5)),
            "magic": 0,
            "symbol": dice.choice(("EURUSD", "XAUUSD", "US30")),
            "volume": dice.randint(1, 300) / 100,
            "price": round(dice.uniform(1, 2), 5),
            "profit": round(dice.uniform(-500, 500), 2),
            "swap": round(dice.uniform(-5, 0), 2),
            "commission": -3.5,
            "fee": 0.0,
            "comment": "",
            "external_id": "",
            "order_id": None,
        }
        for number in range(TRADES)
    ]
    pages = [rows[start : start + 5_000] for start in range(0, TRADES, 5_000)]
    return [
        json.dumps({"account_number": 7100012, "deals": page, "next_after": None}).encode()
        for page in pages
    ]


def test_deals_beside_bare_decode(benchmark, table) -> None:
    """Pages of a ledger to the typed frame, beside msgspec's decode of them alone."""
    pages = ledger_pages()

    def frame() -> pd.DataFrame:
        block = DealBlock.joined([decode_deals(page, None)[1] for page in pages])
        return deals_frame([DealsPart(7100012, block, NOON, 0.0, Source.LIVE)])

    assert len(frame()) == TRADES
    pair = in_turn(benchmark, frame, lambda: [contract.DEALS.decode(page) for page in pages], 9)
    table.add(
        f"{TRADES:,} deals, pages of JSON to typed frame",
        milliseconds(pair.ours_s),
        f"bare msgspec decode {milliseconds(pair.theirs_s)}",
        f"{pair.times_the_time:.2f} × its time",
        "≤ 2.5 ×",
    )


def megabytes_resident(way: str, accounts: int, trades: int) -> float:
    """What so many cached trades take in a process of their own."""
    command = [sys.executable, "-m", "tests.bench.cached_history", way, f"{accounts}", f"{trades}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=300)
    return int(done.stdout) / 1e6


def test_memory_of_cached_trades(table) -> None:
    """Resident memory of cached trades, beside the same as lists of dicts."""
    accounts, trades = 200, 1_000  # a fifth of 1,000 accounts: the ratio is the same
    ours, dicts = (megabytes_resident(way, accounts, trades) for way in ("blocks", "dicts"))
    table.add(
        f"memory of {accounts:,} accounts × {trades:,} cached trades",
        f"{ours:,.0f} MB",
        f"lists of dicts {dicts:,.0f} MB",
        f"1/{dicts / ours:.1f}",
        "≤ 1/5",
    )
