"""Nothing partial is silent: what a frame says of what is missing in it.

May import `parts`, `contract`, `model` and `errors`. The trap: attrs are copied with
every frame derived from this one; they hold short lists, never sentences by the thousand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Any

from fleetkit.aio.parts import Collected
from fleetkit.aio.selection import real_number
from fleetkit.contract import Capability
from fleetkit.errors import PartialResult, UsageError
from fleetkit.frames import DataFrame, DealsPart, TradesPart
from fleetkit.model import Capabilities

BASE = Capabilities()


def patience(patience_s: float) -> float:
    """Check a patience in seconds."""
    seconds = real_number(patience_s)
    if not 0 <= seconds < inf:
        msg = f"`patience_s` is a number of seconds such as 2, not {patience_s!r:.60}."
        raise UsageError(msg)
    return seconds


def with_zones(frame: DataFrame, collected: Collected[Any], are_naive: Iterable[bool]) -> DataFrame:
    """Say in the attrs whose times are only assumed to be UTC.

    ``are_naive`` says of each account in turn whether any of its times had no offset.
    """
    frame.attrs["time_zone_assumed"] = [
        found.account
        for found, is_naive in zip(collected.found, are_naive, strict=True)
        if is_naive and found.gateway.agent.time_zone is None
    ]
    return frame


def naive_blocks(collected: Collected[Any], parts: Sequence[TradesPart | DealsPart]) -> list[bool]:
    """Whether any time in a block had no offset; of an empty one, whether any would have none."""
    return [
        part.block.is_naive
        if len(part.block)
        else not (found.gateway.capabilities or BASE).has(Capability.UTC_TIMES)
        for found, part in zip(collected.found, parts, strict=True)
    ]


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
