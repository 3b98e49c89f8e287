"""Which account each agent serves, as configured or as learned (T3).

Pure bookkeeping: it is told what agents answered and says what that means. May
import `config` and `model`. The trap: terminals on one host can be cross-wired,
also on their very first answer, so a number that two agents claim belongs to none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from fleetkit.config import AgentConfig
from fleetkit.model import Binding

CONFIRMATIONS = 2  # answers with one number until a learned binding may trade


class Verdict(StrEnum):
    """What an answer's account number means."""

    OWN = "own"
    WRONG = "wrong"
    CONFLICT = "conflict"


class Bindings:
    """Agent name to account number, and back.

    Parameters
    ----------
    agents
        The configured agents; a configured account is never changed by an answer.
    learned
        What earlier sessions learned: agent name to (account, confirmations).
    """

    def __init__(
        self, agents: Sequence[AgentConfig], learned: Mapping[str, tuple[int, int]]
    ) -> None:
        self._configured = {a.name: a.account for a in agents if a.account is not None}
        self._owner: dict[int, str] = {account: name for name, account in self._configured.items()}
        self._learned: dict[str, tuple[int, int]] = {}
        self._disputed: dict[int, set[str]] = {}
        for agent in agents:
            if agent.name in self._configured or agent.name not in learned:
                continue
            account, confirmations = learned[agent.name]
            if account not in self._owner:
                self._owner[account] = agent.name
                self._learned[agent.name] = (account, confirmations)

    def __repr__(self) -> str:
        return (
            f"<Bindings {len(self._configured)} configured, {len(self._learned)} learned, "
            f"{len(self._disputed)} disputed>"
        )

    def account_of(self, agent: str) -> int | None:
        """The account an agent is bound to, if any."""
        if agent in self._configured:
            return self._configured[agent]
        learned = self._learned.get(agent)
        return None if learned is None else learned[0]

    def agent_of(self, account: int) -> str | None:
        """The agent that serves an account, if any."""
        return self._owner.get(account)

    def state(self, agent: str) -> Binding:
        """How the agent's account is known."""
        if agent in self._configured:
            return Binding.CONFIGURED
        if agent in self._learned:
            confirmed = self._learned[agent][1] >= CONFIRMATIONS
            return Binding.CONFIRMED if confirmed else Binding.LEARNED
        if any(agent in claimants for claimants in self._disputed.values()):
            return Binding.CONFLICT
        return Binding.UNKNOWN

    def learned(self, agent: str) -> tuple[int, int] | None:
        """What to persist for an agent: (account, confirmations), or nothing."""
        return self._learned.get(agent)

    def claimants(self, account: int) -> frozenset[str]:
        """The agents that dispute a number; one with a configured account is never among them."""
        return frozenset(self._disputed.get(account, ()))

    def observe(self, agent: str, account: int) -> Verdict:
        """Take note that `agent` answered with `account` and judge it."""
        bound = self.account_of(agent)
        if bound is not None:
            if bound != account:
                return Verdict.WRONG
            self._confirm(agent)
            return Verdict.OWN
        self._leave_disputes(agent, but=account)
        owner = self._owner.get(account)
        if owner in self._configured:
            self._disputed.setdefault(account, set()).add(agent)
            return Verdict.CONFLICT
        if owner is not None:
            self._void(owner)
            self._disputed[account] = {owner, agent}
            return Verdict.CONFLICT
        claimants = self._disputed.get(account)
        if claimants is not None and claimants != {agent}:
            claimants.add(agent)
            return Verdict.CONFLICT
        self._disputed.pop(account, None)
        self._owner[account] = agent
        self._learned[agent] = (account, 1)
        return Verdict.OWN

    def _confirm(self, agent: str) -> None:
        if agent in self._learned:
            account, confirmations = self._learned[agent]
            if confirmations < CONFIRMATIONS:
                self._learned[agent] = (account, confirmations + 1)

    def _void(self, agent: str) -> None:
        account, _ = self._learned.pop(agent)
        del self._owner[account]

    def _leave_disputes(self, agent: str, but: int) -> None:
        for account, claimants in tuple(self._disputed.items()):
            if account != but:
                claimants.discard(agent)
                if not claimants:
                    del self._disputed[account]
