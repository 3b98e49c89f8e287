"""What one agent can do beyond the base layer, as far as it is known.

Why: whoever wants more than the base asks here, and a base agent is never asked one
request more on the way to its figures. May import `link`, `adopt`, `contract`, `model`
and below. The trap: what an agent said on another connection may have been another
process; one that was rolled back to the base answers empty lists for errors again.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from fleetkit import contract
from fleetkit.contract import AccountWire, Capability, HealthWire
from fleetkit.errors import AgentError, AgentRefused, NotSupported, WrongAccount
from fleetkit.gateway.adopt import adopt_capabilities, has_figures
from fleetkit.gateway.link import Link
from fleetkit.model import Capabilities

BASE = Capabilities()


class Advertised:
    """One agent's capabilities: what it said last, and over which connection.

    Parameters
    ----------
    link
        The way to the agent.
    bound_account
        The account that the agent is bound to, if any.
    """

    def __init__(self, link: Link, bound_account: Callable[[], int | None]) -> None:
        self.known: Capabilities | None = None
        self.contradiction: WrongAccount | None = None  # its /health speaks for another account
        self._link = link
        self._bound_account = bound_account
        self._said_over: int | None = None  # the connection of the last /health
        self._hint_followed = False

    def __repr__(self) -> str:
        return f"<Advertised by {self._link.name!r}: {self.known or 'not known'}>"

    def has(self, capability: Capability) -> bool:
        """Whether the agent is known to have a capability; asks nobody."""
        return self.known is not None and self.known.has(capability)

    @property
    def is_confirmed(self) -> bool:
        """Whether the agent said it over the connection that the next call goes over."""
        return self._said_over is not None and self._said_over == self._link.http.next_connection

    async def ask(self, *, in_turn: bool = False) -> Capabilities:
        """Ask ``GET /health``, whatever is known; ``in_turn`` where the lane is held.

        Raises
        ------
        WrongAccount
            It speaks for another account than the agent is bound to.
        AgentError
            It did not answer; what was known stays.
        """
        try:
            wire = await self._link.ask(contract.HEALTH, in_turn=in_turn)
        except AgentRefused as refusal:
            if refusal.status_code != HTTPStatus.NOT_FOUND:
                raise
            return self._learn(BASE)
        return self.heard(wire)

    def heard(self, wire: HealthWire) -> Capabilities:
        """Take note of an answer of ``GET /health`` that came just now."""
        said = adopt_capabilities(wire)
        bound = self._bound_account()
        if said.account is not None and bound is not None and said.account != bound:
            self.known, self._said_over = None, None
            self.contradiction = self._wrong(said.account, bound)
            raise self.contradiction
        return self._learn(said)

    async def confirmed(self, *, in_turn: bool = False) -> Capabilities:
        """What is known, asked again unless said over the connection the next call takes."""
        if self.known is not None and self.is_confirmed:
            return self.known
        return await self.ask(in_turn=in_turn)

    async def vouches_for(self, connection: int | None) -> bool:
        """Whether an extended agent answers over a connection: one that never hides an error.

        A base agent is not asked. Another process behind a new connection is.
        """
        if self.known is None or self.known.api is None:
            return False
        if self._said_over != connection:
            try:
                await self.ask()
            except AgentError:
                return False
        return self.known.api is not None and self._said_over == connection

    async def require(self, capability: Capability, need: str) -> None:
        """Raise `NotSupported` unless the agent has a capability; ask where that is not sure."""
        if self.has(capability):
            return
        if (await self.confirmed()).has(capability):
            return
        link = self._link
        layer = "the base layer only" if self.known == BASE else f"a layer without {capability}"
        message = f"{link.name} speaks {layer}; {need} our own agent."
        status = HTTPStatus.NOT_FOUND
        raise NotSupported(message, agent=link.name, status_code=status, account=link.account)

    def saw_account(self, wire: AccountWire) -> bool:
        """Take note of what an account's reply shows; whether ``/health`` is worth asking now.

        It is when it spoke for another account while the agent was bound to none yet.
        """
        if self.known is not None and self.known.account not in (None, wire.account_number):
            return True
        if not has_figures(wire):
            if self.known is None or self.has(Capability.ACCOUNT_FIGURES):
                self.roll_back()
            self._hint_followed = False
            return False
        worth_asking = (self.known or BASE) == BASE and not self._hint_followed
        self._hint_followed = True
        return worth_asking

    def hint_was_lost(self) -> None:
        """``/health`` did not answer: the next reply that shows more is worth asking again."""
        self._hint_followed = False

    def roll_back(self) -> None:
        """The agent showed that it is a base agent; what it said before is void."""
        self.known, self._said_over = BASE, None

    def _learn(self, said: Capabilities) -> Capabilities:
        self.contradiction = None
        self.known, self._said_over = said, self._link.last_connection
        return said

    def _wrong(self, said: int, bound: int) -> WrongAccount:
        message = (
            f"{self._link.name}'s /health speaks for account {said}, but it is bound to {bound}; "
            "nothing of it was kept. If the new number is right, set `account` for this agent "
            "in the configuration."
        )
        return WrongAccount(message, agent=self._link.name, account=bound)
