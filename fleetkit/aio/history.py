"""The calls that read what accounts did: closed trades, deals.

See the package's docstring for what holds here; `AsyncFleet` has these calls, too. The
trap: a span is given in exits, and how far back an agent must be asked for it is the
gateway's affair.
"""

from __future__ import annotations

from fleetkit import frames
from fleetkit.aio.parts import collect, deals_parts, trades_parts
from fleetkit.aio.selection import Accounts, Since, account_numbers, span_start
from fleetkit.aio.state import FleetState
from fleetkit.aio.wholeness import naive_blocks, whole, with_zones
from fleetkit.frames import DataFrame


class HistoryCalls(FleetState):
    """The part of `AsyncFleet` that reads histories."""

    async def trades(
        self,
        accounts: Accounts = None,
        days: float | None = None,
        since: Since = None,
        refresh: bool = False,
        strict: bool = True,
    ) -> DataFrame:
        """Closed trades of one account, several, or all; newest exit first.

        Parameters
        ----------
        accounts
            A number, several, or ``None`` for all.
        days
            How many days back, by exit time; 30 unless told otherwise.
        since
            A datetime, date or ISO text instead (UTC unless it says).
        refresh
            Ask again even if the cached history is fresh.
        strict
            As in `positions`.

        Returns
        -------
        pandas.DataFrame
            Range index; ``entry_time`` and ``exit_time`` in UTC, ``duration``,
            ``volume`` in lots, money in account currency, ``net`` = profit + swap +
            commission + fee, where a part that the agent does not tell counts as 0.
            A position that was closed in parts has a row for each, with the part's
            volume, where an extended agent tells it; base agents tell the newest part.

        Raises
        ------
        PartialResult, UnknownAccount, UsageError

        Examples
        --------
        >>> import fleetkit as fk
        >>> with fk.demo(accounts=3, seed=7) as fleet:
        ...     trades = fleet.trades(days=90)
        ...     trades["exit_time"].is_monotonic_decreasing
        True
        """
        start = span_start(days, since, self.clock.now())
        gateways = await self.gateways_for(account_numbers(accounts))
        self.notice_jump()
        collected = await collect(
            gateways,
            self.caches.trades,
            lambda gateway: gateway.read_trades(start),
            lambda value: value.asked_since <= start,
            refresh=refresh,
        )
        self.snapshot = None  # residuals may be known now
        parts = trades_parts(collected, start, self.clock)
        frame = with_zones(frames.trades_frame(parts), collected, naive_blocks(collected, parts))
        frame.attrs["ambiguous_times"] = sum(part.block.ambiguous for part in parts)
        return whole(frame, collected.reasons, strict=strict)

    async def deals(
        self,
        accounts: Accounts = None,
        days: float | None = None,
        since: Since = None,
        refresh: bool = False,
        strict: bool = True,
    ) -> DataFrame:
        """The deal ledger of one account, several, or all; newest deal first.

        Deals are what the broker booked: entries and exits, deposits, fees. Only our own
        agent tells them; accounts behind base agents are missing, and the reason says so.

        Parameters
        ----------
        accounts
            A number, several, or ``None`` for all.
        days
            How many days back; 30 unless told otherwise.
        since
            A datetime, date or ISO text instead (UTC unless it says).
        refresh
            Ask again even if what is cached is fresh. Asked for is the ledger's end:
            its last two days and what came since, or more if it was never read so far back.
        strict
            As in `positions`.

        Returns
        -------
        pandas.DataFrame
            Indexed by ``deal``, the ticket (int64); ``time`` in UTC, ``type``, ``entry``
            and ``reason`` in MetaTrader's words, missing where a number has none,
            ``volume`` in lots, money in account currency, ``effect`` = profit + swap +
            commission + fee, what the deal did to the balance.

        Raises
        ------
        PartialResult, UnknownAccount, UsageError

        Examples
        --------
        >>> import fleetkit as fk
        >>> with fk.demo(accounts=2, seed=7, layer="extended") as fleet:
        ...     deals = fleet.deals(days=365)
        ...     sorted(deals["entry"].unique())
        ['in', 'out']
        """
        start = span_start(days, since, self.clock.now())
        gateways = await self.gateways_for(account_numbers(accounts))
        self.notice_jump()
        collected = await collect(
            gateways,
            self.caches.deals,
            lambda gateway: gateway.read_deals(start),
            lambda value: value.since <= start,
            refresh=refresh,
        )
        parts = deals_parts(collected, start, self.clock)
        frame = with_zones(frames.deals_frame(parts), collected, naive_blocks(collected, parts))
        return whole(frame, collected.reasons, strict=strict)
