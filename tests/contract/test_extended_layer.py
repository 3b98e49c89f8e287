"""What an agent says it can do beyond the base layer, and what comes of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

import fleetkit as fk
from tests.support.agents import NOT_FOUND, Reply, until
from tests.support.bodies import account_body, positions_body, quote_body
from tests.support.extended import (
    ALL,
    ExtendedScript,
    closing,
    extended_account,
    extended_position,
    symbol_body,
)

SYMBOL = "/symbols/EURUSD"
FAILING = Reply({"detail": "busy"}, status=500)


@pytest.fixture
def agents(serve):
    """A base agent and an extended one."""
    return serve(2)


@pytest.fixture
def script(agents):
    return ExtendedScript(agents[1])


@pytest.fixture
def fleet(connect, agents, script, clock):
    return connect(agents.config(), clock=clock)


def shown(fleet):
    """The column `capabilities`, None where missing."""
    column = fleet.agents()["capabilities"]
    return [None if pd.isna(words) else words for words in column]


def know(fleet):
    """Read all accounts and wait until what they hint at was asked."""
    fleet.accounts(refresh=True)
    until(lambda: shown(fleet)[1] not in (None, "base"))


def test_what_an_agent_can_do_is_asked_once_in_the_background(fleet, agents, script):
    """Accounts with more figures than the base's are a hint; a base agent is asked nothing."""
    assert shown(fleet) == [None, None]
    know(fleet)
    assert shown(fleet) == ["base", ", ".join(sorted(ALL))]
    for _ in range(3):
        fleet.accounts(refresh=True)
    fleet.trades(), fleet.positions()
    assert agents[0].count("/health") == 0
    assert agents[1].count("/health") == 1


def test_an_extended_account_has_all_its_figures(fleet, agents, script):
    """Equity, margin and the rest in their columns; the base agent's are missing, never zero."""
    frame = fleet.accounts()
    names = ["server", "currency", "leverage", "credit", "equity", "profit"]
    names += ["margin", "margin_free", "margin_level"]
    assert frame.loc[agents[1].number, names].tolist() == [
        "Demo-1",
        "USD",
        100,
        5.0,
        100_440.0,
        -10.25,
        540.0,
        99_900.0,
        18_600.0,
    ]
    assert frame.loc[agents[0].number, names].isna().all()
    summary = fleet.summary()
    assert summary["equity"].tolist()[-1] == 100_440.0
    fleet.cache.update(agents[1].number, "equity", 1.0)
    assert fleet.account(agents[1].number).equity == 1.0


def test_health_without_api_is_a_base_agent(fleet, agents, script):
    """More figures alone are no capability; it is asked once and not at every reading."""
    agents[1].always("/health", Reply({"status": "healthy"}))
    fleet.accounts()
    until(lambda: agents[1].count("/health") == 1 and shown(fleet)[1] == "base")
    for _ in range(3):
        fleet.accounts(refresh=True)
    assert agents[1].count("/health") == 1


@pytest.mark.parametrize("told_by", ["accounts", "health without api", "no health"])
def test_an_agent_rolled_back_is_a_base_agent_at_once(fleet, agents, script, told_by):
    """Whatever shows it first: from then on it is asked as a base agent is."""
    know(fleet)
    if told_by == "accounts":
        script.roll_back()
        fleet.accounts(refresh=True)
    else:
        answer = Reply({"status": "healthy"}) if told_by == "health without api" else NOT_FOUND
        agents[1].always("/health", answer)
        fleet.doctor()
    assert shown(fleet)[1] == "base"
    fleet.trades(agents[1].number, days=30, refresh=True)
    assert script.asked("/trade-history")[-1] == {"days": "65"}


def test_a_health_that_fails_is_asked_again_with_the_next_reading(fleet, agents, script):
    """Not known stays not known; it is no base agent for that."""
    agents[1].always("/health", FAILING)
    fleet.accounts()
    until(lambda: agents[1].count("/health") == 1 and fleet.agents()["failures"].iloc[1])
    assert shown(fleet)[1] is None
    agents[1].always("/health", None)
    script = ExtendedScript(agents[1])
    know(fleet)
    assert shown(fleet)[1] == ", ".join(sorted(script.names))


def test_a_health_of_another_account_is_wrong_account_until_they_agree(fleet, agents, script):
    """Neither answer is believed: figures stale, status wrong_account, and good again later."""
    script.health_number = 9_999_999
    fleet.accounts()
    until(lambda: agents[1].count("/health") == 1)
    until(lambda: fleet.cache.stats().accounts_cached != 2)
    for _ in range(2):
        row = fleet.accounts().loc[agents[1].number]
        assert (row["status"], row["source"]) == ("wrong_account", "stale")
        assert "9999999" in row["error"]
    assert shown(fleet)[1] is None
    script.health_number = agents[1].number
    assert fleet.accounts().loc[agents[1].number, "status"] == "connected"


def test_a_health_asked_before_the_account_was_known_is_held_against_it(fleet, agents, script):
    """The doctor asks /health first; what it said is compared once the agent is bound."""
    script.health_number = 9_999_999
    fleet.doctor()
    until(lambda: agents[1].count("/health") == 2 and shown(fleet)[1] is None)
    assert fleet.accounts().loc[agents[1].number, "status"] == "wrong_account"


def test_positions_of_an_extended_agent(fleet, agents, script):
    """Magic, comment, order id; times carry an offset, so no zone is assumed for it."""
    agents[1].positions = [extended_position(11, open_time="2026-02-01T11:00:00+02:00")]
    agents[0].positions = [extended_position(12, open_time="2026-02-01T09:00:00")]
    frame = fleet.positions()
    row = frame.loc[11]
    assert (row["magic"], row["comment"], row["order_id"]) == (77, "by hand", "A" * 26)
    assert frame["open_time"].tolist() == [pd.Timestamp("2026-02-01 09:00", tz="UTC")] * 2
    assert frame.attrs["time_zone_assumed"] == [agents[0].number]


def test_an_empty_list_of_an_extended_agent_is_believed_at_once(fleet, agents, script):
    """It says 500 for an error; a base agent's empty list stays suspect (T2)."""
    for agent in agents:
        agent.positions = [extended_position(agent.number)]
        agent.account = {**agent.account, "has_open_position": True}
    know(fleet)
    assert len(fleet.positions()) == 2
    for agent in agents:
        agent.positions = []
    with pytest.raises(fk.PartialResult) as caught:
        fleet.positions(refresh=True)
    assert caught.value.missing == [agents[0].number]
    assert caught.value.frame["account"].tolist() == [agents[0].number]
    agents[1].always("/positions", FAILING)
    assert agents[1].number in fleet.positions(refresh=True, strict=False).attrs["missing"]


@pytest.mark.parametrize("number", ["zero", "rolled back"])
def test_an_empty_list_that_nobody_vouches_for_is_suspect(fleet, agents, script, number):
    """Of account 0, or from another program behind a new connection: as of a base agent."""
    agent = agents[1]
    agent.positions = [extended_position(11)]
    know(fleet)
    fleet.positions()
    if number == "zero":
        agent.always("/positions", Reply(positions_body(0, [])))
    else:
        agents.run(agent.hang_up())
        script.roll_back()
        agent.positions = []
        agents.run(agent.listen())
    with pytest.raises(fk.PartialResult) as caught:
        fleet.positions(agent.number, refresh=True)
    assert "a failing terminal looks the same" in caught.value.reasons[agent.number]
    assert caught.value.frame.index.tolist() == [11]


def test_how_a_symbol_is_traded(fleet, agents, script):
    """Digits, volumes and the rest in our words; what the agent can do is known already."""
    know(fleet)
    symbol = fleet.symbol(agents[1].number, " EURUSD ")
    assert symbol == fk.Symbol(
        account=agents[1].number,
        symbol="EURUSD",
        digits=5,
        point=0.00001,
        volume_min=0.01,
        volume_max=50.0,
        volume_step=0.01,
        stops_level_points=10,
        contract_size=100_000.0,
        tick_size=0.00001,
        tick_value=1.0,
        trade_mode=fk.TradeMode.FULL,
        currency_profit="USD",
        filling_mode=3,
    )
    assert "volume_step" in symbol._repr_html_()
    assert agents[1].count("/health") == 1


@pytest.mark.parametrize(
    ("number", "word"),
    [(0, "disabled"), (1, "long_only"), (2, "short_only"), (3, "close_only"), (9, None)],
)
def test_the_words_of_a_trade_mode(fleet, agents, script, number, word):
    """MetaTrader's numbers; one that has no word is not known."""
    agents[1].always(SYMBOL, Reply(symbol_body("EURUSD", trade_mode=number)))
    assert fleet.symbol(agents[1].number, "EURUSD").trade_mode == word


def test_a_symbol_that_cannot_be_had(fleet, agents, script):
    """A base agent, a name nobody knows, a route that is gone: each says what it is."""
    with pytest.raises(fk.NotSupported, match="the base layer only; symbols need our own agent"):
        fleet.symbol(agents[0].number, "EURUSD")
    agents[1].always("/symbols/X", Reply({"detail": "Symbol X not found"}, status=404))
    with pytest.raises(fk.AgentRefused, match="Symbol X not found") as caught:
        fleet.symbol(agents[1].number, "X")
    assert not isinstance(caught.value, fk.NotSupported)
    agents[1].always(SYMBOL, NOT_FOUND)
    with pytest.raises(fk.NotSupported):
        fleet.symbol(agents[1].number, "EURUSD")
    assert shown(fleet)[1] == "base"
    with pytest.raises(fk.UsageError, match="A symbol is text"):
        fleet.symbol(agents[1].number, "")


def test_trades_confirm_over_their_own_connection(fleet, agents, script):
    """Nothing is asked while the connection lives; a new one may lead to another program."""
    know(fleet)
    gateway = fleet._target.gateways[agents[1].name]

    def confirmed():
        return fleet._loop.blocking(gateway.confirm_capabilities)

    assert confirmed() == gateway.capabilities
    assert confirmed().has(fk.Capability.DEALS)
    assert (confirmed().stops_unit, confirmed().account) == ("price", agents[1].number)
    assert confirmed().server_utc_offset_s == 10_800
    assert agents[1].count("/health") == 1
    agents.run(agents[1].hang_up())
    script.names = ("deals",)
    agents.run(agents[1].listen())
    assert confirmed().names == {"deals"}
    assert confirmed().names == {"deals"}
    assert agents[1].count("/health") == 2
    script.health_number = 9_999_999
    agents.run(agents[1].hang_up())
    agents.run(agents[1].listen())
    with pytest.raises(fk.WrongAccount, match="speaks for account 9999999"):
        confirmed()


def test_times_with_an_offset_are_taken_as_they_are(serve, connect, clock):
    """In whatever zone the agent is configured: of a position, a trade, a quote alike."""
    agent = serve(1)[0]
    ExtendedScript(agent)
    agent.positions = [extended_position(11, open_time="2026-02-01T12:00:00+03:00")]
    agent.trades = [closing(21, "2026-02-01T10:00:00Z")]
    agent.always("/quote/EURUSD", Reply(quote_body("EURUSD", timestamp="2026-02-01T12:00:00Z")))
    fleet = connect([agent.config(time_zone="Asia/Tokyo")], clock=clock)
    assert fleet.positions()["open_time"].iloc[0] == pd.Timestamp("2026-02-01 09:00", tz="UTC")
    assert fleet.trades()["exit_time"].iloc[0] == pd.Timestamp("2026-02-01 10:00", tz="UTC")
    assert fleet.quote(agent.number, "EURUSD").time == datetime(2026, 2, 1, 12, tzinfo=UTC)


def test_a_disconnected_terminal_says_nothing_of_its_agent(fleet, agents, script):
    """An extended agent without a broker has no figures, and is no base agent for that."""
    know(fleet)
    bare = account_body(0, status="disconnected", balance=0.0)
    agents[1].always("/accounts", Reply(bare))
    assert fleet.accounts(refresh=True)["status"].tolist()[1] == "disconnected"
    assert shown(fleet)[1] == ", ".join(sorted(ALL))


def test_an_unknown_margin_mode_is_not_known(fleet, agents, script):
    """A word from a later version is no error."""
    agents[1].account = extended_account(agents[1].number, margin_mode="exotic")
    assert fleet.accounts()["status"].tolist() == ["connected"] * 2
