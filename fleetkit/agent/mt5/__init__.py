"""The real terminal: `Terminal` over MetaTrader's own Python package.

Why: the same agent that is proven against the simulator serves a VPS. May import
`agent.terminal`, `contract`, `model` and `clock`; the package ``MetaTrader5``,
which exists for Windows only, is imported at the first call.
The trap: an answer of that package may be no answer. ``None`` is a failure, and
an empty list can be one as well just after connecting; it is believed only when
the account's own figures do not contradict it.

Never run on Windows yet, only against a stand-in of the package's functions. So
these are not proven: the package itself, its field types and error codes; whether
its calls let other threads run while they wait (if they do not, `/health` waits
with them); how long `initialize` takes while a terminal starts; what brokers
really answer.
"""

from __future__ import annotations

from fleetkit.agent.mt5.session import Mt5Options
from fleetkit.agent.mt5.terminal import Mt5Terminal
from fleetkit.agent.mt5.times import BrokerZone

__all__ = ["BrokerZone", "Mt5Options", "Mt5Terminal"]
