"""The real terminal's books, against `fake_mt5`: a stand-in, for the package needs Windows."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest

from fleetkit.agent import TerminalError, UnknownSymbolError
from fleetkit.agent.mt5 import BrokerZone, Mt5Options, Mt5Terminal
from fleetkit.model import MarginMode, Side
from tests.support.fake_clock import FakeClock
from tests.unit.fake_mt5 import EPOCH, FakeMt5

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ATHENS = BrokerZone("Europe/Athens")  # two hours ahead in winter


class Desk:
    """A terminal over the stand-in, with a clock that the test turns."""

    def __init__(self, options: Mt5Options | None = None, **broker) -> None:
        self.clock = FakeClock()
        self.mt5 = FakeMt5(self.clock, **broker)
        self.pauses = 0
        self.terminal = Mt5Terminal(options, clock=self.clock, package=self.mt5, pause=self._pause)

    def _pause(self, seconds: float) -> None:
        self.pauses += 1

    def ask(self, question):
        async def scenario():
            try:
                return await question(self.terminal)
            finally:
                self.terminal.end()

        return asyncio.run(scenario())

    def later(self) -> datetime:
        return self.clock.now() + timedelta(days=1)

    def trades(self, since: datetime = LONG_AGO):
        return self.ask(lambda t: t.history(since, self.later())).trades


def test_the_account() -> None:
    """Figures, names, margin mode and age come from the package's own records."""
    desk = Desk()
    state = desk.ask(lambda t: t.account())
    assert (state.number, state.balance, state.connected) == (7100012, 100000.0, True)
    assert (state.holder, state.firm, state.company) == ("A trader", "A broker", "A broker")
    assert (state.margin_mode, state.margin_level) == (MarginMode.HEDGING, None)
    assert (state.days_operating, state.initial_balance) == (39, 100000.0)
    assert state.trade_allowed
    assert not state.has_open_position


@pytest.mark.parametrize(
    "change",
    [
        {"terminal": {"trade_allowed": False}},
        {"terminal": {"tradeapi_disabled": True}},
        {"account": {"trade_allowed": False}},
        {"account": {"trade_expert": False}},
    ],
)
def test_trading_needs_every_switch(change: dict[str, dict[str, bool]]) -> None:
    """One switch that is off, in the terminal or at the broker, is enough."""
    desk = Desk()
    for name, fields in change.items():
        setattr(desk.mt5, name, getattr(desk.mt5, name)._replace(**fields))
    assert desk.ask(lambda t: t.account()).trade_allowed is False


def test_without_the_broker() -> None:
    """A terminal that has lost its broker shows number 0, as base agents do (T1)."""
    desk = Desk()
    desk.mt5.terminal = desk.mt5.terminal._replace(connected=False)
    state = desk.ask(lambda t: t.account())
    assert (state.number, state.balance, state.connected) == (0, 0.0, False)
    assert (state.equity, state.margin_level, state.login_ok) == (None, None, False)


@pytest.mark.parametrize(
    "question",
    [
        lambda t: t.account(),
        lambda t: t.positions(),
        lambda t: t.history(LONG_AGO, LONG_AGO),
        lambda t: t.deals(LONG_AGO, LONG_AGO),
        lambda t: t.quote("EURUSD"),
        lambda t: t.symbol("EURUSD"),
        lambda t: t.refresh(),
    ],
)
def test_another_account_is_logged_in(question) -> None:
    """Somebody logged the terminal into another account: every call refuses and says so."""
    desk = Desk(Mt5Options(account=7100099))
    with pytest.raises(TerminalError, match="logged into account 7100012, not 7100099"):
        desk.ask(question)
    assert Desk(Mt5Options(account=7100099)).ask(lambda t: t.initialised()) is False


@pytest.mark.parametrize(
    ("call", "code", "words"),
    [
        ("account_info", -10004, "start it, or let POST /refresh do it"),
        ("terminal_info", -10001, "is it still running"),
        ("positions_get", -10005, "did not answer in time"),
        ("positions_get", -1, r"IPC send failed \(-1\)"),
    ],
)
def test_none_is_an_error(call: str, code: int, words: str) -> None:
    """No answer is never an empty answer; the sentence has the package's own code."""
    desk = Desk()
    desk.mt5.silent[call] = code
    with pytest.raises(TerminalError, match=words) as raised:
        desk.ask(lambda t: t.positions())
    assert call in str(raised.value)


def test_a_terminal_that_does_not_start() -> None:
    """`initialize` answers False, and its code is told with advice."""
    desk = Desk()
    desk.mt5.silent["initialize"] = -10003
    with pytest.raises(TerminalError, match="start the terminal by hand"):
        desk.ask(lambda t: t.account())
    assert Desk().ask(lambda t: t.initialised()) is True


def test_the_package_is_missing() -> None:
    """On Linux the sentence says what to do instead."""
    terminal = Mt5Terminal()
    with pytest.raises(TerminalError, match=r"exists for Windows only.*--terminal simulated"):
        asyncio.run(terminal.positions())
    terminal.end()


@pytest.mark.parametrize("lie", [{"margin": 540.0}, {"profit": -12.5}])
def test_an_empty_list_that_the_account_contradicts(lie: dict[str, float]) -> None:
    """Margin or floating profit without a position: the terminal is still loading."""
    desk = Desk()
    desk.mt5.account = desk.mt5.account._replace(**lie)
    with pytest.raises(TerminalError, match="still loading"):
        desk.ask(lambda t: t.positions())


def test_pending_orders_hold_margin_too() -> None:
    """Margin alone is no contradiction where orders are pending."""
    desk = Desk()
    desk.mt5.account = desk.mt5.account._replace(margin=540.0)
    desk.mt5.pending = 1
    assert list(desk.ask(lambda t: t.positions()).positions) == []


def test_a_ledger_without_a_line() -> None:
    """A balance that no deal explains is a history that is not loaded."""
    desk = Desk()
    desk.mt5.ledger.clear()
    with pytest.raises(TerminalError, match=r"no deals at all.*100000\.00"):
        desk.trades()
    # A window without deals is another matter.
    quiet = Desk()
    assert quiet.ask(lambda t: t.deals(LONG_AGO, LONG_AGO)).deals == []


def test_a_position() -> None:
    """Zeros that mean "none" are none, times are UTC, the order id is left to the agent."""
    desk = Desk(Mt5Options(broker_zone=ATHENS), ahead_h=2)
    desk.mt5._hold(77, {"volume": 0.5, "type": 1, "magic": 9, "price": 1.09, "symbol": "EURUSD",
                        "comment": "01JK-test_0000000000000001", "tp": 1.08})  # fmt: skip
    (position,) = desk.ask(lambda t: t.positions()).positions
    assert (position.ticket, position.position_id, position.side) == (77, 77, Side.SELL)
    assert (position.sl, position.tp, position.magic) == (None, 1.08, 9)
    assert position.open_time == desk.clock.now()
    assert (position.order_id, position.comment) == (None, "01JK-test_0000000000000001")


def test_a_quote_needs_the_market_watch() -> None:
    """The symbol is selected before it is asked, and a tick's value is per point."""
    desk = Desk()
    tick = desk.ask(lambda t: t.quote("US500"))
    assert "US500" in desk.mt5.market_watch
    assert (tick.bid, tick.point, tick.tick_value) == (5000.0, 0.01, 0.1)
    assert tick.time - desk.clock.now() < timedelta(seconds=1)


@pytest.mark.parametrize("symbol", ["NOPE", "EUR\0USD", "\ud800", "A" * 65, "", "a\nb"])
def test_hostile_symbols(symbol: str) -> None:
    """What is no symbol is not found; most of it never reaches the package."""
    desk = Desk()
    with pytest.raises(UnknownSymbolError, match="not found"):
        desk.ask(lambda t: t.symbol(symbol))
    assert ("symbol_info" in desk.mt5.asked) == (symbol == "NOPE")


# times


def test_a_measured_offset() -> None:
    """A tick that was seen to come tells the offset, rounded to quarters of an hour."""
    for hours in (3, -5, 5.75):
        desk = Desk(ahead_h=hours)
        desk.clock.advance(1)
        desk.ask(lambda t: t.positions())
        assert desk.terminal.server_offset(desk.clock.now()) == timedelta(hours=hours)


def test_a_stale_tick_tells_nothing() -> None:
    """At the weekend no tick comes: the offset is not guessed, and times are refused."""
    desk = Desk()
    desk.mt5.ticking = False
    desk.clock.advance(30 * 3600)
    with pytest.raises(TerminalError, match=r"broker's clock is not known yet.*--broker-zone"):
        desk.trades()
    assert desk.terminal.server_offset(desk.clock.now()) == timedelta(0)
    assert desk.pauses == 39


def test_the_last_known_offset_stands() -> None:
    """Over a weekend what was measured on Friday is kept; then it is measured anew."""
    desk = Desk(ahead_h=2)

    async def scenario(terminal: Mt5Terminal) -> None:
        await terminal.positions()
        desk.mt5.ticking = False
        desk.clock.advance(50 * 3600)
        await terminal.positions()
        assert terminal.server_offset(desk.clock.now()) == timedelta(hours=2)
        looked = desk.pauses
        await terminal.positions()
        assert desk.pauses == looked  # not again at once
        desk.mt5.ticking = True
        desk.mt5.ahead = timedelta(hours=3)  # daylight saving time began on Sunday
        desk.clock.advance(61)
        await terminal.positions()
        assert terminal.server_offset(desk.clock.now()) == timedelta(hours=3)

    desk.ask(scenario)


@pytest.mark.parametrize(
    ("zone", "wall", "moment"),
    [
        ("Europe/Athens", "2026-01-15T12:00", "2026-01-15T10:00Z"),
        ("Europe/Athens", "2026-07-15T12:00", "2026-07-15T09:00Z"),
        # In March America changes three weeks before Europe.
        ("Europe/Athens", "2026-03-20T12:00", "2026-03-20T10:00Z"),
        ("America/New_York+7", "2026-03-20T12:00", "2026-03-20T09:00Z"),
        ("America/New_York+7", "2026-01-15T00:00", "2026-01-14T22:00Z"),
        # This hour comes twice; the first one is meant.
        ("Europe/Athens", "2026-10-25T03:30", "2026-10-25T00:30Z"),
    ],
)
def test_a_configured_zone(zone: str, wall: str, moment: str) -> None:
    """Every deal has the offset of its own day, winter and summer."""
    desk = Desk(Mt5Options(broker_zone=BrokerZone(zone)))
    at = (datetime.fromisoformat(wall).replace(tzinfo=UTC) - EPOCH).total_seconds()
    desk.mt5.book_deal(kind=0, entry=0, position=5, volume=0.1, at=at)
    desk.clock.advance(400 * 86400)
    deals = desk.ask(lambda t: t.deals(LONG_AGO, desk.later())).deals
    assert datetime.fromisoformat(moment) in [deal.time for deal in deals]
    assert desk.pauses == 0


@pytest.mark.parametrize("name", ["Mars/Olympus", "+7", "", "../etc", "America/New_York+x"])
def test_a_zone_that_is_none(name: str) -> None:
    """The sentence says which names there are."""
    with pytest.raises(ValueError, match=r"no time zone.*America/New_York\+7"):
        BrokerZone(name)


def test_the_newest_deal_is_seen() -> None:
    """A window that ends now is asked for with an end ahead of the broker's clock."""
    desk = Desk(ahead_h=3)
    ticket = desk.mt5.book_deal(kind=0, entry=0, position=5, volume=0.1)
    found = desk.ask(lambda t: t.deals(LONG_AGO, desk.clock.now() + timedelta(seconds=1))).deals
    assert [deal.ticket for deal in found][-1] == ticket
    assert desk.mt5.windows[-1][1] > desk.mt5.broker_now() + 86400
    assert all(since >= 0 for since, _ in desk.mt5.windows)


# closed trades


def test_partial_closes_share_the_entry() -> None:
    """Two closes of one entry: what it cost is shared, and nothing is lost to rounding."""
    desk = Desk()
    desk.mt5.book_deal(kind=0, entry=0, position=5, order=5, volume=0.3, price=1.1,
                       commission=-1.0, fee=-0.1, comment="swing", magic=3, days_ago=3)  # fmt: skip
    for volume, profit in ((0.1, 10.0), (0.1, 20.0), (0.1, -5.0)):
        desk.mt5.book_deal(kind=1, entry=1, position=5, volume=volume, price=1.101, profit=profit,
                           commission=-0.35, swap=-0.5, comment="[sl 1.1]", days_ago=1)  # fmt: skip
    trades = desk.trades()
    assert [trade.profit for trade in trades] == [-5.0, 20.0, 10.0]  # newest first
    assert [trade.commission for trade in trades] == [-0.69, -0.68, -0.68]
    assert sum(trade.fee for trade in trades) == pytest.approx(-0.1)
    assert {(t.side, t.volume, t.entry_volume, t.comment, t.magic, t.pips) for t in trades} == {
        (Side.BUY, 0.1, 0.3, "swing", 3, 10.0)
    }
    assert net(trades) == pytest.approx(deals_net(desk))


def net(trades) -> float:
    return sum(t.profit + t.commission + t.swap + t.fee for t in trades)


def deals_net(desk: Desk) -> float:
    lines = [deal for deal in desk.mt5.ledger if deal.position_id]
    return sum(deal.profit + deal.commission + deal.swap + deal.fee for deal in lines)


def test_a_reversal_closes_and_opens() -> None:
    """Netting: one deal ends the long and begins the short; its commission is split."""
    desk = Desk(netting=True)
    deal = desk.mt5.book_deal
    deal(kind=0, entry=0, position=5, order=5, volume=0.2, price=1.1, commission=-1.0, days_ago=4)
    deal(kind=0, entry=0, position=5, volume=0.2, price=1.2, commission=-1.0, days_ago=3)
    deal(kind=1, entry=2, position=5, volume=0.6, price=1.25, commission=-3.0, profit=4000.0,
         comment="turn", days_ago=2)  # fmt: skip
    deal(kind=0, entry=1, position=5, volume=0.2, price=1.2, commission=-1.0, profit=1000.0)
    short, long = desk.trades()
    assert (long.side, long.volume, long.entry_volume) == (Side.BUY, 0.4, 0.4)
    assert (long.entry_price, long.exit_price, long.commission) == (1.15, 1.25, -4.0)
    assert (short.side, short.volume, short.entry_volume) == (Side.SELL, 0.2, 0.2)
    assert (short.entry_price, short.comment, short.commission) == (1.25, "turn", -2.0)
    assert net((short, long)) == pytest.approx(deals_net(desk))


def test_closed_by_an_opposite_position() -> None:
    """OUT_BY closes both positions, each with its own trade."""
    desk = Desk()
    deal = desk.mt5.book_deal
    deal(kind=0, entry=0, position=5, order=5, volume=0.2, price=1.1, days_ago=2)
    deal(kind=1, entry=0, position=6, order=6, volume=0.2, price=1.2, days_ago=2)
    deal(kind=1, entry=3, position=5, volume=0.2, price=1.2, profit=2000.0)
    deal(kind=0, entry=3, position=6, volume=0.2, price=1.2)
    assert {(t.position_id, t.side, t.profit) for t in desk.trades()} == {
        (5, Side.BUY, 2000.0),
        (6, Side.SELL, 0.0),
    }


def test_an_entry_before_the_window() -> None:
    """A position opened long ago is fetched whole, and its cost is not forgotten."""
    desk = Desk()
    desk.mt5.book_deal(kind=0, entry=0, position=5, order=5, volume=0.2, price=1.1,
                       commission=-2.0, days_ago=30)  # fmt: skip
    desk.mt5.book_deal(kind=1, entry=1, position=5, volume=0.1, price=1.2, profit=5, days_ago=20)
    desk.mt5.book_deal(kind=1, entry=1, position=5, volume=0.1, price=1.2, profit=7)
    (trade,) = desk.trades(since=desk.clock.now() - timedelta(days=2))
    assert (trade.profit, trade.commission, trade.entry_price) == (7, -1.0, 1.1)
    assert (trade.exit_time - trade.entry_time).days == 30


def test_an_entry_that_the_broker_forgot() -> None:
    """The money is still shown; the exit stands in for what nobody knows."""
    desk = Desk()
    desk.mt5.book_deal(kind=1, entry=1, position=5, volume=0.1, price=1.2, profit=7, symbol="GONE")
    (trade,) = desk.trades()
    assert (trade.side, trade.profit, trade.pips) == (Side.BUY, 7, 0.0)
    assert trade.entry_time == trade.exit_time


# the thread


def test_one_thread_calls_the_package() -> None:
    """Ten questions at once are asked one after another, by one thread that is not ours."""
    desk = Desk()

    async def scenario(terminal: Mt5Terminal) -> None:
        await asyncio.gather(*(terminal.positions() for _ in range(5)), terminal.account())

    desk.ask(scenario)
    assert len(desk.mt5.threads) == 1
    assert threading.get_ident() not in desk.mt5.threads
