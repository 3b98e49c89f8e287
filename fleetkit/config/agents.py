"""One agent's table becomes an `AgentConfig`, and a list of them becomes a fleet.

Why: the rules between an agent's keys, and between agents, stand in one place.
May import `errors`, `model` and the rest of this package but `sources` and `read`.
The trap: defaults are read where they stand, so that their mistakes are named there.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from fleetkit.config.records import MAX_LANES, AgentConfig, Bound
from fleetkit.config.tokens import read_token
from fleetkit.config.urls import is_loopback, read_url
from fleetkit.config.values import (
    Place,
    did_you_mean,
    read_choice,
    read_flag,
    read_number,
    read_table,
    read_text,
    shown,
)
from fleetkit.model import Http2, MarginMode, StopsUnit

_LONGEST_NAME: Final = 64
_OWN_KEYS: Final = ("name", "url", "account")  # never a default


def read_agents(
    values: object, defaults: Mapping[str, object], place: Place
) -> tuple[AgentConfig, ...]:
    """Every agent of a list, checked one by one and against each other.

    Parameters
    ----------
    values
        A list of tables or `AgentConfig` records.
    defaults
        What `read_defaults` made of the ``[defaults]`` table.
    place
        The list's place.
    """
    if not isinstance(values, Sequence) or isinstance(values, str | bytes):
        raise place.wrong_type(values, "a list of tables with name and url")
    if not values:
        message = "There is no agent; a fleet has at least one, with name and url."
        raise place.error(message, found="an empty list")
    agents = tuple(
        _read_agent(value, defaults, place.at(index)) for index, value in enumerate(values)
    )
    for key in _OWN_KEYS:
        _refuse_twins(agents, key, place)
    return agents


def read_defaults(value: object, place: Place) -> dict[str, object]:
    """The ``[defaults]`` table: any agent key but name, url and account."""
    table = read_table(value, (key for key in _READERS if key not in _OWN_KEYS), place)
    return _read_values(table, place)


def _read_agent(value: object, defaults: Mapping[str, object], place: Place) -> AgentConfig:
    basic = None
    if isinstance(value, AgentConfig):
        basic = value.basic
        names = (item.name for item in fields(value) if item.name != "basic")
        value = {name: getattr(value, name) for name in names}
    table = read_table(value, _READERS, place)
    for key in ("name", "url"):
        if table.get(key) is None:
            raise place.at(key).error(f"The agent has no {key}.", allowed="name and url")
    values: dict[str, Any] = {**defaults, **_read_values(table, place)}
    url, url_basic = values.pop("url")
    agent = AgentConfig(**values, url=url, basic=url_basic or basic)
    _check_agent(agent, place)
    return agent


def _read_values(table: Mapping[str, object], place: Place) -> dict[str, object]:
    # JSON and Python write "not given" as null and None.
    return {
        key: _READERS[key](item, place.at(key)) for key, item in table.items() if item is not None
    }


def _check_agent(agent: AgentConfig, place: Place) -> None:
    if agent.token is not None and agent.basic is not None:
        raise place.at("token").error(
            f"Agent {agent.name!r} has both a token and a password in its URL; one request "
            "carries one of them.",
            allowed="a token, or user and password in the URL",
        )
    plain = agent.url.startswith("http://")
    if agent.token is not None and plain and not agent.insecure and not is_loopback(agent.url):
        raise place.at("token").error(
            f"The token of agent {agent.name!r} would travel in clear text.",
            found=f"a token for {agent.url}",
            allowed="https, a loopback host, or insecure = true on a network you trust",
        )
    if agent.http2 is Http2.H2C and not plain:
        raise place.at("http2").error(
            "h2c is HTTP/2 without TLS; over https it is negotiated by itself.",
            found=agent.http2.value,
            allowed="auto or off for an https URL",
        )


def _refuse_twins(agents: Sequence[AgentConfig], key: str, place: Place) -> None:
    seen: dict[object, int] = {}
    for index, agent in enumerate(agents):
        value = getattr(agent, key)
        if value is None:
            continue
        first = seen.setdefault(value, index)
        if first != index:
            raise (
                place.at(index)
                .at(key)
                .error(
                    f"{place.at(first).key} ({agents[first].name!r}) has the same {key}.",
                    found=value,
                    allowed=f"each {key} once",
                )
            )


def _read_name(value: object, place: Place) -> str:
    name = read_text(value, place).strip()
    if len(name) > _LONGEST_NAME or not name.isprintable():
        allowed = f"at most {_LONGEST_NAME} printable characters"
        raise place.error("The name cannot be shown.", found=shown(value), allowed=allowed)
    return name


def _read_ca_file(value: object, place: Place) -> Path:
    allowed = "the path of a PEM file"
    name = value if isinstance(value, Path) else Path(read_text(value, place, allowed))
    try:
        path = place.folder / name.expanduser()
        found = path.is_file()
    except (RuntimeError, ValueError):  # no home for ~; a NUL in the path
        found = False
    if not found:
        raise place.error("There is no such file.", found=str(value), allowed=allowed)
    return path


def _read_time_zone(value: object, place: Place) -> str:
    allowed = "an IANA time zone such as Europe/Athens"
    name = read_text(value, place, allowed)
    try:
        return zoneinfo.ZoneInfo(name).key
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of zones
        suggestion = did_you_mean(name, zoneinfo.available_timezones())
    message = f"There is no such time zone.{suggestion}"
    raise place.error(message, found=shown(value), allowed=allowed)


_READERS: Final[Mapping[str, Callable[[object, Place], object]]] = MappingProxyType(
    {
        "name": _read_name,
        "url": read_url,
        "account": partial(read_number, kind=int, bound=Bound(at_least=1)),
        "token": read_token,
        "ca_file": _read_ca_file,
        "stops_unit": partial(read_choice, choices=StopsUnit),
        "margin_mode": partial(read_choice, choices=MarginMode),
        "time_zone": _read_time_zone,
        "http2": partial(read_choice, choices=Http2),
        "lanes": partial(read_number, kind=int, bound=Bound(at_least=1, at_most=MAX_LANES)),
        "insecure": read_flag,
    }
)
