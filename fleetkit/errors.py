"""Every error fleetkit raises, in one tree.

Each message ends in what to do next. An error that concerns an agent or an
account carries both as attributes, so that code need not read sentences.

The tree (a test redraws it from the classes)::

    FleetkitError
    ├── AgentError
    │   ├── AgentCancelled
    │   ├── AgentOffline
    │   ├── AgentRefused
    │   │   └── NotSupported
    │   ├── AgentTimeout
    │   │   └── AgentBusy
    │   ├── BreakerOpen
    │   ├── ConnectionBroken
    │   ├── ContractError
    │   ├── SuspectReply
    │   ├── TerminalDisconnected
    │   └── WrongAccount
    ├── ConfigError
    ├── DemoError
    ├── FleetClosed
    │   └── ForkedProcess
    ├── LabelError
    ├── LoopThreadBusy
    ├── NestedAsyncioRefused
    ├── OrderNotFilled
    ├── PartialResult
    ├── StoreError
    ├── UnknownAccount
    └── UsageError
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


class FleetkitError(Exception):
    """Base of every error that fleetkit raises on purpose."""

    def __reduce__(self) -> tuple[object, ...]:
        # Without this, errors with keyword arguments do not come back from another process.
        return _rebuilt, (type(self), self.args), self.__dict__


def _rebuilt(kind: type[FleetkitError], arguments: tuple[object, ...]) -> FleetkitError:
    error = kind.__new__(kind)
    error.args = arguments
    return error


class ConfigError(FleetkitError, ValueError):
    """A mistake in what was handed to `connect`.

    Parameters
    ----------
    message
        What to do, in a sentence.
    file
        Where the mistake stands: a path, an environment variable, ``"list"``.
    key
        The key, with its agent where there is one (``agents[2].url``).
    found
        What was found there. Never a secret.
    allowed
        What may stand there.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        key: str | None = None,
        found: object = None,
        allowed: str | None = None,
    ) -> None:
        self.file, self.key, self.found, self.allowed = file, key, found, allowed
        where = ": ".join(part for part in (file, key) if part)
        text = f"{where}: {message}" if where else message
        if found is not None:
            text += f" Found {found!r}."
        if allowed is not None:
            text += f" Allowed: {allowed}."
        super().__init__(text)


class FleetClosed(FleetkitError):
    """The fleet was closed, or a newer one over the same agents took its place."""


class ForkedProcess(FleetClosed):
    """The fleet belongs to the parent process; connect again in the child."""


class UnknownAccount(FleetkitError, LookupError):
    """No agent of this fleet is bound to that account."""

    def __init__(self, message: str, *, account: int | None = None) -> None:
        self.account = account
        super().__init__(message)


class UsageError(FleetkitError, ValueError):
    """An argument that makes no sense; the message says what would."""


class LabelError(FleetkitError, ValueError):
    """A phase or group that cannot be set."""


class StoreError(FleetkitError):
    """The embedded store cannot be opened, read or written."""


class LoopThreadBusy(FleetkitError, RuntimeError):
    """A blocking call was made on fleetkit's own loop thread, which would wait for itself."""


class NestedAsyncioRefused(FleetkitError, RuntimeError):
    """Nested event loops cannot be had soundly here; the message says why."""


class OrderNotFilled(FleetkitError):
    """`Receipt.raise_unless_filled` found another outcome; order calls themselves never raise it.

    Attributes
    ----------
    order_id : str
        The order's id, by which `Fleet.orders` finds it.
    account : int
        Its account.
    outcome : str
        What became of it instead.
    """

    def __init__(self, message: str, *, order_id: str, account: int, outcome: str) -> None:
        self.order_id, self.account, self.outcome = order_id, account, outcome
        super().__init__(message)


class DemoError(FleetkitError):
    """The simulated fleet did not start or did not answer."""


class PartialResult(FleetkitError):
    """Some accounts are missing from an answer that was asked to be whole.

    Attributes
    ----------
    frame : pandas.DataFrame
        What could be had, in the schema of the call.
    missing : list of int or str
        The accounts that are missing; an agent whose account was never learned is
        listed by its name.
    reasons : dict
        For each of them a sentence that says why.
    """

    def __init__(
        self, message: str, *, frame: pd.DataFrame, reasons: Mapping[int | str, str]
    ) -> None:
        self.frame = frame
        self.reasons = dict(reasons)
        self.missing = list(self.reasons)
        super().__init__(message)


class AgentError(FleetkitError):
    """Something went wrong between this machine and one agent.

    Attributes
    ----------
    agent : str
        The agent's name.
    account : int or None
        The account it is bound to, where known.
    """

    def __init__(self, message: str, *, agent: str, account: int | None = None) -> None:
        self.agent = agent
        self.account = account
        super().__init__(message)


class AgentOffline(AgentError):
    """No connection could be made: refused, unreachable, unknown name, TLS failure."""


class AgentTimeout(AgentError):
    """The agent did not answer within the deadline."""


class AgentBusy(AgentTimeout):
    """The call waited its whole deadline behind others to the same agent; it was never sent."""


class ConnectionBroken(AgentError):
    """The connection broke in the middle of a call."""


class AgentRefused(AgentError):
    """The agent answered with an HTTP error.

    Attributes
    ----------
    status_code : int
        The HTTP status code.
    """

    def __init__(
        self, message: str, *, agent: str, status_code: int, account: int | None = None
    ) -> None:
        self.status_code = status_code
        super().__init__(message, agent=agent, account=account)


class NotSupported(AgentRefused):
    """The agent is too old to have this route."""


class ContractError(AgentError):
    """The agent's answer does not have the shape it must have.

    Attributes
    ----------
    json_path : str
        Where in the answer the mistake stands, ``$`` for the whole of it.
    """

    def __init__(
        self, message: str, *, agent: str, json_path: str = "$", account: int | None = None
    ) -> None:
        self.json_path = json_path
        super().__init__(message, agent=agent, account=account)


class WrongAccount(AgentError):
    """The agent answered with another account's data; nothing of it was kept."""


class TerminalDisconnected(AgentError):
    """The agent answers, but its terminal has no connection to the broker."""


class SuspectReply(AgentError):
    """An empty answer that cannot be told from a failing terminal; old rows are kept."""


class BreakerOpen(AgentError):
    """The agent failed too often just now; it is left alone for a while."""


class AgentCancelled(AgentError):
    """The call was cancelled before the agent answered."""
