"""HTTP to one agent: the only package that imports httpx and httpcore.

Why: connections, deadlines, the replay rule and the mapping of foreign errors
belong in one place. May import `contract`, `config`, `clock` and `errors`.
The trap: a pool that many origins share reuses nothing and slows down with their
square, so every agent has its own few connections and all share one TLS context.
"""

from fleetkit.http.client import AgentHttp, RawReply, Reply
from fleetkit.http.failures import without_secrets
from fleetkit.http.logs import silence_secrets
from fleetkit.http.tls import TlsContexts
from fleetkit.http.trading import Exchange, hold_lane, look_up, trade

__all__ = [
    "AgentHttp",
    "Exchange",
    "RawReply",
    "Reply",
    "TlsContexts",
    "hold_lane",
    "look_up",
    "silence_secrets",
    "trade",
    "without_secrets",
]
