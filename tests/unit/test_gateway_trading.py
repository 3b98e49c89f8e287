"""A held lane: whose figures are taken, how long calls took, and that nothing deadlocks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fleetkit import contract
from fleetkit.errors import (
    AgentBusy,
    AgentError,
    AgentOffline,
    ContractError,
    TerminalDisconnected,
    WrongAccount,
)
from fleetkit.gateway import Hold, landed
from fleetkit.model import Side
from tests.support.agents import Reply, Request, ScriptedAgent, served
from tests.support.bodies import (
    account_body,
    disconnected_body,
    history_body,
    position,
    positions_body,
    trade,
)
from tests.support.extended import ExtendedScript
from tests.support.fake_clock import FakeClock
from tests.support.one_agent import until
from tests.support.one_gateway import one_gateway, run

pytestmark = pytest.mark.usefixtures("nothing_left_behind")

HOLD_S = 5.0
FOREIGN = 7_199_999
BODY = b'{"symbol":"EURUSD","lot":0.5,"order_type":"BUY"}'
FILLED = Reply({"success": True, "ticket": 9, "message": "", "price": 1.1, "error_code": 0})


@pytest.fixture
def agent() -> Iterator[ScriptedAgent]:
    """One agent of the base layer."""
    with served() as fleet:
        yield fleet[0]


def configured(agent: ScriptedAgent, **more: object) -> dict[str, Any]:
    return agent.config(account=agent.number, **more)


async def may_go() -> str | None:
    return None


async def order(hold: Hold) -> Any:
    return await hold.trade(contract.OPEN, BODY, order_id=None, may_send=may_go)


# What is read


def test_what_is_open_comes_with_the_account_that_listed_it(agent: ScriptedAgent) -> None:
    """The reply's own number goes along, and the positions are records of this account."""
    agent.positions = [position(11), position(12, type="BUY", volume=0.07)]

    async def scenario() -> None:
        async with one_gateway(configured(agent)) as gateway, gateway.hold(HOLD_S) as hold:
            listed = await hold.positions()
            assert listed.account == agent.number
            assert [(each.ticket, each.side) for each in listed.positions] == [
                (11, Side.SELL),
                (12, Side.BUY),
            ]
            assert {each.account for each in listed.positions} == {agent.number}

    run(scenario())


def test_account_and_history_are_the_wires(agent: ScriptedAgent) -> None:
    """The balance to the cent, the trades as they came, the query as it was asked."""
    agent.account = account_body(agent.number, balance=100_012.34)
    agent.trades = [trade(77)]

    async def scenario() -> None:
        async with one_gateway(configured(agent)) as gateway, gateway.hold(HOLD_S) as hold:
            assert (await hold.account()).balance == 100_012.34
            history = await hold.history({"days": "30"})
            assert [each.position_id for each in history.trades] == [77]
            assert agent.requests[-1].query == {"days": "30"}

    run(scenario())


def reads(hold: Hold) -> list[Callable[[], Any]]:
    return [hold.account, hold.positions, lambda: hold.history({"days": "30"})]


FOREIGN_BODIES = {
    "/accounts": account_body(FOREIGN),
    "/positions": positions_body(FOREIGN, [position(11)]),
    "/trade-history": history_body(FOREIGN, [trade(77)]),
}


@pytest.mark.parametrize("place", range(3), ids=list(FOREIGN_BODIES))
def test_another_accounts_answer_is_never_taken(agent: ScriptedAgent, place: int) -> None:
    """A cross-wired terminal raises `WrongAccount`, whichever route it is (T3)."""
    path = list(FOREIGN_BODIES)[place]
    agent.always(path, Reply(FOREIGN_BODIES[path]))

    async def scenario() -> None:
        async with one_gateway(configured(agent)) as gateway:
            async with gateway.hold(HOLD_S) as hold:
                with pytest.raises(WrongAccount, match=f"account {FOREIGN}") as raised:
                    await reads(hold)[place]()
            assert raised.value.account == agent.number
            assert gateway.account == agent.number
            assert gateway.last_reading is None
            assert gateway.link.http.lane.held == 0

    run(scenario())


def test_account_0_is_nobodys_and_is_told_as_it_is(agent: ScriptedAgent) -> None:
    """Lists of account 0 come back under that number, so that the caller proves nothing (T1)."""
    agent.always("/positions", Reply(positions_body(0, [])))
    agent.always("/trade-history", Reply(history_body(0, [])))

    async def scenario() -> None:
        async with one_gateway(configured(agent)) as gateway, gateway.hold(HOLD_S) as hold:
            assert (await hold.positions()).account == 0
            assert (await hold.history({"days": "30"})).account_number == 0

    run(scenario())


@pytest.mark.parametrize(
    "body",
    [
        disconnected_body(),
        account_body(7_100_001, status="disconnected"),
        account_body(0),
    ],
    ids=["as base agents say it", "its own number", "connected, account 0"],
)
def test_a_terminal_without_a_broker_is_no_account(
    agent: ScriptedAgent, body: dict[str, Any]
) -> None:
    """A 200 that says "disconnected" raises, and nothing of its zeros is kept."""
    agent.account = body

    async def scenario() -> None:
        async with one_gateway(configured(agent)) as gateway, gateway.hold(HOLD_S) as hold:
            with pytest.raises(TerminalDisconnected, match="not connected to the broker"):
                await hold.account()
            assert gateway.last_reading is None

    run(scenario())


def test_of_several_accounts_only_its_own_is_taken(agent: ScriptedAgent) -> None:
    """Some agents answer a list; the bound account is picked, and none is an error."""
    own, other = account_body(agent.number, balance=5.0), account_body(FOREIGN)

    async def scenario() -> None:
        async with one_gateway(configured(agent)) as gateway, gateway.hold(HOLD_S) as hold:
            agent.always("/accounts", Reply([other, own]))
            assert (await hold.account()).balance == 5.0
            agent.always("/accounts", Reply([other, account_body(FOREIGN + 1)]))
            with pytest.raises(ContractError, match="none of which"):
                await hold.account()

    run(scenario())


def test_what_an_agent_can_do_is_asked_where_it_is_not_sure(agent: ScriptedAgent) -> None:
    """Once over this connection; a rolled-back agent is a base agent again."""
    script = ExtendedScript(agent)

    async def scenario() -> None:
        async with one_gateway(configured(agent)) as gateway:
            async with gateway.hold(HOLD_S) as hold:
                assert (await hold.capabilities()).has("symbols")
                assert (await hold.capabilities()).has("symbols")
                assert agent.count("/health") == 1
                assert list(hold.timings) == ["health"]
            await gateway.link.http.pool.retire_idle()
            script.roll_back()
            async with gateway.hold(HOLD_S) as hold:
                assert not (await hold.capabilities()).has("symbols")
            assert agent.count("/health") == 2

    run(scenario())


def test_known_capabilities_cost_no_time_of_their_own(agent: ScriptedAgent) -> None:
    """What was not asked is not in the timings."""
    ExtendedScript(agent)

    async def scenario() -> None:
        async with one_gateway(configured(agent)) as gateway:
            await gateway.confirm_capabilities()
            async with gateway.hold(HOLD_S) as hold:
                await hold.capabilities()
                assert hold.timings == {}

    run(scenario())


# How long it took


def test_timings_are_of_each_call_and_add_up(agent: ScriptedAgent) -> None:
    """Milliseconds by the contract's name; a call made twice is added, an error's time too."""
    clock = FakeClock()

    def slow(seconds: float, answer: Reply) -> Callable[[Request], Reply]:
        def reply(_: Request) -> Reply:
            clock.advance(seconds)
            return answer

        return reply

    agent.always("/positions", slow(0.25, Reply(positions_body(agent.number, []))))
    agent.always("/accounts", slow(0.5, Reply({"detail": "boom"}, status=500)))
    agent.always("/orders/" + "A" * 26, slow(0.125, Reply({}, status=404)))
    agent.always("/positions/open", slow(2.0, FILLED))

    async def scenario() -> None:
        async with (
            one_gateway(configured(agent), clock=clock) as gateway,
            gateway.hold(HOLD_S) as hold,
        ):
            await hold.positions()
            await hold.positions()
            with pytest.raises(AgentError, match="boom"):
                await hold.account()
            assert (await hold.order_status("A" * 26)).status == 404
            await order(hold)
            assert hold.timings == {
                "positions": 250.0,
                "positions#2": 250.0,
                "accounts": 500.0,
                "order_status": 125.0,
                "open": 2000.0,
            }

    run(scenario())


def test_what_was_not_sent_has_no_time_and_is_no_failure(agent: ScriptedAgent) -> None:
    """A withheld order is our own doing."""

    async def lost() -> str | None:
        return "lost"

    async def scenario() -> None:
        async with one_gateway(configured(agent)) as gateway, gateway.hold(HOLD_S) as hold:
            exchange = await hold.trade(contract.OPEN, BODY, order_id=None, may_send=lost)
            assert exchange.withheld == "lost"
            assert "open" not in hold.timings
            assert gateway.link.health.failures == 0
            assert agent.count("/positions/open") == 0

    run(scenario())


def test_a_trades_end_counts_for_the_agents_health(agent: ScriptedAgent) -> None:
    """A broken trade is a failure with its sentence, any answer is a sign of health."""

    async def scenario() -> None:
        async with one_gateway(configured(agent)) as gateway, gateway.hold(HOLD_S) as hold:
            coded = {"Content-Encoding": "gzip"}
            agent.then("/positions/open", Reply(b"no gzip", headers=coded))
            exchange = await order(hold)
            assert exchange.sent
            assert isinstance(exchange.error, ContractError)
            assert gateway.link.health.failures == 1
            assert gateway.link.last_error == str(exchange.error)
            agent.then("/positions/open", Reply({"detail": "Market closed"}, status=400))
            assert (await order(hold)).reply.status == 400
            assert gateway.link.health.failures == 0

    run(scenario())


def test_an_agent_that_is_gone_sends_nothing_and_is_offline(agent: ScriptedAgent) -> None:
    """The last error says so, and the lane is free for whoever asks next."""

    async def scenario() -> None:
        async with one_gateway(configured(agent)) as gateway:
            async with gateway.hold(HOLD_S) as hold:
                await hold.positions()
                await asyncio.wrap_future(
                    asyncio.run_coroutine_threadsafe(agent.hang_up(), agent._loop)
                )
                [pooled] = gateway.link.http.pool._connections
                await until(lambda: pooled.line.is_dropped)
                exchange = await order(hold)
            assert not exchange.sent
            assert isinstance(exchange.error, AgentOffline)
            assert gateway.link.last_error == str(exchange.error)
            assert gateway.link.health.failures > 0
            assert gateway.link.http.lane.held == 0

    run(scenario())


# The lane


def test_reads_that_wait_for_the_only_lane_do_not_keep_the_holder_waiting(
    agent: ScriptedAgent,
) -> None:
    """Flights of all caches are under way for the same agent; the hold asks past them."""

    async def scenario() -> None:
        async with one_gateway(configured(agent, lanes=1)) as gateway:
            async with gateway.hold(HOLD_S) as hold:
                waiting = [
                    asyncio.ensure_future(landed(flight, gateway.name))
                    for flight in (gateway.read_account(), gateway.read_positions())
                ]
                await until(lambda: "2 waiting" in repr(gateway.link.http.lane))
                await hold.capabilities()
                await hold.positions()
                await hold.history({"days": "30"})
                await hold.account()
                agent.always("/positions/open", FILLED)
                assert (await order(hold)).sent
                assert not any(task.done() for task in waiting)
            await asyncio.gather(*waiting)
            assert agent.most_at_once == 1
            assert [each.path for each in agent.requests][-3] == "/positions/open"

    run(scenario())


def test_two_holds_of_one_lane_are_one_after_the_other(agent: ScriptedAgent) -> None:
    """The second gets its turn when the first ends, also by an exception."""
    log = []

    async def scenario() -> None:
        async with one_gateway(configured(agent)) as gateway:

            async def hold(name: str) -> None:
                async with gateway.hold(HOLD_S) as held:
                    log.append(f"{name} in")
                    await held.positions()
                    log.append(f"{name} out")
                    raise ZeroDivisionError

            results = await asyncio.gather(hold("a"), hold("b"), return_exceptions=True)
            assert [type(each) for each in results] == [ZeroDivisionError] * 2
            assert log == ["a in", "a out", "b in", "b out"]
            async with gateway.hold(HOLD_S):
                with pytest.raises(AgentBusy):
                    async with gateway.hold(0.01):
                        pytest.fail("the lane was taken twice")

    run(scenario())
