"""No secret leaves through a log, a repr, a frame, an error or a traceback."""

from __future__ import annotations

import asyncio
import base64
import gc
import logging
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import fleetkit as fk
from fleetkit.config import AgentConfig, Secret, read_config
from tests.support.certificates import Authority
from tests.support.raw_server import Exchange, RawServer, base_agent

pytestmark = pytest.mark.usefixtures("nothing_left_behind")

PLANT = "pl4nted-t0ken-Zq7"
PASSWORD = "pl4nted-passw0rd-Xk3"
BASIC = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
MARKERS = (PLANT, PASSWORD, BASIC, "pl4nted")


class Everything(logging.Handler):
    """Keeps every record of every logger, written out."""

    def __init__(self) -> None:
        super().__init__(level=0)
        self.lines: list[str] = []
        self.names: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.names.add(record.name)
        self.lines.append(f"{self.format(record)} {record.args!r} {record.__dict__!r}")


@pytest.fixture
def logs() -> Iterator[Everything]:
    """Every logger at DEBUG, into one place."""
    handler = Everything()
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(before)


def shown(value: object) -> str:
    """All the ways a value is shown."""
    texts = [repr(value), str(value)]
    for method in ("_repr_html_", "to_string", "to_html"):
        with suppress(Exception):
            texts.append(getattr(value, method)())
    if hasattr(value, "attrs"):
        texts.append(repr(value.attrs))
    return "\n".join(texts)


def error_shown(error: BaseException) -> str:
    """An error, its attributes, its tracebacks with locals, and those of what it hangs on."""
    lines = traceback.TracebackException.from_exception(error, capture_locals=True).format()
    texts = [shown(error), repr(vars(error)), *lines]
    texts += [error_shown(e) for e in (error.__cause__, error.__context__) if e is not None]
    return "\n".join(texts)


def reachable(*roots: object) -> Iterator[object]:
    """Everything of ours and of the HTTP libraries that can be reached from here."""
    seen: set[int] = set()
    stack = list(roots)
    while stack:
        value = stack.pop()
        if id(value) in seen or isinstance(value, (type, str, bytes, int)):
            continue
        seen.add(id(value))
        module = type(value).__module__.partition(".")[0]
        if module in ("fleetkit", "httpcore", "httpx", "h11", "h2"):
            yield value
        elif module not in ("builtins", "collections", "asyncio", "types", "functools"):
            continue
        if type(value).__name__ not in ("module", "function", "frame", "code"):
            stack += gc.get_referents(value)


async def misbehaving(exchange: Exchange) -> None:
    """Good and bad answers in turn; a bad one quotes the request's headers."""
    request = exchange.request
    quoted = request.headers.get("authorization", "")
    if request.path in ("/accounts", "/quote/EURUSD"):
        await base_agent(exchange)
    elif request.path == "/health":
        plain = PASSWORD if quoted.startswith("Basic") else ""
        await exchange.reply({"detail": f"bad header {quoted} or {plain}"}, status=500)
    elif request.path == "/positions":
        await exchange.reply(b"<html>" + quoted.encode())
    elif request.path == "/trade-history":
        exchange.reset()
    else:
        await exchange.reply(f"no {quoted}", status=503)


def calls_of(fleet: fk.Fleet) -> list[Any]:
    account = 7100001

    async def awaited() -> Any:
        return await fleet.aio.positions(refresh=True)

    return [
        fleet.accounts,
        lambda: fleet.account(account),
        fleet.positions,
        fleet.trades,
        fleet.agents,
        fleet.doctor,
        fleet.summary,
        fleet.reconnect,
        lambda: fleet.quote(account, "EURUSD"),
        lambda: fleet.quote(account, "NONE"),
        fleet.cache.stats,
        fleet.labels,
        lambda: asyncio.run(awaited()),
        lambda: fleet.accounts(strict=True, refresh=True),
        fleet.cancel_all,
    ]


def use(fleet: fk.Fleet) -> list[str]:
    """Call everything, and return all that any of it shows."""
    texts: list[str] = []
    failed = 0
    for call in calls_of(fleet):
        try:
            texts.append(shown(call()))
        except fk.FleetkitError as error:
            failed += 1
            texts.append(error_shown(error))
            texts.append(shown(getattr(error, "frame", "")))
    assert failed >= 4, "the failing calls must fail for this test to say anything"
    texts += [shown(part) for part in (fleet, fleet.aio, fleet.cache, fleet.aio.cache)]
    for value in reachable(fleet):
        with suppress(RuntimeError):  # a set that the loop thread changes meanwhile
            texts.append(repr(value))
            if type(value).__module__.startswith("fleetkit"):
                texts.append(repr(getattr(value, "__dict__", "")))
    return texts


def search(texts: list[str]) -> None:
    """No marker in any text; the texts are not empty."""
    assert sum(map(len, texts)) > 5000
    for text in texts:
        for marker in MARKERS:
            at = text.find(marker)
            assert at < 0, text[max(at - 300, 0) : at + 100]


@pytest.fixture(params=["env", "file", "url"])
def secret(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the secret comes from."""
    monkeypatch.setenv("PLANTED", PLANT)
    (tmp_path / "token").write_text(f"{PLANT}\n")
    return str(request.param)


def agents(server: RawServer, secret: str, tmp_path: Path, **extra: Any) -> list[dict[str, Any]]:
    if secret == "url":
        (scheme, rest) = server.url.split("://")
        return [{"name": "a0", "url": f"{scheme}://me:{PASSWORD}@{rest}", **extra}]
    token = "env:PLANTED" if secret == "env" else f"file:{tmp_path / 'token'}"
    return server.agents(token=token, **extra)


@pytest.mark.parametrize("version", ["http/1.1", "h2", "h2c"])
def test_no_secret_is_shown_anywhere(
    version: str, secret: str, authority: Authority, tmp_path: Path, logs: Everything
) -> None:
    """Over HTTP/1.1 and HTTP/2, at DEBUG, in calls that succeed and calls that fail."""
    tls = None if version == "h2c" else authority.server(version)
    extra: dict[str, Any] = {"ca_file": str(authority.file)} if tls else {"http2": "h2c"}
    with RawServer(misbehaving, tls=tls, h2c=not tls) as server:
        with fk.connect(agents(server, secret, tmp_path, **extra)) as fleet:
            texts = use(fleet)
        sent = {request.headers.get("authorization") for request in server.requests}
        assert sent == {f"Basic {BASIC}" if secret == "url" else f"Bearer {PLANT}"}
    search(texts)
    search([*logs.lines, "." * 5001])
    assert not {name for name in logs.names if name.startswith(("hpack", "h2"))}, (
        "hpack writes headers in forms no search would find"
    )


def test_the_search_would_find_it() -> None:
    """The walk reaches the record that holds the token, and the search sees what is shown."""
    config = AgentConfig(name="a", url="http://127.0.0.1:1", token=Secret(PLANT))
    assert config in list(reachable([{"x": (config,)}]))
    with pytest.raises(AssertionError):
        search([f"{'.' * 6000}{PLANT}"])

    def careless() -> None:
        local = PLANT
        raise ValueError(len(local))

    with pytest.raises(ValueError, match=r"\d") as caught:
        careless()
    assert PLANT in error_shown(caught.value)


def test_hpack_is_loud_without_the_filter(logs: Everything) -> None:
    """What is silenced would otherwise be heard: the filters are there, and they drop."""
    fk.connect([{"name": "a", "url": "http://127.0.0.1:1"}]).close()
    for name in (
        "hpack.hpack",
        "hpack.table",
        "httpcore.http2",
        "httpcore.http11",
        "h2.connection",
    ):
        logging.getLogger(name).debug("header %s", PLANT)
        logging.getLogger(name).warning("something else")
    search([*logs.lines, "." * 5001])
    assert {"hpack.hpack", "httpcore.http2"} <= logs.names, "warnings still come through"


def test_configurations_and_their_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration shows no secret, right or wrong."""
    monkeypatch.setenv("PLANTED", PLANT)
    agent = {"name": "a", "url": f"http://me:{PASSWORD}@127.0.0.1:1"}
    config = read_config([agent])
    texts = [shown(config), shown(config.agents[0]), repr(vars(type(config))), "." * 5001]
    for wrong in (
        [{**agent, "token": "env:PLANTED"}],
        [{**agent, "lanes": 99}],
        [{"name": "a", "url": "http://10.0.0.1", "token": "env:PLANTED"}],
        [{"name": "a", "url": "http://10.0.0.1", "token": PLANT}],
        [{"name": "a", "url": f"http://me:{PASSWORD}@h:x"}],
        [agent, agent],
    ):
        with pytest.raises(fk.ConfigError) as caught:
            fk.connect(wrong)
        del wrong
        lines = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        ours = [f for f in lines.stack if "/fleetkit/" in f.filename and f.name != "connect"]
        texts += [shown(caught.value), repr(vars(caught.value))]
        texts += [repr(frame.locals) for frame in ours if frame.name != "connect_as"]
    search(texts)
