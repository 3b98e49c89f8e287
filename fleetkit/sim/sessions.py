"""When which instrument may be traded.

Why: an order on a Saturday is refused by a broker, and a fleet may be made to do
so too. May import the standard library only.
The trap: a demo must trade on a Sunday. Opening hours are looked at only where the
fleet was made with ``sessions=True``; nothing here decides that.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

HOUR_S: Final = 3_600
DAY_S: Final = 24 * HOUR_S
WEEK_S: Final = 7 * DAY_S
WEEK_OPENS_S: Final = 6 * DAY_S + 22 * HOUR_S  # Sunday evening, counted from Monday 0:00
WEEK_CLOSES_S: Final = 4 * DAY_S + 22 * HOUR_S  # Friday evening
BREAK_BEGINS_S: Final = 21 * HOUR_S
BREAK_ENDS_S: Final = 22 * HOUR_S


class Session(StrEnum):
    """The hours of an instrument."""

    ALWAYS = "always"
    WEEK = "week"  # Sunday to Friday evening without a break
    BREAKS = "breaks"  # the same, with an hour's break every evening


class Sessions:
    """Opening hours in market time after the anchor.

    Parameters
    ----------
    first_weekday
        Which day the anchor begins; 0 is Monday.
    """

    def __init__(self, first_weekday: int) -> None:
        self._first_s = first_weekday * DAY_S

    def __repr__(self) -> str:
        return f"<fleetkit.sim Sessions from weekday {self._first_s // DAY_S}>"

    def closed_since(self, session: Session, market_s: float) -> float | None:
        """When the session ended that has not begun again; ``None`` while it is open.

        Never before the anchor, whose price is Friday's last one on a weekend.
        """
        if session is Session.ALWAYS:
            return None
        week_s = (self._first_s + market_s) % WEEK_S
        breaks = session is Session.BREAKS
        closes_s = WEEK_CLOSES_S - (WEEK_CLOSES_S % DAY_S - BREAK_BEGINS_S if breaks else 0)
        if closes_s <= week_s < WEEK_OPENS_S:
            return max(0.0, market_s - (week_s - closes_s))
        day_s = week_s % DAY_S
        if breaks and BREAK_BEGINS_S <= day_s < BREAK_ENDS_S:
            return max(0.0, market_s - (day_s - BREAK_BEGINS_S))
        return None
