"""Nothing partial is silent: rows, what is missing, and the sentences of refusals."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest

import fleetkit as fk
from tests.support.agents import Reply, until
from tests.support.bodies import position, trade

FAILING = Reply({"detail": "busy"}, status=500)
COLUMNS = [
    *("agent", "status", "name", "holder", "firm", "server", "currency", "leverage"),
    *("balance", "credit", "equity", "profit", "margin", "margin_free", "margin_level"),
    *("initial_balance", "pnl", "pnl_pct", "residual", "days_operating", "has_open_position"),
    *("phase", "vs_group", "as_of", "age_s", "source", "error"),
]


@pytest.fixture
def agents(serve):
    agents = serve(3)
    for place, agent in enumerate(agents):
        agent.positions = [position(10 + place)]
        agent.trades = [trade(20 + place)]
    return agents


def break_down(agent):
    for path in ("/accounts", "/positions", "/trade-history"):
        agent.always(path, FAILING)


def test_a_row_has_every_figure_the_agent_gave(agents, connect):
    """And what follows from them; unknown ones are NaN."""
    agents[0].account = {**agents[0].account, "balance": 101_000.0, "prop_firm": "Firm"}
    frame = connect(agents.config()).accounts()
    assert frame.columns.tolist() == COLUMNS
    assert frame.index.name == "account"
    row = frame.iloc[0]
    assert row["agent"] == "vps00"
    assert row[["balance", "initial_balance", "pnl", "pnl_pct"]].tolist() == [101e3, 100e3, 1e3, 1]
    assert row[["status", "source", "firm", "holder"]].tolist() == [
        "connected",
        "live",
        "Firm",
        "Unknown",
    ]
    assert row[["equity", "margin", "currency", "error"]].isna().all()
    assert (row["phase"], row["vs_group"], row["days_operating"]) == ("F1", "", 12)


def test_every_row_that_is_not_connected_has_a_sentence(agents, connect):
    """And connected ones have none."""
    break_down(agents[1])
    frame = connect(agents.configured()).accounts()
    assert (frame["status"] == "connected").tolist() == [True, False, True]
    assert frame["error"].isna().tolist() == [True, False, True]


def test_accounts_are_lenient_unless_told(agents, connect):
    """`strict=True` raises with the same frame; attrs say what is missing either way."""
    fleet = connect(agents.configured())
    break_down(agents[1])
    lenient = fleet.accounts()
    assert lenient.attrs["missing"] == [agents[1].number]
    with pytest.raises(fk.PartialResult) as caught:
        fleet.accounts(strict=True)
    error = caught.value
    assert error.missing == [agents[1].number]
    assert "HTTP 500: busy" in error.reasons[agents[1].number]
    assert error.frame.index.tolist() == agents.numbers
    assert str(error).startswith(f"Missing or stale: 1. {agents[1].number}: vps01 answered")
    assert "strict=False" in str(error)
    agents[1].heal()
    assert fleet.accounts(strict=True).attrs["missing"] == []


@pytest.mark.parametrize("call", ["positions", "trades"])
def test_lists_are_strict_unless_told(agents, connect, clock, call):
    """Old rows are stale and named; without old rows the account is only named."""
    fleet = connect(agents.configured(), clock=clock)
    read = getattr(fleet, call)
    break_down(agents[2])
    with pytest.raises(fk.PartialResult) as caught:
        read()
    assert caught.value.missing == [agents[2].number]
    assert caught.value.frame["source"].tolist() == ["live"] * 2
    agents[2].heal()
    read()
    break_down(agents[1])
    clock.advance(100)
    frame = read(strict=False)
    rows = frame[["account", "source", "age_s"]].itertuples(index=False)
    by_account = {account: (source, age_s) for account, source, age_s in rows}
    assert by_account == {
        agents[0].number: ("live", 0.0),
        agents[1].number: ("stale", 100.0),
        agents[2].number: ("live", 0.0),
    }
    assert frame.attrs["missing"] == [agents[1].number]


def test_an_agent_nobody_knows_is_named_by_its_name(agents, connect):
    """It has no row anywhere but in `agents()`."""
    break_down(agents[1])
    fleet = connect(agents.config())
    for read in (fleet.accounts, fleet.positions, fleet.trades):
        with pytest.raises(fk.PartialResult) as caught:
            read(strict=True)
        assert caught.value.missing == ["vps01"]
    assert fleet.agents().index.tolist() == ["vps00", "vps01", "vps02"]
    assert fleet.agents()["binding"].tolist() == ["confirmed", "unknown", "confirmed"]


def test_one_account_or_several_can_be_asked_for(agents, connect, clock):
    """Only their agents are asked, in the order given."""
    fleet = connect(agents.configured(), clock=clock)
    first, second, third = agents.numbers
    assert fleet.positions(second)["account"].tolist() == [second]
    assert fleet.positions([third, np.int64(first)])["account"].tolist() == [third, first]
    assert fleet.trades([second])["account"].tolist() == [second]
    asked = [agent.count("/positions") + agent.count("/trade-history") for agent in agents]
    assert asked == [1, 2, 1]
    assert fleet.positions([]).empty
    assert fleet.trades([]).empty
    assert fleet.positions([]).dtypes.equals(fleet.positions().dtypes)


def test_a_number_is_learned_before_it_is_unknown(agents, connect):
    """A cold fleet finds the account; an agent that is known is not asked for it."""
    fleet = connect(agents.config())
    assert fleet.account(agents[1].number).agent == "vps01"
    assert agents.counts() == {"/accounts": 3}
    with pytest.raises(fk.UnknownAccount, match="serves account 5") as caught:
        fleet.positions(5)
    assert caught.value.account == 5
    assert agents.counts() == {"/accounts": 3}


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda fleet: fleet.account("7100001"), "positive whole number such as 7100012"),
        (lambda fleet: fleet.positions(7.5), "positive whole number"),
        (lambda fleet: fleet.trades(days=-1), "`days` is a number above 0"),
        (lambda fleet: fleet.trades(days=1, since="2026-01-01"), "not both"),
        (lambda fleet: fleet.trades(since="soon"), "`since` is a datetime, a date, or text"),
        (lambda fleet: fleet.accounts(patience_s=-1), "`patience_s` is a number of seconds"),
        (lambda fleet: fleet.accounts(patience_s="2"), "`patience_s` is a number of seconds"),
        (lambda fleet: fleet.quote(7_100_001, ""), "A symbol is text such as 'EURUSD'"),
        (lambda fleet: fleet.cache.update(7_100_001, "blance", 1), "No field 'blance' can be up"),
        (lambda fleet: fleet.cache.update(7_100_001, "account", 1), "No field 'account' can be"),
        (lambda fleet: fleet.cache.update(7_100_001, "balance", "1"), "balance cannot be '1'"),
        (lambda fleet: fleet.cache.update(7_100_001, "balance", None), "balance cannot be None"),
        (lambda fleet: fleet.cache.update(7_100_001, "phase", 1), "phase is text, not int"),
    ],
)
def test_a_mistake_meets_a_sentence_and_no_request(agents, connect, call, sentence):
    """Warm, with everything served from the snapshot, as well."""
    fleet = connect(agents.config())
    for _ in range(3):
        fleet.accounts()
    agents.forget_requests()
    with pytest.raises(fk.UsageError, match=sentence):
        call(fleet)
    assert agents.count() == 0


def test_a_field_of_an_account_nobody_read_cannot_be_updated(agents, connect):
    """There is no row to change."""
    fleet = connect(agents.configured())
    with pytest.raises(fk.UsageError, match="was never read; call fleet"):
        fleet.cache.update(agents[0].number, "balance", 1.0)


def test_a_field_update_lasts_until_the_account_is_read_again(agents, connect):
    """It shows in rows and records."""
    fleet = connect(agents.config())
    fleet.accounts()
    fleet.cache.update(agents[0].number, "balance", 5)
    assert fleet.account(agents[0].number).balance == 5.0
    fleet.cache.invalidate(agents[0].number)
    assert fleet.account(agents[0].number).balance == agents[0].account["balance"]


def test_clearing_forgets_figures_and_keeps_labels_and_bindings(agents, connect):
    """The next call is a cold one over known accounts."""
    fleet = connect(agents.config())
    fleet.accounts()
    fleet.set_phase(agents[0].number, "R")
    fleet.cache.clear()
    stats = fleet.cache.stats()
    assert (stats.accounts_cached, stats.agents_cached, stats.evictions) == (0, 0, 0)
    break_down(agents[0])
    frame = fleet.accounts()
    assert frame["source"].tolist() == ["none", "live", "live"]
    assert frame["phase"].tolist() == ["R", "F1", "F1"]


def test_a_clearing_while_others_are_read_leaves_no_row_without_a_sentence(agents, connect, clock):
    """What was fresh when the call began is still this call's."""
    fleet = connect(agents.config(), clock=clock)
    fleet.accounts()
    fleet.cache.invalidate(agents[1].number)
    gate = agents[1].gate("/accounts")
    future = fleet._loop.submit(lambda: fleet._target.accounts(patience_s=5.0))
    until(lambda: fleet.cache.stats() and gate.waiting)
    fleet.cache.clear()
    gate.release()
    frame = future.result(10)
    assert frame["status"].tolist() == ["connected"] * 3
    assert frame["source"].tolist() == ["cache", "live", "cache"]
    assert frame["balance"].notna().all()
    gate.waiting.clear()
    agents[1].heal()
    agents.forget_requests()
    fleet.accounts()
    assert agents.counts() == {"/accounts": 3}


def test_a_binding_voided_while_its_account_is_read_is_an_unknown_account(serve, connect):
    """Another agent claims the number in the meantime: no figures, and a sentence."""
    agents = serve(2)
    fleet = connect(agents.config())
    agents[1].always("/accounts", FAILING)
    fleet.account(agents[0].number)
    agents[1].always("/accounts", Reply(agents[0].account))
    gate = agents[0].gate("/accounts")
    future = fleet._loop.submit(lambda: fleet._target.account(agents[0].number, refresh=True))
    until(lambda: fleet.cache.stats() and gate.waiting)
    with pytest.raises(fk.UnknownAccount):
        fleet.account(5)  # asks whoever has not said whose it is
    gate.release()
    error = future.exception(10)
    assert isinstance(error, fk.UnknownAccount)
    assert "answered for account 7100001, which another agent answers for too" in str(error)


def schema(frame):
    return (frame.dtypes.to_dict(), frame.index.dtype, frame.index.name, frame.columns.tolist())


def every_frame(fleet):
    frames = {
        "accounts": fleet.accounts(),
        "positions": fleet.positions(strict=False),
        "trades": fleet.trades(strict=False),
        "agents": fleet.agents(),
        "labels": fleet.labels(),
        "summary": fleet.summary(),
        "doctor": fleet.doctor(),
        "refresh": fleet.refresh(),
    }
    with suppress(fk.PartialResult):
        frames["reconnect"] = fleet.reconnect()
    return frames


def test_frames_have_one_schema_full_or_empty(agents, serve, connect, clock):
    """Same columns, order and dtypes for a healthy fleet and for one that only fails."""
    healthy = connect(agents.config(), clock=clock)
    healthy.set_phase(agents[0].number, "F2")
    full = every_frame(healthy)
    wrecked = serve(2)
    for agent in wrecked:
        for path in ("/accounts", "/positions", "/trade-history", "/health", "/refresh"):
            agent.always(path, FAILING)
    empty = every_frame(connect(wrecked.config(), clock=clock))
    for call, frame in empty.items():
        assert schema(frame) == schema(full[call]), call
    for call in ("accounts", "positions", "trades", "labels"):
        assert len(full[call]) > 0
    for call in ("accounts", "positions", "trades"):
        assert len(empty[call]) == 0


def test_frames_are_copies(agents, connect, clock):
    """What an analyst does to a frame stays in that frame."""
    fleet = connect(agents.config(), clock=clock)
    for _ in range(3):
        frame = fleet.accounts()
        frame.loc[:, "balance"] = 0.0
        frame["age_s"] = -1.0
        frame.attrs["missing"].append("me")
        del frame["error"]
    frame = fleet.accounts()
    assert (frame["balance"] > 0).all()
    assert frame["age_s"].tolist() == [0.0] * 3
    assert frame.attrs["missing"] == []
    assert frame.columns.tolist() == COLUMNS


def test_a_closed_fleet_says_how_to_open_it(agents, connect):
    """Every call, also the ones that would be served from the snapshot."""
    fleet = connect(agents.config())
    fleet.accounts(), fleet.accounts()
    fleet.close()
    fleet.close()
    for call in (fleet.accounts, fleet.positions, fleet.agents, fleet.labels, fleet.cache.stats):
        with pytest.raises(fk.FleetClosed, match=r"Connect again with fleetkit\.connect"):
            call()


def test_a_newer_fleet_takes_the_older_ones_place(agents, connect):
    """A cell that is run again closes what it opened before."""
    older = connect(agents.config())
    older.accounts()
    newer = connect(agents.config())
    assert len(newer.accounts()) == 3
    with pytest.raises(fk.FleetClosed, match="newer fleet over the same agents took its place"):
        older.accounts()
