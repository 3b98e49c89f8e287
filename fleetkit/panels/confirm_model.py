"""An order that is shown before it is sent: ``step(state, event) -> (state, commands)``.

Why: a double click, an Enter that is held down, a second browser tab and a click that waited
behind a busy cell must come to one order or to none. Pure: no widget, no clock, no waiting;
``at`` is the Clock's elapsed seconds at which the event was handled. The trap: a click is old
when it arrives. What was to be confirmed may have expired by then, and is void.

::

    idle ─ planning ─ preview ─ sending ─ told
      ▲        │         │                 │
      └────────┴─────────┴── edited, expired, dismissed, asked again
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import msgspec

DELIBERATE_S: Final = 0.5  # who confirms sooner has not read what is shown
CONFIRM_S: Final = 8.0
EXPIRED: Final = "The preview had expired before it was confirmed; nothing was sent. Review again."
TOO_SOON: Final = "That was too quick to be meant; nothing was sent. Confirm once more."
BUSY: Final = "Orders are being sent just now; wait for their receipts."
NOTHING: Final = "All of these orders would be refused; nothing can be sent."


class Stage(StrEnum):
    """How far it is."""

    IDLE = "idle"
    PLANNING = "planning"
    PREVIEW = "preview"
    SENDING = "sending"
    TOLD = "told"


class ConfirmState(msgspec.Struct, frozen=True):
    """Where orders stand between being asked for and being told.

    Attributes
    ----------
    nonce : int
        Which review this is; every one has its own, and is sent once at most.
    sendable, refused : int
        How many of its orders would go out, and how many would not.
    shown_at, until : float
        From when to when it may be confirmed.
    said : str or None
        What the person should know of the last event.
    """

    stage: Stage = Stage.IDLE
    nonce: int = 0
    sendable: int = 0
    refused: int = 0
    shown_at: float = 0.0
    until: float = 0.0
    said: str | None = None

    def changed(self, **changes: Any) -> ConfirmState:
        """A copy with some attributes replaced."""
        return msgspec.structs.replace(self, **changes)


class Asked(msgspec.Struct, frozen=True):
    """Somebody wants to see what would be sent."""

    at: float


class Planned(msgspec.Struct, frozen=True):
    """It was worked out, and may be confirmed for ``fresh_s``."""

    nonce: int
    sendable: int
    refused: int
    at: float
    fresh_s: float = CONFIRM_S


class PlanFailed(msgspec.Struct, frozen=True):
    """It could not be worked out."""

    nonce: int
    why: str


class Edited(msgspec.Struct, frozen=True):
    """What is asked for was changed."""


class Confirmed(msgspec.Struct, frozen=True):
    """Somebody confirmed what is shown."""

    at: float


class Ticked(msgspec.Struct, frozen=True):
    """Time went by."""

    at: float


class Answered(msgspec.Struct, frozen=True):
    """Every order that was sent has its receipt, or it broke off with a reason."""

    nonce: int
    why: str | None = None


class Dismissed(msgspec.Struct, frozen=True):
    """Preview or receipts are not needed any more."""


class Plan(msgspec.Struct, frozen=True):
    """Work out what would be sent."""

    nonce: int


class Send(msgspec.Struct, frozen=True):
    """Send what was shown."""

    nonce: int


Event = Asked | Planned | PlanFailed | Edited | Confirmed | Ticked | Answered | Dismissed
Command = Plan | Send
Stepped = tuple[ConfirmState, tuple[Command, ...]]


def step(state: ConfirmState, event: Event) -> Stepped:
    """Return the next state and what to do about it."""
    if state.stage is Stage.SENDING:
        return _while_sending(state, event), ()
    match event:
        case Asked():
            nonce = state.nonce + 1
            return ConfirmState(Stage.PLANNING, nonce), (Plan(nonce),)
        case Planned():
            return _planned(state, event), ()
        case PlanFailed(nonce, why) if state.stage is Stage.PLANNING and nonce == state.nonce:
            return ConfirmState(nonce=state.nonce, said=why), ()
        case Edited() if state.stage in (Stage.PLANNING, Stage.PREVIEW):
            return ConfirmState(nonce=state.nonce), ()
        case Confirmed(at):
            return _confirmed(state, at)
        case Ticked(at) if state.stage is Stage.PREVIEW and at >= state.until:
            return ConfirmState(nonce=state.nonce, said=EXPIRED), ()
        case Dismissed():
            return ConfirmState(nonce=state.nonce), ()
    return state, ()


def _while_sending(state: ConfirmState, event: Event) -> ConfirmState:
    """Only the answer ends it."""
    if isinstance(event, Answered) and event.nonce == state.nonce:
        return state.changed(stage=Stage.TOLD, said=event.why)
    if isinstance(event, (Asked, Confirmed)):
        return state.changed(said=BUSY)
    return state


def _planned(state: ConfirmState, event: Planned) -> ConfirmState:
    if state.stage is not Stage.PLANNING or event.nonce != state.nonce:
        return state  # edited, dismissed or asked again meanwhile
    return state.changed(
        stage=Stage.PREVIEW,
        sendable=event.sendable,
        refused=event.refused,
        shown_at=event.at,
        until=event.at + min(event.fresh_s, CONFIRM_S),
        said=None,
    )


def _confirmed(state: ConfirmState, at: float) -> Stepped:
    if state.stage is not Stage.PREVIEW:
        return state, ()  # a second click of a double one, or one that came too late
    if at >= state.until:
        return ConfirmState(nonce=state.nonce, said=EXPIRED), ()
    if at < state.shown_at + DELIBERATE_S:
        return state.changed(said=TOO_SOON), ()
    if not state.sendable:
        return state.changed(said=NOTHING), ()
    return state.changed(stage=Stage.SENDING, said=None), (Send(state.nonce),)
