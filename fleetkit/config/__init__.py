"""What a fleet is made of, as its owner wrote it: read, checked and frozen.

Why: every mistake is found before the first request, with file, key, what was
found and what is allowed. May import `trading`, `model`, `html`, `clock` and `errors`.
The trap: secrets enter here; they leave only through `Secret.reveal`.
"""

from __future__ import annotations

from fleetkit.config.open_files import OpenFileLimits, fit_open_files
from fleetkit.config.read import Source, read_config
from fleetkit.config.records import (
    AgentConfig,
    BreakerPolicy,
    CachePolicy,
    FleetConfig,
    PoolLimits,
    RecoveryPolicy,
    Timeouts,
    TradingSettings,
)
from fleetkit.config.secret import Secret
from fleetkit.config.sources import ENVIRONMENT_VARIABLE
from fleetkit.config.urls import is_loopback

__all__ = [
    "ENVIRONMENT_VARIABLE",
    "AgentConfig",
    "BreakerPolicy",
    "CachePolicy",
    "FleetConfig",
    "OpenFileLimits",
    "PoolLimits",
    "RecoveryPolicy",
    "Secret",
    "Source",
    "Timeouts",
    "TradingSettings",
    "fit_open_files",
    "is_loopback",
    "read_config",
]
