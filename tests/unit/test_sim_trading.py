"""How the simulated terminal takes orders: fills, refusals, stops, hedging and netting."""

from __future__ import annotations

import math

import pytest

from fleetkit.agent.terminal import (
    CloseOrder,
    ModifyOrder,
    OpenOrder,
    OpenPosition,
    TradeRefusedError,
    TradeResult,
    UnknownSymbolError,
)
from fleetkit.contract import DealEntry, DealType, Retcode
from fleetkit.model import MarginMode, Side
from fleetkit.sim.fleet import SimFleet
from fleetkit.sim.market import INSTRUMENTS
from tests.support.fake_clock import FakeClock
from tests.support.sim_account import MONDAY, NETTING_FLAT, SimAccount, done


def opened(account: SimAccount, result: TradeResult) -> OpenPosition:
    position = account.position(result.position)
    assert position is not None
    return position


def test_a_buy_is_filled_at_the_ask_and_a_sell_at_the_bid() -> None:
    """But for the points that an order slips; the answer names everything it made."""
    account = SimAccount()
    slips = []
    for _ in range(40):
        tick = account.quote()
        bought, sold = account.buy(), account.sell()
        for result, quoted, way in ((bought, tick.ask, 1), (sold, tick.bid, -1)):
            assert result.price is not None
            slips.append(round(way * (result.price - quoted) / tick.point))
            position, deal = opened(account, result), account.new_deals[-1]
            assert position.open_price == result.price
            assert (result.retcode, result.comment) == (Retcode.DONE, "Request executed")
            assert result.position == result.order == position.ticket
            assert result.volume == position.volume == 0.1
        assert (deal.ticket, deal.order, deal.price) == (sold.deal, sold.order, sold.price)
        account.close(bought.position)
        account.close(sold.position)
    assert slips.count(0) > 30
    assert max(slips) > 0
    again = SimAccount()
    assert again.buy().price is not None
    assert [d.price for d in again.new_deals] == [account.new_deals[0].price]


def test_more_slippage_than_allowed_is_a_requote() -> None:
    """Nothing happens then, and the next order is drawn anew."""
    account = SimAccount()
    results = [account.buy(deviation=0) for _ in range(30)]
    requoted = [result for result in results if result.retcode == Retcode.REQUOTE]
    assert 0 < len(requoted) < len(results)
    assert all(each.comment == "Requote" and each.price and not each.deal for each in requoted)
    assert len(account.new_deals) == len(results) - len(requoted)
    ticket = account.positions[-1].ticket
    closed = [account.close(ticket, 0.01, deviation=0).retcode for _ in range(10)]
    assert set(closed) <= {Retcode.DONE, Retcode.REQUOTE}


@pytest.mark.parametrize("volume", [0.0, -0.1, 0.005, 0.015, 100.01, math.nan, math.inf])
def test_a_volume_that_is_no_volume_is_invalid(volume: float) -> None:
    """Below the minimum, above the maximum, between two steps, or no number."""
    account = SimAccount()
    result = account.buy(volume)
    assert (result.retcode, result.comment) == (Retcode.INVALID_VOLUME, "Invalid volume")
    assert account.new_deals == []


def test_stops_on_the_wrong_side_or_too_near_are_invalid() -> None:
    """A buy's stop is below the bid and its target above it, a sell's the other way round."""
    account = SimAccount()
    tick, level = account.quote(), done(account.terminal.symbol("EURUSD")).trade_stops_level
    near, far = (level - 1) * tick.point, level * tick.point
    for refused in (
        account.buy(sl=tick.bid - near),
        account.buy(tp=tick.bid + near),
        account.buy(sl=tick.bid + far),
        account.sell(sl=tick.ask + near),
        account.sell(tp=tick.ask - near),
        account.sell(tp=tick.ask + far),
    ):
        assert (refused.retcode, refused.comment) == (Retcode.INVALID_STOPS, "Invalid stops")
    for taken in (
        account.buy(sl=tick.bid - far, tp=tick.bid + far),
        account.sell(sl=tick.ask + far, tp=tick.ask - far),
    ):
        assert taken.retcode == Retcode.DONE
    assert opened(account, taken).sl == round(tick.ask + far, 5)


def test_an_order_that_the_margin_does_not_allow_is_refused() -> None:
    """What is left over decides, and closing gives it back."""
    account = SimAccount()
    assert account.buy(60.0).retcode == Retcode.NO_MONEY
    while (result := account.buy(1.0)).retcode == Retcode.DONE:
        state = account.state
        assert state.margin_free is not None
        assert state.margin_free > -100
    assert (result.retcode, result.comment) == (Retcode.NO_MONEY, "No money")
    account.close(account.positions[-1].ticket)
    assert account.buy(1.0).retcode == Retcode.DONE


def test_large_orders_are_filled_in_part() -> None:
    """What the market takes at once is executed, the rest is not."""
    account = SimAccount()
    account.terminal.deposit(5_000_000)
    result = account.buy(50.0)
    assert (result.retcode, result.volume) == (Retcode.DONE_PARTIAL, 40.0)
    assert result.comment == "Request executed partially"
    assert account.buy(40.0).retcode == Retcode.DONE
    account.terminal.deposit(1.0)
    big = account.buy(5.0, "BTCUSD")
    assert (big.retcode, big.volume) == (Retcode.DONE_PARTIAL, 3.0)


def test_a_large_position_is_closed_in_parts() -> None:
    """Each close takes what the market takes; the last one the rest."""
    account = SimAccount(NETTING_FLAT)
    account.terminal.deposit(5_000_000)
    ticket = account.buy(3.0, "BTCUSD").position
    account.buy(1.5, "BTCUSD")
    first = account.close(ticket)
    assert (first.retcode, first.volume) == (Retcode.DONE_PARTIAL, 3.0)
    second = account.close(ticket)
    assert (second.retcode, second.volume) == (Retcode.DONE, 1.5)
    assert account.positions == []


def test_a_close_of_more_than_there_is_is_refused() -> None:
    """By MetaTrader's own number; also a part that is no volume."""
    account = SimAccount()
    ticket = account.buy(0.2).position
    more = account.close(ticket, 0.21)
    assert (more.retcode, more.comment) == (Retcode.INVALID_CLOSE_VOLUME, "Invalid close volume")
    for volume in (0.0, -0.1, 0.005, math.nan, math.inf):
        assert account.close(ticket, volume).retcode == Retcode.INVALID_VOLUME
    assert opened(account, more).volume == 0.2


def test_what_is_not_open_is_not_found() -> None:
    """A definite refusal of both calls, and an unknown symbol is none of the terminal's."""
    account = SimAccount()
    ticket = account.buy().position or 0
    account.close(ticket)
    for asked in (
        account.terminal.close(CloseOrder(ticket=ticket)),
        account.terminal.modify(ModifyOrder(ticket=ticket, sl=1.0)),
    ):
        with pytest.raises(TradeRefusedError, match=f"Position {ticket} not found"):
            done(asked)
    with pytest.raises(UnknownSymbolError, match="Symbol NOPE not found"):
        done(account.terminal.open(OpenOrder(symbol="NOPE", side=Side.BUY, volume=0.1)))


def test_modify_keeps_what_it_is_not_told_and_removes_at_zero() -> None:
    """Price levels; the answer says what the position has now."""
    account = SimAccount()
    bid = account.quote().bid
    low, high = round(bid - 0.01, 5), round(bid + 0.01, 5)
    ticket = account.buy(sl=low).position
    result = account.modify(ticket, tp=high)
    assert (result.retcode, result.sl, result.tp) == (Retcode.DONE, low, high)
    same = account.modify(ticket, tp=high)
    assert (same.retcode, same.comment) == (Retcode.NO_CHANGES, "No changes")
    assert account.modify(ticket, sl=high).retcode == Retcode.INVALID_STOPS
    result = account.modify(ticket, sl=0.0)
    assert (result.sl, result.tp) == (None, high)
    assert (opened(account, result).sl, opened(account, result).tp) == (None, high)


def test_a_hedging_account_holds_both_sides() -> None:
    """Every order is a position of its own."""
    account = SimAccount()
    assert account.state.margin_mode is MarginMode.HEDGING
    before = len(account.positions)
    results = [account.buy(0.1), account.buy(0.1), account.sell(0.3)]
    assert len({result.position for result in results}) == 3
    assert len(account.positions) == before + 3


def test_a_netting_account_adds_up_and_averages() -> None:
    """One ticket for all that is bought; the price is the average, stops the newest."""
    account = SimAccount(NETTING_FLAT)
    assert account.state.margin_mode is MarginMode.NETTING
    bid = account.quote().bid
    one = account.buy(0.1, sl=round(bid - 0.01, 5), tp=round(bid + 0.01, 5))
    account.wait(hours=1)
    two = account.buy(0.3, sl=round(bid - 0.02, 5))
    assert two.position == one.position != two.order
    (position,) = account.positions
    assert one.price is not None
    assert two.price is not None
    assert position.volume == 0.4
    assert position.open_price == pytest.approx((one.price + 3 * two.price) / 4, abs=1e-8)
    assert (position.sl, position.tp) == (round(bid - 0.02, 5), round(bid + 0.01, 5))
    assert {deal.position_id for deal in account.new_deals} == {one.position}


def test_a_netting_account_reduces_and_closes() -> None:
    """An opposite order closes what it is worth, and asks for no margin."""
    account = SimAccount(NETTING_FLAT)
    one = account.buy(0.4)
    two = account.sell(0.1, comment="less")
    assert (two.position, two.volume) == (one.position, 0.1)
    assert opened(account, two).volume == 0.3
    account.sell(0.3)
    assert account.positions == []
    assert [deal.entry for deal in account.new_deals] == [
        DealEntry.IN,
        DealEntry.OUT,
        DealEntry.OUT,
    ]
    assert [deal.comment for deal in account.new_deals] == ["", "less", ""]
    assert [trade.volume for trade in account.terminal.trades[:2]] == [0.3, 0.1]


def test_a_netting_account_reverses_under_a_new_ticket() -> None:
    """One deal in and out; the position's ticket is new, the number of its deals is not."""
    account = SimAccount(NETTING_FLAT)
    one = account.buy(0.2, comment="first")
    two = account.sell(0.5, comment="second")
    (position,) = account.positions
    assert (position.side, position.volume, position.comment) == (Side.SELL, 0.3, "second")
    assert position.ticket == two.position == two.order != one.position
    assert position.position_id == one.position
    deal = account.new_deals[-1]
    assert (deal.entry, deal.type, deal.volume) == (DealEntry.INOUT, DealType.SELL, 0.5)
    trade = account.terminal.trades[0]
    assert (trade.volume, trade.side, trade.comment) == (0.2, Side.BUY, "first")
    account.check_books()
    with pytest.raises(TradeRefusedError, match="not found"):
        account.close(one.position)
    account.close(two.position)
    assert account.terminal.trades[0].comment == "second"
    account.check_books()


def test_some_accounts_net_and_none_holds_a_symbol_twice() -> None:
    """A minority; the account of the examples hedges."""
    fleet = SimFleet(accounts=69, seed=7, clock=FakeClock(MONDAY), start=MONDAY)
    terminals = [fleet.terminal(seat.account) for seat in fleet.seats]
    netting = [each for each in terminals if each.margin_mode is MarginMode.NETTING]
    assert 5 <= len(netting) <= 23
    assert fleet.terminal(7_100_012).margin_mode is MarginMode.HEDGING
    for terminal in netting:
        symbols = [position.symbol for position in done(terminal.positions()).positions]
        assert len(set(symbols)) == len(symbols)


def test_every_instrument_can_be_traded_with_the_usual_deviation() -> None:
    """Twenty points are enough nearly always, also where a point is small."""
    for instrument in INSTRUMENTS:
        account = SimAccount()
        results = [account.buy(0.01, instrument.symbol, deviation=20) for _ in range(20)]
        assert sum(result.retcode == Retcode.DONE for result in results) >= 19
