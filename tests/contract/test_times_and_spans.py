"""What an agent's times mean (T7), and which trades a span has (T8 to T11)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest

from tests.support.bodies import position, trade
from tests.support.fake_clock import FakeClock

LONG_AGO = "2025-03-30T00:00:00"


def utc(text):
    return pd.Timestamp(text, tz="UTC")


@pytest.fixture
def agent(serve):
    return serve(1)[0]


@pytest.fixture
def fleet(connect, agent, clock):
    return connect([agent.config(time_zone="UTC")], clock=clock)


def asked(agent):
    """The query of the last history request."""
    return [request for request in agent.requests if request.path == "/trade-history"][-1].query


def test_naive_times_are_the_configured_zones(agent, connect, clock):
    """Athens, UTC+2 in winter: of positions, trades and quotes alike."""
    agent.positions = [position(11, open_time="2026-02-01T09:00:00")]
    agent.trades = [trade(21, "2026-02-01T10:30:00.250000", entry_time="2026-01-31T23:30:00")]
    fleet = connect([agent.config(time_zone="Europe/Athens")], clock=clock)
    positions, trades = fleet.positions(), fleet.trades()
    assert positions["open_time"].tolist() == [utc("2026-02-01 07:00")]
    assert trades["entry_time"].tolist() == [utc("2026-01-31 21:30")]
    assert trades["exit_time"].tolist() == [utc("2026-02-01 08:30:00.25")]
    assert fleet.quote(agent.number, "EURUSD").time == datetime(2026, 2, 1, 10, tzinfo=UTC)
    assert positions.attrs["time_zone_assumed"] == trades.attrs["time_zone_assumed"] == []
    assert trades.attrs["ambiguous_times"] == 0


def test_without_a_zone_utc_is_assumed_and_said(agent, connect, clock):
    """The frame lists whose times are only assumed."""
    agent.positions, agent.trades = [position(11)], [trade(21)]
    fleet = connect([agent.config()], clock=clock)
    for frame, column in ((fleet.positions(), "open_time"), (fleet.trades(), "entry_time")):
        assert frame[column].iloc[0].hour in (8, 9)
        assert frame.attrs["time_zone_assumed"] == [agent.number]


def test_an_ambiguous_time_is_the_earlier_one_and_counted(agent, connect):
    """03:30 on the night the clock is set back happened twice in Athens."""
    agent.trades = [trade(21, "2025-10-26T03:30:00", entry_time="2025-10-25T12:00:00")]
    agent.positions = [position(11, open_time="2025-10-26T03:30:00")]
    clock = FakeClock(datetime(2025, 11, 1, tzinfo=UTC))
    fleet = connect([agent.config(time_zone="Europe/Athens")], clock=clock)
    trades = fleet.trades()
    assert trades["exit_time"].tolist() == [utc("2025-10-26 00:30")]
    assert trades.attrs["ambiguous_times"] == 1
    assert fleet.positions()["open_time"].tolist() == [utc("2025-10-26 00:30")]


def test_a_time_that_never_was_is_the_moment_of_the_change(agent, connect):
    """03:30 on the night the clock is set forward was skipped in Athens."""
    agent.trades = [trade(21, "2025-03-30T03:30:00", entry_time="2025-03-30T01:00:00")]
    clock = FakeClock(datetime(2025, 4, 1, tzinfo=UTC))
    fleet = connect([agent.config(time_zone="Europe/Athens")], clock=clock)
    assert fleet.trades()["exit_time"].tolist() == [utc("2025-03-30 01:00")]


def test_a_position_at_the_edge_of_time_has_no_time(agent, connect):
    """Year 1 east of Greenwich is before year 1 in UTC; the row is fine."""
    agent.positions = [position(11, open_time="0001-01-01T00:00:00")]
    frame = connect([agent.config(time_zone="Europe/Athens")]).positions()
    assert frame["open_time"].isna().all()


def test_a_span_is_of_exits_so_35_days_more_are_asked(fleet, agent):
    """T8: a trade opened long before the span and closed in it belongs to it."""
    agent.trades = [
        trade(23, "2026-01-30T10:00:00", entry_time="2025-12-20T08:00:00"),
        trade(22, "2026-01-03T10:00:00", entry_time="2026-01-02T08:00:00"),
        trade(21, "2026-01-01T10:00:00", entry_time="2025-12-31T08:00:00"),
    ]
    assert fleet.trades(agent.number, days=30)["position_id"].tolist() == [23, 22]
    assert asked(agent) == {"days": "65"}
    assert fleet.trades(agent.number, days=31.5)["position_id"].tolist() == [23, 22, 21]
    assert asked(agent) == {"days": "67"}
    assert fleet.trades(agent.number)["position_id"].tolist() == [23, 22]
    assert agent.count("/trade-history") == 2  # what the longer span has, the shorter one has


def test_a_trade_seen_once_is_never_lost_and_never_doubled(fleet, agent, clock):
    """T8: the agent forgets, repeats, and brings a trade late."""
    agent.trades = [trade(22, "2026-02-01T09:00:00"), trade(21, "2026-01-31T10:00:00")]
    fleet.trades()
    agent.trades = [trade(22, "2026-02-01T09:00:00"), trade(22, "2026-02-01T09:00:00")]
    clock.advance(61)
    assert fleet.trades()["position_id"].tolist() == [22, 21]
    agent.trades = [
        trade(23, "2026-02-01T09:30:00"),
        trade(22, "2026-02-01T09:00:00", profit=70.0),
        trade(20, "2026-01-20T10:00:00"),
    ]
    clock.advance(61)
    trades = fleet.trades()
    assert trades["position_id"].tolist() == [23, 22, 21, 20]
    assert trades["profit"].tolist() == [61.5, 70.0, 61.5, 61.5]


def test_a_short_answer_does_not_make_a_long_history_fresh(fleet, agent, clock):
    """What was read an hour ago may have got company: the long span is read again."""
    long_ago = trade(21, "2025-11-20T10:00:00", entry_time="2025-11-20T08:00:00")
    agent.trades = [long_ago]
    fleet.trades(days=200)
    clock.advance(61)
    fleet.trades(days=5)
    late = trade(22, "2025-12-20T10:00:00", entry_time="2025-09-20T08:00:00")
    agent.trades = [late, long_ago]
    assert fleet.trades(days=200)["position_id"].tolist() == [22, 21]
    assert agent.count("/trade-history") == 3


@pytest.mark.parametrize(
    ("days", "query"),
    [
        (1, {"days": "36"}),
        (330, {"days": "365"}),
        (331, {"from_date": "2025-01-31T00:00:00"}),
        (730, {"from_date": "2023-12-29T00:00:00"}),
    ],
)
def test_more_than_365_days_are_asked_by_date(fleet, agent, days, query):
    """T9: `days` above 365 would be a 400; 35 days more are in it either way."""
    fleet.trades(days=days)
    assert asked(agent) == query


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_a_date_is_sent_naive_in_the_agents_zone(agent, connect, clock, zone):
    """T10: an offset or a Z would end in a 500."""
    fleet = connect([agent.config(time_zone=zone)], clock=clock)
    fleet.trades(since="2020-06-01T00:00:00+00:00")
    start = asked(agent)["from_date"]
    naive = datetime.fromisoformat(start)
    assert naive.tzinfo is None
    assert naive <= datetime(2020, 6, 1) - timedelta(days=34)  # noqa: DTZ001 - it is wall clock


@pytest.mark.parametrize("since", ["0001-01-01", "1969-07-20", date.min])
def test_since_the_dawn_of_time(agent, connect, clock, since):
    """No overflow in any zone; terminals count from 1970."""
    fleet = connect([agent.config(time_zone="America/New_York")], clock=clock)
    fleet.trades(since=since)
    assert asked(agent)["from_date"].startswith("1969-11-2")


def test_a_residual_needs_the_whole_life_of_the_account(fleet, agent, clock):
    """T11: NaN until the history covers it; then what the trades do not explain."""
    agent.account = {**agent.account, "days_operating": 60, "balance": 100_120.0}
    agent.trades = [trade(21), trade(22)]  # 58.00 net each
    number = agent.number
    assert pd.isna(fleet.accounts().loc[number, "residual"])
    fleet.trades(days=30)
    assert pd.isna(fleet.accounts().loc[number, "residual"])
    fleet.trades(days=61)
    assert fleet.accounts().loc[number, "residual"] == pytest.approx(4.0)
    fleet.trades(days=7, refresh=True)
    assert fleet.accounts(refresh=True).loc[number, "residual"] == pytest.approx(4.0)


def test_a_balance_newer_than_the_history_has_no_residual(fleet, agent, clock):
    """T11: a trade that closed meanwhile is not what the agent lost."""
    agent.account = {**agent.account, "days_operating": 10, "balance": 100_058.0}
    agent.trades = [trade(21)]
    fleet.trades()
    assert fleet.accounts()["residual"].iloc[0] == pytest.approx(0.0)
    clock.advance(3600)
    agent.account = {**agent.account, "balance": 100_116.0}
    agent.trades = [trade(21), trade(22)]
    assert fleet.accounts()["residual"].isna().all()
    fleet.trades()
    assert fleet.accounts()["residual"].iloc[0] == pytest.approx(0.0)


def test_without_an_initial_balance_there_is_no_residual(fleet, agent):
    """Nor without the days of operation: nothing says that the history is whole."""
    for field in ("initial_balance", "days_operating"):
        agent.account = {**agent.account, field: None}
        fleet.trades(days=300, refresh=True)
        assert fleet.accounts(refresh=True)["residual"].isna().all()
