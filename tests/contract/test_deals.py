"""The deal ledger: read by cursor, kept, and asked for from its end only."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

import fleetkit as fk
from fleetkit.gateway import ledger
from tests.support.agents import NOT_FOUND, Reply
from tests.support.extended import ExtendedScript, deal

NOON = "2026-02-01T12:00:00"
DEPOSIT = {"type": 2, "entry": 0, "order": 0, "position_id": 0, "symbol": "", "profit": 1_000.0}


@pytest.fixture
def agents(serve):
    return serve(2)


@pytest.fixture
def script(agents):
    """The second agent is extended and has a small ledger."""
    script = ExtendedScript(agents[1])
    script.deals = [
        deal(1, "2026-01-10T08:00:00Z", swap=0.0, commission=0.0, fee=0.0, **DEPOSIT),
        deal(2, "2026-01-20T08:00:00Z", type=0, entry=0, profit=0.0, magic=None),
        deal(3, "2026-01-31T12:00:00+02:00", reason=4, comment="[sl]"),
    ]
    return script


@pytest.fixture
def fleet(connect, agents, script, clock):
    return connect(agents.configured(), clock=clock)


@pytest.fixture
def number(agents):
    return agents[1].number


def test_a_ledger_as_a_frame(fleet, script, number):
    """MetaTrader's words, times in UTC, 0 for "none" missing, the effect on the balance."""
    frame = fleet.deals(number)
    assert frame.index.name == "deal"
    assert frame.index.tolist() == [3, 2, 1]
    assert frame["time"].iloc[0] == pd.Timestamp("2026-01-31 10:00", tz="UTC")
    assert frame["type"].tolist() == ["sell", "buy", "balance"]
    assert frame["entry"].tolist() == ["out", "in", "in"]
    assert frame["reason"].tolist() == ["sl", "client", "client"]
    assert frame["effect"].tolist() == [5.0, -5.0, 1_000.0]
    assert frame.loc[3, ["order", "position_id", "symbol"]].tolist() == [1_003, 4_000, "EURUSD"]
    assert frame.loc[1, ["order", "position_id", "symbol"]].isna().all()
    assert frame["magic"].isna().tolist() == [False, True, False]
    assert frame["account"].tolist() == [number] * 3
    assert set(frame["source"]) == {"live"}
    assert frame.attrs == {"missing": [], "time_zone_assumed": []}


def test_numbers_that_have_no_word_yet_are_missing(fleet, script, number):
    """An unknown type, entry or reason is no error and no other word."""
    script.deals = [deal(1, type=99, entry=-1, reason=2**40), deal(2, reason=None)]
    frame = fleet.deals(number)
    assert frame.loc[1, ["type", "entry", "reason"]].isna().all()
    assert pd.isna(frame.loc[2, "reason"])
    assert list(frame["type"].cat.categories)[:3] == ["buy", "sell", "balance"]


def test_a_base_agent_has_no_deals_and_says_so(fleet, agents, script, number):
    """Its account is missing, with a reason; the others are there."""
    with pytest.raises(fk.PartialResult) as caught:
        fleet.deals()
    assert caught.value.missing == [agents[0].number]
    reason = caught.value.reasons[agents[0].number]
    assert reason == "vps00 speaks the base layer only; deals need our own agent."
    assert caught.value.frame["account"].tolist() == [number] * 3
    assert len(fleet.deals(strict=False)) == 3
    assert agents[0].count("/deals") == 0
    assert fleet.agents()["status"].tolist() == ["online", "online"]
    assert fleet.agents()["failures"].tolist() == [0, 0]


def test_pages_are_read_until_there_are_no_more(fleet, script, number):
    """By cursor, each deal once, in pages as large as an agent gives."""
    script.deals = [deal(each) for each in range(1, 26)]
    script.page = 10
    assert fleet.deals(number).index.tolist() == list(range(25, 0, -1))
    asked = script.asked("/deals")
    assert [query["after"] for query in asked] == ["0", "10", "20"]
    assert {query["limit"] for query in asked} == {"5000"}
    assert {query["from"] for query in asked} == {"2026-01-02T12:00:00+00:00"}


def test_a_later_read_asks_for_the_end_only(fleet, script, number, clock):
    """Two days before the newest known deal; what is older is served from what is kept."""
    fleet.deals(number)
    script.deals = [
        *(each for each in script.deals if each["ticket"] != 1),  # too old to be told again
        deal(4, "2026-02-01T13:00:00Z"),
        deal(5, "2026-01-30T00:00:00Z", comment="booked late"),
    ]
    script.deals[1] = deal(3, "2026-01-31T12:00:00+02:00", type=13)
    clock.advance(7_200)
    frame = fleet.deals(number)
    assert script.asked("/deals")[-1]["from"] == "2026-01-29T10:00:00+00:00"
    assert frame.index.tolist() == [4, 3, 5, 2, 1]
    assert frame.loc[3, "type"] == "buy_canceled"
    assert frame.loc[5, "comment"] == "booked late"


def test_a_deal_dated_in_the_future_hides_no_other(fleet, script, number, clock):
    """What is read again starts two days ago at the latest."""
    script.deals.append(deal(4, "2031-01-01T00:00:00Z"))
    assert fleet.deals(number).index[0] == 4
    script.deals.append(deal(5, "2026-02-01T13:00:00Z"))
    clock.advance(7_200)
    assert fleet.deals(number).index.tolist() == [4, 5, 3, 2, 1]
    assert script.asked("/deals")[-1]["from"] == "2026-01-30T14:00:00+00:00"


def test_a_longer_span_is_read_from_its_start(fleet, script, number):
    """What was never read so far back is asked for, and joined with what is kept."""
    script.deals.append(deal(6, "2025-06-01T00:00:00Z"))
    assert len(fleet.deals(number, days=20)) == 2
    assert fleet.deals(number, since="2025-05-01").index.tolist() == [3, 2, 1, 6]
    assert script.asked("/deals")[-1]["from"] == "2025-05-01T00:00:00+00:00"
    before = len(script.asked("/deals"))
    assert fleet.deals(number, days=20).index.tolist() == [3, 2]
    assert len(script.asked("/deals")) == before


def test_deals_are_cached_and_invalidated_like_trades(fleet, script, number, clock):
    """Fresh ones are served from the cache; invalidating the account reads them again."""
    fleet.deals(number)
    assert set(fleet.deals(number)["source"]) == {"cache"}
    assert len(script.asked("/deals")) == 1
    fleet.cache.invalidate(number)
    assert set(fleet.deals(number)["source"]) == {"live"}
    fleet.deals(number, refresh=True)
    assert len(script.asked("/deals")) == 3
    fleet.cache.clear()
    assert len(fleet.deals(number)) == 3
    assert script.asked("/deals")[-1]["from"] == "2026-01-02T12:00:00+00:00"


def test_callers_at_once_share_one_reading(fleet, script, agents, number):
    """Ten threads, one request."""
    fleet.deals(number)
    fleet.cache.invalidate(number)
    hold = agents[1].hold("/deals", script._deals)
    with ThreadPoolExecutor(10) as threads:
        calls = [threads.submit(fleet.deals, number) for _ in range(10)]
        hold.wait()
        hold.release()
        assert {len(call.result()) for call in calls} == {3}
    assert len(script.asked("/deals")) == 2  # who came late was served from the cache
    assert asyncio.run(_awaited(fleet, number)) == 3


async def _awaited(fleet, number):
    return len(await fleet.aio.deals(number))


def test_spans_that_cross_in_the_air_are_put_together(connect, script, agents, clock, number):
    """The shorter one, landing last, takes nothing away from the longer one."""
    fleet = connect(agents.configured(lanes=2), clock=clock)
    script.deals.append(deal(6, "2025-06-01T00:00:00Z"))
    short = agents[1].hold("/deals", script._deals)
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(fleet.deals, number, days=5)
        short.wait()
        assert len(fleet.deals(number, days=365)) == 4
        short.release()
        assert call.result().index.tolist() == [3]
    before = len(script.asked("/deals"))
    assert len(fleet.deals(number, days=365)) == 4
    assert len(script.asked("/deals")) == before


def page(number, deals, next_after=None):
    return Reply({"account_number": number, "deals": deals, "next_after": next_after})


@pytest.mark.parametrize("next_after", [0, 1, 7])
def test_a_cursor_that_does_not_advance_is_a_contract_error(fleet, agents, number, next_after):
    """The reading ends, and the account is missing with the reason."""
    again = page(number, [] if next_after == 7 else [deal(1)], next_after)
    agents[1].always("/deals", again)
    with pytest.raises(fk.PartialResult) as caught:
        fleet.deals(number)
    assert "does not advance" in caught.value.reasons[number]
    assert "$.next_after" in caught.value.reasons[number]
    assert agents[1].count("/deals") <= 2


def test_a_ledger_without_end_is_a_contract_error(fleet, agents, number, monkeypatch):
    """However far its cursor goes on."""
    monkeypatch.setattr(ledger, "MOST_PAGES", 5)
    agents[1].always(
        "/deals",
        lambda request: page(number, [deal(1)], int(request.query["after"]) + 1),
    )
    with pytest.raises(fk.PartialResult) as caught:
        fleet.deals(number)
    assert "more than 5 pages" in caught.value.reasons[number]
    assert agents[1].count("/deals") == 5


@pytest.mark.parametrize("account", ["zero", "right"])
def test_an_empty_ledger_where_there_was_one_is_suspect(fleet, agents, number, account):
    """A failing terminal looks the same: the old rows stay, stale."""
    fleet.deals(number)
    agents[1].always("/deals", page(0 if account == "zero" else number, []))
    with pytest.raises(fk.PartialResult) as caught:
        fleet.deals(number, refresh=True)
    assert "a failing terminal looks the same" in caught.value.reasons[number]
    frame = fleet.deals(number, refresh=True, strict=False)
    assert frame.index.tolist() == [3, 2, 1]
    assert set(frame["source"]) == {"stale"}


def test_every_page_must_be_of_the_right_account(fleet, script, agents, number):
    """A terminal that is cross-wired in the middle of a ledger spoils nothing (T3)."""
    agents[1].then("/deals", page(number, [deal(1)], 1), page(9_999_999, [deal(2)]))
    with pytest.raises(fk.PartialResult) as caught:
        fleet.deals(number)
    assert "answered for account 9999999" in caught.value.reasons[number]
    assert fleet.deals(number).index.tolist() == [3, 2, 1]


def test_a_time_that_means_nothing_is_named(fleet, agents, number):
    """With its place in the answer."""
    agents[1].always("/deals", page(number, [deal(1), deal(2, "soon")]))
    with pytest.raises(fk.PartialResult) as caught:
        fleet.deals(number)
    assert "'soon' is no date and time. at $.deals[1].time" in caught.value.reasons[number]


def test_an_agent_that_lost_the_route_is_a_base_agent(fleet, script, agents, number):
    """Rolled back between two readings: old rows stale, the reason says what to do."""
    fleet.deals(number)
    agents[1].always("/deals", NOT_FOUND)
    with pytest.raises(fk.PartialResult) as caught:
        fleet.deals(number, refresh=True)
    assert "has no route /deals" in caught.value.reasons[number]
    assert fleet.agents()["capabilities"].iloc[1] == "base"
    assert len(caught.value.frame) == 3


def test_a_naive_time_is_the_agents_zone_and_said_to_be_assumed(connect, agents, script, number):
    """Where an agent leaves the offset out after all."""
    script.deals = [deal(1, "2026-01-31T12:00:00")]
    fleet = connect(agents.configured())
    frame = fleet.deals(number, since="2026-01-01")
    assert frame["time"].iloc[0] == pd.Timestamp("2026-01-31 12:00", tz="UTC")
    assert frame.attrs["time_zone_assumed"] == [number]
