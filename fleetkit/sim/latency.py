"""How long a simulated agent's handlers take, as data.

Why: a latency drawn from a named distribution can be repeated. May import `errors`.
The trap: each agent draws from a sequence of its own, or two agents that are asked
at the same moment would be slow together.
"""

from __future__ import annotations

import math
from random import Random
from typing import Final, Literal

import msgspec

from fleetkit.errors import ConfigError

LONGEST_S: Final = 86_400.0  # of a delay or a shift; more is a mistake


def check_range(key: str, found: object, low: float, high: float, what: str) -> None:
    """Refuse a number outside of its range.

    Raises
    ------
    ConfigError
        With the key, what was found and what is allowed.
    """
    if not isinstance(found, int | float) or not low <= found <= high:
        raise ConfigError(
            "Out of range.", key=key, found=found, allowed=f"{what} from {low:g} to {high:g}"
        )


class Latency(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long an agent's handlers take, in milliseconds.

    Make one with `fixed`, `uniform` or `lognormal`. Each agent draws from a
    sequence of its own, the same one for the same ``seed``.
    """

    kind: Literal["fixed", "uniform", "lognormal"] = "fixed"
    low_ms: float = 0.0  # fixed: the latency itself; lognormal: the median
    high_ms: float = 0.0  # uniform: the upper end; lognormal: never more than this
    sigma: float = 0.0  # lognormal: spread of the logarithm
    seed: int = 0

    def __post_init__(self) -> None:
        for key in ("low_ms", "high_ms", "sigma"):
            check_range(f"Latency.{key}", getattr(self, key), 0.0, LONGEST_S * 1000, "a number")
        if self.kind != "fixed" and self.high_ms < self.low_ms:
            raise ConfigError(
                "The upper end lies below the lower one.",
                key="Latency.high_ms",
                found=self.high_ms,
                allowed=f"{self.low_ms} or more",
            )

    @classmethod
    def fixed(cls, ms: float) -> Latency:
        """Every handler takes this long."""
        return cls(low_ms=ms)

    @classmethod
    def uniform(cls, low_ms: float, high_ms: float, *, seed: int = 0) -> Latency:
        """Evenly spread between two ends."""
        return cls(kind="uniform", low_ms=low_ms, high_ms=high_ms, seed=seed)

    @classmethod
    def lognormal(
        cls, median_ms: float, sigma: float = 0.5, *, most_ms: float = 10_000.0, seed: int = 0
    ) -> Latency:
        """Mostly near the median with a long tail, as real networks are."""
        return cls(kind="lognormal", low_ms=median_ms, high_ms=most_ms, sigma=sigma, seed=seed)

    def draw_s(self, random: Random) -> float:
        """One latency in seconds."""
        if self.kind == "uniform":
            return random.uniform(self.low_ms, self.high_ms) / 1000
        if self.kind == "lognormal":
            return min(self.high_ms, self.low_ms * math.exp(random.gauss(0.0, self.sigma))) / 1000
        return self.low_ms / 1000
