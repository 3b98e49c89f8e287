"""Orders to the terminal: checked, sent once, and answered by what is known.

Why: what fails before the order is sent did certainly nothing, and what fails after
it may have done everything; the line between them is drawn here. May import
`mt5.session`, `mt5.requests` and `agent.terminal`. Runs on the terminal's thread.
The trap: nothing may raise once `order_send` has answered. A broken question about
the position would turn an order that was filled into one that nobody knows of.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from fleetkit.agent.mt5.records import RETAIL_HEDGING, may_trade
from fleetkit.agent.mt5.requests import close_request, modify_request, open_request, result_of
from fleetkit.agent.mt5.session import Mt5Link, Session, chosen, price
from fleetkit.agent.terminal import (
    CloseOrder,
    ModifyOrder,
    OpenOrder,
    TerminalError,
    TradeRefusedError,
    TradeResult,
    UnknownSymbolError,
)
from fleetkit.contract import DONE, Retcode

DUST: Final = 1e-9  # lots


class Mt5Trading:
    """Trades at one terminal."""

    def __init__(self, link: Mt5Link) -> None:
        self._link = link

    def open(self, order: OpenOrder) -> TradeResult:
        """Send a market order."""
        session = self._ready()
        with _nothing_sent("Failed to get current price"):
            info, tick = chosen(session.mt5, order.symbol), price(session.mt5, order.symbol)
        if not order.magic:
            order = msgspec.structs.replace(order, magic=self._link.options.magic)
        answer = session.told("order_send", open_request(session.mt5, order, info, tick))
        return result_of(answer, _opened(session, answer))

    def close(self, order: CloseOrder) -> TradeResult:
        """Send the opposite deal, bound to the position."""
        session = self._ready()
        position = _held(session, order.ticket)
        if order.volume is not None and order.volume > position.volume + DUST:
            raise TradeRefusedError(
                f"Position {order.ticket} has {position.volume:g} lots, not {order.volume:g}",
                retcode=Retcode.INVALID_CLOSE_VOLUME,
            )
        with _nothing_sent("Failed to get current price"):
            info, tick = chosen(session.mt5, position.symbol), price(session.mt5, position.symbol)
        request = close_request(session.mt5, order, position, info, tick)
        return result_of(session.told("order_send", request), order.ticket)

    def modify(self, order: ModifyOrder) -> TradeResult:
        """Change stops, and keep those that are not named."""
        session = self._ready()
        request = modify_request(session.mt5, order, _held(session, order.ticket))
        made = result_of(session.told("order_send", request), order.ticket)
        return msgspec.structs.replace(
            made,
            volume=None,
            price=None,
            sl=request["sl"] or None,
            tp=request["tp"] or None,
        )

    def _ready(self) -> Session:
        with _nothing_sent("MT5 not initialized"):
            session = self._link.session()
        terminal, account = session.terminal, session.account
        if not terminal.connected:
            raise TradeRefusedError("MT5 not initialized: it has no connection to the broker")
        if not may_trade(terminal, account):
            raise TradeRefusedError(
                "Trading not allowed: switch on Algo Trading in the terminal, and log in with "
                "the master password",
                retcode=Retcode.TRADE_DISABLED,
            )
        return session


@contextmanager
def _nothing_sent(words: str) -> Iterator[None]:
    try:
        yield
    except UnknownSymbolError as error:
        raise TradeRefusedError(str(error), retcode=Retcode.INVALID) from error
    except TerminalError as error:
        raise TradeRefusedError(f"{words}: {error}") from error


def _held(session: Session, ticket: int) -> Any:
    with _nothing_sent("Failed to get the position"):
        found = session.told("positions_get", ticket=ticket)
    if not found:
        raise TradeRefusedError(f"Position {ticket} not found")
    return found[0]


def _opened(session: Session, answer: Any) -> int | None:
    """The position's ticket, where it can be told: on netting it is an older order's."""
    if answer.retcode not in DONE:
        return None
    deals: Any = None
    if answer.deal:
        try:
            deals = session.mt5.history_deals_get(ticket=answer.deal)
        except Exception:  # noqa: BLE001 - the order is done, whatever breaks now
            deals = None
    if deals:
        return int(deals[0].position_id)
    hedging = session.account.margin_mode == RETAIL_HEDGING
    return int(answer.order) or None if hedging else None
