"""A process that trades until it is told to end, or is ended.

``python -m tests.support.trading_process CONFIG HOME SEED ROUNDS MAX_ORDERS``: says
``ready``, waits for a line, trades each account in turn at once, says one line of JSON for
each receipt and ``done``, and waits for another line before it disarms. The trap: a line
may be lost with the process, but a line that came was on the disk before.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import fleetkit as fk
from tests.support.other_process import environment

SYMBOLS = ("EURUSD", "GBPUSD", "AUDUSD", "USDCAD", "USDJPY", "EURJPY")
MAX_VOLUME = 100_000.0


def say(text: str) -> None:
    """One line to the parent, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def order_id(seed: int, account: int, number: int) -> str:
    """The 26 characters of one order."""
    return f"k{seed:08d}-{account % 10_000_000:07d}-{number:08d}"


class Trader:
    """Trades one account: opens, and closes what it has opened."""

    def __init__(self, fleet: fk.Fleet, seed: int, account: int) -> None:
        self._fleet, self._seed, self._account = fleet, seed, account
        self._random = Random(f"{seed}:{account}")
        self._tickets: list[int] = []

    async def trade(self, number: int) -> None:
        name = order_id(self._seed, self._account, number)
        if self._tickets and self._random.random() < 0.4:
            ticket = self._tickets.pop()
            receipt = await self._fleet.aio.close_position(self._account, ticket, order_id=name)
        else:
            receipt = await self._fleet.aio.open_position(
                self._account,
                self._random.choice(SYMBOLS),
                self._random.choice(("buy", "sell")),
                # Each one's own, so that every lost order has one candidate.
                round(0.01 + 0.01 * (number % 80), 2),
                comment=name,
                order_id=name,
            )
            if receipt.outcome is fk.Outcome.FILLED and receipt.ticket is not None:
                self._tickets.append(receipt.ticket)
        said = {"order_id": name, "outcome": receipt.outcome.value, "reason": receipt.reason}
        say(json.dumps(said))


async def trade(fleet: fk.Fleet, seed: int, rounds: int, max_orders: int) -> None:
    """Round after round, each account at once."""
    accounts = [int(account) for account in (await fleet.aio.agents())["account"]]
    traders = [Trader(fleet, seed, account) for account in accounts]
    async with fleet.aio.armed(minutes=10, max_volume=MAX_VOLUME, max_orders=max_orders):
        for number in range(rounds):
            await asyncio.gather(*(trader.trade(number) for trader in traders))
        say("done")
        await asyncio.to_thread(sys.stdin.readline)


def main(config: str, home: str, seed: str, rounds: str, max_orders: str) -> None:
    """See the module's docstring."""
    say("ready")
    sys.stdin.readline()
    with fk.connect(config, home=home, progress=False) as fleet:
        asyncio.run(trade(fleet, int(seed), int(rounds), int(max_orders)))


@dataclass(frozen=True)
class Child:
    """Such a process, from the parent's side."""

    process: subprocess.Popen[str]

    def read(self) -> dict[str, Any] | None:
        """The next receipt; ``None`` when it is done, or ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line.startswith("{") and line.endswith("}\n") else None

    def go(self) -> None:
        """Let it begin, or end."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def wait_until_ready(self) -> None:
        """It has imported everything."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def rest(self) -> list[dict[str, Any]]:
        """Every receipt it still says until it is done or ended."""
        receipts = []
        while (receipt := self.read()) is not None:
            receipts.append(receipt)
        return receipts


@contextmanager
def trading(
    config: Path, home: Path, *, seed: int, rounds: int = 1_000_000, max_orders: int = 1_000_000
) -> Iterator[Child]:
    """Start one; killed at the end whatever happened."""
    arguments = [str(config), str(home), str(seed), str(rounds), str(max_orders)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.trading_process", *arguments],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Child(process)
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    main(*sys.argv[1:])
