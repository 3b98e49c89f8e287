"""The agent's base layer, asked through ASGI without a server."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from fleetkit import contract
from fleetkit.agent import AgentApp, Lane, TerminalError, UnknownSymbolError
from fleetkit.agent.base import HANDLERS
from fleetkit.agent.terminal import (
    AccountState,
    ClosedTrade,
    OpenPosition,
    PositionBook,
    Tick,
    TradeBook,
)
from fleetkit.contract import Call
from fleetkit.model import Side


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NOW = at("2026-02-01T10:15:00.123456")
POSITION = OpenPosition(
    ticket=5512399,
    symbol="EURUSD",
    side=Side.SELL,
    volume=0.5,
    open_price=1.0861,
    current_price=1.0869,
    sl=1.09,
    tp=None,
    profit=-4.2,
    swap=0.0,
    commission=0.0,
    open_time=at("2026-02-01T09:00"),
)
TRADE = ClosedTrade(
    position_id=5512345,
    symbol="EURUSD",
    side=Side.BUY,
    volume=0.5,
    pips=12.3,
    profit=61.5,
    commission=-3.5,
    swap=-1.0,
    fee=-0.1,
    entry_time=at("2026-01-30T08:00"),
    exit_time=at("2026-01-30T09:30"),
    entry_price=1.08412,
    exit_price=1.08535,
)


class StubTerminal:
    """A terminal with one position and one trade, that remembers what it was asked."""

    def __init__(self, error: TerminalError | None = None) -> None:
        self.error = error
        self.since: datetime | None = None
        self.until: datetime | None = None
        self.server = self.machine = timedelta(0)

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error

    def now(self) -> datetime:
        return NOW

    def server_offset(self, moment: datetime) -> timedelta:
        return self.server

    def machine_offset(self, moment: datetime) -> timedelta:
        return self.machine

    async def initialised(self) -> bool:
        return self.error is None

    async def account(self) -> AccountState:
        self._fail()
        return AccountState(
            number=7100012,
            name="100k F1",
            balance=100450.25,
            connected=True,
            days_operating=12,
            has_open_position=True,
            initial_balance=100000.0,
            currency="USD",
        )

    async def positions(self) -> PositionBook:
        self._fail()
        return PositionBook(7100012, [POSITION])

    async def history(self, since: datetime, until: datetime) -> TradeBook:
        self._fail()
        self.since, self.until = since, until
        return TradeBook(7100012, [TRADE])

    async def quote(self, symbol: str) -> Tick:
        self._fail()
        if symbol != "EURUSD":
            raise UnknownSymbolError(f"Symbol {symbol} not found")
        return Tick(
            symbol=symbol, bid=1.0861, ask=1.0862, digits=5, point=1e-05, tick_value=1.0, time=NOW
        )

    async def refresh(self) -> None:
        self._fail()


async def ask(
    app: AgentApp, method: str, path: str, query: str = "", body: bytes = b""
) -> tuple[int, dict[bytes, bytes], Any]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode()}
    await app(scope, receive, send)
    start, end = sent
    return start["status"], dict(start["headers"]), msgspec.json.decode(end["body"])


def get(path: str, query: str = "", terminal: StubTerminal | None = None) -> tuple[int, Any]:
    app = AgentApp(StubTerminal() if terminal is None else terminal)
    status, _, body = asyncio.run(ask(app, "GET", path, query))
    return status, body


def test_account_field_for_field() -> None:
    """The account object has the base layer's fields in its order, times without offset."""
    status, body = get("/accounts")
    assert status == 200
    assert list(body.items()) == [
        ("account_number", 7100012),
        ("account_name", "100k F1"),
        ("balance", 100450.25),
        ("status", "connected"),
        ("days_operating", 12),
        ("has_open_position", True),
        ("last_updated", "2026-02-01T10:15:00.123456"),
        ("account_holder", "Unknown"),
        ("prop_firm", "N/A"),
        ("initial_balance", 100000.0),
    ]


def test_trade_history_field_for_field() -> None:
    """Totals and trades as base agents write them, swap and fee absent (T11)."""
    status, body = get("/trade-history")
    assert status == 200
    trades = body.pop("trades")
    assert body == {
        "account_number": 7100012,
        "total_trades": 1,
        "total_profit": 61.5,
        "total_commission": -3.5,
    }
    assert list(trades[0].items()) == [
        ("symbol", "EURUSD"),
        ("side", "BUY"),
        ("lot", 0.5),
        ("pips", 12.3),
        ("tp_money", None),
        ("sl_money", None),
        ("commission", -3.5),
        ("profit", 61.5),
        ("entry_time", "2026-01-30T08:00:00"),
        ("exit_time", "2026-01-30T09:30:00"),
        ("entry_price", 1.08412),
        ("exit_price", 1.08535),
        ("position_id", 5512345),
    ]


def test_positions_field_for_field() -> None:
    """An open position has exactly the fields of the base layer."""
    status, body = get("/positions")
    assert status == 200
    assert body == {
        "account_number": 7100012,
        "position_count": 1,
        "total_profit": -4.2,
        "positions": [
            {
                "ticket": 5512399,
                "symbol": "EURUSD",
                "type": "SELL",
                "volume": 0.5,
                "open_price": 1.0861,
                "current_price": 1.0869,
                "sl": 1.09,
                "tp": None,
                "profit": -4.2,
                "swap": 0.0,
                "commission": 0.0,
                "open_time": "2026-02-01T09:00:00",
            }
        ],
    }


def test_quote_health_and_refresh() -> None:
    """The small replies; `spread_points` is a price difference on base agents (T6)."""
    assert get("/quote/EURUSD") == (
        200,
        {
            "symbol": "EURUSD",
            "bid": 1.0861,
            "ask": 1.0862,
            "spread_points": 0.0001,
            "spread_pips": 1.0,
            "pip_value": 0.0001,
            "trade_tick_value": 1.0,
            "point": 1e-05,
            "timestamp": "2026-02-01T10:15:00.123456",
        },
    )
    assert get("/quote/NOPE") == (404, {"detail": "Symbol NOPE not found"})
    assert get("/health") == (
        200,
        {
            "status": "healthy",
            "accounts_monitored": 1,
            "mt5_initialized": True,
            "timestamp": "2026-02-01T10:15:00.123456",
        },
    )
    status, headers, body = asyncio.run(ask(AgentApp(StubTerminal()), "POST", "/refresh"))
    assert (status, set(body)) == (200, {"status", "message"})
    assert headers[b"content-type"] == b"application/json"


def test_every_reply_is_read_by_the_contract() -> None:
    """What the agent writes, the contract's wire structs accept."""
    for call in (contract.HEALTH, contract.ACCOUNTS, contract.TRADE_HISTORY, contract.POSITIONS):
        _, body = get(call.path)
        call.decode(msgspec.json.encode(body))
    assert set(HANDLERS) == {call.name for call in contract.BASE}


@pytest.mark.parametrize(
    ("query", "since"),
    [
        ("", "2026-01-02T10:15:00.123456"),
        ("days=1", "2026-01-31T10:15:00.123456"),
        ("days=365", "2025-02-01T10:15:00.123456"),
        ("from_date=2026-01-20T00:00:00", "2026-01-13T00:00:00"),
        ("from_date=2026-01-20&days=9999", "2026-01-13T00:00:00"),
        ("from_date=0001-01-01", "0001-01-01T00:00:00"),
    ],
)
def test_window_of_the_trade_history(query: str, since: str) -> None:
    """`days` looks back nothing further, `from_date` seven days (T8)."""
    terminal = StubTerminal()
    assert get("/trade-history", query, terminal)[0] == 200
    assert (terminal.since, terminal.until) == (at(since), NOW)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("days=0", 400),
        ("days=366", 400),
        ("days=-3", 400),
        ("days=ten", 400),
        ("days=", 400),
        ("days=" + "9" * 5000, 400),
        ("from_date=yesterday", 400),
        ("from_date=2026-01-20T00:00:00Z", 500),
        ("from_date=2026-01-20T00:00:00%2B02:00", 500),
    ],
)
def test_impossible_windows(query: str, status: int) -> None:
    """Days out of range are a 400 (T9), an aware date ends in a 500 (T10)."""
    found, body = get("/trade-history", query)
    assert found == status
    assert isinstance(body["detail"], str)


@pytest.mark.parametrize("path", ["/", "/nope", "/accounts/", "/quote/", "/quote/EUR/USD"])
def test_unknown_paths(path: str) -> None:
    """A path that is no route is answered before the handlers."""
    assert get(path) == (404, {"detail": "Not Found"})


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", "/accounts"), ("GET", "/refresh"), ("POST", "/quote/EURUSD")]
)
def test_wrong_methods(method: str, path: str) -> None:
    """A known path with another method is a 405."""
    status, _, body = asyncio.run(ask(AgentApp(StubTerminal()), method, path))
    assert (status, body) == (405, {"detail": "Method Not Allowed"})


def test_a_failing_terminal_is_a_500_and_unhealthy() -> None:
    """The terminal's own words become the detail; the agent never makes up an empty list."""
    broken = StubTerminal(TerminalError("IPC timeout"))
    for path in ("/accounts", "/positions", "/trade-history", "/quote/EURUSD"):
        assert get(path, terminal=broken) == (500, {"detail": "IPC timeout"})
    status, body = get("/health", terminal=broken)
    assert (status, body["status"], body["mt5_initialized"]) == (200, "unhealthy", False)


def test_one_lane() -> None:
    """A slow handler delays every other route of the agent, health included (T12)."""
    release, order = asyncio.Event(), []

    class SlowAccounts(Lane):
        async def enter(self, call: Call[Any]) -> None:
            order.append(call.name)
            if call is contract.ACCOUNTS:
                await release.wait()

    async def scenario() -> None:
        app = AgentApp(StubTerminal(), lane=SlowAccounts())
        slow = asyncio.create_task(ask(app, "GET", "/accounts"))
        health = asyncio.create_task(ask(app, "GET", "/health"))
        unknown = await ask(app, "GET", "/nope")
        for _ in range(10):
            await asyncio.sleep(0)
        assert unknown[0] == 404
        assert not health.done()
        assert order == ["accounts"]
        release.set()
        assert [(await task)[0] for task in (slow, health)] == [200, 200]
        assert order == ["accounts", "health"]

    asyncio.run(scenario())


def test_lifespan_is_answered() -> None:
    """Servers that announce start and end get their answers."""
    said = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent: list[str] = []

    async def receive() -> Any:
        return next(said)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(AgentApp(StubTerminal())({"type": "lifespan"}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
