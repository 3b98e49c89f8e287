"""Orders: what callers may say, and the desk that does it.

May import `desk` and what `core` imports. The trap: an order is never cancelled once its
intent is on disk. Whoever stops waiting stops waiting, and nothing else.
"""

from __future__ import annotations

import msgspec

from fleetkit.aio.armings import Armings
from fleetkit.aio.order_words import (
    Number,
    flag_of,
    open_wish,
    order_id_of,
    stop_level,
    ticket_of,
    volume_of,
)
from fleetkit.aio.selection import account_number
from fleetkit.desk import Wanted
from fleetkit.progress import current_tally
from fleetkit.trading import KEEP, Keep, OrderKind, PlannedOrder, Receipt, Remove


class OrderCalls(Armings):
    """Open, close, modify, and everything about what became of it."""

    async def open_position(
        self,
        account: int,
        symbol: str,
        side: str,
        volume: Number,
        *,
        sl_price: Number | None = None,
        sl_pips: Number | None = None,
        sl_money: Number | None = None,
        tp_price: Number | None = None,
        tp_pips: Number | None = None,
        tp_money: Number | None = None,
        comment: str | None = None,
        order_id: str | None = None,
        again: bool = False,
        override: bool = False,
    ) -> Receipt:
        """Open a position at the market; the fleet must be armed.

        Parameters
        ----------
        account, symbol, side, volume
            Where, what, ``"buy"`` or ``"sell"``, and how many lots (rounded down to the
            symbol's step).
        sl_price, sl_pips, sl_money, tp_price, tp_pips, tp_money
            Stop loss and take profit, each in one of three ways: a price level, a
            distance in pips, or money in account currency.
        comment
            Up to 26 characters that the terminal keeps.
        order_id
            26 characters of your own: the same id is never sent twice, and replays the
            earlier receipt.
        again
            Send although this very cell has sent it before.
        override
            Open although another open of this symbol is still unknown.

        Returns
        -------
        Receipt
            Whatever happened: no exception is raised for an answer of agent or broker.
            ``outcome`` is ``filled``, ``rejected``, ``not_sent``, ``not_executed`` or
            ``unknown``; an unknown order is reconciled in the background and may have
            been executed. `Receipt.raise_unless_filled` raises for all but the first.

        Raises
        ------
        UsageError, UnknownAccount
            Before anything was done.

        Examples
        --------
        >>> import fleetkit as fk
        >>> with fk.demo(accounts=3, seed=7) as fleet:
        ...     with fleet.armed(minutes=5, max_volume=1.0, max_orders=4):
        ...         fleet.open_position(7100001, "EURUSD", "buy", 0.1).outcome.value
        'filled'
        """
        wish = {
            "account": account,
            "symbol": symbol,
            "side": side,
            "volume": volume,
            "sl_price": sl_price,
            "sl_pips": sl_pips,
            "sl_money": sl_money,
            "tp_price": tp_price,
            "tp_pips": tp_pips,
            "tp_money": tp_money,
            "comment": comment,
            "order_id": order_id,
            "again": again,
            "override": override,
        }
        return await self._placed(open_wish(wish))

    async def close_position(
        self,
        account: int,
        ticket: int,
        volume: Number | None = None,
        *,
        order_id: str | None = None,
        again: bool = False,
    ) -> Receipt:
        """Close a position, or a part of it; needs no arming, and no halt keeps it back.

        Parameters
        ----------
        ticket
            Of the position, from `positions`.
        volume
            Lots to close; all of it unless told. Only our own agents can close a part.
        order_id, again
            As in `open_position`.

        Returns
        -------
        Receipt
        """
        wanted = Wanted(
            kind=OrderKind.CLOSE,
            account=account_number(account),
            ticket=ticket_of(ticket),
            volume=None if volume is None else volume_of(volume),
            order_id=order_id_of(order_id),
            again=flag_of(again, "again"),
        )
        return await self._placed(wanted)

    async def modify_position(
        self,
        account: int,
        ticket: int,
        *,
        sl_price: Number | Keep | Remove = KEEP,
        tp_price: Number | Keep | Remove = KEEP,
        order_id: str | None = None,
        again: bool = False,
    ) -> Receipt:
        """Change a position's stops: price levels, ``fk.KEEP`` or ``fk.REMOVE`` each.

        Returns
        -------
        Receipt
            ``stops_ok`` says whether the position was read back as asked.
        """
        wanted = Wanted(
            kind=OrderKind.MODIFY,
            account=account_number(account),
            ticket=ticket_of(ticket),
            sl_price=stop_level(sl_price, "sl_price"),
            tp_price=stop_level(tp_price, "tp_price"),
            order_id=order_id_of(order_id),
            again=flag_of(again, "again"),
        )
        return await self._placed(wanted)

    async def _placed(
        self,
        wanted: Wanted,
        shown: PlannedOrder | None = None,
        ids: list[str] | None = None,
    ) -> Receipt:
        (gateway,) = await self.gateways_for([wanted.account])
        tally = current_tally()
        key = None
        if tally is not None:
            same = msgspec.structs.replace(wanted, again=False, override=False)
            key = tally.key_for(repr(same).encode())

        def told(order_id: str) -> None:
            for heard in (None if tally is None else tally.order_ids, ids):
                if heard is not None:
                    heard.append(order_id)

        return await self.desk.place(gateway, wanted, key, shown, told)
