"""Whose data one agent answers with, checked and remembered (T3).

May import `bindings`, `link`, `values`, `store` and below. The trap: an answer for
another account voids more than itself: two agents that claim one number lose both
what was read of them.
"""

from __future__ import annotations

from sqlite3 import Connection

from fleetkit import contract
from fleetkit.config import FleetConfig
from fleetkit.errors import StoreError, WrongAccount
from fleetkit.gateway.bindings import Bindings, Verdict
from fleetkit.gateway.link import Link
from fleetkit.gateway.values import Caches
from fleetkit.store import Store, drop_binding, save_binding


class Identity:
    """One agent's place in the fleet's bindings."""

    def __init__(
        self, link: Link, *, config: FleetConfig, bindings: Bindings, caches: Caches, store: Store
    ) -> None:
        self._link = link
        self._config = config
        self._bindings = bindings
        self._caches = caches
        self._store = store

    def __repr__(self) -> str:
        return f"<Identity {self._link.name!r} account {self.account}>"

    @property
    def account(self) -> int | None:
        """The account this agent is bound to, once known."""
        return self._bindings.account_of(self._link.name)

    def own(self, wires: list[contract.AccountWire]) -> contract.AccountWire:
        """Of what the agent answered, the account that is its own."""
        bound = self.account
        for wire in wires:
            if len(wires) == 1 or wire.account_number == bound:
                return wire
        raise self._link.contract_error(
            f"{len(wires)} accounts, none of which is known to be its own "
            "(set `account` for this agent in the configuration)",
            "$",
            contract.ACCOUNTS,
        )

    async def check(self, account: int) -> None:
        """Raise unless `account` is this agent's own; learn it where it is new."""
        link = self._link
        before = self._bindings.learned(link.name)
        verdict = self._bindings.observe(link.name, account)
        learned = self._bindings.learned(link.name)
        if verdict is Verdict.OWN:
            link.account = link.http.account = account
            if learned is not None and learned != before:
                await self._persist(learned)
            return
        if verdict is Verdict.CONFLICT:
            await self._void(self._bindings.claimants(account))
            message = (
                f"{link.name} answered for account {account}, which another agent answers for "
                "too; set `account` for both in the configuration."
            )
        else:
            message = (
                f"{link.name} answered for account {account} but is bound to {self.account}; "
                "nothing of it was kept. If the new number is right, set `account` for this "
                "agent in the configuration."
            )
        link.last_error = message
        raise WrongAccount(message, agent=link.name, account=self.account)

    async def _persist(self, learned: tuple[int, int]) -> None:
        """Remember a learned binding; reading goes on without when the store fails."""
        name, url = self._link.name, self._link.agent.url
        try:
            await self._store.run(lambda connection: save_binding(connection, name, url, *learned))
        except StoreError as error:
            self._link.last_error = str(error)

    async def _void(self, claimants: frozenset[str]) -> None:
        """Forget what was read of agents that claim one number, here and in the store."""
        for name in claimants:
            for cache in self._caches.of_figures:
                cache.forget(name)
        agents = [agent for agent in self._config.agents if agent.name in claimants]

        def drop(connection: Connection) -> None:
            for agent in agents:
                drop_binding(connection, agent.name, agent.url)

        try:
            await self._store.run(drop)
        except StoreError as error:
            self._link.last_error = str(error)
