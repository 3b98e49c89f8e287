"""Traders that are killed at random moments, one after the other, on one store.

The trap: what a killed client has asked of a terminal is executed after its death, so the
truth is read only when the terminals have been quiet for a while.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import fleetkit as fk
from fleetkit.sim import Faults, SimProcess
from fleetkit.sim.mishaps import Executed
from tests.support.order_judge import Told, Truth, Violation, judge
from tests.support.order_storm import GRACE_S, UNCHANGED, write_config
from tests.support.order_truth import journal_of, truth_of
from tests.support.trading_process import Child, trading
from tests.support.turned_clock import TurnedClock

QUIET_S = 0.15  # longer than any order takes
PATIENCE_S = 10.0
SETTLE_S = 20.0
LATENCY = fk.sim.Latency.fixed(8)


@dataclass
class Killed:
    """What the killings came to."""

    executed: int = 0
    shown: int = 0
    in_doubt: int = 0
    violations: list[Violation] = field(default_factory=list)
    broken_words: list[str] = field(default_factory=list)
    unsettled: list[Told] = field(default_factory=list)  # executed, and still not told so
    left: list[Told] = field(default_factory=list)  # anything that is still unknown
    journal: list[Told] = field(default_factory=list)


def kill_traders(folder: Path, rounds: int, *, layer: str, seed: int, accounts: int = 3) -> Killed:
    """Kill a trader at a random moment, look, start the next, and reconcile in the end."""
    random, result = Random(seed), Killed()
    faults = Faults(latency=LATENCY)
    with SimProcess.start(accounts=accounts, seed=seed, layer=layer, faults=faults) as process:
        config, home = write_config(folder, process.agents), folder / "home"
        with ExitStack() as stack:
            start = lambda number: stack.enter_context(  # noqa: E731 - names one thing
                trading(config, home, seed=1000 * seed + number)
            )
            child = start(0)
            for number in range(rounds):
                following = start(number + 1) if number + 1 < rounds else None
                shown = _kill(child, random)
                _look(process, home, shown, result)
                child = following or child
        _reconcile(process, config, home, result, layer)
    return result


def _kill(child: Child, random: Random) -> list[dict[str, Any]]:
    """Let it trade for a moment and kill it; the receipts that it has shown."""
    child.wait_until_ready()
    child.go()
    shown = []
    for _ in range(random.randint(1, 8)):
        receipt = child.read()
        assert receipt is not None, "the trader ended by itself"
        shown.append(receipt)
    threading.Event().wait(random.uniform(0.0, 0.06))  # the random moment itself
    child.process.kill()
    shown += child.rest()
    child.process.wait(PATIENCE_S)
    return shown


def _executions(process: SimProcess) -> dict[int, list[Executed]]:
    accounts = [agent["account"] for agent in process.agents]
    return {number: process.persons.executed(number) for number in accounts}


def _wait_until_quiet(process: SimProcess) -> None:
    before = _executions(process)
    for _ in range(100):
        threading.Event().wait(QUIET_S)
        now = _executions(process)
        if now == before:
            return
        before = now
    raise AssertionError("the terminals go on executing")


def _look(process: SimProcess, home: Path, shown: list[dict[str, Any]], result: Killed) -> None:
    """Right after the killing: what was executed is there, and what was shown is kept."""
    _wait_until_quiet(process)
    journal = {told.order_id: told for told in journal_of(home)}
    executed = _executions(process)
    # Whether a close was overtaken by somebody is not the question yet: every ticket is open.
    everything = {
        account: frozenset(each.ticket for each in all_) for account, all_ in executed.items()
    }
    result.violations += judge(journal.values(), Truth(executed, everything))
    for receipt in shown:
        told = journal.get(receipt["order_id"])
        kept = told is not None and told.outcome == receipt["outcome"]
        if not kept and receipt["outcome"] not in ("unknown", "not_sent"):
            result.broken_words.append(f"shown {receipt}, kept {told}")
    result.shown += len(shown)
    result.in_doubt += sum(told.outcome == "unknown" for told in journal.values())


def _reconcile(process: SimProcess, config: Path, home: Path, result: Killed, layer: str) -> None:
    """A new fleet on the store settles what it can."""
    process.faults.clear()
    clock, real = TurnedClock(), TurnedClock()
    with fk.connect(config, home=home, progress=False, clock=clock) as fleet:
        until, unchanged, before = real.elapsed() + SETTLE_S, 0, ""
        while real.elapsed() < until and unchanged < UNCHANGED:
            frame = fleet.reconcile(wait_s=0.5)
            if frame.empty:
                break
            now = repr(list(frame.index))
            unchanged, before = (unchanged + 1 if now == before else 0), now
            clock.let_pass(10 * GRACE_S)
        positions = fleet.positions(strict=False)
    truth = truth_of(process, positions)
    result.journal = journal_of(home)
    result.violations += judge(result.journal, truth)
    result.left = [told for told in result.journal if told.outcome == "unknown"]
    executed = [each for all_ in truth.executed.values() for each in all_]
    result.executed = len(executed)
    names = {each.comment for each in executed}
    closed = {each.ticket for each in executed if each.kind == "close"}
    result.unsettled = [
        told
        for told in result.left
        if {told.order_id, told.comment} & names or (told.kind == "close" and told.ticket in closed)
        if not (layer == "base" and told.account in truth.netting and _has_company(told, executed))
    ]


def _has_company(told: Told, executed: Sequence[Executed]) -> bool:
    """Whether what changed on a netting account may be another order's just as well.

    There is one position a symbol, and nobody looked at it between the killed order and
    the next ones: their changes of its volume add up to one.
    """
    mine = [
        each
        for each in executed
        if each.account == told.account
        and (each.comment in (told.order_id, told.comment) if told.kind == "open" else True)
        and (each.ticket == told.ticket if told.kind == "close" else True)
    ]
    if len(mine) != 1:
        return bool(mine)
    return any(
        (each.account, each.symbol) == (told.account, mine[0].symbol)
        and each.kind != "modify"
        and each.time > mine[0].time
        for each in executed
    )
