"""fleetkit: a fleet of MetaTrader 5 accounts in a notebook.

`connect` to your agents, or start a simulated fleet with `demo`; then
``fleet.accounts()``, ``fleet.positions()`` and ``fleet.trades()`` are DataFrames.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fleetkit import panels, sim
    from fleetkit.config import (
        BreakerPolicy,
        CachePolicy,
        PoolLimits,
        RecoveryPolicy,
        Timeouts,
        TradingSettings,
    )
    from fleetkit.contract import Capability
    from fleetkit.demo_fleet import DemoFleet, demo
    from fleetkit.errors import (
        AgentBusy,
        AgentCancelled,
        AgentError,
        AgentOffline,
        AgentRefused,
        AgentTimeout,
        BreakerOpen,
        ConfigError,
        ConnectionBroken,
        ContractError,
        DemoError,
        FleetClosed,
        FleetkitError,
        ForkedProcess,
        LabelError,
        LoopThreadBusy,
        NestedAsyncioRefused,
        NotSupported,
        OrderNotFilled,
        PartialResult,
        StoreError,
        SuspectReply,
        TerminalDisconnected,
        UnknownAccount,
        UsageError,
        WrongAccount,
    )
    from fleetkit.fleet import AioFleet, Fleet, Plan, connect
    from fleetkit.model import (
        Account,
        AccountStatus,
        AgentStatus,
        Binding,
        Breaker,
        CacheStats,
        Capabilities,
        Quote,
        Side,
        Source,
        StopsUnit,
        Symbol,
        TradeMode,
    )
    from fleetkit.nested import allow_nested_asyncio
    from fleetkit.trading import (
        KEEP,
        REMOVE,
        Evidence,
        Hedging,
        OrderKind,
        Outcome,
        Receipt,
        TradingPolicy,
    )

__version__ = "0.1.0"

__all__ = [
    "KEEP",
    "REMOVE",
    "Account",
    "AccountStatus",
    "AgentBusy",
    "AgentCancelled",
    "AgentError",
    "AgentOffline",
    "AgentRefused",
    "AgentStatus",
    "AgentTimeout",
    "AioFleet",
    "Binding",
    "Breaker",
    "BreakerOpen",
    "BreakerPolicy",
    "CachePolicy",
    "CacheStats",
    "Capabilities",
    "Capability",
    "ConfigError",
    "ConnectionBroken",
    "ContractError",
    "DemoError",
    "DemoFleet",
    "Evidence",
    "Fleet",
    "FleetClosed",
    "FleetkitError",
    "ForkedProcess",
    "Hedging",
    "LabelError",
    "LoopThreadBusy",
    "NestedAsyncioRefused",
    "NotSupported",
    "OrderKind",
    "OrderNotFilled",
    "Outcome",
    "PartialResult",
    "Plan",
    "PoolLimits",
    "Quote",
    "Receipt",
    "RecoveryPolicy",
    "Side",
    "Source",
    "StopsUnit",
    "StoreError",
    "SuspectReply",
    "Symbol",
    "TerminalDisconnected",
    "Timeouts",
    "TradeMode",
    "TradingPolicy",
    "TradingSettings",
    "UnknownAccount",
    "UsageError",
    "WrongAccount",
    "__version__",
    "allow_nested_asyncio",
    "connect",
    "demo",
    "panels",
    "sim",
]


_PACKAGES = ("panels", "sim")
_HOMES = {
    "config": (
        "BreakerPolicy",
        "CachePolicy",
        "PoolLimits",
        "RecoveryPolicy",
        "Timeouts",
        "TradingSettings",
    ),
    "contract": ("Capability",),
    "demo_fleet": ("DemoFleet", "demo"),
    "fleet": ("AioFleet", "Fleet", "Plan", "connect"),
    "model": (
        "Account",
        "AccountStatus",
        "AgentStatus",
        "Binding",
        "Breaker",
        "CacheStats",
        "Capabilities",
        "Quote",
        "Side",
        "Source",
        "StopsUnit",
        "Symbol",
        "TradeMode",
    ),
    "nested": ("allow_nested_asyncio",),
    "trading": (
        "KEEP",
        "REMOVE",
        "Evidence",
        "Hedging",
        "OrderKind",
        "Outcome",
        "Receipt",
        "TradingPolicy",
    ),
}
"""Where the names live; what is not here is an error."""


def __getattr__(name: str) -> Any:
    """Import a name's home when it is first used: the simulator's process needs no pandas."""
    if name in _PACKAGES:
        return import_module(f"fleetkit.{name}")
    if name not in __all__:
        msg = f"module 'fleetkit' has no attribute {name!r}"
        raise AttributeError(msg)
    home = next((home for home, names in _HOMES.items() if name in names), "errors")
    value = globals()[name] = getattr(import_module(f"fleetkit.{home}"), name)
    return value


def __dir__() -> list[str]:
    return __all__
