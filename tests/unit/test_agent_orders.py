"""Orders with an id: once, written down, replayed, and never forgotten."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from fleetkit.agent import OrderLog, TerminalError
from fleetkit.agent.terminal import TradeResult
from tests.unit.agent_terminal import ACCOUNT, PaperTerminal, order, order_id, served, until

ID = order_id(1)


def test_an_order_is_executed_once_and_replayed() -> None:
    """The same id with the same body gets the first answer; the terminal is asked once."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        async with served(terminal) as (client, _):
            first = await client.post("/positions/open", json=order(ID))
            again = await client.post(
                "/positions/open", json=order(), headers={"Idempotency-Key": ID}
            )
            assert first.status_code == again.status_code == 200
            assert first.json() == again.json()
            assert first.json() == {
                "success": True,
                "ticket": 5512401,
                "message": "Request executed",
                "price": 1.0862,
                "error_code": 0,
                "retcode": 10009,
                "order_id": ID,
                "order_status": "filled",
                "volume": 0.5,
                "deal": 9000,
                "order": 5512401,
            }
            assert "idempotent-replayed" not in first.headers
            assert again.headers["idempotent-replayed"] == "true"
            assert terminal.asked.count("open") == 1

    asyncio.run(scenario())


def test_an_id_belongs_to_one_order() -> None:
    """The same id with another body, or on another route, is a 409 and does nothing."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        async with served(terminal) as (client, _):
            await client.post("/positions/open", json=order(ID))
            for reply in (
                await client.post("/positions/open", json=order(ID, lot=0.6)),
                await client.post("/positions/close", json={"ticket": 5512401, "order_id": ID}),
            ):
                assert reply.status_code == 409
                assert reply.json()["retcode"] is None
                assert reply.json()["order_status"] == "filled"
            assert terminal.asked.count("open") == 1
            assert "close" not in terminal.asked

    asyncio.run(scenario())


def test_duplicates_at_the_same_moment_execute_once() -> None:
    """Twenty clients with one id and one body: one order, one answer."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        async with served(terminal) as (client, _):
            replies = await asyncio.gather(
                *(client.post("/positions/open", json=order(ID)) for _ in range(20))
            )
            assert {reply.status_code for reply in replies} == {200}
            assert len({reply.content for reply in replies}) == 1
            assert len(terminal.opened) == 1

    asyncio.run(scenario())


def test_the_fate_of_an_order() -> None:
    """Never received, accepted while the terminal works, then filled with its figures."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        async with served(terminal) as (client, _):
            await client.get("/health")
            missing = await client.get(f"/orders/{ID}")
            assert missing.status_code == 404
            assert missing.json() == {
                "status": "never_received",
                "order_id": ID,
                "account_number": ACCOUNT,
            }
            terminal.hang = asyncio.Event()
            sent = asyncio.create_task(client.post("/positions/open", json=order(ID)))
            await until(lambda: terminal.concurrent)
            assert (await client.get(f"/orders/{ID}")).json()["status"] == "accepted"
            terminal.hang.set()
            await sent
            fate = (await client.get(f"/orders/{ID}")).json()
            assert fate["status"] == "filled"
            assert (fate["ticket"], fate["volume"], fate["retcode"]) == (5512401, 0.5, 10009)
            assert fate["received_at"] == fate["settled_at"] == "2026-02-01T10:15:00.123456Z"
            assert (await client.get("/orders/short")).status_code == 422

    asyncio.run(scenario())


def test_whose_order_it_is_is_asked_anew() -> None:
    """A terminal that was logged off, or in another account, a while ago is not any more."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        async with served(terminal) as (client, _):
            terminal.connected = False
            assert (await client.get("/health")).json()["account_number"] is None
            terminal.connected = True
            assert (await client.get(f"/orders/{ID}")).json()["account_number"] == ACCOUNT

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("retcode", "http_status", "status"),
    [
        (10009, 200, "filled"),
        (10010, 200, "partially_filled"),
        (10006, 400, "rejected"),
        (10004, 400, "rejected"),
        (10008, 400, "unknown"),
        (10012, 400, "unknown"),
        (10031, 400, "unknown"),
        (10025, 400, "unknown"),
        (12345, 400, "unknown"),
    ],
)
def test_retcodes_in_every_reply(retcode: int, http_status: int, status: str) -> None:
    """Only what is proven is called so; the retcode stands in errors too."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        terminal.answers = [TradeResult(retcode=retcode, comment="said", volume=0.2, order=5)]
        async with served(terminal) as (client, _):
            reply = await client.post("/positions/open", json=order(ID))
            body = reply.json()
            assert (reply.status_code, body["retcode"]) == (http_status, retcode)
            assert (body["order_status"], body["order_id"]) == (status, ID)
            if http_status == 400:
                assert body["detail"] == "Order failed: said"
            else:
                assert body["volume"] == 0.2
            assert (await client.get(f"/orders/{ID}")).json()["status"] == status

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("path", "method", "retcode"),
    [("/positions/close", "POST", 10036), ("/positions/modify", "PUT", 10025)],
)
def test_what_is_so_already_is_done(path: str, method: str, retcode: int) -> None:
    """A closed position closes, unchanged stops are changed: 200 with the retcode."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        terminal.answers = [TradeResult(retcode=retcode, comment="so already")]
        async with served(terminal) as (client, _):
            reply = await client.request(method, path, json={"ticket": 7, "order_id": ID})
            assert reply.status_code == 200
            assert reply.json()["retcode"] == retcode
            assert reply.json()["order_status"] == "filled"

    asyncio.run(scenario())


@pytest.mark.parametrize("error", [TerminalError("IPC timeout"), ZeroDivisionError("a bug")])
def test_no_answer_is_unknown(error: Exception) -> None:
    """A terminal that breaks in the middle of an order proves nothing: 500, unknown."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        terminal.answers = [error]
        async with served(terminal) as (client, _):
            reply = await client.post("/positions/open", json=order(ID))
            assert reply.status_code == 500
            assert reply.json()["detail"].startswith("order_send failed: ")
            assert reply.json()["order_status"] == "unknown"
            assert (await client.get(f"/orders/{ID}")).json()["status"] == "unknown"
            again = await client.post("/positions/open", json=order(ID))
            assert (again.status_code, again.content) == (500, reply.content)
            assert len(terminal.opened) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("change", "body", "detail", "retcode"),
    [
        ({"connected": False}, order(ID), "MT5 not initialized", None),
        (
            {"trade_allowed": False},
            order(ID),
            "Trading not allowed for this account",
            10017,
        ),
        ({}, {**order(ID), "symbol": "NOPE"}, "Symbol NOPE not found", 10013),
        ({}, order(ID, lot=0.001), "Lot size 0.001 below minimum 0.01", 10014),
        ({}, order(ID, lot=51), "Lot size 51 above maximum 50", 10014),
    ],
)
def test_definite_refusals(
    change: dict[str, Any], body: dict[str, Any], detail: str, retcode: int | None
) -> None:
    """What is refused before it is sent says so in the words clients know (T4)."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        for name, value in change.items():
            setattr(terminal, name, value)
        async with served(terminal) as (client, _):
            reply = await client.post("/positions/open", json=body)
            assert reply.status_code == 400
            assert reply.json() == {
                "detail": detail,
                "retcode": retcode,
                "order_id": ID,
                "order_status": "rejected",
            }
            assert not terminal.opened

    asyncio.run(scenario())


def test_partial_close() -> None:
    """`volume` closes a part; the deal's ledger line carries the close's own id."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        async with served(terminal) as (client, _):
            ticket = (await client.post("/positions/open", json=order())).json()["ticket"]
            body = {"ticket": ticket, "volume": 0.2, "order_id": ID}
            reply = (await client.post("/positions/close", json=body)).json()
            assert (reply["volume"], reply["close_price"], reply["ticket"]) == (0.2, 1.0861, ticket)
            assert terminal.book[ticket].volume == 0.3
            deals = (await client.get("/deals")).json()["deals"]
            assert [deal["order_id"] for deal in deals] == [None, ID]
            for volume in (0, -0.1):
                bad = await client.post(
                    "/positions/close", json={"ticket": ticket, "volume": volume}
                )
                assert bad.status_code == 422

    asyncio.run(scenario())


def test_the_callers_comment_is_kept_beside_the_id() -> None:
    """The terminal gets the id as comment; positions show both, by the log."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        async with served(terminal) as (client, _):
            await client.post("/positions/open", json=order(ID, comment="swing, by hand"))
            await client.post("/positions/open", json=order(comment="no id"))
            assert [each.comment for each in terminal.opened] == [ID, "no id"]
            rows = (await client.get("/positions")).json()["positions"]
            assert [(row["order_id"], row["comment"]) for row in rows] == [
                (ID, "swing, by hand"),
                (None, "no id"),
            ]

    asyncio.run(scenario())


def test_a_caller_who_left_is_not_served_late() -> None:
    """An order whose caller is gone before its turn is withdrawn, not executed."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        async with served(terminal) as (client, server):
            terminal.hang = asyncio.Event()
            slow = asyncio.create_task(client.get("/accounts"))
            await until(lambda: terminal.concurrent)
            async with httpx.AsyncClient(base_url=server.url) as impatient:
                with pytest.raises(httpx.ReadTimeout):
                    await impatient.post("/positions/open", json=order(ID), timeout=0.1)
            await client.get("/health")  # by now the server has read the connection's end
            terminal.hang.set()
            assert (await slow).status_code == 200
            fate = await client.get(f"/orders/{ID}")
            for _ in range(100):
                if fate.status_code == 404:
                    break
                fate = await client.get(f"/orders/{ID}")
            assert fate.json()["status"] == "never_received"
            assert not terminal.opened

    asyncio.run(scenario())


def test_a_caller_who_left_later_finds_its_order() -> None:
    """What the terminal was asked runs to its end, and the id tells what became of it."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        async with served(terminal) as (client, server):
            terminal.hang = asyncio.Event()
            async with httpx.AsyncClient(base_url=server.url) as impatient:
                with pytest.raises(httpx.ReadTimeout):
                    await impatient.post("/positions/open", json=order(ID), timeout=0.1)
            terminal.hang.set()
            await until(lambda: terminal.opened)
            again = await client.post("/positions/open", json=order(ID))
            assert again.json()["order_status"] == "filled"
            assert len(terminal.opened) == 1

    asyncio.run(scenario())


def test_a_full_log_disk_stops_orders() -> None:
    """What cannot be written down is not done: 503, and the terminal is not asked."""

    async def scenario() -> None:
        terminal, log = PaperTerminal(), OrderLog(":memory:")
        async with served(terminal, order_log=log) as (client, _):
            log.close()
            reply = await client.post("/positions/open", json=order(ID))
            assert reply.status_code == 503
            assert reply.headers["retry-after"] == "1"
            assert "open" not in terminal.asked

    asyncio.run(scenario())


def test_an_agent_without_a_log_takes_no_ids() -> None:
    """An id that would be forgotten is refused, and the capability is absent."""

    async def scenario() -> None:
        terminal = PaperTerminal()
        async with served(terminal, order_log=None) as (client, _):
            assert "orders" not in (await client.get("/health")).json()["capabilities"]
            assert (await client.post("/positions/open", json=order(ID))).status_code == 422
            assert (await client.get(f"/orders/{ID}")).json() == {"detail": "Not Found"}
            assert (await client.post("/positions/open", json=order())).status_code == 200

    asyncio.run(scenario())
