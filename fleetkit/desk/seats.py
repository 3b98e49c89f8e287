"""An account's seat: one order of this process at a time, and its lease among all.

Why: two kernels that trade one account at once cannot tell whose ticket is whose. May
import `store`, `clock` and `errors`. The trap: a lease can be lost between any two
steps, so `still_mine` is asked after every wait and right before the first byte.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final

from fleetkit import store
from fleetkit.clock import Clock
from fleetkit.errors import StoreError
from fleetkit.store import Lease, Store

ASK_AGAIN_S: Final = 0.1
SPARE_S: Final = 1.0  # a lease that ends sooner is as good as lost


class NoSeat(Exception):
    """Another kernel trades the account and did not give it up in time."""


class Seat:
    """The right to trade one account, held until its block ends."""

    def __init__(self, kept: Store, clock: Clock, lease: Lease, ttl_s: float) -> None:
        self._store = kept
        self._clock = clock
        self._lease = lease
        self._ttl_s = ttl_s

    @property
    def lease(self) -> Lease:
        """The lease as it was renewed last."""
        return self._lease

    def __repr__(self) -> str:
        return f"<Seat of account {self._lease.account}, token {self._lease.token}>"

    async def still_mine(self) -> bool:
        """Whether a byte may be sent now; the lease then lasts its whole length again."""
        renew = partial(
            store.renew,
            lease=self._lease,
            now_s=self._clock.now().timestamp(),
            ttl_s=self._ttl_s,
        )
        renewed = await self._store.orders.run(renew)
        if renewed is None:
            return False
        self._lease = renewed
        # Asked once more without a wait: this process may have been stopped meanwhile.
        return renewed.lasts(self._clock.now().timestamp() + SPARE_S)


class Seats:
    """The seats of all accounts that this process trades."""

    def __init__(self, kept: Store, clock: Clock, lease_s: float) -> None:
        self._store = kept
        self._clock = clock
        self._lease_s = lease_s
        self._turns: dict[int, asyncio.Lock] = {}  # queues of coroutines on one loop

    def __repr__(self) -> str:
        return f"<Seats {sum(turn.locked() for turn in self._turns.values())} taken>"

    @asynccontextmanager
    async def take(self, account: int, *, within_s: float) -> AsyncIterator[Seat]:
        """Have an account's lease until the block ends.

        Raises
        ------
        NoSeat
            Another kernel did not give it up in time.
        """
        turn = self._turns.setdefault(account, asyncio.Lock())
        # Without a bound: orders of this process wait for each other, however many they are,
        # and each of them ends with its own deadlines.
        await turn.acquire()
        try:
            lease = await self._acquired(account, within_s)
            seat = Seat(self._store, self._clock, lease, self._lease_s)
            try:
                yield seat
            finally:
                await asyncio.shield(self._released(seat.lease))
        finally:
            turn.release()

    async def _acquired(self, account: int, within_s: float) -> Lease:
        until = self._clock.elapsed() + within_s
        owner = self._store.owner
        while True:
            take = partial(
                store.acquire,
                account=account,
                owner=owner,
                now_s=self._clock.now().timestamp(),
                ttl_s=self._lease_s,
            )
            lease = await self._taken(take)
            if lease is not None:
                return lease
            if self._clock.elapsed() >= until:
                raise NoSeat
            await self._clock.sleep(ASK_AGAIN_S)

    async def _taken(self, take: Callable[[sqlite3.Connection], Lease | None]) -> Lease | None:
        """Take it, and give it back where whoever wanted it was cancelled meanwhile."""
        taking = asyncio.ensure_future(self._store.orders.run(take))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            await asyncio.shield(self._unwanted(taking))
            raise

    async def _unwanted(self, taking: asyncio.Future[Lease | None]) -> None:
        with suppress(StoreError):
            lease = await taking
            if lease is not None:
                await self._released(lease)

    async def _released(self, lease: Lease) -> None:
        # One that cannot be given back runs out; what was done under it stays done, and
        # must still be told.
        with suppress(StoreError):
            await self._store.orders.run(lambda connection: store.release(connection, lease))
