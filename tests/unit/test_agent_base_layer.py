"""The base layer over a terminal that is more than the base: nothing of it shows."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from fleetkit.agent import AgentApp, TerminalError
from fleetkit.agent.terminal import TradeResult
from tests.unit.agent_terminal import NOW, PaperTerminal, order, order_id


def base(terminal: PaperTerminal) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(AgentApp(terminal))
    return httpx.AsyncClient(transport=transport, base_url="http://agent")


def send(terminal: PaperTerminal, method: str, path: str, body: Any = None) -> httpx.Response:
    async def scenario() -> httpx.Response:
        async with base(terminal) as client:
            return await client.request(method, path, json=body)

    return asyncio.run(scenario())


def test_trades_field_for_field() -> None:
    """Open, modify and close answer with exactly the base layer's fields."""
    terminal = PaperTerminal()
    opened = send(terminal, "POST", "/positions/open", order(comment="by hand"))
    assert list(opened.json().items()) == [
        ("success", True),
        ("ticket", 5512401),
        ("message", "Request executed"),
        ("price", 1.0862),
        ("error_code", 0),
    ]
    modified = send(terminal, "PUT", "/positions/modify", {"ticket": 5512401, "sl": 1.07})
    assert list(modified.json().items()) == [
        ("success", True),
        ("ticket", 5512401),
        ("message", "Request executed"),
        ("new_sl", 1.07),
        ("new_tp", None),
    ]
    closed = send(terminal, "POST", "/positions/close", {"ticket": 5512401, "deviation": 20})
    assert list(closed.json().items()) == [
        ("success", True),
        ("ticket", 5512401),
        ("message", "Request executed"),
        ("close_price", 1.0861),
    ]
    assert [each.comment for each in terminal.opened] == ["by hand"]


def test_base_agents_know_no_ids_and_no_partial_close() -> None:
    """The same id twice is two orders, and a volume to close is not even read."""
    terminal = PaperTerminal()
    for _ in range(2):
        assert send(terminal, "POST", "/positions/open", order(order_id(1))).status_code == 200
    assert [each.comment for each in terminal.opened] == ["", ""]
    ticket = min(terminal.book)
    send(terminal, "POST", "/positions/close", {"ticket": ticket, "volume": 0.1})
    assert ticket not in terminal.book
    assert send(terminal, "GET", f"/orders/{order_id(1)}").json() == {"detail": "Not Found"}


@pytest.mark.parametrize("retcode", [10004, 10006, 10008, 10010, 10012, 10025])
def test_everything_but_done_is_a_400_with_a_text(retcode: int) -> None:
    """A base 400 is no proof that nothing happened: 10010 is one too (T4)."""
    terminal = PaperTerminal()
    terminal.answers = [TradeResult(retcode=retcode, comment="Kurs geändert")]
    reply = send(terminal, "POST", "/positions/open", order())
    assert (reply.status_code, reply.json()) == (400, {"detail": "Order failed: Kurs geändert"})


def test_no_answer_from_the_terminal() -> None:
    """`order_send` that gives nothing is the base layer's ambiguous text (T4)."""
    terminal = PaperTerminal()
    terminal.answers = [TerminalError("(-10005, 'IPC timeout')")]
    reply = send(terminal, "POST", "/positions/open", order())
    assert reply.status_code == 400
    assert reply.json() == {"detail": "order_send failed: (-10005, 'IPC timeout')"}


def test_wall_times() -> None:
    """Times are the broker's wall clock, shifted by the machine's own zone (T7)."""
    terminal = PaperTerminal()
    terminal.close_in_parts()
    terminal.machine_offset = lambda moment: timedelta(hours=1)  # type: ignore[method-assign]  # a test's own clock
    asked = send(terminal, "GET", "/trade-history?from_date=2025-12-01T00:00:00").json()
    # One row of two: of a position closed in parts only the newest part shows (T11).
    assert [trade["exit_time"] for trade in asked["trades"]] == ["2026-02-01T13:35:00.123456"]
    assert "swap" not in asked["trades"][0]
    assert terminal.window == (
        # from_date minus seven days, and the machine's now read as the broker's clock (T8)
        NOW.replace(year=2025, month=11, day=23, hour=20, minute=0, second=0, microsecond=0),
        NOW - timedelta(hours=3),
    )
    assert send(terminal, "GET", "/accounts").json()["last_updated"].startswith("2026-02-01T11:15")
    # The entry lies 40 days back: `days` does not reach it although the exit is new (T8).
    assert send(terminal, "GET", "/trade-history?days=30").json()["trades"] == []


def test_options_of_the_other_layer_are_refused() -> None:
    """A base agent with a token would be no base agent."""
    with pytest.raises(ValueError, match="extended"):
        AgentApp(PaperTerminal(), token="secret")
    with pytest.raises(ValueError, match="empty"):
        AgentApp(PaperTerminal(), layer="extended", token="")
