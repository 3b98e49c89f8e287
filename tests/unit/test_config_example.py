"""The complete example of a configuration file, as the README shows it."""

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
    read_config,
)
from fleetkit.model import Http2, MarginMode, StopsUnit

EXAMPLE = """\
# fleet.toml: everything but [[agents]] with name and url may be left out.

[defaults]                           # any agent key but name, url and account
time_zone   = "Europe/Athens"        # zone of the agent's naive times; without it UTC is assumed
margin_mode = "hedging"              # hedging | netting; trading on base agents needs it
stops_unit  = "price"                # price | pips; how the agent reads sl and tp when opening

[[agents]]
name    = "vps-01"                   # how the agent is called in every row and message
url     = "http://127.0.0.1:8001"    # http(s)://host[:port][/prefix]
account = 7100012                    # without it the account is learned and remembered

[[agents]]
name     = "vps-02"
url      = "https://vps-02.example.com/mt5"
account  = 7100013
token    = "env:VPS_02_TOKEN"        # or "file:vps-02.token", relative to this file; never itself
ca_file  = "agents-ca.pem"           # authority that signed the agent's certificate, PEM
http2    = "auto"                    # auto (TLS negotiates it) | h2c (plain http) | off
lanes    = 2                         # requests at one time, 1 to 8

[[agents]]
name     = "vps-03"
url      = "http://10.0.0.3:8003"
token    = "file:vps-03.token"
insecure = true                      # allows a token over plain http to another host
http2    = "off"

[timeouts]                           # seconds
connect_s          = 5
read_s             = 30              # between two pieces of an answer
write_s            = 10
pool_s             = 5               # waiting for a free connection
read_deadline_s    = 10              # a whole call, queueing included
history_deadline_s = 30
refresh_deadline_s = 60
trade_deadline_s   = 30

[pool]
keep_alive_s = 90                    # longer than the cache's TTL, or every refresh connects anew
pooling      = true                  # false: a new connection for each call

[cache]                              # seconds an answer counts as fresh; 0 switches that cache off
cache_ttl_s     = 60
positions_ttl_s = 2
trades_ttl_s    = 60

[recovery]                           # makes a failing terminal reconnect
enabled         = true
failures        = 2                  # in a row
pause_s         = 2                  # before the one retry
backoff_s       = 60                 # doubles up to
backoff_max_s   = 1800
budget          = 10                 # reconnects per window, all agents and all kernels together
budget_window_s = 600

[breaker]                            # leaves a failing agent alone instead of waiting for it
failures   = 3                       # in a row
open_s     = 15                      # doubles up to
open_max_s = 120
"""


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
    for name, record in records.items():
        assert set(tables[name]) == {field.name for field in fields(record)}
    shown = set(tables["defaults"]).union(*tables["agents"])
    # basic is what becomes of a URL's user and password
    assert shown == {field.name for field in fields(AgentConfig)} - {"basic"}
