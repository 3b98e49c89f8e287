"""Arming and halt: whether anything may be opened at all.

May import `desk`, `store` and what `core` imports. The trap: a second arming joins the
live one; whoever joined must not end what another kernel relies on.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal

import msgspec

from fleetkit import store
from fleetkit.aio.history import HistoryCalls
from fleetkit.aio.order_words import Number, number_of
from fleetkit.aio.selection import Accounts, account_numbers, real_number, symbol_name
from fleetkit.desk.identifiers import new_order_id
from fleetkit.errors import UsageError

LONGEST_MINUTES = 24 * 60.0


class Armed(msgspec.Struct, frozen=True):
    """A live arming as one caller sees it; ``mine`` is whether leaving ends it."""

    arming: store.Arming
    mine: bool


class Armings(HistoryCalls):
    """Arm, disarm, halt, resume."""

    async def arm(
        self,
        minutes: float,
        max_volume: Number,
        max_orders: int,
        accounts: Accounts = None,
        symbols: str | Iterable[str] | None = None,
    ) -> Armed:
        """Allow opens for a while; `Fleet.armed` is this as a block.

        Parameters
        ----------
        minutes
            How long, a day at most.
        max_volume, max_orders
            Lots opened in total, and how many orders, of all kernels on this store.
        accounts, symbols
            Only these.

        Raises
        ------
        UsageError
        """
        self.check_open()
        length = real_number(minutes)
        if not 0 < length <= LONGEST_MINUTES:
            msg = f"`minutes` is a number above 0 and up to 1440, not {minutes!r:.60}."
            raise UsageError(msg)
        if isinstance(max_orders, bool) or not isinstance(max_orders, int) or max_orders < 1:
            msg = f"`max_orders` is a whole number from 1, not {max_orders!r:.60}."
            raise UsageError(msg)
        volume: Decimal = number_of(max_volume, "max_volume")
        numbers = account_numbers(accounts)
        names = None if symbols is None else _names(symbols)
        await self.desk.office.disarm_after_jump()  # or the next order would end the new one
        now = self.clock.now()
        arming_id = new_order_id(now)
        made = await self.store.orders.run(
            lambda connection: store.arm(
                connection,
                arming_id,
                until_s=(now + timedelta(minutes=length)).timestamp(),
                max_volume=volume,
                max_orders=max_orders,
                accounts=None if numbers is None else frozenset(numbers),
                symbols=names,
                now_s=now.timestamp(),
            )
        )
        mine = made.arming_id == arming_id
        if mine:
            self.armings.add(arming_id)
        return Armed(made, mine)

    async def disarm(self, armed: Armed) -> None:
        """End an arming, unless it is another's that this one only joined."""
        if armed.arming.arming_id in self.armings:  # or closing the fleet has ended it
            await self.end_armings([armed.arming.arming_id])

    async def halt(self, why: str = "") -> None:
        """Refuse every open everywhere on this store, until `resume`; closes stay possible."""
        self.check_open()
        now_s = self.clock.now().timestamp()
        owner = self.store.owner.id
        await self.store.orders.run(
            lambda connection: store.halt(connection, by=owner, why=why, now_s=now_s)
        )

    async def resume(self) -> None:
        """End a halt; opens still need an arming."""
        self.check_open()
        now_s = self.clock.now().timestamp()
        owner = self.store.owner.id
        await self.store.orders.run(
            lambda connection: store.resume(connection, by=owner, now_s=now_s)
        )


def _names(symbols: str | Iterable[str]) -> frozenset[str]:
    given = [symbols] if isinstance(symbols, str) else symbols
    return frozenset(symbol_name(each) for each in given)
