"""Our own agent: an ASGI app that serves one MetaTrader 5 terminal over HTTP.

Why: real and simulated terminals are served by the same code, so what is
proven against the simulator holds on a VPS. Stands beside the client and may
import `contract`, `model`, `clock` and `errors` only.
The trap: base clients read field for field; a friendlier reply breaks them.
"""

from __future__ import annotations

from fleetkit.agent.app import AgentApp
from fleetkit.agent.lane import Lane
from fleetkit.agent.orders import OrderLog, OrderLogError
from fleetkit.agent.terminal import (
    Terminal,
    TerminalError,
    TradeRefusedError,
    UnknownSymbolError,
)

__all__ = [
    "AgentApp",
    "Lane",
    "OrderLog",
    "OrderLogError",
    "Terminal",
    "TerminalError",
    "TradeRefusedError",
    "UnknownSymbolError",
]
