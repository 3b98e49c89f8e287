"""`read_config`: from whatever `connect` was given to a checked `FleetConfig`.

Why: one door, so that a keyword, a file and an environment variable obey the
same rules. May import `trading`, `errors` and the rest of this package.
The trap: the frames below hold raw text with passwords in it, so an error leaves
without their traceback.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from fleetkit.config.agents import read_agents, read_defaults
from fleetkit.config.policies import read_policies
from fleetkit.config.records import (
    AgentConfig,
    BreakerPolicy,
    CachePolicy,
    FleetConfig,
    PoolLimits,
    RecoveryPolicy,
    Timeouts,
    TradingSettings,
)
from fleetkit.config.sources import Document, read_document
from fleetkit.config.values import Place, read_flag, read_record
from fleetkit.errors import ConfigError
from fleetkit.trading import Policies, TradingPolicy

Source = str | Path | Sequence[Mapping[str, object] | AgentConfig] | FleetConfig | None

_KEYWORDS: Final = "connect()"
_RECORDS: Final[Mapping[str, type[Any]]] = MappingProxyType(
    {
        "timeouts": Timeouts,
        "pool": PoolLimits,
        "cache": CachePolicy,
        "recovery": RecoveryPolicy,
        "breaker": BreakerPolicy,
        "trading": TradingSettings,
    }
)
_CEILINGS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {"recovery": ("backoff_s", "backoff_max_s"), "breaker": ("open_s", "open_max_s")}
)


def read_config(
    source: Source = None,
    *,
    home: str | os.PathLike[str] | None = None,
    pooling: bool | None = None,
    cache_ttl_s: float | None = None,
    timeouts: Timeouts | None = None,
    pool: PoolLimits | None = None,
    cache: CachePolicy | None = None,
    recovery: RecoveryPolicy | None = None,
    breaker: BreakerPolicy | None = None,
    trading: TradingSettings | None = None,
    policies: Sequence[TradingPolicy | Mapping[str, object]] | Policies | None = None,
    environ: Mapping[str, str] | None = None,
) -> FleetConfig:
    """Read and check a whole configuration.

    Parameters
    ----------
    source
        A TOML file, a JSON list, a Python list; ``None`` for ``FLEETKIT_AGENTS_JSON``.
    home, pooling, cache_ttl_s
        Win over ``FLEETKIT_HOME``, and over ``pool``, ``cache`` and the file.
    timeouts, pool, cache, recovery, breaker, trading
        Each replaces the file's table of that name as a whole.
    policies
        Replaces all of the file's ``[[policies]]``.
    environ
        The environment for ``env:`` tokens, ``os.environ`` unless given.

    Raises
    ------
    ConfigError
        For every mistake, with file, key, what was found and what is allowed.
    """
    records = (timeouts, pool, cache, recovery, breaker, trading)
    given = dict(zip(_RECORDS, records, strict=True)) | {"policies": policies}
    try:
        config = _read(source, os.environ if environ is None else environ, given)
        return _with_values(config, home, pooling, cache_ttl_s)
    except ConfigError as error:
        mistake = error.with_traceback(None)
    del source, environ  # a traceback that prints locals must find no secret here
    raise _unchained(mistake)


def _unchained(mistake: ConfigError) -> ConfigError:
    mistake.__cause__ = mistake.__context__ = None  # parsers' errors carry the whole text
    return mistake


def _read(source: object, environ: Mapping[str, str], given: Mapping[str, Any]) -> FleetConfig:
    if isinstance(source, FleetConfig):
        document = _taken_apart(source, environ)
    else:
        document = read_document(source, environ)
    tables, place = document.tables, document.place
    if "agents" not in tables:
        message = "There is no agent; add an [[agents]] table with name and url."
        raise place.at("agents").error(message)
    defaults = read_defaults(tables.get("defaults", {}), place.at("defaults"))
    agents = read_agents(tables["agents"], defaults, place.at("agents"))
    records: dict[str, Any] = {}
    for name, kind in _RECORDS.items():
        records[name] = _record(kind, tables.get(name, {}), place.at(name))
        record = given[name]
        if record is not None:
            here = Place(file=_KEYWORDS, key=name)
            if type(record) is not kind:
                raise here.wrong_type(record, f"a {kind.__name__}")
            records[name] = _record(kind, asdict(record), here)
    policies = read_policies(tables.get("policies", ()), place.at("policies"))
    if given["policies"] is not None:
        policies = read_policies(given["policies"], Place(file=_KEYWORDS, key="policies"))
    return FleetConfig(
        agents=agents,
        **records,
        policies=policies,
        home=source.home if isinstance(source, FleetConfig) else None,
        source=document.description,
    )


def _taken_apart(config: FleetConfig, environ: Mapping[str, str]) -> Document:
    """The tables of a configuration that exists already, to be checked like any other."""
    tables: dict[str, object] = {name: asdict(getattr(config, name)) for name in _RECORDS}
    tables["agents"] = config.agents
    tables["policies"] = config.policies
    place = Place(file="FleetConfig", environ=environ)
    return Document(place=place, description=config.source, tables=tables)


def _record(kind: type[Any], table: object, place: Place) -> object:
    record = read_record(kind, table, place)
    pair = _CEILINGS.get(place.key)
    if pair is not None:
        start, ceiling = (getattr(record, key) for key in pair)
        if start > ceiling:
            raise place.at(pair[1]).error(
                f"{pair[0]} doubles up to {pair[1]}, which is smaller.",
                found=ceiling,
                allowed=f"at least {pair[0]}, here {start:g}",
            )
    return record


def _with_values(
    config: FleetConfig,
    home: str | os.PathLike[str] | None,
    pooling: bool | None,
    cache_ttl_s: float | None,
) -> FleetConfig:
    """The configuration with single values replaced by those of keywords."""
    place = Place(file=_KEYWORDS)
    if pooling is not None:
        pooling = read_flag(pooling, place.at("pooling"))
        config = replace(config, pool=replace(config.pool, pooling=pooling))
    if cache_ttl_s is not None:
        table = {**asdict(config.cache), "cache_ttl_s": cache_ttl_s}
        config = replace(config, cache=read_record(CachePolicy, table, place))
    if home is not None:
        if not isinstance(home, str | os.PathLike) or not os.fspath(home):
            raise place.at("home").wrong_type(home, "the path of a folder")
        config = replace(config, home=Path(home).expanduser())
    return config
