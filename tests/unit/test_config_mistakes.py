"""Every mistake is a `ConfigError` that names file, key, what was found and what is allowed."""

from __future__ import annotations

import math

import pytest

from fleetkit.config import ENVIRONMENT_VARIABLE, BreakerPolicy, Timeouts, read_config
from fleetkit.errors import ConfigError

GOOD = {"name": "a", "url": "http://127.0.0.1:1"}
ONE = '[[agents]]\nname = "a"\nurl = "http://127.0.0.1:1"\n'


def mistake_in(source, **keywords):
    keywords.setdefault("environ", {})
    with pytest.raises(ConfigError) as caught:
        read_config(source, **keywords)
    return caught.value


AGENT_MISTAKES = [
    ({"lanes": 0}, "lanes", "above 0|1", 0),
    ({"lanes": 9}, "lanes", "at least 1 and at most 8", 9),
    ({"lanes": True}, "lanes", "a whole number", True),
    ({"lanes": 1.0}, "lanes", "a whole number", 1.0),
    ({"account": 0}, "account", "at least 1", 0),
    ({"account": -5}, "account", "at least 1", -5),
    ({"account": 2**63}, "account", "at least 1", 2**63),
    ({"account": 10**5000}, "account", "at least 1", "a huge number"),
    ({"account": "7100012"}, "account", "a whole number", "7100012"),
    ({"account": False}, "account", "a whole number", False),
    ({"insecure": "yes"}, "insecure", "true or false", "yes"),
    ({"insecure": 1}, "insecure", "true or false", 1),
    ({"stops_unit": "pip"}, "stops_unit", "price, pips", "pip"),
    ({"margin_mode": "hedge"}, "margin_mode", "hedging, netting", "hedge"),
    ({"http2": True}, "http2", "auto, h2c, off", True),
    ({"url": "https://a", "http2": "h2c"}, "http2", "auto or off", "h2c"),
    ({"time_zone": "Europe/Athen"}, "time_zone", "IANA", "Europe/Athen"),
    ({"time_zone": "Europe"}, "time_zone", "IANA", "Europe"),
    ({"time_zone": "../etc/passwd"}, "time_zone", "IANA", "../etc/passwd"),
    ({"time_zone": 3}, "time_zone", "IANA", 3),
    ({"ca_file": "/nowhere/ca.pem"}, "ca_file", "PEM", "/nowhere/ca.pem"),
    ({"ca_file": "\0"}, "ca_file", "PEM", "\0"),
    ({"name": ""}, "name", "text", ""),
    ({"name": 5}, "name", "text", 5),
    ({"name": "a\nb"}, "name", "printable", "a\nb"),
    ({"name": "x" * 65}, "name", "64", "x" * 60 + "…"),
    ({"url": 5}, "url", "http://", 5),
    ({"url": ["http://a"]}, "url", "http://", "a list"),
    ({"url": "vps:8080"}, "url", "http://", "vps:8080"),
    ({"url": "ftp://vps"}, "url", "http://", "ftp://vps"),
    ({"url": "http://"}, "url", "a host", "http://"),
    ({"url": "http://:80"}, "url", "a host", "http://:80"),
    ({"url": "http://vps:0"}, "url", "port", "http://vps:0"),
    ({"url": "http://vps:99999"}, "url", "port", "http://vps:99999"),
    ({"url": "http://vps/?a=b"}, "url", "path prefix", "http://vps/***"),
    ({"url": "http://vps#x"}, "url", "path prefix", "http://vps***"),
    ({"url": "http://v ps"}, "url", "host", "http://v***"),
    ({"url": "http://256.1.1.1"}, "url", "host", "http://256.1.1.1"),
    ({"url": "http://[::1"}, "url", "host", "http://***"),
    ({"url": "http://a..b"}, "url", "host", "http://a..b"),
    ({"url": "http://-a"}, "url", "host", "http://-a"),
    ({"url": "http://" + "a" * 300}, "url", "host", None),
    ({"url": "http://a/ü"}, "url", "path prefix", "http://a/ü"),
    ({"token": 5}, "token", "env:NAME", "another type"),
    ({"token": "env:"}, "token", "env:NAME", "env: and something else"),
    ({"token": "env:MISSING"}, "token", None, "env:MISSING"),
    ({"token": "file:"}, "token", "file:PATH", "file:"),
    ({"token": "file:/nowhere/t"}, "token", "readable file", "file:/nowhere/t"),
]


@pytest.mark.parametrize(("changes", "key", "allowed", "found"), AGENT_MISTAKES)
def test_a_mistake_in_an_agent_names_its_place(changes, key, allowed, found):
    """The third agent is wrong, and the error says so."""
    others = [{"name": f"n{port}", "url": f"http://127.0.0.1:{port}"} for port in (2, 3)]
    error = mistake_in([*others, {**GOOD, **changes}])
    assert error.file == "list"
    assert error.key == f"agents[2].{key}"
    assert str(error).startswith(f"list: agents[2].{key}: ")
    if allowed is not None:
        assert any(part in (error.allowed or "") for part in allowed.split("|"))
    if found is not None:
        assert error.found == found
        assert type(error.found) is type(found)


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("", "agents", "no agent"),
        ("agents = []", "agents", "no agent"),
        ("agents = 5", "agents", "wrong type"),
        ("agents = [5]", "agents[0]", "wrong type"),
        (ONE + "[timeout]\n", "timeout", "Did you mean 'timeouts'"),
        (ONE + "adress = 1\n", "agents[0].adress", "no such key"),
        (ONE + "tokn = 'env:T'\n", "agents[0].tokn", "Did you mean 'token'"),
        (ONE + "[defaults]\nurl = 'http://a'\n", "defaults.url", "no such key"),
        (ONE + "[defaults]\nlanes = 9\n", "defaults.lanes", "out of range"),
        (ONE + "[timeouts]\nreads = 1\n", "timeouts.reads", "Did you mean 'read_s'"),
        (ONE + "[timeouts]\nread_s = -1\n", "timeouts.read_s", "out of range"),
        (ONE + "[timeouts]\nread_s = 0\n", "timeouts.read_s", "out of range"),
        (ONE + "[timeouts]\nread_s = nan\n", "timeouts.read_s", "out of range"),
        (ONE + "[timeouts]\nread_s = inf\n", "timeouts.read_s", "out of range"),
        (ONE + "[timeouts]\nread_s = true\n", "timeouts.read_s", "wrong type"),
        (ONE + "[timeouts]\nread_s = '5'\n", "timeouts.read_s", "wrong type"),
        (ONE + "[cache]\ncache_ttl_s = -0.5\n", "cache.cache_ttl_s", "out of range"),
        (ONE + "[pool]\npooling = 1\n", "pool.pooling", "wrong type"),
        (ONE + "[recovery]\nbudget = 1.5\n", "recovery.budget", "wrong type"),
        (ONE + "[recovery]\nfailures = 0\n", "recovery.failures", "out of range"),
        (ONE + "[recovery]\nbackoff_s = 9999\n", "recovery.backoff_max_s", "smaller"),
        (ONE + "[breaker]\nopen_max_s = 1\n", "breaker.open_max_s", "smaller"),
        ("[[agents]]\nurl = 'http://a'\n", "agents[0].name", "no name"),
        ("[[agents]]\nname = 'a'\n", "agents[0].url", "no url"),
        (ONE + "token =\n", None, r"not TOML: .*line 4"),
        ("[[agents]\n", None, r"not TOML: .*line 1, column"),
    ],
)
def test_a_mistake_in_a_toml_file_names_file_and_key(tmp_path, text, key, message):
    """Tables, keys, types, ranges and syntax."""
    path = tmp_path / "fleet.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_config(path)
    assert caught.value.file == str(path)
    assert caught.value.key == key


@pytest.mark.parametrize("key", ["name", "account", "url"])
def test_two_agents_share_neither_name_nor_account_nor_url(key):
    """The error names both; for URLs the normalised form counts."""
    first = {"name": "a", "url": "http://HOST:80/", "account": 5}
    second = {"name": "b", "url": "http://other", "account": 6}
    second[key] = first[key] if key != "url" else "http://host"
    error = mistake_in([first, second])
    assert error.key == f"agents[1].{key}"
    assert f"agents[0] ('a') has the same {key}" in str(error)


def test_agents_without_account_do_not_collide():
    """Not known is not equal."""
    agents = [{"name": str(port), "url": f"http://a:{port}"} for port in range(1, 4)]
    assert len(read_config(agents).agents) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"name": "a",]', "line 1, column"),
        ('[\n{"name": "a"\n', "line 3, column"),
        ('{"name": "a", "url": "http://a"}', "wrong type"),
        ("[]", "no agent"),
        ('[{"a":' * 100_000, "nested too deeply"),
    ],
)
@pytest.mark.parametrize("where", ["text", "environment", "file"])
def test_malformed_json_names_line_and_column(tmp_path, text, message, where):
    """Wherever the list came from."""
    path = tmp_path / "fleet.json"
    path.write_text(text)
    source, file = {
        "text": (text, "JSON text"),
        "environment": (None, ENVIRONMENT_VARIABLE),
        "file": (path, str(path)),
    }[where]
    with pytest.raises(ConfigError, match=message) as caught:
        read_config(source, environ={ENVIRONMENT_VARIABLE: text})
    assert caught.value.file == file


@pytest.mark.parametrize("environ", [{}, {ENVIRONMENT_VARIABLE: "  "}])
def test_no_source_and_no_variable_says_what_to_do(environ):
    """The first thing a new user meets."""
    error = mistake_in(None, environ=environ)
    assert error.file == ENVIRONMENT_VARIABLE
    assert 'connect("fleet.toml")' in str(error)
    assert "demo()" in str(error)


@pytest.mark.parametrize(
    "source",
    ["missing.toml", "missing", "", " ", "/", "a\0b.toml", "http://vps:1", "[agents]\n", 5, b"[]"],
)
def test_a_source_that_is_none_says_what_one_is(source):
    """Missing files, folders, URLs, numbers."""
    error = mistake_in(source)
    assert "TOML or JSON file" in (error.allowed or "")


def test_a_file_that_is_not_text_is_refused(tmp_path):
    """Bytes that are not UTF-8 are not decoded into something else."""
    path = tmp_path / "fleet.toml"
    path.write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in str(mistake_in(path))


@pytest.mark.parametrize(
    ("keywords", "key"),
    [
        ({"cache_ttl_s": -1}, "cache_ttl_s"),
        ({"cache_ttl_s": math.nan}, "cache_ttl_s"),
        ({"cache_ttl_s": True}, "cache_ttl_s"),
        ({"pooling": 0}, "pooling"),
        ({"home": 5}, "home"),
        ({"home": ""}, "home"),
        ({"timeouts": Timeouts(read_s=-1)}, "timeouts.read_s"),
        ({"timeouts": BreakerPolicy()}, "timeouts"),
        ({"breaker": BreakerPolicy(open_s=500)}, "breaker.open_max_s"),
    ],
)
def test_keywords_obey_the_rules_of_the_file(keywords, key):
    """A record built in Python is checked like a table."""
    error = mistake_in([GOOD], **keywords)
    assert (error.file, error.key) == ("connect()", key)


@pytest.mark.parametrize("url", ["http://me:80/pw@host", "http://me:p\\w@host"])
def test_a_reserved_character_in_a_password_says_how_to_write_it(url):
    """Otherwise the password would become part of the path."""
    error = mistake_in([{"name": "a", "url": url}])
    assert "in a user name or password must be percent-encoded" in str(error)


def test_token_and_url_password_together_are_refused():
    """One request carries one Authorization header."""
    agent = {"name": "a", "url": "https://me:pw@a", "token": "env:T"}
    error = mistake_in([agent], environ={"T": "hidden"})
    assert error.key == "agents[0].token"
    assert "both a token and a password" in str(error)
