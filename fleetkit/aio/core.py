"""`AsyncFleet`: every public call, as coroutines on the loop thread.

See the package's docstring for what holds here. The names and docstrings of this
class are the public API: `Fleet` and `AioFleet` list them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from os import PathLike
from typing import Literal

from fleetkit import frames
from fleetkit.aio.accounts import read_accounts
from fleetkit.aio.cache_view import AsyncCache
from fleetkit.aio.label_files import read_labels
from fleetkit.aio.order_journal import JournalCalls
from fleetkit.aio.parts import collect, positions_parts
from fleetkit.aio.selection import Accounts, account_number, account_numbers, symbol_name
from fleetkit.aio.state import JUMP_S
from fleetkit.aio.wholeness import partial, patience, whole, with_zones
from fleetkit.clock import Clock
from fleetkit.config import FleetConfig
from fleetkit.doctor import examine, notebook_advice
from fleetkit.errors import AgentCancelled, AgentError, UnknownAccount
from fleetkit.frames import DataFrame
from fleetkit.model import Account, Quote, Symbol
from fleetkit.store import Store, load_labels


class AsyncFleet(JournalCalls):
    """A fleet of accounts, each behind its agent."""

    def __init__(self, config: FleetConfig, store: Store, clock: Clock) -> None:
        super().__init__(config, store, clock)
        self.cache = AsyncCache(self)

    async def accounts(
        self, refresh: bool = False, strict: bool = False, patience_s: float = 2.0
    ) -> DataFrame:
        """Every account, one row each; failed accounts stay as rows.

        Parameters
        ----------
        refresh
            Read every account again, however fresh the cached figures are.
        strict
            Raise `PartialResult` when any account is missing or stale.
        patience_s
            How long to wait for accounts that have last good figures. They come back
            stale after that, while their request goes on. Accounts that were never
            read are waited for until their deadline (10 s).

        Returns
        -------
        pandas.DataFrame
            Indexed by ``account`` (int64), money in account currency. ``status`` says
            how the last reading ended, ``error`` why in a sentence, ``source`` whether
            the figures are live, cache, stale or none, ``as_of`` (UTC) and ``age_s``
            (seconds) how old they are. Unknown figures are NaN, never zero.
            ``attrs["missing"]`` lists what is not live or cached: accounts, and agents
            whose account was never learned (they have no row).

        Raises
        ------
        PartialResult
            With ``strict=True``; ``.frame`` has what could be had.

        Examples
        --------
        >>> import fleetkit as fk
        >>> with fk.demo(accounts=3, seed=7) as fleet:
        ...     len(fleet.accounts())
        3
        """
        self.check_open()
        patience_s = patience(patience_s)
        reading = await read_accounts(
            self, list(self.gateways.values()), refresh=refresh, patience_s=patience_s
        )
        return whole(reading.frame, reading.reasons, strict=strict)

    async def account(self, account: int, refresh: bool = False) -> Account:
        """One account as a record, read if it is not fresh.

        Returns
        -------
        Account
            With ``status`` and ``error`` where it could not be read.

        Raises
        ------
        UnknownAccount
            No agent of this fleet serves it.
        """
        gateways = await self.gateways_for([account_number(account)])
        reading = await read_accounts(self, gateways, refresh=refresh, patience_s=None)
        if not reading.rows:  # its binding was voided while it was read
            raise UnknownAccount(next(iter(reading.reasons.values())), account=account)
        return reading.rows[0]

    async def positions(
        self, accounts: Accounts = None, refresh: bool = False, strict: bool = True
    ) -> DataFrame:
        """Open positions of one account, several, or all.

        Parameters
        ----------
        accounts
            A number, several, or ``None`` for all.
        refresh
            Ask again even if the last answer is less than 2 s old.
        strict
            Raise `PartialResult` unless every account answered. ``False`` returns what
            there is; rows of failed accounts are their last good ones, marked stale,
            and ``attrs["missing"]`` lists those accounts.

        Returns
        -------
        pandas.DataFrame
            Indexed by ``ticket`` (int64). ``volume`` in lots, ``open_time`` in UTC,
            ``profit``, ``swap``, ``commission`` in account currency.
            ``attrs["time_zone_assumed"]`` lists accounts whose agent has no configured
            zone: their times are taken for UTC.

        Raises
        ------
        PartialResult, UnknownAccount

        Notes
        -----
        An empty answer after a non-empty one is not believed at once: a failing
        terminal looks the same. It counts as missing until a second empty answer, at
        least 2 s later, and a changed balance agree. Our own agent answers an error with
        an error, so its empty answer is believed.
        """
        gateways = await self.gateways_for(account_numbers(accounts))
        self.notice_jump()
        collected = await collect(
            gateways,
            self.caches.positions,
            lambda gateway: gateway.read_positions(),
            lambda _: True,
            refresh=refresh,
        )
        frame = frames.positions_frame(positions_parts(collected, self.clock))
        naive = [found.entry.value.is_naive for found in collected.found]
        return whole(with_zones(frame, collected, naive), collected.reasons, strict=strict)

    async def agents(self) -> DataFrame:
        """Every agent and what is known of it; makes no request.

        Returns
        -------
        pandas.DataFrame
            Indexed by ``agent``. ``capabilities`` is ``base`` or the names of what the
            agent can do beyond, missing before anything is known of it. Latencies in
            milliseconds over the last 256 calls, ``connections`` counts handshakes,
            ``clock_skew_s`` is the agent machine's clock minus ours.
        """
        self.check_open()
        return frames.agents_frame([gateway.info() for gateway in self.gateways.values()])

    async def summary(self) -> DataFrame:
        """The fleet's totals in one row; one row per currency where they differ."""
        frame = await self.accounts()
        return frames.summary_frame(frame, self.last_full_refresh)

    async def quote(self, account: int, symbol: str) -> Quote:
        """Bid and ask of a symbol as one account's terminal sees them, now.

        Raises
        ------
        AgentRefused
            The agent does not know the symbol.
        AgentError, UnknownAccount
        """
        name = symbol_name(symbol)
        (gateway,) = await self.gateways_for([account_number(account)])
        return await gateway.quote(name)

    async def symbol(self, account: int, symbol: str) -> Symbol:
        """How a symbol is traded on one account: digits, volumes, stops level, tick value.

        Raises
        ------
        NotSupported
            The agent speaks the base layer only.
        AgentRefused
            The agent does not know the symbol.
        AgentError, UnknownAccount

        Examples
        --------
        >>> import fleetkit as fk
        >>> with fk.demo(accounts=1, seed=7, layer="extended") as fleet:
        ...     fleet.symbol(7100001, "EURUSD").digits
        5
        """
        name = symbol_name(symbol)
        (gateway,) = await self.gateways_for([account_number(account)])
        return await gateway.symbol(name)

    async def refresh(self, accounts: Accounts = None) -> DataFrame:
        """Read accounts again, waiting for each until its deadline, breaker or not.

        Returns
        -------
        pandas.DataFrame
            The frame of `accounts`, all rows of it.
        """
        gateways = await self.gateways_for(account_numbers(accounts))
        probed = await read_accounts(self, gateways, refresh=True, patience_s=None, probe=True)
        if len(gateways) == len(self.gateways):
            return probed.frame
        everyone = list(self.gateways.values())
        rest = await read_accounts(self, everyone, refresh=False, patience_s=2.0, already=probed)
        return rest.frame

    async def reconnect(self, accounts: Accounts = None) -> DataFrame:
        """Make terminals reconnect to their broker, then read their accounts again.

        Takes up to a minute; the only way to it but auto-recovery.

        Raises
        ------
        AgentCancelled
            It was called back by `cancel_all`.
        PartialResult
            When an agent refused; ``.reasons`` says why, ``.frame`` is that of
            `accounts` afterwards.
        """
        numbers = account_numbers(accounts)
        gateways = await self.gateways_for(numbers)
        answers = await asyncio.gather(
            *(gateway.link.reconnect() for gateway in gateways), return_exceptions=True
        )
        reasons: dict[int | str, str] = {}
        for gateway, answer in zip(gateways, answers, strict=True):
            if isinstance(answer, AgentCancelled):
                raise answer  # called back: nobody waits for what would follow
            if isinstance(answer, AgentError):
                reasons[gateway.account or gateway.name] = str(answer)
            elif isinstance(answer, BaseException):
                raise answer
        frame = await self.refresh(numbers)
        if reasons:
            raise partial(frame, reasons, "Could not be reconnected")
        return frame

    async def doctor(self) -> DataFrame:
        """Ask every agent how it is and whose it is, and say what to do.

        Returns
        -------
        pandas.DataFrame
            Indexed by ``agent``. ``reachable``, ``status``, ``terminal`` (what ``/health``
            says of it), ``layer`` (base or extended) and its ``capabilities``;
            ``http_version`` as really spoken, ``handshakes`` and ``requests`` since
            `connect`, ``latency_ms`` of this ``/health``, ``lane_wait_ms`` (the longest of
            the last 256 calls); ``clock_skew_s`` (the agent's clock minus ours) with
            ``clock_evidence``, ``time_zone`` and whether it is configured or assumed;
            ``binding``, ``stops_unit`` and ``margin_mode`` with their sources, ``breaker``,
            ``tls_expires`` (UTC), ``last_error``; ``trading_needs``, what is missing before
            its account may be traded, and ``advice``, the first thing to do, both missing
            where there is nothing. ``attrs["notebook"]`` has a sentence for each package of
            the notebook server in this environment that is older than known to be safe.

        Examples
        --------
        >>> import fleetkit as fk
        >>> with fk.demo(accounts=3, seed=7) as fleet:
        ...     fleet.doctor()["layer"].tolist()
        ['base', 'base', 'base']
        """
        self.check_open()
        gateways, store = list(self.gateways.values()), self.store
        found = await examine(gateways, self.clock, is_network_fs=store.is_network_fs)
        frame = frames.doctor_frame(found)
        frame.attrs["notebook"] = notebook_advice()
        return frame

    async def labels(self) -> DataFrame:
        """Phase and group of every labelled account; makes no request."""
        self.check_open()
        await self.notice_labels()
        return frames.labels_frame(dict(sorted(self.known_labels.items())))

    async def set_phase(self, account: int, phase: str) -> None:
        """Label an account with a phase (free text; ``""`` for the default F1).

        Kept in the store; no agent is asked, and no figure looks fresher for it.

        Raises
        ------
        LabelError
        """
        await self.set_label(account_number(account), "phase", phase)

    async def set_vs_group(self, account: int, group: str) -> None:
        """Put an account into a group of at most two (``""`` takes it out).

        Raises
        ------
        LabelError
            The group has two accounts already; the message names them.
        """
        await self.set_label(account_number(account), "vs_group", group)

    async def load_labels(
        self,
        source: str | PathLike[str] | Mapping[int, str],
        field: Literal["phase", "vs_group"] = "phase",
    ) -> DataFrame:
        """Set many labels at once from a JSON object account → phase or group.

        Parameters
        ----------
        source
            A path, the JSON text itself, or a mapping.
        field
            ``"phase"`` or ``"vs_group"``.

        Returns
        -------
        pandas.DataFrame
            The frame of `labels` afterwards.

        Raises
        ------
        LabelError
            Nothing was set.
        """
        self.check_open()
        wanted = read_labels(source, field)
        await self.write_labels(lambda connection: load_labels(connection, field, wanted))
        self.labels_changed(list(wanted))
        return await self.labels()

    def published(
        self, refresh: bool = False, strict: bool = False, patience_s: float = 2.0
    ) -> DataFrame | None:
        """The answer of `accounts` when everything is fresh; any thread may call it.

        ``None`` sends the caller to the loop thread.
        """
        patience(patience_s)
        snapshot = self.snapshot
        if refresh or snapshot is None or self.closed is not None:
            return None
        now = self.clock.elapsed()
        if now >= snapshot.valid_until or snapshot.version != self.caches.accounts.version:
            return None
        if abs(self.clock.jump()) > JUMP_S:
            return None
        if self.store.change_stamp() != snapshot.store_stamp:
            return None
        return snapshot.serve(now)
