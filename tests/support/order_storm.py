"""Orders by the hundred while everything goes wrong, and then the truth.

Round after round one order per account goes out at once, each under a mishap of its own,
while halts, expiring armings, jumps of the clock, trades by hand and restarts come in
between. Then all is healed, reconciliation may run to its end, and the journal is held
against what the terminals executed (`order_judge`). The trap: nothing here may make an
order's fate ambiguous for the judge, so each open has a comment of its own, and the grace
is let pass only when nothing can be executed late any more.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import fleetkit as fk
from fleetkit.sim import SimProcess
from fleetkit.sim.mishaps import Executed
from tests.support import order_mishaps
from tests.support.order_judge import Foreign, Told, Violation, Wrong, judge
from tests.support.order_mishaps import LATE_S, Mishap
from tests.support.order_truth import journal_of, life_of, open_now, truth_of
from tests.support.turned_clock import TurnedClock

SYMBOLS = ("EURUSD", "GBPUSD", "AUDUSD")
STEP = 0.01  # lots that a person elsewhere trades more than the order
GRACE_S = 1.5
DEADLINE_S = 1.0
LEASE_S = 4.0
SETTLE_S = 25.0  # real seconds that reconciliation may take after the storm
UNCHANGED = 6  # rounds of reads, each a grace after the last, that teach nothing more
EVENTS = {
    **{"nothing": 30, "halt": 2, "expiring": 2, "scarce": 2, "unarmed": 1},
    **{"jump": 2, "sleep": 2, "hand": 4, "restart": 2},
}
CONFIG = f"""
[trading]
grace_s = {GRACE_S}
lease_s = {LEASE_S}
[timeouts]
trade_deadline_s = {DEADLINE_S}
read_deadline_s = 1.0
history_deadline_s = 2.0
connect_s = 1.0
[recovery]
enabled = false
[breaker]
failures = 1000000
[defaults]
time_zone = "UTC"
stops_unit = "price"
margin_mode = "hedging"
"""


def write_config(folder: Path, agents: Sequence[Any]) -> Path:
    """The fleet as a file, with every wait short."""
    text = CONFIG
    for agent in agents:
        text += "[[agents]]\n"
        text += "".join(f"{key} = {value!r}\n" for key, value in agent.items())
    path = folder / "storm.toml"
    path.write_text(text)
    return path


@dataclass
class Ordered:
    """One order of the storm, as it was asked for."""

    order_id: str
    account: int
    kind: str
    mishap: Mishap
    arguments: dict[str, Any]
    comment: str = ""
    receipt: fk.Receipt | None = None
    raised: str | None = None
    repeated: bool = False  # the same call is made again
    disturbed: bool = False  # something else went on in its round
    after: int = 0  # executions of its account before it was asked for

    @property
    def is_logged(self) -> bool:
        """Whether the log of an agent that has one tells what became of it."""
        return self.mishap.log_knows and not self.disturbed


@dataclass
class Storm:
    """What a storm came to; ``str()`` is for people."""

    seed: int
    layer: str
    counts: Counter[str] = field(default_factory=Counter)
    left_in_doubt: list[str] = field(default_factory=list)  # though a log of orders would know
    violations: list[Violation] = field(default_factory=list)
    lives: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        counted = ", ".join(f"{count} {name}" for name, count in sorted(self.counts.items()))
        lines = [f"storm of seed {self.seed} on {self.layer} agents: {counted}"]
        for violation in self.violations[:5]:
            lines.append(f"* {violation.what}: {violation.sentence}")
            lines.append(self.lives.get(violation.order_id or "", "  (no such order)"))
        return "\n".join(lines)


def storm(
    folder: Path,
    orders: int,
    *,
    layer: str = "base",
    tls: bool = False,
    accounts: int = 8,
    seed: int = 1,
    calm: float = 0.0,
) -> Storm:
    """Send so many orders through faulty agents and judge the journal.

    Parameters
    ----------
    calm
        The share of orders under which nothing goes wrong on purpose.
    """
    with SimProcess.start(accounts=accounts, seed=seed, layer=layer, tls=tls) as process:
        return asyncio.run(_Weather(process, folder, layer, seed, calm).storm(orders))


class _Weather:
    """Drives one storm."""

    def __init__(
        self, process: SimProcess, folder: Path, layer: str, seed: int, calm: float
    ) -> None:
        self._process, self._home, self._layer = process, folder / "home", layer
        self._config = write_config(folder, process.agents)
        self._accounts = [agent["account"] for agent in process.agents]
        self._random, self._seed, self._calm = Random(seed), seed, calm
        self._clock = TurnedClock()
        self._sent: list[Ordered] = []
        self._foreign: set[Foreign] = set()
        self._tickets: dict[int, dict[int, Executed]] = {}
        self._extra: list[Violation] = []
        self._fallen: set[int] = set()
        self._result = Storm(seed, layer)
        self._fleet = self._connected()

    def _connected(self) -> fk.Fleet:
        return fk.connect(self._config, home=self._home, progress=False, clock=self._clock)

    async def storm(self, orders: int) -> Storm:
        try:
            await self._fleet.aio.accounts()
            while len(self._sent) < orders:
                await self._round()
            await self._settle()
            await self._judge()
        finally:
            self._fleet.close()
        return self._result

    async def _round(self) -> None:
        """One order for each account, at once."""
        random = self._random
        executed = {number: self._process.persons.executed(number) for number in self._accounts}
        self._tickets = {number: open_now(all_, number) for number, all_ in executed.items()}
        orders = [self._order(number) for number in self._accounts]
        event = random.choices(list(EVENTS), list(EVENTS.values()))[0]
        self._result.counts[f"rounds with {event}"] += 1
        for each in orders:
            reads = order_mishaps.afterwards(random)
            self._process.faults[each.account] = order_mishaps.with_reads(each.mishap.faults, reads)
            each.repeated = random.random() < 0.1
            each.after = len(executed[each.account])
            # Who was rolled back is not taken at its word until it has said again what it can.
            each.disturbed = event in ("halt", "jump", "sleep") or each.account in self._fallen
            if each.mishap.faults.rolled_back:
                self._fallen.add(each.account)
        if event == "hand":
            self._by_hand(orders)
        async with self._armed(event):
            sending = asyncio.gather(*(self._send(each) for each in orders))
            await self._meanwhile(event)
            await sending
        self._sent += orders
        self._clock.set_wall(-self._clock.wall_s)  # agents' clocks do not jump with ours
        if event == "restart":
            self._fleet.close()
            self._fleet = self._connected()
        for number in self._accounts:
            self._process.faults[number] = order_mishaps.afterwards(random)

    @asynccontextmanager
    async def _armed(self, event: str) -> AsyncIterator[None]:
        if event == "unarmed":
            yield
            return
        minutes = 0.0008 if event == "expiring" else 5.0
        most = 3 if event == "scarce" else 1000
        async with self._fleet.aio.armed(minutes=minutes, max_volume=1000.0, max_orders=most):
            yield

    async def _meanwhile(self, event: str) -> None:
        """What happens while the orders of a round are under way."""
        if event == "halt":
            await self._fleet.aio.halt("the storm says so")
            await self._fleet.aio.resume()
        elif event == "jump":
            self._clock.set_wall(self._random.choice((-7200.0, -40.0, 40.0, 7200.0)))
        elif event == "sleep":
            self._clock.set_wall(3600.0)

    def _by_hand(self, orders: list[Ordered]) -> None:
        for each in self._random.sample(orders, k=min(2, len(orders))):
            if each.kind == "open":
                asked = each.arguments
                trade = (asked["symbol"], asked["side"], asked["volume"])
                with suppress(fk.DemoError):
                    self._process.persons.open_by_hand(each.account, *trade)
                    self._foreign.add((each.account, *trade))

    def _order(self, account: int) -> Ordered:
        number = len(self._sent) + self._accounts.index(account)
        random = self._random
        tickets = self._tickets[account]
        kinds = ("open", "close", "modify") if tickets else ("open",)
        kind = random.choices(kinds, (6, 4, 2)[: len(kinds)])[0]
        if kind != "open" and len(tickets) > 12:
            kind = "close"
        mishap = order_mishaps.draw(random, kind, self._layer, self._calm)
        order_id = f"storm-{self._seed:06d}-{number:013d}"
        if kind == "open":
            return self._open(order_id, account, mishap, number)
        ticket = random.choice(sorted(tickets))
        arguments: dict[str, Any] = {"ticket": ticket}
        if kind == "close" and self._layer == "extended" and random.random() < 0.4:
            arguments["volume"] = 0.01
        if kind == "modify":
            away = 0.5 if tickets[ticket].side is fk.Side.BUY else 1.9
            arguments["sl_price"] = round(away + number * 1e-5, 5)
        return Ordered(order_id, account, kind, mishap, arguments)

    def _open(self, order_id: str, account: int, mishap: Mishap, number: int) -> Ordered:
        random = self._random
        symbol, side = random.choice(SYMBOLS), random.choice(("buy", "sell"))
        volume = random.choice((0.02, 0.02, 0.03, 0.04, 0.05))
        comment = f"storm-{number}"
        arguments = {"symbol": symbol, "side": side, "volume": volume, "comment": comment}
        arguments["override"] = random.random() < 0.6
        if random.random() < 0.2:
            arguments["sl_pips"] = 80.0
        if mishap.faults.foreign_trade == "identical":
            self._foreign.add((account, symbol, side, volume))
        elif mishap.faults.foreign_trade == "other":
            # Nothing like this order, but it may be just like another one of the account.
            other = "sell" if side == "buy" else "buy"
            self._foreign.add((account, symbol, other, round(volume + STEP, 8)))
        return Ordered(order_id, account, "open", mishap, arguments, comment)

    async def _send(self, each: Ordered) -> None:
        aio = self._fleet.aio
        call = {
            "open": aio.open_position,
            "close": aio.close_position,
            "modify": aio.modify_position,
        }[each.kind]
        try:
            each.receipt = await call(each.account, **each.arguments, order_id=each.order_id)
            if each.repeated:
                self._result.counts["asked again"] += 1
                await call(each.account, **each.arguments, order_id=each.order_id)
        except Exception as error:  # noqa: BLE001 - an order call never raises for what happens
            each.raised = f"{type(error).__name__}: {error}"
            words = f"{each} raised {each.raised}"
            self._extra.append(Violation(Wrong.RAISED, each.account, each.order_id, words))

    async def _settle(self) -> None:
        """Heal everything, let what is late come, and reconcile to the end or the bound."""
        self._process.faults.clear()
        await self._fleet.aio.resume()
        real = TurnedClock()
        await real.sleep(LATE_S + DEADLINE_S + 0.5)
        vague = {each.order_id for each in self._sent if not each.is_logged}
        until, unchanged, before = real.elapsed() + SETTLE_S, 0, ""
        while real.elapsed() < until and unchanged < UNCHANGED:
            frame = await self._fleet.aio.reconcile(wait_s=0.5)
            if frame.empty:
                break
            now = repr(list(frame.index))
            unchanged, before = (unchanged + 1 if now == before else 0), now
            if self._layer == "extended" and not vague.issuperset(frame.index):
                unchanged = 0  # an agent's log will tell, if it takes a while
            self._clock.let_pass(10 * GRACE_S)

    async def _judge(self) -> None:
        journal = journal_of(self._home)
        positions = await self._fleet.aio.positions(strict=False)
        truth = truth_of(self._process, positions, frozenset(self._foreign))
        asked = {each.order_id: each for each in self._sent}
        told = [self._told(one, asked.get(one.order_id)) for one in journal]
        found = [*self._extra, *judge(told, truth)]
        found += self._missing(asked, {one.order_id for one in told})
        result = self._result
        result.violations = found
        left = [asked[one.order_id] for one in told if one.outcome == "unknown"]
        result.left_in_doubt = [
            f"{each.kind} under {each.mishap.name}: {each}\n{life_of(self._home, each.order_id)}"
            for each in left
            if each.is_logged
        ]
        wrong_ids = [each.order_id for each in found if each.order_id][:5]
        result.lives = {each: life_of(self._home, each) for each in wrong_ids}
        result.counts += Counter(one.outcome for one in told)
        result.counts["orders"] = len(self._sent)
        result.counts["executed"] = sum(len(each) for each in truth.executed.values())
        result.counts["sent"] = sum(one.sent for one in told)
        result.counts["inferred"] = sum(one.evidence == "inferred" for one in told)

    def _told(self, one: Told, each: Ordered | None) -> Told:
        """The journal's entry, with what the storm knows of the order beside it."""
        if each is None:
            return one
        receipt = each.receipt
        return replace(
            one,
            comment=each.comment,
            shown=None if receipt is None or receipt.replayed else receipt.outcome.value,
            answered=None if each.disturbed else each.mishap.answered,
            after=each.after,
        )

    def _missing(self, asked: dict[str, Ordered], known: set[str]) -> Iterator[Violation]:
        """Orders that were told of as sent, and are in no journal."""
        for order_id, each in asked.items():
            receipt = each.receipt
            sent = receipt is not None and receipt.outcome is not fk.Outcome.NOT_SENT
            if sent and order_id not in known:
                words = f"{receipt} is not in the journal"
                yield Violation(Wrong.NO_ENTRY, each.account, order_id, words)
