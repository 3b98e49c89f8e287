"""The simulated fleet's figures: repeatable, and booked to the cent."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetkit import contract
from fleetkit.agent import base
from fleetkit.agent.request import Request
from fleetkit.agent.terminal import (
    CloseOrder,
    OpenOrder,
    UnknownSymbolError,
)
from fleetkit.contract import DealType
from fleetkit.model import Side
from fleetkit.sim.faults import Faults
from fleetkit.sim.faulty import Condition, FaultyTerminal
from fleetkit.sim.fleet import SimFleet
from fleetkit.sim.market import INSTRUMENTS, Market, TradingCalendar
from fleetkit.sim.sessions import DAY_S
from fleetkit.sim.terminal import SimTerminal

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
MONDAY = datetime(2026, 2, 2, 10, 15, tzinfo=UTC)


class StillClock:
    """A clock that stands where it was put."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def elapsed(self) -> float:
        return 0.0

    def now(self) -> datetime:
        return self.moment

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)

    def take_jump(self) -> float:
        return 0.0


def fleet(accounts: int = 8, seed: int = 7, moment: datetime = MONDAY) -> SimFleet:
    return SimFleet(accounts=accounts, seed=seed, clock=StillClock(moment))


def terminals(made: SimFleet) -> list[SimTerminal]:
    return [made.terminal(seat.account) for seat in made.seats]


def figures(terminal: SimTerminal) -> list[tuple[object, ...]]:
    return [
        (t.position_id, t.symbol, t.volume, t.profit, t.swap, t.entry_price, t.exit_price, t.pips)
        for t in terminal.trades
    ]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def told(terminal: SimTerminal, faults: Faults, since: datetime) -> list[dict[str, object]]:
    """What a base agent with these faults tells of the trades since then."""
    condition = Condition("an agent")
    condition.set(faults)
    faulty = FaultyTerminal(terminal, condition, lambda _: terminal)
    # `from_date` looks seven days further back.
    wanted = {"from_date": (since + base.LOOK_BACK).replace(tzinfo=None).isoformat()}
    request = Request(contract.TRADE_HISTORY, {}, wanted)
    reply = asyncio.run(base.trade_history(faulty, request))
    trades: list[dict[str, object]] = reply.body["trades"]
    return trades


def test_same_seed_same_figures_on_any_day_and_another_seed_differs() -> None:
    """Balances and trades depend on the seed alone, not on the day or the size of the fleet."""
    for days in (1, 5, 200):
        later = fleet(accounts=69, moment=MONDAY + timedelta(days=days, hours=5))
        for terminal in terminals(fleet()):
            twin = later.terminal(terminal.person.account)
            assert figures(twin) == figures(terminal)
            assert twin.ledger.balance == terminal.ledger.balance
            assert twin.person == terminal.person
    other = [figures(terminal) for terminal in terminals(fleet(seed=8))]
    assert other != [figures(terminal) for terminal in terminals(fleet())]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(min_value=0, max_value=2**40), index=st.integers(0, 400))
def test_every_ledger_adds_up(seed: int, index: int) -> None:
    """balance[i] = balance[i-1] + profit + swap + commission + fee, from deposit to balance."""
    terminal = fleet(seed=seed).terminal(7_100_001 + index)
    deals, balances = terminal.ledger.deals, terminal.ledger.balances
    assert deals[0].type == DealType.BALANCE
    assert deals[0].profit == terminal.person.initial_balance
    balance = 0.0
    for deal, left in zip(deals, balances, strict=True):
        balance = round(balance + deal.profit + deal.swap + deal.commission + deal.fee, 2)
        assert left == balance
    assert balance == terminal.ledger.balance
    assert [deal.time for deal in deals] == sorted(deal.time for deal in deals)
    assert [deal.ticket for deal in deals] == sorted({deal.ticket for deal in deals})


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(min_value=0, max_value=2**40))
def test_the_residual_of_a_base_client_is_swap_and_fee(seed: int) -> None:
    """What balance and trades leave unexplained is exactly what base agents do not tell (T11)."""
    terminal = fleet(seed=seed).terminal(7_100_003)
    state = asyncio.run(terminal.account())
    assert state.initial_balance is not None
    told = sum(trade.profit + trade.commission for trade in terminal.trades)
    hidden = sum(deal.swap + deal.fee for deal in terminal.ledger.deals)
    assert round(state.balance - state.initial_balance - told, 2) == round(hidden, 2)


def test_trades_are_believable() -> None:
    """60 to 400 trades, on weekdays, newest exit first, pips and profit as the prices say."""
    instruments = {instrument.symbol: instrument for instrument in INSTRUMENTS}
    for terminal in terminals(fleet(accounts=12)):
        assert 60 <= len(terminal.trades) <= 400
        exits = [trade.exit_time for trade in terminal.trades]
        assert exits == sorted(exits, reverse=True)
        assert len({trade.volume for trade in terminal.trades}) > 10
        for trade in terminal.trades:
            sign = 1 if trade.side is Side.BUY else -1
            move = sign * (trade.exit_price - trade.entry_price)
            assert trade.pips == pytest.approx(move / instruments[trade.symbol].pip, abs=0.06)
            assert trade.profit * move >= 0
            assert trade.entry_time.weekday() < 5
            assert trade.entry_time < trade.exit_time < MONDAY
        ratio = terminal.ledger.balance / terminal.person.initial_balance
        assert 0.7 < ratio < 1.6


def test_equity_is_balance_and_floating_profit() -> None:
    """Open positions are valued at the market of the moment, and it moves."""
    made = fleet(accounts=20)
    before = [asyncio.run(terminal.account()) for terminal in terminals(made)]
    assert 3 < sum(state.has_open_position for state in before) < 20
    for state, terminal in zip(before, terminals(made), strict=True):
        book = asyncio.run(terminal.positions())
        floating = sum(position.profit + position.swap for position in book.positions)
        assert state.equity == round(state.balance + round(floating, 2), 2)
        assert state.has_open_position == bool(book.positions)
    later = fleet(accounts=20, moment=MONDAY + timedelta(hours=1))
    after = [asyncio.run(terminal.account()) for terminal in terminals(later)]
    assert [state.balance for state in after] == [state.balance for state in before]
    assert [state.profit for state in after] != [state.profit for state in before]


def test_a_pair_holds_opposite_sides_of_one_idea() -> None:
    """The two accounts of a vs_group hold the same symbols, one long and one short."""
    made = fleet(accounts=20)
    labels = made.labels()
    groups: dict[str, list[int]] = {}
    for account, label in labels.items():
        if label.vs_group:
            groups.setdefault(label.vs_group, []).append(account)
    assert len(groups) == 4
    for one, other in groups.values():
        first = asyncio.run(made.terminal(one).positions()).positions
        second = asyncio.run(made.terminal(other).positions()).positions
        assert [position.symbol for position in first] == [p.symbol for p in second]
        assert all(a.side is not b.side for a, b in zip(first, second, strict=True))


def test_no_group_has_one_account_or_three() -> None:
    """A pair is two accounts at any size of the fleet; the last one may be single."""
    for accounts in range(1, 25):
        groups = [label.vs_group for label in fleet(accounts=accounts).labels().values()]
        assert all(groups.count(group) == 2 for group in groups if group)


def test_69_accounts_sit_on_32_hosts() -> None:
    """Agent names tell host and place; account numbers run from 7100001."""
    made = fleet(accounts=69)
    assert len({seat.agent.partition("-")[0] for seat in made.seats}) == 32
    assert made.seats[0].agent == "vps01-a1"
    assert sorted(seat.account for seat in made.seats) == list(range(7_100_001, 7_100_070))
    assert len({seat.agent for seat in made.seats}) == 69


def test_tickets_are_unique_in_the_fleet() -> None:
    """No two positions or trades of two accounts share a number."""
    made = fleet(accounts=40)
    tickets = [trade.position_id for terminal in terminals(made) for trade in terminal.trades]
    tickets += [
        position.ticket
        for terminal in terminals(made)
        for position in asyncio.run(terminal.positions()).positions
    ]
    assert len(set(tickets)) == len(tickets)


@pytest.mark.parametrize("accounts", [0, -1, 10_001])
def test_a_fleet_of_impossible_size_is_refused(accounts: int) -> None:
    """The message says what is allowed."""
    with pytest.raises(ValueError, match="1 to 10000"):
        fleet(accounts=accounts)


def test_history_counts_exits_and_base_agents_entries() -> None:
    """A trade that entered before the window is no base agent's, whenever it ended (T8)."""
    terminal = fleet().terminal(7_100_002)
    overnight = next(t for t in terminal.trades if t.entry_time.date() != t.exit_time.date())
    between = overnight.entry_time + (overnight.exit_time - overnight.entry_time) / 2
    book = asyncio.run(terminal.history(between, MONDAY))
    assert list(book.trades) == [trade for trade in terminal.trades if trade.exit_time >= between]
    assert overnight in book.trades

    def seen(since: datetime) -> list[object]:
        return [row["position_id"] for row in told(terminal, Faults(), since)]

    assert overnight.position_id in seen(overnight.entry_time)
    assert overnight.position_id not in seen(between)
    assert seen(between) == [t.position_id for t in terminal.trades if t.entry_time >= between]


def test_a_broker_ahead_of_its_machine_hides_what_just_closed() -> None:
    """The upper end of the window is the machine's now, on the broker's clock (T8)."""
    terminal = fleet().terminal(7_100_002)
    newest = terminal.trades[0]
    clock = StillClock(newest.exit_time + timedelta(hours=2))
    here = SimTerminal(terminal.person, terminal._market, terminal._calendar, clock)
    three_s = 3 * 3600.0

    def seen(faults: Faults) -> list[object]:
        return [row["position_id"] for row in told(here, faults, LONG_AGO)]

    assert newest.position_id in seen(Faults())
    assert newest.position_id not in seen(Faults(broker_offset_s=three_s))
    assert newest.position_id not in seen(Faults(history_lag_s=three_s))
    assert newest.position_id in seen(Faults(history_lag_s=three_s, broker_offset_s=-three_s))


def test_shifted_clocks_shift_times_and_nothing_else() -> None:
    """Times are the broker's wall clock, shifted by the machine's zone (T7)."""
    terminal = fleet().terminal(7_100_001)
    faults = Faults(broker_offset_s=2 * 3600.0, zone_offset_s=-3 * 3600.0)
    rows = told(terminal, faults, LONG_AGO)
    hour = timedelta(hours=1)
    naive = [trade.exit_time.replace(tzinfo=None) for trade in terminal.trades]
    assert [row["exit_time"] for row in rows] == [moment - hour for moment in naive]
    assert [row["profit"] for row in rows] == [trade.profit for trade in terminal.trades]


def test_a_late_ledger_is_late_from_now_on() -> None:
    """What the broker has not handed over is missing however far ahead a window reaches."""
    terminal = fleet().terminal(7_100_002)
    condition = Condition("an agent")
    faulty = FaultyTerminal(terminal, condition, lambda _: terminal)
    ahead, late = MONDAY + timedelta(days=1), timedelta(days=4)

    async def newest() -> tuple[datetime, datetime]:
        trades = (await faulty.history(LONG_AGO, ahead)).trades
        deals = (await faulty.deals(LONG_AGO, ahead)).deals
        return trades[0].exit_time, deals[-1].time

    assert asyncio.run(newest())[0] == terminal.trades[0].exit_time > MONDAY - late
    condition.set(Faults(history_lag_s=late.total_seconds()))
    assert max(asyncio.run(newest())) <= MONDAY - late


def test_deals_are_the_broker_s_side_of_the_trades() -> None:
    """Every trade is a deal in and a deal out of its position; numbers are the fleet's own."""
    made = fleet()
    tickets = []
    for terminal in terminals(made):
        deals = asyncio.run(terminal.deals(LONG_AGO, MONDAY)).deals
        assert list(deals) == terminal.ledger.deals
        tickets += [deal.ticket for deal in deals]
        first = asyncio.run(terminal.deals(LONG_AGO, deals[5].time)).deals
        assert [deal.ticket for deal in first][:6] == [deal.ticket for deal in deals[:6]]
        assert max(deal.time for deal in first) == deals[5].time
        orders = [deal.order for deal in deals if deal.type != DealType.BALANCE]
        assert len(set(orders)) == len(orders)
        positions = asyncio.run(terminal.positions()).positions
        known = {trade.position_id for trade in terminal.trades} | {p.ticket for p in positions}
        assert {deal.position_id for deal in deals} - {0} == known
    assert len(set(tickets)) == len(tickets)


def test_margin_is_believable() -> None:
    """Some of the equity is held back where something is open, nothing where not."""
    for terminal in terminals(fleet(accounts=40)):
        state = asyncio.run(terminal.account())
        equity, margin = state.equity, state.margin
        assert equity is not None
        assert margin is not None
        assert state.margin_free == round(equity - margin, 2)
        assert (margin > 0) == state.has_open_position
        assert margin < 0.5 * equity
        if margin:
            assert state.margin_level == round(100 * equity / margin, 2)
        else:
            assert state.margin_level is None
        assert state.margin_mode is terminal.margin_mode
        assert state.credit == 0.0
        assert state.company
        assert state.login_ok


def test_a_symbol_is_what_its_quotes_say() -> None:
    """Digits, point and tick value agree with the quote; every trade's volume is allowed."""
    terminal = fleet().terminal(7_100_001)
    for instrument in INSTRUMENTS:
        info = asyncio.run(terminal.symbol(instrument.symbol))
        tick = asyncio.run(terminal.quote(instrument.symbol))
        assert (info.digits, info.point) == (tick.digits, tick.point)
        assert info.trade_tick_value == tick.tick_value
        for trade in terminal.trades:
            assert info.volume_min <= trade.volume <= info.volume_max
            steps = trade.volume / info.volume_step
            assert steps == pytest.approx(round(steps))


def test_trading_leaves_the_past_alone() -> None:
    """What was booked before the anchor is the same after a busy day, ticket for ticket."""
    terminal, untouched = fleet().terminal(7_100_001), fleet().terminal(7_100_001)
    order = OpenOrder(symbol="EURUSD", side=Side.BUY, volume=0.1, deviation=1000)
    before = asyncio.run(terminal.account()).balance
    for _ in range(3):
        ticket = asyncio.run(terminal.open(order)).position
        assert ticket is not None
        asyncio.run(terminal.close(CloseOrder(ticket=ticket, deviation=1000)))
    past = untouched.ledger.deals
    assert terminal.ledger.deals[: len(past)] == past
    assert len(terminal.ledger.deals) == len(past) + 6
    assert terminal.trades[3:] == untouched.trades
    assert asyncio.run(terminal.account()).balance != before == untouched.ledger.balance


def test_market_time_skips_weekends_before_the_anchor_only() -> None:
    """The second before a Monday's anchor is on Friday; after it time runs as the clock does."""
    calendar = TradingCalendar(at("2026-02-02"), days=10)
    assert calendar.date(-1) == at("2026-01-30T23:59:59")
    assert calendar.date(-5 * DAY_S) == at("2026-01-26")
    assert calendar.date(6 * DAY_S) == at("2026-02-08")


@given(moment=st.floats(min_value=-200 * DAY_S, max_value=30 * DAY_S))
def test_prices_are_positive_and_asks_lie_above_bids(moment: float) -> None:
    """Quotes have the symbol's digits and a spread at any time."""
    market = Market(3)
    for instrument in INSTRUMENTS:
        bid, ask = market.bid_ask(instrument.symbol, moment)
        assert 0.5 * instrument.price < bid < ask < 2 * instrument.price
        assert bid == round(bid, instrument.digits)


def test_an_unknown_symbol_has_no_quote() -> None:
    """The terminal says which symbol it does not know."""
    terminal = fleet().terminal(7_100_001)
    for asked in (terminal.quote("NOPE"), terminal.symbol("NOPE")):
        with pytest.raises(UnknownSymbolError, match="Symbol NOPE not found"):
            asyncio.run(asked)
