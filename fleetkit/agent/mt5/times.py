"""The broker's wall clock, which MetaTrader counts in Unix seconds as if it were UTC.

Why: every time the package gives or takes is that clock's, and nothing tells how
far it is from UTC. May import `agent.terminal` and `clock`.
The trap: a tick tells the offset only while ticks come. On a Saturday the last one
is a day old, and "now minus tick" is a number without meaning. So a tick counts
only when it was seen to *arrive*, and until then the last known offset stands.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fleetkit.agent.terminal import TerminalError
from fleetkit.clock import Clock

QUARTER_S: Final = 900
SKEW_S: Final = 120.0  # of the two clocks against each other, at most
ARRIVES_S: Final = 60.0  # between two looks, or a tick's arrival is not dated well enough
AGAIN_S: Final = 3600.0  # covers a new day, and a change to or from daylight saving time
RETRY_S: Final = 60.0  # after a look that saw no new tick
FARTHEST_S: Final = 15 * 3600  # no clock on earth is farther from UTC
LATEST_S: Final = 32_503_680_000  # the year 3000
DAY_S: Final = 86_400
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
UNKNOWN: Final = (
    "The broker's clock is not known yet: no new price came since the agent started. "
    "Say --broker-zone (most brokers: America/New_York+7), or wait for the market to open."
)


class BrokerZone:
    """A zone by its IANA name, or ``America/New_York+7``: that zone and seven hours.

    Most brokers keep Eastern European time but change it on America's dates, so
    their day ends with New York's; no IANA zone does that.

    Raises
    ------
    ValueError
        There is no such zone.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._hours = timedelta(0)
        try:
            self._zone = ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            base, plus, hours = name.rpartition("+")
            if not plus or not hours.isdigit() or int(hours) > 14:
                raise ValueError(_no_zone(name)) from None
            try:
                self._zone = ZoneInfo(base)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError(_no_zone(name)) from None
            self._hours = timedelta(hours=int(hours))

    def __repr__(self) -> str:
        return f"<fleetkit.agent BrokerZone {self.name}>"

    def offset(self, moment: datetime) -> timedelta:
        """How far this clock is ahead of UTC at a moment."""
        return (moment.astimezone(self._zone).utcoffset() or timedelta(0)) + self._hours

    def utc(self, wall: datetime) -> datetime:
        """The moment of a naive wall time; of one that comes twice the first."""
        local = (wall - self._hours).replace(tzinfo=self._zone)
        return local.astimezone(UTC)


def _no_zone(name: str) -> str:
    return (
        f"There is no time zone {name!r}: use an IANA name such as Europe/Athens, or "
        "America/New_York+7 for a broker whose day ends with New York's."
    )


class BrokerTimes:
    """Converts between UTC and the broker's seconds.

    Parameters
    ----------
    zone
        The broker's zone; without it one offset is measured and used for all times,
        so what was booked before a clock change is an hour off.
    clock
        The machine's clock.
    """

    def __init__(self, zone: BrokerZone | None, clock: Clock) -> None:
        self._zone = zone
        self._clock = clock
        self._offset: timedelta | None = None
        self._seen: tuple[int, float] | None = None  # a tick's time and when it was looked at
        self._next_s = 0.0

    def __repr__(self) -> str:
        known = self._zone.name if self._zone is not None else self._offset
        return f"<fleetkit.agent BrokerTimes {known}>"

    @property
    def due(self) -> bool:
        """Whether a look at a tick is wanted."""
        return self._zone is None and self._clock.elapsed() >= self._next_s

    @property
    def known(self) -> bool:
        """Whether times can be converted."""
        return self._zone is not None or self._offset is not None

    def look(self, tick_ms: int) -> bool:
        """Take a tick's broker time; whether the offset is known from it now."""
        now_s, seen = self._clock.elapsed(), self._seen
        self._seen = (tick_ms, now_s)
        if seen is None or tick_ms <= seen[0] or now_s - seen[1] > ARRIVES_S:
            return False
        ahead_s = tick_ms / 1000 - (self._clock.now() - EPOCH).total_seconds()
        quarters_s = round(ahead_s / QUARTER_S) * QUARTER_S
        if abs(ahead_s - quarters_s) > SKEW_S or abs(quarters_s) > FARTHEST_S:
            return False
        self._offset = timedelta(seconds=quarters_s)
        self._next_s = now_s + AGAIN_S
        return True

    def give_up(self) -> None:
        """No new tick came: keep what is known, and look again later."""
        self._next_s = self._clock.elapsed() + RETRY_S

    def offset(self, moment: datetime) -> timedelta:
        """How far the broker is ahead of UTC; 0 while nobody knows."""
        if self._zone is not None:
            return self._zone.offset(moment)
        return self._offset or timedelta(0)

    def utc(self, seconds: float) -> datetime:
        """The moment of a time as the package gives it.

        Raises
        ------
        TerminalError
            The broker's clock is not known.
        """
        wall = EPOCH + timedelta(seconds=seconds)
        if self._zone is not None:
            return self._zone.utc(wall.replace(tzinfo=None))
        return wall - self._measured()

    def seconds(self, moment: datetime) -> int:
        """A moment as the package takes it, within what it can take; never before 1970."""
        try:
            offset = self._zone.offset(moment) if self._zone is not None else self._measured()
        except OverflowError:  # at either end of what a datetime can hold
            offset = timedelta(0)
        ahead_s = (moment - EPOCH).total_seconds() + offset.total_seconds()
        return int(min(max(ahead_s, 0), LATEST_S))

    def _measured(self) -> timedelta:
        if self._offset is None:
            raise TerminalError(UNKNOWN)
        return self._offset
