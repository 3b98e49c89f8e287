"""What is read after an order: sightings, the agent's own log, stops, and their correction.

Why: reconciliation and stops ask the same agent in the same lane. May import `looks`,
`seats`, `office`, `journal`, `wire`, `gateway`, `orders` and below.
The trap: every read takes the account's seat first. A read beside another kernel's order
would see what it cannot explain.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

import msgspec

from fleetkit import contract
from fleetkit.desk import journal, looks
from fleetkit.desk.office import Office
from fleetkit.desk.seats import NoSeat, Seat
from fleetkit.desk.wire import answer_of, wire_of
from fleetkit.errors import AgentError, FleetkitError
from fleetkit.gateway import Gateway, Hold
from fleetkit.orders.classify import Asked, NotConnected, classify
from fleetkit.orders.messages import (
    AskById,
    ByIdAnswered,
    CorrectStops,
    Event,
    ReadFailed,
    SightingTaken,
    StopsCorrected,
    StopsRead,
    TakeSighting,
)
from fleetkit.orders.records import Intent
from fleetkit.trading import OrderKind

SEAT_S: Final = 5.0  # to wait for another kernel that trades this account


class Reader:
    """Reads around one order.

    Attributes
    ----------
    seat, hold
        Seat and lane while they are held, ``None`` else.
    """

    def __init__(self, office: Office, gateway: Gateway, intent: Intent) -> None:
        self.seat: Seat | None = None
        self.hold: Hold | None = None
        self._office = office
        self._gateway = gateway
        self._account = intent.account
        now = office.clock.now()
        self._look = looks.Look(intent.kind, opened=_opened(intent), now=now)

    def __repr__(self) -> str:
        return f"<Reader of {self._gateway.name!r}, lane {'held' if self.hold else 'free'}>"

    @asynccontextmanager
    async def in_seat(self) -> AsyncIterator[Seat]:
        """Hold the account's seat for what follows, unless it is held already."""
        if self.seat is not None:
            yield self.seat
            return
        async with self._office.seats.take(self._account, within_s=SEAT_S) as seat:
            self.seat = seat
            try:
                yield seat
            finally:
                self.seat = None

    @asynccontextmanager
    async def in_lane(self) -> AsyncIterator[Hold]:
        """Hold seat and lane for what follows, unless they are held already."""
        if self.hold is not None:
            yield self.hold
            return
        within_s = self._office.config.timeouts.read_deadline_s
        async with self.in_seat(), self._gateway.hold(within_s) as hold:
            self.hold = hold
            try:
                yield hold
            finally:
                self.hold = None

    async def look(self, command: TakeSighting | AskById, intent: Intent) -> Event:
        """Read what reconciliation asks for; the lane is held."""
        hold = self.hold
        if hold is None:
            return ReadFailed("The lane was not held.")
        try:
            if isinstance(command, AskById):
                capabilities = await hold.capabilities()
                reply = await hold.order_status(intent.order_id)
                known = capabilities.has(contract.Capability.ORDERS)
                return ByIdAnswered(answer_of(reply), capability_confirmed=known)
            elapsed = self._office.clock.elapsed
            sighting = await looks.sight(hold, self._gateway, self._look, elapsed=elapsed)
        except AgentError as error:
            return ReadFailed(str(error))
        mode = None if intent.before is None else intent.before.margin_mode
        claims = await self._office.read(lambda c: journal.claims_of(c, intent, mode))
        return SightingTaken(sighting, claims)

    async def stops(self, ticket: int) -> Event:
        """Read a position back."""
        try:
            async with self.in_lane() as hold:
                listed = await hold.positions()
        except (FleetkitError, NoSeat):
            return StopsRead(None)
        found = next((each for each in listed.positions if each.ticket == ticket), None)
        return StopsRead(None if found is None else looks.seen_position(found))

    async def correct(self, command: CorrectStops, intent: Intent) -> Event:
        """Modify the position to where its stops shall be, once."""
        asked = Asked(
            kind=OrderKind.MODIFY,
            order_id=intent.order_id,
            ticket=command.ticket,
            capabilities=intent.capabilities,
        )
        request = contract.ModifyRequest(
            ticket=command.ticket,
            sl=None if command.sl is None else float(command.sl),
            tp=None if command.tp is None else float(command.tp),
        )
        body = msgspec.json.encode(request)
        try:
            async with self.in_lane() as hold:
                exchange = await hold.trade(
                    contract.MODIFY, body, order_id=None, may_send=self.lost
                )
        except (FleetkitError, NoSeat) as error:
            return StopsCorrected(classify(asked, NotConnected(str(error))))
        return StopsCorrected(classify(asked, wire_of(exchange)))

    async def lost(self) -> str | None:
        """Why nothing may be sent any more, if so."""
        mine = self.seat is not None and await self.seat.still_mine()
        return None if mine else "another kernel trades this account now"


def _opened(intent: Intent) -> datetime | None:
    """When the position that is to be closed was opened, where that is known for sure."""
    before = intent.before
    position = None if before is None else before.position(intent.ticket)
    if before is None or position is None or not before.zone_known:
        return None
    return position.open_time
