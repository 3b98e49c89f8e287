"""Reading accounts: what to ask, how long to wait, one row for each.

May import what `core` imports below itself. The trap: a reply that came after its
account was invalidated belongs in this caller's row and in nobody else's.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from fleetkit import frames
from fleetkit.aio.fanout import wait_for
from fleetkit.aio.rows import Snapshot, account_row, nameless, residual_of
from fleetkit.aio.state import Facts, FleetState
from fleetkit.cache import Entry, Flight
from fleetkit.errors import AgentError
from fleetkit.frames import DataFrame
from fleetkit.gateway import Failure, Gateway, outcome, status_of
from fleetkit.model import Account, AccountReading, AccountStatus, Source


class Reading(msgspec.Struct):
    """The rows of one call, and how each came to be."""

    gateways: Sequence[Gateway]
    rows: list[Account] = []
    reasons: dict[int | str, str] = {}
    cached: dict[str, Entry[AccountReading]] = {}
    live: dict[str, Entry[AccountReading]] = {}
    failures: dict[str, Failure] = {}
    flights: dict[str, Flight[AccountReading]] = {}
    shown: list[Entry[AccountReading] | None] = []  # what each row is made of
    _frame: DataFrame | None = None

    @property
    def frame(self) -> DataFrame:
        """The rows as a frame, built once."""
        if self._frame is None:
            self._frame = frames.accounts_frame(self.rows)
            self._frame.attrs["missing"] = list(self.reasons)
        return self._frame


async def read_accounts(
    fleet: FleetState,
    gateways: Sequence[Gateway],
    *,
    refresh: bool,
    patience_s: float | None,
    probe: bool = False,
    already: Reading | None = None,
) -> Reading:
    """Ask those that are not fresh, wait as long as the rules say, and make the rows.

    ``already`` is a reading just made: its accounts are not asked again.
    """
    fleet.notice_jump()
    await fleet.notice_labels()
    reading = Reading(gateways)
    if already is not None:
        reading.live, reading.failures = dict(already.live), dict(already.failures)
    _take_off(fleet, reading, refresh=refresh, probe=probe)
    flights = reading.flights
    good = fleet.caches.accounts.last_good
    warm = [flight for name, flight in flights.items() if good(name) is not None]
    cold = [flight for name, flight in flights.items() if good(name) is None]
    await wait_for(cold, warm, patience_s=patience_s, clock=fleet.clock)
    _land(fleet, reading, patience_s)
    _make_rows(fleet, reading)
    if len(gateways) == len(fleet.gateways):
        if reading.live and not reading.cached:
            fleet.last_full_refresh = fleet.clock.now()
        _publish(fleet, reading)
    return reading


def _take_off(fleet: FleetState, reading: Reading, *, refresh: bool, probe: bool) -> None:
    cache = fleet.caches.accounts
    for gateway in reading.gateways:
        name = gateway.name
        if name in reading.live or name in reading.failures:
            continue
        entry = None if refresh else cache.fresh(name)
        if entry is not None:
            reading.cached[name] = entry
            continue
        refusal = None if probe else gateway.link.refusal()
        if refusal is None:
            reading.flights[name] = gateway.read_account()
        else:
            status = AccountStatus.ERROR if gateway.failure is None else gateway.failure.status
            reading.failures[name] = Failure(status, str(refusal))


def _land(fleet: FleetState, reading: Reading, patience_s: float | None) -> None:
    for name, flight in reading.flights.items():
        if not flight.task.done():
            sentence = (
                f"{name} has not answered within {patience_s:g} s; its request goes on, "
                "and the figures are older ones."
            )
            reading.failures[name] = Failure(AccountStatus.TIMEOUT, sentence)
            continue
        try:
            reading.live[name] = outcome(flight, name)
        except AgentError as error:
            reading.failures[name] = Failure(status_of(error), str(error))


def _make_rows(fleet: FleetState, reading: Reading) -> None:
    cache = fleet.caches.accounts
    now = fleet.clock.elapsed()
    for gateway in reading.gateways:
        name = gateway.name
        account = gateway.account
        failure = reading.failures.get(name)
        if failure is not None:
            reading.reasons[name if account is None else account] = failure.sentence
        if account is None:
            if failure is None:
                reading.reasons[name] = nameless(name)
            continue
        entry = reading.live.get(name)
        source = Source.LIVE
        if entry is None:
            # What was fresh at first may have been changed or cleared while others were read.
            entry = cache.last_good(name) or reading.cached.get(name)
            source = Source.CACHE if failure is None else Source.STALE
            cache.stale_hits += failure is not None and entry is not None
        reading.shown.append(entry)
        residual = None
        if entry is not None:
            residual = residual_of(entry, fleet.caches.trades, name)
        label = fleet.label_of(account)
        reading.rows.append(
            account_row(gateway, account, entry, source, failure, label, now, residual)
        )


def _publish(fleet: FleetState, reading: Reading) -> None:
    """Let other threads answer from this reading while every row of it is fresh."""
    connected = sum(row.status is AccountStatus.CONNECTED for row in reading.rows)
    fleet.facts = Facts(len(fleet.gateways), len(reading.rows), connected, fleet.last_full_refresh)
    cache = fleet.caches.accounts
    names = [gateway.name for gateway in reading.gateways]
    # A row may be made of a reply that came too late for the cache: then it is this caller's only.
    current = not reading.reasons and all(
        cache.is_fresh(name) and cache.last_good(name) is entry
        for name, entry in zip(names, reading.shown, strict=True)
    )
    if not current:
        fleet.snapshot = None
        return
    stamps = np.array([entry.stamp for entry in reading.shown if entry is not None])
    fleet.snapshot = Snapshot(
        frame=frames.with_source(reading.frame, Source.CACHE),
        stamps=stamps,
        valid_until=float(stamps.min()) + cache.ttl_s,
        version=cache.version,
        store_stamp=fleet.store_stamp,
        labels=tuple(fleet.label_of(row.account) for row in reading.rows),
        accounts=tuple(row.account for row in reading.rows),
    )
