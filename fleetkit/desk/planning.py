"""From a wish to a planned order, with what the agent says of account, symbol and price.

Why: a plan that is shown and an order that is sent are worked out by the same code.
May import `gateway`, `plan`, `trading` and below. The trap: closing must stay possible.
What is only nice to know for a close or a modify is left out where it cannot be read.
"""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any, Final

import msgspec

from fleetkit.contract import Capability
from fleetkit.errors import AgentError, NotSupported
from fleetkit.gateway import Gateway, landed
from fleetkit.html import visible_text
from fleetkit.model import (
    AccountReading,
    Capabilities,
    MarginMode,
    Position,
    Quote,
    Side,
    Symbol,
    TradeMode,
)
from fleetkit.orders.classify import lots
from fleetkit.orders.readings import BeforeSnapshot
from fleetkit.plan import (
    AccountFacts,
    PositionFacts,
    PriceFacts,
    SymbolFacts,
    decimal,
    plan_close,
    plan_modify,
    plan_open,
)
from fleetkit.trading import (
    KEEP,
    Keep,
    OrderKind,
    PlannedOrder,
    Refusal,
    Remove,
    Rule,
    Stop,
    add_call,
)

SYMBOL_KEPT_S: Final = 600.0  # how a symbol is traded changes rarely


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller asks for, checked as far as it can be without an agent."""

    kind: OrderKind
    account: int
    symbol: str | None = None
    side: Side | None = None
    volume: Decimal | None = None
    sl: Stop = Stop()
    tp: Stop = Stop()
    ticket: int | None = None
    sl_price: Decimal | Keep | Remove = KEEP
    tp_price: Decimal | Keep | Remove = KEEP
    comment: str | None = None
    order_id: str | None = None
    again: bool = False
    override: bool = False


class PlannedBatch(msgspec.Struct, frozen=True):
    """Orders as they were shown, and when."""

    wanted: tuple[Wanted, ...]
    planned: tuple[PlannedOrder, ...]
    at: float  # the Clock's elapsed seconds


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out for one order before its lane was held."""

    reading: AccountReading | None
    mode: MarginMode | None
    symbol: Symbol | None = None
    quote: Quote | None = None
    position: Position | None = None
    failure: AgentError | None = None
    timings: dict[str, float] = {}


async def find_out(gateway: Gateway, wanted: Wanted, symbols: SymbolShelf) -> Known:
    """Ask what a plan needs; what an open cannot do without is named in ``failure``."""
    reading = gateway.last_reading
    timings: dict[str, float] = {}
    failure: AgentError | None = None
    symbol: Symbol | None = None
    quote: Quote | None = None
    mode = gateway.agent.margin_mode
    try:
        if reading is None or (mode is None and reading.margin_mode is None):
            async with symbols.timed(timings, "accounts"):
                reading = (await landed(gateway.read_account(), gateway.name)).value
        if wanted.kind is OrderKind.OPEN and wanted.symbol is not None:
            symbol = await symbols.get(gateway, wanted.symbol, timings)
            async with symbols.timed(timings, "quote"):
                quote = await gateway.quote(wanted.symbol)
    except AgentError as error:
        failure = error
    mode = mode or (None if reading is None else reading.margin_mode)
    position = None
    if wanted.ticket is not None:
        position = gateway.position_seen(wanted.ticket)
        partly = wanted.volume is not None or wanted.kind is OrderKind.MODIFY
        if position is None and partly:
            with suppress(AgentError):
                async with symbols.timed(timings, "positions"):
                    await landed(gateway.read_positions(), gateway.name)
            position = gateway.position_seen(wanted.ticket)
    if position is not None and symbol is None and wanted.volume is not None:
        with suppress(AgentError):
            symbol = await symbols.get(gateway, position.symbol, timings)
    return Known(
        reading=reading,
        mode=mode,
        symbol=symbol,
        quote=quote,
        position=position,
        failure=failure,
        timings=timings,
    )


def planned(
    gateway: Gateway, wanted: Wanted, known: Known, capabilities: Capabilities | None
) -> PlannedOrder:
    """Work the order out; a refusal is part of it."""
    account = _account_facts(gateway, known, capabilities)
    position = None if known.position is None else _position_facts(known.position)
    if wanted.kind is OrderKind.CLOSE:
        symbol = None if known.symbol is None else _symbol_facts(known.symbol)
        return plan_close(
            account,
            wanted.ticket or 0,
            position=position,
            symbol=symbol,
            volume=wanted.volume,
        )
    if wanted.kind is OrderKind.MODIFY:
        return plan_modify(
            account,
            wanted.ticket or 0,
            position=position,
            sl_price=wanted.sl_price,
            tp_price=wanted.tp_price,
        )
    return _planned_open(account, wanted, known)


def _planned_open(account: AccountFacts, wanted: Wanted, known: Known) -> PlannedOrder:
    side, volume = wanted.side, wanted.volume
    bare = PlannedOrder(
        account=account.account,
        agent=account.agent,
        kind=OrderKind.OPEN,
        symbol=wanted.symbol,
        side=side,
        asked_volume=volume,
        comment=wanted.comment,
    )
    if known.failure is not None or known.quote is None or side is None or volume is None:
        reason = str(known.failure) if known.failure else "Its price could not be read."
        refusal = Refusal(Rule.QUOTE, f"{reason} Nothing was sent.")
        return msgspec.structs.replace(bare, refusal=refusal)
    for told in (known.quote.symbol, None if known.symbol is None else known.symbol.symbol):
        if told not in (None, wanted.symbol):
            return msgspec.structs.replace(bare, refusal=_other_symbol(account, wanted, told))
    bid, ask = decimal(known.quote.bid), decimal(known.quote.ask)
    return plan_open(
        account,
        _open_symbol(known.quote, known.symbol),
        PriceFacts(bid or Decimal(0), ask or Decimal(0)),
        side=side,
        volume=volume,
        sl=wanted.sl,
        tp=wanted.tp,
        comment=wanted.comment,
    )


def _other_symbol(account: AccountFacts, wanted: Wanted, told: str) -> Refusal:
    return Refusal(
        Rule.SYMBOL,
        f"{account.agent} was asked about {wanted.symbol} and answered about "
        f"{visible_text(told, 40) or 'no symbol'}. Give the name as the terminal has it.",
    )


def _account_facts(
    gateway: Gateway, known: Known, capabilities: Capabilities | None
) -> AccountFacts:
    reading = known.reading
    return AccountFacts(
        account=gateway.account or 0,
        agent=gateway.name,
        configured_stops_unit=gateway.agent.stops_unit,
        advertised_stops_unit=None if capabilities is None else capabilities.stops_unit,
        can_close_partly=capabilities is not None and capabilities.has(Capability.PARTIAL_CLOSE),
        leverage=None if reading is None else reading.leverage,
        margin_free=None if reading is None else decimal(reading.margin_free),
    )


def _open_symbol(quote: Quote, symbol: Symbol | None) -> SymbolFacts:
    """What the agent says of the symbol; base agents tell the point, and no tick size (T6)."""
    if symbol is not None:
        return _symbol_facts(symbol)
    return SymbolFacts(
        symbol=quote.symbol, point=decimal(quote.point), tick_value=decimal(quote.tick_value)
    )


_MODES: Final[dict[TradeMode, int]] = {
    TradeMode.DISABLED: 0,
    TradeMode.LONG_ONLY: 1,
    TradeMode.SHORT_ONLY: 2,
    TradeMode.CLOSE_ONLY: 3,
    TradeMode.FULL: 4,
}


def _symbol_facts(symbol: Symbol) -> SymbolFacts:
    return SymbolFacts(
        symbol=symbol.symbol,
        point=decimal(symbol.point),
        digits=symbol.digits,
        volume_min=decimal(symbol.volume_min),
        volume_max=decimal(symbol.volume_max),
        volume_step=decimal(symbol.volume_step),
        stops_level_points=symbol.stops_level_points,
        tick_size=decimal(symbol.tick_size),
        tick_value=decimal(symbol.tick_value),
        trade_mode=None if symbol.trade_mode is None else _MODES[symbol.trade_mode],
    )


def _position_facts(position: Position) -> PositionFacts:
    return PositionFacts(
        ticket=position.ticket,
        symbol=position.symbol,
        side=position.side,
        volume=lots(position.volume) or Decimal(0),
        sl=decimal(position.sl),
        tp=decimal(position.tp),
    )


def whole_of(wanted: Wanted, before: BeforeSnapshot | None) -> Decimal | None:
    """Lots of the position that a close of everything closes, where they are known.

    What was seen some time ago is not: positions grow by netting and shrink by partial
    closes, and an answer that closed another volume would not be believed.
    """
    if wanted.kind is not OrderKind.CLOSE or before is None:
        return None
    seen = before.position(wanted.ticket)
    return None if seen is None else seen.volume


def level_of(order: PlannedOrder, which: str) -> Decimal | None:
    """The price level a stop shall have: of an open where it will be, of a modify as sent."""
    if order.kind is OrderKind.MODIFY:
        sent: Decimal | None = getattr(order, f"sent_{which}")
        return sent
    level: Decimal | None = getattr(order, f"{which}_price")
    return level


class SymbolShelf:
    """How symbols are traded, kept for a while; one fleet's."""

    def __init__(self, elapsed: Any) -> None:
        self._elapsed = elapsed
        self._kept: dict[tuple[str, str], tuple[float, Symbol | None]] = {}

    def __repr__(self) -> str:
        return f"<SymbolShelf {len(self._kept)} symbols>"

    async def get(self, gateway: Gateway, symbol: str, timings: dict[str, float]) -> Symbol | None:
        """One symbol's properties; ``None`` where a base agent cannot tell them."""
        key = gateway.name, symbol
        kept = self._kept.get(key)
        if kept is not None and self._elapsed() - kept[0] < SYMBOL_KEPT_S:
            return kept[1]
        found: Symbol | None = None
        started = self._elapsed()
        asked = "health"  # all that a base agent is asked, and only where it is not known for one
        requests = gateway.link.http.requests
        with suppress(NotSupported):
            found = await gateway.symbol(symbol)
            asked = "symbol"
        if gateway.link.http.requests > requests:
            add_call(timings, asked, (self._elapsed() - started) * 1000)
        self._kept[key] = self._elapsed(), found
        return found

    def timed(self, timings: dict[str, float], name: str) -> Timed:
        """Add how long a block takes to the timings."""
        return Timed(self._elapsed, timings, name)


class Timed:
    """Adds the milliseconds of a block to a dict."""

    def __init__(self, elapsed: Any, timings: dict[str, float], name: str) -> None:
        self._elapsed, self._timings, self._name = elapsed, timings, name
        self._started = 0.0

    async def __aenter__(self) -> None:
        self._started = self._elapsed()

    async def __aexit__(self, *_: object) -> None:
        took_ms = (self._elapsed() - self._started) * 1000
        add_call(self._timings, self._name, took_ms)
