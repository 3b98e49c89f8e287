"""Placing one order: what is found out, planned, looked at and written down before it is sent.

Why: between a wish and its intent nothing is on disk, and every step of that way has its
own reason to stop. May import `life`, `paperwork`, `planning`, `admission`, `looks`,
`seats` and below. The trap: a reason that stops an order here is "not sent"; once its
intent is on disk only its machine may say that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Final

import msgspec

from fleetkit import store
from fleetkit.contract import Capability
from fleetkit.desk import journal, looks, repeats
from fleetkit.desk.admission import Applicant, held, held_before, judge
from fleetkit.desk.identifiers import new_order_id
from fleetkit.desk.life import Life
from fleetkit.desk.office import Office
from fleetkit.desk.paperwork import Papers
from fleetkit.desk.planning import Known, SymbolShelf, Wanted, find_out, level_of, planned, whole_of
from fleetkit.desk.seats import NoSeat, Seat
from fleetkit.errors import AgentError, StoreError, UsageError
from fleetkit.gateway import Gateway, Hold
from fleetkit.model import Capabilities, Label
from fleetkit.orders.readings import BeforeSnapshot
from fleetkit.orders.records import Intent
from fleetkit.plan import close_request, modify_request, open_request
from fleetkit.policy import Held
from fleetkit.store import OrderRecord
from fleetkit.trading import OrderKind, PlannedOrder, Policies, Receipt, Rule

HALF_POINT: Final = Decimal("0.000005")
NO_POLICIES: Final = Policies()
SEAT_S: Final = 5.0  # to wait for another kernel that trades this account
BODIES: Final = {
    OrderKind.OPEN: open_request,
    OrderKind.CLOSE: close_request,
    OrderKind.MODIFY: modify_request,
}


class Placing:
    """One order on its way to being sent.

    Parameters
    ----------
    key
        What tells a cell that is run again.
    shown
        The order as a plan showed it; it is planned here where there was none.
    """

    def __init__(
        self,
        office: Office,
        gateway: Gateway,
        wanted: Wanted,
        *,
        key: str | None,
        shown: PlannedOrder | None,
        shelf: SymbolShelf,
        label_of: Callable[[int], Label],
    ) -> None:
        self._office = office
        self._gateway = gateway
        self._wanted = wanted
        named = wanted.order_id is not None
        self._key = None if named else office.key_of(key, wanted.kind)
        self._shown = shown
        self._shelf = shelf
        self._label_of = label_of

    def __repr__(self) -> str:
        return f"<Placing of {self._wanted.kind} on {self._wanted.account}>"

    def draft(self) -> Intent:
        """What is known of it before anyone is asked."""
        now, wanted, config = self._office.clock.now(), self._wanted, self._office.config
        return Intent(
            order_id=wanted.order_id or new_order_id(now),
            account=self._gateway.account or wanted.account,
            agent=self._gateway.name,
            kind=wanted.kind,
            created_at=now,
            symbol=wanted.symbol,
            side=wanted.side,
            volume=wanted.volume,
            ticket=wanted.ticket,
            deadline_s=config.timeouts.trade_deadline_s,
            grace_s=config.trading.grace_s,
        )

    async def earlier(self) -> Receipt | str | None:
        """The receipt of an order that this one only repeats, or why it is not sent again.

        Raises
        ------
        UsageError
            Its id is another order's.
        """
        wanted, first = self._wanted, self._key
        if wanted.order_id is not None:
            order_id = wanted.order_id
            found = await self._office.read(lambda c: store.order(c, order_id))
            return None if found is None else repeats.replayed(found, wanted)
        if first is None:
            return None
        now_s = self._office.clock.now().timestamp()

        def work(connection: sqlite3.Connection) -> tuple[str, OrderRecord | None, str | None]:
            arming = store.live(connection, now_s)
            free, record = repeats.under_key(connection, first, wanted)
            return free, record, None if arming is None else arming.arming_id

        self._key, record, arming_id = await self._office.read(work)
        if record is None:
            return None
        receipt = journal.receipt_of(record, replayed=True)
        if wanted.kind is not OrderKind.OPEN or record.intent.arming_id == arming_id:
            return receipt
        return f"this cell sent it before, under an earlier arming: {receipt!r}. again=True sends"

    async def shown_plan(self) -> PlannedOrder:
        """The order as it would be sent now, with why it would be refused."""
        known = await find_out(self._gateway, self._wanted, self._shelf)
        capabilities = self._gateway.capabilities
        if capabilities is None:
            with suppress(AgentError):
                capabilities = await self._gateway.confirm_capabilities()
        order = planned(self._gateway, self._wanted, known, capabilities)
        who = self._applicant(order, known, "")
        now = self._office.clock.now()
        refusal = await self._office.read(lambda connection: judge(connection, who, now))
        return msgspec.structs.replace(order, refusal=refusal)

    async def run(self, life: Life, reason: str | None) -> None:
        """Send it, or write down why not; ``reason`` is why not from the start.

        Raises
        ------
        Replayed
            The journal has it already.
        """
        try:
            reason = reason or await self._refused_at_once(life.order_id)
        except StoreError as error:
            reason = str(error)
        if reason is not None:
            await life.keep_back(reason.rstrip("."), {})
            return
        known = await find_out(self._gateway, self._wanted, self._shelf)
        timings = dict(known.timings)
        try:
            within_s = self._office.config.timeouts.trade_deadline_s
            async with (
                self._office.seats.take(life.state.intent.account, within_s=SEAT_S) as seat,
                self._gateway.hold(within_s) as hold,
            ):
                reason = await self._in_hold(life, known, timings, seat, hold)
        except NoSeat:
            reason = "another kernel is trading this account just now; try again in a moment"
        except (AgentError, StoreError) as error:
            if life.papers.record is not None:
                raise
            reason = str(error)
        if reason is not None and life.papers.record is None:
            await life.keep_back(reason.rstrip("."), timings)

    async def _refused_at_once(self, order_id: str) -> str | None:
        """Why an open would be refused whatever its agent says: nobody need be asked then."""
        wanted, gateway = self._wanted, self._gateway
        if wanted.kind is not OrderKind.OPEN:
            return None
        order = PlannedOrder(
            account=gateway.account or wanted.account,
            agent=gateway.name,
            kind=wanted.kind,
            symbol=wanted.symbol,
            side=wanted.side,
            volume=wanted.volume,
        )
        known = Known(reading=gateway.last_reading, mode=gateway.agent.margin_mode)
        who = self._applicant(order, known, order_id)
        who = msgspec.structs.replace(who, policies=NO_POLICIES)
        now = self._office.clock.now()
        refusal = await self._office.read(lambda connection: judge(connection, who, now))
        is_sure = refusal is not None and refusal.rule in (Rule.HALTED, Rule.NOT_ARMED)
        return refusal.sentence if refusal is not None and is_sure else None

    async def _in_hold(
        self, life: Life, known: Known, timings: dict[str, float], seat: Seat, hold: Hold
    ) -> str | None:
        """Plan for good, look, write down, send; why nothing was written down, if so."""
        can = await hold.capabilities()
        order = self._shown or planned(self._gateway, self._wanted, known, can)
        if _takes_stops_otherwise(order, self._gateway, can):
            return "the agent takes stops otherwise than when this was planned; plan again"
        who = self._applicant(order, known, life.order_id)
        if order.refusal is not None or known.mode is None:
            now = self._office.clock.now()
            refusal = await self._office.read(lambda connection: judge(connection, who, now))
            return "it was refused" if refusal is None else refusal.sentence
        by_id = can.has(Capability.ORDERS)
        before = None if by_id else await self._looked(known, hold)
        seen = await self._seen(before, hold)
        who = msgspec.structs.replace(who, positions=seen)
        intent = self._intent(life.state.intent, order, known, before, can)
        life.state = life.state.changed(intent=intent)
        body = BODIES[self._wanted.kind](order, life.order_id if by_id else None)
        papers = Papers(
            body=msgspec.json.encode(body),
            key=self._key,
            comment=self._wanted.comment,
            applicant=who,
            margin_mode=known.mode,
            names_itself=by_id,
            closes=self._wanted.ticket if self._wanted.volume is None else None,
        )
        await life.begin(papers, timings, seat, hold)
        return None

    async def _looked(self, known: Known, hold: Hold) -> BeforeSnapshot:
        """The account right before the send, of an agent that keeps no log of orders."""
        now, opened = self._office.clock.now(), None
        if known.position is not None and self._gateway.sure_zone is not None:
            opened = known.position.open_time
        look = looks.Look(self._wanted.kind, opened=opened, now=now)
        ticket, mode = self._wanted.ticket, known.mode
        if mode is None:
            raise UsageError("Whether the account nets or hedges is not known.")
        over = self._office.over(self._gateway.account or self._wanted.account)
        return await looks.before(
            hold, self._gateway, look, ticket=ticket, mode=mode, now=now, over=over
        )

    async def _seen(self, before: BeforeSnapshot | None, hold: Hold) -> tuple[Held, ...] | None:
        """What is open on the account, where a policy may ask for it."""
        if before is not None:
            return held_before(before)
        if not self._office.config.policies.policies or self._wanted.kind is not OrderKind.OPEN:
            return None
        listed = await hold.positions()
        return held(map(looks.seen_position, listed.positions))

    def _intent(
        self,
        draft: Intent,
        order: PlannedOrder,
        known: Known,
        before: BeforeSnapshot | None,
        can: Capabilities,
    ) -> Intent:
        # Of a close whose position nobody had read, or it would be any symbol's rival.
        seen = None if before is None else before.position(self._wanted.ticket)
        return msgspec.structs.replace(
            draft,
            symbol=order.symbol or (None if seen is None else seen.symbol),
            side=order.side or (None if seen is None else seen.side),
            volume=order.volume or whole_of(self._wanted, before),
            sl=level_of(order, "sl"),
            tp=level_of(order, "tp"),
            stops_tolerance=order.stops_tolerance or HALF_POINT,
            by_id=can.has(Capability.ORDERS),
            capabilities=can.names,
            before=before,
        )

    def _applicant(self, order: PlannedOrder, known: Known, order_id: str) -> Applicant:
        return Applicant(
            order=order,
            binding=self._gateway.info().binding,
            margin_mode=known.mode,
            is_network_fs=self._office.store.is_network_fs,
            positions=None,
            firm=None if known.reading is None else known.reading.firm,
            phase=self._label_of(order.account).phase,
            policies=self._office.config.policies,
            override=self._wanted.override,
            order_id=order_id,
        )


def _takes_stops_otherwise(order: PlannedOrder, gateway: Gateway, can: Capabilities) -> bool:
    """Whether the agent that is there now reads the stops of a plan in another unit (T6)."""
    units = {order.stops_unit, gateway.agent.stops_unit, can.stops_unit} - {None}
    return order.kind is OrderKind.OPEN and order.stops_unit is not None and len(units) > 1
