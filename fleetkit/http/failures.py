"""Other libraries' errors and agents' refusals, in our words.

Why: whoever asks an agent meets `AgentError` and nothing else, so that one bad
agent is one bad row. May import `config`, `contract` and `errors`. The trap: a test
holds these lists against every error that httpcore and httpx export; an error that
is not in them takes the whole fleet's answer down.
"""

from __future__ import annotations

import h2.exceptions
import httpcore
import httpx
import msgspec

from fleetkit.config import AgentConfig
from fleetkit.contract import Call, ErrorWire
from fleetkit.errors import (
    AgentError,
    AgentOffline,
    AgentRefused,
    AgentTimeout,
    ConnectionBroken,
    ContractError,
    NotSupported,
)
from fleetkit.html import visible_text
from fleetkit.http import body as bodies

DETAIL_LENGTH = 300
NO_SUCH_ROUTE = ("", "not found", "404: not found", "404 not found", "an html page")

BROKEN = (
    httpcore.LocalProtocolError,
    httpcore.PoolTimeout,
    httpcore.ReadError,
    httpcore.RemoteProtocolError,
    httpcore.WriteError,
    httpcore.WriteTimeout,
    h2.exceptions.H2Error,  # httpcore maps it before the reply's head, not after
)
"""What a connection that was fine a moment ago raises; a call on a reused one gets a replay."""

OFFLINE = (
    httpcore.ConnectError,
    httpcore.ConnectTimeout,
    httpx.ConnectError,
    httpx.ConnectTimeout,
)
"""No byte of the request left this machine."""

FOREIGN = (
    *BROKEN,
    *OFFLINE,
    httpcore.ConnectionNotAvailable,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
    httpx.HTTPError,
    bodies.TooLarge,
    OSError,
)
"""Every error of other libraries that a call can meet; none leaves this package."""

_error_body = msgspec.json.Decoder(ErrorWire)


def in_our_words(
    error: Exception, call: Call[object], agent: AgentConfig, account: int | None
) -> AgentError:
    """Map a foreign error."""
    name = agent.name
    reason = str(error) or type(error).__name__
    if isinstance(error, OFFLINE):
        message = f"{name} cannot be reached at {agent.url}: {reason}"
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            message += ". If its certificate is your own, name its authority with `ca_file`."
        return AgentOffline(message, agent=name, account=account)
    if isinstance(error, (httpcore.TimeoutException, httpx.TimeoutException)):
        message = f"{name} stopped answering in the middle of {call.path}."
        return AgentTimeout(message, agent=name, account=account)
    if isinstance(error, httpx.DecodingError):
        message = f"{name} sent a reply to {call.path} that cannot be decompressed: {reason}"
        return ContractError(message, agent=name, account=account)
    if isinstance(error, bodies.TooLarge):
        limit_mib = bodies.MAX_BODY_BYTES >> 20
        message = f"{name} sent more than {limit_mib} MiB for {call.path}."
        return ContractError(message, agent=name, account=account)
    message = f"The connection to {name} broke during {call.path}: {reason}"
    return ConnectionBroken(message, agent=name, account=account)


def refused(
    status: int, body: bytes, call: Call[object], agent: AgentConfig, account: int | None
) -> AgentRefused:
    """What an answer other than 200 says."""
    name, detail = agent.name, _detail(body, agent)
    if status == 404 and ("{" not in call.path or detail.lower() in NO_SUCH_ROUTE):
        message = (
            f"{name} has no route {call.path}: the agent is too old for it, or its url is wrong."
        )
        return NotSupported(message, agent=name, status_code=status, account=account)
    if 300 <= status < 400:
        detail = "a redirect, which fleetkit never follows; correct the agent's url"
    message = f"{name} answered {call.path} with HTTP {status}: {detail or 'no reason given'}"
    return AgentRefused(message, agent=name, status_code=status, account=account)


def masked_body(body: bytes, agent: AgentConfig) -> bytes:
    """A body that is not a trade's success, without the agent's secrets in it."""
    return without_secrets(body.decode("utf-8", "surrogateescape"), agent).encode(
        "utf-8", "surrogateescape"
    )


def without_secrets(text: str, agent: AgentConfig) -> str:
    """The text without the agent's secrets: error pages like to quote a request's headers."""
    for secret in (agent.token, agent.basic, agent.authorization):
        if secret is None:
            continue
        revealed = secret.reveal()
        for part in (revealed, revealed.rpartition(" ")[2], revealed.partition(":")[2]):
            text = text.replace(part, str(secret)) if part else text
    return text


def _detail(body: bytes, agent: AgentConfig) -> str:
    """The reason in an error's body, as a short line of text."""
    try:
        detail = _error_body.decode(body).detail
        text = "" if detail is None else str(detail)
    except RecursionError:
        text = "something nested too deeply"
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = "an HTML page" if body.lstrip()[:1] == b"<" else body.decode("utf-8", "replace")
    # The sentence may be printed in a terminal, which obeys control characters.
    return visible_text(without_secrets(" ".join(text.split()), agent), DETAIL_LENGTH)
