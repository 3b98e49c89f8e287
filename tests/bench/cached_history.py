"""Keep many accounts' trades in memory and print how many bytes that made resident.

Run in a process of its own for each way of keeping them, so that neither pays for,
nor profits from, what the other left behind::

    python -m tests.bench.cached_history blocks 200 1000

May import `frames`. The trap: it reads Linux's /proc.
"""

from __future__ import annotations

import gc
import json
import random
import resource
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from fleetkit.frames import decode_history

SYMBOLS = ("EURUSD", "GBPUSD", "USDJPY", "XAUUSD", "US30", "BTCUSD")


def history_body(trades: int, seed: int = 7) -> bytes:
    """A trade history as a base agent sends it, newest exit first."""
    dice, exit_time = random.Random(seed), datetime.fromisoformat("2026-02-01T10:00:00")
    rows = []
    for number in range(trades):
        exit_time -= timedelta(seconds=dice.randint(1, 250))
        rows.append(
            {
                "symbol": dice.choice(SYMBOLS),
                "side": dice.choice(("BUY", "SELL")),
                "lot": dice.randint(1, 300) / 100,
                "pips": round(dice.uniform(-50, 50), 1),
                "tp_money": None,
                "sl_money": None,
                "commission": -round(dice.uniform(0, 9), 2),
                "profit": round(dice.uniform(-500, 500), 2),
                "entry_time": (exit_time - timedelta(seconds=dice.randint(60, 90_000))).isoformat(),
                "exit_time": exit_time.isoformat(),
                "entry_price": round(dice.uniform(1, 2), 5),
                "exit_price": round(dice.uniform(1, 2), 5),
                "position_id": 9_000_000 - number,
            }
        )
    return json.dumps({"account_number": 7100012, "trades": rows}).encode()


KEPT_AS: dict[str, Callable[[bytes], object]] = {
    "blocks": lambda body: decode_history(body, None)[1],
    "dicts": lambda body: json.loads(body)["trades"],
}


def resident_bytes() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def main(way: str, accounts: int, trades: int) -> None:
    keep = KEPT_AS[way]
    keep(history_body(trades))  # what the first of them costs once is not theirs
    before = resident_bytes()
    kept = [keep(history_body(trades, seed)) for seed in range(accounts)]
    print(resident_bytes() - before)
    assert len(kept) == accounts


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
