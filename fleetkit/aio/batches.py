"""Several orders at once: lists, closing everything, and plans.

May import `orders` and what it imports. The trap: what keeps one order from its receipt
must not keep back the others', and no account that failed may be overlooked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from fleetkit import frames
from fleetkit.aio.order_words import open_wish
from fleetkit.aio.orders import OrderCalls
from fleetkit.aio.plans import Plan
from fleetkit.aio.selection import Accounts, account_numbers, symbol_name
from fleetkit.desk import PlannedBatch, Wanted
from fleetkit.errors import AgentError, FleetkitError, UsageError
from fleetkit.frames import DataFrame
from fleetkit.gateway import Gateway, landed
from fleetkit.trading import Evidence, OrderKind, Outcome, PlannedOrder, Receipt


class BatchCalls(OrderCalls):
    """Open several, close all, plan."""

    async def open_positions(self, orders: Sequence[Mapping[str, Any]]) -> DataFrame:
        """Open several positions at once; one account's failure does not stop the others.

        Parameters
        ----------
        orders
            Dicts with the parameters of `open_position`.

        Returns
        -------
        pandas.DataFrame
            One row per order, indexed by ``order_id``, in the order given, with what a
            `Receipt` has. ``attrs["missing"]`` lists the accounts whose order was not
            filled.
        """
        wishes = [open_wish(order) for order in orders]
        await self.gateways_for([wish.account for wish in wishes])  # before anything is sent
        receipts = await asyncio.gather(*(self._told(wish) for wish in wishes))
        return _receipts(receipts)

    async def close_all(
        self, accounts: Accounts = None, symbols: str | Iterable[str] | None = None
    ) -> DataFrame:
        """Close every open position of one account, several, or all.

        Parameters
        ----------
        symbols
            Only of these.

        Returns
        -------
        pandas.DataFrame
            As of `open_positions`. ``attrs["missing"]`` also lists accounts whose
            positions could not be read, or that list none although the account says that
            it has one: they may still hold some.
        """
        only = {symbols} if isinstance(symbols, str) else symbols
        wanted = None if only is None else {symbol_name(each) for each in only}
        gateways = await self.gateways_for(account_numbers(accounts))
        closed = await asyncio.gather(*(self._closed(gateway, wanted) for gateway in gateways))
        missing = [
            gateway.name if gateway.account is None else gateway.account
            for gateway, receipts in zip(gateways, closed, strict=True)
            if receipts is None
        ]
        return _receipts([receipt for each in closed for receipt in each or ()], missing)

    async def _closed(self, gateway: Gateway, symbols: set[str] | None) -> list[Receipt] | None:
        """Close what one agent shows, whatever the others do; ``None`` where it shows nothing."""
        if gateway.last_reading is None:
            # Or there would be nothing to contradict an empty list with (T2).
            with suppress(AgentError):
                await landed(gateway.read_account(), gateway.name)
        try:
            rows = (await landed(gateway.read_positions(), gateway.name)).value.positions
        except AgentError:
            return None
        wishes = [
            Wanted(kind=OrderKind.CLOSE, account=row.account, ticket=row.ticket)
            for row in rows
            if symbols is None or row.symbol in symbols
        ]
        return list(await asyncio.gather(*map(self._told, wishes)))

    async def plan(self, orders: Sequence[Mapping[str, Any]]) -> Plan:
        """Show what `open_positions` would send, without sending it.

        Returns
        -------
        Plan
            ``.frame`` has one row per order: volume after rounding, stops in pips, price
            and money, margin, spread cost, and why it would be refused. ``.execute()``
            sends exactly that while it is fresh (10 s).
        """
        return Plan(await self.planned([open_wish(order) for order in orders]))

    async def planned(self, wishes: Sequence[Wanted]) -> PlannedBatch:
        """The same for orders of any kind: what closing and modifying would send, too."""
        planned = await asyncio.gather(*(self._planned(wish) for wish in wishes))
        return PlannedBatch(tuple(wishes), tuple(planned), self.clock.elapsed())

    async def execute_plan(self, plan: Plan) -> DataFrame:
        """Send a plan; `Plan.execute` calls it.

        Raises
        ------
        UsageError
            It was sent, is too old, or something in it would be refused.
        """
        batch = plan.batch
        if plan.executed:
            raise UsageError("This plan was sent already: fleet.orders() shows it. Plan again.")
        age_s = self.clock.elapsed() - batch.at
        if age_s > self.config.trading.plan_fresh_s:
            msg = f"This plan is {age_s:.0f} s old and its prices with it: plan again."
            raise UsageError(msg)
        refused = [order for order in batch.planned if order.refusal is not None]
        if refused and refused[0].refusal is not None:
            sentence = refused[0].refusal.sentence
            msg = f"{len(refused)} of {len(batch.planned)} orders would be refused: {sentence}"
            raise UsageError(msg)
        plan.executed = True
        return _receipts(await self.carried_out(batch))

    async def carried_out(self, batch: PlannedBatch) -> list[Receipt]:
        """Send what was planned, once; whoever calls sees to that. A receipt for each order."""
        pairs = zip(batch.wanted, batch.planned, strict=True)
        return list(await asyncio.gather(*(self._told(*pair) for pair in pairs)))

    async def _told(self, wanted: Wanted, shown: PlannedOrder | None = None) -> Receipt:
        """One of several orders: what keeps it from its receipt must not keep back the others'."""
        ids: list[str] = []
        try:
            return await self._placed(wanted, shown, ids)
        except FleetkitError as error:
            # Its id is told before anything is sent: without one, nothing was.
            is_unsent = not ids or isinstance(error, UsageError)
            return Receipt(
                order_id=ids[0] if ids else wanted.order_id or "",
                account=wanted.account,
                agent="",
                kind=wanted.kind,
                outcome=Outcome.NOT_SENT if is_unsent else Outcome.UNKNOWN,
                evidence=Evidence.LOCAL if is_unsent else Evidence.NONE,
                reason=str(error),
                symbol=wanted.symbol,
                side=wanted.side,
                volume=wanted.volume,
                ticket=wanted.ticket,
            )

    async def _planned(self, wanted: Wanted) -> PlannedOrder:
        (gateway,) = await self.gateways_for([wanted.account])
        return await self.desk.plan(gateway, wanted)


def _receipts(receipts: Sequence[Receipt], missing: Iterable[int | str] = ()) -> DataFrame:
    """Receipts as a frame that says whose orders were not filled."""
    frame = frames.receipts_frame(receipts)
    failed = [receipt.account for receipt in receipts if receipt.outcome != "filled"]
    frame.attrs["missing"] = list(dict.fromkeys([*missing, *failed]))
    return frame
