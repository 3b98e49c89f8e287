"""The health panel's tables: what is shown of agents, orders and findings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from fleetkit.model import AgentInfo, AgentStatus, Breaker, CacheStats, Diagnosis, Side
from fleetkit.panels.health_rows import (
    AGENTS,
    BREAKERS,
    DOCTOR,
    JOURNAL,
    JOURNAL_ROWS,
    POINTS,
    STATUSES,
    agent_values,
    born,
    doctor_rows,
    doctor_said,
    journal_rows,
    reconciled,
    sparkline,
    totals,
)
from fleetkit.panels.order_rows import OUTCOMES
from fleetkit.panels.plain import segments_text
from fleetkit.panels.sheet_model import Rows, first_message, next_message
from fleetkit.trading import OrderKind, OrderLine, Outcome

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
ELAPSED = 500.0


def row_of(table, values):
    """A row by its columns' names."""
    return dict(zip([column.name for column in table.columns], values, strict=True))


def agent(name="vps01", **more):
    return AgentInfo(agent=name, url=f"http://{name}:8000", **more)


def order(place, **more):
    return OrderLine(
        order_id=f"fk-{place:04d}",
        account=7100001,
        kind=OrderKind.OPEN,
        created_at=NOW + timedelta(seconds=place),
        symbol="EURUSD",
        side=Side.BUY,
        volume=Decimal("0.10"),
        **more,
    )


def stats(**more):
    counts = dict.fromkeys(
        ("accounts_cached", "agents_cached", "hits", "misses", "stale_hits"), 0
    ) | dict.fromkeys(("flights_joined", "invalidations", "evictions"), 0)
    return CacheStats(**(counts | {"last_full_refresh": None, "ttl_s": 60.0} | more))


def test_every_word_of_status_breaker_and_outcome_has_a_tone():
    """A word without one would be shown without its dot."""
    assert set(STATUSES) == {status.value for status in AgentStatus}
    assert set(BREAKERS) == {breaker.value for breaker in Breaker}
    assert set(OUTCOMES) == {outcome.value for outcome in Outcome} | {"under way"}


def test_an_agents_row_has_its_last_answer_as_an_age():
    """Its moment is told on the Clock, so that a browser can count on."""
    info = agent(account=7100001, status=AgentStatus.ONLINE, last_ok=NOW - timedelta(seconds=12))
    row = row_of(AGENTS, agent_values(info, [0.0554, 0.0021], ELAPSED, NOW))
    assert (row["status"], row["breaker"], row["binding"]) == ("online", "closed", "unknown")
    assert row["last_ok"] == ELAPSED - 12
    assert row["latencies"] == [55, 2]
    never = row_of(AGENTS, agent_values(agent(), [], ELAPSED, NOW))
    assert (never["last_ok"], never["latencies"], never["latency_p50_ms"]) == (None, [], None)


def test_a_wall_clock_that_was_set_back_makes_nothing_younger_than_now():
    """An answer from the future is an answer of this moment."""
    assert born(NOW + timedelta(hours=1), ELAPSED, NOW) == ELAPSED


def test_a_sparkline_ends_with_the_newest_call():
    """The latest sixty calls, thinned from the newest back."""
    calls = [each / 1000 for each in range(1, 201)]
    line = sparkline(calls)
    assert line[-1] == 200
    assert line[0] == 200 - 60 + 3  # the slowest of the oldest three
    assert len(line) == POINTS


@given(st.lists(st.floats(0, 60), max_size=300))
def test_a_sparkline_keeps_the_slowest_call(calls):
    """It is short, and no stall is thinned away."""
    line = sparkline(calls)
    assert len(line) <= POINTS
    newest = [round(each * 1000) for each in calls[-60:]]
    assert max(line, default=None) == max(newest, default=None)
    if len(newest) <= POINTS:
        assert line == newest


def test_a_thousand_agents_that_all_answered_are_a_small_message():
    """One tick in which every agent of a thousand made a call."""
    names = [f"vps{place:04d}" for place in range(1000)]

    def contents(calls):
        latencies = [0.05 + (call * 37 % 90) / 1000 for call in range(calls)]
        rows = {
            name: agent_values(
                agent(name, account=7100001, requests=calls, last_ok=NOW), latencies, ELAPSED, NOW
            )
            for name in names
        }
        return {"agents": Rows(rows)}

    before, after = contents(70), contents(71)
    patch = next_message(2, ELAPSED, before, after, [AGENTS])
    assert 0 < len(str(patch)) < 130_000
    assert len(str(first_message(1, ELAPSED, before, [AGENTS]))) < 400_000


def test_orders_are_listed_newest_first():
    """One under way says so; lots are numbers; the oldest of very many are left out."""
    rows = journal_rows([order(0, outcome=Outcome.FILLED, filled_volume=Decimal("0.1")), order(1)])
    newest, oldest = (row_of(JOURNAL, row) for row in rows.rows.values())
    assert list(rows.rows) == ["fk-0001", "fk-0000"]
    assert (newest["outcome"], newest["filled_volume"]) == ("under way", None)
    assert (oldest["outcome"], oldest["filled_volume"], oldest["volume"]) == ("filled", 0.1, 0.1)
    assert (oldest["side"], oldest["created_at"]) == ("buy", NOW.timestamp())
    many = journal_rows(
        order(place, outcome=Outcome.FILLED, settled_at=NOW) for place in range(JOURNAL_ROWS + 7)
    ).rows
    assert len(many) == JOURNAL_ROWS
    assert "fk-0007" in many
    assert "fk-0006" not in many


def test_an_open_order_is_listed_however_many_came_after_it():
    """What is unknown is never among those that are left out."""
    unknown = order(0, outcome=Outcome.UNKNOWN)
    later = [order(place, outcome=Outcome.FILLED, settled_at=NOW) for place in range(1, 900)]
    rows = journal_rows([unknown, *later]).rows
    assert "fk-0000" in rows
    assert len(rows) == JOURNAL_ROWS


def test_those_with_advice_come_first():
    """The doctor's list begins with what there is to do."""
    found = [
        Diagnosis(agent="a", url="http://a", reachable=True, trading_needs="Needs a binding."),
        Diagnosis(agent="b", url="http://b", advice="Start the agent."),
    ]
    assert list(doctor_rows(found).rows) == ["b", "a"]
    assert row_of(DOCTOR, doctor_rows(found).rows["b"])["advice"] == "Start the agent."
    said = segments_text(doctor_said(found, ["notebook 7.0 is old."]), 0.0)
    assert "1 of 2 agents: see what to do first" in said
    assert "1 may not be traded yet" in said
    assert "notebook 7.0 is old." in said
    assert "nothing to do for any of 1" in segments_text(doctor_said(found[:1], []), 0.0)


def test_the_totals_count_words_and_what_the_cache_did():
    """Online agents first where they are the most; breakers that are not closed are told."""
    infos = {
        "a": agent("a", status=AgentStatus.ONLINE),
        "b": agent("b", status=AgentStatus.ONLINE),
        "c": agent("c", status=AgentStatus.TIMEOUT, breaker=Breaker.OPEN),
    }
    line = segments_text(totals(infos, stats(hits=3, misses=1, accounts_cached=2), 490.0), ELAPSED)
    assert line.startswith("2 online")
    for words in ("1 timeout", "1 left alone", "2 accounts fresh", "hit rate 75%", "10 s ago"):
        assert words in line, words
    assert "all read" not in segments_text(totals(infos, stats(), None), ELAPSED)


def test_tables_keep_their_order_whenever_a_row_comes():
    """A row that comes later is put last by the sheet; its table's own order says where it goes."""
    assert (JOURNAL.sort, DOCTOR.sort) == (("created_at", True), ("advice", False))
    for table in (JOURNAL, DOCTOR):
        assert table.sort[0] in {column.name for column in table.columns}


def test_what_is_still_unknown_is_counted():
    """And says what a person does about it."""
    assert reconciled([order(0, outcome=Outcome.FILLED)]).tone == "good"
    left = reconciled([order(0, outcome=Outcome.UNKNOWN), order(1, outcome=Outcome.UNKNOWN)])
    assert left.text.startswith("2 orders still unknown")
    assert "fleet.resolve" in left.text
