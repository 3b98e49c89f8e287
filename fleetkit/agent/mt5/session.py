"""One terminal, connected and logged into the right account.

Why: every question begins with the same doubts, whether the terminal is there and
whose account it shows. May import `mt5.thread`, `mt5.times` and `agent.terminal`.
Runs on the terminal's thread only.
The trap: a terminal can be logged into another account by hand at any moment, so
the number is compared before every single answer and order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from fleetkit.agent.mt5.thread import failure, load
from fleetkit.agent.mt5.times import BrokerTimes, BrokerZone
from fleetkit.agent.terminal import TerminalError, UnknownSymbolError
from fleetkit.clock import Clock

LOOKS: Final = 40  # at a tick, until a new one has come
LOOK_S: Final = 0.05
SYMBOL_MAX: Final = 64  # characters
WORST_CODE: Final = -10_000  # of `last_error`; from here down the terminal itself is the trouble


@dataclass(frozen=True)
class Mt5Options:
    """What is known of a terminal before it is asked.

    Parameters
    ----------
    account
        The number that must be logged in; any one where ``None``.
    broker_zone
        The zone of the broker's clock; measured where ``None``.
    path
        Of ``terminal64.exe``, where several are installed.
    symbol
        One with many ticks, to measure the broker's clock by.
    magic
        Marks what this agent opens.
    name, firm, initial_balance
        What `GET /accounts` says of them; the broker's own words, and the first
        deposit, where ``None``.
    """

    account: int | None = None
    broker_zone: BrokerZone | None = None
    path: str | None = None
    symbol: str = "EURUSD"
    magic: int = 0
    name: str | None = None
    firm: str | None = None
    initial_balance: float | None = None


@dataclass(frozen=True)
class Session:
    """A moment's proof of where we are: the package, the terminal, the account."""

    mt5: Any
    terminal: Any
    account: Any

    def told(self, call: str, *args: Any, **named: Any) -> Any:
        """An answer of the package.

        Raises
        ------
        TerminalError
            There was none.
        """
        return told(self.mt5, call, *args, **named)


class Mt5Link:
    """The way to one terminal.

    Parameters
    ----------
    options
        What is known before it is asked.
    clock
        What time it is.
    package
        The module ``MetaTrader5``; imported at the first call where ``None``.
    pause
        Waits some seconds between two looks at a tick.
    """

    def __init__(
        self,
        options: Mt5Options,
        clock: Clock,
        package: Any = None,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self.options = options
        self.clock = clock
        self.times = BrokerTimes(options.broker_zone, clock)
        self._package = package
        self._pause = threading.Event().wait if pause is None else pause
        self._up = False

    def __repr__(self) -> str:
        return f"<fleetkit.agent Mt5Link to account {self.options.account or 'any'}>"

    def session(self) -> Session:
        """The terminal as it is now, connected to if need be.

        Raises
        ------
        TerminalError
            It does not answer, or another account is logged in.
        """
        mt5 = self._connected()
        terminal, account = told(mt5, "terminal_info"), told(mt5, "account_info")
        expected = self.options.account
        if expected is not None and account.login != expected:
            raise TerminalError(
                f"The terminal is logged into account {account.login}, not {expected}: "
                "log it in again, or serve that account with an agent of its own."
            )
        return Session(mt5, terminal, account)

    def dated(self) -> Session:
        """The same, after a look at the broker's clock where one is due."""
        session = self.session()
        if self.times.due:
            self._look_at_ticks(session.mt5)
        return session

    def reconnect(self) -> None:
        """Let go of the terminal and connect again."""
        self._mt5().shutdown()
        self._up = False
        if not self.session().terminal.connected:
            raise TerminalError("The terminal runs, but has no connection to the broker.")

    def _mt5(self) -> Any:
        if self._package is None:
            self._package = load()
        return self._package

    def _connected(self) -> Any:
        mt5 = self._mt5()
        if not self._up or mt5.terminal_info() is None:
            path = () if self.options.path is None else (self.options.path,)
            self._up = bool(mt5.initialize(*path))
            if not self._up:
                raise failure(mt5, "initialize")
        return mt5

    def _look_at_ticks(self, mt5: Any) -> None:
        mt5.symbol_select(self.options.symbol, True)
        for look in range(LOOKS):
            if look:
                self._pause(LOOK_S)
            tick = mt5.symbol_info_tick(self.options.symbol)
            if tick is not None and self.times.look(tick.time_msc):
                return
        self.times.give_up()


def told(mt5: Any, call: str, *args: Any, **named: Any) -> Any:
    """An answer of the package; `TerminalError` where there was none."""
    answer = getattr(mt5, call)(*args, **named)
    if answer is None:
        raise failure(mt5, call)
    return answer


def chosen(mt5: Any, symbol: str) -> Any:
    """A symbol's figures, once it is in the Market Watch: others have no prices.

    Raises
    ------
    UnknownSymbolError
        There is no such symbol.
    TerminalError
        The terminal did not answer.
    """
    if not symbol or not symbol.isprintable() or len(symbol) > SYMBOL_MAX:
        raise UnknownSymbolError("Symbol not found")
    info = mt5.symbol_info(symbol)
    if info is None:
        reason = failure(mt5, "symbol_info")
        if mt5.last_error()[0] <= WORST_CODE:
            raise reason
        raise UnknownSymbolError(f"Symbol {symbol} not found")
    if not mt5.symbol_select(symbol, True):
        raise failure(mt5, "symbol_select")
    return info


def price(mt5: Any, symbol: str) -> Any:
    """The last tick of a chosen symbol; `UnknownSymbolError` before its first one."""
    tick = told(mt5, "symbol_info_tick", symbol)
    if not tick.bid or not tick.ask:
        raise UnknownSymbolError(f"Symbol {symbol} has no price now")
    return tick
