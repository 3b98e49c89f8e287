"""From a wish to a planned order: what agents of either layer tell becomes facts, or a refusal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from fleetkit.aio.order_words import open_wish
from fleetkit.desk.planning import SYMBOL_KEPT_S, Known, SymbolShelf, Wanted, find_out, planned
from fleetkit.gateway import Gateway, landed
from fleetkit.model import MarginMode, Side, StopsUnit
from fleetkit.trading import REMOVE, OrderKind, PlannedOrder, Rule
from tests.support.agents import NOT_FOUND, Reply, ScriptedAgent, served
from tests.support.bodies import account_body, position, quote_body
from tests.support.extended import ExtendedScript, extended_account, symbol_body
from tests.support.fake_clock import FakeClock
from tests.support.one_gateway import one_gateway, run

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


@pytest.fixture
def agent() -> Iterator[ScriptedAgent]:
    """One agent of the base layer."""
    with served() as fleet:
        yield fleet[0]


def wish(agent: ScriptedAgent, **changes: object) -> Wanted:
    """An open of half a lot."""
    order = {"account": agent.number, "symbol": "EURUSD", "side": "buy", "volume": 0.5}
    return open_wish(order | changes)


def close(agent: ScriptedAgent, **changes: Any) -> Wanted:
    return Wanted(kind=OrderKind.CLOSE, account=agent.number, ticket=11, **changes)


def plan_of(
    agent: ScriptedAgent,
    wanted: Wanted,
    check: Callable[[PlannedOrder, Known, Gateway], None],
    *,
    read_first: bool = False,
    **config: Any,
) -> None:
    """Find out and plan as the desk does, and look at what came of it."""

    async def scenario() -> None:
        settings = {"account": agent.number, "margin_mode": "hedging"} | config
        async with one_gateway(agent.config(**settings)) as gateway:
            if read_first:
                await landed(gateway.read_positions(), gateway.name)
            known = await find_out(gateway, wanted, SymbolShelf(FakeClock().elapsed))
            order = planned(gateway, wanted, known, gateway.capabilities)
            check(order, known, gateway)

    run(scenario())


# What agents tell


def test_a_base_agents_quote_gives_point_and_tick_value_but_no_tick_size(
    agent: ScriptedAgent,
) -> None:
    """Money cannot be worked out from it: `pip_value` is a table's guess (T6)."""

    def check(order: PlannedOrder, known: Known, _: Gateway) -> None:
        assert known.symbol is None
        assert known.quote is not None
        assert order.refusal is not None
        assert (order.refusal.rule, order.sl_price) == (Rule.STOPS, None)
        assert "tick" in order.refusal.sentence

    plan_of(agent, wish(agent, sl_money=50), check, stops_unit="price")


def test_pips_of_a_base_agent_come_from_its_point(agent: ScriptedAgent) -> None:
    """Five digits, so ten points, whatever `pip_value` says; costs are told to be unknown."""
    agent.always("/quote/EURUSD", Reply(quote_body("EURUSD", pip_value=1.0)))

    def check(order: PlannedOrder, _: Known, __: Gateway) -> None:
        assert order.refusal is None
        assert (order.entry, order.sl_price) == (Decimal("1.0863"), Decimal("1.0843"))
        assert order.sent_sl == Decimal("1.0843")
        assert order.margin is order.spread_cost is None
        assert any("Costs are not known" in each for each in order.warnings)

    plan_of(agent, wish(agent, sl_pips=20), check, stops_unit="price")


def test_an_extended_agents_symbol_gives_money_margin_and_steps(agent: ScriptedAgent) -> None:
    """Everything that was told is used: step, smallest volume, tick, leverage."""
    script = ExtendedScript(agent)
    agent.account = extended_account(agent.number, leverage=50)
    body = symbol_body("EURUSD", volume_step=0.1, trade_tick_size=0.00001, trade_tick_value=1.0)
    agent.always("/symbols/EURUSD", Reply(body))

    def check(order: PlannedOrder, known: Known, _: Gateway) -> None:
        assert known.mode is MarginMode.HEDGING
        assert order.refusal is None
        assert order.volume == Decimal("0.5")
        assert order.stops_unit is StopsUnit.PRICE
        assert order.sl_price == Decimal("1.0853")
        assert order.risk == Decimal("50.00")
        assert order.spread_cost == Decimal("10.00")
        assert order.margin == Decimal("1.0863") * 100_000 * Decimal("0.5") / 50

    plan_of(agent, wish(agent, volume=0.57, sl_money=50), check, margin_mode=None)
    assert script.names


@pytest.mark.parametrize(
    ("mode", "side", "refused"),
    [(0, "buy", True), (1, "buy", False), (1, "sell", True), (2, "buy", True), (2, "sell", False),
     (3, "sell", True), (4, "buy", False)],
)  # fmt: skip
def test_trade_modes_are_metatraders_numbers(
    agent: ScriptedAgent, mode: int, side: str, refused: bool
) -> None:
    """Disabled, long only, short only, close only, full."""
    ExtendedScript(agent)
    agent.always("/symbols/EURUSD", Reply(symbol_body("EURUSD", trade_mode=mode)))

    def check(order: PlannedOrder, _: Known, __: Gateway) -> None:
        found = None if order.refusal is None else order.refusal.rule
        assert found == (Rule.SYMBOL if refused else None)

    plan_of(agent, wish(agent, side=side), check)


def test_how_a_symbol_is_traded_is_asked_once_in_a_while(agent: ScriptedAgent) -> None:
    """Ten minutes; that a base agent cannot tell is remembered as well."""
    ExtendedScript(agent)

    async def scenario() -> None:
        clock = FakeClock()
        shelf = SymbolShelf(clock.elapsed)
        async with one_gateway(agent.config(account=agent.number)) as gateway:
            for passed_s, asked in [(0, 1), (SYMBOL_KEPT_S - 1, 1), (1, 2)]:
                clock.advance(passed_s)
                found = await shelf.get(gateway, "EURUSD", {})
                assert found is not None
                assert found.digits == 5
                assert agent.count("/symbols/EURUSD") == asked
            assert repr(shelf) == "<SymbolShelf 1 symbols>"

    run(scenario())


def test_of_a_base_agent_no_symbol_is_asked_for(agent: ScriptedAgent) -> None:
    """Its `/health` says that there is no such route, once, and the plan takes that long."""

    def check(_: PlannedOrder, known: Known, __: Gateway) -> None:
        assert set(known.timings) == {"accounts", "health", "quote"}
        paths = [request.path for request in agent.requests]
        assert sorted(paths) == ["/accounts", "/health", "/quote/EURUSD"]

    plan_of(agent, wish(agent), check)


# What cannot be found out


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (NOT_FOUND, "too old"),
        (Reply({"detail": "Symbol EURUSD not found"}, status=404), "not found"),
        (Reply({"detail": "boom"}, status=500), "boom"),
        (Reply(b"<html>", headers={"Content-Type": "text/html"}), "HTML"),
        (Reply({"symbol": "EURUSD", "bid": "high", "ask": 1.0}), "unexpected"),
    ],
)
def test_a_quote_that_cannot_be_read_is_a_refusal(
    agent: ScriptedAgent, reply: Reply, words: str
) -> None:
    """No exception, the agent's own words, and that nothing was sent."""
    agent.always("/quote/EURUSD", reply)

    def check(order: PlannedOrder, known: Known, _: Gateway) -> None:
        assert known.failure is not None
        assert order.refusal is not None
        assert order.refusal.rule is Rule.QUOTE
        assert words in order.refusal.sentence
        assert order.refusal.sentence.endswith("Nothing was sent.")
        assert (order.symbol, order.side, order.asked_volume) == (
            "EURUSD",
            Side.BUY,
            Decimal("0.5"),
        )

    plan_of(agent, wish(agent), check)


@pytest.mark.parametrize(
    ("bid", "ask"), [(0.0, 0.0), (1.1, 1.0), (-1.0, 1.0), (0.0, 1.1), (None, None)]
)
def test_a_quote_that_is_no_price_is_a_refusal(
    agent: ScriptedAgent, bid: float | None, ask: float | None
) -> None:
    """Zeros of a closed market, a crossed book, nothing at all."""
    agent.always("/quote/EURUSD", Reply(quote_body("EURUSD", bid=bid, ask=ask)))

    def check(order: PlannedOrder, _: Known, __: Gateway) -> None:
        assert order.refusal is not None
        assert order.refusal.rule is Rule.QUOTE

    plan_of(agent, wish(agent), check)


def test_an_agent_that_is_gone_is_a_refusal(agent: ScriptedAgent) -> None:
    """Nothing can be read; the order is planned as far as it was said."""

    def check(order: PlannedOrder, known: Known, _: Gateway) -> None:
        assert known.reading is None
        assert order.refusal is not None
        assert "cannot be reached" in order.refusal.sentence
        assert order.account == agent.number

    plan_of(agent, wish(agent), check, url="http://127.0.0.1:1")


@pytest.mark.parametrize("volume", ["1e6", "1e8", "1e-3"])
def test_a_volume_beyond_all_measure_is_an_answer_and_no_exception(
    agent: ScriptedAgent, volume: str
) -> None:
    """Exact arithmetic has its limits; a caller meets a refusal or a plan."""
    ExtendedScript(agent)

    def check(order: PlannedOrder, _: Known, __: Gateway) -> None:
        assert order.refusal is not None
        assert order.refusal.rule is Rule.VOLUME

    plan_of(agent, wish(agent, volume=volume, sl_pips=20), check)


@pytest.mark.parametrize("stop", ["tp_price", "tp_pips", "tp_money"])
@pytest.mark.parametrize("level", ["1e7", "1e8"])
def test_a_stop_beyond_all_measure_is_an_answer_and_no_exception(
    agent: ScriptedAgent, stop: str, level: str
) -> None:
    """A slip of the keyboard in a batch does not take the whole batch down."""
    ExtendedScript(agent)

    def check(order: PlannedOrder, known: Known, _: Gateway) -> None:
        assert known.failure is None
        assert order.volume == Decimal("0.5")

    plan_of(agent, wish(agent, **{stop: level}), check)


@pytest.mark.parametrize("volume", ["1e6", "1e8"])
def test_no_volume_breaks_the_plan_of_a_base_agent(agent: ScriptedAgent, volume: str) -> None:
    """It says no largest volume; what it gets is its own to refuse."""

    def check(order: PlannedOrder, _: Known, __: Gateway) -> None:
        assert order.asked_volume == Decimal(volume)

    plan_of(agent, wish(agent, volume=volume, sl_pips=20), check, stops_unit="price")


# Closes and modifies


def test_a_close_of_an_unknown_position_asks_for_nothing_more(agent: ScriptedAgent) -> None:
    """Closing must stay possible: the ticket is enough, and no list can keep it back."""
    agent.always("/positions", Reply({"detail": "boom"}, status=500))

    def check(order: PlannedOrder, known: Known, _: Gateway) -> None:
        assert known.position is None
        assert order.refusal is None
        assert (order.ticket, order.volume, order.symbol, order.side) == (11, None, None, None)
        assert agent.count("/positions") == agent.count("/quote/EURUSD") == 0

    plan_of(agent, close(agent), check)


def test_a_close_goes_on_where_even_the_account_cannot_be_read(agent: ScriptedAgent) -> None:
    """The margin mode is configured, and more is not needed."""
    agent.always("/accounts", Reply({"detail": "boom"}, status=500))

    def check(order: PlannedOrder, known: Known, _: Gateway) -> None:
        assert known.failure is not None
        assert known.mode is MarginMode.HEDGING
        assert order.refusal is None

    plan_of(agent, close(agent), check)


def test_a_close_of_a_known_position_says_what_it_closes(agent: ScriptedAgent) -> None:
    """As it was seen last, without asking again."""
    agent.positions = [position(11, volume=0.07)]

    def check(order: PlannedOrder, known: Known, _: Gateway) -> None:
        assert known.position is not None
        assert (order.symbol, order.side, order.volume) == ("EURUSD", Side.SELL, None)
        assert order.refusal is None
        assert agent.count("/positions") == 1

    plan_of(agent, close(agent), check, read_first=True)


@pytest.mark.parametrize("extended", [False, True])
def test_a_part_is_closed_only_by_agents_that_can(agent: ScriptedAgent, extended: bool) -> None:
    """The position is looked up for it, and its symbol's step."""
    agent.positions = [position(11, volume=0.5)]
    if extended:
        ExtendedScript(agent)

    def check(order: PlannedOrder, known: Known, _: Gateway) -> None:
        assert known.position is not None
        found = None if order.refusal is None else order.refusal.rule
        assert found == (None if extended else Rule.PARTIAL_CLOSE)
        assert order.volume == (Decimal("0.2") if extended else None)

    plan_of(agent, close(agent, volume=Decimal("0.207")), check)


def test_a_part_of_a_position_nobody_knows_is_refused(agent: ScriptedAgent) -> None:
    """Even where its list cannot be read there is a sentence and no exception."""
    ExtendedScript(agent)
    agent.always("/positions", Reply({"detail": "boom"}, status=500))

    async def scenario() -> None:
        settings = {"account": agent.number, "margin_mode": "hedging"}
        async with one_gateway(agent.config(**settings)) as gateway:
            wanted = close(agent, volume=Decimal("0.2"))
            known = await find_out(gateway, wanted, SymbolShelf(FakeClock().elapsed))
            order = planned(gateway, wanted, known, await gateway.confirm_capabilities())
            assert order.refusal is not None
            assert order.refusal.rule is Rule.PARTIAL_CLOSE
            assert "not known" in order.refusal.sentence

    run(scenario())


def test_a_modify_keeps_sets_and_removes(agent: ScriptedAgent) -> None:
    """Price levels on every agent; 0 removes and absent keeps."""
    agent.positions = [position(11)]
    wanted = Wanted(
        kind=OrderKind.MODIFY, account=agent.number, ticket=11, sl_price=Decimal("1.09"),
        tp_price=REMOVE,
    )  # fmt: skip

    def check(order: PlannedOrder, known: Known, _: Gateway) -> None:
        assert known.position is not None
        assert order.refusal is None
        assert (order.sent_sl, order.sent_tp) == (Decimal("1.09"), Decimal(0))

    plan_of(agent, wanted, check, stops_unit="pips")


def test_the_configured_margin_mode_wins_and_none_is_none(agent: ScriptedAgent) -> None:
    """Base agents do not say it (T14); what the config says is believed over the agent."""

    def unknown(_: PlannedOrder, known: Known, __: Gateway) -> None:
        assert known.mode is None

    def configured(_: PlannedOrder, known: Known, __: Gateway) -> None:
        assert known.mode is MarginMode.NETTING

    agent.account = account_body(agent.number)
    plan_of(agent, wish(agent), unknown, margin_mode=None)
    agent.account = extended_account(agent.number, margin_mode="hedging")
    plan_of(agent, wish(agent), configured, margin_mode="netting")
