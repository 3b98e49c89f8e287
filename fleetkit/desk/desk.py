"""`OrderDesk`: takes wishes, gives receipts, and follows what is unknown.

See the package's docstring. The trap: between a wish and its intent nothing is on disk,
so whatever goes wrong there is "not sent"; from the intent on it never is, unless the
machine says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

from fleetkit import store
from fleetkit.clock import Clock
from fleetkit.config import FleetConfig
from fleetkit.desk import journal, repeats
from fleetkit.desk.life import Life
from fleetkit.desk.office import Office, Told
from fleetkit.desk.paperwork import Replayed
from fleetkit.desk.placing import Placing
from fleetkit.desk.planning import SymbolShelf, Wanted
from fleetkit.errors import FleetClosed, StoreError
from fleetkit.gateway import Gateway
from fleetkit.model import Label
from fleetkit.orders.messages import PersonResolved
from fleetkit.orders.records import Intent, OrderState, Phase
from fleetkit.store import OrderRecord, OrderRow, Store
from fleetkit.trading import PlannedOrder, Receipt

WRITING_S: Final = 10.0  # longer than a locked store lets anyone wait
IN_HAND: Final = frozenset({Phase.WRITING, Phase.CHECKING, Phase.SENDING})
"""Phases that an order leaves within its lane; one that is left in them broke off."""


class OrderDesk:
    """Every order of one fleet; belongs to the loop thread.

    Parameters
    ----------
    gateways
        All of the fleet's agents, by name.
    forget, refetch
        Make an account's figures stale; read them again.
    label_of
        Phase and group of an account, for policies.
    told
        Who hears of the steps of orders.
    notice_jump
        Look whether the clock jumped, and count it in ``office.jumps``.
    """

    def __init__(
        self,
        config: FleetConfig,
        kept: Store,
        clock: Clock,
        gateways: dict[str, Gateway],
        *,
        forget: Callable[[Gateway], None],
        refetch: Callable[[Gateway], None],
        label_of: Callable[[int], Label],
        told: Told,
        notice_jump: Callable[[], None],
    ) -> None:
        self.office = Office(
            config,
            kept,
            clock,
            forget=forget,
            refetch=refetch,
            told=told,
            notice_jump=notice_jump,
            over=self._over,
        )
        self._gateways = gateways
        self._label_of = label_of
        self._shelf = SymbolShelf(clock.elapsed)
        self._lives: dict[str, Life] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._placing: set[asyncio.Task[Receipt]] = set()
        self._sending: set[str] = set()
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<OrderDesk {len(self._placing)} orders in flight, {len(self._lives)} open>"

    # Placing

    async def place(
        self,
        gateway: Gateway,
        wanted: Wanted,
        key: str | None,
        shown: PlannedOrder | None = None,
        told: Callable[[str], object] | None = None,
    ) -> Receipt:
        """Send an order and return its first outcome; whoever waits may leave.

        ``key`` tells a cell that is run again; ``shown`` is the order as a plan showed it;
        ``told`` hears the order's id before anything is sent.
        """
        placing = self._placing_of(gateway, wanted, key, shown)
        draft = placing.draft()
        task = asyncio.create_task(self._place(gateway, wanted, placing, draft, told))
        self._sending.add(draft.order_id)
        self._placing.add(task)
        gateway.link.open_orders += 1
        task.add_done_callback(lambda done: self._placed(gateway, draft.order_id, done))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if self._is_closed and task.cancelled():
                raise FleetClosed("The fleet was closed before this order began.") from None
            raise

    async def plan(self, gateway: Gateway, wanted: Wanted) -> PlannedOrder:
        """What would be sent, and why not."""
        placing = self._placing_of(gateway, wanted, None, None)
        return await placing.shown_plan()

    async def _place(
        self,
        gateway: Gateway,
        wanted: Wanted,
        placing: Placing,
        draft: Intent,
        told: Callable[[str], object] | None,
    ) -> Receipt:
        await self.office.disarm_after_jump()
        earlier = await placing.earlier()
        if isinstance(earlier, Receipt):
            return earlier
        life = Life(self.office, gateway, OrderState(intent=draft))
        if told is not None:
            told(life.order_id)
        try:
            await placing.run(life, earlier)
        except Replayed as replayed:
            return repeats.replayed(replayed.earlier, wanted)
        except asyncio.CancelledError:  # only by `close`: whoever waits may leave without one
            await life.break_off()
            if not life.first.done():
                raise
        finally:
            # Whatever broke: what is on disk and has no outcome is found out about.
            if life.papers.record is not None and not life.state.is_over:
                is_lost = life.state.phase in IN_HAND
                self._follow(life, life.resume() if is_lost else life.follow())
        return await life.first

    def _placing_of(
        self, gateway: Gateway, wanted: Wanted, key: str | None, shown: PlannedOrder | None
    ) -> Placing:
        return Placing(
            self.office,
            gateway,
            wanted,
            key=key,
            shown=shown,
            shelf=self._shelf,
            label_of=self._label_of,
        )

    def _placed(self, gateway: Gateway, order_id: str, task: asyncio.Task[Receipt]) -> None:
        self._sending.discard(order_id)
        gateway.link.open_orders -= 1
        self._placing.discard(task)
        if not task.cancelled():
            task.exception()  # taken note of, also when nobody waits for it any more

    # Following

    async def start(self) -> None:
        """Take up what earlier kernels left open on this fleet's accounts."""
        for record in await self.office.read(store.unsettled):
            self._take_up(record)

    def _take_up(self, record: OrderRecord) -> None:
        intent = journal.intent_of(record)
        gateway = self._gateway_of(record)
        if intent is None or gateway is None or record.intent.order_id in self._lives:
            return
        if record.intent.order_id in self._sending:
            return  # it is lived already, by whoever places it
        life = Life(self.office, gateway, OrderState(intent=intent), record)
        self._follow(life, life.resume())

    def _gateway_of(self, record: OrderRecord) -> Gateway | None:
        """The agent that the order was sent to, under whatever name it has today."""
        named = self._gateways.get(record.intent.agent)
        account = record.intent.account
        if named is not None and named.account in (None, account):
            return named
        return next((each for each in self._gateways.values() if each.account == account), None)

    async def is_trading(self, gateway: Gateway) -> bool:
        """Whether any kernel on this store has an order on this agent that is not settled."""
        try:
            records = await self.office.read(store.unsettled)
        except StoreError:
            return True
        return any(self._gateway_of(record) is gateway for record in records)

    def _over(self, account: int) -> frozenset[str]:
        """Unknown orders of an account that cannot be executed any more, however late (T13)."""
        return frozenset(
            life.order_id
            for life in self._lives.values()
            if life.state.intent.account == account and not life.may_still_come()
        )

    def _follow(self, life: Life, work: Coroutine[Any, Any, None]) -> None:
        if self._is_closed:
            work.close()  # the next fleet takes it up
            return
        self._lives[life.order_id] = life
        life.gateway.link.open_orders += 1
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._followed(life, done))

    def _followed(self, life: Life, task: asyncio.Task[None]) -> None:
        life.gateway.link.open_orders -= 1
        self._tasks.discard(task)
        self._lives.pop(life.order_id, None)
        if not task.cancelled() and task.exception() is not None:
            self.office.told.broken(life.order_id, task.exception())

    async def reconcile(self, wait_s: float) -> None:
        """Look at everything open now, and give it that long to settle."""
        await self.start()
        for life in self._lives.values():
            life.poke()
        if wait_s > 0 and self._tasks:
            timer = asyncio.ensure_future(self.office.clock.sleep(wait_s))
            everything = asyncio.ensure_future(asyncio.wait(set(self._tasks)))
            try:
                await asyncio.wait((timer, everything), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in (timer, everything):
                    each.cancel()
                await asyncio.gather(timer, everything, return_exceptions=True)

    async def resolve(self, order_id: str, event: PersonResolved) -> Receipt | str:
        """Let a person settle an unknown order; a sentence where that cannot be."""
        record = await self.office.read(lambda c: store.order(c, order_id))
        if record is None:
            return f"There is no order {order_id!r:.40}: fleet.orders() lists them."
        if record.head.settled:
            outcome = record.head.facts.outcome
            return f"Order {order_id} is settled: it was {outcome}. Nothing was changed."
        if order_id not in self._lives:
            self._take_up(record)
        life = self._lives.get(order_id)
        if order_id in self._sending:
            return f"Order {order_id} is under way: look at fleet.orders() and try again."
        if life is None:
            return f"Order {order_id} is of an agent that is not in this fleet: connect it."
        task = asyncio.create_task(life.resolve(event))  # to its end, whoever stops waiting
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def rows(
        self, *, since_s: float | None, accounts: Iterable[int] | None, open_only: bool
    ) -> list[OrderRow]:
        """The journal."""
        return await self.office.read(
            lambda c: store.orders(c, since_s=since_s, accounts=accounts, open_only=open_only)
        )

    async def close(self, within_s: float) -> None:
        """Let orders in flight end within a bound; the rest stays unknown in the journal."""
        if self._placing:
            await asyncio.wait(set(self._placing), timeout=within_s)
        self._is_closed = True
        tasks = [*self._placing, *self._tasks]
        for task in tasks:
            task.cancel()
        if tasks:  # the receipts of orders that were broken off are being written
            await asyncio.wait(tasks, timeout=WRITING_S)
