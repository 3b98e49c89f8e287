"""`Persons`: what people do at the simulated terminals, from the side that started them.

Why: trades of a person, money paid in and deals taken back are what a client must
live with, and what was really executed is what its journal is compared with. May
import `child`, `fault_control`, `mishaps`, `model` and `errors`.
The trap: nothing here passes through an agent, so no request counter moves and no
fault applies.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from fleetkit.errors import ConfigError
from fleetkit.model import Side
from fleetkit.sim.child import Child
from fleetkit.sim.fault_control import FaultControl
from fleetkit.sim.mishaps import Executed


class Persons:
    """People at the terminals, by account number."""

    def __init__(self, child: Child, agents: FaultControl) -> None:
        self._child = child
        self._agents = agents

    def __repr__(self) -> str:
        return f"<Persons at {len(self._agents)} simulated terminals>"

    def open_by_hand(
        self, account: int, symbol: str, side: Side | Literal["buy", "sell"], volume: float
    ) -> int:
        """Open a position as a person would; its ticket.

        Raises
        ------
        fleetkit.errors.DemoError
            The terminal refused, or the fleet has no such account.
        """
        if side not in tuple(Side):
            raise ConfigError("No such side.", key="side", found=side, allowed='"buy" or "sell"')
        return self._do("open_by_hand", account, symbol=symbol, side=side, volume=volume)

    def close_by_hand(self, account: int, ticket: int) -> None:
        """Close a position as a person would."""
        self._do("close_by_hand", account, ticket=ticket)

    def deposit(self, account: int, amount: float, comment: str = "Deposit") -> int:
        """Pay money in; the ticket of the deal that books it."""
        return self._do("deposit", account, amount=amount, comment=comment)

    def withdraw(self, account: int, amount: float, comment: str = "Withdrawal") -> int:
        """Pay money out; the ticket of the deal that books it."""
        return self._do("withdraw", account, amount=amount, comment=comment)

    def cancel_deal(self, account: int, ticket: int) -> None:
        """Take a deal back, as brokers do with what should not have been."""
        self._do("cancel_deal", account, ticket=ticket)

    def executed(self, agent: str | int) -> list[Executed]:
        """Every order that an agent's terminal really executed, oldest first.

        The ground truth: what its order routes did, whatever they answered. Trades by
        hand and by the broker are not among them.

        Parameters
        ----------
        agent
            An agent's name or its account number.
        """
        return msgspec.convert(
            self._child.ask("executed", self._agents.name_of(agent)), list[Executed]
        )

    def _do(self, command: str, account: int, **argument: object) -> int:
        ticket: int = self._child.ask(command, {"account": account, **argument})
        return ticket
