"""What is wrong with this fleet, agent by agent, and what to do about it.

May import `gateway` and below. The trap: the doctor must not make a sick agent
sicker; it asks each agent two questions, how it is and whose it is, and a third never.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import NamedTuple

from fleetkit import health
from fleetkit.clock import Clock
from fleetkit.errors import (
    AgentError,
    AgentOffline,
    AgentRefused,
    AgentTimeout,
    ConnectionBroken,
    TerminalDisconnected,
    WrongAccount,
)
from fleetkit.gateway import Gateway, adopt_time, landed
from fleetkit.model import AgentStatus, Binding, Breaker, Diagnosis

SKEW_WORTH_SAYING_S = 5.0
QUARTER_S = 900.0  # zones differ by quarters of an hour
ZONE_SLACK_S = 120.0
WIDEST_ZONES_S = 26 * 3600.0  # from UTC-12 to UTC+14


async def examine(gateways: Sequence[Gateway], clock: Clock) -> list[Diagnosis]:
    """Examine every agent at once, and judge when all have answered: one may contradict another."""
    findings = await asyncio.gather(*(_ask(gateway, clock) for gateway in gateways))
    return [
        _diagnosis(gateway, finding, clock.elapsed())
        for gateway, finding in zip(gateways, findings, strict=True)
    ]


class Finding(NamedTuple):
    """What one agent answered."""

    terminal: str | None
    latency_s: float | None
    skew_s: float | None  # by what it wrote, which depends on its zone
    error: AgentError | None


async def _ask(gateway: Gateway, clock: Clock) -> Finding:
    started = clock.elapsed()
    terminal: str | None = None
    latency_s: float | None = None
    skew_s: float | None = None
    error: AgentError | None = None
    try:
        try:
            wire = await gateway.check_health()
            terminal = wire.status
            skew_s = _skew_s(gateway, wire.timestamp, clock)
        except AgentRefused as refusal:
            if refusal.status_code != HTTPStatus.NOT_FOUND:
                raise
        latency_s = clock.elapsed() - started
        await landed(gateway.read_account(), gateway.name)
    except AgentError as failure:
        error = failure
    return Finding(terminal, latency_s, skew_s, error)


def _diagnosis(gateway: Gateway, finding: Finding, now: float) -> Diagnosis:
    terminal, latency_s, skew_s, error = finding
    link, agent = gateway.link, gateway.agent
    info = gateway.info()
    return Diagnosis(
        agent=gateway.name,
        url=agent.url,
        account=gateway.account,
        reachable=not isinstance(error, (AgentOffline, AgentTimeout, ConnectionBroken)),
        status=link.status,
        terminal=terminal,
        http_version=info.http_version,
        latency_ms=None if latency_s is None else latency_s * 1000,
        clock_skew_s=info.clock_skew_s if skew_s is None else skew_s,
        time_zone=agent.time_zone or "UTC",
        time_zone_source="assumed" if agent.time_zone is None else "configured",
        binding=info.binding,
        breaker=health.shown_breaker(link.health, now),
        last_error=str(error) if error is not None else info.last_error,
        advice=_advice(gateway, terminal, error, skew_s),
    )


def _skew_s(gateway: Gateway, said: datetime | None, clock: Clock) -> float | None:
    """What the agent says the time is, in its configured or assumed zone, minus ours."""
    time = adopt_time(said, gateway.zone)
    return None if time is None else (time - clock.now()).total_seconds()


def _clock_advice(gateway: Gateway, said_s: float | None) -> str | None:
    """Tell a clock that is wrong from a zone that is not configured."""
    date_s = gateway.info().clock_skew_s
    skew = date_s if said_s is None else said_s
    if skew is None or abs(skew) <= SKEW_WORTH_SAYING_S:
        return None
    quarters = round(skew / QUARTER_S)
    near = abs(skew - quarters * QUARTER_S) <= ZONE_SLACK_S
    if quarters and near and abs(skew) <= WIDEST_ZONES_S:
        hours = quarters / 4
        zone = gateway.agent.time_zone
        if zone is None:
            return f"Its times run at UTC{hours:+g} h: set `time_zone` for this agent."
        return (
            f"Its own clock runs {hours:+g} h from the configured {zone}; check `time_zone` "
            "unless the VPS's zone is known to differ from the broker's."
        )
    return f"The agent's clock is off by about {skew:.0f} s: set the VPS to network time."


def _advice(
    gateway: Gateway, terminal: str | None, error: AgentError | None, said_s: float | None
) -> str | None:
    """The first thing to do, if anything."""
    info = gateway.info()
    if info.binding is Binding.CONFLICT:
        return "Two agents claim one account: set `account` for both in the configuration."
    if info.status is AgentStatus.OFFLINE:
        return "Check that the VPS is up, the agent runs, and url and port are right."
    if info.breaker is not Breaker.CLOSED:
        return "The agent keeps people waiting: look at its VPS, then fleet.refresh(account)."
    if isinstance(error, WrongAccount):
        return "It answers for another account: check the terminal's login, or its `account`."
    if isinstance(error, TerminalDisconnected):
        return "Its terminal is not connected: fleet.reconnect(account) makes it reconnect."
    if error is not None:
        return "Read last_error; fleet.reconnect(account) makes the terminal reconnect."
    if terminal is not None and terminal.lower() != "healthy":
        return "The terminal is not healthy: fleet.reconnect(account) makes it reconnect."
    clock_advice = _clock_advice(gateway, said_s)
    if clock_advice is not None:
        return clock_advice
    if gateway.agent.time_zone is None:
        return "Set `time_zone` for this agent; until then its times are taken for UTC."
    return None
