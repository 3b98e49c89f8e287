"""The examination: two questions to each agent at once, one row for each.

See the package's docstring. May import what the package may. The trap: rows are
written when all have answered, for one agent's answer may contradict another's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final, NamedTuple

from fleetkit import contract, health
from fleetkit.clock import Clock
from fleetkit.doctor.readiness import margin_mode, stops_unit, trading_needs
from fleetkit.doctor.timekeeping import Timekeeping, clock_advice, timekeeping
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
from fleetkit.model import (
    AccountReading,
    AgentInfo,
    AgentStatus,
    Binding,
    Breaker,
    Diagnosis,
)

CERTIFICATE_SOON_DAYS: Final = 14
HEALTHY: Final = "healthy"


async def examine(
    gateways: Sequence[Gateway], clock: Clock, *, is_network_fs: bool | None = None
) -> list[Diagnosis]:
    """Examine every agent at once, and judge when all have answered.

    ``is_network_fs`` is whether the store lies where its locks cannot be trusted.
    """
    findings = await asyncio.gather(*(_ask(gateway, clock) for gateway in gateways))
    return [
        _diagnosis(gateway, finding, clock, is_network_fs)
        for gateway, finding in zip(gateways, findings, strict=True)
    ]


class Finding(NamedTuple):
    """What one agent answered."""

    terminal: str | None
    latency_s: float | None
    clock: Timekeeping
    reading: AccountReading | None
    error: AgentError | None


async def _ask(gateway: Gateway, clock: Clock) -> Finding:
    started, asked_at = clock.elapsed(), clock.now()
    wire: contract.HealthWire | None = None
    latency_s: float | None = None
    reading: AccountReading | None = None
    error: AgentError | None = None
    try:
        try:
            wire = await gateway.check_health()
        except AgentRefused as refusal:
            if refusal.status_code != HTTPStatus.NOT_FOUND:
                raise
        latency_s = clock.elapsed() - started
        reading = (await landed(gateway.read_account(), gateway.name)).value
    except AgentError as failure:
        error = failure
    said = None if wire is None else wire.timestamp
    known = timekeeping(
        said,
        adopt_time(said, gateway.zone),
        zone=gateway.agent.time_zone,
        date_skew_s=gateway.link.clock_skew_s,
        asked_at=asked_at,
        latency_s=latency_s or 0.0,
    )
    return Finding(None if wire is None else wire.status, latency_s, known, reading, error)


def _diagnosis(
    gateway: Gateway, finding: Finding, clock: Clock, is_network_fs: bool | None
) -> Diagnosis:
    agent, http, info = gateway.agent, gateway.link.http, gateway.info()
    stops = stops_unit(agent, gateway.capabilities)
    margin = margin_mode(agent, finding.reading)
    breaker = health.shown_breaker(gateway.link.health, clock.elapsed())
    needs = trading_needs(
        healthy=finding.error is None and finding.terminal in (None, HEALTHY),
        binding=info.binding,
        breaker=breaker,
        stops=stops,
        margin=margin,
        reading=finding.reading,
        is_network_fs=is_network_fs,
    )
    error = finding.error
    return Diagnosis(
        agent=gateway.name,
        url=agent.url,
        account=gateway.account,
        reachable=not isinstance(error, (AgentOffline, AgentTimeout, ConnectionBroken)),
        status=info.status,
        terminal=finding.terminal,
        layer=_layer(gateway),
        capabilities=info.capabilities,
        http_version=info.http_version,
        handshakes=info.connections,
        requests=info.requests,
        latency_ms=_ms(finding.latency_s),
        lane_wait_ms=_ms(max(http.lane_waits_s, default=None)),
        clock_skew_s=finding.clock.skew_s,
        clock_evidence=finding.clock.evidence,
        time_zone=agent.time_zone or "UTC",
        time_zone_source="assumed" if agent.time_zone is None else "configured",
        binding=info.binding,
        stops_unit=stops.word,
        stops_unit_source=stops.source,
        margin_mode=margin.word,
        margin_mode_source=margin.source,
        breaker=breaker,
        tls_expires=http.tls_expiry,
        last_error=str(error) if error is not None else info.last_error,
        trading_needs=" ".join(needs) or None,
        advice=_advice(gateway, info, finding, clock),
    )


def _layer(gateway: Gateway) -> str | None:
    known = gateway.capabilities
    if known is None:
        return None
    return "base" if known.api is None else "extended"


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def _advice(gateway: Gateway, info: AgentInfo, finding: Finding, clock: Clock) -> str | None:
    """The first thing to do, if anything."""
    return (
        _trouble_advice(info, finding)
        or _certificate_advice(gateway, clock)
        or clock_advice(finding.clock, gateway.agent.time_zone)
        or _zone_advice(gateway)
    )


def _trouble_advice(info: AgentInfo, finding: Finding) -> str | None:
    error, terminal = finding.error, finding.terminal
    if info.binding is Binding.CONFLICT:
        return "Two agents claim one account: set `account` for both in the configuration."
    if info.status is AgentStatus.OFFLINE:
        if "certificate" in str(error).lower():
            return "Its certificate is not trusted: read last_error, renew it or set `ca_file`."
        return "Check that the VPS is up, the agent runs, and url and port are right."
    if isinstance(error, AgentRefused) and error.status_code == HTTPStatus.UNAUTHORIZED:
        return "It does not accept the token: set `token` for this agent to the one it was given."
    if info.breaker is not Breaker.CLOSED:
        return "The agent keeps people waiting: look at its VPS, then fleet.refresh(account)."
    if isinstance(error, WrongAccount):
        return "It answers for another account: check the terminal's login, or its `account`."
    if isinstance(error, TerminalDisconnected):
        return "Its terminal is not connected: fleet.reconnect(account) makes it reconnect."
    if error is not None:
        return "Read last_error; fleet.reconnect(account) makes the terminal reconnect."
    if terminal is not None and terminal.lower() != HEALTHY:
        return "The terminal is not healthy: fleet.reconnect(account) makes it reconnect."
    return None


def _certificate_advice(gateway: Gateway, clock: Clock) -> str | None:
    expires = gateway.link.http.tls_expiry
    if expires is None:
        return None
    days = (expires - clock.now()).days
    if days >= CERTIFICATE_SOON_DAYS:
        return None
    return f"Its certificate ends on {expires:%Y-%m-%d}: renew it before then."


def _zone_advice(gateway: Gateway) -> str | None:
    known = gateway.capabilities
    speaks_utc = known is not None and known.has(contract.Capability.UTC_TIMES)
    if gateway.agent.time_zone is not None or speaks_utc:
        return None
    return "Set `time_zone` for this agent; until then its times are taken for UTC."
