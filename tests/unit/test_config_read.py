"""What `read_config` makes of every kind of source, and which value wins."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from fleetkit.config import (
    ENVIRONMENT_VARIABLE,
    AgentConfig,
    BreakerPolicy,
    CachePolicy,
    FleetConfig,
    PoolLimits,
    RecoveryPolicy,
    Secret,
    Timeouts,
    is_loopback,
    read_config,
)
from fleetkit.errors import ConfigError
from fleetkit.model import Http2, StopsUnit

TWO = [{"name": "a", "url": "http://127.0.0.1:1"}, {"name": "b", "url": "http://127.0.0.1:2"}]


@pytest.mark.parametrize("kind", ["list", "tuple", "text", "json", "other suffix", "environment"])
def test_every_source_of_a_json_list_gives_the_same_agents(kind, tmp_path):
    """A list is a list: from Python, from text, from a file or from the environment."""
    text = json.dumps(TWO, indent=2)
    (tmp_path / "fleet.json").write_text("\ufeff" + text, encoding="utf-8")
    (tmp_path / "fleet.txt").write_text(text)
    sources = {
        "list": TWO,
        "tuple": tuple(TWO),
        "text": text,
        "json": str(tmp_path / "fleet.json"),
        "other suffix": tmp_path / "fleet.txt",
        "environment": None,
    }
    config = read_config(sources[kind], environ={ENVIRONMENT_VARIABLE: text})
    assert config.agents == (
        AgentConfig(name="a", url="http://127.0.0.1:1"),
        AgentConfig(name="b", url="http://127.0.0.1:2"),
    )


def test_defaults_of_every_record_are_the_documented_ones():
    """The numbers taken from the field."""
    config = read_config(TWO)
    assert config.timeouts == Timeouts(
        connect_s=5,
        read_s=30,
        write_s=10,
        pool_s=5,
        read_deadline_s=10,
        history_deadline_s=30,
        refresh_deadline_s=60,
        trade_deadline_s=30,
    )
    assert config.pool == PoolLimits(keep_alive_s=90, pooling=True)
    assert config.cache == CachePolicy(cache_ttl_s=60, positions_ttl_s=2, trades_ttl_s=60)
    assert config.recovery == RecoveryPolicy(
        enabled=True,
        failures=2,
        pause_s=2,
        backoff_s=60,
        backoff_max_s=1800,
        budget=10,
        budget_window_s=600,
    )
    assert config.breaker == BreakerPolicy(failures=3, open_s=15, open_max_s=120)
    agent = config.agents[0]
    assert (agent.http2, agent.lanes, agent.insecure) == (Http2.AUTO, 1, False)
    assert agent.account is agent.token is agent.basic is agent.ca_file is None
    assert agent.stops_unit is agent.margin_mode is agent.time_zone is None
    assert config.home is None


def test_an_agents_own_key_wins_over_the_defaults_table(tmp_path):
    """[defaults] fills only what an agent leaves out."""
    path = tmp_path / "fleet.toml"
    path.write_text(
        '[defaults]\nlanes = 3\nstops_unit = "pips"\n'
        '[[agents]]\nname = "a"\nurl = "http://a"\nlanes = 5\n'
        '[[agents]]\nname = "b"\nurl = "http://b"\n'
    )
    first, second = read_config(path).agents
    assert (first.lanes, second.lanes) == (5, 3)
    assert first.stops_unit is second.stops_unit is StopsUnit.PIPS


def test_keywords_win_over_the_file(tmp_path):
    """A keyword replaces the file's value, and leaves its neighbours alone."""
    path = tmp_path / "fleet.toml"
    path.write_text(
        '[[agents]]\nname = "a"\nurl = "http://a"\n'
        "[pool]\nkeep_alive_s = 7\n[cache]\ntrades_ttl_s = 8\n[timeouts]\nread_s = 9\n"
    )
    config = read_config(
        path, home=str(tmp_path), pooling=False, cache_ttl_s=0, breaker=BreakerPolicy(failures=1)
    )
    assert config.pool == PoolLimits(keep_alive_s=7, pooling=False)
    assert config.cache == CachePolicy(cache_ttl_s=0, trades_ttl_s=8)
    assert config.timeouts == Timeouts(read_s=9)
    assert config.breaker == BreakerPolicy(failures=1)
    assert config.home == tmp_path
    assert read_config(path, timeouts=Timeouts(pool_s=1)).timeouts == Timeouts(pool_s=1)
    assert read_config(path, cache=CachePolicy(trades_ttl_s=1), cache_ttl_s=2).cache == CachePolicy(
        trades_ttl_s=1, cache_ttl_s=2
    )


def test_a_fleet_config_can_be_read_again():
    """What read_config returned is a source, with secrets, home and policies kept."""
    agents = [{"name": "a", "url": "http://me:pw@127.0.0.1"}]
    config = read_config(agents, home="there", breaker=BreakerPolicy(failures=9))
    assert read_config(config) == config
    assert read_config(config, home="elsewhere") == replace(config, home=Path("elsewhere"))
    with pytest.raises(ConfigError, match=r"agents\[0\].lanes"):
        read_config(replace(config, agents=(replace(config.agents[0], lanes=99),)))


def test_null_means_not_given():
    """JSON's null and Python's None leave the default in place."""
    agent = {"name": "a", "url": "http://a", "account": None, "token": None, "http2": None}
    assert read_config([agent]).agents[0] == AgentConfig(name="a", url="http://a")


def test_relative_files_start_at_the_configuration_file(tmp_path, monkeypatch):
    """The folder of the kernel does not matter to file: and ca_file."""
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / "t").write_text("hidden\r\n")
    (folder / "ca.pem").write_text("")
    (folder / "fleet.toml").write_text(
        '[[agents]]\nname = "a"\nurl = "https://a"\ntoken = "file:t"\nca_file = "ca.pem"\n'
    )
    monkeypatch.chdir(tmp_path)
    agent = read_config("conf/fleet.toml").agents[0]
    assert agent.token == Secret("hidden")
    assert agent.ca_file == Path("conf/ca.pem")


@pytest.mark.parametrize(
    ("given", "normalised"),
    [
        ("HTTP://Host.Example:80/", "http://host.example"),
        ("https://host:443/mt5//", "https://host/mt5"),
        ("http://host:8080/a/b", "http://host:8080/a/b"),
        ("http://[::0001]:9000/", "http://[::1]:9000"),
        ("http://bücher.example", "http://xn--bcher-kva.example"),
        (" http://vps_1. ", "http://vps_1"),
        ("http://10.0.0.7", "http://10.0.0.7"),
    ],
)
def test_urls_are_normalised(given, normalised):
    """Two spellings of one URL are one URL."""
    assert read_config([{"name": "a", "url": given}]).agents[0].url == normalised


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://localhost:1", True),
        ("http://a.localhost", True),
        ("http://127.9.9.9", True),
        ("http://[::1]", True),
        ("http://[::ffff:127.0.0.1]", True),
        ("http://localhost.example", False),
        ("http://128.0.0.1", False),
        ("http://[::2]", False),
    ],
)
def test_loopback_is_this_machine_only(url, loopback):
    """A token may go there over plain http, and nowhere else."""
    assert is_loopback(url) is loopback


def test_a_token_travels_over_tls_loopback_or_on_request_only():
    """Plain http to another host needs insecure = true."""
    token = {"name": "a", "token": "env:T"}
    environ = {"T": "hidden"}
    for url in ("https://vps", "http://127.0.0.1"):
        agent = read_config([{**token, "url": url}], environ=environ).agents[0]
        assert agent.authorization == Secret("Bearer hidden")
    with pytest.raises(ConfigError, match="clear text"):
        read_config([{**token, "url": "http://vps"}], environ=environ)
    allowed = read_config([{**token, "url": "http://vps", "insecure": True}], environ=environ)
    assert allowed.agents[0].token == Secret("hidden")


def test_url_credentials_become_basic_authentication():
    """User and password leave the URL and are sent as a header."""
    agent = read_config([{"name": "a", "url": "http://Aladdin:open%20sesame@vps:80/x/"}]).agents[0]
    assert agent.url == "http://vps/x"
    assert agent.basic == Secret("Aladdin:open sesame")
    assert agent.authorization == Secret("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")


def test_a_secret_may_be_given_from_python():
    """A list in a notebook can carry a Secret or a whole AgentConfig."""
    agents = [
        {"name": "a", "url": "https://a", "token": Secret("hidden")},
        AgentConfig(name="b", url="https://b", basic=Secret("me:pw"), lanes=2),
    ]
    first, second = read_config(agents).agents
    assert first.token == Secret("hidden")
    assert second == agents[1]


def test_a_configuration_is_frozen_and_short_to_show():
    """Nothing changes under a running fleet; a thousand agents do not fill the cell."""
    config = read_config(TWO)
    assert repr(config) == "<FleetConfig 2 agents from a list of 2>"
    with pytest.raises(FrozenInstanceError):
        config.agents = ()  # type: ignore[misc]  # that is the point
    assert isinstance(config, FleetConfig)
