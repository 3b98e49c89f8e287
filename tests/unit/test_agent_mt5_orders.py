"""Orders to the real terminal, against `fake_mt5`: a stand-in, for the package needs Windows."""

from __future__ import annotations

import asyncio
import threading

import httpx
import pytest

from fleetkit.agent import AgentApp, OrderLog, TerminalError, TradeRefusedError
from fleetkit.agent.mt5 import Mt5Options, Mt5Terminal
from fleetkit.agent.mt5.requests import comment
from fleetkit.agent.serve import AgentServer
from fleetkit.agent.terminal import CloseOrder, ModifyOrder, OpenOrder
from fleetkit.model import Side
from tests.unit.agent_terminal import order, order_id, until
from tests.unit.test_agent_mt5 import Desk

ID = order_id(1)
BUY = OpenOrder(symbol="EURUSD", side=Side.BUY, volume=0.5, comment=ID)


def test_a_market_order() -> None:
    """Price by side, filling by the symbol's flags, good till cancelled, the id as comment."""
    desk = Desk(Mt5Options(magic=42))
    result = desk.ask(lambda t: t.open(BUY))
    assert desk.mt5.requests == [
        {
            "action": 1,
            "symbol": "EURUSD",
            "volume": 0.5,
            "type": 0,
            "price": 1.0862,
            "deviation": 20,
            "magic": 42,
            "comment": ID,
            "type_time": 0,
            "type_filling": 0,
        }
    ]
    assert (result.retcode, result.volume, result.price) == (10009, 0.5, 1.0862)
    assert result.position == result.order
    assert desk.mt5.book[result.position].comment == ID


def test_a_sale_with_stops() -> None:
    """A seller gets the bid, and stops that are named go along."""
    desk = Desk()
    sale = OpenOrder(symbol="EURUSD", side=Side.SELL, volume=0.1, sl=1.09, tp=1.08)
    desk.ask(lambda t: t.open(sale))
    (request,) = desk.mt5.requests
    assert (request["type"], request["price"]) == (1, 1.0861)
    assert (request["sl"], request["tp"]) == (1.09, 1.08)


@pytest.mark.parametrize(
    ("flags", "execution", "expected"),
    [(1, 2, 0), (2, 2, 1), (3, 2, 0), (2, 3, 1), (0, 3, 2), (0, 1, 2), (0, 2, 0)],
)
def test_the_filling_mode(flags: int, execution: int, expected: int) -> None:
    """The symbol's flags are not the order's numbers; "return" never at market execution."""
    desk = Desk()
    info = desk.mt5.symbols["EURUSD"]
    desk.mt5.symbols["EURUSD"] = info._replace(filling_mode=flags, trade_exemode=execution)
    desk.ask(lambda t: t.open(BUY))
    assert desk.mt5.requests[0]["type_filling"] == expected


def test_on_netting_the_older_number_stays() -> None:
    """The second order's position is the first one's; the deal tells."""
    desk = Desk(netting=True)

    async def scenario(terminal: Mt5Terminal):
        return await terminal.open(BUY), await terminal.open(BUY)

    first, second = desk.ask(scenario)
    assert second.position == first.position == first.order != second.order


def test_done_is_done_whatever_breaks_then() -> None:
    """The question which position it was may fail; the order is still filled."""
    for netting in (False, True):
        desk = Desk(netting=netting)
        desk.mt5.silent["history_deals_get"] = -10001
        result = desk.ask(lambda t: t.open(BUY))
        assert result.retcode == 10009
        assert result.position == (None if netting else result.order)


def test_close_is_bound_to_its_position() -> None:
    """The opposite side at its price, the position's number, all of it or a part."""
    desk = Desk()

    async def scenario(terminal: Mt5Terminal):
        ticket = (await terminal.open(BUY)).position
        part = await terminal.close(CloseOrder(ticket=ticket, volume=0.2, comment=order_id(2)))
        rest = await terminal.close(CloseOrder(ticket=ticket, deviation=5))
        return ticket, part, rest

    ticket, part, rest = desk.ask(scenario)
    _, first, second = desk.mt5.requests
    assert (first["position"], first["type"], first["price"]) == (ticket, 1, 1.0861)
    assert (first["volume"], second["volume"], second["deviation"]) == (0.2, 0.3, 5)
    assert (part.position, part.volume, rest.volume) == (ticket, 0.2, 0.3)
    assert not desk.mt5.book


def test_modify_keeps_the_stop_that_is_not_named() -> None:
    """MetaTrader removes a stop that a request leaves out; 0 removes it on purpose."""
    desk = Desk()

    async def scenario(terminal: Mt5Terminal):
        stops = OpenOrder(symbol="EURUSD", side=Side.BUY, volume=0.1, sl=1.07, tp=1.1)
        ticket = (await terminal.open(stops)).position
        kept = await terminal.modify(ModifyOrder(ticket=ticket, sl=1.08))
        gone = await terminal.modify(ModifyOrder(ticket=ticket, tp=0.0))
        return ticket, kept, gone

    ticket, kept, gone = desk.ask(scenario)
    assert (kept.sl, kept.tp, kept.position) == (1.08, 1.1, ticket)
    assert (gone.sl, gone.tp) == (1.08, None)
    assert desk.mt5.requests[1]["action"] == 6
    assert "comment" not in desk.mt5.requests[1]


@pytest.mark.parametrize(
    ("text", "sent"),
    [(ID, ID), ("swing [a] (b): c=1, \N{SNOWMAN}", "swing a b c1"), ("x" * 31, "x" * 26)],
)
def test_comments_that_every_terminal_takes(text: str, sent: str) -> None:
    """Too long, or with a bracket, the whole order would fail; an id stays whole."""
    assert comment(text) == sent


def test_no_answer_is_unknown() -> None:
    """`order_send` answered None: nobody knows, so it is not called refused."""
    desk = Desk()
    desk.mt5.answers = [None]
    with pytest.raises(TerminalError, match="order_send failed") as raised:
        desk.ask(lambda t: t.open(BUY))
    assert not isinstance(raised.value, TradeRefusedError)


@pytest.mark.parametrize(
    ("spoil", "words", "retcode"),
    [
        (lambda mt5: mt5.silent.update(account_info=-10004), "MT5 not initialized", None),
        (lambda mt5: mt5.silent.update(symbol_info_tick=-10001), "Failed to get current", None),
        (lambda mt5: mt5.symbols.clear(), "Symbol EURUSD not found", 10013),
        (
            lambda mt5: setattr(mt5, "account", mt5.account._replace(login=1)),
            "logged into account 1, not 7100012",
            None,
        ),
        (
            lambda mt5: setattr(mt5, "terminal", mt5.terminal._replace(connected=False)),
            "no connection to the broker",
            None,
        ),
        (
            lambda mt5: setattr(mt5, "account", mt5.account._replace(trade_expert=False)),
            "Trading not allowed",
            10017,
        ),
    ],
)
def test_what_was_not_sent_is_refused(spoil, words: str, retcode: int | None) -> None:
    """Everything that fails before the order leaves is a definite no."""
    desk = Desk(Mt5Options(account=7100012))
    spoil(desk.mt5)
    with pytest.raises(TradeRefusedError, match=words) as raised:
        desk.ask(lambda t: t.open(BUY))
    assert raised.value.retcode == retcode
    assert desk.mt5.requests == []


def test_a_position_that_is_not_there() -> None:
    """Closing or changing nothing, or more than there is, sends nothing."""
    for question in (
        lambda t: t.close(CloseOrder(ticket=7)),
        lambda t: t.modify(ModifyOrder(ticket=7)),
    ):
        desk = Desk()
        with pytest.raises(TradeRefusedError, match="Position 7 not found"):
            desk.ask(question)
    desk = Desk()

    async def too_much(terminal: Mt5Terminal) -> None:
        ticket = (await terminal.open(BUY)).position
        await terminal.close(CloseOrder(ticket=ticket, volume=0.6))

    with pytest.raises(TradeRefusedError, match=r"has 0\.5 lots, not 0\.6") as raised:
        desk.ask(too_much)
    assert raised.value.retcode == 10038
    assert len(desk.mt5.requests) == 1


def test_an_order_runs_on_when_its_caller_is_gone() -> None:
    """A cancelled wait takes nothing back, and a read that waits behind it is dropped."""
    desk = Desk()

    async def scenario(terminal: Mt5Terminal) -> None:
        await terminal.positions()
        desk.mt5.hang = threading.Event()
        asked = desk.mt5.asked.count("positions_get")
        sent = asyncio.create_task(terminal.open(BUY))
        waiting = asyncio.create_task(terminal.positions())
        await until(lambda: desk.mt5.requests)
        sent.cancel()
        waiting.cancel()
        await asyncio.wait([sent, waiting])
        desk.mt5.hang.set()
        book = await terminal.positions()
        assert [position.comment for position in book.positions] == [ID]
        assert desk.mt5.asked.count("positions_get") == asked + 1

    desk.ask(scenario)


def test_the_agent_over_the_real_terminal() -> None:
    """The whole way from HTTP: opened once, found by its id, closed, and in the history."""

    async def scenario(terminal: Mt5Terminal) -> None:
        app = AgentApp(terminal, layer="extended", order_log=OrderLog(":memory:"))
        async with (
            AgentServer(app, stop_s=0.2) as server,
            httpx.AsyncClient(base_url=server.url) as client,
        ):
            made = (await client.post("/positions/open", json=order(ID))).json()
            assert (made["order_status"], made["volume"]) == ("filled", 0.5)
            again = await client.post("/positions/open", json=order(ID))
            assert again.headers["idempotent-replayed"] == "true"
            (row,) = (await client.get("/positions")).json()["positions"]
            assert (row["ticket"], row["order_id"]) == (made["ticket"], ID)
            closed = await client.post("/positions/close", json={"ticket": made["ticket"]})
            assert closed.json()["order_status"] == "filled"
            (trade,) = (await client.get("/trade-history")).json()["trades"]
            assert (trade["order_id"], trade["closed_volume"]) == (ID, 0.5)
            desk.mt5.answers = [None]
            lost = await client.post("/positions/open", json=order(order_id(2)))
            assert (lost.status_code, lost.json()["order_status"]) == (500, "unknown")
            odd = await client.get("/quote/EUR%00USD")
            assert odd.status_code == 404
            assert (await client.get("/health")).json()["account_number"] == 7100012

    desk = Desk(Mt5Options(account=7100012))
    desk.ask(scenario)
    assert len(desk.mt5.requests) == 3
