"""What an account may be traded like, as data.

See the package's docstring. The trap: a policy that cannot tell whether it concerns
an account concerns it, and all that do must agree: they only ever take away.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec


class Hedging(StrEnum):
    """Whether one account may hold both sides of one symbol."""

    ALLOWED = "allowed"
    FORBIDDEN = "forbidden"


class TradingPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of the accounts it selects; ``None`` selects all, or limits nothing.

    Attributes
    ----------
    account, firm, phase
        Which accounts: all that are given must fit.
    symbols : frozenset of str or None
        The only symbols that may be opened.
    max_volume : decimal.Decimal or None
        Lots of one order.
    max_open_volume : decimal.Decimal or None
        Lots open on one account at once, orders under way and unknown ones included.
    """

    account: int | None = None
    firm: str | None = None
    phase: str | None = None
    symbols: frozenset[str] | None = None
    max_volume: Decimal | None = None
    max_open_volume: Decimal | None = None
    hedging: Hedging = Hedging.ALLOWED

    @property
    def name(self) -> str:
        """Whom it concerns, in words."""
        parts = (("account", self.account), ("firm", self.firm), ("phase", self.phase))
        chosen = [f"{what} {value}" for what, value in parts if value is not None]
        return "the policy for " + (" and ".join(chosen) or "every account")

    def concerns(self, account: int, firm: str | None, phase: str | None) -> bool:
        """Whether it may concern an account; what is not known may fit."""
        return (
            self.account in (None, account)
            and (None in (self.firm, firm) or self.firm == firm)
            and (None in (self.phase, phase) or self.phase == phase)
        )


class Policies(msgspec.Struct, frozen=True):
    """Every policy of a fleet; those that concern an account hold together."""

    policies: tuple[TradingPolicy, ...] = ()

    def concerning(
        self, account: int, *, firm: str | None, phase: str | None
    ) -> tuple[TradingPolicy, ...]:
        """The policies that hold for an account, in the order they were written."""
        return tuple(policy for policy in self.policies if policy.concerns(account, firm, phase))
