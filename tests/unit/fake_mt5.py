"""A stand-in for the functions of MetaTrader's package, which runs on Windows only.

It keeps a tiny broker: hedging or netting, deals with the package's field names, times
in the broker's wall clock, `None` with `last_error` where the package answers so. What
real terminals do beyond that is not known here.
"""

from __future__ import annotations

import threading
from collections import namedtuple
from datetime import UTC, datetime, timedelta

from tests.support.fake_clock import FakeClock

TerminalInfo = namedtuple(
    "TerminalInfo", "connected trade_allowed tradeapi_disabled", defaults=(True, True, False)
)
AccountInfo = namedtuple(
    "AccountInfo",
    "login name server company currency currency_digits leverage balance credit profit equity"
    " margin margin_free margin_level margin_mode trade_allowed trade_expert",
)
SymbolInfo = namedtuple(
    "SymbolInfo",
    "name digits point volume_min volume_max volume_step trade_stops_level filling_mode"
    " trade_exemode trade_contract_size trade_tick_size trade_tick_value trade_mode"
    " currency_profit",
)
Tick = namedtuple("Tick", "time bid ask time_msc")
Position = namedtuple(
    "Position",
    "ticket time time_msc type magic identifier reason volume price_open sl tp price_current"
    " swap profit symbol comment external_id",
)
Deal = namedtuple(
    "Deal",
    "ticket order time time_msc type entry magic position_id reason volume price commission"
    " swap profit fee symbol comment external_id",
)
OrderResult = namedtuple(
    "OrderResult", "retcode deal order volume price bid ask comment request_id retcode_external"
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIELDS = {
    "action", "magic", "symbol", "volume", "price", "sl", "tp", "deviation", "type",
    "type_filling", "type_time", "comment", "position",
}  # fmt: skip


class FakeMt5:
    """The module, as far as the agent uses it."""

    TRADE_ACTION_DEAL, TRADE_ACTION_SLTP = 1, 6
    ORDER_TYPE_BUY, ORDER_TYPE_SELL = 0, 1
    POSITION_TYPE_BUY, POSITION_TYPE_SELL = 0, 1
    ORDER_FILLING_FOK, ORDER_FILLING_IOC, ORDER_FILLING_RETURN = 0, 1, 2
    ORDER_TIME_GTC = 0

    def __init__(self, clock: FakeClock, *, ahead_h: float = 3.0, netting: bool = False) -> None:
        self.clock = clock
        self.ahead = timedelta(hours=ahead_h)
        self.error = (1, "Success")
        self.installed = True
        self.terminal = TerminalInfo()
        self.account = AccountInfo(
            7100012, "A trader", "Demo-1", "A broker", "USD", 2, 100, 100000.0, 0.0, 0.0, 100000.0,
            0.0, 100000.0, 0.0, 0 if netting else 2, True, True,
        )  # fmt: skip
        self.symbols = {
            "EURUSD": SymbolInfo(
                "EURUSD", 5, 1e-05, 0.01, 50.0, 0.01, 10, 3, 2, 1e5, 1e-05, 1.0, 4, "USD"
            ),
            "US500": SymbolInfo(
                "US500", 2, 0.01, 0.1, 50.0, 0.1, 10, 0, 3, 10.0, 0.25, 2.5, 4, "USD"
            ),
        }
        self.market_watch: set[str] = set()
        self.ticking = True  # a new tick at every look
        self.ticked_at = self.broker_now()
        self.book: dict[int, Position] = {}
        self.ledger: list[Deal] = []
        self.pending = 0
        self.asked: list[str] = []
        self.requests: list[dict[str, object]] = []
        self.silent: dict[str, int] = {}  # calls that answer None, and the code they leave
        self.answers: list[object] = []  # of order_send, instead of trading
        self.windows: list[tuple[int, int]] = []
        self.threads: set[int] = set()
        self.hang: threading.Event | None = None
        self.next_ticket = 1000
        self.book_deal(kind=2, entry=0, profit=100000.0, days_ago=40)

    # time

    def broker_now(self) -> float:
        return (self.clock.now() + self.ahead - EPOCH).total_seconds()

    def _tick_time(self) -> float:
        if self.ticking:
            self.ticked_at = max(self.broker_now(), self.ticked_at + 0.001)
        return self.ticked_at

    # the package

    def initialize(self, *path: str) -> bool:
        self._asked("initialize")
        if "initialize" in self.silent:
            self.error = (self.silent["initialize"], "IPC timeout")
            return False
        return True

    def shutdown(self) -> None:
        self._asked("shutdown")

    def last_error(self) -> tuple[int, str]:
        return self.error

    def terminal_info(self):
        return self._or_none("terminal_info", self.terminal)

    def account_info(self):
        return self._or_none("account_info", self.account)

    def positions_total(self):
        return self._or_none("positions_total", len(self.book))

    def orders_total(self):
        return self._or_none("orders_total", self.pending)

    def positions_get(self, *, ticket: int | None = None):
        found = [each for each in self.book.values() if ticket in (None, each.ticket)]
        return self._or_none("positions_get", tuple(found))

    def history_deals_total(self, since: int, until: int):
        found = [deal for deal in self.ledger if since <= deal.time <= until]
        return self._or_none("history_deals_total", len(found))

    def history_deals_get(self, *window, position: int | None = None, ticket: int | None = None):
        if window:
            assert all(isinstance(each, int) for each in window)
            self.windows.append(window)
            found = [deal for deal in self.ledger if window[0] <= deal.time <= window[1]]
        else:
            found = [d for d in self.ledger if d.position_id == position or d.ticket == ticket]
        return self._or_none("history_deals_get", tuple(found))

    def symbol_info(self, symbol: str):
        info = self.symbols.get(symbol)
        if info is None:
            self.error = (-4, "Not found")
        return self._or_none("symbol_info", info)

    def symbol_select(self, symbol: str, enable: bool) -> bool:
        self._asked("symbol_select")
        if symbol in self.symbols:
            self.market_watch.add(symbol)
        return symbol in self.symbols

    def symbol_info_tick(self, symbol: str):
        if symbol not in self.market_watch:
            self.error = (-4, "Not found")
            return None
        time = self._tick_time()
        bid = 1.0861 if symbol == "EURUSD" else 5000.0
        tick = Tick(int(time), bid, round(bid + 0.0001, 5), round(time * 1000))
        return self._or_none("symbol_info_tick", tick)

    def order_send(self, request: dict[str, object]):
        self.requests.append(request)
        if self.hang is not None:
            self.hang.wait(10)
        unknown = set(request) - FIELDS
        comment = str(request.get("comment", ""))
        if unknown or len(comment) > 28:
            self.error = (-2, 'Invalid "comment" argument')
            return None
        if self.answers:
            answer = self.answers.pop(0)
            return self._or_none("order_send", answer)
        return self._or_none("order_send", self._execute(request))

    # the broker

    def _execute(self, request):
        if request["action"] == self.TRADE_ACTION_SLTP:
            position = self.book[request["position"]]
            self.book[position.ticket] = position._replace(sl=request["sl"], tp=request["tp"])
            return self.answer(10009)
        volume, kind = request["volume"], request["type"]
        order = self.ticket()
        if "position" in request:
            position = self.book[request["position"]]
            entry, position_id = 1, position.identifier
            self._reduce(position, volume)
        else:
            entry, position_id = 0, order
            for position in self.book.values() if self.account.margin_mode != 2 else ():
                position_id = position.identifier  # netting: the older order's number stays
            self._hold(position_id, request)
        deal = self.book_deal(
            kind=kind, entry=entry, position=position_id, volume=volume, order=order,
            price=request["price"], comment=request["comment"], magic=request["magic"],
        )  # fmt: skip
        return self.answer(10009, deal=deal, order=order, volume=volume, price=request["price"])

    def _hold(self, position_id, request) -> None:
        time = self.broker_now()
        known = self.book.get(position_id)
        volume = request["volume"] + (known.volume if known else 0.0)
        self.book[position_id] = Position(
            position_id, int(time), round(time * 1000), request["type"], request["magic"],
            position_id, 3, volume, request["price"], request.get("sl", 0.0),
            request.get("tp", 0.0), request["price"], 0.0, -1.0, request["symbol"],
            request["comment"], "",
        )  # fmt: skip

    def _reduce(self, position, volume) -> None:
        left = round(position.volume - volume, 2)
        if left > 0:
            self.book[position.ticket] = position._replace(volume=left)
        else:
            del self.book[position.ticket]

    def answer(self, retcode: int, **more):
        fields = {
            "deal": 0, "order": 0, "volume": 0.0, "price": 0.0, "bid": 0.0, "ask": 0.0,
            "comment": "Request executed", "request_id": 1, "retcode_external": 0,
        }  # fmt: skip
        return OrderResult(retcode, **{**fields, **more})

    def book_deal(
        self, *, kind: int, entry: int, position: int = 0, volume: float = 0.0, price: float = 0.0,
        profit: float = 0.0, commission: float = 0.0, fee: float = 0.0, swap: float = 0.0,
        order: int | None = None, days_ago: float = 0.0, comment: str = "", magic: int = 0,
        symbol: str = "EURUSD", at: float | None = None,
    ) -> int:  # fmt: skip
        """Book a line; ``at`` is the broker's wall clock in seconds."""
        ticket = self.ticket()
        time = self.broker_now() - days_ago * 86400 + ticket / 1e5 if at is None else at
        self.ledger.append(
            Deal(
                ticket, ticket if order is None else order, int(time), round(time * 1000), kind,
                entry, magic, position, 3, volume, price, commission, swap, profit, fee,
                symbol if position else "", comment, "",
            )
        )  # fmt: skip
        return ticket

    def ticket(self) -> int:
        self.next_ticket += 1
        return self.next_ticket

    def _asked(self, call: str) -> None:
        self.asked.append(call)
        self.threads.add(threading.get_ident())

    def _or_none(self, call: str, answer):
        self._asked(call)
        if call in self.silent:
            self.error = (self.silent[call], "IPC send failed")
            return None
        return answer
