"""The extended layer: the base replies with more fields and times in UTC, and new routes.

Why: a reply is a base reply plus what our own agent knows, so what base clients
read cannot drift. May import `base`, `terminal`, `orders`, `request` and `contract`.
The trap: windows of the trade history go by *exit* here. A client that asks both
layers the same question gets more rows from this one (T8, T11).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec

from fleetkit import contract
from fleetkit.agent.base import (
    account_body,
    days_of,
    position_body,
    quote_body,
    refresh,
    trade_body,
)
from fleetkit.agent.orders import ORDER_ID, OrderLog
from fleetkit.agent.request import Handler, HttpError, Reply, Request
from fleetkit.agent.terminal import (
    AccountState,
    ClosedTrade,
    Deal,
    OpenPosition,
    Terminal,
    UnknownSymbolError,
)
from fleetkit.contract import DEALS_PAGE, MAX_DEALS_PAGE

Record = TypeVar("Record")

AHEAD: Final = timedelta(days=1)  # a clock that is a little ahead hides nothing
BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
ROWS_AT_ONCE: Final = 500  # then the event loop has its turn


class Extended:
    """The handlers of the extended layer that wait for the terminal.

    Parameters
    ----------
    log
        Knows which order opened which position; ``None`` where there is none.
    """

    def __init__(self, log: OrderLog | None) -> None:
        self._log = log
        self.handlers: Mapping[str, Handler] = {
            contract.ACCOUNTS.name: accounts,
            contract.REFRESH.name: refresh,
            contract.TRADE_HISTORY.name: self.trade_history,
            contract.POSITIONS.name: self.positions,
            contract.QUOTE.name: quote,
            contract.DEALS.name: self.deals,
            contract.SYMBOL.name: symbol,
        }

    async def trade_history(self, terminal: Terminal, request: Request) -> Reply:
        """``GET /trade-history``: a row per closing deal, by exit time."""
        now = terminal.now()
        book = await terminal.history(_since(request.query, now), now + AHEAD)
        body = {
            "account_number": book.number,
            "total_trades": len(book.trades),
            "total_profit": round(sum(trade.profit for trade in book.trades), 2),
            "total_commission": round(sum(trade.commission for trade in book.trades), 2),
            "trades": await _rows(book.trades, self._trade),
        }
        return Reply(200, body)

    async def positions(self, terminal: Terminal, request: Request) -> Reply:
        """``GET /positions`` with magic, comment and order id."""
        book = await terminal.positions()
        body = {
            "account_number": book.number,
            "position_count": len(book.positions),
            "total_profit": round(sum(position.profit for position in book.positions), 2),
            "positions": await _rows(book.positions, self._position),
        }
        return Reply(200, body)

    async def deals(self, terminal: Terminal, request: Request) -> Reply:
        """``GET /deals``: the ledger by rising ticket, one page."""
        after = _number(request.query, "after", 0, 0, 2**63 - 1)
        limit = _number(request.query, "limit", DEALS_PAGE, 1, MAX_DEALS_PAGE)
        since = _moment(request.query, "from")
        book = await terminal.deals(BEGINNING if since is None else since, terminal.now() + AHEAD)
        left = [deal for deal in book.deals if deal.ticket > after]
        left.sort(key=lambda deal: deal.ticket)
        page, more = left[:limit], len(left) > limit
        body = {
            "account_number": book.number,
            "deals": await _rows(page, self._deal),
            "next_after": page[-1].ticket if more else None,
        }
        return Reply(200, body)

    def _identity(
        self, position: int, comment: str, order_id: str | None
    ) -> tuple[str | None, str]:
        if order_id is not None or self._log is None:
            return order_id, comment
        return self._log.identify(position, comment)

    def _position(self, position: OpenPosition) -> dict[str, Any]:
        ticket = position.ticket
        order_id, comment = self._identity(ticket, position.comment, position.order_id)
        return {
            **position_body(position, position.open_time),
            "magic": position.magic,
            "comment": comment,
            "order_id": order_id,
            "position_id": ticket if position.position_id is None else position.position_id,
        }

    def _trade(self, trade: ClosedTrade) -> dict[str, Any]:
        order_id, comment = self._identity(trade.position_id, trade.comment, trade.order_id)
        return {
            **trade_body(trade, trade.entry_time, trade.exit_time),
            "swap": trade.swap,
            "fee": trade.fee,
            "comment": comment,
            "order_id": order_id,
            "entry_volume": trade.volume if trade.entry_volume is None else trade.entry_volume,
            "closed_volume": trade.volume,
        }

    @staticmethod
    def _deal(deal: Deal) -> dict[str, Any]:
        # Its own order's id, which may be that of a close; the comment stays as booked.
        order_id = deal.comment if ORDER_ID.fullmatch(deal.comment) else None
        return {**msgspec.structs.asdict(deal), "order_id": order_id}


async def accounts(terminal: Terminal, request: Request) -> Reply:
    """``GET /accounts`` with equity, margin and what the account may do."""
    state = await terminal.account()
    return Reply(200, {**account_body(state, terminal.now()), **figures(state)})


async def quote(terminal: Terminal, request: Request) -> Reply:
    """``GET /quote/{symbol}``."""
    try:
        tick = await terminal.quote(request.values["symbol"])
    except UnknownSymbolError as error:
        raise HttpError(404, str(error)) from error
    return Reply(200, quote_body(tick, tick.time))


async def symbol(terminal: Terminal, request: Request) -> Reply:
    """``GET /symbols/{symbol}``."""
    try:
        info = await terminal.symbol(request.values["symbol"])
    except UnknownSymbolError as error:
        raise HttpError(404, str(error)) from error
    return Reply(200, msgspec.structs.asdict(info))


def figures(state: AccountState) -> dict[str, Any]:
    """What an account object has more than on the base layer."""
    return {
        "equity": state.equity,
        "credit": state.credit,
        "profit": state.profit,
        "margin": state.margin,
        "margin_free": state.margin_free,
        "margin_level": state.margin_level,
        "currency": state.currency,
        "leverage": state.leverage,
        "server": state.server,
        "company": state.company,
        "margin_mode": state.margin_mode,
        "trade_allowed": state.trade_allowed,
        "login_ok": state.login_ok,
    }


async def _rows(
    records: Sequence[Record], row: Callable[[Record], dict[str, Any]]
) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for start in range(0, len(records), ROWS_AT_ONCE):
        made += map(row, records[start : start + ROWS_AT_ONCE])
        await asyncio.sleep(0)  # `/health` is answered between two helpings
    return made


def _since(query: Mapping[str, str], now: datetime) -> datetime:
    days, since = days_of(query), _moment(query, "from_date")
    return now - timedelta(days=days) if since is None else since


def _moment(query: Mapping[str, str], name: str) -> datetime | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        # Naive is UTC here: this layer has no other clock.
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise HttpError(400, f"Invalid {name}: {text}") from error


def _number(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    readable = len(text) <= 19 and text.isascii() and text.isdigit()
    if not readable or not least <= int(text) <= most:
        raise HttpError(400, f"{name} must be between {least} and {most}")
    return int(text)
