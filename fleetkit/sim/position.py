"""An open position as its broker keeps it.

Why: what a position will cost and what it has cost already belong to its volume;
closing a part of it takes that part's share along. May import `model` and `money`.
The trap: a netting account that reverses gives the position a new *ticket*, and its
deals keep the old number: the *identifier*. Everywhere else the two are the same.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from fleetkit.model import Side
from fleetkit.sim.money import share


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """One open position; money in cents, of the whole volume."""

    ticket: int
    identifier: int  # what its deals call it
    symbol: str
    side: Side
    volume: float
    entered: float  # lots that ever came into it
    open_time: datetime
    open_price: float
    sl: float | None
    tp: float | None
    margin_per_lot: float
    swap: int
    paid: int = 0  # commission that was booked when it was opened
    due: int = 0  # commission that will be booked when it is closed
    fee_due: int = 0
    magic: int = 0
    comment: str = ""
    openers: tuple[int, ...] = ()  # tickets of the deals that made its volume
    spared: bool = False  # from before the anchor: nothing happens to it for a day

    @property
    def margin(self) -> float:
        """What the broker holds back; at the price of the opening, so it never moves."""
        return self.margin_per_lot * self.volume

    def part(self, volume: float) -> Position:
        """That many lots of it, with their share of its money."""
        return msgspec.structs.replace(
            self,
            volume=volume,
            swap=share(self.swap, volume, self.volume),
            paid=share(self.paid, volume, self.volume),
            due=share(self.due, volume, self.volume),
            fee_due=share(self.fee_due, volume, self.volume),
        )

    def without(self, part: Position) -> Position | None:
        """What is left when that part is gone; ``None`` where nothing is."""
        volume = round(self.volume - part.volume, 2)
        if volume <= 0:
            return None
        return msgspec.structs.replace(
            self,
            volume=volume,
            swap=self.swap - part.swap,
            paid=self.paid - part.paid,
            due=self.due - part.due,
            fee_due=self.fee_due - part.fee_due,
        )

    def with_more(self, more: Position) -> Position:
        """Both in one, at their average price; the newer one's stops where it has any."""
        volume = round(self.volume + more.volume, 2)

        def average(mine: float, theirs: float) -> float:
            return (mine * self.volume + theirs * more.volume) / volume

        return msgspec.structs.replace(
            self,
            volume=volume,
            entered=round(self.entered + more.volume, 2),
            open_price=round(average(self.open_price, more.open_price), 8),
            margin_per_lot=average(self.margin_per_lot, more.margin_per_lot),
            sl=self.sl if more.sl is None else more.sl,
            tp=self.tp if more.tp is None else more.tp,
            swap=self.swap + more.swap,
            paid=self.paid + more.paid,
            due=self.due + more.due,
            fee_due=self.fee_due + more.fee_due,
            openers=self.openers + more.openers,
            spared=False,
        )
