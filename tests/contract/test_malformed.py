"""Whatever one agent answers, its own row says so and no other row knows of it."""

from __future__ import annotations

import json

import pytest

import fleetkit as fk
from tests.support.agents import Reply
from tests.support.bodies import account_body, history_body, position, positions_body, trade

NUMBER = 7_100_002  # of the second agent, which misbehaves


def account(**wrong):
    return json.dumps(account_body(NUMBER, **wrong)).encode()


def without(body, *names):
    return json.dumps({name: value for name, value in body.items() if name not in names}).encode()


def raw(body, old, new):
    """A body with some of its bytes exchanged, which `json` would not write."""
    assert old in body
    return body.replace(old, new)


ACCOUNTS = {
    "nothing": (b"", "$"),
    "cut off": (account()[:-20], "$"),
    "not JSON": (b"It works!", "$"),
    "an HTML page": (b"<!DOCTYPE html><html><body>Login</body></html>", "$"),
    "a number": (b"42", "$"),
    "a text": (b'"busy"', "$"),
    "null": (b"null", "$"),
    "two documents": (account() * 2, "$"),
    "invalid UTF-8": (raw(account(), b"Unknown", b"\xff\xfe\xff"), "$"),
    "NaN": (account(balance=float("nan")), "$"),
    "Infinity": (account(balance=float("inf")), "$"),
    "a number too large": (raw(account(balance=1.5), b"1.5", b"1e999"), "$.balance"),
    "an empty object": (b"{}", "$"),
    "an error object": (b'{"detail": "busy"}', "$"),
    "no balance": (without(account_body(NUMBER), "balance"), "$"),
    "no number": (without(account_body(NUMBER), "account_number"), "$"),
    "no status": (without(account_body(NUMBER), "status"), "$"),
    "a text for a balance": (account(balance="100"), "$.balance"),
    "null for a balance": (account(balance=None), "$.balance"),
    "a list for a balance": (account(balance=[1]), "$.balance"),
    "a negative number": (account(account_number=-NUMBER), "$.account_number"),
    "a text for a number": (account(account_number=str(NUMBER)), "$.account_number"),
    "a fraction for a number": (account(account_number=7.5), "$.account_number"),
    "a number beyond 64 bits": (account(account_number=2**64), "$.account_number"),
    "a number of 400 digits": (account(account_number=10**400), "$.account_number"),
    "a number for a status": (account(status=1), "$.status"),
    "a number for a name": (account(account_name=5), "$.account_name"),
    "a text for days": (account(days_operating="12"), "$.days_operating"),
    "days beyond 64 bits": (account(days_operating=2**63), "$.days_operating"),
    "a word for a flag": (account(has_open_position="no"), "$.has_open_position"),
    "no time": (account(last_updated="yesterday"), "$.last_updated"),
    "an empty list": (b"[]", "$"),
    "an empty envelope": (b'{"accounts": []}', "$"),
    "an envelope of nothing": (b'{"accounts": null}', "$.accounts"),
    "a list with a mistake": (b"[" + account(balance="1") + b"]", "$[0].balance"),
    "an envelope with a mistake": (
        b'{"accounts": [' + account(balance="1") + b"]}",
        "$.accounts[0].balance",
    ),
    "two strangers": (json.dumps([account_body(1), account_body(2)]).encode(), "$"),
    "deep lists": (b"[" * 100_000, "$[0]"),
    "deep lists in a field nobody reads": (
        raw(account(more=1), b'"more": 1', b'"more": ' + b"[" * 100_000 + b"]" * 100_000),
        "$",
    ),
    "deep objects": (b'{"a":' * 100_000, "$"),
}


@pytest.mark.parametrize(("body", "path"), ACCOUNTS.values(), ids=ACCOUNTS)
def test_a_malformed_account_stays_in_its_row(serve, connect, body, path):
    """The error has agent and JSON path; the other accounts are live."""
    agents = serve(3)
    agents[1].always("/accounts", Reply(body))
    frame = connect(agents.configured()).accounts()
    assert frame["source"].tolist() == ["live", "none", "live"]
    row = frame.loc[NUMBER]
    assert row["status"] == "error"
    assert row["error"].startswith("vps01 answered /accounts with something unexpected: ")
    assert row["error"].endswith(f" at {path}.")
    assert frame["balance"].isna().tolist() == [False, True, False]


def test_the_last_good_figures_survive_a_malformed_answer(serve, connect):
    """As stale; strict calls raise, with path and all."""
    agents = serve(3)
    fleet = connect(agents.config())
    before = fleet.accounts()
    agents[1].always("/accounts", Reply(account(balance="1")))
    with pytest.raises(fk.PartialResult) as caught:
        fleet.accounts(refresh=True, strict=True)
    frame = caught.value.frame
    assert frame["source"].tolist() == ["live", "stale", "live"]
    assert frame["balance"].tolist() == before["balance"].tolist()
    assert caught.value.missing == [NUMBER]
    assert "at $.balance" in caught.value.reasons[NUMBER]


def test_long_and_odd_text_is_text(serve, connect):
    """10 kB of name, unknown fields, a byte order of fields nobody promised."""
    agents = serve(1)
    name = "Ünïcödé 漢字 🎲 " * 600
    body = dict(reversed(account_body(agents[0].number, account_name=name, extra=[1]).items()))
    agents[0].always("/accounts", Reply(body))
    row = connect(agents.config()).accounts().iloc[0]
    assert (row["status"], row["name"]) == ("connected", name)


def test_absent_optional_fields_are_unknown(serve, connect):
    """Number, balance and status are enough for a row."""
    agents = serve(1)
    body = {"account_number": agents[0].number, "balance": 5, "status": "connected"}
    agents[0].always("/accounts", Reply(body))
    row = connect(agents.config()).accounts().iloc[0]
    assert (row["status"], row["balance"]) == ("connected", 5.0)
    assert row[["name", "initial_balance", "pnl", "pnl_pct", "days_operating"]].isna().all()


def test_an_initial_balance_of_zero_has_no_percentage(serve, connect):
    """Nothing is divided by it."""
    agents = serve(1)
    agents[0].account = {**agents[0].account, "initial_balance": 0.0, "balance": 5.0}
    row = connect(agents.config()).accounts().iloc[0]
    assert row["pnl"] == 5.0
    assert row[["pnl_pct"]].isna().all()


def positions(**wrong):
    return positions_body(NUMBER, [position(11), {**position(12), **wrong}])


POSITIONS = {
    "no list": ({"account_number": NUMBER}, "$"),
    "null for a list": ({"account_number": NUMBER, "positions": None}, "$.positions"),
    "a list": ([], "$"),
    "a text for a volume": (positions(volume="0.5"), "$.positions[1].volume"),
    "a negative ticket": (positions(ticket=-1), "$.positions[1].ticket"),
    "a strange side": (positions(type="HOLD"), "$.positions[1].type"),
    "no time": (positions(open_time="soon"), "$.positions[1].open_time"),
    "an HTML page": (b"<html>", "$"),
    "deep lists": (b'{"positions": ' + b"[" * 100_000, "$.positions[0]"),
}


@pytest.mark.parametrize(("body", "path"), POSITIONS.values(), ids=POSITIONS)
def test_malformed_positions_are_missing(serve, connect, body, path):
    """The others' rows are there; the reason has agent and path."""
    agents = serve(2)
    agents[0].positions = [position(1)]
    agents[1].always("/positions", Reply(body))
    with pytest.raises(fk.PartialResult) as caught:
        connect(agents.configured()).positions()
    assert caught.value.frame.index.tolist() == [1]
    (reason,) = caught.value.reasons.values()
    assert reason.startswith("vps01 answered /positions with something unexpected: ")
    assert reason.endswith(f" at {path}.")


def history(**wrong):
    return {**history_body(NUMBER, []), "trades": [trade(21), trade(22, **wrong)]}


TRADES = {
    "no list": ({"account_number": NUMBER}, "$"),
    "a text for a profit": (history(profit="1"), "$.trades[1].profit"),
    "a strange side": (history(side="HOLD"), "$.trades[1].side"),
    "no time": (history(exit_time="soon"), "$.trades[1].exit_time"),
    "an impossible day": (history(entry_time="2026-02-31T00:00:00"), "$.trades[1].entry_time"),
    "a number for a time": (history(exit_time=5), "$.trades[1].exit_time"),
    "no symbol": (history(symbol=None), "$.trades[1].symbol"),
    "cut off": (json.dumps(history()).encode()[:-9], "$"),
}


@pytest.mark.parametrize(("body", "path"), TRADES.values(), ids=TRADES)
def test_a_malformed_history_is_missing(serve, connect, clock, body, path):
    """The others' trades are there; the reason has agent and path."""
    agents = serve(2)
    agents[0].trades = [trade(1)]
    agents[1].always("/trade-history", Reply(body))
    with pytest.raises(fk.PartialResult) as caught:
        connect(agents.configured(), clock=clock).trades()
    assert caught.value.frame["position_id"].tolist() == [1]
    (reason,) = caught.value.reasons.values()
    assert reason.startswith("vps01 answered /trade-history with something unexpected: ")
    assert reason.endswith(f" at {path}.")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"detail": "MT5 not initialized"}, "HTTP 500: MT5 not initialized"),
        ({"detail": [{"loc": ["query"]}]}, "HTTP 500: "),
        (b"<html>Bad gateway</html>", "HTTP 500: an HTML page"),
        (b"\xff\xfe", "HTTP 500: "),
        (b"", "HTTP 500: no reason given"),
        (b"[" * 100_000, "HTTP 500: "),
    ],
)
def test_an_http_error_is_a_sentence_in_the_row(serve, connect, body, words):
    """Whatever its body is; the other account is live."""
    agents = serve(2)
    agents[1].always("/accounts", Reply(body, status=500))
    frame = connect(agents.configured()).accounts()
    assert frame["source"].tolist() == ["live", "none"]
    assert f"vps01 answered /accounts with {words}" in frame["error"].iloc[1]
    assert len(frame["error"].iloc[1]) < 500


def test_an_error_body_nested_without_end_stays_in_its_row(serve, connect):
    """The other account is live, and nothing else than a sentence comes of it."""
    agents = serve(2)
    agents[1].always("/accounts", Reply(b'{"detail": ' + b"[" * 100_000, status=500))
    frame = connect(agents.configured()).accounts()
    assert frame["source"].tolist() == ["live", "none"]
    assert frame["error"].iloc[1].startswith("vps01 answered /accounts with ")


def test_an_old_agent_without_positions_says_so(serve, connect):
    """404: too old for it; the others' positions are there."""
    agents = serve(2)
    agents[0].positions = [position(1)]
    agents[1].always("/positions", Reply({"detail": "Not Found"}, status=404))
    fleet = connect(agents.configured())
    with pytest.raises(fk.PartialResult, match="has no route /positions") as caught:
        fleet.positions()
    assert caught.value.frame.index.tolist() == [1]
    assert fleet.positions(strict=False).attrs["missing"] == [NUMBER]
    assert fleet.accounts()["status"].tolist() == ["connected"] * 2


def test_fleets_of_nothing_but_failures_have_whole_frames(serve, connect):
    """Every agent broken in another way: rows, sentences, NaN sums, and no exception."""
    agents = serve(4)
    agents[0].always("/accounts", Reply(b"<html>"))
    agents[1].always("/accounts", Reply(status=503, body={"detail": "busy"}))
    agents[2].always("/accounts", Reply(account_body(5)))
    agents[3].always("/accounts", Reply(account_body(0, status="disconnected")))
    fleet = connect(agents.configured())
    frame = fleet.accounts()
    assert frame["status"].tolist() == ["error", "error", "wrong_account", "disconnected"]
    assert frame["source"].tolist() == ["none"] * 4
    assert frame["error"].notna().all()
    summary = fleet.summary()
    assert summary[["accounts", "connected", "disconnected"]].iloc[0].tolist() == [4, 0, 4]
    assert summary[["balance", "equity", "profit"]].isna().all(axis=None)
    assert summary["last_refresh"].isna().all()
