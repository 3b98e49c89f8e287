"""What is missing before an account may be traded.

Why: a person should learn it from the doctor on a quiet evening, not from a refused
order. May import `gateway`, `model` and below. The trap: orders with and without
stops need different things, and a word that agent and configuration disagree about
is no knowledge.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from fleetkit.config import AgentConfig
from fleetkit.model import AccountReading, Binding, Breaker, Capabilities, MarginMode, StopsUnit

CONFIGURED: Final = "configured"
ADVERTISED: Final = "advertised"


class Known(NamedTuple):
    """A word that matters for trading and where it comes from."""

    word: str | None
    source: str | None  # "configured", "advertised", or None where it is not known
    conflict: bool = False  # the agent says another word than the configuration


def stops_unit(agent: AgentConfig, capabilities: Capabilities | None) -> Known:
    """What the agent takes ``sl`` and ``tp`` of an open request for (T6)."""
    return _known(agent.stops_unit, None if capabilities is None else capabilities.stops_unit)


def margin_mode(agent: AgentConfig, reading: AccountReading | None) -> Known:
    """Whether the account nets or hedges (T14)."""
    return _known(agent.margin_mode, None if reading is None else reading.margin_mode)


def _known(
    configured: StopsUnit | MarginMode | None, advertised: StopsUnit | MarginMode | None
) -> Known:
    if configured is not None:
        conflict = advertised is not None and advertised != configured
        return Known(configured.value, CONFIGURED, conflict)
    if advertised is not None:
        return Known(advertised.value, ADVERTISED)
    return Known(None, None)


def trading_needs(
    *,
    healthy: bool,
    binding: Binding,
    breaker: Breaker,
    stops: Known,
    margin: Known,
    reading: AccountReading | None,
    is_network_fs: bool | None,
) -> list[str]:
    """A sentence for each thing that is missing, the most urgent first; empty when ready."""
    sure = binding in (Binding.CONFIGURED, Binding.CONFIRMED)
    other = "is configured, and the agent says the other: correct it."
    forbidden = reading is not None and reading.trade_allowed is False
    logged_out = reading is not None and reading.login_ok is False
    missing = (
        (not healthy or reading is None, "Its terminal must answer and be connected."),
        (not sure, "Set `account` for it, or read it once more, so that its account is sure."),
        (margin.word is None, 'Set `margin_mode` to "hedging" or "netting".'),
        (margin.conflict, f"`margin_mode` {other}"),
        (stops.conflict, f"`stops_unit` {other}"),
        (forbidden, "Its terminal does not allow trading: switch algorithmic trading on there."),
        (logged_out, "Its terminal is not logged in."),
        (
            breaker is not Breaker.CLOSED,
            "It was left alone after failures: fleet.refresh(account) tries it.",
        ),
        (
            bool(is_network_fs),
            "The store lies on a network file system: set FLEETKIT_HOME to a local disk.",
        ),
        (stops.word is None, 'For orders with stops: set `stops_unit` to "price" or "pips".'),
    )
    return [sentence for is_missing, sentence in missing if is_missing]
