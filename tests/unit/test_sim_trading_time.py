"""What time does to open positions: stops, swaps, stop-outs, gaps and opening hours."""

from __future__ import annotations

import hashlib
import time
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetkit.contract import DealReason, Retcode
from fleetkit.model import Side
from fleetkit.sim.market import INSTRUMENTS, Market
from fleetkit.sim.money import Valuer
from fleetkit.sim.outlook import Outlook
from fleetkit.sim.position import Position
from fleetkit.sim.risk import Risk
from fleetkit.sim.sessions import DAY_S, Session, Sessions
from tests.support.sim_account import HEDGING, MONDAY, NETTING, SimAccount

SATURDAY = MONDAY + timedelta(days=5)
HISTORY_DIGEST = "8e5723b8c28887af"  # of prices before the anchor, as history was made from them


def closing(account: SimAccount, ticket: int | None) -> tuple[DealReason, float, str] | None:
    """Why and at what price a position ended."""
    for deal in account.new_deals:
        if deal.position_id == ticket and deal.entry:
            return DealReason(deal.reason), deal.price, deal.comment
    return None


def jumps(market: Market, symbol: str, days: int) -> list[int]:
    """The minutes after the anchor within which a price jumped."""
    hours = [n for n in range(24 * days) if market.jumped(symbol, n * 3600, (n + 1) * 3600)]
    minutes = [hour * 60 + n for hour in hours for n in range(1, 61)]
    return [n for n in minutes if market.jumped(symbol, (n - 1) * 60, n * 60)]


def test_prices_before_the_anchor_are_what_they_always_were() -> None:
    """To the last bit: history is made from them."""
    market, seen = Market(7, first_weekday=3, sessions=True), hashlib.sha256()
    for symbol in market.instruments:
        for number in range(400):
            moment_s = -number * 40_123.75
            prices = market.mid(symbol, moment_s), market.bid_ask(symbol, moment_s)
            seen.update(repr(prices).encode())
    assert seen.hexdigest()[:16] == HISTORY_DIGEST


def test_spreads_widen_around_the_rollover() -> None:
    """At midnight they are several times what they are at noon, and never quite still."""
    market = Market(7)
    for instrument in INSTRUMENTS:
        noon = [market.spread_points(instrument.symbol, DAY_S / 2 + 60 * n) for n in range(60)]
        assert len(set(noon)) > 1
        assert instrument.spread_points <= min(noon)
        assert max(noon) <= 1.3 * instrument.spread_points + 0.5
        assert market.spread_points(instrument.symbol, DAY_S) >= 4 * instrument.spread_points


def test_prices_jump_at_weekends_and_with_the_news() -> None:
    """Rarely, in one second, by a good part of a day's move; crypto has no weekend."""
    market, found = Market(7), {}
    for instrument in INSTRUMENTS:
        symbol = instrument.symbol
        found[symbol] = jumps(market, symbol, 70)
        # Within its minute, the second of the jump stands out.
        largest = max(
            abs(market.mid(symbol, n * 60 - s) / market.mid(symbol, n * 60 - s - 1) - 1)
            for n in found[symbol]
            for s in range(60)
        )
        assert 0.3 * instrument.daily_move < largest < 3 * instrument.daily_move
        calm = abs(market.mid(symbol, 3601) / market.mid(symbol, 3600) - 1)
        assert calm < 0.03 * instrument.daily_move
    assert len(found["BTCUSD"]) < 12 < len(found["EURUSD"]) < 25


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("kind", ["sl", "tp"])
def test_a_stop_is_filled_at_its_level(side: Side, kind: str) -> None:
    """While nobody asks, and with MetaTrader's words for it."""
    account = SimAccount()
    tick, up = account.quote(), (side is Side.BUY) == (kind == "tp")
    level = round(tick.bid + 0.0006, 5) if up else round(tick.bid - 0.0006, 5)
    order = account.buy if side is Side.BUY else account.sell
    ticket = order(0.1, **{kind: level}).position
    assert closing(account, ticket) is None
    account.wait(days=20)
    assert closing(account, ticket) == (DealReason[kind.upper()], level, f"[{kind} {level:.5f}]")
    account.check_books()


def test_a_stop_that_a_gap_jumps_over_is_filled_behind_it() -> None:
    """At the first price after the jump, which is worse than the level."""
    account = SimAccount(hour=0.5)
    market = account.terminal._market
    sizes = {
        n: market.mid("EURUSD", n * 60) - market.mid("EURUSD", n * 60 - 60)
        for n in jumps(market, "EURUSD", 60)
    }
    minute, size = next((n, size) for n, size in sizes.items() if abs(size) > 0.001)
    account.wait(minutes=minute - 1 - 30)
    tick, up = account.quote(), size > 0
    level = round(tick.ask + 0.0002, 5) if up else round(tick.bid - 0.0002, 5)
    ticket = (account.sell if up else account.buy)(0.1, sl=level).position
    account.wait(days=1)
    ended = closing(account, ticket)
    assert ended is not None
    reason, price, _ = ended
    assert reason is DealReason.SL
    assert (price > level) if up else (price < level)
    assert abs(price - level) > 0.0003


def test_swaps_come_at_the_rollover_three_on_wednesday() -> None:
    """Seven nights in a week, none at the weekend; crypto pays every night."""
    account = SimAccount()
    pound, coin = account.sell(0.5, "GBPUSD").position, account.buy(0.1, "BTCUSD").position
    nights = []
    for _ in range(7):
        account.wait(days=1)
        swaps = [account.position(ticket) for ticket in (pound, coin)]
        assert all(swaps)
        nights.append([round(each.swap, 2) for each in swaps if each])
    one = round(0.6 * 4.1 * 0.5, 2)
    assert [pair[0] for pair in nights] == [
        pytest.approx(one * n, abs=0.011) for n in (1, 2, 5, 6, 7, 7, 7)
    ]
    assert [pair[1] for pair in nights] == [pytest.approx(-1.8 * n) for n in range(1, 8)]
    balance = account.state.balance
    account.close(coin)
    assert account.new_deals[-1].swap == -12.6
    assert account.state.balance != balance
    account.check_books()


def test_margin_that_runs_out_closes_the_largest_loser_first() -> None:
    """Below half of the margin, until it is half again or nothing is left."""
    account = SimAccount()
    for symbol in ("USDJPY", "EURUSD", "GBPUSD"):
        for _ in range(40):
            account.buy(0.5, symbol)
            account.sell(0.25, symbol)
    state = account.state
    assert state.equity is not None
    assert state.margin is not None
    account.terminal.withdraw(state.equity - 0.49 * state.margin)
    count = len(account.positions)
    account.wait(minutes=1)
    closed = [deal for deal in account.new_deals if deal.reason == DealReason.SO]
    assert 0 < len(closed) < count
    assert closed[0].comment.startswith("so 4")
    losses = [deal.profit + deal.swap for deal in closed]
    assert losses == sorted(losses)
    assert losses[-1] <= min(position.profit + position.swap for position in account.positions)
    after = account.state
    assert after.margin_level is not None
    assert after.margin_level >= 50
    account.check_books()
    account.wait(days=60)
    account.check_books()


@pytest.mark.parametrize("account", [*range(7_100_001, 7_100_021)])
def test_nothing_happens_to_old_positions_on_the_first_day(account: int) -> None:
    """Balance, tickets and history do not depend on the time of day at which a demo begins."""
    early, late = SimAccount(account, hour=0.1), SimAccount(account, hour=23.99)
    assert early.state.balance == late.state.balance
    assert [p.ticket for p in early.positions] == [p.ticket for p in late.positions]
    assert [p.swap for p in early.positions] == [p.swap for p in late.positions]
    assert early.terminal.trades == late.terminal.trades
    assert late.new_deals == []


def test_old_positions_are_mortal_after_the_first_day() -> None:
    """Within two months most stops of a fleet's old positions have been hit."""
    ended, held = 0, 0
    for number in range(7_100_001, 7_100_041):
        account = SimAccount(number)
        with_stops = {p.ticket for p in account.positions if p.sl and p.tp}
        held += len(with_stops)
        account.wait(days=60)
        deals = account.new_deals
        assert all(deal.time >= MONDAY + timedelta(days=1) for deal in deals)
        ended += len({deal.position_id for deal in deals} & with_stops)
        account.check_books()
    assert ended > held / 2 > 5


def test_a_month_passes_in_well_under_a_second() -> None:
    """Its swaps, stops and stop-outs, whatever the account holds."""
    for number in (HEDGING, NETTING):
        account = SimAccount(number)
        bid = account.quote().bid
        for distance in (0.004, 0.01, 0.03):
            account.buy(0.1, sl=bid - distance, tp=bid + distance)
            account.sell(0.1, sl=bid + distance, tp=bid - distance)
        account.buy(0.2, "XAUUSD")
        account.buy(0.05, "BTCUSD")
        account.wait(days=31)
        began = time.perf_counter()
        _ = account.state
        assert time.perf_counter() - began < 0.5
        account.check_books()
        assert any(position.swap for position in account.positions)
        ended = {deal.reason for deal in account.new_deals} - {DealReason.EXPERT}
        assert ended or number == NETTING  # its opposite orders left nothing with a stop


Drawn = tuple[str, Side, float, float | None, float | None]


def placed(market: Market, valuer: Valuer, number: int, what: Drawn, minute: int) -> Position:
    """A position opened at the market with stops at those shares of its price."""
    symbol, side, volume, sl, tp = what
    price, up = market.mid(symbol, minute * 60), 1 if side is Side.BUY else -1
    return Position(
        ticket=number,
        identifier=number,
        symbol=symbol,
        side=side,
        volume=volume,
        entered=volume,
        open_time=MONDAY,
        open_price=price,
        sl=None if sl is None else price * (1 - up * sl),
        tp=None if tp is None else price * (1 + up * tp),
        margin_per_lot=valuer.margin_per_lot(market.instruments[symbol], price, minute * 60),
        swap=0,
    )


positions = st.builds(
    lambda symbol, side, lots, sl, tp: (symbol, side, lots / 100, sl, tp),
    st.sampled_from([instrument.symbol for instrument in INSTRUMENTS]),
    st.sampled_from(Side),
    st.integers(1, 200),
    st.one_of(st.none(), st.floats(0.0002, 0.02)),
    st.one_of(st.none(), st.floats(0.0002, 0.02)),
)


@settings(max_examples=40, deadline=None)
@given(
    held=st.lists(positions, min_size=1, max_size=3),
    balance=st.integers(1_000, 2_000_000),
    first=st.integers(1_441, 20_000),
    sessions=st.booleans(),
    currency=st.sampled_from(("USD", "EUR")),
)
def test_the_search_finds_what_a_walk_would(
    held: list[Drawn],
    balance: int,
    first: int,
    sessions: bool,
    currency: str,
) -> None:
    """The first minute in which anything happens, and none before it is skipped."""
    market = Market(11, first_weekday=2, sessions=sessions)
    valuer = Valuer(market, currency, 100)
    risk = Risk(market, valuer)
    made = [placed(market, valuer, number, what, first) for number, what in enumerate(held)]
    last = first + 700

    def walk() -> int | None:
        for minute in range(first, last + 1):
            touched = any(risk.touched(each, minute * 60) for each in made)
            if touched or risk.victim(made, balance, minute * 60):
                return minute
        return None

    outlook = Outlook(market, valuer, risk, positions=made, balance_cents=balance)
    assert outlook.first_event(first, last) == walk()


def test_markets_keep_their_hours_where_a_fleet_has_sessions() -> None:
    """Closed at weekends, indices for an hour every evening, crypto never."""
    account = SimAccount(start=SATURDAY, sessions=True)
    refused = account.buy()
    assert (refused.retcode, refused.comment) == (Retcode.MARKET_CLOSED, "Market closed")
    coin = account.buy(0.01, "BTCUSD")
    assert coin.retcode == Retcode.DONE
    before = account.quote()
    account.wait(hours=20)
    assert (account.quote().bid, account.quote().ask) == (before.bid, before.ask)
    account.wait(hours=16.5)  # Sunday, 22:30
    ticket = account.buy(0.01).position
    assert account.buy(0.1, "US30").retcode == Retcode.DONE
    index = account.positions[-1].ticket
    account.wait(hours=23)
    assert account.buy(0.1).retcode == Retcode.DONE
    for result in (
        account.buy(0.1, "US30"),
        account.close(index),
        account.modify(index, sl=30_000.0),
    ):
        assert result.retcode == Retcode.MARKET_CLOSED
    account.wait(days=4.5)  # Saturday again
    assert account.close(ticket).retcode == Retcode.MARKET_CLOSED
    assert account.close(coin.position).retcode == Retcode.DONE


def test_a_demo_trades_on_a_sunday() -> None:
    """Without sessions every day is a working day."""
    account = SimAccount(start=SATURDAY, hour=30)
    before = account.quote().bid
    assert account.close(account.buy().position).retcode == Retcode.DONE
    account.wait(minutes=10)
    assert account.quote().bid != before


def test_sessions_end_where_they_say() -> None:
    """The week from Sunday to Friday 22:00, an index's day at 21:00."""
    hours, friday = Sessions(0), 4 * DAY_S
    assert hours.closed_since(Session.WEEK, friday + 22 * 3600 - 1) is None
    assert hours.closed_since(Session.WEEK, friday + 23 * 3600) == friday + 22 * 3600
    assert hours.closed_since(Session.BREAKS, friday + 21.5 * 3600) == friday + 21 * 3600
    assert hours.closed_since(Session.BREAKS, 21.5 * 3600) == 21 * 3600
    assert hours.closed_since(Session.BREAKS, 22 * 3600) is None
    assert hours.closed_since(Session.WEEK, 6 * DAY_S + 22 * 3600) is None
    assert Sessions(6).closed_since(Session.WEEK, 3600) == 0.0
    assert hours.closed_since(Session.ALWAYS, 5 * DAY_S) is None
