"""Every error of other libraries has a word of ours."""

from __future__ import annotations

import asyncio
import inspect

import h2.exceptions
import httpcore
import httpx
import pytest

from fleetkit import contract
from fleetkit.config import AgentConfig
from fleetkit.errors import (
    AgentError,
    AgentOffline,
    AgentRefused,
    AgentTimeout,
    ConnectionBroken,
    ContractError,
    NotSupported,
)
from fleetkit.http.body import TooLarge
from fleetkit.http.failures import BROKEN, FOREIGN, in_our_words, refused
from tests.support.one_agent import DEADLINE_S, agent_http

AGENT = AgentConfig(name="vps01-a1", url="http://127.0.0.1:8001")


def exported(module: object) -> list[type[Exception]]:
    return [
        value
        for name, value in sorted(vars(module).items())
        if inspect.isclass(value)
        and issubclass(value, Exception)
        and not name.startswith("_")
        and not issubclass(
            value, (Warning, httpx.StreamError, httpx.InvalidURL, httpx.CookieConflict)
        )
    ]


def made(kind: type[Exception]) -> Exception:
    if issubclass(kind, httpx.HTTPStatusError):
        request = httpx.Request("GET", AGENT.url)
        return kind("said the library", request=request, response=httpx.Response(500))
    if issubclass(kind, h2.exceptions.StreamClosedError):
        return kind(1)
    return kind("said the library")


THEIRS = [*exported(httpcore), *exported(httpx)]


def test_the_table_sees_the_libraries() -> None:
    """The lists below are not empty by accident."""
    assert len(exported(httpcore)) >= 15
    assert len(exported(httpx)) >= 15


@pytest.mark.parametrize("kind", THEIRS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_exported_error_is_mapped(kind: type[Exception]) -> None:
    """An error of httpcore or httpx is caught, and becomes an AgentError with agent and account."""
    assert issubclass(kind, FOREIGN)
    ours = in_our_words(made(kind), contract.ACCOUNTS, AGENT, 7100012)
    assert isinstance(ours, AgentError)
    assert (ours.agent, ours.account) == ("vps01-a1", 7100012)
    assert "vps01-a1" in str(ours)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (httpcore.ConnectError, AgentOffline),
        (httpcore.ConnectTimeout, AgentOffline),
        (httpx.ConnectError, AgentOffline),
        (httpx.ConnectTimeout, AgentOffline),
        (httpcore.ReadTimeout, AgentTimeout),
        (httpcore.WriteTimeout, AgentTimeout),
        (httpcore.PoolTimeout, AgentTimeout),
        (httpx.ReadTimeout, AgentTimeout),
        (httpcore.ReadError, ConnectionBroken),
        (httpcore.WriteError, ConnectionBroken),
        (httpcore.RemoteProtocolError, ConnectionBroken),
        (httpcore.LocalProtocolError, ConnectionBroken),
        (httpcore.ConnectionNotAvailable, ConnectionBroken),
        (httpcore.ProxyError, ConnectionBroken),
        (httpcore.UnsupportedProtocol, ConnectionBroken),
        (httpx.RemoteProtocolError, ConnectionBroken),
        (httpx.DecodingError, ContractError),
        (h2.exceptions.ProtocolError, ConnectionBroken),
        (h2.exceptions.StreamClosedError, ConnectionBroken),
        (OSError, ConnectionBroken),
        (TooLarge, ContractError),
    ],
    ids=lambda kind: f"{kind.__module__}.{kind.__name__}",
)
def test_what_becomes_of_it(theirs: type[Exception], ours: type[AgentError]) -> None:
    """Unreachable, late, broken and unreadable are told apart."""
    assert issubclass(theirs, FOREIGN)
    assert type(in_our_words(made(theirs), contract.ACCOUNTS, AGENT, None)) is ours


def test_no_timeout_of_a_read_is_replayed() -> None:
    """An agent that is slow is not asked twice."""
    assert not issubclass(httpcore.ReadTimeout, BROKEN)
    assert not issubclass(httpcore.ConnectError, BROKEN)


def test_an_error_without_words_has_its_name() -> None:
    """A reason is never empty."""
    assert "ReadError" in str(in_our_words(httpcore.ReadError(), contract.ACCOUNTS, AGENT, None))


@pytest.mark.parametrize(
    ("call", "body"),
    [
        (contract.POSITIONS, b'{"detail": "Not Found"}'),
        (contract.POSITIONS, b"404: Not Found"),
        (contract.HEALTH, b"<html><h1>404</h1></html>"),
        (contract.HEALTH, b""),
        (contract.QUOTE, b'{"detail": "Not Found"}'),
        (contract.QUOTE, b"404: Not Found"),
        (contract.QUOTE, b"<!doctype html><title>404</title>"),
    ],
)
def test_a_missing_route_is_not_supported(call: contract.Call[object], body: bytes) -> None:
    """404 says the agent has no such route, in whatever words its server has for it."""
    assert type(refused(404, body, call, AGENT, None)) is NotSupported


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, b'{"detail": "Symbol FOO not found"}', "Symbol FOO not found"),
        (500, b'{"detail": "MT5 not initialized"}', "MT5 not initialized"),
        (500, b"<html>" + b"x" * 5000, "an HTML page"),
        (502, b"", "no reason given"),
        (500, b"\xff\xfe plain", "plain"),
        (500, b'{"detail": "\xff"}', "detail"),
        (422, b'{"detail": [{"loc": ["query", "days"]}]}', "days"),
        (301, b"", "a redirect, which fleetkit never follows"),
        (304, b"", "a redirect, which fleetkit never follows"),
        (500, b'["no", "object"]', "no"),
        (204, b"", "HTTP 204"),
    ],
)
def test_a_refusal_says_why(status: int, body: bytes, said: str) -> None:
    """The agent's reason is quoted in one short line, with the status."""
    error = refused(status, body, contract.QUOTE, AGENT, None)
    assert type(error) is AgentRefused
    assert error.status_code == status
    assert said in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 500


class _Raising:
    """A backend on which connecting raises."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def connect_tcp(self, *_: object, **__: object) -> object:
        raise self.error


@pytest.mark.parametrize("kind", exported(httpcore), ids=lambda kind: kind.__name__)
def test_none_gets_through_a_call(kind: type[Exception]) -> None:
    """Raised at the bottom of a call, it arrives as an AgentError that drags nothing along."""

    async def scenario() -> AgentError:
        async with agent_http("http://127.0.0.1:1", backend=_Raising(kind("x"))) as http:
            # That one means "take another connection", for ever in this case.
            for_ever = kind is httpcore.ConnectionNotAvailable
            deadline_s = 0.05 if for_ever else DEADLINE_S
            with pytest.raises(AgentError) as caught:
                await http.call(contract.ACCOUNTS, deadline_s=deadline_s)
            assert http.lane.held == 0
            return caught.value

    error = asyncio.run(scenario())
    assert error.__cause__ is None
    assert error.__context__ is None
