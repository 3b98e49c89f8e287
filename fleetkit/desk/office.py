"""What every order of one fleet shares: store, clock, seats, and who is told.

Why: an order's life gets one thing to hold instead of ten. May import `seats`,
`store`, `gateway`, `orders` and below. The trap: nothing here belongs to one order.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Protocol, TypeVar

from fleetkit import store
from fleetkit.clock import Clock
from fleetkit.config import FleetConfig
from fleetkit.desk.seats import Seats
from fleetkit.gateway import Gateway
from fleetkit.orders.records import Intent
from fleetkit.store import Facts, OrderRecord, Store
from fleetkit.trading import OrderKind, Receipt

T = TypeVar("T")


class Told(Protocol):
    """Who hears of the steps of an order."""

    def step(self, order_id: str, account: int, agent: str, what: str, facts: Facts) -> None:
        """Something of it is on disk."""

    def sent(self, intent: Intent) -> None:
        """Its first byte may have gone."""

    def shown(self, receipt: Receipt) -> None:
        """An outcome of it is on disk."""

    def broken(self, order_id: str, error: BaseException | None) -> None:
        """Following it failed in a way that nobody foresaw; it stays as it is on disk."""


class Office:
    """The desk's own things, shared by the orders it lives."""

    def __init__(
        self,
        config: FleetConfig,
        kept: Store,
        clock: Clock,
        *,
        forget: Callable[[Gateway], None],
        refetch: Callable[[Gateway], None],
        told: Told,
        notice_jump: Callable[[], None],
        over: Callable[[int], frozenset[str]],
    ) -> None:
        self.config = config
        self.store = kept
        self.clock = clock
        self.seats = Seats(kept, clock, config.trading.lease_s)
        self.forget = forget
        self.refetch = refetch
        self.told = told
        self.notice_jump = notice_jump
        self.over = over  # unknown orders of an account that no longer can be executed
        self.jumps = 0  # of the clock, since this fleet was connected
        self._minded = 0

    def __repr__(self) -> str:
        return f"<Office {self.seats!r}>"

    async def work(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Write to the order store."""
        return await self.store.orders.run(work)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Read from the order store."""
        return await self.store.orders.run(work)

    async def disarm_after_jump(self) -> None:
        """End the arming where the clock jumped since this was asked last."""
        self.notice_jump()
        if self._minded == self.jumps:
            return
        self._minded = self.jumps
        now_s = self.clock.now().timestamp()
        await self.work(lambda connection: store.live(connection, now_s, jumped=True))

    async def stopped(self, record: OrderRecord | None) -> str | None:
        """What came in between the order's admission and its first byte, if anything."""
        if record is None or record.intent.kind != OrderKind.OPEN:
            return None
        now_s, admitted_by = self.clock.now().timestamp(), record.intent.arming_id

        def work(connection: sqlite3.Connection) -> str | None:
            if store.halted(connection) is not None:
                return "trading was halted meanwhile"
            arming = store.live(connection, now_s)
            is_live = arming is not None and arming.arming_id == admitted_by
            return None if is_live else "its arming ended meanwhile"

        return await self.read(work)

    def key_of(self, key: str | None, kind: OrderKind) -> str | None:
        """The key in the journal; closes have no arming, so theirs is this kernel's alone."""
        if key is None or kind is OrderKind.OPEN:
            return key
        return f"{self.store.owner.id}:{key}"
