"""What became of orders: the journal as a frame, looking again, and a person's word.

May import `desk` and what `core` imports. The trap: this makes no request of its own;
reconciliation goes on in the background, and `reconcile` only hurries it.
"""

from __future__ import annotations

from fleetkit import frames
from fleetkit.aio.batches import BatchCalls
from fleetkit.aio.order_words import ticket_of
from fleetkit.aio.selection import Accounts, Since, account_numbers, real_number, span_start
from fleetkit.desk import journal
from fleetkit.errors import UsageError
from fleetkit.frames import DataFrame
from fleetkit.orders.messages import PersonResolved
from fleetkit.trading import Receipt


class JournalCalls(BatchCalls):
    """Orders as they are known now."""

    async def orders(
        self,
        accounts: Accounts = None,
        days: float | None = None,
        since: Since = None,
        open_only: bool = False,
    ) -> DataFrame:
        """The journal of orders of every kernel on this store; makes no request.

        Returns
        -------
        pandas.DataFrame
            Indexed by ``order_id``, oldest first. ``outcome`` is missing while an order is
            under way; ``evidence`` says how the outcome is known.
        """
        self.check_open()
        since_s = None
        if days is not None or since is not None:
            since_s = span_start(days, since, self.clock.now()).timestamp()
        numbers = account_numbers(accounts)
        rows = await self.desk.rows(since_s=since_s, accounts=numbers, open_only=open_only)
        return frames.orders_frame([journal.line_of(row) for row in rows])

    async def reconcile(self, wait_s: float = 0.0) -> DataFrame:
        """Look at once at what is still unknown, and show what is open.

        Reconciliation goes on in the background anyway.

        Parameters
        ----------
        wait_s
            How long to wait for orders to settle.

        Returns
        -------
        pandas.DataFrame
            The frame of ``orders(open_only=True)``.
        """
        self.check_open()
        seconds = real_number(wait_s)
        if not 0 <= seconds < 86_400:
            msg = f"`wait_s` is a number of seconds such as 30, not {wait_s!r:.60}."
            raise UsageError(msg)
        await self.desk.reconcile(seconds)
        return await self.orders(open_only=True)

    async def resolve(self, order_id: str, executed: bool, ticket: int | None = None) -> Receipt:
        """Settle an unknown order by what a person saw in the terminal; it is journalled.

        Parameters
        ----------
        executed
            Whether it was executed.
        ticket
            Of the position, where there is one.

        Raises
        ------
        UsageError
            There is no such order, or it is settled already.
        """
        self.check_open()
        if executed not in (True, False):
            msg = "`executed` is True or False: what you saw in the terminal."
            raise UsageError(msg)
        number = None if ticket is None else ticket_of(ticket)
        receipt = await self.desk.resolve(order_id, PersonResolved(bool(executed), number))
        if isinstance(receipt, str):
            raise UsageError(receipt)
        return receipt
