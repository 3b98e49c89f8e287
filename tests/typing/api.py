"""The types of the public API, checked by mypy and never run.

A change here is a change for every analyst whose editor completes ``fleet.``.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import assert_type

import pandas as pd

import fleetkit as fk


def making() -> None:
    """`connect` and `demo` say which kind of fleet they make."""
    assert_type(fk.connect("fleet.toml"), fk.Fleet)
    assert_type(fk.connect(), fk.Fleet)
    assert_type(fk.connect([{"name": "a", "url": "http://127.0.0.1:8001"}]), fk.Fleet)
    assert_type(fk.connect(pooling=False, cache_ttl_s=0, progress=False), fk.Fleet)
    assert_type(fk.connect(timeouts=fk.Timeouts(connect_s=2), pool=fk.PoolLimits()), fk.Fleet)
    assert_type(
        fk.connect(
            cache=fk.CachePolicy(), recovery=fk.RecoveryPolicy(), breaker=fk.BreakerPolicy()
        ),
        fk.Fleet,
    )
    assert_type(fk.demo(accounts=69, seed=7, faults=fk.sim.Faults(hang=True)), fk.DemoFleet)
    with fk.connect() as fleet:
        assert_type(fleet, fk.Fleet)
    assert_type(fk.demo(layer="extended"), fk.DemoFleet)
    with fk.demo() as demo:
        assert_type(demo, fk.DemoFleet)


def reading(fleet: fk.Fleet) -> None:
    """Frames are DataFrames, records are records; parameters are the documented ones."""
    assert_type(fleet.accounts(refresh=True, strict=True, patience_s=0.5), pd.DataFrame)
    assert_type(fleet.positions(7100001, refresh=True, strict=False), pd.DataFrame)
    assert_type(fleet.positions([7100001, 7100002]), pd.DataFrame)
    assert_type(fleet.trades(days=90), pd.DataFrame)
    assert_type(fleet.trades({7100001}, since=date(2026, 2, 1), strict=False), pd.DataFrame)
    assert_type(fleet.trades(since=datetime(2026, 2, 1)), pd.DataFrame)  # noqa: DTZ001 - naive is taken for UTC
    assert_type(fleet.trades(since="2026-02-01"), pd.DataFrame)
    assert_type(fleet.deals(days=90), pd.DataFrame)
    assert_type(
        fleet.deals([7100001], since="2026-02-01", refresh=True, strict=False), pd.DataFrame
    )
    assert_type(fleet.agents(), pd.DataFrame)
    assert_type(fleet.summary(), pd.DataFrame)
    assert_type(fleet.doctor(), pd.DataFrame)
    assert_type(fleet.refresh(), pd.DataFrame)
    assert_type(fleet.reconnect(7100001), pd.DataFrame)
    assert_type(fleet.account(7100001), fk.Account)
    assert_type(fleet.quote(7100001, "EURUSD"), fk.Quote)
    assert_type(fleet.symbol(7100001, "EURUSD"), fk.Symbol)
    fleet.cancel_all()
    fleet.close(timeout_s=1)


def labelling(fleet: fk.Fleet) -> None:
    """Labels are set one by one or many at once."""
    assert_type(fleet.labels(), pd.DataFrame)
    fleet.set_phase(7100001, "F2")
    fleet.set_vs_group(7100001, "")
    assert_type(fleet.load_labels({7100001: "F2"}), pd.DataFrame)
    assert_type(fleet.load_labels("groups.json", field="vs_group"), pd.DataFrame)


def caching(fleet: fk.Fleet) -> None:
    """The cache says how it did in a record."""
    assert_type(fleet.cache.stats(), fk.CacheStats)
    assert_type(fleet.cache.stats().hit_rate, float)
    assert_type(fleet.cache.stats().last_full_refresh, datetime | None)
    fleet.cache.invalidate(7100001)
    fleet.cache.update(7100001, "phase", "F2")
    fleet.cache.clear()


def records(account: fk.Account, quote: fk.Quote, symbol: fk.Symbol, can: fk.Capabilities) -> None:
    """What is not known is None, never a sentinel."""
    assert_type(account.account, int)
    assert_type(account.balance, float | None)
    assert_type(account.status, fk.AccountStatus)
    assert_type(account.source, fk.Source)
    assert_type(account.error, str | None)
    assert_type(quote.bid, float)
    assert_type(quote.spread, float)
    assert_type(symbol.volume_step, float)
    assert_type(symbol.stops_level_points, int | None)
    assert_type(symbol.trade_mode, fk.TradeMode | None)
    assert_type(can.api, str | None)
    assert_type(can.names, frozenset[str])
    assert_type(can.stops_unit, fk.StopsUnit | None)
    assert_type(can.has(fk.Capability.DEALS), bool)


def trading(fleet: fk.Fleet) -> None:
    """Order calls give receipts or frames of them."""
    with fleet.armed(minutes=5, max_volume=1.0, max_orders=4):
        receipt = fleet.open_position(7100001, "EURUSD", "buy", 0.5, sl_price="1.08")
    assert_type(receipt, fk.Receipt)
    assert_type(receipt.outcome, fk.Outcome)
    assert_type(receipt.evidence, fk.Evidence)
    assert_type(receipt.kind, fk.OrderKind)
    assert_type(receipt.ticket, int | None)
    assert_type(receipt.raise_unless_filled(), fk.Receipt)
    assert_type(fleet.close_position(7100001, 5512345), fk.Receipt)
    assert_type(fleet.modify_position(7100001, 5512345, sl_price=fk.REMOVE), fk.Receipt)
    assert_type(fleet.close_all(), pd.DataFrame)
    assert_type(fleet.plan([]), fk.Plan)
    assert_type(fleet.plan([]).execute(), pd.DataFrame)
    assert_type(fleet.orders(days=7), pd.DataFrame)
    assert_type(fleet.reconcile(wait_s=10), pd.DataFrame)
    assert_type(fleet.resolve("0" * 26, executed=False), fk.Receipt)
    fleet.halt("why")
    fleet.resume()


async def awaiting(fleet: fk.Fleet) -> None:
    """The same calls, awaited, have the same types."""
    assert_type(fleet.aio, fk.AioFleet)
    assert_type(await fleet.aio.accounts(refresh=True), pd.DataFrame)
    assert_type(await fleet.aio.account(7100001), fk.Account)
    assert_type(await fleet.aio.positions(strict=False), pd.DataFrame)
    assert_type(await fleet.aio.trades([7100001], days=90), pd.DataFrame)
    assert_type(await fleet.aio.deals(7100001, since="2026-01-01"), pd.DataFrame)
    assert_type(await fleet.aio.quote(7100001, "EURUSD"), fk.Quote)
    assert_type(await fleet.aio.symbol(7100001, "EURUSD"), fk.Symbol)
    assert_type(await fleet.aio.cache.stats(), fk.CacheStats)
    await fleet.aio.set_phase(7100001, "F2")
    async with fleet.aio.armed(minutes=5, max_volume=1.0, max_orders=4):
        opened = await fleet.aio.open_position(7100001, "EURUSD", "buy", 0.5)
    assert_type(opened, fk.Receipt)
    async with fleet.aio as entered:
        assert_type(entered, fk.AioFleet)


def failing(fleet: fk.Fleet) -> None:
    """Errors carry what a program needs to go on."""
    try:
        fleet.positions()
    except fk.PartialResult as partial:
        assert_type(partial.frame, pd.DataFrame)
        assert_type(partial.missing, list[int | str])
        assert_type(partial.reasons, dict[int | str, str])
    except fk.ContractError as error:
        assert_type(error.agent, str)
        assert_type(error.account, int | None)
        assert_type(error.json_path, str)
    except fk.AgentRefused as error:
        assert_type(error.status_code, int)


def simulating(fleet: fk.DemoFleet) -> None:
    """Faults are data, by account, by agent or for all."""
    fleet.demo.faults[7100001] = fk.sim.Faults(latency=fk.sim.Latency.fixed(20))
    fleet.demo.faults.set(None, fk.sim.Faults(status_code=500))
    fleet.demo.faults.clear()
    assert_type(fleet.demo.faults["vps01-a1"], fk.sim.Faults)
    assert_type(fleet.demo.requests(), dict[str, dict[str, int]])


def refused(fleet: fk.Fleet) -> None:
    """What makes no sense is seen by the type checker (an unused ignore is an error)."""
    fleet.accounts(refresh_now=True)  # type: ignore[call-arg]  # no such parameter
    fleet.trades(days="90")  # type: ignore[arg-type]  # days are a number
    fleet.account("7100001")  # type: ignore[arg-type]  # an account is a number
    fleet.load_labels({}, field="balance")  # type: ignore[arg-type]  # not a label
    fk.demo(layer="future")  # type: ignore[arg-type]  # there are two
    fk.demo(pool=None)  # type: ignore[call-arg]  # a demo is no place for it


def others() -> None:
    """The rest of the module."""
    assert_type(fk.allow_nested_asyncio(), str)
    assert_type(fk.__version__, str)
