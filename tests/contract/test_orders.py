"""Orders as callers see them, on every kind of agent: receipts, arming, plans, replays.

What goes wrong on the wire is in the tests of storms; here the answers are clear.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import fleetkit as fk
from fleetkit import frames
from fleetkit.sim import Faults, SimProcess

HEDGING, OTHER, NETTING = 7_100_001, 7_100_002, 7_100_005  # of seed 7
KINDS: dict[str, dict[str, Any]] = {
    "base": {"layer": "base"},
    "extended": {"layer": "extended"},
    "secure": {"layer": "extended", "tls": True},
}


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def served(kind: str) -> Iterator[SimProcess]:
    with SimProcess.start(accounts=5, seed=7, keep_alive_s=60, **KINDS[kind]) as process:
        yield process


def agents(served: SimProcess, **more: object) -> list[dict[str, Any]]:
    return [dict(agent, time_zone="UTC", stops_unit="price", **more) for agent in served.agents]


@pytest.fixture
def fleet(served: SimProcess, tmp_path, nothing_left_behind) -> Iterator[fk.Fleet]:
    served.faults.clear()
    with fk.connect(agents(served), home=tmp_path, progress=False) as connected:
        yield connected
    served.faults.clear()


@pytest.fixture
def armed(served: SimProcess, fleet: fk.Fleet) -> Iterator[fk.Fleet]:
    """A fleet that may open; every position it opened is closed in the end."""
    with fleet.armed(minutes=5, max_volume=20, max_orders=50):
        yield fleet
    served.faults.clear()
    opened = fleet.orders()
    mine = opened[(opened["kind"] == "open") & (opened["outcome"] == "filled")]
    held = fleet.positions(refresh=True, strict=False)
    for order_id in mine.index:
        ticket = opened.loc[order_id, "ticket"]
        if ticket in held.index:
            fleet.close_position(int(opened.loc[order_id, "account"]), int(ticket))


def quote_of(fleet: fk.Fleet, symbol: str = "EURUSD") -> fk.Quote:
    return fleet.quote(HEDGING, symbol)


def test_open_modify_and_close(kind: str, served: SimProcess, armed: fk.Fleet) -> None:
    """Each is filled, is in the journal, and is what the terminal executed."""
    before = len(served.persons.executed(HEDGING))
    opened = armed.open_position(HEDGING, "EURUSD", "buy", 0.2, comment="swing")
    assert (opened.outcome, opened.evidence) == ("filled", "answer")
    assert opened.ticket is not None
    position = armed.positions(HEDGING).loc[opened.ticket]
    assert (position["symbol"], position["side"], position["volume"]) == ("EURUSD", "buy", 0.2)
    level = round(position["current_price"] - 0.01, 5)
    modified = armed.modify_position(HEDGING, opened.ticket, sl_price=level)
    assert (modified.outcome, modified.stops_ok) == ("filled", True)
    assert armed.positions(HEDGING).loc[opened.ticket, "sl"] == level
    removed = armed.modify_position(HEDGING, opened.ticket, sl_price=fk.REMOVE)
    assert removed.outcome == "filled"
    assert armed.positions(HEDGING)["sl"].isna()[opened.ticket]
    closed = armed.close_position(HEDGING, opened.ticket)
    assert (closed.outcome, closed.ticket) == ("filled", opened.ticket)
    assert opened.ticket not in armed.positions(HEDGING).index
    journal = armed.orders(HEDGING)
    assert journal["kind"].tolist() == ["open", "modify", "modify", "close"]
    assert journal["outcome"].eq("filled").all()
    assert journal["settled_at"].notna().all()
    assert (journal["sent_at"] >= journal["created_at"]).all()
    done = served.persons.executed(HEDGING)[before:]
    assert [each.kind for each in done] == ["open", "modify", "modify", "close"]


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_stops_as_price_pips_and_money(kind: str, armed: fk.Fleet, side: str) -> None:
    """They are read back from the position; money needs a tick size, which base agents lack."""
    up = 1 if side == "buy" else -1
    price = round(quote_of(armed).bid - up * 0.02, 5)
    by_price = armed.open_position(HEDGING, "EURUSD", side, 0.1, sl_price=price)
    assert (by_price.outcome, by_price.stops_ok, by_price.sl) == ("filled", True, price)
    by_pips = armed.open_position(HEDGING, "USDJPY", side, 0.1, sl_pips=80, tp_pips=160)
    assert (by_pips.outcome, by_pips.stops_ok) == ("filled", True)
    assert by_pips.price is not None
    assert by_pips.sl is not None
    assert by_pips.tp is not None
    assert abs(by_pips.price - by_pips.sl) == pytest.approx(0.8, abs=0.01)
    assert abs(by_pips.tp - by_pips.price) == pytest.approx(1.6, abs=0.01)
    by_money = armed.open_position(HEDGING, "EURUSD", side, 0.1, sl_money=150)
    if kind == "base":
        assert by_money.outcome == "not_sent"
        assert "sl_price or sl_pips" in by_money.reason
    else:
        assert (by_money.outcome, by_money.stops_ok) == ("filled", True)


def test_a_refusal_of_the_broker(served: SimProcess, armed: fk.Fleet) -> None:
    """Rejected, with the broker's code or words, and retryable where the price moved on."""
    for retcode, retryable in ((10019, False), (10004, True)):
        served.faults[HEDGING] = Faults(retcode=retcode)
        receipt = armed.open_position(HEDGING, "EURUSD", "buy", 0.1)
        assert (receipt.outcome, receipt.retryable) == ("rejected", retryable)
        with pytest.raises(fk.OrderNotFilled, match="rejected"):
            receipt.raise_unless_filled()


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"volume": 0.001}, "round down to 0"),
        ({"symbol": "NOPE"}, "NOPE"),
        ({"sl_price": 9.0}, "must lie below"),
    ],
)
def test_fleetkit_itself_refuses(armed: fk.Fleet, wish: dict[str, Any], sentence: str) -> None:
    """Not sent, with the sentence; it is in the journal all the same."""
    asked = {"symbol": "EURUSD", "side": "buy", "volume": 0.1, **wish}
    receipt = armed.open_position(HEDGING, **asked)
    assert receipt.outcome == "not_sent"
    assert sentence in receipt.reason
    assert armed.orders().loc[receipt.order_id, "outcome"] == "not_sent"


def test_an_agent_that_is_not_there(served: SimProcess, armed: fk.Fleet) -> None:
    """Nothing was sent, and it is told so."""
    served.faults[HEDGING] = Faults(refuse=True)
    receipt = armed.open_position(HEDGING, "EURUSD", "buy", 0.1)
    assert receipt.outcome == "not_sent"
    assert "cannot be reached" in receipt.reason


def test_closed_by_default(fleet: fk.Fleet) -> None:
    """Opens need an arming; its volume, count, accounts and symbols hold; closes need none."""
    assert "not armed" in fleet.open_position(HEDGING, "EURUSD", "buy", 0.1).reason
    with fleet.armed(minutes=5, max_volume=0.3, max_orders=2, symbols="EURUSD"):
        opened = fleet.open_position(HEDGING, "EURUSD", "buy", 0.2)
        assert opened.outcome == "filled"
        assert "symbol" in fleet.open_position(HEDGING, "GBPUSD", "buy", 0.1).reason
        assert "0.1 lots" in fleet.open_position(HEDGING, "EURUSD", "buy", 0.2).reason
        other = fleet.open_position(OTHER, "EURUSD", "buy", 0.1)
        assert other.outcome == "filled"
        assert "used up" in fleet.open_position(HEDGING, "EURUSD", "buy", 0.01).reason
    assert "not armed" in fleet.open_position(HEDGING, "EURUSD", "buy", 0.1).reason
    assert opened.ticket is not None
    assert other.ticket is not None
    assert fleet.close_position(HEDGING, opened.ticket).outcome == "filled"
    assert fleet.close_position(OTHER, other.ticket).outcome == "filled"


def test_a_refused_order_gives_its_volume_back(served: SimProcess, fleet: fk.Fleet) -> None:
    """What was proven not executed does not count against the arming."""
    with fleet.armed(minutes=5, max_volume=0.1, max_orders=1):
        served.faults[HEDGING] = Faults(retcode=10019)
        assert fleet.open_position(HEDGING, "EURUSD", "buy", 0.1).outcome == "rejected"
        served.faults.clear()
        receipt = fleet.open_position(HEDGING, "EURUSD", "buy", 0.1)
        assert receipt.outcome == "filled"
    assert receipt.ticket is not None
    fleet.close_position(HEDGING, receipt.ticket)


def test_an_id_of_ones_own_is_sent_once(served: SimProcess, armed: fk.Fleet) -> None:
    """The second call replays the first receipt; nothing reaches the agent."""
    order_id = "my-order-0000000000000001-"
    first = armed.open_position(HEDGING, "EURUSD", "buy", 0.1, order_id=order_id)
    executed = len(served.persons.executed(HEDGING))
    again = armed.open_position(HEDGING, "EURUSD", "buy", 0.1, order_id=order_id)
    assert (again.replayed, again.ticket, again.outcome) == (True, first.ticket, "filled")
    assert len(served.persons.executed(HEDGING)) == executed


def test_several_accounts_at_once(served: SimProcess, armed: fk.Fleet) -> None:
    """One account's failure does not stop the others and cannot be overlooked."""
    served.faults[OTHER] = Faults(retcode=10019)
    wishes = [
        {"account": account, "symbol": "EURUSD", "side": "sell", "volume": 0.1}
        for account in (HEDGING, OTHER, NETTING)
    ]
    receipts = armed.open_positions(wishes)
    assert receipts["account"].tolist() == [HEDGING, OTHER, NETTING]
    assert receipts["outcome"].tolist() == ["filled", "rejected", "filled"]
    assert receipts.attrs["missing"] == [OTHER]
    assert {name: receipts[name].dtype for name in receipts} == frames.RECEIPTS.dtypes
    closed = armed.close_all([HEDGING, NETTING], symbols="EURUSD")
    assert closed["outcome"].eq("filled").all()
    assert "EURUSD" not in armed.positions([HEDGING, NETTING])["symbol"].tolist()


def test_a_plan_shows_what_it_will_send(kind: str, served: SimProcess, armed: fk.Fleet) -> None:
    """Rounding, stops, costs and refusals; executing sends exactly that."""
    wishes = [
        {"account": HEDGING, "symbol": "EURUSD", "side": "buy", "volume": 0.129, "sl_pips": 50},
        {"account": OTHER, "symbol": "EURUSD", "side": "sell", "volume": 0.1},
    ]
    executed = len(served.persons.executed(HEDGING))
    plan = armed.plan(wishes)
    assert len(served.persons.executed(HEDGING)) == executed
    assert plan.refused == 0
    row = plan.frame.iloc[0]
    assert (row["volume"], row["sl_pips"]) == (0.12, 50)
    assert row["sl_price"] == pytest.approx(row["entry"] - 0.005, abs=1e-5)
    assert plan.frame["margin"].notna().all() == (kind != "base")
    receipts = plan.execute()
    assert receipts["outcome"].tolist() == ["filled", "filled"]
    assert receipts["volume"].tolist() == [0.12, 0.1]
    refused = armed.plan([{**wishes[0], "volume": 0.001}])
    assert refused.refused == 1
    with pytest.raises(fk.UsageError, match="round down to 0"):
        refused.execute()


def test_partial_closes_need_an_agent_that_can(kind: str, armed: fk.Fleet) -> None:
    """Refused before sending on base agents; elsewhere the rest stays open."""
    opened = armed.open_position(HEDGING, "EURUSD", "buy", 0.3)
    assert opened.ticket is not None
    part = armed.close_position(HEDGING, opened.ticket, volume=0.1)
    if kind == "base":
        assert part.outcome == "not_sent"
        assert "Leave volume= out" in part.reason
        return
    assert (part.outcome, str(part.filled_volume)) == ("filled", "0.1")
    assert armed.positions(HEDGING).loc[opened.ticket, "volume"] == 0.2


def test_netting_accounts_reduce_and_reverse(armed: fk.Fleet) -> None:
    """Orders of one symbol share a position; what is executed is what is told."""
    for side, volume in (("buy", 0.2), ("sell", 0.1), ("sell", 0.3)):
        receipt = armed.open_position(NETTING, "AUDUSD", side, volume)
        assert receipt.outcome == "filled", receipt
    held = armed.positions(NETTING)
    (position,) = held[held["symbol"] == "AUDUSD"].itertuples()
    assert (position.side, position.volume) == ("sell", pytest.approx(0.2))
    assert armed.close_position(NETTING, position.Index).outcome == "filled"


def test_a_halt_survives_the_fleet(served: SimProcess, fleet: fk.Fleet, tmp_path) -> None:
    """Opens are refused by every fleet on the store until somebody resumes."""
    fleet.halt("too hot")
    with fleet.armed(minutes=5, max_volume=1, max_orders=1):
        assert "halted" in fleet.open_position(HEDGING, "EURUSD", "buy", 0.1).reason
    fleet.close()
    with (
        fk.connect(agents(served), home=tmp_path) as later,
        later.armed(minutes=5, max_volume=1, max_orders=1),
    ):
        assert "halted" in later.open_position(HEDGING, "EURUSD", "buy", 0.1).reason
        later.resume()
        opened = later.open_position(HEDGING, "EURUSD", "buy", 0.1)
        assert opened.outcome == "filled"
        assert opened.ticket is not None
        later.close_position(HEDGING, opened.ticket)


def test_policies_explain_themselves(served: SimProcess, tmp_path) -> None:
    """Symbols, volumes and hedging, for whom they concern; a plan lists the refusal."""
    policies = [
        fk.TradingPolicy(account=HEDGING, symbols=frozenset({"EURUSD"}), max_volume="0.2"),
        fk.TradingPolicy(hedging=fk.Hedging.FORBIDDEN),
    ]
    with (
        fk.connect(agents(served), home=tmp_path, policies=policies) as fleet,
        fleet.armed(minutes=5, max_volume=5, max_orders=9),
    ):
        assert "allows EURUSD" in fleet.open_position(HEDGING, "GBPUSD", "buy", 0.1).reason
        assert "0.2 lots an order" in fleet.open_position(HEDGING, "EURUSD", "buy", 0.3).reason
        opened = fleet.open_position(HEDGING, "EURUSD", "buy", 0.1)
        assert opened.outcome == "filled"
        assert "forbids hedging" in fleet.open_position(HEDGING, "EURUSD", "sell", 0.1).reason
        assert opened.ticket is not None
        assert fleet.close_position(HEDGING, opened.ticket).outcome == "filled"


def test_a_trade_touches_one_account(served: SimProcess, armed: fk.Fleet) -> None:
    """The others stay cached; the touched one is read once more, and frames agree at once."""
    armed.accounts()
    opened = armed.open_position(HEDGING, "EURUSD", "buy", 0.1)
    requests = served.requests()
    frame = armed.accounts()
    sources = frame["source"].to_dict()
    assert [sources[account] for account in sources if account != HEDGING] == ["cache"] * 4
    assert frame.loc[HEDGING, "has_open_position"]
    names = {agent["account"]: agent["name"] for agent in served.agents}
    for account, name in names.items():
        if account != HEDGING:
            assert served.requests()[name] == requests[name]
    assert opened.ticket in armed.positions(HEDGING).index


def test_the_same_awaited(served: SimProcess, fleet: fk.Fleet) -> None:
    """``fleet.aio`` has every call, and its own way to arm."""
    import asyncio

    async def scenario() -> list[str]:
        async with fleet.aio.armed(minutes=5, max_volume=1, max_orders=2):
            opened = await fleet.aio.open_position(HEDGING, "EURUSD", "buy", 0.1)
            assert opened.ticket is not None
            closed = await fleet.aio.close_position(HEDGING, opened.ticket)
        late = await fleet.aio.open_position(HEDGING, "EURUSD", "buy", 0.1)
        return [opened.outcome, closed.outcome, late.outcome]

    assert asyncio.run(scenario()) == ["filled", "filled", "not_sent"]
