"""Compares what a journal says of orders with what the terminals really executed.

Why: "0 executed twice, 0 told rejected that were executed" is decided here, by pure
functions, so that a judge that overlooks something is found by a unit test and not by a
lucky storm. May import nothing of the desk.
The trap: base agents know no order ids. An open is told by its comment, which must be
unique; closes and modifies of one ticket are told apart only by when they were executed,
not before they were asked for and not after an answer, and by how many there were. Then
the reading that accuses least counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from fleetkit.sim.mishaps import Executed

NOT_DONE = frozenset({"rejected", "not_sent", "not_executed"})
KINDLY = {"filled": 0, "unknown": 1}  # to whom an execution without a name is given first
SURE = frozenset({"answer", "by_id"})  # and of those, first to whom the agent itself said so
LOTS = 1e-9


class Wrong(StrEnum):
    """What must never happen."""

    TWICE = "executed twice"
    NO_ENTRY = "executed without a journal entry"
    DENIED = "executed, and told that it was not"
    INVENTED = "told filled, and not executed"
    OTHER_TICKET = "told filled with a ticket that is another's"
    OTHER_VOLUME = "told filled with a volume that is another one"
    OK_NOT_FILLED = "answered ok, and not told filled"
    REFUSAL_NOT_REJECTED = "refused, and not told rejected"
    CHANGED = "told one thing in the receipt and another in the journal"
    RAISED = "an order call raised"
    SENT_UNARMED = "sent although nothing allowed it"


@dataclass(frozen=True, kw_only=True)
class Told:
    """One order as the journal tells it in the end.

    ``shown`` is the outcome of the receipt, where one was returned. ``answered`` is how the
    agent answered for certain: ``"plainly"`` where nothing was wrong with it, ``"no"`` where
    it refused whatever came. ``corrections`` is how many modifies the order itself made.
    ``after`` is how many executions of its account there were before it was asked for:
    none of them is its own.
    """

    order_id: str
    account: int
    kind: str
    outcome: str
    evidence: str = "answer"
    ticket: int | None = None
    volume: float | None = None
    filled_volume: float | None = None
    symbol: str | None = None
    side: str | None = None
    comment: str = ""
    retcode: int | None = None
    sent: bool = True
    shown: str | None = None
    answered: str | None = None
    corrections: int = 0
    after: int = 0


Foreign = tuple[int, str, str, float]
"""A person's trade like an order's: account, symbol, side, volume."""
Placed = tuple[int, Executed]
"""An execution, and how many of its account's came before it."""


@dataclass(frozen=True)
class Violation:
    """One thing that must never happen, and did."""

    what: Wrong
    account: int
    order_id: str | None
    sentence: str


@dataclass(frozen=True)
class Truth:
    """What really happened: each agent's executions in turn, and what is open at the end.

    ``foreign`` are trades of people that an inference may take for an order's. In the
    accounts of ``netting`` a position that reverses has a new ticket and its old identity,
    and either may be told.
    """

    executed: Mapping[int, Sequence[Executed]]
    open_tickets: Mapping[int, frozenset[int]]
    foreign: frozenset[Foreign] = frozenset()
    netting: frozenset[int] = frozenset()


def judge(told: Iterable[Told], truth: Truth) -> list[Violation]:
    """Everything that is wrong between a journal and the truth."""
    orders = list(told)
    found: list[Violation] = []
    matched = _by_name(orders, truth, found)
    # One that is told by its name has had its execution.
    guessed = _by_count(orders, frozenset(matched), truth, found)
    for order in orders:
        mine = matched.get(order.order_id, []) + guessed.get(order.order_id, [])
        found += _about(order, mine, truth)
        if mine and order.outcome == "filled" and order.order_id not in guessed:
            found += _about_volume(order, mine[0], truth)
    return found


def _by_name(
    orders: Sequence[Told], truth: Truth, found: list[Violation]
) -> dict[str, list[Executed]]:
    names = {order.order_id: order for order in orders}
    names |= {order.comment: order for order in orders if order.comment}
    matched: dict[str, list[Executed]] = defaultdict(list)
    for account, executions in truth.executed.items():
        for each in executions:
            order = names.get(each.comment) if each.comment else None
            if order is not None and (order.account, order.kind) == (account, each.kind):
                matched[order.order_id].append(each)
            elif each.kind == "open" or (each.comment and not _corrects(order, each)):
                found.append(_of_nobody(account, each))
    return matched


def _corrects(order: Told | None, each: Executed) -> bool:
    """Whether a modify is the correction that an open with stops makes of itself."""
    return order is not None and each.kind == "modify" and order.corrections > 0


def _by_count(
    orders: Sequence[Told], named: frozenset[str], truth: Truth, found: list[Violation]
) -> dict[str, list[Executed]]:
    matched: dict[str, list[Executed]] = defaultdict(list)
    for account, executions in truth.executed.items():
        groups: dict[tuple[str, int], list[Placed]] = defaultdict(list)
        for place, each in enumerate(executions):
            if each.kind != "open" and not each.comment:
                groups[each.kind, each.ticket].append((place, each))
        for (kind, ticket), group in groups.items():
            mine = [
                order
                for order in orders
                if (order.account, order.kind, order.ticket) == (account, kind, ticket)
                and order.order_id not in named
            ]
            spare = _corrections(orders, account, ticket) if kind == "modify" else 0
            gone = frozenset(o.order_id for o in mine if _is_so_anyway(o, truth))
            _hand_out(group, mine, gone, spare, matched, found)
    return matched


def _corrections(orders: Sequence[Told], account: int, ticket: int) -> int:
    return sum(
        order.corrections
        for order in orders
        if (order.account, order.kind, order.ticket) == (account, "open", ticket)
    )


def _hand_out(
    group: Sequence[Placed],
    orders: Sequence[Told],
    gone: Container[str],
    spare: int,
    matched: dict[str, list[Executed]],
    found: list[Violation],
) -> None:
    takers = _takers(orders, gone, spare)
    taken = _assigned(takers, group)
    for number, (place, each) in enumerate(group):
        if number in taken:
            order = takers[taken[number]]
            if order is not None:
                matched[order.order_id].append(each)
        elif fitting := [order for order in orders if _may_have(order, (place, each))]:
            words = f"{each.kind} of {each.ticket}: {len(group)} times, {len(orders)} orders"
            found.append(Violation(Wrong.TWICE, each.account, fitting[0].order_id, words))
        else:
            found.append(_of_nobody(each.account, each))


def _assigned(takers: Sequence[Told | None], group: Sequence[Placed]) -> dict[int, int]:
    """Who has which execution: as many as can have one, and the first in turn before all."""
    taken: dict[int, int] = {}

    def place(taker: int, tried: set[int]) -> bool:
        for number, placed in enumerate(group):
            if number not in tried and _may_have(takers[taker], placed):
                tried.add(number)
                # Whoever has it already may have another one instead.
                if number not in taken or place(taken[number], tried):
                    taken[number] = taker
                    return True
        return False

    for taker in range(len(takers)):
        place(taker, set())
    return taken


def _may_have(order: Told | None, placed: Placed) -> bool:
    """Whether an execution can be this order's; a correction is not tied to any moment."""
    if order is None:
        return True
    place, each = placed
    # What was answered for certain was executed before its answer, if at all.
    return order.after <= place and not (each.late and order.answered is not None)


def _takers(orders: Sequence[Told], gone: Container[str], spare: int) -> list[Told | None]:
    """To whom executions without a name are given, in turn; ``None`` is a correction."""
    done = sorted(
        (order for order in orders if order.outcome in KINDLY),
        # Whoever needs no execution of its own to be right takes none from the others.
        key=lambda order: (
            order.order_id in gone,
            order.answered == "plainly" and order.outcome == "unknown",  # "Position … not found"
            KINDLY[order.outcome],
            order.evidence not in SURE,
        ),
    )
    # Corrections come before those who deny, and the sent before those never sent.
    denying = sorted((o for o in orders if o.outcome in NOT_DONE), key=lambda o: not o.sent)
    return [*done, *[None] * spare, *denying]


def _of_nobody(account: int, each: Executed) -> Violation:
    return Violation(Wrong.NO_ENTRY, account, None, f"no order of {account} explains {each}")


def _about(order: Told, executions: Sequence[Executed], truth: Truth) -> Iterable[Violation]:
    def wrong(what: Wrong, why: str) -> Violation:
        return Violation(what, order.account, order.order_id, f"{what}: {order} {why}")

    if len(executions) > 1:
        yield wrong(Wrong.TWICE, f"executed {len(executions)} times: {list(executions)}")
    if executions and order.outcome in NOT_DONE:
        yield wrong(Wrong.DENIED, f"but {executions[0]}")
    if order.outcome == "filled":
        yield from (wrong(*each) for each in _about_fill(order, executions, truth))
    if order.shown not in (None, "unknown", order.outcome):
        yield wrong(Wrong.CHANGED, f"was shown as {order.shown}")
    if order.sent and order.answered == "plainly" and order.outcome not in ("filled", "rejected"):
        # "Position … not found" is no definite refusal, so a close may stay in doubt.
        if executions:
            yield wrong(Wrong.OK_NOT_FILLED, "")
        elif order.kind == "open":
            yield wrong(Wrong.REFUSAL_NOT_REJECTED, "")
    if order.sent and order.answered == "no" and order.outcome != "rejected":
        yield wrong(Wrong.REFUSAL_NOT_REJECTED, "")


def _about_fill(
    order: Told, executions: Sequence[Executed], truth: Truth
) -> Iterable[tuple[Wrong, str]]:
    if _may_be_a_persons(order, truth):
        return
    if not executions:
        if not _is_so_anyway(order, truth):
            yield Wrong.INVENTED, f"with evidence {order.evidence}"
        return
    each = executions[0]
    if order.ticket not in (None, each.ticket) and order.account not in truth.netting:
        yield Wrong.OTHER_TICKET, f"but it was {each.ticket}"


def _about_volume(order: Told, each: Executed, truth: Truth) -> Iterable[Violation]:
    """Of an execution that is this order's by name; of several closes any may be anybody's."""
    if order.filled_volume is None or each.volume is None or _may_be_a_persons(order, truth):
        return
    if abs(order.filled_volume - each.volume) > LOTS:
        words = f"{Wrong.OTHER_VOLUME}: {order} but it was {each.volume}"
        yield Violation(Wrong.OTHER_VOLUME, order.account, order.order_id, words)


def _may_be_a_persons(order: Told, truth: Truth) -> bool:
    """Whether it is inferred while a person traded just the same, the one excuse there is."""
    if order.evidence != "inferred" or order.symbol is None or order.side is None:
        return False
    opened = (e.ticket for e in truth.executed.get(order.account, ()) if e.kind == "open")
    if order.account not in truth.netting and order.ticket in opened:
        return False  # an order's own position is no person's
    volumes = {order.volume, order.filled_volume} - {None}
    return any(
        (order.account, order.symbol, order.side, volume) in truth.foreign
        for volume in volumes
        if volume is not None
    )


def _is_so_anyway(order: Told, truth: Truth) -> bool:
    """Whether what a close or modify wanted is the case, whoever did it.

    A close whose position is gone, by a stop or a person, is told filled from the history
    (or by 10036); a modify that changes nothing by 10025.
    """
    if order.kind == "close":
        gone = order.ticket not in truth.open_tickets.get(order.account, frozenset())
        return gone and (order.evidence in ("history", "balance") or order.retcode == 10036)
    return order.kind == "modify" and order.retcode == 10025
