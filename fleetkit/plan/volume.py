"""Lots: rounded down to the symbol's step, within its limits.

Why: rounding up would trade more than was asked for. May import `facts` and `trading`.
The trap: an unknown step is taken as 0.01, and that is said.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import Final

import msgspec

from fleetkit.plan.facts import SymbolFacts
from fleetkit.trading import Refusal, Rule

USUAL_STEP: Final = Decimal("0.01")


class Rounded(msgspec.Struct, frozen=True, kw_only=True):
    """A volume as it will be sent, or why not."""

    volume: Decimal | None = None
    warnings: tuple[str, ...] = ()
    refusal: Refusal | None = None


def rounded(asked: Decimal, symbol: SymbolFacts) -> Rounded:
    """Round lots down to the step and hold them against the symbol's limits."""
    if not asked.is_finite() or asked <= 0:
        return _refused(f"A volume of {asked} lots makes no sense. Ask for more than 0 lots.")
    step, warnings = symbol.volume_step, []
    if step is None or step <= 0:
        step = USUAL_STEP
        warnings.append(f"The volume step of {symbol.symbol} is not known; 0.01 lots are assumed.")
    steps = (asked / step).to_integral_value(ROUND_DOWN)
    volume = (steps * step).normalize()
    if not volume:
        return _refused(
            f"{asked:f} lots round down to 0: {symbol.symbol} is traded in steps of {step:f} "
            "lots. Ask for at least one step.",
            tuple(warnings),
        )
    if volume != asked:
        warnings.append(f"{asked:f} lots are rounded down to {volume:f}.")
    low, high = symbol.volume_min, symbol.volume_max
    if low is not None and volume < low:
        return _refused(
            f"{volume:f} lots are below the {low:f} that {symbol.symbol} is traded from.",
            tuple(warnings),
        )
    if high is not None and volume > high:
        return _refused(
            f"{volume:f} lots are above the {high:f} that one order of {symbol.symbol} may have. "
            "Ask for less, or for several orders.",
            tuple(warnings),
        )
    return Rounded(volume=volume, warnings=tuple(warnings))


def _refused(sentence: str, warnings: tuple[str, ...] = ()) -> Rounded:
    return Rounded(warnings=warnings, refusal=Refusal(Rule.VOLUME, sentence))
