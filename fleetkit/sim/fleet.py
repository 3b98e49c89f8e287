"""A fleet of simulated terminals from a number of accounts and a seed.

Why: agent names, hosts, accounts and labels are data, so the client's demo and
its configuration come from one place. May import the simulator below it.
The trap: the same seed gives the same figures on any day, because history is
drawn in market time before an *anchor*, the start of the UTC day on which the
fleet is made. Only the dates follow the calendar: the newest trade is always
one of the last trading days.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec

from fleetkit.clock import Clock
from fleetkit.model import Label
from fleetkit.sim.market import Market, TradingCalendar
from fleetkit.sim.people import FIRST_ACCOUNT, person
from fleetkit.sim.terminal import SimTerminal

CALENDAR_DAYS: Final = 260  # trading days; more than any account is old
ACCOUNTS_PER_32_HOSTS: Final = 69  # the field's own density
MOST_ACCOUNTS: Final = 10_000


class Seat(msgspec.Struct, frozen=True):
    """One agent of the fleet and the account it serves."""

    agent: str
    account: int


class SimFleet:
    """Terminals by account number, made when they are first asked for.

    Parameters
    ----------
    accounts
        How many accounts, 1 to 10,000.
    seed
        Decides every figure.
    clock
        What time it is; read once here for the anchor, later for prices.
    start
        The moment whose UTC day is the anchor, aware; now unless told.
    sessions
        Whether markets close at night and at weekends. A demo's do not.
    """

    def __init__(
        self,
        *,
        accounts: int,
        seed: int,
        clock: Clock,
        start: datetime | None = None,
        sessions: bool = False,
    ) -> None:
        if not 1 <= accounts <= MOST_ACCOUNTS:
            raise ValueError(f"accounts must be 1 to {MOST_ACCOUNTS}, found {accounts}")
        moment = (clock.now() if start is None else start).astimezone(UTC)
        self.anchor = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        self.seed = seed
        self.seats = list(_seats(accounts))
        self._clock = clock
        self._market = Market(seed, first_weekday=self.anchor.weekday(), sessions=sessions)
        self._calendar = TradingCalendar(self.anchor, days=CALENDAR_DAYS)
        self._terminals: dict[int, SimTerminal] = {}

    def __repr__(self) -> str:
        return f"<fleetkit.sim SimFleet of {len(self.seats)} accounts, seed {self.seed}>"

    def terminal(self, account: int) -> SimTerminal:
        """The terminal of any account, also of one outside the fleet (T3)."""
        if account not in self._terminals:
            self._terminals[account] = SimTerminal(
                person(account, self.seed), self._market, self._calendar, self._clock
            )
        return self._terminals[account]

    def labels(self) -> dict[int, Label]:
        """Phase and pair of every account; a pair whose other half is missing is none."""
        labels = {seat.account: person(seat.account, self.seed).label for seat in self.seats}
        groups = Counter(label.vs_group for label in labels.values())
        return {
            account: label if groups[label.vs_group] == 2 else Label(phase=label.phase)
            for account, label in labels.items()
        }


def _seats(accounts: int) -> Iterator[Seat]:
    hosts = -(-accounts * 32 // ACCOUNTS_PER_32_HOSTS)
    width = max(2, len(str(hosts)))
    placed = [(index % hosts, index // hosts, index) for index in range(accounts)]
    for host, place, index in sorted(placed):
        yield Seat(f"vps{host + 1:0{width}d}-a{place + 1}", FIRST_ACCOUNT + index)
