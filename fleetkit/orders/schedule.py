"""When an unknown order is looked at again.

Why: schedules are data, so a test or a config can hold another one. May import nothing
of fleetkit. The trap: one read must fall on the end of the grace, or the first that may
conclude *not executed* comes minutes late.
"""

from __future__ import annotations

from typing import Final

import msgspec

GRACE_S: Final = 45.0  # after the trade's deadline (T13)
JOURNAL_AGAIN_S: Final = 1.0  # until an entry that could not be written is tried again


class ReadSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait before each reconciliation read; the last one repeats."""

    delays_s: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0)

    def next_at(self, reads: int, now: float, not_before: float) -> float:
        """When to read next, after `reads` reads."""
        at = now + self.delays_s[min(reads, len(self.delays_s) - 1)]
        return not_before if now < not_before < at else at


DEFAULT_SCHEDULE: Final = ReadSchedule()
