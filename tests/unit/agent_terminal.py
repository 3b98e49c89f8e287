"""A terminal for the agent's tests: it trades on paper and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec

from fleetkit.agent import AgentApp, OrderLog, TradeRefusedError, UnknownSymbolError
from fleetkit.agent.serve import AgentServer
from fleetkit.agent.terminal import (
    AccountState,
    ClosedTrade,
    CloseOrder,
    Deal,
    DealBook,
    ModifyOrder,
    OpenOrder,
    OpenPosition,
    PositionBook,
    SymbolInfo,
    Tick,
    TradeBook,
    TradeResult,
)
from fleetkit.model import MarginMode, Side

ACCOUNT = 7100012
NOW = datetime(2026, 2, 1, 10, 15, 0, 123456, tzinfo=UTC)


class PaperTerminal:
    """Every order is executed at once, unless a test says otherwise.

    ``answers`` holds what the next trade calls do instead: an exception to raise, a
    result to give. ``hangs`` stops every call while it is set to an event.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.opened: list[OpenOrder] = []
        self.answers: list[Exception | TradeResult] = []
        self.hang: asyncio.Event | None = None
        self.book: dict[int, OpenPosition] = {}
        self.ledger: list[Deal] = []
        self.closed: list[ClosedTrade] = []
        self.window: tuple[datetime, datetime] | None = None
        self.connected = True
        self.trade_allowed = True
        self.offset = timedelta(hours=3)
        self.concurrent = self.most_concurrent = 0

    def now(self) -> datetime:
        return NOW

    def server_offset(self, moment: datetime) -> timedelta:
        return self.offset

    def machine_offset(self, moment: datetime) -> timedelta:
        return timedelta(0)

    async def initialised(self) -> bool:
        await self._asked("initialised")
        return self.connected

    async def account(self) -> AccountState:
        await self._asked("account")
        return AccountState(
            number=ACCOUNT if self.connected else 0,
            name="100k F1",
            balance=100450.25,
            connected=self.connected,
            days_operating=12,
            has_open_position=bool(self.book),
            initial_balance=100000.0,
            currency="USD",
            leverage=100,
            server="Demo-1",
            company="A broker",
            equity=100440.0,
            profit=-10.25,
            credit=0.0,
            margin=540.0,
            margin_free=99900.0,
            margin_level=18600.0,
            margin_mode=MarginMode.HEDGING,
            trade_allowed=self.trade_allowed,
            login_ok=True,
        )

    async def positions(self) -> PositionBook:
        await self._asked("positions")
        return PositionBook(ACCOUNT, list(self.book.values()))

    async def history(self, since: datetime, until: datetime) -> TradeBook:
        await self._asked("history")
        self.window = since, until
        return TradeBook(ACCOUNT, [each for each in self.closed if each.exit_time >= since])

    async def deals(self, since: datetime, until: datetime) -> DealBook:
        await self._asked("deals")
        self.window = since, until
        return DealBook(ACCOUNT, [deal for deal in self.ledger if since <= deal.time <= until])

    async def quote(self, symbol: str) -> Tick:
        await self._asked("quote")
        self._known(symbol)
        return Tick(
            symbol=symbol, bid=1.0861, ask=1.0862, digits=5, point=1e-05, tick_value=1.0, time=NOW
        )

    async def symbol(self, symbol: str) -> SymbolInfo:
        await self._asked("symbol")
        self._known(symbol)
        return SymbolInfo(
            symbol=symbol,
            digits=5,
            point=1e-05,
            volume_min=0.01,
            volume_max=50.0,
            volume_step=0.01,
            trade_stops_level=10,
            filling_mode=3,
            trade_contract_size=100000.0,
            trade_tick_size=1e-05,
            trade_tick_value=1.0,
            trade_mode=4,
            currency_profit="USD",
        )

    async def open(self, order: OpenOrder) -> TradeResult:
        await self._asked("open")
        self.opened.append(order)
        if self.answers:
            return self._answer()
        ticket = 5512400 + len(self.opened)
        self.book[ticket] = OpenPosition(
            ticket=ticket,
            symbol=order.symbol,
            side=order.side,
            volume=order.volume,
            open_price=1.0862,
            current_price=1.0861,
            sl=order.sl,
            tp=order.tp,
            profit=-1.0,
            swap=0.0,
            commission=0.0,
            open_time=NOW,
            magic=order.magic,
            comment=order.comment,
        )
        self.book_deal(entry=0, position=ticket, volume=order.volume, comment=order.comment)
        return TradeResult(
            retcode=10009,
            comment="Request executed",
            deal=self.ledger[-1].ticket,
            order=ticket,
            position=ticket,
            volume=order.volume,
            price=1.0862,
        )

    async def close(self, order: CloseOrder) -> TradeResult:
        await self._asked("close")
        if self.answers:
            return self._answer()
        position = self.book.get(order.ticket)
        if position is None:
            raise TradeRefusedError(f"Position {order.ticket} not found")
        volume = position.volume if order.volume is None else order.volume
        left = round(position.volume - volume, 2)
        if left > 0:
            self.book[order.ticket] = msgspec.structs.replace(position, volume=left)
        else:
            del self.book[order.ticket]
        self.book_deal(entry=1, position=order.ticket, volume=volume, comment=order.comment)
        return TradeResult(
            retcode=10009,
            comment="Request executed",
            deal=self.ledger[-1].ticket,
            order=99,
            volume=volume,
            price=1.0861,
        )

    async def modify(self, order: ModifyOrder) -> TradeResult:
        await self._asked("modify")
        if self.answers:
            return self._answer()
        return TradeResult(retcode=10009, comment="Request executed", sl=order.sl, tp=order.tp)

    async def refresh(self) -> None:
        await self._asked("refresh")

    def book_deal(self, *, entry: int, position: int, volume: float, comment: str) -> None:
        self.ledger.append(
            Deal(
                ticket=9000 + len(self.ledger),
                order=position,
                time=NOW - timedelta(hours=1) + timedelta(seconds=len(self.ledger)),
                type=0,
                entry=entry,
                reason=3,
                position_id=position,
                symbol="EURUSD",
                volume=volume,
                price=1.0862,
                comment=comment,
            )
        )

    def close_in_parts(self) -> None:
        """A position of 0.5 lots that was closed 0.2 and 0.3."""
        for deal, volume, minutes in ((71, 0.3, 20), (70, 0.2, 10)):
            self.closed.append(
                ClosedTrade(
                    position_id=5512345,
                    symbol="EURUSD",
                    side=Side.BUY,
                    volume=volume,
                    pips=12.3,
                    profit=volume * 100,
                    commission=-volume,
                    swap=-1.0,
                    fee=-0.1,
                    entry_time=NOW - timedelta(days=40),
                    exit_time=NOW - timedelta(minutes=60 - minutes),
                    entry_price=1.08412,
                    exit_price=1.08535,
                    deal=deal,
                    comment="swing",
                    entry_volume=0.5,
                )
            )

    def _answer(self) -> TradeResult:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _known(self, symbol: str) -> None:
        if symbol != "EURUSD":
            raise UnknownSymbolError(f"Symbol {symbol} not found")

    async def _asked(self, what: str) -> None:
        self.asked.append(what)
        self.concurrent += 1
        self.most_concurrent = max(self.most_concurrent, self.concurrent)
        try:
            await asyncio.sleep(0)
            if self.hang is not None:
                await self.hang.wait()
        finally:
            self.concurrent -= 1


def order(order_id: str | None = None, lot: float = 0.5, **more: Any) -> dict[str, Any]:
    """The body of an open request."""
    body: dict[str, Any] = {"symbol": "EURUSD", "lot": lot, "order_type": "BUY", **more}
    return body if order_id is None else {**body, "order_id": order_id}


def order_id(number: int) -> str:
    """One of many order ids."""
    return f"01JK-test_{number:016d}"


@asynccontextmanager
async def served(
    terminal: PaperTerminal | None = None, **options: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, AgentServer]]:
    """A served extended agent and a plain client of it."""
    if "order_log" not in options:
        options["order_log"] = OrderLog(":memory:")
    app = AgentApp(terminal or PaperTerminal(), layer="extended", **options)
    server = AgentServer(app, stop_s=0.2)
    async with server, httpx.AsyncClient(base_url=server.url, timeout=10) as client:
        yield client, server


async def until(condition: Any, turns: int = 2000) -> None:
    """Give the loop turns until something is true."""
    for _ in range(turns):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not come true")
