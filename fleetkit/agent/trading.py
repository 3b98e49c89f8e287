"""Trade requests: checked, sent once, and answered in the words clients classify.

Why: both layers refuse with the same texts, a table that clients hold as definite
(T4). May import `terminal`, `request`, `orders` and `contract`.
The trap: a text that clients take for a definite refusal may only be said when
nothing was sent. Whatever comes out of the terminal's own order call is "failed".
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from fleetkit import contract
from fleetkit.agent.orders import Intent, Kind, Settlement
from fleetkit.agent.request import Reply, Request, body_of, unprocessable
from fleetkit.agent.terminal import (
    CloseOrder,
    ModifyOrder,
    OpenOrder,
    Terminal,
    TerminalError,
    TradeRefusedError,
    TradeResult,
    UnknownSymbolError,
)
from fleetkit.contract import DONE, REFUSED, OrderStatus, Retcode
from fleetkit.model import Side

COMMENT_MAX: Final = 31  # characters that MetaTrader keeps
WORDS: Final[Mapping[Kind, str]] = MappingProxyType(
    {"open": "Order", "close": "Close", "modify": "Modify"}
)
ALSO_DONE: Final[Mapping[Kind, Retcode]] = MappingProxyType(
    {"modify": Retcode.NO_CHANGES, "close": Retcode.POSITION_CLOSED}
)


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """A trade request as the terminal is to be asked, once."""

    kind: Kind
    ticket: int | None  # of the position, where it is there already
    wanted: float | None
    comment: str
    order_id: str | None
    digest: bytes
    check: Callable[[Terminal], Awaitable[None]] | None = None  # before it is asked
    ask: Callable[[Terminal], Awaitable[TradeResult]]

    @property
    def intent(self) -> Intent:
        """What the order log writes down."""
        return Intent(
            order_id=self.order_id or "",
            kind=self.kind,
            digest=self.digest,
            comment=self.comment,
            wanted=self.wanted,
        )


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of asking the terminal; ``result`` is ``None`` where it gave no answer."""

    settlement: Settlement
    result: TradeResult | None = None
    no_answer: bool = False


def trade_of(request: Request) -> Trade:
    """What a trade request asks for.

    Raises
    ------
    HttpError
        422 for a body or an order id that makes no sense.
    """
    return _READERS[request.call.name](request)


async def execute(
    terminal: Terminal, trade: Trade, at_last: Callable[[], None] | None = None
) -> Outcome:
    """Ask the terminal, and say what its answer proves.

    ``at_last`` is called after the last check and before the order, and may raise.
    """
    try:
        await _check(terminal)
        if trade.check is not None:
            await trade.check(terminal)
        if at_last is not None:
            at_last()
        result = await trade.ask(terminal)
    except TradeRefusedError as error:
        settlement = Settlement(
            status=OrderStatus.REJECTED,
            ticket=trade.ticket,
            retcode=error.retcode,
            message=str(error),
        )
        return Outcome(settlement=settlement)
    except TerminalError as error:
        return no_answer(trade, str(error))
    return Outcome(settlement=_settlement(trade, result), result=result)


def no_answer(trade: Trade, message: str) -> Outcome:
    """Nobody knows whether the order was executed."""
    settlement = Settlement(status=OrderStatus.UNKNOWN, ticket=trade.ticket, message=message)
    return Outcome(settlement=settlement, no_answer=True)


def done_body(kind: Kind, outcome: Outcome) -> dict[str, Any]:
    """The base layer's reply to a trade that was executed."""
    made, result = outcome.settlement, outcome.result
    body = {"success": True, "ticket": made.ticket, "message": made.message or "Done"}
    if kind == "open":
        return {**body, "price": made.price, "error_code": 0}
    if kind == "close":
        return {**body, "close_price": made.price}
    return {**body, "new_sl": result and result.sl, "new_tp": result and result.tp}


def base_reply(trade: Trade, outcome: Outcome) -> Reply:
    """How a base agent answers: everything but "done" is a 400 with a text (T4)."""
    if outcome.result is not None and outcome.result.retcode == Retcode.DONE:
        return Reply(200, done_body(trade.kind, outcome))
    return Reply(400, {"detail": failure_text(trade, outcome)})


def extended_reply(trade: Trade, outcome: Outcome) -> Reply:
    """How our own agent answers: with retcode and the order's status, whatever happened."""
    made = outcome.settlement
    more: dict[str, Any] = {"retcode": made.retcode, "order_id": trade.order_id}
    more["order_status"] = made.status.value
    if made.status in (OrderStatus.FILLED, OrderStatus.PARTIALLY_FILLED):
        body = {**done_body(trade.kind, outcome), **more}
        if trade.kind != "modify":
            body |= {"volume": made.volume, "deal": made.deal, "order": made.order_ticket}
        return Reply(200, body)
    detail = failure_text(trade, outcome)
    return Reply(500 if outcome.no_answer else 400, {"detail": detail, **more})


def failure_text(trade: Trade, outcome: Outcome) -> str:
    """The sentence behind an order that was not done, as base agents say it."""
    message = outcome.settlement.message or ""
    if outcome.no_answer:
        return f"order_send failed: {message}"
    if outcome.result is None:
        return message  # refused before it was sent: a definite text
    return f"{WORDS[trade.kind]} failed: {message}"


def _settlement(trade: Trade, result: TradeResult) -> Settlement:
    return Settlement(
        status=_status(trade.kind, result.retcode),
        ticket=result.position or trade.ticket or result.order or None,
        deal=result.deal or None,
        order_ticket=result.order or None,
        volume=result.volume,
        price=result.price,
        retcode=result.retcode,
        message=result.comment or None,
    )


def _status(kind: Kind, retcode: int) -> OrderStatus:
    if retcode == Retcode.DONE_PARTIAL:
        return OrderStatus.PARTIALLY_FILLED
    if retcode in DONE or retcode == ALSO_DONE.get(kind):
        return OrderStatus.FILLED
    return OrderStatus.REJECTED if retcode in REFUSED else OrderStatus.UNKNOWN


async def _check(terminal: Terminal) -> None:
    try:
        up = await terminal.initialised()
    except TerminalError as error:  # a question failed; no order was sent
        raise TradeRefusedError("MT5 not initialized") from error
    if not up:
        raise TradeRefusedError("MT5 not initialized")
    try:
        account = await terminal.account()
    except TerminalError as error:
        raise TradeRefusedError("Failed to get account info") from error
    if not account.connected or not account.number:
        raise TradeRefusedError("Failed to get account info")
    if account.trade_allowed is False:
        raise TradeRefusedError(
            "Trading not allowed for this account", retcode=Retcode.TRADE_DISABLED
        )


async def _check_volume(terminal: Terminal, order: OpenOrder) -> None:
    try:
        info = await terminal.symbol(order.symbol)
    except UnknownSymbolError as error:
        text = f"Symbol {order.symbol} not found"
        raise TradeRefusedError(text, retcode=Retcode.INVALID) from error
    except TerminalError as error:
        # The order itself was not sent; only the question before it failed.
        raise TradeRefusedError("Failed to get current price") from error
    for wrong, how in (
        (order.volume < info.volume_min, f"below minimum {info.volume_min:g}"),
        (order.volume > info.volume_max, f"above maximum {info.volume_max:g}"),
    ):
        if wrong:
            text = f"Lot size {order.volume:g} {how}"
            raise TradeRefusedError(text, retcode=Retcode.INVALID_VOLUME)


def _open(request: Request) -> Trade:
    body = body_of(request, contract.OpenRequest)
    order_id = _order_id(request, body.order_id)
    order = OpenOrder(
        symbol=body.symbol,
        side=Side.BUY if body.order_type == "BUY" else Side.SELL,
        volume=_finite("lot", body.lot),
        sl=_level("sl", body.sl) or None,
        tp=_level("tp", body.tp) or None,
        comment=_told(order_id, body.comment),
    )

    return Trade(
        kind="open",
        ticket=None,
        wanted=order.volume,
        comment=body.comment or "",
        order_id=order_id,
        digest=_digest("open", msgspec.structs.replace(body, order_id=None)),
        check=lambda terminal: _check_volume(terminal, order),
        ask=lambda terminal: terminal.open(order),
    )


def _close(request: Request) -> Trade:
    body = body_of(request, contract.CloseRequest)
    order_id = _order_id(request, body.order_id or None)
    volume = body.volume or None
    if body.volume == 0 or (volume is not None and _finite("volume", volume) < 0):
        raise unprocessable("volume", "Expected lots above 0")
    order = CloseOrder(
        ticket=body.ticket,
        volume=volume,
        deviation=body.deviation,
        comment=_told(order_id, None),
    )
    return Trade(
        kind="close",
        ticket=body.ticket,
        wanted=volume,
        comment="",
        order_id=order_id,
        digest=_digest("close", msgspec.structs.replace(body, order_id=None, volume=volume)),
        ask=lambda terminal: terminal.close(order),
    )


def _modify(request: Request) -> Trade:
    body = body_of(request, contract.ModifyRequest)
    order_id = _order_id(request, body.order_id)
    order = ModifyOrder(
        ticket=body.ticket,
        sl=_level("sl", body.sl),
        tp=_level("tp", body.tp),
        comment=_told(order_id, None),
    )
    return Trade(
        kind="modify",
        ticket=body.ticket,
        wanted=None,
        comment="",
        order_id=order_id,
        digest=_digest("modify", msgspec.structs.replace(body, order_id=None)),
        ask=lambda terminal: terminal.modify(order),
    )


_READERS: Final[Mapping[str, Callable[[Request], Trade]]] = MappingProxyType(
    {
        contract.OPEN.name: _open,
        contract.CLOSE.name: _close,
        contract.MODIFY.name: _modify,
    }
)


def _order_id(request: Request, named: object) -> str | None:
    if request.order_id is None:
        return named if isinstance(named, str) else None
    if named is not None and named != request.order_id:
        raise unprocessable("order_id", f"order_id and {contract.ORDER_ID_HEADER} are not the same")
    try:
        return msgspec.convert(request.order_id, contract.OrderId)
    except msgspec.ValidationError as error:
        raise unprocessable(contract.ORDER_ID_HEADER, str(error)) from error


def _told(order_id: str | None, comment: str | None) -> str:
    # The terminal keeps the id, so that an order whose answer was lost can be
    # found in the ledger; the caller's words are in the log beside it.
    return order_id or (comment or "")[:COMMENT_MAX]


def _digest(kind: Kind, body: msgspec.Struct) -> bytes:
    return hashlib.sha256(kind.encode() + msgspec.json.encode(body)).digest()


def _finite(field: str, number: float) -> float:
    if not math.isfinite(number):
        raise unprocessable(field, "Expected a finite number")
    return number


def _level(field: str, price: float | None) -> float | None:
    if price is None:
        return None
    if _finite(field, price) < 0:
        raise unprocessable(field, "Expected a price level of 0 or above")
    return price


async def base_trade(terminal: Terminal, request: Request) -> Reply:
    """Every trade route of the base layer, which knows no order ids and no partial close."""
    trade = trade_of(_base_fields(request))
    return base_reply(trade, await execute(terminal, trade))


def _base_fields(request: Request) -> Request:
    try:
        body = msgspec.json.decode(request.body)
    except (msgspec.DecodeError, RecursionError):
        return request  # read again, and refused, by whoever reads it in earnest
    if not isinstance(body, dict):
        return request
    known = {name: body[name] for name in body if name not in ("order_id", "volume")}
    return msgspec.structs.replace(request, body=msgspec.json.encode(known), order_id=None)
