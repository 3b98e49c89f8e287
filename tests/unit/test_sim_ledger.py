"""Whatever a simulated account does, its books add up to the cent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetkit.agent.terminal import CloseOrder, OpenOrder
from fleetkit.contract import DealEntry, DealReason, DealType
from fleetkit.model import Side
from tests.support.sim_account import (
    HEDGING,
    NETTING,
    NETTING_FLAT,
    SimAccount,
    cents,
    done,
    net_cents,
)

SYMBOLS = ("EURUSD", "USDJPY", "XAUUSD", "US30", "BTCUSD")

opens = st.tuples(
    st.just("open"),
    st.sampled_from(SYMBOLS),
    st.sampled_from(Side),
    st.integers(1, 300),  # hundredths of a lot
    st.sampled_from((None, 0.001, 0.01)),  # how far stops are, as a share of the price
)
closes = st.tuples(st.just("close"), st.integers(0, 9), st.sampled_from((None, 0.3, 0.5)))
modifies = st.tuples(st.just("modify"), st.integers(0, 9), st.sampled_from((0.002, 0.02)))
transfers = st.tuples(st.just("transfer"), st.integers(-2_000_00, 5_000_00))
cancels = st.tuples(st.just("cancel"), st.integers(1, 8))
forced = st.tuples(
    st.just("force"), st.integers(0, 9), st.sampled_from((DealReason.SL, DealReason.SO))
)
waits = st.tuples(st.just("wait"), st.sampled_from((1, 30, 600, 7_200, 90_000, 900_000)))
steps = st.lists(
    st.one_of(opens, opens, closes, closes, modifies, transfers, cancels, forced, waits, waits),
    max_size=25,
)


def stops(account: SimAccount, symbol: str, side: Side, share: float | None) -> dict[str, Any]:
    if share is None:
        return {}
    price, sign = account.quote(symbol).bid, 1 if side is Side.BUY else -1
    return {"sl": price * (1 - sign * share), "tp": price * (1 + sign * share)}


def take(account: SimAccount, step: tuple[Any, ...]) -> None:
    """Do one random thing, if it can be done now."""
    kind, *told = step
    terminal, positions = account.terminal, account.positions
    if kind == "open":
        symbol, side, hundredths, share = told
        order = account.buy if side is Side.BUY else account.sell
        order(hundredths / 100, symbol, **stops(account, symbol, side, share))
    elif kind == "wait":
        account.clock.advance(told[0])
    elif kind == "transfer" and told[0]:
        move = terminal.deposit if told[0] > 0 else terminal.withdraw
        move(abs(told[0]) / 100)
    elif kind == "cancel":
        trades = [deal for deal in account.new_deals if deal.type in (DealType.BUY, DealType.SELL)]
        if trades:
            terminal.cancel_deal(trades[-min(told[0], len(trades))].ticket)
    elif kind in ("close", "modify", "force") and positions:
        position = positions[told[0] % len(positions)]
        if kind == "close":
            part = told[1] and max(0.01, round(position.volume * told[1], 2))
            account.close(position.ticket, part)
        elif kind == "force":
            done(terminal.force_close(position.ticket, told[1]))
        else:
            account.modify(
                position.ticket, **stops(account, position.symbol, position.side, told[1])
            )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(account=st.sampled_from((HEDGING, NETTING, NETTING_FLAT, 7_100_001)), script=steps)
def test_books_add_up_whatever_happens(account: int, script: list[tuple[Any, ...]]) -> None:
    """Ledger, equity, trades, volumes and tickets, after every step of a random life."""
    made = SimAccount(account)
    for step in script:
        take(made, step)
        made.check_books()
    while made.positions:
        made.flatten()
    made.check_books()
    assert made.state.margin == 0.0
    assert made.state.equity == made.state.balance


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    account=st.sampled_from((HEDGING, NETTING)),
    script=steps,
    glances=st.lists(st.integers(1, 100_000), min_size=1, max_size=5),
    sessions=st.booleans(),
)
def test_how_often_it_is_asked_changes_nothing(
    account: int, script: list[tuple[Any, ...]], glances: list[int], sessions: bool
) -> None:
    """Two terminals with the same orders at the same moments agree, whoever looked meanwhile."""
    watched, alone = (SimAccount(account, sessions=sessions) for _ in range(2))
    for step in script:
        if step[0] != "wait":
            take(watched, step)
            take(alone, step)
            continue
        left = step[1]
        alone.clock.advance(left)
        for glance in glances:
            watched.clock.advance(min(glance, left))
            left -= min(glance, left)
            _ = watched.state
        watched.clock.advance(left)
    assert watched.deals == alone.deals
    assert watched.state == alone.state
    assert watched.positions == alone.positions
    assert watched.terminal.trades == alone.terminal.trades


def test_a_hedging_account_pays_when_it_closes() -> None:
    """The commission of the round turn is the closing deal's."""
    account = SimAccount(HEDGING)
    account.close(account.buy(0.5).position)
    first, last = account.new_deals
    assert (first.commission, last.commission) == (0.0, -3.5)
    assert account.terminal.trades[0].commission == -3.5


def test_a_netting_account_pays_half_when_it_opens() -> None:
    """Each deal has its half; a closed trade counts the entry's share as its own."""
    account = SimAccount(NETTING_FLAT)
    balance = account.state.balance
    ticket = account.buy(0.5).position
    assert account.state.balance == round(balance - 1.75, 2)
    account.close(ticket, 0.2)
    account.close(ticket)
    first, part, rest = account.new_deals
    assert (first.commission, part.commission, rest.commission) == (-1.75, -0.7, -1.05)
    newest, older = account.terminal.trades[:2]
    assert (older.commission, newest.commission) == (-1.4, -2.1)
    account.check_books()


def test_a_partial_close_is_a_row_of_its_own() -> None:
    """Volumes, swap and costs of the parts add up to the position's."""
    account = SimAccount()
    ticket = account.buy(0.3, "BTCUSD").position
    account.wait(days=3)
    swap = account.positions[-1].swap
    assert swap == -18.0 * 0.3 * 3
    assert account.close(ticket, 0.1).volume == 0.1
    left = account.position(ticket)
    assert left is not None
    assert left.volume == 0.2
    account.wait(minutes=5)
    account.close(ticket)
    newest, older = account.terminal.trades[:2]
    assert (older.volume, newest.volume) == (0.1, 0.2)
    assert older.entry_volume == newest.entry_volume == 0.3
    assert older.position_id == newest.position_id == ticket
    assert cents(older.swap + newest.swap) == cents(swap)
    assert cents(older.fee + newest.fee) == -360
    rows = net_cents(older) + net_cents(newest)
    assert rows == sum(net_cents(deal) for deal in account.new_deals)


def test_reasons_and_comments_say_who_traded() -> None:
    """The agent's deals carry magic and comment, a person's neither, the broker's its own."""
    account = SimAccount()
    mine = account.buy(0.2, magic=7, comment="x" * 40, sl=account.quote().bid - 0.002)
    theirs = done(
        account.terminal.open_by_hand(
            OpenOrder(symbol="EURUSD", side=Side.SELL, volume=0.2, magic=7, comment="no")
        )
    )
    done(account.terminal.close_by_hand(CloseOrder(ticket=theirs.position or 0, deviation=99)))
    account.close(mine.position, 0.1, comment="half of it")
    level = account.positions[-1].sl
    stopped = done(account.terminal.force_close(mine.position or 0, DealReason.SL))
    assert stopped.price == level
    told = [(deal.reason, deal.magic, deal.comment) for deal in account.new_deals]
    assert told == [
        (DealReason.EXPERT, 7, "x" * 31),
        (DealReason.CLIENT, 0, ""),
        (DealReason.CLIENT, 0, ""),
        (DealReason.EXPERT, 7, "half of it"),
        (DealReason.SL, 7, f"[sl {level:.5f}]"),
    ]
    assert [trade.comment for trade in account.terminal.trades[:3]] == ["x" * 31, "x" * 31, ""]


def test_deposits_and_withdrawals_are_deals() -> None:
    """They move balance and equity, and are no trades."""
    account = SimAccount()
    before, trades = account.state.balance, len(account.terminal.trades)
    put = account.terminal.deposit(500.0)
    took = account.terminal.withdraw(120.5, "Payout")
    assert account.state.balance == round(before + 379.5, 2)
    assert (put.type, put.profit, put.comment) == (DealType.BALANCE, 500.0, "Deposit")
    assert (took.type, took.profit, took.comment) == (DealType.BALANCE, -120.5, "Payout")
    assert account.new_deals == [put, took]
    assert len(account.terminal.trades) == trades
    for amount in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="amount must be"):
            account.terminal.deposit(amount)


def test_a_canceled_opening_deal_takes_its_position_along() -> None:
    """Its type says so, its costs are given back, and nothing is open any more."""
    account = SimAccount(NETTING_FLAT)
    before = account.state.balance
    result = account.buy(0.4)
    canceled = account.terminal.cancel_deal(result.deal)
    assert (canceled.type, canceled.volume) == (DealType.BUY_CANCELED, 0.4)
    assert net_cents(canceled) == 0
    assert account.state.balance == before
    assert account.position(result.position) is None
    account.check_books()


def test_a_canceled_closing_deal_has_earned_nothing() -> None:
    """The trade is gone from the history; so it is for a deal of before the anchor."""
    account = SimAccount()
    before = account.state.balance
    result = account.close(account.sell(0.4).position)
    assert account.state.balance != before
    assert account.terminal.cancel_deal(result.deal).type == DealType.BUY_CANCELED
    assert account.state.balance == before
    old = next(deal for deal in account.deals if deal.entry == DealEntry.OUT)
    trades = len(account.terminal.trades)
    account.terminal.cancel_deal(old.ticket)
    assert len(account.terminal.trades) == trades - 1
    assert account.state.balance == round(before - net_cents(old) / 100, 2)
    account.check_books()
    for ticket in (old.ticket, account.deals[0].ticket, 5):
        with pytest.raises(ValueError, match="no buy and no sell"):
            account.terminal.cancel_deal(ticket)


def test_new_tickets_rise_and_are_the_account_s_own() -> None:
    """Beyond every number of before the anchor, and no neighbour's after 100,000 positions."""
    one, other = SimAccount(7_100_001), SimAccount(7_100_002)
    old = [deal.ticket for deal in one.deals] + [trade.position_id for trade in one.terminal.trades]
    first, second = one.buy(), one.buy()
    assert second.deal > first.deal > max(old)
    assert second.order > first.order > max(old)
    neighbour = other.buy()
    assert neighbour.order - first.order >= 200_000
    assert neighbour.deal - first.deal >= 200_000
