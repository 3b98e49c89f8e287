"""The single calls: account, quote, summary, agents, doctor, refresh, reconnect."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import format_datetime

import pandas as pd
import pytest

import fleetkit as fk
from tests.support.agents import Reply
from tests.support.bodies import account_body, disconnected_body, quote_body

FAILING = Reply({"detail": "busy"}, status=500)


def test_an_account_is_a_record(serve, connect):
    """With enumerations for words, and its labels."""
    agents = serve(2)
    fleet = connect(agents.config())
    number = agents[1].number
    fleet.accounts()
    fleet.set_vs_group(number, "left")
    account = fleet.account(number)
    assert isinstance(account, fk.Account)
    assert (account.status, account.source) == (fk.AccountStatus.CONNECTED, fk.Source.CACHE)
    assert (account.vs_group, account.phase, account.agent) == ("left", "F1", "vps01")
    assert account.pnl == account.balance - 100_000
    assert fleet.account(number, refresh=True).source is fk.Source.LIVE
    assert agents.counts() == {"/accounts": 3}
    assert f"Account {number}" in account._repr_html_()


def test_an_account_in_trouble_is_a_record_with_a_sentence(serve, connect):
    """It does not raise: status and error say it."""
    agents = serve(1)
    agents[0].always("/accounts", FAILING)
    account = connect(agents.configured()).account(agents[0].number)
    assert (account.status, account.source) == (fk.AccountStatus.ERROR, fk.Source.NONE)
    assert account.balance is None
    assert "HTTP 500: busy" in account.error


def test_a_quote_is_what_the_terminal_sees_now(serve, connect):
    """Asked each time; symbols may have anything in their names."""
    agents = serve(1)
    fleet = connect(agents.configured(time_zone="Europe/Athens"))
    number = agents[0].number
    for _ in range(2):
        quote = fleet.quote(number, " EURUSD ")
    assert (quote.symbol, quote.bid, quote.ask) == ("EURUSD", 1.0861, 1.0863)
    assert quote.spread == pytest.approx(0.0002)
    assert (quote.point, quote.tick_value) == (0.00001, 1.0)
    assert quote.time == datetime(2026, 2, 1, 10, tzinfo=UTC)
    assert agents[0].count("/quote/EURUSD") == 2
    fleet.quote(number, "#US30/x y?z")
    assert agents[0].requests[-1].path == "/quote/#US30/x y?z"
    assert agents[0].requests[-1].query == {}


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Reply({"detail": "Symbol X not found"}, status=404), fk.AgentRefused, "Symbol X not"),
        (FAILING, fk.AgentRefused, "HTTP 500: busy"),
        (Reply(quote_body("X", bid="1.1")), fk.ContractError, r"at \$.bid"),
        (Reply(b"<html>"), fk.ContractError, "an HTML page"),
    ],
)
def test_a_quote_that_cannot_be_had_raises(serve, connect, reply, kind, words):
    """With agent and account."""
    agents = serve(1)
    agents[0].always("/quote/X", reply)
    with pytest.raises(kind, match=words) as caught:
        connect(agents.configured()).quote(agents[0].number, "X")
    assert (caught.value.agent, caught.value.account) == ("vps00", agents[0].number)


def test_the_summary_adds_up_what_is_known(serve, connect, clock):
    """One row: counts, sums without unknown figures, and when the fleet was read."""
    agents = serve(3)
    fleet = connect(agents.config(), clock=clock)
    fleet.accounts()
    clock.advance(10)
    agents[2].always("/accounts", Reply(disconnected_body()))
    fleet.accounts(refresh=True)
    row = fleet.summary().iloc[0]
    assert row[["accounts", "connected", "disconnected", "stale"]].tolist() == [3, 2, 1, 1]
    assert row["balance"] == sum(agent.account["balance"] for agent in agents)
    assert row[["equity", "profit", "currency"]].isna().all()
    assert row["last_refresh"] == pd.Timestamp("2026-02-01 12:00:10", tz="UTC")
    clock.advance(5)
    fleet.refresh(agents[0].number)
    assert fleet.cache.stats().last_full_refresh == datetime(2026, 2, 1, 12, 0, 10, tzinfo=UTC)


def test_agents_tells_what_is_known_without_asking(serve, connect):
    """Before and after the first reading."""
    agents = serve(2)
    fleet = connect([agents[0].config(account=agents[0].number), agents[1].config()])
    before = fleet.agents()
    assert before["status"].tolist() == ["unknown"] * 2
    assert before["binding"].tolist() == ["configured", "unknown"]
    assert before["capabilities"].isna().all()
    assert agents.count() == 0
    agents[1].always("/accounts", FAILING)
    fleet.accounts()
    after = fleet.agents()
    assert after["status"].tolist() == ["online", "error"]
    assert after["failures"].tolist() == [0, 1]
    assert after["requests"].tolist() == after["connections"].tolist() == [1, 1]
    assert after["http_version"].tolist() == ["HTTP/1.1"] * 2
    assert after["capabilities"].tolist()[0] == "base"
    assert after["capabilities"].isna().tolist() == [False, True]
    assert "HTTP 500: busy" in after["last_error"].iloc[1]
    assert after["last_ok"].isna().tolist() == [False, True]
    assert after["latency_p50_ms"].iloc[0] > 0
    assert after["latency_p95_ms"].iloc[0] > 0


def test_refresh_reads_some_and_shows_all(serve, connect):
    """The named accounts are live, the rest comes from the cache."""
    agents = serve(3)
    fleet = connect(agents.config())
    fleet.accounts()
    agents.forget_requests()
    frame = fleet.refresh(agents[1].number)
    assert frame["source"].tolist() == ["cache", "live", "cache"]
    assert agents.count() == 1
    assert fleet.refresh()["source"].tolist() == ["live"] * 3
    assert fleet.refresh([])["source"].tolist() == ["cache"] * 3
    agents[1].always("/accounts", FAILING)
    frame = fleet.refresh([agents[1].number, agents[2].number])
    assert frame["source"].tolist() == ["cache", "stale", "live"]
    assert frame.attrs["missing"] == [agents[1].number]


def test_reconnect_asks_the_terminal_and_reads_again(serve, connect):
    """POST /refresh of the named ones only, then their accounts."""
    agents = serve(2)
    fleet = connect(agents.config())
    fleet.accounts()
    agents.forget_requests()
    frame = fleet.reconnect(agents[1].number)
    assert frame["source"].tolist() == ["cache", "live"]
    assert [request.path for request in agents[1].requests] == ["/refresh", "/accounts"]
    assert agents[0].count() == 0
    assert len(fleet.reconnect()) == 2


def test_a_refused_reconnect_is_partial(serve, connect):
    """The sentence of the one, and the frame of all, read again."""
    agents = serve(2)
    fleet = connect(agents.config())
    fleet.accounts()
    agents[1].always("/refresh", Reply({"detail": "terminal stuck"}, status=500))
    with pytest.raises(fk.PartialResult, match="Could not be reconnected: 1") as caught:
        fleet.reconnect()
    assert caught.value.missing == [agents[1].number]
    assert "terminal stuck" in caught.value.reasons[agents[1].number]
    assert caught.value.frame["source"].tolist() == ["live"] * 2
    agents.run(agents[1].hang_up())
    with pytest.raises(fk.PartialResult, match="cannot be reached") as caught:
        fleet.reconnect(agents[1].number)
    assert caught.value.frame["status"].tolist() == ["connected", "offline"]


def test_the_doctor_finds_what_is_wrong_with_each(serve, connect):
    """Healthy, old, unhealthy, skewed, disconnected, offline: and wrong: two questions each."""
    agents = serve(8)
    _, old, unhealthy, skewed, failing, offline, crossed, away = agents
    configs = agents.configured(time_zone="Europe/Athens")
    del configs[0]["time_zone"]
    old.always("/health", Reply({"detail": "Not Found"}, status=404))
    unhealthy.always("/health", Reply({"status": "unhealthy", "mt5_initialized": False}))
    late = format_datetime(datetime(2031, 1, 1, tzinfo=UTC), usegmt=True)
    skewed.always("/health", Reply({"status": "healthy"}, headers={"Date": late}))
    skewed.always("/accounts", Reply(skewed.account, headers={"Date": late}))
    failing.always("/health", FAILING)
    crossed.account = account_body(7100999)
    away.account = disconnected_body()
    agents.run(offline.hang_up())

    found = connect(configs).doctor()

    assert found.index.tolist() == [agent.name for agent in agents]
    assert found["reachable"].tolist() == [True] * 5 + [False, True, True]
    assert found["status"].tolist() == ["online"] * 4 + ["error", "offline", "online", "online"]
    assert found["terminal"].fillna("-").tolist() == [
        "healthy",
        "-",
        "unhealthy",
        "healthy",
        "-",
        "-",
        "healthy",
        "healthy",
    ]
    assert found["time_zone_source"].tolist() == ["assumed"] + ["configured"] * 7
    assert found["clock_skew_s"].abs().gt(1e6).tolist() == [n == 3 for n in range(8)]
    assert found["latency_ms"].notna().tolist() == [n not in (4, 5) for n in range(8)]
    advice = found["advice"].fillna("nothing").tolist()
    assert "Set `time_zone`" in advice[0]
    assert advice[1] == "nothing"
    assert "fleet.reconnect(account)" in advice[2]
    assert "network time" in advice[3]
    assert "Read last_error" in advice[4]
    assert "Check that the VPS is up" in advice[5]
    assert "answers for another account" in advice[6]
    assert "not connected" in advice[7]
    assert "HTTP 500: busy" in found["last_error"].iloc[4]
    assert [agent.count() for agent in agents] == [2, 2, 2, 2, 1, 0, 2, 2]


def test_the_doctor_learns_who_is_unknown(serve, connect):
    """And says where two claim one account, or a 404 has another text."""
    agents = serve(3)
    agents[1].account = account_body(agents[0].number)
    agents[2].always("/health", Reply(b"404 page not found", status=404))
    found = connect(agents.config()).doctor()
    assert found["binding"].tolist() == ["conflict", "conflict", "learned"]
    assert "Two agents claim one account" in found["advice"].iloc[0]
    assert found["account"].isna().tolist() == [True, True, False]
    assert found["reachable"].tolist() == [True] * 3


HOSTILE = "<script>alert(1)</script>\x1b[31m\u202egnp.exe\u2066" + "A" * 10_000


def test_hostile_text_is_inert_wherever_it_shows(serve, connect):
    """Names, holders, symbols, comments and errors: text in frames, harmless in HTML."""
    agents = serve(2)
    agents[0].account = {
        **agents[0].account,
        "account_name": HOSTILE,
        "account_holder": HOSTILE,
        "prop_firm": HOSTILE,
    }
    agents[1].always("/accounts", Reply({"detail": HOSTILE}, status=500))
    fleet = connect(agents.configured())
    frame = fleet.accounts()
    assert frame["name"].iloc[0] == HOSTILE
    assert "<script>" not in frame._repr_html_()
    account = fleet.account(agents[0].number)
    quote = fleet.quote(agents[0].number, "EURUSD<script>")
    for shown in (account, fleet.account(agents[1].number), fleet, fleet.cache.stats(), quote):
        html = shown._repr_html_()
        assert "<script" not in html
        assert not set("\x1b\u202e\u2066") & set(html)
        assert len(html) < 20_000
    assert "&lt;script&gt;" in account._repr_html_()
    assert len(frame["error"].iloc[1]) < 1000
    for shown in (fleet, fleet.aio, fleet.cache):
        assert "\x1b" not in repr(shown)


def test_a_fleet_says_how_it_stands(serve, connect):
    """Before the first reading, after it, and closed."""
    agents = serve(2)
    fleet = connect(agents.config())
    assert repr(fleet) == "<Fleet 2 agents, not read yet>"
    agents[1].always("/accounts", FAILING)
    fleet.accounts()
    assert repr(fleet) == "<Fleet 2 agents, 1 of 1 accounts connected>"
    agents[1].heal()
    fleet.accounts()
    assert repr(fleet) == "<Fleet 2 agents, 2 of 2 accounts connected>"
    assert repr(fleet.aio) == "<AioFleet 2 agents, 2 of 2 accounts connected>"
    assert "2 of 2" in fleet._repr_html_()
    fleet.close()
    assert repr(fleet) == "<Fleet closed, 2 agents>"


@pytest.mark.parametrize(
    ("path", "ask"),
    [
        ("/quote/EURUSD", lambda fleet, number: fleet.quote(number, "EURUSD")),
        ("/refresh", lambda fleet, number: fleet.reconnect(number)),
    ],
)
def test_cancel_all_ends_a_call_that_is_no_reading(serve, connect, path, ask):
    """A quote and a reconnect are called back too, with a sentence, and nothing follows."""
    agents = serve(1)
    fleet = connect(agents.configured())
    hold = agents[0].hang(path)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, fleet, agents[0].number)
        hold.wait()
        assert fleet.cancel_all() == 1
        with pytest.raises(fk.AgentCancelled, match="cancelled before vps00"):
            asked.result(timeout=5)
    hold.release()
    assert fleet.agents()["failures"].tolist() == [0], "our own doing says nothing of the agent"
    assert agents[0].count() == 1


def test_an_error_body_cannot_speak_to_the_terminal(serve, connect):
    """Escape sequences become visible signs, a body nested without end becomes a word."""
    agents = serve(2)
    agents[0].always("/accounts", Reply({"detail": "\x1b[2Jgone\u202e"}, status=500))
    agents[1].always("/accounts", Reply(b'{"detail":' + b"[" * 100_000, status=500))
    errors = connect(agents.configured()).accounts()["error"].tolist()
    assert "␛[2Jgone‹U+202E›" in errors[0]
    assert "nested too deeply" in errors[1] or "HTTP 500" in errors[1]
