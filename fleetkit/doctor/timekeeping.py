"""Whether an agent's clock is right, and what that is known from.

Why: a clock that is off by minutes and a zone that is not configured look alike in
one number. Pure. May import nothing of fleetkit.
The trap: a naive time says as much of the zone as of the clock. Only a time with an
offset, or the ``Date`` header, which is in UTC, tells the clock alone.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

WORTH_SAYING_S: Final = 5.0
OFFSET: Final = "offset"
QUARTER_S: Final = 900.0  # zones differ by quarters of an hour
ZONE_SLACK_S: Final = 120.0
WIDEST_ZONES_S: Final = 26 * 3600.0  # from UTC-12 to UTC+14


class Timekeeping(NamedTuple):
    """By how much an agent's clock is ahead of ours, and how that is known.

    ``wall_s`` is by how much the times it writes are ahead once they were read in its
    configured or assumed zone; ``None`` where it wrote none.
    """

    skew_s: float | None
    evidence: str | None
    wall_s: float | None


def timekeeping(
    said: datetime | None,
    read_as: datetime | None,
    *,
    zone: str | None,
    date_skew_s: float | None,
    asked_at: datetime,
    latency_s: float,
) -> Timekeeping:
    """Weigh what is known of an agent's clock.

    Parameters
    ----------
    said, read_as
        The time in its ``/health`` as written, and as the moment it was read as.
    zone
        The configured zone; ``None`` where UTC is assumed.
    date_skew_s
        What the ``Date`` header says, in whole seconds.
    asked_at, latency_s
        When it was asked and how long it took: it looked at its clock in between.
    """
    wall_s = None
    if read_as is not None:
        wall_s = (read_as - asked_at).total_seconds() - latency_s / 2
        wall_s = 0.0 if abs(wall_s) <= latency_s / 2 else wall_s
    if said is not None and said.tzinfo is not None and wall_s is not None:
        return Timekeeping(wall_s, f"time with an {OFFSET} in /health", wall_s)
    if date_skew_s is not None:
        return Timekeeping(date_skew_s, "Date header, whole seconds", wall_s)
    if wall_s is not None:
        how = "zone assumed UTC" if zone is None else f"zone {zone} as configured"
        return Timekeeping(wall_s, f"naive time in /health, {how}", wall_s)
    return Timekeeping(None, None, None)


def clock_advice(known: Timekeeping, zone: str | None) -> str | None:
    """Tell a clock that is wrong from a zone that is not configured."""
    naive = known.evidence is None or OFFSET not in known.evidence
    if known.skew_s is not None and known.wall_s is not None and naive:
        # The header tells the clock alone; what the wall time has on top is its zone.
        beyond = known.wall_s - (known.skew_s if known.skew_s != known.wall_s else 0.0)
        zone_advice = _zone_advice(beyond, zone)
        if zone_advice is not None:
            return zone_advice
    if known.skew_s is None or abs(known.skew_s) <= WORTH_SAYING_S:
        return None
    return f"The agent's clock is off by about {known.skew_s:.0f} s: set the VPS to network time."


def _zone_advice(beyond_s: float, zone: str | None) -> str | None:
    quarters = round(beyond_s / QUARTER_S)
    near = abs(beyond_s - quarters * QUARTER_S) <= ZONE_SLACK_S
    if not quarters or not near or abs(beyond_s) > WIDEST_ZONES_S:
        return None
    hours = quarters / 4
    if zone is None:
        return f"Its times run at UTC{hours:+g} h: set `time_zone` for this agent."
    return (
        f"Its own clock runs {hours:+g} h from the configured {zone}; check `time_zone` "
        "unless the VPS's zone is known to differ from the broker's."
    )
