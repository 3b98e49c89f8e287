"""How far the store trusts wall clocks, which alone all processes share.

Why: a clock that is set back must not make time that was granted longer. May import
nothing. The trap: two processes read the clock a moment before they write, so a moment
that is a little later than now is no sign of anything.
"""

from __future__ import annotations

from typing import Final

CLOCK_TOLERANCE_S: Final = 30.0


def was_set_back(now_s: float, seen_s: float) -> bool:
    """Whether the clock that now says `now_s` cannot be the one that once said `seen_s`."""
    return now_s < seen_s - CLOCK_TOLERANCE_S
