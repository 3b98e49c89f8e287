"""`Fleet` and `AioFleet`: two typed lists of names over `AsyncFleet`.

See the package's docstring. The trap: nothing is implemented here; a method that does
more than hand over to the loop thread belongs in the core.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self, cast

from fleetkit.aio import AsyncFleet
from fleetkit.aio.order_words import Number
from fleetkit.aio.plans import Plan
from fleetkit.aio.selection import Accounts
from fleetkit.clock import Clock
from fleetkit.fleet.armed import AioArmedBlock, ArmedBlock
from fleetkit.fleet.caches import AioFleetCache, FleetCache
from fleetkit.fleet.waiting import Face, awaiting, blocking
from fleetkit.html import card_html
from fleetkit.loop import LoopThread

if TYPE_CHECKING:
    from fleetkit.panels import ControlPanel


class AioFleet(Face[AsyncFleet]):
    """A fleet for async code: the calls of `Fleet`, awaited on any asyncio loop."""

    accounts = awaiting(AsyncFleet.accounts)
    account = awaiting(AsyncFleet.account)
    positions = awaiting(AsyncFleet.positions)
    trades = awaiting(AsyncFleet.trades)
    deals = awaiting(AsyncFleet.deals)
    agents = awaiting(AsyncFleet.agents)
    summary = awaiting(AsyncFleet.summary)
    quote = awaiting(AsyncFleet.quote)
    symbol = awaiting(AsyncFleet.symbol)
    refresh = awaiting(AsyncFleet.refresh)
    reconnect = awaiting(AsyncFleet.reconnect)
    doctor = awaiting(AsyncFleet.doctor)
    labels = awaiting(AsyncFleet.labels)
    set_phase = awaiting(AsyncFleet.set_phase)
    set_vs_group = awaiting(AsyncFleet.set_vs_group)
    load_labels = awaiting(AsyncFleet.load_labels)
    cancel_all = awaiting(AsyncFleet.cancel_all)
    open_position = awaiting(AsyncFleet.open_position, sends=True)
    open_positions = awaiting(AsyncFleet.open_positions, sends=True)
    close_position = awaiting(AsyncFleet.close_position, sends=True)
    close_all = awaiting(AsyncFleet.close_all, sends=True)
    modify_position = awaiting(AsyncFleet.modify_position, sends=True)
    execute_plan = awaiting(AsyncFleet.execute_plan, sends=True)
    orders = awaiting(AsyncFleet.orders)
    reconcile = awaiting(AsyncFleet.reconcile)
    resolve = awaiting(AsyncFleet.resolve)
    arm = awaiting(AsyncFleet.arm)
    disarm = awaiting(AsyncFleet.disarm)
    halt = awaiting(AsyncFleet.halt)
    resume = awaiting(AsyncFleet.resume)
    plan = awaiting(AsyncFleet.plan)
    close = awaiting(AsyncFleet.close)

    def armed(
        self,
        minutes: float,
        max_volume: Number,
        max_orders: int,
        accounts: Accounts = None,
        symbols: str | Iterable[str] | None = None,
    ) -> AioArmedBlock:
        """Allow opens inside an ``async with`` block; see `Fleet.armed`."""
        return AioArmedBlock(
            self.arm, self.disarm, (minutes, max_volume, max_orders, accounts, symbols)
        )

    @property
    def cache(self) -> AioFleetCache:
        """The account cache."""
        return AioFleetCache(
            self._target.cache, self._loop, self._clock, self._progress, self._fleet
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<AioFleet {_described(self._target)}>"

    def _repr_html_(self) -> str:
        return _card("AioFleet", self._target)


class Fleet(Face[AsyncFleet]):
    """A fleet of MetaTrader 5 accounts, each behind its agent.

    Made by `connect` or `demo`. The same call works in a cell, in a script, in a
    thread and in a widget callback; `aio` has every call for async code. Usable as a
    context manager.

    Attributes
    ----------
    aio : AioFleet
        The same calls, awaited.
    cache : FleetCache
        Statistics, invalidation, field updates.

    Examples
    --------
    >>> import fleetkit as fk
    >>> with fk.demo(accounts=3, seed=7) as fleet:
    ...     fleet.accounts()["status"].tolist()
    ['connected', 'connected', 'connected']
    """

    def __init__(self, target: AsyncFleet, loop: LoopThread, clock: Clock, progress: bool | None):
        super().__init__(target, loop, clock, progress)
        # A fleet nobody refers to any more closes its sockets.
        self._finalizer = weakref.finalize(self, _abandon, target, loop)
        self._finalizer.atexit = False

    accounts = blocking(AsyncFleet.accounts, AsyncFleet.published)
    account = blocking(AsyncFleet.account)
    positions = blocking(AsyncFleet.positions)
    trades = blocking(AsyncFleet.trades)
    deals = blocking(AsyncFleet.deals)
    agents = blocking(AsyncFleet.agents)
    summary = blocking(AsyncFleet.summary)
    quote = blocking(AsyncFleet.quote)
    symbol = blocking(AsyncFleet.symbol)
    refresh = blocking(AsyncFleet.refresh)
    reconnect = blocking(AsyncFleet.reconnect)
    doctor = blocking(AsyncFleet.doctor)
    labels = blocking(AsyncFleet.labels)
    set_phase = blocking(AsyncFleet.set_phase)
    set_vs_group = blocking(AsyncFleet.set_vs_group)
    load_labels = blocking(AsyncFleet.load_labels)
    cancel_all = blocking(AsyncFleet.cancel_all)
    open_position = blocking(AsyncFleet.open_position, sends=True)
    open_positions = blocking(AsyncFleet.open_positions, sends=True)
    close_position = blocking(AsyncFleet.close_position, sends=True)
    close_all = blocking(AsyncFleet.close_all, sends=True)
    modify_position = blocking(AsyncFleet.modify_position, sends=True)
    execute_plan = blocking(AsyncFleet.execute_plan, sends=True)
    orders = blocking(AsyncFleet.orders)
    reconcile = blocking(AsyncFleet.reconcile)
    resolve = blocking(AsyncFleet.resolve)
    arm = blocking(AsyncFleet.arm)
    disarm = blocking(AsyncFleet.disarm)
    halt = blocking(AsyncFleet.halt)
    resume = blocking(AsyncFleet.resume)
    _plan = blocking(AsyncFleet.plan)

    def plan(self, orders: Sequence[Mapping[str, Any]]) -> Plan:
        """Show what `open_positions` would send, without sending it.

        Returns
        -------
        Plan
            ``.frame`` has one row per order: volume after rounding, stops in pips, price
            and money, margin, spread cost, and why it would be refused. ``.execute()``
            sends exactly that while it is fresh (10 s).
        """
        return self._plan(orders).bound(self.execute_plan)

    def armed(
        self,
        minutes: float,
        max_volume: Number,
        max_orders: int,
        accounts: Accounts = None,
        symbols: str | Iterable[str] | None = None,
    ) -> ArmedBlock:
        """Allow opens inside a ``with`` block, for a time, a volume and a count.

        Parameters
        ----------
        minutes, max_volume, max_orders
            How long at most, how many lots in total, how many orders; shared by every
            kernel on this store. A second arming joins the live one under the smaller
            limits.
        accounts, symbols
            Only these.

        Examples
        --------
        >>> import fleetkit as fk
        >>> with fk.demo(accounts=3, seed=7) as fleet:
        ...     with fleet.armed(minutes=5, max_volume=0.2, max_orders=1):
        ...         receipt = fleet.open_position(7100001, "EURUSD", "buy", 0.1)
        ...     fleet.open_position(7100001, "EURUSD", "buy", 0.1).outcome.value
        'not_sent'
        """
        return ArmedBlock(
            self.arm, self.disarm, (minutes, max_volume, max_orders, accounts, symbols)
        )

    def panel(self, *, save_state: bool = False) -> ControlPanel:
        """Show the control panel: accounts, refreshes, trading, positions, health, results.

        Parameters
        ----------
        save_state
            Keep what the panel shows in the notebook's file. Without it a saved notebook
            has no account's figures, and the panel is a note there until its cell is run.

        Returns
        -------
        ControlPanel
            A widget; ``.selected`` are the accounts chosen in it. Its parts are
            ``fleetkit.panels.accounts(fleet)``, ``watch``, ``ticket``, ``positions``,
            ``health`` and ``results``.

        Examples
        --------
        >>> import fleetkit as fk
        >>> with fk.demo(accounts=3, seed=7) as fleet:
        ...     panel = fleet.panel()
        ...     panel.selected = [7100002]
        ...     panel.selected
        [7100002]
        """
        # The one way up from here, and only when it is asked for: no other import of
        # fleetkit brings widgets.
        panels = import_module("fleetkit.panels")
        return cast("ControlPanel", panels.panel(self, save_state=save_state))

    def close(self, timeout_s: float = 5.0) -> None:
        """Cancel what is in flight and close every connection; again does nothing."""
        if self._loop.is_usable:
            self._loop.blocking(lambda: self._target.close(timeout_s))

    @property
    def aio(self) -> AioFleet:
        """The same calls for async code."""
        return AioFleet(self._target, self._loop, self._clock, self._progress, self)

    @property
    def cache(self) -> FleetCache:
        """The account cache."""
        return FleetCache(self._target.cache, self._loop, self._clock, self._progress, self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {_described(self._target)}>"

    def _repr_html_(self) -> str:
        return _card(type(self).__name__, self._target)


def _card(title: str, target: AsyncFleet) -> str:
    facts = target.facts
    refreshed = facts.last_full_refresh
    connected = f"{facts.connected} of {facts.accounts}" if facts.accounts else "not read yet"
    return card_html(
        title,
        [
            ("state", target.closed or "open"),
            ("agents", facts.agents),
            ("accounts connected", connected),
            ("last full refresh", "never" if refreshed is None else f"{refreshed:%F %T} UTC"),
            ("source", target.config.source),
        ],
    )


def _described(target: AsyncFleet) -> str:
    facts = target.facts
    if target.closed is not None:
        return f"closed, {facts.agents} agents"
    if facts.last_full_refresh is None and not facts.accounts:
        return f"{facts.agents} agents, not read yet"
    return f"{facts.agents} agents, {facts.connected} of {facts.accounts} accounts connected"


def _abandon(target: AsyncFleet, loop: LoopThread) -> None:
    if loop.is_usable and target.closed is None:
        loop.submit(lambda: target.close(1.0))
