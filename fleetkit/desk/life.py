"""One order's life, lived: the events its machine is told and the commands it gives.

Why: `orders.states` decides; this obeys, with the lane, the lease and the journal.
May import the rest of this package below `desk`. The trap: commands are obeyed one after
the other, and what a command brings is told to the machine before the next thing
happens. Nothing here may decide anything about an outcome.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any, Final

from fleetkit import contract, store
from fleetkit.contract import Call
from fleetkit.desk import journal
from fleetkit.desk.office import Office
from fleetkit.desk.paperwork import Contested, Papers, Paperwork
from fleetkit.desk.reading import SEAT_S, Reader
from fleetkit.desk.seats import NoSeat, Seat
from fleetkit.desk.wire import wire_of
from fleetkit.errors import FleetkitError, StoreError
from fleetkit.gateway import Gateway, Hold
from fleetkit.http import without_secrets
from fleetkit.orders import states
from fleetkit.orders.classify import classify
from fleetkit.orders.messages import (
    Answered,
    AskById,
    Begin,
    BumpGeneration,
    CheckLease,
    ClockJumped,
    Command,
    Complain,
    CorrectStops,
    Event,
    Journal,
    LeaseHeld,
    LeaseLost,
    PersonResolved,
    ReadFailed,
    ReadStops,
    Refetch,
    Restarted,
    Send,
    SendStarted,
    Show,
    StopsRead,
    TakeSighting,
    WriteIntent,
)
from fleetkit.orders.records import JournalEntry, OrderState, Phase
from fleetkit.store import OrderRecord
from fleetkit.trading import Evidence, OrderKind, Outcome, Receipt, add_call, name_of_call

CALLS: Final[dict[OrderKind, Call[Any]]] = {
    OrderKind.OPEN: contract.OPEN,
    OrderKind.CLOSE: contract.CLOSE,
    OrderKind.MODIFY: contract.MODIFY,
}
SURE: Final = frozenset({Evidence.ANSWER, Evidence.BY_ID})
BEFORE_ANSWER: Final = (Phase.WRITING, Phase.CHECKING, Phase.SENDING)
CLOSED: Final = "the fleet was closed"
RESOLVE_TRIES: Final = 50
RESOLVE_AGAIN_S: Final = 0.1


class Life:
    """One order of this process, or one that was found in the journal.

    Attributes
    ----------
    state : OrderState
        Where it is.
    first : asyncio.Future of Receipt
        The first outcome that was on disk, or the error that kept it from there.
    papers : Paperwork
        What is on disk of it.
    """

    def __init__(
        self,
        office: Office,
        gateway: Gateway,
        state: OrderState,
        record: OrderRecord | None = None,
    ) -> None:
        self.state = state
        self.gateway = gateway
        self.first: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self.first.add_done_callback(_seen)
        mask = partial(without_secrets, agent=gateway.agent)
        self.papers = Paperwork(office, Papers(), record, mask=mask)
        self._office = office
        self._reader = Reader(office, gateway, state.intent)
        self._kept_back: str | None = None
        self._due: tuple[float, Command] | None = None
        self._poked = asyncio.Event()
        self._turn = asyncio.Lock()  # of the machine: one event at a time
        self._began = office.clock.elapsed()
        self._timings: dict[str, float] = {}
        self._jumps = office.jumps

    def __repr__(self) -> str:
        return f"<Life of order {self.state.intent.order_id}, {self.state.phase}>"

    @property
    def order_id(self) -> str:
        """The order's id."""
        return self.state.intent.order_id

    # From the wish to the first outcome

    async def begin(
        self, papers: Papers, timings: dict[str, float], seat: Seat, hold: Hold
    ) -> None:
        """Live until the first outcome is on disk; the lane is held and the seat is ours."""
        self._reader = Reader(self._office, self.gateway, self.state.intent)
        self.papers.papers, self._timings = papers, timings
        self._reader.seat, self._reader.hold = seat, hold
        try:
            await self.tell(Begin())
            await self._read_stops()
        finally:
            self._reader.seat = self._reader.hold = None

    async def keep_back(self, reason: str, timings: dict[str, float]) -> None:
        """Write down that nothing was sent, and why."""
        self._kept_back, self._timings = reason, timings
        await self.tell(Begin())

    # From then on

    async def follow(self) -> None:
        """Find out what became of it, however long that takes."""
        while not self.state.is_over:
            due = await self._next_due()
            if due is not None:
                await self._do(due)

    async def resume(self) -> None:
        """Take up an order that was found in the journal, and follow it."""
        while True:
            try:
                # Whoever sent it is gone, or has written its answer: the lease says so.
                async with self._reader.in_seat():
                    fresh = await self._office.read(lambda c: store.order(c, self.order_id))
                    if fresh is not None and not self._adopt(fresh):
                        await self.tell(Restarted())
                break
            except (NoSeat, StoreError):  # the account is traded, or the store is locked
                await self._office.clock.sleep(SEAT_S)
        await self.follow()

    async def resolve(self, event: PersonResolved) -> Receipt | str:
        """Let a person settle it; a sentence where it cannot be settled now."""
        for _ in range(RESOLVE_TRIES):
            if self.state.phase is Phase.RECONCILING:
                await self.tell(event)
                self._poked.set()
            receipt = self.papers.receipt
            if self.state.is_over and receipt is not None:
                return receipt
            await self._office.clock.sleep(RESOLVE_AGAIN_S)
        if receipt is not None and receipt.outcome is not Outcome.UNKNOWN:
            return receipt  # that much is on disk; its stops are still being read back
        return f"Order {self.order_id} is under way: look at fleet.orders() and try again."

    async def break_off(self) -> None:
        """Write down what is known, as nobody may wait for the rest; nothing is sent any more."""
        if self.papers.record is None:  # its intent may be on disk all the same
            self.papers.record = await self._office.read(lambda c: store.order(c, self.order_id))
        if self.state.phase is Phase.DRAFTED:
            await self.keep_back(CLOSED, self._timings)
        elif self.state.phase in BEFORE_ANSWER and not self.state.started:
            await self.tell(LeaseLost(CLOSED))
        elif self.state.phase in (*BEFORE_ANSWER, Phase.JOURNALLING):
            await self.tell(Restarted())
        self._show()

    def poke(self) -> None:
        """Read again now instead of when it is due."""
        if self._due is not None:
            self._due = (self._office.clock.elapsed(), self._due[1])
        self._poked.set()

    def may_still_come(self) -> bool:
        """Whether it may still be executed (T13); sure only of one that is being reconciled."""
        self._mind_jumps()
        until, now = self.state.not_before, self._office.clock.elapsed()
        return self.state.phase is not Phase.RECONCILING or not 0 < until <= now

    def _adopt(self, record: OrderRecord) -> bool:
        """Go on from what the journal says; whether nothing is left to do."""
        intent = journal.intent_of(record)
        self.papers.record = record
        if intent is None or record.head.settled:
            self.state = self.state.changed(phase=Phase.SETTLED)
            self._show()
        else:
            self.state = states.rebuilt(intent, journal.entry_of(record))
        return self.state.is_over

    # The machine

    async def tell(self, event: Event) -> None:
        """Tell the machine one event and obey what it says."""
        async with self._turn:
            await self._step(event)

    async def _step(self, event: Event) -> None:
        self._mind_jumps()
        now = self._office.clock.elapsed()
        self.state, commands = states.step(self.state, event, now)
        for command in commands:
            answer = await self._obey(command)
            if answer is not None:
                await self._step(answer)

    def _mind_jumps(self) -> None:
        """Let times from before a jump of the clock count for nothing."""
        self._office.notice_jump()
        if self._jumps != self._office.jumps:
            self._jumps = self._office.jumps
            now = self._office.clock.elapsed()
            self.state, _ = states.step(self.state, ClockJumped(), now)

    async def _obey(self, command: Command) -> Event | None:
        match command:
            case WriteIntent() | CheckLease() | Send():
                return await self._towards_send(command)
            case Journal(entry, at):
                if at is None:
                    return await self._write(entry)
                self._due = (at, Journal(entry))
            case CorrectStops():
                return await self._reader.correct(command, self.state.intent)
            case TakeSighting(at) | AskById(at):
                self._due = (at, command)
            case ReadStops():
                # Seat and lane come before the machine's turn, for everyone: whoever has the
                # turn and waits for them here waits for a read that waits for the turn.
                self._due = (self._office.clock.elapsed(), command)
            case BumpGeneration() | Refetch() | Show() | Complain():
                self._tell_others(command)
        return None

    async def _towards_send(self, command: WriteIntent | CheckLease | Send) -> Event:
        if self._kept_back is not None:
            return LeaseLost(self._kept_back)
        if isinstance(command, WriteIntent):
            return await self.papers.write_intent(self.state.intent)
        if isinstance(command, CheckLease):
            lost = await self._reader.lost()
            return LeaseHeld() if lost is None else LeaseLost(lost)
        return await self._send()

    def _tell_others(self, command: BumpGeneration | Refetch | Show | Complain) -> None:
        match command:
            case BumpGeneration():
                self._office.forget(self.gateway)
            case Refetch():
                self._office.refetch(self.gateway)
            case Show():
                self._show()
            case Complain(sentence):
                if not self.first.done():
                    self.first.set_exception(StoreError(sentence))

    async def _send(self) -> Event:
        hold, intent = self._reader.hold, self.state.intent
        if hold is None:
            return LeaseLost("the lane was not held")
        papers = self.papers.papers
        exchange = await hold.trade(
            CALLS[intent.kind],
            papers.body,
            order_id=intent.order_id if papers.names_itself else None,
            may_send=self._may_send,
        )
        if exchange.withheld is not None:
            return LeaseLost(exchange.withheld)
        return Answered(classify(intent.asked, wire_of(exchange)))

    async def _may_send(self) -> str | None:
        """The last look before the first byte; nothing waits between its answer and that."""
        stop = await self._office.stopped(self.papers.record) or await self._reader.lost()
        if stop is None:
            now = self._office.clock.elapsed()
            self.state, _ = states.step(self.state, SendStarted(), now)
            self.papers.sent_s = self._office.clock.now().timestamp()
            self._office.told.sent(self.state.intent)
        return stop

    async def _write(self, entry: JournalEntry) -> Event | None:
        try:
            return await self.papers.write(self.state.intent, entry, self._all_timings())
        except Contested as contested:
            # What was inferred is another order's: look on as if it had not been seen.
            self.state = self.state.changed(phase=Phase.RECONCILING, pending=None)
            return contested.event

    # What is due later

    async def _next_due(self) -> Command | None:
        """Wait until something is due, or somebody pokes."""
        self._poked.clear()
        if self._due is None:
            await self._poked.wait()
            return None
        wait_s = self._due[0] - self._office.clock.elapsed()
        if wait_s > 0:
            await _first_of(self._office.clock.sleep(wait_s), self._poked.wait())
        if self._due is None or self._due[0] > self._office.clock.elapsed():
            return None
        command, self._due = self._due[1], None
        return command

    async def _do(self, command: Command) -> None:
        if isinstance(command, Journal):
            async with self._turn:
                answer = await self._write(command.entry)
                if answer is not None:
                    await self._step(answer)
            return
        if not isinstance(command, (TakeSighting, AskById, ReadStops)):
            return
        try:
            async with self._reader.in_lane():
                await self.tell(await self._read(command))
                await self._read_stops()
        except NoSeat:
            await self._tell_unread(command, "Another kernel trades this account just now.")
        except FleetkitError as error:
            await self._tell_unread(command, str(error))

    async def _read(self, command: TakeSighting | AskById | ReadStops) -> Event:
        if isinstance(command, ReadStops):
            return await self._reader.stops(command.ticket)
        return await self._reader.look(command, self.state.intent)

    async def _read_stops(self) -> None:
        """Read stops back in the lane that is held, as long as the machine asks for it."""
        while self._due is not None and isinstance(self._due[1], ReadStops):
            command, self._due = self._due[1], None
            await self.tell(await self._read(command))

    async def _tell_unread(self, command: Command, reason: str) -> None:
        unread = StopsRead(None) if isinstance(command, ReadStops) else ReadFailed(reason)
        await self.tell(unread)

    def _show(self) -> None:
        receipt = self.papers.receipt
        if receipt is None:
            return
        closes = self.papers.papers.closes
        whole = self.state.intent.kind is OrderKind.CLOSE and receipt.evidence in SURE
        if closes is not None and whole and receipt.outcome is Outcome.FILLED:
            self.gateway.note_closed(closes)
        if not self.first.done():
            self.first.set_result(receipt)
        self._office.told.shown(receipt)

    def _all_timings(self) -> dict[str, float] | None:
        if self.first.done():
            return None  # the receipt's own were written with its first outcome
        hold = self._reader.hold
        timings = dict(self._timings)
        for name, ms in ({} if hold is None else hold.timings).items():
            add_call(timings, name_of_call(name), ms)
        timings[journal.TOTAL] = (self._office.clock.elapsed() - self._began) * 1000
        return timings


def _seen(future: asyncio.Future[Receipt]) -> None:
    if not future.cancelled():
        future.exception()  # taken note of, also when nobody waits for it


async def _first_of(*waits: Coroutine[Any, Any, object]) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
