"""What can go wrong with a simulated agent, as data.

Why: a fault one can name, set while the fleet runs, print and send as JSON is
a fault one can test against. May import `contract` and `errors`.
The trap: a record says what *is* wrong, not what goes wrong once. It stays until
other faults are set, ``refresh_heals`` being the one exception.
"""

from __future__ import annotations

import math
from random import Random
from typing import Final, Literal

import msgspec

from fleetkit import contract
from fleetkit.errors import ConfigError

ROUTES: Final = tuple(call.name for call in contract.EXTENDED)
LAST_STATUS: Final = 599
LONGEST_S: Final = 86_400.0  # of a delay or a shift; more is a mistake
LONGEST_LAG_S: Final = 400 * 86_400.0


def _check(key: str, found: object, low: float, high: float, what: str) -> None:
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
            _check(f"Latency.{key}", getattr(self, key), 0.0, LONGEST_S * 1000, "a number")
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


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is wrong with an agent; ``Faults()`` is a healthy one.

    T1 to T12 are the traps of the agent API. Faults can be combined.

    Parameters
    ----------
    routes
        Names of the contract's calls that are affected (``"accounts"``,
        ``"positions"``, ``"trade_history"``, ...); ``None`` means every route.
        Agents of the base layer have no ``"deals"``, ``"symbol"``, ``"order_status"``.
        ``refuse`` and the two clock offsets concern the whole agent.
    latency
        How long handlers take. They block each other (T12).
    hang
        Handlers never answer, until other faults are set.
    disconnected
        The terminal has no broker: ``/accounts`` answers 200 with
        ``status: "disconnected"``, account 0, balance 0.0 (T1), lists are empty,
        ``/refresh`` is a 500.
    refresh_heals
        ``POST /refresh`` connects a disconnected terminal again.
    empty_positions
        ``/positions`` answers 200 with an empty list, with account number 0
        (``"zero"``) or the right one (``"right"``), and ``has_open_position`` is
        false (T2).
    empty_history
        ``/trade-history`` is empty in the same way (T2), and ``/deals`` with it: with
        account number 0 where ``empty_positions="zero"`` is set beside it.
    answers_account
        The agent answers with this account's data (T3): that of another agent's
        terminal where the account is in the fleet, a stranger's otherwise.
    zone_offset_s
        The machine's own time zone: shifts every time that the base layer writes (T7).
        The extended layer writes UTC, whatever this and the next one say.
    broker_offset_s
        The broker's clock: shifts times of trades and positions only. One that
        is ahead hides what has just closed (T7, T8).
    history_lag_s
        Trades closed within that time are not in ``/trade-history`` yet (T8), nor
        deals made within it in ``/deals``.
    refuse
        Nothing listens at the agent's port, open connections are cut.
    status_code
        Every answer has this status and an error body.
    html_error
        The error page of a proxy instead of JSON; 502 unless ``status_code``.
    malformed_json
        The body is cut off, with a length that says it is whole.
    wrong_types
        A number is a text, or a list is none.
    missing_fields
        A required field is absent.
    slow_body_bytes_per_s
        The body trickles.
    reset_in_body
        The connection is reset after half of the body.
    no_positions_route, no_health_route
        404, as old agents answer.
    shape
        Whether ``/accounts`` is an object, a list or an envelope.
    """

    routes: tuple[str, ...] | None = None
    latency: Latency = Latency()
    hang: bool = False
    disconnected: bool = False
    refresh_heals: bool = False
    empty_positions: Literal["zero", "right"] | None = None
    empty_history: bool = False
    answers_account: int | None = None
    zone_offset_s: float = 0.0
    broker_offset_s: float = 0.0
    history_lag_s: float = 0.0
    refuse: bool = False
    status_code: int | None = None
    html_error: bool = False
    malformed_json: bool = False
    wrong_types: bool = False
    missing_fields: bool = False
    slow_body_bytes_per_s: float | None = None
    reset_in_body: bool = False
    no_positions_route: bool = False
    no_health_route: bool = False
    shape: Literal["object", "list", "envelope"] = "object"

    def __post_init__(self) -> None:
        for name in self.routes or ():
            if name not in ROUTES:
                raise ConfigError(
                    "No such route.", key="Faults.routes", found=name, allowed=", ".join(ROUTES)
                )
        for key in ("zone_offset_s", "broker_offset_s"):
            _check(f"Faults.{key}", getattr(self, key), -LONGEST_S, LONGEST_S, "seconds")
        _check("Faults.history_lag_s", self.history_lag_s, 0.0, LONGEST_LAG_S, "seconds")
        if self.status_code is not None:
            _check("Faults.status_code", self.status_code, 200, LAST_STATUS, "an HTTP status")
        if self.slow_body_bytes_per_s is not None:
            rate = self.slow_body_bytes_per_s
            _check("Faults.slow_body_bytes_per_s", rate, 0.1, 1e9, "bytes per second")

    def __repr__(self) -> str:
        said = [
            f"{name}={getattr(self, name)!r}"
            for name in self.__struct_fields__
            if getattr(self, name) != getattr(HEALTHY, name)
        ]
        return f"Faults({', '.join(said)})"

    def on(self, route: str) -> Faults:
        """These faults where they affect a route, else none."""
        return self if self.routes is None or route in self.routes else HEALTHY


HEALTHY: Final = Faults()
