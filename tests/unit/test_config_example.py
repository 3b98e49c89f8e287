"""The README's complete example of a configuration file."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from fleetkit.config import (
    AgentConfig,
    BreakerPolicy,
    CachePolicy,
    FleetConfig,
    PoolLimits,
    RecoveryPolicy,
    Secret,
    Timeouts,
    TradingSettings,
    read_config,
)
from fleetkit.model import Http2, MarginMode, StopsUnit
from fleetkit.trading import TradingPolicy
from tests.support.readme import blocks

(EXAMPLE,) = blocks("toml")


@pytest.fixture
def example(tmp_path: Path) -> FleetConfig:
    (tmp_path / "fleet.toml").write_text(EXAMPLE, encoding="utf-8")
    (tmp_path / "agents-ca.pem").write_text("")
    (tmp_path / "vps-03.token").write_text("from-file\n")
    return read_config(tmp_path / "fleet.toml", environ={"VPS_02_TOKEN": "from-environment"})


def test_example_parses_to_the_documented_fleet(example):
    """The example means what its comments say."""
    first, second, third = example.agents
    assert (first.name, first.url, first.account) == ("vps-01", "http://127.0.0.1:8001", 7100012)
    assert {agent.time_zone for agent in example.agents} == {"Europe/Athens"}
    assert {agent.margin_mode for agent in example.agents} == {MarginMode.HEDGING}
    assert {agent.stops_unit for agent in example.agents} == {StopsUnit.PRICE}
    assert second.token == Secret("from-environment")
    assert second.ca_file is not None
    assert second.ca_file.name == "agents-ca.pem"
    assert second.lanes == 2
    assert third.token == Secret("from-file")
    assert (third.insecure, third.http2, third.account) == (True, Http2.OFF, None)


def test_example_shows_every_default(example):
    """The numbers of the example are the defaults, so that leaving one out changes nothing."""
    assert example.timeouts == Timeouts()
    assert example.pool == PoolLimits()
    assert example.cache == CachePolicy()
    assert example.recovery == RecoveryPolicy()
    assert example.breaker == BreakerPolicy()
    assert example.trading == TradingSettings()


def test_example_shows_every_key():
    """A key that is added to a record must be added to the example."""
    tables = tomllib.loads(EXAMPLE)
    records = {
        "timeouts": Timeouts,
        "pool": PoolLimits,
        "cache": CachePolicy,
        "recovery": RecoveryPolicy,
        "breaker": BreakerPolicy,
    }
    if "trading" in tables:  # shown together with the policies, as soon as fleetkit trades
        records["trading"] = TradingSettings
        policy_keys = set().union(*tables["policies"])
        assert policy_keys == set(TradingPolicy.__struct_fields__)
    for name, record in records.items():
        assert set(tables[name]) == {field.name for field in fields(record)}
    shown = set(tables["defaults"]).union(*tables["agents"])
    # basic is what becomes of a URL's user and password
    assert shown == {field.name for field in fields(AgentConfig)} - {"basic"}
