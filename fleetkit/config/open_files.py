"""Room for a fleet's connections: the process's limit of open files.

Why: 1,000 agents need more sockets than many systems allow by default, and
running out in the middle looks like 300 agents going offline. May import `errors`.
The trap: the limit belongs to the whole kernel, so it is only ever raised.
"""

from __future__ import annotations

import sys
from typing import Final, Protocol

from fleetkit.errors import ConfigError

KERNEL_MARGIN: Final = 256  # for the notebook kernel itself, its files and its own sockets


class OpenFileLimits(Protocol):
    """What there is to know and do about the limit; ``None`` means unlimited."""

    def read(self) -> tuple[int | None, int | None]:
        """The soft and the hard limit."""

    def raise_to(self, soft: int) -> None:
        """Set the soft limit; `OSError` or `ValueError` when the system refuses."""


def fit_open_files(agents: int, lanes: int, *, limits: OpenFileLimits | None = None) -> int | None:
    """Raise the soft limit of open files to what a fleet needs.

    Parameters
    ----------
    agents
        How many agents there are.
    lanes
        The sum of their lanes, that is of connections in use at once.
    limits
        The limits to work on; those of this process unless given.

    Returns
    -------
    int or None
        The soft limit now in force; ``None`` where there is none (Windows).

    Raises
    ------
    ConfigError
        When the system does not allow as many as the fleet needs.
    """
    if limits is None:
        limits = _process_limits()
    if limits is None:
        return None
    # A broken connection is closed before it is replaced: one for each lane is enough.
    needed = lanes + KERNEL_MARGIN
    soft, hard = limits.read()
    if soft is None or soft >= needed:
        return soft
    if hard is not None and hard < needed:
        raise _does_not_fit(agents, needed, hard)
    try:
        limits.raise_to(needed)
    except (OSError, ValueError):  # macOS has a second ceiling that getrlimit does not tell
        raise _does_not_fit(agents, needed, soft) from None
    return needed


def _does_not_fit(agents: int, needed: int, limit: int) -> ConfigError:
    return ConfigError(
        f"A fleet of {agents:,} agents needs {needed:,} open files, and this system allows "
        f"{limit:,}. Raise the hard limit (ulimit -Hn, LimitNOFILE= of the service, nofile in "
        "/etc/security/limits.conf) or connect to fewer agents.",
        key="agents",
        found=agents,
    )


if sys.platform == "win32":  # sockets are not files there, and nothing limits them

    def _process_limits() -> OpenFileLimits | None:
        return None

else:
    import resource

    class _ProcessLimits:
        """RLIMIT_NOFILE of this process."""

        def read(self) -> tuple[int | None, int | None]:
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            unlimited = resource.RLIM_INFINITY
            return None if soft == unlimited else soft, None if hard == unlimited else hard

        def raise_to(self, soft: int) -> None:
            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def _process_limits() -> OpenFileLimits | None:
        return _ProcessLimits()
