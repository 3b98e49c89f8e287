"""What a request must get past before anybody looks at what it wants.

Why: who has no token learns nothing, and a body cannot fill the memory. May
import `request` and `contract`.
The trap: a token is compared in constant time, as bytes; headers are latin-1 and
may hold anything.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, Final

from fleetkit.agent.request import HttpError, unprocessable

DISCARD: Final = 1_048_576  # bytes of a body too large that are read to answer in order
BODY_S: Final = 10.0  # for a whole body to arrive
JSON_TYPE: Final = b"application/json"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def header(scope: Scope, name: bytes) -> bytes | None:
    """A header's value; of one given twice the first counts."""
    pairs: Iterable[tuple[bytes, bytes]] = scope.get("headers", ())
    return next((value for key, value in pairs if key.lower() == name), None)


def only_header(scope: Scope, name: bytes) -> bytes | None:
    """A header that must not be given twice with two values: nobody could say which counts.

    Raises
    ------
    HttpError
        422.
    """
    pairs: Iterable[tuple[bytes, bytes]] = scope.get("headers", ())
    values = {value for key, value in pairs if key.lower() == name}
    if len(values) > 1:
        raise unprocessable(name.decode(), "Given more than once, with different values")
    return next(iter(values), None)


def check_token(scope: Scope, token: str | None) -> None:
    """Let only those in who know the token.

    Raises
    ------
    HttpError
        401, which does not tell a missing token from a wrong one.
    """
    if token is None:
        return
    kind, _, given = (header(scope, b"authorization") or b"").partition(b" ")
    right = hmac.compare_digest(given.strip(), token.encode())
    if not right or kind.lower() != b"bearer":
        challenge = ((b"www-authenticate", b'Bearer realm="agent"'),)
        raise HttpError(401, "Not authenticated: send the agent's token", headers=challenge)


def check_json(scope: Scope) -> None:
    """Take nothing but JSON for JSON.

    Raises
    ------
    HttpError
        415, with the type that is understood.
    """
    kind = (header(scope, b"content-type") or b"").split(b";")[0].strip().lower()
    if kind != JSON_TYPE:
        accept = ((b"accept", JSON_TYPE),)
        raise HttpError(415, "Expected a body of application/json", headers=accept)


async def read_body(scope: Scope, receive: Receive, limit: int, within_s: float = BODY_S) -> bytes:
    """The whole body.

    Raises
    ------
    HttpError
        413 above ``limit`` bytes, 408 where it takes too long or ends early.
    """
    said = header(scope, b"content-length") or b""
    if said.isdigit() and (len(said) > 18 or int(said) > max(limit, DISCARD)):
        raise _too_large(limit)
    try:
        async with asyncio.timeout(within_s):
            return await _read(receive, limit)
    except TimeoutError as error:
        raise HttpError(408, f"The body did not arrive within {within_s:g} s") from error


async def _read(receive: Receive, limit: int) -> bytes:
    body, size = bytearray(), 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise HttpError(408, "The connection ended in the middle of the body")
        part = message.get("body", b"")
        size += len(part)
        if size <= limit:
            body += part
        more = message.get("more_body", False)
        # Read to its end, a little too much is answered in order. Cut off at once,
        # the answer would be lost with the connection, and the caller in doubt.
        if size > limit and (not more or size > DISCARD):
            raise _too_large(limit)
        if not more:
            return bytes(body)


def _too_large(limit: int) -> HttpError:
    return HttpError(413, f"The body is larger than {limit} bytes")


@asynccontextmanager
async def rest_of_body(scope: Scope, receive: Receive) -> AsyncIterator[None]:
    """Throw away what still comes in while the answer goes out.

    A server hands a body over piece by piece and waits where nobody takes them: with a
    body that no handler reads, connection and request would wait for each other for ever.
    """
    if not _may_have_body(scope):
        yield
        return
    taking = asyncio.create_task(_take_all(receive))
    try:
        yield
    finally:
        taking.cancel()
        await asyncio.wait([taking])


async def _take_all(receive: Receive) -> None:
    while (await receive())["type"] == "http.request":
        pass


def _may_have_body(scope: Scope) -> bool:
    if scope.get("http_version", "1.1").startswith(("2", "3")):
        return True  # it needs no header to have one
    said = header(scope, b"content-length")
    return said not in (None, b"0") or header(scope, b"transfer-encoding") is not None


class Caller:
    """Whether whoever sent a request still waits for the answer."""

    def __init__(self, receive: Receive) -> None:
        self.gone = False
        self._receive = receive
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Caller:
        self._watch = asyncio.create_task(self._wait())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])

    async def _wait(self) -> None:
        # After the body only one message can come: that the caller is gone.
        self.gone = (await self._receive())["type"] == "http.disconnect"
