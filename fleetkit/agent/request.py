"""What a handler gets and gives: a request without HTTP's details, a reply, an error.

Why: handlers are plain functions that a test can call. May import `terminal`
and `contract`.
The trap: `Request.body` is already within the size limit, and nothing more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec

from fleetkit.agent.terminal import Terminal
from fleetkit.contract import Call

Body = TypeVar("Body", bound=msgspec.Struct)


class Request(msgspec.Struct, frozen=True):
    """What a handler may know of a request."""

    call: Call[Any]
    values: Mapping[str, str]  # of the path: {"symbol": "EURUSD"}
    query: Mapping[str, str]
    body: bytes = b""
    order_id: str | None = None  # of the header Idempotency-Key


class Reply(msgspec.Struct, frozen=True):
    """A status and the object that becomes the JSON body."""

    status: int
    body: dict[str, Any]
    headers: tuple[tuple[bytes, bytes], ...] = ()


class HttpError(Exception):
    """Ends a handler with an HTTP error: ``{"detail": ...}`` and what else it has to say."""

    def __init__(
        self,
        status: int,
        detail: object,
        *,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        more: Mapping[str, Any] | None = None,
    ) -> None:
        self.status, self.detail, self.headers = status, detail, headers
        self.more = {} if more is None else dict(more)
        super().__init__(detail)

    @property
    def reply(self) -> Reply:
        """The reply it becomes."""
        return Reply(self.status, {"detail": self.detail, **self.more}, self.headers)


Handler = Callable[[Terminal, Request], Awaitable[Reply]]


def body_of(request: Request, kind: type[Body]) -> Body:
    """The request's JSON body.

    Raises
    ------
    HttpError
        422 with the place of the mistake, as base agents answer it.
    """
    try:
        return msgspec.json.decode(request.body, type=kind)
    except msgspec.DecodeError as error:
        raise unprocessable("body", str(error)) from error
    except RecursionError as error:
        raise unprocessable("body", "JSON is nested too deeply") from error


def unprocessable(where: str, message: str) -> HttpError:
    """A 422 in the shape of the agents' web framework: a list of mistakes."""
    return HttpError(422, [{"loc": [where], "msg": message, "type": "value_error"}])


def busy(reason: str) -> HttpError:
    """A 503 that promises that nothing was done."""
    return HttpError(
        503, f"Not executed: {reason}", headers=((b"retry-after", b"1"),), more={"retcode": None}
    )
