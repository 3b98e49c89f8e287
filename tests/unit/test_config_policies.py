"""Policies and settings of trading, from a file and from Python: exact, or refused."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetkit.config import TradingSettings, read_config
from fleetkit.errors import ConfigError
from fleetkit.trading import Hedging, Policies, TradingPolicy

AGENT = {"name": "a", "url": "http://127.0.0.1:1"}
ONE = '[[agents]]\nname = "a"\nurl = "http://127.0.0.1:1"\n'

WHOLE = """
[[policies]]
firm = "FTMO"
phase = "F1"
symbols = ["EURUSD", "XAUUSD"]
max_volume = 0.5
max_open_volume = "1.00"
hedging = "forbidden"

[[policies]]
account = 7100012
max_volume = 2

[trading]
grace_s = 30
plan_fresh_s = 5
lease_s = 90
drain_s = 0
"""


def config_of(folder: Path, text: str):
    path = folder / "fleet.toml"
    path.write_text(ONE + text, encoding="utf-8")
    return read_config(path, environ={})


def test_a_file_says_what_may_be_traded(tmp_path):
    """Tables become records, in the order they were written."""
    config = config_of(tmp_path, WHOLE)
    first, second = config.policies.policies
    assert first == TradingPolicy(
        firm="FTMO",
        phase="F1",
        symbols=frozenset({"EURUSD", "XAUUSD"}),
        max_volume=Decimal("0.5"),
        max_open_volume=Decimal("1.00"),
        hedging=Hedging.FORBIDDEN,
    )
    assert second == TradingPolicy(account=7100012, max_volume=Decimal(2))
    assert config.trading == TradingSettings(grace_s=30, plan_fresh_s=5, lease_s=90, drain_s=0)


def test_without_tables_nothing_is_limited_and_the_field_s_numbers_hold():
    """An empty list of policies is one, and the defaults are the documented ones."""
    config = read_config([AGENT], environ={})
    assert config.policies == Policies()
    assert config.trading == TradingSettings(grace_s=45, plan_fresh_s=10, lease_s=60, drain_s=5)


@given(hundredths=st.integers(0, 10**8))
def test_a_volume_is_the_digits_that_were_written(hundredths):
    """As a number or as a text: no binary fraction creeps in."""
    written = f"{hundredths // 100}.{hundredths % 100:02d}"
    for value in (float(written), written, Decimal(written)):
        config = read_config([AGENT], policies=[{"max_volume": value}], environ={})
        assert config.policies.policies[0].max_volume == Decimal(written)


MISTAKES = [
    ("max_volume = -0.01", "max_volume", "out of range", -0.01),
    ("max_volume = nan", "max_volume", "out of range", None),
    ("max_volume = inf", "max_volume", "out of range", None),
    ('max_volume = "NaN"', "max_volume", "out of range", "NaN"),
    ('max_volume = "-1"', "max_volume", "out of range", "-1"),
    ('max_volume = "1e-9"', "max_volume", "out of range", "1e-9"),
    ('max_volume = "1e999999"', "max_volume", "out of range", "1e999999"),
    ('max_volume = "half"', "max_volume", "no number", "half"),
    ("max_volume = true", "max_volume", "wrong type", True),
    ("max_volume = [1]", "max_volume", "wrong type", "a list"),
    ("max_open_volume = -1", "max_open_volume", "out of range", "-1"),
    ("max_volumes = 1", "max_volumes", "Did you mean 'max_volume'", None),
    ("hedging = true", "hedging", "wrong type", True),
    ('hedging = "forbiden"', "hedging", "Did you mean 'forbidden'", "forbiden"),
    ('symbols = "EURUSD"', "symbols", "wrong type", "EURUSD"),
    ('symbols = ["EURUSD", ""]', "symbols[1]", "empty", ""),
    ("symbols = [5]", "symbols[0]", "wrong type", 5),
    ("account = 0\nmax_volume = 1", "account", "out of range", 0),
    ("account = 7.0\nmax_volume = 1", "account", "wrong type", 7.0),
    ('firm = " "\nmax_volume = 1', "firm", "empty", " "),
    ("phase = 1\nmax_volume = 1", "phase", "wrong type", 1),
]


@pytest.mark.parametrize(("text", "key", "message", "found"), MISTAKES)
def test_a_mistake_in_a_policy_names_its_place(tmp_path, text, key, message, found):
    """The second policy is wrong, and the error says so, with what is allowed."""
    with pytest.raises(ConfigError, match=message) as caught:
        config_of(tmp_path, f"[[policies]]\nmax_volume = 1\n[[policies]]\n{text}\n")
    assert caught.value.file == str(tmp_path / "fleet.toml")
    assert caught.value.key == f"policies[1].{key}"
    assert caught.value.allowed
    if found is not None:
        assert caught.value.found == found


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("[policies]\nmax_volume = 1\n", "policies", r"wrong type.*\[\[policies\]\]"),
        ("[[policies]]\n", "policies[0]", "policy for every account limits nothing"),
        ('[[policies]]\nfirm = "F"\n', "policies[0]", "policy for firm F limits nothing"),
        ('[[policies]]\nhedging = "allowed"\n', "policies[0]", "limits nothing"),
        ("[[policy]]\nmax_volume = 1\n", "policy", "Did you mean 'policies'"),
        ("[trading]\ngrace_s = 0\n", "trading.grace_s", "out of range"),
        ("[trading]\ndrain_s = -1\n", "trading.drain_s", "out of range"),
        ("[trading]\nlease_s = '60'\n", "trading.lease_s", "wrong type"),
        ("[trading]\ngrace = 5\n", "trading.grace", "Did you mean 'grace_s'"),
    ],
)
def test_a_mistake_in_a_table_names_it(tmp_path, text, key, message):
    """A policy that is believed to limit something and does not is a mistake as well."""
    with pytest.raises(ConfigError, match=message) as caught:
        config_of(tmp_path, text)
    assert caught.value.key == key


def test_keywords_replace_the_file_s_tables_as_a_whole(tmp_path):
    """Policies of the file are gone where others are given, an empty list included."""
    config = config_of(tmp_path, WHOLE)
    ours = TradingPolicy(symbols=frozenset(), max_volume=Decimal("0.1"))
    changed = read_config(config, policies=[ours], trading=TradingSettings(lease_s=9))
    assert changed.policies == Policies((ours,))
    assert changed.trading == TradingSettings(lease_s=9)
    assert read_config(config, policies=[]).policies == Policies()
    assert read_config(config, policies=Policies((ours,))).policies == Policies((ours,))


def test_a_configuration_that_is_read_again_keeps_them(tmp_path):
    """`FleetConfig` is a source like any other."""
    config = config_of(tmp_path, WHOLE)
    assert read_config(config) == config


@pytest.mark.parametrize(
    ("keywords", "key"),
    [
        ({"policies": [TradingPolicy()]}, "policies[0]"),
        ({"policies": [TradingPolicy(max_volume=Decimal(-1))]}, "policies[0].max_volume"),
        ({"policies": [TradingPolicy(max_volume=Decimal("NaN"))]}, "policies[0].max_volume"),
        ({"policies": [{"max_volume": 10**5000}]}, "policies[0].max_volume"),
        ({"policies": TradingPolicy(max_volume=Decimal(1))}, "policies"),
        ({"policies": "all"}, "policies"),
        ({"policies": [5]}, "policies[0]"),
        ({"trading": TradingSettings(lease_s=0)}, "trading.lease_s"),
        ({"trading": {"lease_s": 5}}, "trading"),
    ],
)
def test_keywords_obey_the_rules_of_the_file(keywords, key):
    """Records built in Python are checked like tables."""
    with pytest.raises(ConfigError) as caught:
        read_config([AGENT], environ={}, **keywords)
    assert (caught.value.file, caught.value.key) == ("connect()", key)
