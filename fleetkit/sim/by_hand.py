"""What a person at a terminal does, and a broker: commands that go past the agent.

Why: people trade in the same terminals, money is paid in, deals are cancelled, and
a client must live with it (T5). May import `agent`, `fleet` and `terminal`.
The trap: the command is for the *account*, whatever its agent is wired to.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from fleetkit.agent.terminal import CloseOrder, OpenOrder, TerminalError, TradeResult
from fleetkit.contract import DONE
from fleetkit.model import Side
from fleetkit.sim.fleet import SimFleet
from fleetkit.sim.terminal import SimTerminal


class OpenByHand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person opens a position."""

    account: int
    symbol: str
    side: Side
    volume: float

    async def do(self, terminal: SimTerminal) -> int:
        """Do it; the position's ticket."""
        order = OpenOrder(symbol=self.symbol, side=self.side, volume=self.volume)
        result = _done(await terminal.open_by_hand(order))
        return result.position or result.order


class CloseByHand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person closes a position."""

    account: int
    ticket: int

    async def do(self, terminal: SimTerminal) -> int:
        """Do it; the position's ticket."""
        _done(await terminal.close_by_hand(CloseOrder(ticket=self.ticket)))
        return self.ticket


class Deposit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Money is paid in."""

    account: int
    amount: float
    comment: str

    async def do(self, terminal: SimTerminal) -> int:
        """Do it; the deal's ticket."""
        return terminal.deposit(self.amount, self.comment).ticket


class Withdraw(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Money is paid out."""

    account: int
    amount: float
    comment: str

    async def do(self, terminal: SimTerminal) -> int:
        """Do it; the deal's ticket."""
        return terminal.withdraw(self.amount, self.comment).ticket


class CancelDeal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The broker takes a deal back."""

    account: int
    ticket: int

    async def do(self, terminal: SimTerminal) -> int:
        """Do it; the deal's ticket."""
        return terminal.cancel_deal(self.ticket).ticket


Command = OpenByHand | CloseByHand | Deposit | Withdraw | CancelDeal
COMMANDS: Final[Mapping[str, type[Command]]] = MappingProxyType(
    {
        "open_by_hand": OpenByHand,
        "close_by_hand": CloseByHand,
        "deposit": Deposit,
        "withdraw": Withdraw,
        "cancel_deal": CancelDeal,
    }
)


async def obey(fleet: SimFleet, name: str, argument: msgspec.Raw) -> int:
    """Carry out one command of that name; the ticket of what it made or ended.

    Raises
    ------
    msgspec.DecodeError, LookupError, TerminalError
        It makes no sense, the account is not in the fleet, or the terminal refused.
    """
    command = msgspec.json.decode(argument, type=COMMANDS[name])
    if command.account not in {seat.account for seat in fleet.seats}:
        raise LookupError(f"no account {command.account} in this fleet")
    try:
        return await command.do(fleet.terminal(command.account))
    except ValueError as error:  # an amount or a deal that cannot be
        raise TerminalError(str(error)) from error


def _done(result: TradeResult) -> TradeResult:
    if result.retcode not in DONE:
        raise TerminalError(f"the terminal answered {result.retcode} {result.comment}".rstrip())
    return result
