"""What can go wrong with a simulated agent, as data.

Why: a fault one can name, set while the fleet runs, print and send as JSON is
a fault one can test against. May import `contract`, `latency` and `errors`.
The trap: a record says what *is* wrong, not what goes wrong once. It stays until
other faults are set, ``refresh_heals`` being the one exception.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from fleetkit import contract
from fleetkit.errors import ConfigError
from fleetkit.sim.latency import LONGEST_S, Latency, check_range

__all__ = ["HEALTHY", "ROUTES", "Faults", "Latency"]

ROUTES: Final = tuple(call.name for call in contract.EXTENDED)
LONGEST_LAG_S: Final = 400 * 86_400.0
RANGES: Final = (
    ("zone_offset_s", -LONGEST_S, LONGEST_S, "seconds"),
    ("broker_offset_s", -LONGEST_S, LONGEST_S, "seconds"),
    ("clock_skew_s", -LONGEST_S, LONGEST_S, "seconds"),
    ("history_lag_s", 0.0, LONGEST_LAG_S, "seconds"),
    ("status_code", 200, 599, "an HTTP status"),
    ("slow_body_bytes_per_s", 0.1, 1e9, "bytes per second"),
    ("late_execution_s", 0.0, LONGEST_S, "seconds"),
    ("retcode", 10_000, 10_999, "one of MetaTrader's return codes,"),
    ("partial_fill", 0.01, 0.99, "a share of the volume"),
    ("idle_cut_s", 0.01, LONGEST_S, "seconds"),
    ("stream_limit", 1, 1_000, "a number of streams"),
    ("slow_tls_s", 0.0, LONGEST_S, "seconds"),
)
WORDS: Final[Mapping[str, tuple[str | None, ...]]] = MappingProxyType(
    {
        "empty_positions": ("zero", "right", None),
        "shape": ("object", "list", "envelope"),
        "foreign_trade": ("identical", "other", None),
        "stops_unit": ("price", "pips"),
        "token": ("wrong", "expired", None),
        "goaway": ("before", "after", None),
        "certificate": ("expired", "other_host", "untrusted", None),
    }
)
SWITCHES: Final = (
    *("hang", "disconnected", "refresh_heals", "empty_history", "html_error"),
    *("malformed_json", "wrong_types", "missing_fields", "no_positions_route"),
    *("no_health_route", "lost_answer", "stop_hit", "queue_full", "rolled_back"),
    *("refuse", "reset_in_body"),
)
OF_TLS: Final = ("certificate", "slow_tls_s", "stream_limit")  # nothing without a handshake
OF_OUR_OWN: Final = ("token", "rolled_back")  # base agents have neither


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is wrong with an agent; ``Faults()`` is a healthy one.

    T1 to T13 are the traps of the agent API. Faults can be combined, and changed at
    any time. They work on both layers, unless it says otherwise here.

    **Where**

    routes
        Names of the contract's calls that are affected (``"accounts"``,
        ``"positions"``, ``"trade_history"``, ``"open"``, ...); ``None`` means every
        route. Agents of the base layer have no ``"deals"``, ``"symbol"``,
        ``"order_status"``. What concerns a clock, a connection before a request, or
        the whole agent knows no routes: ``refuse``, ``rolled_back``, offsets, zones
        and ``clock_skew_s``, ``idle_cut_s``, ``stream_limit``, ``certificate``,
        ``slow_tls_s``.

    **Data and replies**

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
    history_lag_s
        Trades closed within that time are not in ``/trade-history`` yet (T8), nor
        deals made within it in ``/deals``.
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
    no_positions_route, no_health_route
        404, as old agents answer.
    shape
        Whether ``/accounts`` is an object, a list or an envelope.

    **Trades** (the routes ``"open"``, ``"close"`` and ``"modify"``)

    lost_answer
        The terminal did what it was asked; then the connection is reset before any
        byte of the answer.
    late_execution_s
        504 at once, and the order is executed that many seconds later (T13). Reads
        are answered meanwhile, and show nothing of it. What the agent refuses is
        answered as it is.
    executed_as_400
        The order was executed, the answer is a 400 with this text (T4); ``True`` for
        ``"Order failed: Request timed out"``, ``"Close failed: ..."`` and so on. What
        the terminal refused is answered as it is.
    retcode
        The terminal answers with this return code of MetaTrader's and does nothing,
        except that 10009 and 10010 are given for an order that was executed.
    partial_fill
        The share of an open's or close's volume that is executed, rounded down to the
        volume step but never below one step; retcode 10010, which base agents answer
        with a 400 (T4). An order of one step is executed whole.
    foreign_trade
        When an order to open reaches the terminal, a person opens there just before
        it: ``"identical"`` in symbol, side and volume, or ``"other"``, the opposite
        side with one volume step more (T5).
    stop_hit
        The position that was opened is closed by its stop before the answer (T5).
    queue_full
        503, nothing was done; with ``Retry-After`` on the extended layer, whose
        ``/health`` and ``/orders`` are answered beside the queue.
    stops_unit
        ``"pips"``: ``sl`` and ``tp`` of ``/positions/open`` are taken for pips,
        whatever ``/health`` advertises (T6); ``/positions/modify`` keeps price levels.

    **Identity and time**

    answers_account
        The agent answers with this account's data (T3): its terminal is logged into
        it. That of another agent's terminal where the account is in the fleet, a
        stranger's otherwise. Trades go there, and ``/health`` says so, too.
    token
        401 for everything but ``/health``: the caller's token is ``"wrong"`` or
        ``"expired"``. Extended layer only, with or without a token.
    rolled_back
        An extended agent answers as a base agent from now on: no ``api`` and
        ``capabilities`` in ``/health``, 404 on extended routes, naive times, no
        retcodes, and it asks for no token. Extended layer only.
    clock_skew_s
        The machine's clock is ahead by that much: in every time that the agent takes
        from it, and in the ``Date`` header. What the broker booked keeps its times.
    broker_zone, machine_zone
        IANA names (``"Europe/Athens"``): wall clocks with daylight saving, which the
        base layer writes (T7). The offsets below come on top.
    zone_offset_s
        The machine's own time zone: shifts every time that the base layer writes (T7).
        The extended layer writes UTC, whatever clocks and zones say.
    broker_offset_s
        The broker's clock: shifts times of trades and positions only. One that
        is ahead hides what has just closed (T7, T8).

    **Connections**

    refuse
        Nothing listens at the agent's port, open connections are cut.
    slow_body_bytes_per_s
        The body trickles.
    reset_in_body
        The connection is reset after half of the body.
    goaway
        The connection ends in mid-flight, and everything on it gets no answer: HTTP/2
        says GOAWAY first, HTTP/1.1 just closes. ``"before"`` the request was looked at
        (the GOAWAY's last stream is an earlier one), or ``"after"`` it was done.
    idle_cut_s
        Idle connections are dropped after that time, those open now included.
    stream_limit
        How many streams HTTP/2 allows at once. Needs TLS.
    certificate
        ``"expired"``, for ``"other_host"``, or of an authority that is not the fleet's
        (``"untrusted"``); for connections made from now on. Needs TLS.
    slow_tls_s
        The TLS handshake takes that long. Needs TLS.
    """

    routes: tuple[str, ...] | None = None
    # data and replies
    latency: Latency = Latency()
    hang: bool = False
    disconnected: bool = False
    refresh_heals: bool = False
    empty_positions: Literal["zero", "right"] | None = None
    empty_history: bool = False
    history_lag_s: float = 0.0
    status_code: int | None = None
    html_error: bool = False
    malformed_json: bool = False
    wrong_types: bool = False
    missing_fields: bool = False
    no_positions_route: bool = False
    no_health_route: bool = False
    shape: Literal["object", "list", "envelope"] = "object"
    # trades
    lost_answer: bool = False
    late_execution_s: float | None = None
    executed_as_400: bool | str = False
    retcode: int | None = None
    partial_fill: float | None = None
    foreign_trade: Literal["identical", "other"] | None = None
    stop_hit: bool = False
    queue_full: bool = False
    stops_unit: Literal["price", "pips"] = "price"
    # identity and time
    answers_account: int | None = None
    token: Literal["wrong", "expired"] | None = None
    rolled_back: bool = False
    clock_skew_s: float = 0.0
    broker_zone: str | None = None
    machine_zone: str | None = None
    zone_offset_s: float = 0.0
    broker_offset_s: float = 0.0
    # connections
    refuse: bool = False
    slow_body_bytes_per_s: float | None = None
    reset_in_body: bool = False
    goaway: Literal["before", "after"] | None = None
    idle_cut_s: float | None = None
    stream_limit: int | None = None
    certificate: Literal["expired", "other_host", "untrusted"] | None = None
    slow_tls_s: float = 0.0

    def __post_init__(self) -> None:
        for name in self.routes or ():
            if name not in ROUTES:
                raise _refused("No such route.", "routes", name, ", ".join(ROUTES))
        for key, low, high, what in RANGES:
            if getattr(self, key) is not None:
                check_range(f"Faults.{key}", getattr(self, key), low, high, what)
        _check_words(self)
        for key in ("broker_zone", "machine_zone"):
            _check_zone(key, getattr(self, key))

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

    def unfit(self, *, layer: Literal["base", "extended"], tls: bool) -> str | None:
        """Why a fleet of this layer cannot have these faults, ``None`` where it can."""
        for names, missing, remedy in (
            (OF_TLS, not tls, "needs TLS: start the fleet with tls=True"),
            (OF_OUR_OWN, layer == "base", 'is of the extended layer: say layer="extended"'),
        ):
            for name in names:
                if missing and getattr(self, name) != getattr(HEALTHY, name):
                    return f"Faults.{name} {remedy}"
        return None


def _refused(what: str, key: str, found: object, allowed: str) -> ConfigError:
    """The error for a field that cannot be what it is."""
    return ConfigError(what, key=f"Faults.{key}", found=found, allowed=allowed)


def _check_words(faults: Faults) -> None:
    # The types say this too, but nobody checks types in a notebook.
    for key in SWITCHES:
        if not isinstance(getattr(faults, key), bool):
            raise _refused("A switch.", key, getattr(faults, key), "True or False")
    for key, words in WORDS.items():
        if getattr(faults, key) not in words:
            allowed = ", ".join(map(repr, words))
            raise _refused("No such value.", key, getattr(faults, key), allowed)
    text = faults.executed_as_400
    if not isinstance(text, bool | str) or text == "":
        allowed = "True, or the text of the answer"
        raise _refused("Nothing to answer with.", "executed_as_400", text, allowed)


def _check_zone(key: str, name: str | None) -> None:
    if name is None:
        return
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError, TypeError) as error:
        raise _refused("No such time zone.", key, name, "an IANA name: Europe/Athens") from error


HEALTHY: Final = Faults()
