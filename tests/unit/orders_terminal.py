"""A tiny model of a terminal with a person in it, and of the readings one gets from it.

Hedging or netting, with every trap of the base layer: empty lists under the right
account, histories that lag, rounds of reads that fail, another account's data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from fleetkit.model import MarginMode, Side
from fleetkit.orders.readings import BeforeSnapshot, SeenPosition, SeenTrade, Sighting

ACCOUNT = 7100012
SENT = datetime(2026, 2, 1, 10, tzinfo=UTC)


def lots(tenths):
    return Decimal(tenths) / 10


def position(ticket, symbol="EURUSD", side=Side.BUY, tenths=5, **more):
    return SeenPosition(ticket=ticket, symbol=symbol, side=side, volume=lots(tenths), **more)


def trade(ticket, symbol="EURUSD", side=Side.BUY, tenths=5, **more):
    return SeenTrade(position_id=ticket, symbol=symbol, side=side, volume=lots(tenths), **more)


def sighting(at, positions=(), history=(), balance="1000.00", account=ACCOUNT):
    money = None if balance is None else Decimal(balance)
    return Sighting(
        at=at,
        account=account,
        positions=None if positions is None else tuple(positions),
        history=None if history is None else tuple(history),
        balance=money,
    )


def snapshot(positions=(), closed_ids=(1, 2), balance="1000.00", mode="hedging", **more):
    return BeforeSnapshot(
        account=ACCOUNT,
        as_of=SENT,
        margin_mode=MarginMode(mode),
        positions=tuple(positions),
        balance=Decimal(balance),
        closed_ids=frozenset(closed_ids),
        **more,
    )


@dataclass
class Book:
    """What is really so. Every close moves the balance up, so no two cancel out."""

    nets: bool = False
    open: dict[int, SeenPosition] = field(default_factory=dict)
    closed: list[SeenTrade] = field(default_factory=lambda: [trade(1), trade(2)])
    visible: int = 2  # rows of `closed` that the history shows already
    cents: int = 100_000
    next_ticket: int = 100

    def buy_or_sell(self, symbol, side, tenths):
        """Returns the ticket of the position that the trade made or changed."""
        held = next((each for each in self.open.values() if each.symbol == symbol), None)
        if not self.nets or held is None:
            return self._new(symbol, side, lots(tenths))
        if held.side is side:
            return self._replace(held, held.volume + lots(tenths))
        rest = lots(tenths) - held.volume
        self.close(held.ticket, min(held.volume, lots(tenths)))
        return self._new(symbol, side, rest) if rest > 0 else held.ticket

    def close(self, ticket, volume=None):
        held = self.open[ticket]
        part = held.volume if volume is None else min(volume, held.volume)
        self.closed.append(
            SeenTrade(position_id=ticket, symbol=held.symbol, side=held.side, volume=part)
        )
        self.cents += 7
        if part == held.volume:
            del self.open[ticket]
        else:
            self._replace(held, held.volume - part)

    def _new(self, symbol, side, volume):
        ticket, self.next_ticket = self.next_ticket, self.next_ticket + 1
        self.open[ticket] = SeenPosition(ticket=ticket, symbol=symbol, side=side, volume=volume)
        return ticket

    def _replace(self, held, volume):
        self.open[held.ticket] = SeenPosition(
            ticket=held.ticket, symbol=held.symbol, side=held.side, volume=volume
        )
        return held.ticket

    def catch_up(self):
        self.visible = len(self.closed)

    def before(self, *, is_empty=False, ticket=None):
        """The snapshot; wrongly empty, what was known earlier is known all the same (T2)."""
        self.catch_up()
        rows = [each.volume for each in self.closed if each.position_id == ticket]
        return BeforeSnapshot(
            account=ACCOUNT,
            as_of=SENT,
            margin_mode=MarginMode.NETTING if self.nets else MarginMode.HEDGING,
            positions=() if is_empty else tuple(self.open.values()),
            balance=Decimal(self.cents) / 100,
            closed_ids=frozenset(each.position_id for each in self.closed),
            known_tickets=frozenset(self.open),
            closed_volume=sum(rows, Decimal(0)),
        )

    def look(self, at, *, faults=()):
        faults = set(faults)
        if "lag" not in faults:
            self.catch_up()
        positions, history = tuple(self.open.values()), tuple(self.closed[: self.visible])
        return Sighting(
            at=at,
            account=1 if "stranger" in faults else ACCOUNT,
            positions=() if "no positions" in faults else positions,
            history=() if "no history" in faults else history,
            balance=None if "no balance" in faults else Decimal(self.cents) / 100,
        )
