"""What a flight brought, and the word for it in a row.

May import `cache`, `model` and `errors`. The trap: a flight has several callers;
waiting for it must not cancel it, and leaving it must always be said.
"""

from __future__ import annotations

import asyncio
from typing import TypeVar

from fleetkit.cache import Entry, Flight
from fleetkit.errors import (
    AgentCancelled,
    AgentError,
    AgentOffline,
    AgentTimeout,
    TerminalDisconnected,
    WrongAccount,
)
from fleetkit.model import AccountStatus

Decoded = TypeVar("Decoded")


async def landed(flight: Flight[Decoded], agent: str = "the agent") -> Entry[Decoded]:
    """Wait for a flight as one of its callers."""
    try:
        await asyncio.wait((flight.task,))
        return outcome(flight, agent)
    finally:
        flight.leave()


def outcome(flight: Flight[Decoded], agent: str = "the agent") -> Entry[Decoded]:
    """Return what a landed flight brought.

    Raises
    ------
    AgentError
        What it brought instead; `AgentCancelled` when it was called back.
    """
    try:
        return flight.task.result()
    except asyncio.CancelledError:
        message = f"The call was cancelled before {agent} answered."
        raise AgentCancelled(message, agent=agent) from None


def status_of(error: AgentError) -> AccountStatus:
    """The word for an error in an account's row."""
    if isinstance(error, WrongAccount):
        return AccountStatus.WRONG_ACCOUNT
    if isinstance(error, TerminalDisconnected):
        return AccountStatus.DISCONNECTED
    if isinstance(error, AgentOffline):
        return AccountStatus.OFFLINE
    if isinstance(error, AgentTimeout):
        return AccountStatus.TIMEOUT
    return AccountStatus.ERROR
