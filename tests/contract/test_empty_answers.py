"""An empty list looks the same from a flat account and from a failing terminal (T2)."""

from __future__ import annotations

import pytest

import fleetkit as fk
from tests.support.agents import Reply
from tests.support.bodies import history_body, position, positions_body, trade

FORMS = pytest.mark.parametrize("account_in_reply", ["zero", "right"])


@pytest.fixture
def agent(serve):
    """An agent with two open positions."""
    agent = serve(1)[0]
    agent.positions = [position(11), position(12)]
    agent.account = {**agent.account, "balance": 1000.0, "has_open_position": True}
    return agent


@pytest.fixture
def fleet(connect, agent, clock):
    """A fleet that has seen them, and the account before."""
    fleet = connect([agent.config()], clock=clock)
    fleet.accounts()
    assert len(fleet.positions()) == 2
    return fleet


def fall_empty(agent, account_in_reply="right"):
    """What a base agent does on any internal error."""
    number = agent.number if account_in_reply == "right" else 0
    agent.always("/positions", Reply(positions_body(number, [])))
    agent.account = {**agent.account, "has_open_position": False}


def expect_kept(fleet, number):
    """The old rows, stale, and the account among the missing."""
    with pytest.raises(fk.PartialResult) as caught:
        fleet.positions(refresh=True)
    assert caught.value.missing == [number]
    assert "a failing terminal looks the same" in caught.value.reasons[number]
    assert caught.value.frame.index.tolist() == [11, 12]
    rows = fleet.positions(refresh=True, strict=False)
    assert rows.index.tolist() == [11, 12]
    assert rows["source"].tolist() == ["stale"] * 2
    assert rows.attrs["missing"] == [number]


@FORMS
def test_an_empty_list_after_positions_is_missing_not_flat(fleet, agent, clock, account_in_reply):
    """For ever, while nothing explains it; and the rows' age grows."""
    fall_empty(agent, account_in_reply)
    for _ in range(4):
        expect_kept(fleet, agent.number)
        clock.advance(5)
    assert fleet.positions(strict=False)["age_s"].tolist() == [20.0] * 2
    agent.heal()
    assert fleet.positions()["source"].tolist() == ["live"] * 2


def test_a_suspect_answer_ends_the_freshness_of_the_rows(fleet, agent):
    """Even within their two seconds they are no longer served as the truth."""
    fall_empty(agent)
    with pytest.raises(fk.PartialResult):
        fleet.positions(refresh=True)
    with pytest.raises(fk.PartialResult):
        fleet.positions()


def test_a_second_empty_list_and_a_changed_balance_are_believed(fleet, agent, clock):
    """At least two seconds after the first one."""
    fall_empty(agent)
    agent.account = {**agent.account, "balance": 1020.0}
    expect_kept(fleet, agent.number)
    clock.advance(1.9)
    expect_kept(fleet, agent.number)
    clock.advance(0.1)
    frame = fleet.positions()
    assert frame.empty
    assert frame.attrs["missing"] == []
    # Flat is the new normal: no evidence is asked for again.
    clock.advance(5)
    history_asked = agent.count("/trade-history")
    assert fleet.positions().empty
    assert agent.count("/trade-history") == history_asked


def test_an_unchanged_balance_and_the_trades_in_the_history_are_believed(fleet, agent, clock):
    """Closed at no gain: the history has every ticket that vanished."""
    fall_empty(agent)
    expect_kept(fleet, agent.number)
    clock.advance(2)
    agent.trades = [trade(11)]
    expect_kept(fleet, agent.number)
    agent.trades = [trade(11), trade(12)]
    assert fleet.positions().empty


def test_account_zero_is_never_evidence(fleet, agent, clock):
    """Not with the balance moved, not after any time."""
    fall_empty(agent, "zero")
    agent.account = {**agent.account, "balance": 1020.0}
    expect_kept(fleet, agent.number)
    clock.advance(60)
    expect_kept(fleet, agent.number)


def test_an_account_that_says_it_has_positions_is_believed_rather(fleet, agent, clock):
    """The balance moved, but `has_open_position` contradicts the empty list."""
    fall_empty(agent)
    agent.account = {**agent.account, "balance": 1020.0, "has_open_position": True}
    expect_kept(fleet, agent.number)
    clock.advance(10)
    expect_kept(fleet, agent.number)


def test_a_balance_another_ticket_moved_explains_nothing(fleet, agent, clock):
    """Ticket 11 closed, with its profit; then the terminal fails: 12 is still open."""
    agent.positions = [position(12)]
    agent.account = {**agent.account, "balance": 1015.0}
    clock.advance(3)
    assert fleet.positions().index.tolist() == [12]
    fall_empty(agent)
    for _ in range(3):
        with pytest.raises(fk.PartialResult):
            fleet.positions(refresh=True)
        clock.advance(3)
    assert fleet.positions(strict=False).index.tolist() == [12]


def test_the_first_empty_list_ever_is_accepted(serve, connect):
    """There is nothing it could hide, and nothing to compare it with."""
    agents = serve(2)
    agents[1].positions = [position(11)]
    frame = connect(agents.configured()).positions()
    assert frame.index.tolist() == [11]
    assert frame.attrs["missing"] == []


def test_a_first_empty_list_that_the_account_contradicts_is_suspect(serve, connect):
    """`has_open_position` says that there is one; the account is asked again to be sure."""
    agents = serve(1)
    agents[0].account = {**agents[0].account, "has_open_position": True}
    fleet = connect(agents.config())
    fleet.accounts()
    with pytest.raises(fk.PartialResult, match="shows no positions where some were open"):
        fleet.positions()
    agents[0].account = {**agents[0].account, "has_open_position": False}
    assert fleet.positions(refresh=True).empty


def test_a_first_empty_list_for_account_zero_is_suspect(serve, connect):
    """It does not even say whose it is."""
    agents = serve(1)
    fall_empty(agents[0], "zero")
    with pytest.raises(fk.PartialResult, match="answered with no positions for account 0"):
        connect(agents.configured()).positions()


@FORMS
def test_an_empty_history_after_trades_is_missing(agent, connect, clock, account_in_reply):
    """The old rows stay, stale."""
    agent.trades = [trade(21)]
    fleet = connect([agent.config()], clock=clock)
    assert len(fleet.trades()) == 1
    number = agent.number if account_in_reply == "right" else 0
    agent.always("/trade-history", Reply(history_body(number, [])))
    clock.advance(61)
    with pytest.raises(fk.PartialResult, match="a failing terminal looks the same") as caught:
        fleet.trades()
    assert caught.value.missing == [agent.number]
    rows = fleet.trades(strict=False)
    assert (rows["position_id"].tolist(), rows["source"].tolist()) == ([21], ["stale"])
    agent.heal()
    assert fleet.trades()["source"].tolist() == ["live"]


def test_a_first_empty_history_for_account_zero_is_missing(serve, connect):
    """Of an account that never had a trade in sight, too."""
    agents = serve(1)
    agents[0].always("/trade-history", Reply(history_body(0, [])))
    with pytest.raises(fk.PartialResult, match="a trade history for account 0"):
        connect(agents.configured()).trades()


def test_an_empty_history_of_a_quiet_month_is_accepted(agent, connect, clock):
    """The trades that are known are older than what was asked for."""
    agent.trades = [trade(21, "2026-01-20T10:00:00", entry_time="2026-01-20T08:00:00")]
    fleet = connect([agent.config()], clock=clock)
    assert len(fleet.trades(days=30)) == 1
    agent.trades = []
    assert fleet.trades(days=5, refresh=True).empty


def test_positions_alone_are_enough_to_believe_a_close(connect, agent, clock):
    """No account was read before: the balance is asked for while positions are open."""
    fleet = connect([agent.config()], clock=clock)
    assert len(fleet.positions()) == 2
    agent.positions = agent.positions[:1]
    clock.advance(5)
    assert len(fleet.positions()) == 1
    clock.advance(5)
    agent.positions = []
    agent.account = {**agent.account, "balance": 1033.0, "has_open_position": False}
    with pytest.raises(fk.PartialResult):
        fleet.positions()
    clock.advance(5)
    assert fleet.positions().empty
    fleet.positions()
    assert agent.count("/trade-history") == 0
