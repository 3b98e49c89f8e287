"""An order as a list of orders shows it: what was asked for and what it came to.

See the package's docstring. The trap: ``outcome`` is ``None`` while an order is under way;
that is not the same as ``unknown``, which is an answer.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from fleetkit.model import Side
from fleetkit.trading.receipts import Evidence, OrderKind, Outcome


class OrderLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row of `Fleet.orders`.

    Attributes
    ----------
    volume, filled_volume : decimal.Decimal or None
        Lots as sent, and as executed as far as anybody said.
    reason : str or None
        A sentence of whoever decided the outcome.
    sent_at : datetime.datetime or None
        When the first byte may have gone; ``None`` where none did.
    settled_at : datetime.datetime or None
        Since when nothing is left to be found out.
    """

    order_id: str
    account: int
    kind: OrderKind
    created_at: datetime
    symbol: str | None = None
    side: Side | None = None
    volume: Decimal | None = None
    outcome: Outcome | None = None
    filled_volume: Decimal | None = None
    ticket: int | None = None
    price: float | None = None
    reason: str | None = None
    retcode: int | None = None
    stops_ok: bool | None = None
    evidence: Evidence | None = None
    sent_at: datetime | None = None
    settled_at: datetime | None = None
    pair_id: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is still to be found out what became of it."""
        return self.settled_at is None
