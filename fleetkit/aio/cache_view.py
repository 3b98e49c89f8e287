"""`fleet.cache`: the account cache as its owner sees it.

May import what `core` imports. The trap: a label is not a figure; it lives in the
store and never makes old figures look fresh.
"""

from __future__ import annotations

from typing import Any

import msgspec

from fleetkit.aio.selection import account_number
from fleetkit.aio.state import FleetState
from fleetkit.errors import UsageError
from fleetkit.model import AccountReading, CacheStats

LABELS = ("phase", "vs_group")
FIGURES = tuple(
    field.name for field in msgspec.structs.fields(AccountReading) if field.name != "account"
)


class AsyncCache:
    """Statistics, invalidation and field updates of the account cache."""

    def __init__(self, fleet: FleetState) -> None:
        self._fleet = fleet

    @property
    def ttl_s(self) -> float:
        """Seconds an account's figures are fresh."""
        return self._fleet.config.cache.cache_ttl_s

    async def stats(self) -> CacheStats:
        """How well the cache did since `connect`.

        Returns
        -------
        CacheStats
            Accounts and agents cached, last full refresh, TTL, hits, misses, stale
            hits, flights joined, invalidations, evictions, hit rate. Counters count
            accounts, not calls.

        Examples
        --------
        >>> import fleetkit as fk
        >>> with fk.demo(accounts=3, seed=7) as fleet:
        ...     frame = fleet.accounts()
        ...     fleet.cache.stats().accounts_cached
        3
        """
        self._fleet.check_open()
        return self._fleet.cache_stats()

    async def invalidate(self, account: int) -> None:
        """Make one account stale: the next call reads it again, and only it.

        A reply that is on its way to it now is not cached either.

        Raises
        ------
        UnknownAccount
            No agent of this fleet serves it.
        """
        for gateway in await self._fleet.gateways_for([account_number(account)]):
            self._fleet.forget_freshness(gateway)

    async def update(self, account: int, field: str, value: object) -> None:
        """Set one field of one account without asking its agent.

        The row's age goes on growing. ``phase`` and ``vs_group`` are kept in the
        store; any other field lasts until the account is read again.

        Raises
        ------
        UsageError
            No such field, a value of the wrong type, or nothing cached yet.
        UnknownAccount
            No agent of this fleet serves it.
        """
        if field in LABELS:
            await self._fleet.set_label(account_number(account), field, _text(field, value))
            return
        if field not in FIGURES:
            allowed = ", ".join(sorted((*LABELS, *FIGURES)))
            msg = f"No field {field!r} can be updated. Fields: {allowed}."
            raise UsageError(msg)
        for gateway in await self._fleet.gateways_for([account_number(account)]):
            changed = self._fleet.caches.accounts.update(
                gateway.name, lambda reading: _changed(reading, field, value)
            )
            if not changed:
                msg = f"Account {account} was never read; call fleet.accounts() first."
                raise UsageError(msg)

    async def clear(self) -> None:
        """Forget everything that was read, the last good values too. Labels stay."""
        self._fleet.check_open()
        self._fleet.forget_everything()


def _text(field: str, value: object) -> str:
    if not isinstance(value, str):
        msg = f"{field} is text, not {type(value).__name__}."
        raise UsageError(msg)
    return value


def _changed(reading: AccountReading, field: str, value: object) -> AccountReading:
    fields: dict[str, Any] = msgspec.structs.asdict(reading)
    fields[field] = value
    try:
        return msgspec.convert(fields, AccountReading)
    except msgspec.ValidationError as error:
        msg = f"{field} cannot be {value!r:.60}: {error}"
        raise UsageError(msg) from None
