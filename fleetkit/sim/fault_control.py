"""`FaultControl`: what is wrong with whom, from the side that started the fleet.

Why: reads like a mapping of agents to faults. May import `child`, `faults` and
`errors`.
The trap: it shows what was last *set*; a fault that a refresh healed is still here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NotRequired, TypedDict

from fleetkit.sim.child import Child
from fleetkit.sim.faults import HEALTHY, Faults


class SimAgent(TypedDict):
    """One agent, as `fleetkit.connect` takes it in a list."""

    name: str
    url: str
    account: int
    margin_mode: str  # what base agents do not tell, and trading needs (T14)
    ca_file: NotRequired[str]  # with TLS: whom to trust
    token: NotRequired[str]  # with TLS: "file:PATH", where it stands


class FaultControl:
    """What is wrong with whom, changeable while the fleet runs.

    Keys are agent names or account numbers::

        demo.faults[7100012] = Faults(disconnected=True)
        demo.faults["vps03-a1"]           # Faults(disconnected=True)
        demo.faults.set(None, Faults(latency=Latency.fixed(20)))   # every agent
        demo.faults.clear()
    """

    def __init__(self, child: Child, agents: list[SimAgent], faults: Faults) -> None:
        self._child = child
        self._faults = {agent["name"]: faults for agent in agents}
        self._names = {agent["account"]: agent["name"] for agent in agents}

    def __repr__(self) -> str:
        faulty = [f"{name}: {what!r}" for name, what in self._faults.items() if what != HEALTHY]
        if not faulty:
            return f"<FaultControl {len(self._faults)} agents, none faulty>"
        shown = ", ".join(faulty[:5]) + (", …" if len(faulty) > 5 else "")
        return f"<FaultControl {len(self._faults)} agents, {len(faulty)} faulty: {shown}>"

    def __getitem__(self, agent: str | int) -> Faults:
        """The faults last set for an agent or its account."""
        return self._faults[self.name_of(agent)]

    def __setitem__(self, agent: str | int, faults: Faults) -> None:
        """Put faults in place, as `set` does."""
        self.set(agent, faults)

    def __iter__(self) -> Iterator[str]:
        """The agents' names."""
        return iter(self._faults)

    def __len__(self) -> int:
        """The number of agents."""
        return len(self._faults)

    def set(self, agent: str | int | None, faults: Faults) -> None:
        """Put faults in place, instead of those there.

        Parameters
        ----------
        agent
            An agent's name, an account number, or ``None`` for every agent.
        faults
            What is wrong from now on.

        Raises
        ------
        KeyError
            No such agent or account in this fleet.
        fleetkit.errors.DemoError
            The fleet has ended, or has no such thing as these faults are about: TLS,
            a token.
        """
        name = None if agent is None else self.name_of(agent)
        self._child.ask("set_faults", {"agent": name, "faults": faults})
        for touched in self._faults if name is None else [name]:
            self._faults[touched] = faults

    def clear(self, agent: str | int | None = None) -> None:
        """Make one agent healthy, or all of them."""
        self.set(agent, HEALTHY)

    def name_of(self, agent: str | int) -> str:
        """The name of the agent with that name or account.

        Raises
        ------
        KeyError
            No such agent or account in this fleet.
        """
        name = self._names.get(agent) if isinstance(agent, int) else agent
        if name is None or name not in self._faults:
            raise KeyError(f"no agent or account {agent!r} in this fleet of {len(self._faults)}")
        return name
