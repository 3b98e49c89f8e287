"""What a trade call's answer, or its absence, proves.

Why: this one function decides whether an order may have been executed, exactly by
the table "Outcomes of a trade call". May import `texts`, `contract`, `trading`.
The trap: an answer is a claim. Where two parts of it contradict each other, or it
cannot be read to its end, the outcome is ``unknown``; nothing here ever raises.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

import msgspec

from fleetkit.contract import (
    CLOSE,
    DONE,
    MODIFY,
    OPEN,
    REFUSED,
    RETRYABLE,
    Capability,
    CloseWire,
    ErrorWire,
    ModifyWire,
    OpenWire,
    OrderStatus,
    Retcode,
)
from fleetkit.html import visible_text
from fleetkit.orders.texts import broker_retcode, is_definite
from fleetkit.trading import Evidence, OrderKind, Outcome

BODY_MAX: Final = 1 << 20  # bytes; a trade's answer has a few hundred
DETAIL_MAX: Final = 300  # characters of an agent's words that are shown
LOT_DECIMALS: Final = 8  # no broker has finer lots
BEFORE_HANDLER: Final = frozenset({401, 403, 405, 413, 415, 422})  # refused unread
NO_ROUTE: Final = {"detail": "Not Found"}  # the whole body of a 404 that no handler wrote
FIRST_RETCODE: Final = 10_000  # below are other codes, such as `last_error`'s 1 for success
UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)
"""What decoders raise; int(str) of a number with a million digits is a ValueError."""

ALSO_DONE: Final[Mapping[OrderKind, Retcode]] = MappingProxyType(
    {OrderKind.MODIFY: Retcode.NO_CHANGES, OrderKind.CLOSE: Retcode.POSITION_CLOSED}
)
_EXECUTED: Final = frozenset({OrderStatus.FILLED.value, OrderStatus.PARTIALLY_FILLED.value})


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer arrived, whole."""

    status: int
    body: bytes
    headers: Mapping[str, str] = MappingProxyType({})


class NotConnected(msgspec.Struct, frozen=True):
    """No byte left: connect, DNS or TLS failed, or no connection was free in time."""

    reason: str


class TimedOut(msgspec.Struct, frozen=True):
    """The deadline passed after a byte may have left (T13)."""

    reason: str


class Broken(msgspec.Struct, frozen=True):
    """The connection broke after a byte may have left, or nobody knows what happened."""

    reason: str


class Unreadable(msgspec.Struct, frozen=True):
    """An answer came whose body cannot be read: too large, cut off, not decompressible."""

    reason: str


Wire = Answer | NotConnected | TimedOut | Broken | Unreadable
"""What happened on the wire."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer is an answer to."""

    kind: OrderKind
    order_id: str
    volume: Decimal | None = None  # lots that were asked for, where they are known
    ticket: int | None = None  # of the position, where it is there already
    capabilities: frozenset[str] = frozenset()  # of the agent, confirmed for this call


class Classification(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer proves: filled, rejected, not_sent or unknown.

    Attributes
    ----------
    partly : bool
        The agent says that a part was executed; a smaller volume then fits the order.
    received : bool
        The answer shows that the order arrived, so a later "never received" is wrong.
    id_conflict : bool
        The id is another order's (409): asking by it would tell of that one.
    """

    outcome: Outcome
    reason: str
    evidence: Evidence = Evidence.NONE
    retryable: bool = False
    retcode: int | None = None
    ticket: int | None = None
    filled_volume: Decimal | None = None
    price: float | None = None
    sl: float | None = None
    tp: float | None = None
    partly: bool = False
    received: bool = False
    id_conflict: bool = False


def classify(asked: Asked, wire: Wire) -> Classification:
    """Say what an answer proves."""
    match wire:
        case NotConnected(reason):
            return Classification(
                outcome=Outcome.NOT_SENT, reason=shown(reason), evidence=Evidence.LOCAL
            )
        case TimedOut(reason) | Broken(reason) | Unreadable(reason):
            return unknown(shown(reason))
        case Answer(status, body, headers):
            if len(body) > BODY_MAX:
                return unknown(f"The agent answered HTTP {status} with {len(body):,} bytes.")
            plain = body.removeprefix(codecs.BOM_UTF8)
            if status == 200:
                return _done(asked, plain)
            return _refused(asked, status, plain, headers)


def unknown(
    reason: str,
    *,
    retcode: int | None = None,
    partly: bool = False,
    received: bool = False,
    id_conflict: bool = False,
) -> Classification:
    """Nothing is proven; reconciliation must find out."""
    return Classification(
        outcome=Outcome.UNKNOWN,
        reason=reason,
        retcode=retcode,
        partly=partly,
        received=received,
        id_conflict=id_conflict,
    )


def is_done(kind: OrderKind, retcode: int | None) -> bool:
    """Whether a retcode says: executed."""
    return retcode in DONE or (retcode is not None and retcode == ALSO_DONE.get(kind))


def shown(text: str) -> str:
    """An agent's words as one line that can be shown."""
    return visible_text(" ".join(text[: 4 * DETAIL_MAX].split()), DETAIL_MAX)


def lots(volume: float | None) -> Decimal | None:
    """Lots as an agent meant them; ``None`` where they are no volume.

    A terminal that adds binary floats writes 0.30000000000000004 for 0.3.
    """
    if volume is None or not 0 < volume < 1e12:
        return None
    return Decimal(repr(round(volume, LOT_DECIMALS)))


def _done(asked: Asked, body: bytes) -> Classification:
    """Read a 200, which is believed only where all of it says the same."""
    try:
        wire = _decode(asked.kind, body)
    except UNREADABLE as error:
        return unknown(f"The agent answered 200 with something unreadable: {shown(str(error))}")
    received = wire.order_id == asked.order_id
    if not wire.success:
        words = shown(wire.message or "no reason given")
        return unknown(f"The agent answered 200 without success: {words}", received=received)
    doubt = _doubt(asked, wire)
    if doubt is not None:
        return unknown(f"The agent answered 200, but {doubt}.", received=received)
    return _filled(asked, wire)


_TradeWire = OpenWire | CloseWire | ModifyWire


def _decode(kind: OrderKind, body: bytes) -> _TradeWire:
    if kind is OrderKind.OPEN:
        return OPEN.decode(body)
    return CLOSE.decode(body) if kind is OrderKind.CLOSE else MODIFY.decode(body)


def _doubt(asked: Asked, wire: _TradeWire) -> str | None:
    """What in a 200 with success contradicts it."""
    if wire.retcode is not None and not is_done(asked.kind, wire.retcode):
        return f"its retcode is {wire.retcode}"
    code = wire.error_code if isinstance(wire, OpenWire) else None
    if code is not None and (code < 0 or code >= FIRST_RETCODE) and not is_done(asked.kind, code):
        return f"its error_code is {code}"
    if wire.order_id not in (None, asked.order_id):
        return "about another order"
    if wire.order_status is not None and wire.order_status not in _EXECUTED:
        return f"the order's status is {shown(wire.order_status)!r}"
    volume = None if isinstance(wire, ModifyWire) else lots(wire.volume)
    if volume is not None and asked.volume is not None and volume > asked.volume:
        return f"it executed {volume:f} lots of {asked.volume:f}"
    return None


def _filled(asked: Asked, wire: _TradeWire) -> Classification:
    partial = OrderStatus.PARTIALLY_FILLED.value
    partly = wire.retcode == Retcode.DONE_PARTIAL or wire.order_status == partial
    volume = None if isinstance(wire, ModifyWire) else lots(wire.volume)
    if volume is None and not partly:
        volume = asked.volume  # done is all of it, where nobody says otherwise
    price, sl, tp = None, None, None
    if isinstance(wire, OpenWire):
        price = wire.price
    elif isinstance(wire, CloseWire):
        price = wire.close_price
    else:
        sl, tp = wire.new_sl, wire.new_tp
    return Classification(
        outcome=Outcome.FILLED,
        reason=shown(wire.message or "done"),
        evidence=Evidence.ANSWER,
        retcode=wire.retcode,
        ticket=asked.ticket or wire.ticket or None,
        filled_volume=volume,
        price=price or None,
        sl=sl or None,
        tp=tp or None,
        partly=partly,
        received=True,
    )


class _Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """An error's body, as far as it could be read."""

    detail: str = ""  # the text as it was sent, "" where it was none
    retcode: int | None = None
    order_status: str | None = None
    names_us: bool = False  # it repeats our order's id
    names_other: bool = False
    is_no_route: bool = False
    readable: bool = True


_error_body: Final = msgspec.json.Decoder(ErrorWire)
_any_body: Final = msgspec.json.Decoder()


def _read_refusal(asked: Asked, body: bytes) -> _Refusal:
    try:
        wire = _error_body.decode(body)
        is_no_route = _any_body.decode(body) == NO_ROUTE
    except UNREADABLE:
        return _Refusal(readable=False)
    return _Refusal(
        detail=wire.detail if isinstance(wire.detail, str) else "",
        retcode=wire.retcode,
        order_status=wire.order_status,
        names_us=wire.order_id == asked.order_id,
        names_other=wire.order_id not in (None, asked.order_id),
        is_no_route=is_no_route,
    )


def _refused(asked: Asked, status: int, body: bytes, headers: Mapping[str, str]) -> Classification:
    """Read an answer other than 200."""
    said = _read_refusal(asked, body)
    words = f"The agent answered HTTP {status}: {shown(said.detail) or 'no reason given'}"
    if status == 409:
        return unknown(words, id_conflict=True)
    # Whatever the status is the rule for, a body that speaks of an executed order, of one
    # under way or of another one leaves doubt.
    if said.names_other or said.order_status not in (None, OrderStatus.REJECTED.value):
        return unknown(words, retcode=said.retcode, received=said.names_us)
    if status == 400:
        return _refused_in_words(asked, said, words)
    if said.retcode is not None and said.retcode not in REFUSED:
        return unknown(words, retcode=said.retcode, received=said.names_us)
    if status in BEFORE_HANDLER or (status == 404 and said.is_no_route):
        return _rejected(words, said.retcode)
    if status == 503 and _is_busy(asked, headers):
        return _rejected(words, said.retcode, retryable=True)
    if 300 <= status < 400:
        words = f"The agent answered HTTP {status}, a redirect, which fleetkit never follows."
    return unknown(words, retcode=said.retcode, received=said.names_us)


def _refused_in_words(asked: Asked, said: _Refusal, words: str) -> Classification:
    """A 400: by its retcode where the agent promised retcodes, else by its exact text (T4)."""
    if said.retcode is not None and Capability.RETCODES in asked.capabilities:
        return _by_retcode(asked, said, said.retcode, words)
    # A retcode that nobody promised proves nothing, but may take a text's proof away.
    doubtful = said.retcode is not None and said.retcode not in REFUSED
    known = broker_retcode(said.detail)
    if doubtful or known == Retcode.DONE_PARTIAL:
        partly = known == Retcode.DONE_PARTIAL
        return unknown(words, retcode=known, partly=partly, received=said.names_us)
    if known is not None:
        return _by_retcode(asked, said, known, words)
    if is_definite(said.detail):
        return _rejected(words, None)
    return unknown(words, received=said.names_us)


def _by_retcode(asked: Asked, said: _Refusal, retcode: int, words: str) -> Classification:
    if retcode in REFUSED:
        return _rejected(words, retcode)
    if not is_done(asked.kind, retcode):
        return unknown(words, retcode=retcode, received=said.names_us)
    partly = retcode == Retcode.DONE_PARTIAL
    return Classification(
        outcome=Outcome.FILLED,
        reason=words,
        evidence=Evidence.ANSWER,
        retcode=retcode,
        ticket=asked.ticket,
        filled_volume=None if partly else asked.volume,
        partly=partly,
        received=True,
    )


def _rejected(words: str, retcode: int | None, *, retryable: bool = False) -> Classification:
    return Classification(
        outcome=Outcome.REJECTED,
        reason=words,
        evidence=Evidence.ANSWER,
        retcode=retcode,
        retryable=retryable or retcode in RETRYABLE,
    )


def _is_busy(asked: Asked, headers: Mapping[str, str]) -> bool:
    said = any(name.lower() == "retry-after" and value.strip() for name, value in headers.items())
    return said and Capability.BUSY_503 in asked.capabilities
