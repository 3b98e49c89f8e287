"""Reading a fleet beside what people use today: httpx by hand, aiohttp by hand."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from statistics import median

import aiohttp
import httpx
import pandas as pd
import pytest

import fleetkit as fk
from tests.bench.conftest import in_turn, milliseconds

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]


class Rival:
    """A loop of its own, kept between rounds, as a careful user would."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture
def rival() -> Iterator[Rival]:
    rival = Rival()
    yield rival
    rival.close()


def urls(ports: list[int]) -> list[str]:
    return [f"http://127.0.0.1:{port}/accounts" for port in ports]


@pytest.fixture
def fleet_of(lean_agents, tmp_path) -> Iterator[Callable[[int], fk.Fleet]]:
    fleets: list[fk.Fleet] = []

    def make(agents: int) -> fk.Fleet:
        ports = lean_agents(agents)
        fleet = fk.connect(
            [
                {"name": f"a{n}", "url": f"http://127.0.0.1:{port}", "account": 7100001 + n}
                for n, port in enumerate(ports)
            ],
            home=tmp_path,
            progress=False,
        )
        fleets.append(fleet)
        frame = fleet.accounts()
        assert (frame["source"] == "live").all(), frame["error"].dropna().tolist()
        return fleet

    yield make
    for fleet in fleets:
        fleet.close()


def refreshed(fleet: fk.Fleet) -> Callable[[], object]:
    def read() -> pd.DataFrame:
        frame = fleet.accounts(refresh=True)
        assert (frame["source"] == "live").all()
        return frame

    return read


async def _aiohttp_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


async def _aiohttp_round(session: aiohttp.ClientSession, targets: list[str]) -> list[object]:
    async def one(url: str) -> object:
        async with session.get(url) as reply:
            return json.loads(await reply.read())

    return await asyncio.gather(*(one(url) for url in targets))


async def _httpx_round(client: httpx.AsyncClient, targets: list[str]) -> list[object]:
    async def one(url: str) -> object:
        return (await client.get(url, timeout=600)).json()

    return await asyncio.gather(*(one(url) for url in targets))


async def _httpx_new_client_each(targets: list[str]) -> list[object]:
    async def one(url: str) -> object:
        async with httpx.AsyncClient(timeout=600) as client:
            return (await client.get(url)).json()

    return await asyncio.gather(*(one(url) for url in targets))


@pytest.mark.parametrize("agents", [69, 1000])
def test_refresh_beside_aiohttp(benchmark, table, rival, fleet_of, lean_agents, agents) -> None:
    """Warm refresh to the frame, beside bare aiohttp and json."""
    fleet = fleet_of(agents)
    session = rival.run(_aiohttp_session())
    targets = urls(lean_agents(agents))
    rounds = 30 if agents < 100 else 9
    pair = in_turn(
        benchmark,
        refreshed(fleet),
        lambda: rival.run(_aiohttp_round(session, targets)),
        rounds,
    )
    rival.run(session.close())
    per_account_us = pair.ours_s / agents * 1e6
    table.add(
        f"warm refresh of {agents:,} agents, to the frame ({per_account_us:.0f} µs each)",
        milliseconds(pair.ours_s),
        f"bare aiohttp + json {milliseconds(pair.theirs_s)}",
        f"{pair.times_the_time:.2f} × its time",
        "≤ 4 ×" if agents < 100 else "≤ 3 ×",
    )


@pytest.mark.parametrize("agents", [69, 1000])
def test_refresh_beside_shared_httpx(
    benchmark, table, rival, fleet_of, lean_agents, agents
) -> None:
    """The same beside one shared httpx client."""
    fleet = fleet_of(agents)
    targets = urls(lean_agents(agents))
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=50)

    async def make() -> httpx.AsyncClient:
        return httpx.AsyncClient(http2=True, limits=limits)

    client = rival.run(make())
    pair = in_turn(
        benchmark,
        refreshed(fleet),
        lambda: rival.run(_httpx_round(client, targets)),
        10 if agents < 100 else 2,
    )
    rival.run(client.aclose())
    table.add(
        f"warm refresh of {agents:,} agents, to the frame",
        milliseconds(pair.ours_s),
        f"one shared httpx client {milliseconds(pair.theirs_s)}",
        f"{pair.times_faster:.1f} × faster",
        "≥ 2.5 ×" if agents < 100 else "≥ 20 ×",
    )


def test_refresh_beside_new_clients(benchmark, table, rival, fleet_of, lean_agents) -> None:
    """The same beside a new httpx client for each request."""
    fleet = fleet_of(69)
    targets = urls(lean_agents(69))
    pair = in_turn(
        benchmark, refreshed(fleet), lambda: rival.run(_httpx_new_client_each(targets)), 3
    )
    table.add(
        "warm refresh of 69 agents, to the frame",
        milliseconds(pair.ours_s),
        f"a new httpx client per request {milliseconds(pair.theirs_s)}",
        f"{pair.times_faster:.0f} × faster",
        "–",
    )


def test_cost_per_account_grows_slowly(benchmark, table, fleet_of) -> None:
    """An account of 1,000 costs about what one of 69 costs."""
    small, large = fleet_of(69), fleet_of(1000)
    pair = in_turn(benchmark, refreshed(large), refreshed(small), 9)
    each = pair.ours_s / 1000 / (pair.theirs_s / 69)
    table.add(
        "refresh, cost per account at 1,000 agents",
        f"{pair.ours_s * 1000:.0f} µs each",
        f"at 69 agents {pair.theirs_s / 69 * 1e6:.0f} µs each",
        f"{each:.2f} ×",
        "≤ 1.3 ×",
    )


@pytest.mark.parametrize("accounts", [69, 10_000])
def test_accounts_from_cache(benchmark, table, filled_fleet, accounts) -> None:
    """A whole fleet from the cache beside building a frame from dicts."""
    fleet = filled_fleet(accounts)
    records = fleet.accounts().reset_index().to_dict("records")
    assert len(records) == accounts

    def read() -> None:
        assert fleet.accounts()["source"].iloc[0] == "cache"

    calls = 20  # an analyst's core is warm; one call among other work would time the caches
    pair = in_turn(
        benchmark,
        lambda: [fleet.accounts() for _ in range(calls)],
        lambda: [pd.DataFrame(records) for _ in range(calls)],
        50 if accounts < 100 else 5,
    )
    read()
    table.add(
        f"`accounts()` from cache, {accounts:,} accounts",
        milliseconds(pair.ours_s / calls),
        f"a frame from dicts {milliseconds(pair.theirs_s / calls)}",
        f"{pair.times_faster:.0f} × faster",
        "≤ 0.2 ms" if accounts < 100 else "≤ 1 ms",
    )


@pytest.fixture
def filled_fleet(tmp_path) -> Iterator[Callable[[int], fk.Fleet]]:
    """Fleets whose cache is full without a server: the cache alone is timed."""
    from fleetkit.model import AccountReading

    fleets: list[fk.Fleet] = []

    def make(accounts: int) -> fk.Fleet:
        fleet = fk.connect(
            [
                {"name": f"a{n}", "url": f"http://127.0.0.1:9/{n}", "account": 7100001 + n}
                for n in range(accounts)
            ],
            home=tmp_path,
            cache_ttl_s=600,
        )
        fleets.append(fleet)
        target = fleet._target

        async def fill() -> None:
            cache = target.caches.accounts
            for n in range(accounts):
                reading = AccountReading(
                    account=7100001 + n, balance=100000.0 + n, initial_balance=100000.0
                )
                cache.put(f"a{n}", reading, cache.generation(f"a{n}"))

        fleet._loop.blocking(fill)
        assert (fleet.accounts()["source"] == "cache").all()
        return fleet

    yield make
    for fleet in fleets:
        fleet.close()


def test_label_to_next_frame(benchmark, table, fleet_of) -> None:
    """A label change, to the frame that shows it."""
    fleet = fleet_of(69)
    count = iter(range(10_000))
    shown: list[bool] = []

    def relabel() -> None:
        phase = f"F{next(count)}"
        fleet.set_phase(7100001, phase)
        shown.append(fleet.accounts().at[7100001, "phase"] == phase)

    benchmark.pedantic(relabel, rounds=100, warmup_rounds=3)
    assert all(shown)
    table.add(
        "label change to the next frame",
        f"{milliseconds(benchmark.stats.stats.median)}, "
        f"best {milliseconds(benchmark.stats.stats.min)}",
        "–",
        "0 requests",
        "≤ 1 ms",
    )


def test_invalidation_to_next_frame(benchmark, table, rival, fleet_of, lean_agents) -> None:
    """One account invalidated, to the frame that has it anew; and how many stayed valid."""
    fleet = fleet_of(69)
    session = rival.run(_aiohttp_session())
    target = urls(lean_agents(69))[:1]
    rival.run(_aiohttp_round(session, target))
    latencies: list[float] = []

    def agent_alone() -> None:
        started = time.perf_counter()
        rival.run(_aiohttp_round(session, target))
        latencies.append(time.perf_counter() - started)

    kept: list[int] = []

    def touch() -> None:
        fleet.cache.invalidate(7100001)
        kept.append(int((fleet.accounts()["source"] == "cache").sum()))

    benchmark.pedantic(touch, setup=agent_alone, rounds=50, warmup_rounds=1)
    rival.run(session.close())
    ours_s = benchmark.stats.stats.median
    table.add(
        "invalidation of one account to the next frame",
        milliseconds(ours_s),
        f"the agent's own latency {milliseconds(median(latencies))}",
        f"+ {milliseconds(ours_s - median(latencies))}",
        "≤ + 10 ms",
    )
    table.add(
        "share of the cache still valid after one of 69 was touched",
        f"{min(kept)} of 69",
        "–",
        "–",
        "68 of 69",
    )
