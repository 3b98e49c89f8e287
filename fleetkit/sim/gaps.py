"""Jumps of the price: at weekends, and now and then with the news.

Why: a stop is filled at its level only while the price moves through it; what a
jump skips is filled behind it. May import the standard library and `sessions`.
The trap: jumps exist after the anchor only. History was made without them and must
stay as it is. They add up, so the price never jumps back.
"""

from __future__ import annotations

from bisect import bisect_right
from random import Random
from typing import Final

from fleetkit.sim.sessions import DAY_S, HOUR_S, WEEK_OPENS_S

SUNDAY: Final = 6
FRIDAY: Final = 4
WEEKEND: Final = 0.45  # of a day's move: the typical jump over a weekend
NEWS: Final = 0.5
NEWS_DAYS: Final = 0.12  # of the weekdays of an instrument
NEWS_FROM_S: Final = 7 * HOUR_S
NEWS_UNTIL_S: Final = 19 * HOUR_S


class Gaps:
    """The jumps of one instrument's logarithmic price, drawn day by day when needed.

    Parameters
    ----------
    seed
        Decides them, with the symbol in it.
    daily_move
        What the sizes are measured in.
    first_weekday
        Which day the anchor begins; 0 is Monday.
    weekends
        Whether the market rests then.
    """

    def __init__(self, seed: str, *, daily_move: float, first_weekday: int, weekends: bool) -> None:
        self._seed = seed
        self._daily_move = daily_move
        self._first_weekday = first_weekday
        self._weekends = weekends
        self._days = 0
        self._times = [0.0]
        self._totals = [0.0]

    def __repr__(self) -> str:
        return f"<fleetkit.sim Gaps {self._seed}, {len(self._times) - 1} in {self._days} days>"

    def total(self, market_s: float) -> float:
        """What all jumps up to that moment add up to."""
        self._draw_until(market_s)
        return self._totals[bisect_right(self._times, market_s) - 1]

    def span(self, first_s: float, last_s: float) -> tuple[float, float]:
        """The least and the largest total from the first moment to the last."""
        self._draw_until(last_s)
        first, last = bisect_right(self._times, first_s) - 1, bisect_right(self._times, last_s)
        totals = self._totals[max(first, 0) : last] or [0.0]
        return min(totals), max(totals)

    def between(self, after_s: float, until_s: float) -> bool:
        """Whether the price jumped after the one moment and not later than the other."""
        self._draw_until(until_s)
        return bisect_right(self._times, after_s) < bisect_right(self._times, until_s)

    def _draw_until(self, market_s: float) -> None:
        while self._days * DAY_S <= market_s:
            self._draw(self._days)
            self._days += 1

    def _draw(self, day: int) -> None:
        weekday = (self._first_weekday + day) % 7
        random = Random(f"{self._seed}:gaps:{day}")
        if weekday <= FRIDAY and random.random() < NEWS_DAYS:
            self._add(day, random.randint(NEWS_FROM_S, NEWS_UNTIL_S), NEWS, random)
        elif weekday == SUNDAY and self._weekends:
            self._add(day, WEEK_OPENS_S % DAY_S, WEEKEND, random)

    def _add(self, day: int, second: int, share: float, random: Random) -> None:
        size = share * self._daily_move * random.gauss(0.0, 1.0)
        self._times.append(float(day * DAY_S + second))
        self._totals.append(self._totals[-1] + size)
