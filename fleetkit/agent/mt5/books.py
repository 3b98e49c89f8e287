"""What the terminal's books say: account, positions, deals, closed trades, symbols.

Why: reading is separate from trading, and may be doubted and refused at no cost.
May import `mt5.session`, `mt5.records`, `mt5.trades` and `agent.terminal`. Runs on
the terminal's thread only.
The trap: just after connecting the terminal answers with empty lists while it
still loads. The account's own figures tell: margin or floating profit without
a position, a balance without a single deal.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from fleetkit.agent.mt5.records import (
    account_state,
    deal_of,
    pip_of,
    position_of,
    symbol_of,
    tick_of,
)
from fleetkit.agent.mt5.session import Mt5Link, Session, chosen, price
from fleetkit.agent.mt5.times import DAY_S
from fleetkit.agent.mt5.trades import PositionTrades
from fleetkit.agent.terminal import (
    AccountState,
    ClosedTrade,
    Deal,
    DealBook,
    PositionBook,
    SymbolInfo,
    TerminalError,
    Tick,
    TradeBook,
)
from fleetkit.contract import DealEntry, DealType

AHEAD_S: Final = 2 * DAY_S  # of a window's end: one of "now" hides the newest deals
TWICE_S: Final = 2 * 3600  # before a window's start, for hours that the clock repeats


class Mt5Books:
    """Answers from one terminal."""

    def __init__(self, link: Mt5Link) -> None:
        self._link = link
        self._began: tuple[datetime, float | None] | None = None  # first deal, first deposit

    def initialised(self) -> bool:
        """Whether the right account is logged in and its broker connected."""
        try:
            return bool(self._link.session().terminal.connected)
        except TerminalError:
            return False

    def account(self) -> AccountState:
        """Figures of the account."""
        session, options = self._link.session(), self._link.options
        connected = bool(session.terminal.connected)
        open_now = session.told("positions_total") if connected else 0
        began, deposit = self._beginning() if connected else (None, None)
        return account_state(
            session.terminal,
            session.account,
            open_now=open_now,
            days=0 if began is None else max(0, (self._link.clock.now() - began).days),
            initial_balance=deposit if options.initial_balance is None else options.initial_balance,
            name=options.name,
            firm=options.firm,
        )

    def positions(self) -> PositionBook:
        """The open positions."""
        session = self._link.dated()
        account, found = session.account, session.told("positions_get")
        # Pending orders can hold margin too, but have no profit yet.
        if not found and (account.profit or (account.margin and not session.mt5.orders_total())):
            raise TerminalError(
                f"The terminal lists no positions, but account {account.login} has "
                f"{account.margin:.2f} of margin and {account.profit:.2f} of floating profit: "
                "it is still loading."
            )
        times = self._link.times
        return PositionBook(account.login, [position_of(each, times) for each in found])

    def deals(self, since: datetime, until: datetime) -> DealBook:
        """The ledger by rising ticket."""
        session = self._link.dated()
        found = self._within(session, since, until)
        return DealBook(
            session.account.login, [deal for deal in found if since <= deal.time <= until]
        )

    def history(self, since: datetime, until: datetime) -> TradeBook:
        """Closing deals, newest first, with their share of what the entry cost."""
        session = self._link.dated()
        by_position: dict[int, list[Deal]] = {}
        for deal in self._within(session, since, until):
            if deal.position_id:
                by_position.setdefault(deal.position_id, []).append(deal)
        decimals = getattr(session.account, "currency_digits", 2)
        maker = PositionTrades(lambda symbol: pip_of(symbol, session.mt5.symbol_info), decimals)
        trades: list[ClosedTrade] = []
        for position, deals in by_position.items():
            if any(deal.entry != DealEntry.IN for deal in deals):
                trades += maker.of(self._whole(session, position, deals))
        seen = [trade for trade in trades if since <= trade.exit_time <= until]
        seen.sort(key=lambda trade: (trade.exit_time, trade.deal), reverse=True)
        return TradeBook(session.account.login, seen)

    def quote(self, symbol: str) -> Tick:
        """Bid and ask now."""
        mt5 = self._link.dated().mt5
        info = chosen(mt5, symbol)
        return tick_of(info, price(mt5, symbol), self._link.times)

    def symbol(self, symbol: str) -> SymbolInfo:
        """How a symbol is traded."""
        return symbol_of(chosen(self._link.session().mt5, symbol))

    def _beginning(self) -> tuple[datetime | None, float | None]:
        if self._began is not None:
            return self._began
        try:
            session = self._link.dated()
            ahead_s = self._link.times.seconds(self._link.clock.now())
            deals = self._dated(self._ledger(session, 0, ahead_s))
        except TerminalError:
            return None, None  # the figures are there, and must not wait for the history
        if not deals:
            return None, None
        paid = (deal.profit for deal in deals if deal.type == DealType.BALANCE)
        self._began = min(deal.time for deal in deals), next(paid, None)
        return self._began

    def _within(self, session: Session, since: datetime, until: datetime) -> list[Deal]:
        since_s, until_s = map(self._link.times.seconds, (since, until))
        return self._dated(self._ledger(session, max(0, since_s - TWICE_S), until_s))

    def _ledger(self, session: Session, since_s: int, until_s: int) -> Sequence[Any]:
        until_s = max(since_s, until_s) + AHEAD_S
        found = session.told("history_deals_get", since_s, until_s)
        # Every account begins with a deposit, so a ledger without a line is not loaded.
        if not found and session.account.balance and not self._has_deals(session):
            raise TerminalError(
                "The terminal has no deals at all, but account "
                f"{session.account.login} has a balance of {session.account.balance:.2f}: "
                "it is still loading."
            )
        return sorted(found, key=lambda deal: int(deal.ticket))

    def _has_deals(self, session: Session) -> bool:
        ahead_s = self._link.times.seconds(self._link.clock.now()) + AHEAD_S
        return bool(session.told("history_deals_total", 0, ahead_s))

    def _dated(self, lines: Sequence[Any]) -> list[Deal]:
        return [deal_of(line, self._link.times) for line in lines]

    def _whole(self, session: Session, position: int, deals: list[Deal]) -> list[Deal]:
        # A position has the number of the order that opened it. Where that order's deal
        # lies in the window, so does everything after it.
        if any(deal.order == position and deal.entry == DealEntry.IN for deal in deals):
            return deals
        found = self._dated(session.told("history_deals_get", position=position))
        return list({deal.ticket: deal for deal in (*deals, *found)}.values())
