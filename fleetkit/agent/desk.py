"""The desk where orders are taken: each id once, each to its end, each written down.

Why: a client that lost an answer may ask again with the same id and gets the
first answer; nobody's order is executed twice, and none is forgotten. May import
`trading`, `orders`, `request`, `terminal` and `contract`.
The trap: an order runs in a task of its own. The connection that brought it may
die at any moment, and what has been asked of the terminal is not called back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any, Final, ParamSpec, TypeVar

import msgspec

from fleetkit import contract
from fleetkit.agent.orders import ORDER_ID, LoggedOrder, OrderLog, OrderLogError, Settlement
from fleetkit.agent.request import HttpError, Reply, Request, busy, unprocessable
from fleetkit.agent.terminal import Deal, Terminal, TerminalError
from fleetkit.agent.trading import (
    Outcome,
    Trade,
    execute,
    extended_reply,
    no_answer,
    trade_of,
)
from fleetkit.contract import Call, DealEntry, OrderStatus

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Turn = Callable[[Call[Any]], AbstractAsyncContextManager[None]]
Gone = Callable[[], bool]  # whether the caller is

REPLAYED: Final = ((b"idempotent-replayed", b"true"),)
LEDGER_SLACK: Final = timedelta(hours=1)  # between two clocks, where a deal is looked for
IN_PARTS: Final = timedelta(minutes=1)  # an order may still be filling, deal by deal
LOOK_S: Final = 1.0  # to wait for the ledger, before an order is called unknown as before
NOT_WRITTEN: Final = "what became of it could not be written down"
ENDED: Final = "the agent ended before the terminal's answer was written down"


class Flight(msgspec.Struct):
    """An order with an id between its arrival and its answer."""

    digest: bytes
    task: asyncio.Task[Reply]
    callers: list[Gone]  # it is dropped before its turn when all of them are gone


class OrderDesk:
    """Takes trade requests, one terminal's.

    Parameters
    ----------
    terminal
        Who executes.
    log
        Where orders with an id are written down; ``None`` takes no such orders.
    turn
        The queue in front of the terminal; raises `HttpError` where it is full.
    now
        The wall clock in UTC.
    """

    def __init__(
        self, terminal: Terminal, log: OrderLog | None, turn: Turn, now: Callable[[], datetime]
    ) -> None:
        self._terminal = terminal
        self._log = log
        self._turn = turn
        self._now = now
        self._flights: dict[str, Flight] = {}
        self._tasks: set[asyncio.Task[Reply]] = set()
        self._looks: dict[str, asyncio.Task[LoggedOrder]] = {}
        self._closing: asyncio.Task[None] | None = None
        self._ended = False
        # SQLite's commits wait for the disk; the loop must not wait with them.
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="order-log")

    def __repr__(self) -> str:
        return f"<fleetkit.agent OrderDesk, {len(self._tasks)} orders in flight>"

    async def trade(self, request: Request, gone: Gone) -> Reply:
        """Execute a trade request once, and answer it.

        Raises
        ------
        HttpError
            422 for what makes no sense, 409 for an id that was another order's, 503
            where the terminal was not asked.
        """
        trade = trade_of(request)
        self._check_open()
        if trade.order_id is None:
            return await asyncio.shield(self._start(self._execute(request.call, trade, gone)))
        if self._log is None:
            raise unprocessable("order_id", "This agent keeps no order log: leave order_id out")
        flight = self._flights.get(trade.order_id)
        if flight is None:
            flight = self._take_off(self._log, request.call, trade, gone)
        elif flight.digest != trade.digest:
            raise _conflict(trade.order_id, OrderStatus.ACCEPTED)
        else:
            flight.callers.append(gone)
        return await asyncio.shield(flight.task)

    async def status(self, order_id: str, account: int | None) -> Reply:
        """``GET /orders/{order_id}``: what became of an order.

        Answered beside the lane, but for an unknown one: then the ledger is asked.
        """
        if self._log is None:
            raise HttpError(404, "Not Found")
        if not ORDER_ID.fullmatch(order_id):
            raise unprocessable("order_id", "Expected 26 characters of A-Z, a-z, 0-9, _ and -")
        self._check_open()
        in_flight = order_id in self._flights
        found = await self._on_disk(self._log.find, order_id)
        in_flight = in_flight or order_id in self._flights
        if found is not None and not in_flight:
            found = _open_ended(found)
        if found is None and not in_flight:
            body = {"status": OrderStatus.NEVER_RECEIVED.value, "order_id": order_id}
            return Reply(404, {**body, "account_number": account})
        if found is None:
            body = {"status": OrderStatus.ACCEPTED.value, "order_id": order_id}
            return Reply(200, {**body, "account_number": account})
        if found.settlement.status is OrderStatus.UNKNOWN and not in_flight:
            found = await self._looked_up(self._log, found)
        return Reply(200, {**_status_body(found), "account_number": account})

    async def close(self, within_s: float) -> None:
        """Let orders in flight end, within a bound, and let go of the log.

        One that has not ended by then stays "accepted" in the log, which reads as
        "unknown" when it is opened again. May be called again.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(within_s))
        await asyncio.shield(self._closing)

    async def _close(self, within_s: float) -> None:
        for look in list(self._looks.values()):
            look.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_s)
        self._ended = True  # an order that still waits for its turn has missed it
        if self._log is not None:
            await self._on_disk(self._log.close)
        self._disk.shutdown(wait=False)

    def _check_open(self) -> None:
        if self._closing is not None:
            raise busy("the agent is ending")

    def _take_off(self, log: OrderLog, call: Call[Any], trade: Trade, gone: Gone) -> Flight:
        order_id, callers = trade.intent.order_id, [gone]
        task = self._start(self._once(log, call, trade, lambda: all(each() for each in callers)))
        flight = self._flights[order_id] = Flight(trade.digest, task, callers)
        task.add_done_callback(lambda _: self._flights.pop(order_id, None))
        return flight

    def _start(self, work: Coroutine[Any, Any, Reply]) -> asyncio.Task[Reply]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Reply]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # taken note of, also when nobody waits for it any more

    async def _once(self, log: OrderLog, call: Call[Any], trade: Trade, gone: Gone) -> Reply:
        try:
            known = await self._on_disk(log.accept, trade.intent, self._now())
        except OrderLogError as error:
            raise busy(str(error)) from error  # what cannot be written down is not done
        if known is not None:
            return _replay(known, trade)
        try:
            return await self._execute(call, trade, gone)
        except HttpError:  # the terminal was not asked
            # Where the log cannot forget it, the id is used up: unknown, never executed.
            with contextlib.suppress(OrderLogError):
                await self._on_disk(log.withdraw, trade.intent.order_id)
            raise

    async def _execute(self, call: Call[Any], trade: Trade, gone: Gone) -> Reply:
        async with self._turn(call):
            self._check_wanted(gone)
            outcome = await self._ask(trade, gone)
        reply = extended_reply(trade, outcome)
        if self._log is not None and trade.order_id is not None:
            await self._settle(self._log, trade.order_id, outcome.settlement, reply)
        return reply

    def _check_wanted(self, gone: Gone) -> None:
        # Its caller took it for lost. Executed now, it would be a surprise.
        if self._ended:
            raise busy("the agent has ended")
        if gone():
            raise busy("the caller went away before the terminal was asked")

    async def _ask(self, trade: Trade, gone: Gone) -> Outcome:
        try:
            return await execute(self._terminal, trade, lambda: self._check_wanted(gone))
        except HttpError:
            raise  # the last question before the order, and it was not sent
        except Exception as error:  # noqa: BLE001 - whatever broke, the order may be out there
            return no_answer(trade, f"{type(error).__name__}: {error}")

    async def _settle(
        self, log: OrderLog, order_id: str, settlement: Settlement, reply: Reply | None
    ) -> None:
        def write() -> None:
            log.settle(
                order_id,
                settlement,
                self._now(),
                http_status=None if reply is None else reply.status,
                reply=None if reply is None else msgspec.json.encode(reply.body),
            )

        try:
            await self._on_disk(write)
        except OrderLogError:
            # The answer is still true and the caller should have it. The log says
            # "accepted", which nobody takes for "not executed".
            return

    async def _looked_up(self, log: OrderLog, order: LoggedOrder) -> LoggedOrder:
        # One look for all who ask, and nobody waits for a terminal that hangs.
        order_id = order.intent.order_id
        look = self._looks.get(order_id)
        if look is None:
            look = self._looks[order_id] = asyncio.create_task(self._look_up(log, order))
            look.add_done_callback(lambda _: self._looks.pop(order_id, None))
        await asyncio.wait([look], timeout=LOOK_S)
        return look.result() if look.done() and not look.cancelled() else order

    async def _look_up(self, log: OrderLog, order: LoggedOrder) -> LoggedOrder:
        since = order.received_at - LEDGER_SLACK
        try:
            async with self._turn(contract.ORDER_STATUS):
                book = await self._terminal.deals(since, self._now() + LEDGER_SLACK)
        except (HttpError, TerminalError):
            return order
        evidence = _evidence(order, [deal for deal in book.deals if _belongs(deal, order)])
        if evidence is None:
            return order  # no deal is no proof: it may come later
        young = self._now() - order.received_at < IN_PARTS
        if evidence.status is OrderStatus.PARTIALLY_FILLED and young:
            return order  # written down now, it would stay "in part" for ever
        await self._settle(log, order.intent.order_id, evidence, None)
        return msgspec.structs.replace(order, settlement=evidence, settled_at=self._now())

    async def _on_disk(
        self,
        work: Callable[Parameters, Result],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        loop = asyncio.get_running_loop()
        try:
            done = loop.run_in_executor(self._disk, lambda: work(*args, **kwargs))
        except RuntimeError as error:  # its thread has ended
            raise OrderLogError("The order log is closed: the agent has ended.") from error
        return await done


def _open_ended(order: LoggedOrder) -> LoggedOrder:
    # Accepted, and nobody works on it any more: its end could not be written down.
    if order.settlement.status is not OrderStatus.ACCEPTED:
        return order
    made = msgspec.structs.replace(
        order.settlement, status=OrderStatus.UNKNOWN, message=NOT_WRITTEN
    )
    return msgspec.structs.replace(order, settlement=made)


def _replay(known: LoggedOrder, trade: Trade) -> Reply:
    order_id, made = known.intent.order_id, known.settlement
    if known.intent.digest != trade.digest:
        raise _conflict(order_id, made.status)
    if known.reply is not None and known.http_status is not None:
        return Reply(known.http_status, msgspec.json.decode(known.reply), REPLAYED)
    if made.status in (OrderStatus.ACCEPTED, OrderStatus.UNKNOWN):
        made = msgspec.structs.replace(made, status=OrderStatus.UNKNOWN, message=ENDED)
        reply = extended_reply(trade, Outcome(settlement=made, no_answer=True))
    else:
        reply = extended_reply(trade, Outcome(settlement=made))
    return Reply(reply.status, reply.body, REPLAYED)


def _conflict(order_id: str, status: OrderStatus) -> HttpError:
    detail = f"order_id {order_id} was used for another order: make a new one"
    more = {"retcode": None, "order_id": order_id, "order_status": status.value}
    return HttpError(409, detail, more=more)


def _status_body(order: LoggedOrder) -> dict[str, Any]:
    made = order.settlement
    return {
        "status": made.status.value,
        "order_id": order.intent.order_id,
        "kind": order.intent.kind,
        "ticket": made.ticket,
        "deal": made.deal,
        "order": made.order_ticket,
        "volume": made.volume,
        "price": made.price,
        "retcode": made.retcode,
        "message": made.message,
        "received_at": order.received_at,
        "settled_at": order.settled_at,
    }


def _belongs(deal: Deal, order: LoggedOrder) -> bool:
    # A broker may copy a position's comment to the deal that closes it, so the
    # comment alone does not tell an open from a later stop.
    opens = deal.entry in (DealEntry.IN, DealEntry.INOUT)
    return deal.comment == order.intent.order_id and opens == (order.intent.kind == "open")


def _evidence(order: LoggedOrder, deals: list[Deal]) -> Settlement | None:
    if not deals:
        return None
    volume = round(sum(deal.volume for deal in deals), 8)
    wanted, last = order.intent.wanted, deals[-1]
    whole = wanted is None or volume >= wanted - 1e-9
    return Settlement(
        status=OrderStatus.FILLED if whole else OrderStatus.PARTIALLY_FILLED,
        # A reversed position keeps its identity and gets the ticket of the order that did it.
        ticket=last.order if last.entry == DealEntry.INOUT else last.position_id,
        deal=last.ticket,
        order_ticket=last.order,
        volume=volume,
        price=last.price,
        message="found in the ledger by its id",
    )
