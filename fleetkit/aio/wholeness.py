"""Nothing partial is silent: what a frame says of what is missing in it.

May import `parts` and `errors`. The trap: attrs are copied with every frame derived
from this one; they hold short lists, never sentences by the thousand.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

from fleetkit.aio.parts import Collected
from fleetkit.aio.selection import real_number
from fleetkit.errors import PartialResult, UsageError
from fleetkit.frames import DataFrame


def patience(patience_s: float) -> float:
    """Check a patience in seconds."""
    seconds = real_number(patience_s)
    if not 0 <= seconds < inf:
        msg = f"`patience_s` is a number of seconds such as 2, not {patience_s!r:.60}."
        raise UsageError(msg)
    return seconds


def with_zones(frame: DataFrame, collected: Collected[Any]) -> DataFrame:
    """Say in the attrs whose times are only assumed to be UTC."""
    frame.attrs["time_zone_assumed"] = [
        found.account for found in collected.found if found.gateway.agent.time_zone is None
    ]
    return frame


def whole(frame: DataFrame, reasons: Mapping[int | str, str], *, strict: bool) -> DataFrame:
    """The frame, with what is missing in its attrs, or `PartialResult`."""
    frame.attrs["missing"] = list(reasons)
    if reasons and strict:
        raise partial(frame, reasons, "Missing or stale", "the rest, or pass strict=False")
    return frame


def partial(
    frame: DataFrame, reasons: Mapping[int | str, str], what: str, rest: str = "all accounts"
) -> PartialResult:
    """The error that says of whom `what` is true, and what its frame has."""
    first = next(iter(reasons))
    message = (
        f"{what}: {len(reasons)}. {first}: {reasons[first].rstrip('.')}. "
        f"See .reasons for each, .frame for {rest}."
    )
    return PartialResult(message, frame=frame, reasons=reasons)
