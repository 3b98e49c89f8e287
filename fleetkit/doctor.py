"""What is wrong with this fleet, agent by agent, and what to do about it.

May import `gateway` and below. The trap: the doctor must not make a sick agent
sicker; it asks each agent one question, two where it is too old for ``/health``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fleetkit import health
from fleetkit.clock import Clock
from fleetkit.errors import AgentError, NotSupported
from fleetkit.gateway import Gateway, landed
from fleetkit.model import AgentStatus, Binding, Breaker, Diagnosis

SKEW_WORTH_SAYING_S = 5.0


async def examine(gateways: Sequence[Gateway], clock: Clock) -> list[Diagnosis]:
    """Examine every agent at once."""
    return list(await asyncio.gather(*(_examine(gateway, clock) for gateway in gateways)))


async def _examine(gateway: Gateway, clock: Clock) -> Diagnosis:
    started = clock.elapsed()
    terminal: str | None = None
    latency_s: float | None = None
    error: AgentError | None = None
    try:
        try:
            wire = await gateway.check_health()
            terminal = wire.status
        except NotSupported:
            await landed(gateway.read_account(), gateway.name)
        latency_s = clock.elapsed() - started
        if gateway.account is None:
            await landed(gateway.read_account(), gateway.name)
    except AgentError as failure:
        error = failure
    link, agent = gateway.link, gateway.agent
    info = gateway.info()
    return Diagnosis(
        agent=gateway.name,
        url=agent.url,
        account=gateway.account,
        reachable=link.status is AgentStatus.ONLINE,
        status=link.status,
        terminal=terminal,
        http_version=info.http_version,
        latency_ms=None if latency_s is None else latency_s * 1000,
        clock_skew_s=info.clock_skew_s,
        time_zone=agent.time_zone or "UTC",
        time_zone_source="assumed" if agent.time_zone is None else "configured",
        binding=info.binding,
        breaker=health.shown_breaker(link.health, clock.elapsed()),
        last_error=str(error) if error is not None else info.last_error,
        advice=_advice(gateway, terminal, error),
    )


def _advice(gateway: Gateway, terminal: str | None, error: AgentError | None) -> str | None:
    """The first thing to do, if anything."""
    info = gateway.info()
    skew = info.clock_skew_s
    if info.binding is Binding.CONFLICT:
        return "Two agents claim one account: set `account` for both in the configuration."
    if info.status is AgentStatus.OFFLINE:
        return "Check that the VPS is up, the agent runs, and url and port are right."
    if info.breaker is not Breaker.CLOSED:
        return "The agent keeps people waiting: look at its VPS, then fleet.refresh(account)."
    if error is not None:
        return "Read last_error; fleet.reconnect(account) makes the terminal reconnect."
    if terminal is not None and terminal.lower() != "healthy":
        return "The terminal is not healthy: fleet.reconnect(account) makes it reconnect."
    if skew is not None and abs(skew) > SKEW_WORTH_SAYING_S:
        return f"The agent's clock is off by about {skew:.0f} s: set the VPS to network time."
    if gateway.agent.time_zone is None:
        return "Set `time_zone` for this agent; until then its times are taken for UTC."
    return None
