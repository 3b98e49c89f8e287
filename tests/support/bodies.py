"""The bodies of the base layer, as the agent API's document shows them: plain dictionaries."""

from __future__ import annotations

from typing import Any


def account_body(number: int, **more: object) -> dict[str, Any]:
    """A connected account, every figure of it told from another's."""
    return {
        "account_number": number,
        "account_name": f"Account {number}",
        "balance": 100_000.0 + number % 1000,
        "status": "connected",
        "days_operating": 12,
        "has_open_position": False,
        "last_updated": "2026-02-01T10:15:00.123456",
        "account_holder": "Unknown",
        "prop_firm": "N/A",
        "initial_balance": 100_000.0,
        **more,
    }


def disconnected_body(**more: object) -> dict[str, Any]:
    """What an agent says of itself when its terminal has no broker (T1)."""
    return account_body(0, status="disconnected", balance=0.0, account_name="", **more)


def positions_body(number: int, positions: list[dict[str, Any]]) -> dict[str, Any]:
    """``GET /positions``."""
    return {
        "account_number": number,
        "position_count": len(positions),
        "total_profit": sum(position["profit"] for position in positions),
        "positions": positions,
    }


def position(ticket: int, **more: object) -> dict[str, Any]:
    """One open position."""
    return {
        "ticket": ticket,
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
        **more,
    }


def history_body(number: int, trades: list[dict[str, Any]]) -> dict[str, Any]:
    """``GET /trade-history``."""
    return {
        "account_number": number,
        "total_trades": len(trades),
        "total_profit": sum(trade["profit"] for trade in trades),
        "total_commission": sum(trade["commission"] for trade in trades),
        "trades": trades,
    }


def trade(
    position_id: int, exit_time: str = "2026-02-01T10:00:00", **more: object
) -> dict[str, Any]:
    """One closed trade."""
    return {
        "symbol": "EURUSD",
        "side": "BUY",
        "lot": 0.5,
        "pips": 12.3,
        "tp_money": None,
        "sl_money": None,
        "commission": -3.5,
        "profit": 61.5,
        "entry_time": "2026-02-01T08:00:00",
        "exit_time": exit_time,
        "entry_price": 1.08412,
        "exit_price": 1.08535,
        "position_id": position_id,
        **more,
    }


def quote_body(symbol: str, **more: object) -> dict[str, Any]:
    """``GET /quote/{symbol}``."""
    return {
        "symbol": symbol,
        "bid": 1.0861,
        "ask": 1.0863,
        "spread_points": 0.0002,
        "spread_pips": 2.0,
        "pip_value": 0.0001,
        "trade_tick_value": 1.0,
        "point": 0.00001,
        "timestamp": "2026-02-01T12:00:00",
        **more,
    }
