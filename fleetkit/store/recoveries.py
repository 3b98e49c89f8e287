"""The fleet-wide budget of reconnects, shared by every kernel on the store.

Why: in a broker's outage each kernel would restart each terminal, just when the
broker has enough to do. May import `transaction`.
The trap: processes share wall-clock time only, and wall clocks are set back.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from fleetkit.store.transaction import immediate

_KEPT_S: Final = 86_400.0


def claim_recovery(
    connection: sqlite3.Connection, agent_url: str, now_s: float, budget: int, window_s: float
) -> bool:
    """Take one reconnect out of the budget, if there is one left.

    Parameters
    ----------
    agent_url
        Whose terminal is to reconnect; for the record.
    now_s
        Wall-clock seconds since 1970.
    budget
        How many may be claimed within the window, by all kernels together.
    window_s
        Length of the window that ends now.

    Returns
    -------
    bool
        Whether the caller may go on.
    """
    # A claim from the future was made before the clock was set back. Within a window it
    # counts, which errs on the side of the terminals; further away it would block for ever.
    kept_s = max(window_s, _KEPT_S)
    with immediate(connection):
        connection.execute(
            "DELETE FROM recoveries WHERE claimed_s <= ? OR claimed_s > ?",
            (now_s - kept_s, now_s + window_s),
        )
        (claimed,) = connection.execute(
            "SELECT count(*) FROM recoveries WHERE claimed_s > ?", (now_s - window_s,)
        ).fetchone()
        if claimed >= budget:
            return False
        connection.execute("INSERT INTO recoveries VALUES (?, ?)", (now_s, agent_url))
        return True
