"""Reading what an agent's account did: its closed trades, its deals.

Why: how far back to ask, and what to think of the answer, depends on what the agent
can do. May import `link`, `identity`, `capabilities`, `values`, `frames` and below. The
trap: base agents window trades by their entry and extended ones by their exit (T8), and
an agent can become the other kind between two questions.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from math import ceil
from typing import Any, Final, NoReturn
from zoneinfo import ZoneInfo

from fleetkit import contract
from fleetkit.clock import Clock
from fleetkit.contract import Capability
from fleetkit.errors import AgentRefused, NotSupported, SuspectReply
from fleetkit.frames import DealBlock, TradeBlock, decode_deals, decode_history
from fleetkit.gateway.capabilities import Advertised
from fleetkit.gateway.identity import Identity
from fleetkit.gateway.link import Link
from fleetkit.gateway.values import Caches, DealsValue, TradesValue

CALL_TAKES: Final = timedelta(minutes=1)  # "30 days" is not 31 a moment later
LOOK_BACK_DAYS: Final = 35  # history is windowed by entry, we promise exits (T8)
DEALS_OVERLAP: Final = timedelta(days=2)  # brokers book deals late, and book them anew
MOST_PAGES: Final = 1_000  # of deals, 5,000 each: more than any account has


class LedgerReader:
    """Reads one agent's trades and deals, and puts them together with what is kept.

    Parameters
    ----------
    known_account
        The bound account, asked for when it was never learned.
    deadline_s
        How long one answer may take.
    """

    def __init__(
        self,
        link: Link,
        *,
        identity: Identity,
        advertised: Advertised,
        caches: Caches,
        clock: Clock,
        zone: ZoneInfo,
        known_account: Callable[[], Awaitable[int]],
        deadline_s: float,
    ) -> None:
        self._link = link
        self._identity = identity
        self._advertised = advertised
        self._caches = caches
        self._clock = clock
        self._zone = zone
        self._known_account = known_account
        self._deadline_s = deadline_s

    def __repr__(self) -> str:
        return f"<LedgerReader {self._link.name!r}>"

    def trades_query(self, since: datetime) -> dict[str, str]:
        """How to ask for all trades closed since a moment."""
        can = self._advertised.has
        if can(Capability.TRADE_COSTS) and can(Capability.UTC_TIMES):
            return {"from_date": whole_hour(since).isoformat()}
        # Further back than wanted: trades are windowed by their entry (T8, T9, T10).
        wanted = self._clock.now() - since - CALL_TAKES
        days = ceil(wanted / timedelta(days=1)) + LOOK_BACK_DAYS
        if days <= contract.MAX_DAYS:
            return {"days": str(max(days, 1))}
        start = since - timedelta(days=LOOK_BACK_DAYS)
        local = start.astimezone(self._zone).replace(tzinfo=None)
        return {"from_date": local.replace(hour=0, minute=0, second=0, microsecond=0).isoformat()}

    async def trades(self, since: datetime, query: dict[str, str]) -> TradesValue:
        """Read the trades closed since a moment, as `trades_query` says."""
        account = await self._known_account()
        said, block = await self._history(since, query)
        await self._own(said, account, "a trade history")
        older = self._caches.trades.last_good(self._link.name)
        if older is None:
            return TradesValue(block, since, since)
        if not len(block) and len(older.value.block.since(since)):
            self._suspect("shows an empty trade history where it had trades before")
        return TradesValue(block.merge(older.value.block), min(since, older.value.since), since)

    async def closed_positions(self) -> frozenset[int]:
        """The position ids of what was closed lately; none where another account answers."""
        since = self._clock.now() - timedelta(days=contract.DEFAULT_DAYS)
        said, block = await self._history(since, self.trades_query(since))
        return block.position_ids if said == self._identity.account else frozenset()

    async def deals(self, since: datetime) -> DealsValue:
        """Read the deals since a moment; of what is kept already, only the end.

        Raises
        ------
        NotSupported
            The agent has no ledger to read.
        """
        account = await self._known_account()
        await self._advertised.require(Capability.DEALS, "deals need")
        older = self._caches.deals.last_good(self._link.name)
        kept = DealsValue(DealBlock.empty(), since) if older is None else older.value
        start = since
        if older is not None and kept.since <= since:
            # A deal dated in the future must not hide those that are made until then.
            newest = min(kept.block.newest or kept.since, self._clock.now())
            start = max(newest - DEALS_OVERLAP, kept.since)
        block = await self._pages(start, account)
        if not len(block) and len(kept.block.since(start)):
            self._suspect("shows an empty deal ledger where it had deals before")
        read = DealsValue(block.merge(kept.block), min(since, kept.since))
        # Another span may have landed while this one was read.
        latest = self._caches.deals.last_good(self._link.name)
        if latest is None or latest is older:
            return read
        known = latest.value
        return DealsValue(read.block.merge(known.block), min(read.since, known.since))

    async def _history(self, since: datetime, query: dict[str, str]) -> tuple[int, TradeBlock]:
        try:
            return await self._ask_history(query)
        except AgentRefused:
            # An agent rolled back to the base cannot read an offset (T10): is it one?
            was_aware = query == {"from_date": whole_hour(since).isoformat()}
            if not was_aware or (await self._advertised.ask()).has(Capability.UTC_TIMES):
                raise
        return await self._ask_history(self.trades_query(since))

    async def _ask_history(self, query: dict[str, str]) -> tuple[int, TradeBlock]:
        answer: tuple[contract.TradeHistoryWire, TradeBlock] = await self._ask(
            contract.TRADE_HISTORY, query, lambda body: decode_history(body, self._zone)
        )
        return answer[0].account_number, answer[1]

    async def _pages(self, start: datetime, account: int) -> DealBlock:
        """All pages of the ledger from a moment on."""
        query = {"from": start.isoformat(), "limit": str(contract.MAX_DEALS_PAGE)}
        blocks: list[DealBlock] = []
        after = 0
        while len(blocks) < MOST_PAGES:
            page, block = await self._page(query | {"after": str(after)})
            await self._own(page.account_number, account, "a deal ledger")
            blocks.append(block)
            if page.next_after is None:
                return DealBlock.joined(blocks)
            if page.next_after <= after or not len(block):
                raise self._link.contract_error(
                    f"a cursor that does not advance from {after}", "$.next_after", contract.DEALS
                )
            after = page.next_after
        raise self._link.contract_error(
            f"more than {MOST_PAGES:,} pages", "$.next_after", contract.DEALS
        )

    async def _page(self, query: dict[str, str]) -> tuple[contract.DealsWire, DealBlock]:
        try:
            answer: tuple[contract.DealsWire, DealBlock] = await self._ask(
                contract.DEALS, query, lambda body: decode_deals(body, self._zone)
            )
        except NotSupported:
            self._advertised.roll_back()  # it had the route a moment ago
            raise
        return answer

    async def _ask(
        self,
        call: contract.Call[Any],
        query: dict[str, str],
        decode: Callable[[bytes], Any],
    ) -> Any:
        return await self._link.ask(call, query=query, deadline_s=self._deadline_s, decode=decode)

    async def _own(self, said: int, account: int, what: str) -> None:
        if said == account:
            return
        if said == 0:
            self._suspect(f"answered with {what} for account 0")
        await self._identity.check(said)

    def _suspect(self, what: str) -> NoReturn:
        name = self._link.name
        message = f"{name} {what}; a failing terminal looks the same, so the old rows are kept."
        self._link.last_error = message
        raise SuspectReply(message, agent=name, account=self._identity.account)


def whole_hour(moment: datetime) -> datetime:
    """The hour a moment lies in: who asks for the same days asks the same question."""
    return moment.replace(minute=0, second=0, microsecond=0)
