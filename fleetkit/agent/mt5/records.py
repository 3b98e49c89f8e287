"""The package's named tuples as the agent's records.

Why: MetaTrader's fields, its zeros that mean "none" and its broker times end here.
May import `agent.terminal`, `mt5.times` and `model`.
The trap: a tick's value is money per *tick size*, which is not always the point.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fleetkit.agent.mt5.times import BrokerTimes
from fleetkit.agent.terminal import AccountState, Deal, OpenPosition, SymbolInfo, Tick
from fleetkit.model import MarginMode, Side

RETAIL_HEDGING: Final = 2  # ACCOUNT_MARGIN_MODE_RETAIL_HEDGING; the two others net
BUY: Final = 0  # POSITION_TYPE_BUY


def account_state(
    terminal: Any,
    account: Any,
    *,
    open_now: int,
    days: int,
    initial_balance: float | None,
    name: str | None,
    firm: str | None,
) -> AccountState:
    """The account; without the broker its figures are the last ones, and not shown."""
    connected = bool(terminal.connected)
    hedging = account.margin_mode == RETAIL_HEDGING
    return AccountState(
        number=account.login if connected else 0,
        name=name or account.name,
        balance=account.balance if connected else 0.0,
        connected=connected,
        days_operating=days,
        has_open_position=open_now > 0,
        holder=account.name or "Unknown",
        firm=firm or account.company or "N/A",
        initial_balance=initial_balance,
        currency=account.currency,
        leverage=account.leverage,
        server=account.server,
        equity=account.equity if connected else None,
        profit=account.profit if connected else None,
        credit=account.credit if connected else None,
        margin=account.margin if connected else None,
        margin_free=account.margin_free if connected else None,
        margin_level=account.margin_level or None if connected else None,
        company=account.company,
        margin_mode=MarginMode.HEDGING if hedging else MarginMode.NETTING,
        trade_allowed=may_trade(terminal, account),
        login_ok=connected,
    )


def may_trade(terminal: Any, account: Any) -> bool:
    """Whether the terminal's switches and the account both let programs trade."""
    switched_on = terminal.trade_allowed and not terminal.tradeapi_disabled
    return bool(switched_on and account.trade_allowed and account.trade_expert)


def position_of(position: Any, times: BrokerTimes) -> OpenPosition:
    """An open position; its commission is booked with deals and not known here."""
    return OpenPosition(
        ticket=position.ticket,
        symbol=position.symbol,
        side=Side.BUY if position.type == BUY else Side.SELL,
        volume=position.volume,
        open_price=position.price_open,
        current_price=position.price_current,
        sl=position.sl or None,
        tp=position.tp or None,
        profit=position.profit,
        swap=position.swap,
        commission=0.0,
        open_time=times.utc(position.time_msc / 1000),
        magic=position.magic,
        comment=position.comment,
        position_id=position.identifier,
    )


def deal_of(deal: Any, times: BrokerTimes) -> Deal:
    """A line of the ledger."""
    return Deal(
        ticket=deal.ticket,
        order=deal.order,
        time=times.utc(deal.time_msc / 1000),
        type=deal.type,
        entry=deal.entry,
        reason=deal.reason,
        position_id=deal.position_id,
        symbol=deal.symbol,
        volume=deal.volume,
        price=deal.price,
        profit=deal.profit,
        swap=deal.swap,
        commission=deal.commission,
        fee=deal.fee,
        magic=deal.magic,
        comment=deal.comment,
        external_id=deal.external_id,
    )


def tick_of(info: Any, tick: Any, times: BrokerTimes) -> Tick:
    """The current price."""
    size = info.trade_tick_size or info.point
    return Tick(
        symbol=info.name,
        bid=tick.bid,
        ask=tick.ask,
        digits=info.digits,
        point=info.point,
        tick_value=info.trade_tick_value * info.point / size,
        time=times.utc(tick.time_msc / 1000),
    )


def symbol_of(info: Any) -> SymbolInfo:
    """How a symbol is traded."""
    return SymbolInfo(
        symbol=info.name,
        digits=info.digits,
        point=info.point,
        volume_min=info.volume_min,
        volume_max=info.volume_max,
        volume_step=info.volume_step,
        trade_stops_level=info.trade_stops_level,
        filling_mode=info.filling_mode,
        trade_contract_size=info.trade_contract_size,
        trade_tick_size=info.trade_tick_size,
        trade_tick_value=info.trade_tick_value,
        trade_mode=info.trade_mode,
        currency_profit=info.currency_profit,
    )


def pip_of(symbol: str, info_of: Callable[[str], Any]) -> float:
    """A pip: ten points where prices have 3 or 5 digits, else one.

    Of a symbol that the broker has dropped, the size that its name suggests.
    """
    info = info_of(symbol)
    if info is None or not info.point:
        return 0.01 if "JPY" in symbol else 0.0001
    return float(info.point * 10 if info.digits in (3, 5) else info.point)
