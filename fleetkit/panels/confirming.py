"""`Confirming`: what ticket and positions share, from "review" to the receipts.

Why: there is one way from a click to an order, and one place to look for it. May import
`presenter`, `confirm_model`, `order_rows` and below. The trap: what is sent is the batch that
was shown, found by the number of its review, and never worked out anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from fleetkit.desk import PlannedBatch, Wanted
from fleetkit.errors import FleetkitError, UsageError
from fleetkit.panels import confirm_model as model
from fleetkit.panels.confirm_model import ConfirmState, Stage
from fleetkit.panels.hub import Hub
from fleetkit.panels.order_rows import preview_rows, receipt_rows
from fleetkit.panels.presenter import Presenter
from fleetkit.panels.sheet_model import Contents, Rows, Segment
from fleetkit.trading import OrderLine, Outcome, Receipt

RECEIPTS_KEPT: Final = 200
BROKE_OFF: Final = "It broke off before the receipts came. Health shows the journal of orders."
NOT_PLANNED: Final = "What would be sent could not be worked out; nothing was sent."
ACTIONS: Final = ("send", "dismiss", "reconcile")


class Confirming(Presenter):
    """A presenter whose orders are reviewed, confirmed once, and told."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self.state = ConfirmState()
        self._batch: PlannedBatch | None = None  # of the review that is shown or being sent
        self._wishes: Sequence[Wanted] = ()
        self._receipts: dict[str, Receipt] = {}
        self._told = 0  # receipts ever; those of what was not sent may have no id
        self._settled: dict[str, OrderLine] = {}  # what became of receipts that said unknown
        self._planning: asyncio.Task[Any] | None = None

    # What is asked for

    def review(self, wishes: Sequence[Wanted]) -> None:
        """Work out what would be sent, and show it."""
        if not wishes:
            raise UsageError("There is nothing to do: choose rows in the table first.")
        if self.state.stage is not Stage.SENDING:
            self._wishes = tuple(wishes)
        self.feed(model.Asked(self._now))

    def edited(self) -> None:
        """What is asked for is not any more what was shown."""
        self.feed(model.Edited())

    def act_on_orders(self, control: str) -> None:
        """One of the three buttons that every such panel has."""
        if control == "send":
            self.feed(model.Confirmed(self._now))
        elif control == "dismiss":
            is_preview = self.state.stage in (Stage.PLANNING, Stage.PREVIEW)
            self.feed(model.Dismissed())
            if self.state.stage is Stage.IDLE and not is_preview:
                self._forget_settled(0)
        elif control == "reconcile":
            self.hub.chore(self, self._reconcile())

    @property
    def _now(self) -> float:
        return self.hub.clock.elapsed()

    # What is done about it

    def feed(self, event: model.Event) -> None:
        """Let something happen, and do what follows."""
        before = self.state
        self.state, commands = model.step(before, event)
        for command in commands:
            if isinstance(command, model.Plan):
                self._batch = None
                if self._planning is not None:  # of a review that nobody waits for any more
                    self._planning.cancel()
                self._planning = self.hub.chore(self, self._plan(command.nonce, self._wishes))
            elif self._batch is not None:
                self.hub.chore(self, self._send(command.nonce, self._batch))
        if self.state != before:
            self.hub.redraw(self)

    async def _plan(self, nonce: int, wishes: Sequence[Wanted]) -> None:
        try:
            batch = await self.core.planned(wishes)
        except FleetkitError as error:
            self.feed(model.PlanFailed(nonce, str(error)))
            return
        except Exception:  # a mistake of ours; without an end the ticket would wait for ever
            self.feed(model.PlanFailed(nonce, NOT_PLANNED))
            raise
        refused = sum(order.refusal is not None for order in batch.planned)
        fresh_s = self.core.config.trading.plan_fresh_s - (self._now - batch.at)
        before = self.state
        planned = model.Planned(nonce, len(wishes) - refused, refused, self._now, fresh_s)
        if before.stage is Stage.PLANNING and before.nonce == nonce:
            self._batch = batch
        self.feed(planned)

    async def _send(self, nonce: int, batch: PlannedBatch) -> None:
        why: str | None = BROKE_OFF
        parts = one_by_one(without_refused(batch))
        try:
            told = await asyncio.gather(*map(self._carry_out, parts), return_exceptions=True)
            for error in told:
                if error is not None:
                    raise error
            why = None
        finally:
            self.feed(model.Answered(nonce, why))
        self._forget_settled(max(RECEIPTS_KEPT, len(parts)))
        await self.hub.look_at_orders()

    async def _carry_out(self, part: PlannedBatch) -> None:
        """Send one order of a batch; its receipt waits for no other one's."""
        for receipt in await self.core.carried_out(part):
            self._told += 1
            self._receipts[receipt.order_id or f"{receipt.account}-{self._told}"] = receipt
        self.hub.redraw(self)

    async def _reconcile(self) -> None:
        await self.core.reconcile()
        await self.hub.look_at_orders()

    def _forget_settled(self, newest: int) -> None:
        """Let older receipts go, but none that is still unknown."""
        self._take_note()
        older = list(self._receipts)[: len(self._receipts) - newest]
        for key in older:
            is_unknown = self._receipts[key].outcome is Outcome.UNKNOWN
            if not is_unknown or key in self._settled:
                del self._receipts[key]
                self._settled.pop(key, None)

    def _take_note(self) -> None:
        """Of what became of unknown orders; the journal at hand goes back a day only."""
        for line in self.hub.journal:
            receipt = self._receipts.get(line.order_id)
            is_found = line.outcome is not None and line.outcome is not Outcome.UNKNOWN
            if receipt is not None and receipt.outcome is Outcome.UNKNOWN and is_found:
                self._settled[line.order_id] = line

    # What is shown of it

    def look(self, now: float) -> bool:
        before = self.state
        self.feed(model.Ticked(now))
        return before is not self.state or self.state.stage is Stage.PREVIEW

    def order_contents(self) -> Contents:
        """The blocks that every such panel has: what to confirm, and what became of it."""
        self._take_note()
        is_shown = self._batch is not None and self.state.stage in (Stage.PREVIEW, Stage.SENDING)
        return {
            "stage": self._stage_line(),
            "preview": preview_rows(self._batch.planned)
            if is_shown and self._batch is not None
            else Rows({}),
            "receipts": receipt_rows(self._receipts, self._settled),
        }

    def _stage_line(self) -> tuple[Segment, ...]:
        state, line = self.state, []
        match state.stage:
            case Stage.PLANNING:
                line.append(Segment("working out what would be sent…", "busy"))
            case Stage.PREVIEW if state.sendable:
                what = f"{state.sendable} order{'s' * (state.sendable != 1)} to confirm within"
                line.append(Segment(what, "fair", "strong", until=state.until))
            case Stage.PREVIEW:
                line.append(Segment("every order would be refused", "bad", "strong"))
            case Stage.SENDING:
                line.append(Segment("sending; each order goes out once", "busy", "strong"))
        if state.refused and state.stage is Stage.PREVIEW and state.sendable:
            line.append(Segment(f"{state.refused} refused, not sent", "bad"))
        if state.said:
            line.append(Segment(state.said, kind="warning"))
        return tuple(line)

    def order_controls(self) -> dict[str, dict[str, Any]]:
        """How the three buttons look."""
        state = self.state
        ready = state.stage is Stage.PREVIEW and state.sendable > 0
        total = state.sendable + state.refused
        some = f"{state.sendable} of {total}" if state.refused else str(state.sendable)
        unknown = any(line.is_open and line.outcome is not None for line in self.hub.journal)
        return {
            "send": {
                "disabled": not ready,
                "description": f"Send {some} order{'s' * (total != 1)}" if ready else "Send",
            },
            "dismiss": {"disabled": state.stage is Stage.SENDING},
            "reconcile": {"disabled": not unknown},
        }


def without_refused(batch: PlannedBatch) -> PlannedBatch:
    """The orders of a batch that would go out."""
    pairs = [
        (wanted, planned)
        for wanted, planned in zip(batch.wanted, batch.planned, strict=True)
        if planned.refusal is None
    ]
    return msgspec.structs.replace(
        batch,
        wanted=tuple(wanted for wanted, _ in pairs),
        planned=tuple(planned for _, planned in pairs),
    )


def one_by_one(batch: PlannedBatch) -> list[PlannedBatch]:
    """Each order of a batch as a batch of its own."""
    return [
        msgspec.structs.replace(batch, wanted=(wanted,), planned=(planned,))
        for wanted, planned in zip(batch.wanted, batch.planned, strict=True)
    ]
