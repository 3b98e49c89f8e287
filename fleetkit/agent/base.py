"""The base layer: what every deployed agent answers, field for field.

Why: the replies are written out here and not taken from the contract's wire
structs, so the client's reading cannot excuse a mistake in the agent's writing.
May import `terminal`, `trading`, `wall`, `request` and `contract`.
The trap: the order and the names of the fields, ``null`` ones included, are
read by programs that nobody will update.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from fleetkit import contract
from fleetkit.agent.request import Handler, HttpError, Reply, Request
from fleetkit.agent.terminal import (
    AccountState,
    ClosedTrade,
    OpenPosition,
    Terminal,
    Tick,
    UnknownSymbolError,
)
from fleetkit.agent.trading import base_trade
from fleetkit.agent.wall import broker_wall, machine_wall, moment_of

LOOK_BACK: Final = timedelta(days=7)  # how much earlier than `from_date` entries are read (T8)


async def health(terminal: Terminal, request: Request) -> Reply:
    """``GET /health``."""
    up = await terminal.initialised()
    body = {
        "status": "healthy" if up else "unhealthy",
        "accounts_monitored": 1 if up else 0,
        "mt5_initialized": up,
        "timestamp": machine_wall(terminal, terminal.now()),
    }
    return Reply(200, body)


async def accounts(terminal: Terminal, request: Request) -> Reply:
    """``GET /accounts``."""
    return Reply(
        200, account_body(await terminal.account(), machine_wall(terminal, terminal.now()))
    )


async def refresh(terminal: Terminal, request: Request) -> Reply:
    """``POST /refresh``."""
    await terminal.refresh()
    return Reply(200, {"status": "success", "message": "Account data refreshed"})


async def trade_history(terminal: Terminal, request: Request) -> Reply:
    """``GET /trade-history``."""
    now = terminal.now()
    since = moment_of(terminal, history_since(request.query, machine_wall(terminal, now)))
    # The machine's clock is compared with the broker's: what closed within the
    # hours that the broker is ahead is not seen yet (T8).
    until = moment_of(terminal, machine_wall(terminal, now))
    book = await terminal.history(since, until)
    trades = list(_entered_within(book.trades, since))
    body = {
        "account_number": book.number,
        "total_trades": len(trades),
        "total_profit": round(sum(trade.profit for trade in trades), 2),
        "total_commission": round(sum(trade.commission for trade in trades), 2),
        "trades": [_trade(terminal, trade) for trade in trades],
    }
    return Reply(200, body)


def _trade(terminal: Terminal, trade: ClosedTrade) -> dict[str, Any]:
    entry, exit_ = (broker_wall(terminal, time) for time in (trade.entry_time, trade.exit_time))
    return trade_body(trade, entry, exit_)


def _entered_within(trades: Sequence[ClosedTrade], since: datetime) -> Iterator[ClosedTrade]:
    # One row for a position: of one closed in parts only the newest part shows (T11).
    seen: set[int] = set()
    for trade in trades:
        if trade.entry_time >= since and trade.position_id not in seen:
            seen.add(trade.position_id)
            yield trade


async def positions(terminal: Terminal, request: Request) -> Reply:
    """``GET /positions``."""
    book = await terminal.positions()
    body = {
        "account_number": book.number,
        "position_count": len(book.positions),
        "total_profit": round(sum(position.profit for position in book.positions), 2),
        "positions": [
            position_body(position, broker_wall(terminal, position.open_time))
            for position in book.positions
        ],
    }
    return Reply(200, body)


async def quote(terminal: Terminal, request: Request) -> Reply:
    """``GET /quote/{symbol}``."""
    try:
        tick = await terminal.quote(request.values["symbol"])
    except UnknownSymbolError as error:
        raise HttpError(404, str(error)) from error
    return Reply(200, quote_body(tick, machine_wall(terminal, tick.time)))


HANDLERS: Final[Mapping[str, Handler]] = MappingProxyType(
    {
        contract.HEALTH.name: health,
        contract.ACCOUNTS.name: accounts,
        contract.REFRESH.name: refresh,
        contract.TRADE_HISTORY.name: trade_history,
        contract.POSITIONS.name: positions,
        contract.OPEN.name: base_trade,
        contract.CLOSE.name: base_trade,
        contract.MODIFY.name: base_trade,
        contract.QUOTE.name: quote,
    }
)


def history_since(query: Mapping[str, str], now: datetime) -> datetime:
    """The earliest entry that ``/trade-history`` reads for this query.

    Raises
    ------
    HttpError
        400 for what is no number of days or no date, 500 for an aware date (T10).
    """
    from_date = query.get("from_date")
    if from_date is None:
        return now - timedelta(days=days_of(query))
    try:
        since = datetime.fromisoformat(from_date)
    except ValueError as error:
        raise HttpError(400, f"Invalid from_date: {from_date}") from error
    if since.tzinfo is not None:
        # What a base agent's comparison of aware and naive times ends in.
        raise HttpError(500, "can't compare offset-naive and offset-aware datetimes")
    return since - LOOK_BACK if since.year > 1 else since  # there is no year 0


def days_of(query: Mapping[str, str]) -> int:
    """How many days a trade history looks back; `HttpError` 400 for what is no such number."""
    text = query.get("days", str(contract.DEFAULT_DAYS))
    # The length first: Python refuses to read a number of thousands of digits.
    readable = len(text) <= 9 and text.isascii() and text.isdigit()
    if not readable or not 1 <= int(text) <= contract.MAX_DAYS:
        raise HttpError(400, f"days must be between 1 and {contract.MAX_DAYS}")
    return int(text)


def account_body(state: AccountState, now: datetime) -> dict[str, Any]:
    """One account object."""
    return {
        "account_number": state.number,
        "account_name": state.name,
        "balance": state.balance,
        "status": "connected" if state.connected else "disconnected",
        "days_operating": state.days_operating,
        "has_open_position": state.has_open_position,
        "last_updated": now,
        "account_holder": state.holder,
        "prop_firm": state.firm,
        "initial_balance": state.initial_balance,
    }


def trade_body(trade: ClosedTrade, entry_time: datetime, exit_time: datetime) -> dict[str, Any]:
    """One closed trade; swap and fee are absent on the base layer (T11)."""
    return {
        "symbol": trade.symbol,
        "side": trade.side.upper(),
        "lot": trade.volume,
        "pips": trade.pips,
        "tp_money": None,
        "sl_money": None,
        "commission": trade.commission,
        "profit": trade.profit,
        "entry_time": entry_time,
        "exit_time": exit_time,
        "entry_price": trade.entry_price,
        "exit_price": trade.exit_price,
        "position_id": trade.position_id,
    }


def position_body(position: OpenPosition, open_time: datetime) -> dict[str, Any]:
    """One open position."""
    return {
        "ticket": position.ticket,
        "symbol": position.symbol,
        "type": position.side.upper(),
        "volume": position.volume,
        "open_price": position.open_price,
        "current_price": position.current_price,
        "sl": position.sl,
        "tp": position.tp,
        "profit": position.profit,
        "swap": position.swap,
        "commission": position.commission,
        "open_time": open_time,
    }


def quote_body(tick: Tick, time: datetime) -> dict[str, Any]:
    """One quote, with the sizes base agents guess from the symbol's name (T6)."""
    pip_value = 0.01 if tick.symbol.endswith("JPY") else 0.0001
    spread = round(tick.ask - tick.bid, tick.digits)
    return {
        "symbol": tick.symbol,
        "bid": tick.bid,
        "ask": tick.ask,
        "spread_points": spread,  # a price difference, whatever its name says
        "spread_pips": round(spread / pip_value, 1),
        "pip_value": pip_value,
        "trade_tick_value": tick.tick_value,
        "point": tick.point,
        "timestamp": time,
    }
