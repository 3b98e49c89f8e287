"""What a trade costs the agents: its own requests, and one for the account it has touched."""

from __future__ import annotations

from collections import Counter

import pytest

import fleetkit as fk

FLEET = 69


@pytest.fixture(params=["base", "extended"])
def fleet(request, nothing_left_behind):
    """A simulated fleet that was just looked at."""
    with fk.demo(accounts=FLEET, seed=7, layer=request.param, progress=False) as fleet:
        fleet.accounts(strict=True)
        yield fleet


def spent(fleet, before):
    """(agent, route) → how often it was asked since."""
    now = flat(fleet)
    now.subtract(before)
    return +now


def flat(fleet):
    return Counter(
        {
            (agent, route): count
            for agent, routes in fleet.demo.requests().items()
            for route, count in routes.items()
        }
    )


def of(receipt):
    """(agent, route) → how often, as the receipt lists them."""
    return Counter((receipt.agent, call.call) for call in receipt.timings.calls)


def account_of(fleet):
    return int(fleet.accounts().index[5])


def test_a_trade_and_then_all_accounts(fleet) -> None:
    """One request besides those that the receipt lists; 68 of 69 accounts come from the cache."""
    account = account_of(fleet)
    before_frame = fleet.accounts()
    with fleet.armed(minutes=5, max_volume=1.0, max_orders=4):
        before = flat(fleet)
        receipt = fleet.open_position(account, "EURUSD", "buy", 0.1)
        frame = fleet.accounts()
        cost = spent(fleet, before)
    assert receipt.outcome is fk.Outcome.FILLED
    assert cost - of(receipt) == Counter({(receipt.agent, "accounts"): 1})
    assert of(receipt) - cost == Counter()
    assert len(frame) == FLEET
    assert set(frame["source"].drop(account)) == {"cache"}
    touched = frame["as_of"] > before_frame["as_of"]
    assert touched[touched].index.tolist() == [account]
    assert bool(frame.loc[account, "has_open_position"])
    before = flat(fleet)
    fleet.accounts()
    assert spent(fleet, before) == Counter()


def test_a_close_costs_the_same(fleet) -> None:
    """One more request, and the next frame of positions agrees with the receipt."""
    account = account_of(fleet)
    with fleet.armed(minutes=5, max_volume=1.0, max_orders=4):
        opened = fleet.open_position(account, "EURUSD", "buy", 0.1)
    fleet.accounts()
    before = flat(fleet)
    receipt = fleet.close_position(account, opened.ticket)
    fleet.accounts()
    extra = spent(fleet, before) - of(receipt)
    assert receipt.outcome is fk.Outcome.FILLED
    assert extra == Counter({(receipt.agent, "accounts"): 1})
    assert opened.ticket not in fleet.positions().index


def test_an_order_that_is_refused_here_costs_no_trade(fleet) -> None:
    """Not armed: no trade call goes out, and no account is fetched again."""
    account = account_of(fleet)
    before = flat(fleet)
    receipt = fleet.open_position(account, "EURUSD", "buy", 0.1)
    fleet.accounts()
    assert receipt.outcome is fk.Outcome.NOT_SENT
    cost = spent(fleet, before)
    assert (receipt.agent, "open") not in cost
    assert cost - of(receipt) == Counter()
