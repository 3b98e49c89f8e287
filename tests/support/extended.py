"""An agent on a real socket that speaks the extended layer, from plain dictionaries.

Written from the agent API's document; shares no line with fleetkit. May import
`agents` and `bodies`. The trap: what it can do is what it says in ``/health``, and a
test may make it say one thing and do another.
"""

from __future__ import annotations

from typing import Any

from tests.support.agents import NOT_FOUND, Reply, Request, ScriptedAgent
from tests.support.bodies import account_body, position, trade

ALL = (
    "account-figures",
    "busy-503",
    "compression",
    "deals",
    "partial-close",
    "position-details",
    "retcodes",
    "symbols",
    "trade-costs",
    "utc-times",
)


def extended_account(number: int, **more: object) -> dict[str, Any]:
    """An account with everything that only an extended agent tells."""
    figures = {
        "equity": 100_440.0,
        "credit": 5.0,
        "profit": -10.25,
        "margin": 540.0,
        "margin_free": 99_900.0,
        "margin_level": 18_600.0,
        "currency": "USD",
        "leverage": 100,
        "server": "Demo-1",
        "company": "A broker",
        "margin_mode": "hedging",
        "trade_allowed": True,
        "login_ok": True,
    }
    return account_body(number, **figures | more)


def extended_position(ticket: int, **more: object) -> dict[str, Any]:
    """One open position with magic, comment and order id, its time with an offset."""
    details = {
        "open_time": "2026-02-01T09:00:00Z",
        "magic": 77,
        "comment": "by hand",
        "order_id": "A" * 26,
        "position_id": ticket,
    }
    return position(ticket, **details | more)


def closing(position_id: int, exit_time: str, **more: object) -> dict[str, Any]:
    """One closing deal as a row of the trade history."""
    costs = {
        "entry_time": "2026-01-30T08:00:00Z",
        "swap": -1.25,
        "fee": -0.5,
        "comment": "in parts",
        "order_id": "B" * 26,
        "entry_volume": 1.0,
        "closed_volume": 0.5,
    }
    return trade(position_id, exit_time, **costs | more)


def deal(ticket: int, time: str = "2026-02-01T10:00:00Z", **more: object) -> dict[str, Any]:
    """One deal, named as in MetaTrader's TradeDeal."""
    return {
        "ticket": ticket,
        "time": time,
        "type": 1,
        "entry": 1,
        "order": ticket + 1_000,
        "position_id": 4_000,
        "reason": 0,
        "magic": 0,
        "symbol": "EURUSD",
        "volume": 0.5,
        "price": 1.0861,
        "profit": 10.0,
        "swap": -1.0,
        "commission": -3.5,
        "fee": -0.5,
        "comment": "",
        "external_id": "",
        "order_id": None,
        **more,
    }


def symbol_body(symbol: str, **more: object) -> dict[str, Any]:
    """``GET /symbols/{symbol}``."""
    return {
        "symbol": symbol,
        "digits": 5,
        "point": 0.00001,
        "volume_min": 0.01,
        "volume_max": 50.0,
        "volume_step": 0.01,
        "trade_stops_level": 10,
        "filling_mode": 3,
        "trade_contract_size": 100_000.0,
        "trade_tick_size": 0.00001,
        "trade_tick_value": 1.0,
        "trade_mode": 4,
        "currency_profit": "USD",
        **more,
    }


class ExtendedScript:
    """Makes a scripted agent speak the extended layer, until it is rolled back.

    Attributes
    ----------
    names : tuple of str
        The capabilities it says it has.
    health_number : int
        The account that ``/health`` speaks for.
    deals : list of dict
        Its ledger; a page has at most `page` of them.
    """

    def __init__(self, agent: ScriptedAgent) -> None:
        self.agent = agent
        self.names: tuple[str, ...] = ALL
        self.health_number = agent.number
        self.deals: list[dict[str, Any]] = []
        self.page = 1_000
        agent.account = extended_account(agent.number)
        agent.always("/health", self._health)
        agent.always("/deals", self._deals)
        agent.always("/symbols/EURUSD", Reply(symbol_body("EURUSD")))

    def roll_back(self) -> None:
        """Become a base agent, as an older program at the same port would be."""
        self.agent.account = account_body(self.agent.number)
        for path in ("/health", "/deals", "/symbols/EURUSD"):
            self.agent.always(path, None)

    def asked(self, path: str) -> list[dict[str, str]]:
        """The query of each request to a path, in order."""
        return [dict(r.query) for r in tuple(self.agent.requests) if r.path == path]

    def _health(self, request: Request) -> Reply:
        return Reply(
            {
                "status": "healthy",
                "accounts_monitored": 1,
                "mt5_initialized": True,
                "timestamp": "2026-02-01T12:00:00Z",
                "api": "1.1",
                "capabilities": list(self.names),
                "stops_unit": "price",
                "server_utc_offset_s": 10_800,
                "account_number": self.health_number,
            }
        )

    def _deals(self, request: Request) -> Reply:
        if "deals" not in self.names:
            return NOT_FOUND
        after, since = int(request.query.get("after", 0)), request.query["from"][:19]
        left = [
            each for each in self.deals if each["ticket"] > after and each["time"][:19] >= since
        ]
        left.sort(key=lambda each: each["ticket"])
        page = left[: self.page]
        return Reply(
            {
                "account_number": self.agent.number,
                "deals": page,
                "next_after": page[-1]["ticket"] if len(left) > len(page) else None,
            }
        )
