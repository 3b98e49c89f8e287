"""Answers that are not the agent's own: refusals before it was asked, lies after.

Why: some faults answer for the agent, with the words and headers a real one would
use. May import `agent`, `contract`, `mishaps` and `faults`.
The trap: a lie about an order is told only where the order was executed. What the
terminal refused is answered as it is, or a refusal would look ambiguous.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from fleetkit import contract
from fleetkit.agent.app import JSON, Layer
from fleetkit.agent.orders import Kind
from fleetkit.agent.request import HttpError
from fleetkit.agent.trading import WORDS
from fleetkit.contract import Call, OrderStatus
from fleetkit.sim.faults import Faults
from fleetkit.sim.mishaps import NO_ANSWER

TIMED_OUT: Final = "Request timed out"
CHALLENGE: Final = b'Bearer realm="agent"'
EXPIRED: Final = b', error="invalid_token", error_description="The token expired"'
GATEWAY_TIMEOUT: Final = 504


class Answer(msgspec.Struct, frozen=True):
    """A reply as it will go over the wire."""

    status: int
    body: bytes
    content_type: bytes = JSON


def refusal(faults: Faults, call: Call[Any] | None, layer: Layer) -> HttpError | None:
    """The error that is answered instead of asking the agent, if any."""
    if faults.token is not None and call is not contract.HEALTH and layer == "extended":
        return _unauthenticated(faults, call)
    if call is contract.POSITIONS and faults.no_positions_route:
        return HttpError(404, "Not Found")
    if call is contract.HEALTH and faults.no_health_route:
        return HttpError(404, "Not Found")
    if faults.queue_full and call is not None and layer == "base":
        return HttpError(503, "Service Unavailable")
    return None


def about_order(faults: Faults, call: Call[Any], answer: Answer) -> Answer:
    """What the answer to an order becomes."""
    if faults.late_execution_s is not None and NO_ANSWER.encode() in answer.body:
        return Answer(GATEWAY_TIMEOUT, msgspec.json.encode({"detail": NO_ANSWER}))
    if faults.executed_as_400 and answer.status == 200:
        return Answer(400, _as_400(faults.executed_as_400, call, answer.body))
    return answer


def _as_400(text: bool | str, call: Call[Any], body: bytes) -> bytes:
    kinds: dict[str, Kind] = {each: each for each in WORDS}  # the calls bear the kinds' names
    told = text if isinstance(text, str) else f"{WORDS[kinds[call.name]]} failed: {TIMED_OUT}"
    reply: dict[str, Any] = msgspec.json.decode(body)
    more = {}
    if "order_status" in reply:
        unknown = OrderStatus.UNKNOWN.value
        more = {"retcode": None, "order_id": reply["order_id"], "order_status": unknown}
    return msgspec.json.encode({"detail": told, **more})


def _unauthenticated(faults: Faults, call: Call[Any] | None) -> HttpError:
    expired = faults.token == "expired"
    return HttpError(
        401,
        "The token expired" if expired else "Not authenticated: send the agent's token",
        headers=((b"www-authenticate", CHALLENGE + (EXPIRED if expired else b"")),),
        more={"retcode": None} if call is not None and call.trades else None,
    )
