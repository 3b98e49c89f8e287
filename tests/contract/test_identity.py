"""Whose figures these are: a terminal without a broker (T1), a cross-wired one (T3)."""

from __future__ import annotations

import pytest

import fleetkit as fk
from tests.support.agents import Reply
from tests.support.bodies import (
    account_body,
    disconnected_body,
    history_body,
    position,
    positions_body,
    trade,
)

STRANGER = 9_999_999


def crossed(agent, number):
    """Make an agent answer with another account's data on every route."""
    agent.always("/accounts", Reply(account_body(number, balance=1.0)))
    agent.always("/positions", Reply(positions_body(number, [position(666)])))
    agent.always("/trade-history", Reply(history_body(number, [trade(666)])))


def test_a_disconnected_terminal_keeps_its_row_and_its_last_figures(serve, connect):
    """T1: 200, account 0, balance 0.0. The row stays, marked, with the last good values."""
    agents = serve(3)
    fleet = connect(agents.config())
    before = fleet.accounts()
    agents[1].always("/accounts", Reply(disconnected_body()))
    frame = fleet.accounts(refresh=True)
    row = frame.iloc[1]
    assert (row["status"], row["source"]) == ("disconnected", "stale")
    assert row["balance"] == before["balance"].iloc[1]
    assert "not connected to the broker" in row["error"]
    assert 0 not in frame.index
    assert frame["balance"].sum() == before["balance"].sum()
    # The figures are younger than the TTL, but the newest answer was this one.
    assert fleet.accounts()["status"].iloc[1] == "disconnected"
    assert fleet.summary()[["connected", "disconnected", "stale"]].iloc[0].tolist() == [2, 1, 1]


def test_a_disconnected_terminal_never_read_before_has_no_figures(serve, connect):
    """T1: NaN, never zero; without a known account there is no row at all."""
    agents = serve(3)
    agents[1].always("/accounts", Reply(disconnected_body()))
    agents[2].always("/accounts", Reply(disconnected_body()))
    known = agents[1].config(account=agents[1].number)
    fleet = connect([agents[0].config(), known, agents[2].config()])
    frame = fleet.accounts()
    assert frame.index.tolist() == [agents[0].number, agents[1].number]
    row = frame.loc[agents[1].number]
    assert (row["status"], row["source"]) == ("disconnected", "none")
    assert row[["balance", "initial_balance", "pnl", "age_s"]].isna().all()
    assert frame["balance"].sum() == agents[0].account["balance"]
    assert frame.attrs["missing"] == [agents[1].number, "vps02"]


def test_disconnected_under_the_right_number_is_disconnected_too(serve, connect):
    """T1: the word counts, whatever the number."""
    agents = serve(1)
    fleet = connect(agents.config())
    fleet.accounts()
    agents[0].account = account_body(agents[0].number, status="disconnected", balance=0.0)
    row = fleet.accounts(refresh=True).iloc[0]
    assert (row["status"], row["source"], row["balance"] > 0) == ("disconnected", "stale", True)


@pytest.mark.parametrize("shape", ["object", "list", "envelope"])
def test_an_account_comes_in_three_shapes(serve, connect, shape):
    """An object, a list of one, an envelope."""
    agents = serve(1)
    body = account_body(agents[0].number)
    shaped = {"object": body, "list": [body], "envelope": {"accounts": [body]}}[shape]
    agents[0].always("/accounts", Reply(shaped))
    frame = connect(agents.config()).accounts()
    assert frame["status"].tolist() == ["connected"]
    assert frame.index.tolist() == [agents[0].number]


def test_of_several_accounts_the_agents_own_is_taken(serve, connect):
    """Where it is configured; an unbound agent could only guess."""
    agents = serve(2)
    for agent in agents:
        agent.always("/accounts", Reply([account_body(1), account_body(agent.number)]))
    fleet = connect([agents[0].config(account=agents[0].number), agents[1].config()])
    frame = fleet.accounts()
    assert frame.index.tolist() == [agents[0].number]
    assert frame.attrs["missing"] == ["vps01"]
    assert "2 accounts" in fleet.agents()["last_error"].iloc[1]


@pytest.mark.parametrize("learned", [False, True], ids=["configured", "learned"])
def test_another_accounts_data_is_never_kept(serve, connect, clock, learned):
    """T3: wrong_account, nothing cached, of no kind, while the old figures stay as stale."""
    agents = serve(2)
    fleet = connect(agents.config() if learned else agents.configured(), clock=clock)
    agents[0].positions = [position(11)]
    agents[0].trades = [trade(21)]
    balance = fleet.accounts()["balance"].iloc[0]
    fleet.positions(), fleet.trades()
    crossed(agents[0], STRANGER)

    row = fleet.accounts(refresh=True).iloc[0]
    assert (row["status"], row["source"], row["balance"]) == ("wrong_account", "stale", balance)
    assert f"answered for account {STRANGER} but is bound to {agents[0].number}" in row["error"]
    for read, column, own in (
        (fleet.positions, None, 11),
        (fleet.trades, "position_id", 21),
    ):
        with pytest.raises(fk.PartialResult, match=f"account {STRANGER}"):
            read(refresh=True)
        rows = read(refresh=True, strict=False)
        assert (rows.index if column is None else rows[column]).tolist() == [own]
        assert rows["source"].tolist() == ["stale"]
        assert rows.attrs["missing"] == [agents[0].number]
    with pytest.raises(fk.UnknownAccount):
        fleet.account(STRANGER)

    agents[0].heal()
    assert fleet.accounts()["status"].tolist() == ["connected"] * 2


def test_a_wrong_very_first_answer_of_a_configured_agent_is_not_believed(serve, connect, clock):
    """T3: no figures of the stranger, in no frame."""
    agents = serve(1)
    crossed(agents[0], STRANGER)
    fleet = connect(agents.configured(), clock=clock)
    frame = fleet.accounts()
    assert frame.index.tolist() == [agents[0].number]
    assert frame[["status", "source"]].iloc[0].tolist() == ["wrong_account", "none"]
    assert frame["balance"].isna().all()
    assert fleet.positions(strict=False).empty
    assert fleet.trades(strict=False).empty


def test_two_agents_that_learn_one_number_void_each_other(serve, connect):
    """T3: neither has it, nothing of either is shown, until they differ again."""
    agents = serve(3)
    fleet = connect(agents.config())
    crossed(agents[1], agents[0].number)

    frame = fleet.accounts()

    assert frame.index.tolist() == [agents[2].number]
    assert set(frame.attrs["missing"]) == {"vps00", "vps01"}
    assert fleet.agents()["binding"].tolist() == ["conflict", "conflict", "learned"]
    assert fleet.agents()["account"].isna().tolist() == [True, True, False]
    assert "set `account` for both" in fleet.doctor()["advice"].iloc[0]
    with pytest.raises(fk.PartialResult) as caught:
        fleet.positions()
    assert set(caught.value.missing) == {"vps00", "vps01"}
    agents[1].heal()
    for _ in range(2):
        frame = fleet.accounts(refresh=True)
    assert frame.index.tolist() == agents.numbers
    assert frame["status"].tolist() == ["connected"] * 3
    assert fleet.accounts().attrs["missing"] == []


def test_a_conflict_drops_what_was_cached_of_both(serve, connect):
    """T3: the first claimant's fresh figures may have been the second one's all along."""
    agents = serve(2)
    agents[0].positions = [position(11)]
    fleet = connect(agents.config())
    agents[1].always("/accounts", Reply(status=500, body={"detail": "busy"}))
    assert fleet.accounts().index.tolist() == [agents[0].number]
    assert len(fleet.positions([agents[0].number])) == 1
    crossed(agents[1], agents[0].number)
    frame = fleet.accounts()
    assert frame.empty
    assert set(frame.attrs["missing"]) == {"vps00", "vps01"}
    assert fleet.positions(strict=False).empty


def test_a_number_that_is_configured_cannot_be_learned_by_another(serve, connect):
    """T3: the configured agent keeps its row; the other has none."""
    agents = serve(2)
    crossed(agents[1], agents[0].number)
    fleet = connect([agents[0].config(account=agents[0].number), agents[1].config()])
    frame = fleet.accounts()
    assert frame.index.tolist() == [agents[0].number]
    assert frame["balance"].iloc[0] == agents[0].account["balance"]
    assert frame.attrs["missing"] == ["vps01"]
    assert fleet.agents()["binding"].tolist() == ["configured", "conflict"]


def test_what_was_learned_holds_for_the_next_connect(serve, connect):
    """T3: a cross-wired first answer of a new session is recognised."""
    agents = serve(2)
    first = connect(agents.config())
    first.accounts()
    assert first.agents()["binding"].tolist() == ["learned"] * 2
    first.accounts(refresh=True)
    assert first.agents()["binding"].tolist() == ["confirmed"] * 2
    first.close()
    crossed(agents[0], STRANGER)

    second = connect(agents.config())

    assert second.agents()["account"].tolist() == agents.numbers
    assert second.agents()["binding"].tolist() == ["confirmed"] * 2
    frame = second.accounts()
    assert frame["status"].tolist() == ["wrong_account", "connected"]
    assert frame["source"].tolist() == ["none", "live"]
    assert agents.count() == 6


def test_a_voided_binding_is_voided_for_the_next_connect_too(serve, connect):
    """T3: a conflict is not forgotten by running the cell again."""
    agents = serve(2)
    fleet = connect(agents.config())
    crossed(agents[1], agents[0].number)
    fleet.accounts()
    fleet.close()
    again = connect(agents.config())
    assert again.agents()["account"].isna().all()
    assert again.agents()["binding"].tolist() == ["unknown"] * 2


def test_another_store_has_learned_nothing(serve, connect, tmp_path):
    """Bindings live in the store, and nowhere else."""
    agents = serve(1)
    connect(agents.config()).accounts()
    other = connect(agents.config(), home=tmp_path / "other")
    assert other.agents()["account"].isna().all()
