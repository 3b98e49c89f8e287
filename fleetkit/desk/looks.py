"""Looks at an account, before an order and after it, as evidence wants them.

Why: positions, history and balance are read in one order in one hold of the lane, and
turned into exact numbers here. May import `gateway`, `orders` and below.
The trap: positions first, the history next, the balance last. What is executed and
stopped in between still shows in one of the later two.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Final

from fleetkit.contract import MAX_DAYS, TradeHistoryWire
from fleetkit.errors import TerminalDisconnected
from fleetkit.gateway import Gateway, Hold, Listed, adopt_time
from fleetkit.gateway.adopt import adopt_side
from fleetkit.model import MarginMode, Position
from fleetkit.orders.classify import lots
from fleetkit.orders.readings import BeforeSnapshot, SeenPosition, SeenTrade, Sighting
from fleetkit.plan import decimal
from fleetkit.trading import OrderKind

LOOK_BACK_DAYS: Final = 30  # enough that something closed shows whether it was read (T2)
MARGIN: Final = timedelta(days=2)
LAST_DAY: Final = MAX_DAYS


class Look:
    """What an order's kind needs to have read, and how far back.

    Parameters
    ----------
    opened
        When the position that is to be closed was opened; ``None`` where that is not
        known, and then the history is read as far back as it goes.
    """

    def __init__(self, kind: OrderKind, *, opened: datetime | None, now: datetime) -> None:
        self.kind = kind
        days = LOOK_BACK_DAYS
        if kind is OrderKind.CLOSE:
            days = LAST_DAY if opened is None else (now - opened + MARGIN).days + 1
        self.query = {"days": str(min(max(days, LOOK_BACK_DAYS), LAST_DAY))}

    @property
    def wants_history(self) -> bool:
        """A modify shows in the position itself."""
        return self.kind is not OrderKind.MODIFY


async def before(
    hold: Hold,
    gateway: Gateway,
    look: Look,
    *,
    ticket: int | None,
    mode: MarginMode,
    now: datetime,
    over: frozenset[str] = frozenset(),
) -> BeforeSnapshot:
    """Look at an account right before its order is sent.

    ``over`` are its unknown orders that cannot be executed any more, told before this look.

    Raises
    ------
    AgentError
        Something could not be read; then nothing may be sent either.
    """
    listed = await hold.positions()
    history = await hold.history(look.query) if look.wants_history else None
    reading = await hold.account()
    if listed.account == 0 or (history is not None and history.account_number == 0):
        message = f"{gateway.name} answers for account 0: its terminal has no broker."
        raise TerminalDisconnected(message, agent=gateway.name, account=gateway.account)
    trades = None if history is None else seen_trades(history, gateway.sure_zone)
    rows = () if trades is None else trades
    return BeforeSnapshot(
        account=reading.account,
        as_of=now,
        margin_mode=mode,
        positions=tuple(map(seen_position, listed.positions)),
        balance=decimal(reading.balance),
        closed_ids=None if trades is None else frozenset(row.position_id for row in rows),
        known_tickets=gateway.tickets_seen,
        closed_volume=sum((row.volume for row in rows if row.position_id == ticket), Decimal(0)),
        zone_known=gateway.sure_zone is not None,
        over=over,
    )


async def sight(
    hold: Hold, gateway: Gateway, look: Look, *, elapsed: Callable[[], float]
) -> Sighting:
    """Look at an account after its order; raises `AgentError` where nothing can be read."""
    listed = await hold.positions()
    at = elapsed()  # not when it was asked: two readings must be the grace apart
    history = await hold.history(look.query) if look.wants_history else None
    reading = await hold.account()
    # A reply for account 0 is none at all (T1): that half counts as not read.
    trades = None
    if history is not None and history.account_number == reading.account:
        trades = seen_trades(history, gateway.sure_zone)
    return Sighting(
        at=at,
        account=reading.account,
        positions=_listed(listed, reading.account),
        history=trades,
        balance=decimal(reading.balance),
    )


def _listed(listed: Listed, account: int) -> tuple[SeenPosition, ...] | None:
    if listed.account != account:
        return None
    return tuple(map(seen_position, listed.positions))


def seen_position(position: Position) -> SeenPosition:
    """An open position with exact numbers."""
    return SeenPosition(
        ticket=position.ticket,
        symbol=position.symbol,
        side=position.side,
        volume=lots(position.volume) or Decimal(0),  # 0.30000000000000004 is 0.3
        sl=decimal(position.sl),
        tp=decimal(position.tp),
        open_time=position.open_time,
        open_price=position.open_price,
    )


def seen_trades(wire: TradeHistoryWire, zone: tzinfo | None) -> tuple[SeenTrade, ...] | None:
    """The closed trades; ``None`` where one has no position id or no side that can be read.

    Naive times are read in `zone`; without one they mean nothing and are left out.
    """
    found = []
    for trade in wire.trades:
        if trade.position_id is None:
            return None
        try:
            side = adopt_side(trade.side)
        except ValueError:
            return None
        volume = trade.lot if trade.closed_volume is None else trade.closed_volume
        found.append(
            SeenTrade(
                position_id=trade.position_id,
                symbol=trade.symbol,
                side=side,
                volume=lots(volume) or Decimal(0),
                entry_time=_moment(trade.entry_time, zone),
                entry_price=trade.entry_price,
                exit_price=trade.exit_price,
            )
        )
    return tuple(found)


def _moment(text: str, zone: tzinfo | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is None and zone is None else adopt_time(moment, zone or UTC)
