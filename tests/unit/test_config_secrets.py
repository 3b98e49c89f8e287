"""No secret leaves the configuration but through `Secret.reveal`."""

from __future__ import annotations

import copy
import json
import pickle
import traceback
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetkit.config import ENVIRONMENT_VARIABLE, AgentConfig, Secret, read_config
from fleetkit.errors import ConfigError

PLANT = "pl4nted-s3cret"


def everything_an_error_shows(error: BaseException) -> str:
    """Its texts, its attributes, what it is chained to, and the locals of our frames."""
    seen = [repr(error), str(error), repr(error.args), repr(vars(error))]
    formatted = traceback.TracebackException.from_exception(error, capture_locals=True)
    seen += [repr(frame.locals) for frame in formatted.stack if "/fleetkit/" in frame.filename]
    for chained in (error.__cause__, error.__context__):
        if chained is not None:
            seen.append(everything_an_error_shows(chained))
    return "\n".join(seen)


def planted_sources(folder):
    """Sources that are wrong, each with the secret somewhere in it."""
    url = f"http://me:{PLANT}@"
    bad_urls = [
        f"{url}",
        f"{url}host:port",
        f"{url}host:99999999",
        f"{url}[::1",
        f"{url}host/?q",
        f"{url}host#f",
        f"{url}ho st",
        f"{url}host/\u2100",
        f"ftp://me:{PLANT}@host",
        f"http//me:{PLANT}@host",
        f"me:{PLANT}@host",
        f"http://me:{PLANT}",
        f"http://me:x/{PLANT}@host",
        f"http://me:80/{PLANT}@host",
        f"http://me:80?{PLANT}@host",
        f"http://me:80#{PLANT}@host",
        f"http://me:{PLANT}\\@host",
        f"http://host/?token={PLANT}",
        f"http://host/?token=x@{PLANT}",
        f"http://me:%0D%0A{PLANT}@host",
        f"http://me:{PLANT}%E2%82%AC@host",
        f"http://me:{PLANT}\n@host",
        f"http://:{PLANT}@host",
    ]
    agents = [{"name": "a", "url": bad} for bad in bad_urls]
    agents += [
        {"name": "a", "url": f"http://me:{PLANT}@host", "lanes": 99},
        {"name": "a", "url": f"http://me:{PLANT}@host", "token": "env:GOOD"},
        {"name": "a", "url": [f"http://me:{PLANT}@host"]},
        {"name": f"http://me:{PLANT}@host", "url": 5},
        {"name": "a", "url": "https://host", "token": PLANT},
        {"name": "a", "url": "https://host", "token": f"env:{PLANT}"},
        {"name": "a", "url": "https://host", "token": {"value": PLANT}},
        {"name": "a", "url": "https://host", "tokn": PLANT},
        {"name": "a", "url": "https://host", "account": f"http://me:{PLANT}@host"},
        {"name": "a", "url": "https://host", "stops_unit": f"http://me:{PLANT}@host"},
        {"name": "a", "url": "http://host", "token": "env:GOOD"},
        {"name": "a", "url": "https://host", "token": "env:GOOD", "http2": "h2c"},
        {"name": "a", "url": "https://host", "token": "env:GOOD", f"http://me:{PLANT}@h": 1},
    ]
    bad_tokens = {
        "broken": f"{PLANT}\r\nX-Evil: 1",
        "wide": f"{PLANT}€",
        "spaced": f"{PLANT} ",
        "two": f"{PLANT}\n\n",
        "nul": f"{PLANT}\0",
    }
    for name, text in bad_tokens.items():
        (folder / name).write_text(text, encoding="utf-8", newline="")
        agents.append({"name": "a", "url": "https://host", "token": f"file:{folder / name}"})
        agents.append({"name": "a", "url": "https://host", "token": f"env:{name.upper()}"})
    (folder / "binary").write_bytes(PLANT.encode() + b"\xff")
    (folder / "long").write_text(PLANT * 2_000)
    for name in ("binary", "long"):
        agents.append({"name": "a", "url": "https://host", "token": f"file:{folder / name}"})
    environ = {name.upper(): text for name, text in bad_tokens.items()} | {"GOOD": PLANT}
    return agents, environ


@pytest.mark.parametrize("source", ["list", "text", "environment", "json", "record"])
def test_no_error_shows_a_planted_secret(tmp_path, source):
    """Every mistake in every source, searched down to the locals of our frames."""
    agents, environ = planted_sources(tmp_path)
    for number, agent in enumerate(agents):
        text = json.dumps([agent])
        path = tmp_path / f"{number}.json"
        path.write_text(text)
        handed = {"list": [agent], "text": text, "environment": None, "json": path}
        handed["record"] = [{"name": "first", "url": "http://first"}, agent]
        with pytest.raises(ConfigError) as caught:
            read_config(handed[source], environ=environ | {ENVIRONMENT_VARIABLE: text})
        assert PLANT not in everything_an_error_shows(caught.value), agent


@pytest.mark.parametrize(
    "text",
    [
        f'[[agents]]\nname = "a"\nurl = "http://me:{PLANT}@host"\nlanes = 9\n',
        f'[[agents]]\nname = "a"\nurl = "https://host"\ntoken = "{PLANT}"\n',
        f'[[agents]]\nname = "a"\nurl = "https://host"\ntoken = "{PLANT}\n',
        f'[[agents]]\nname = "a"\nurl = "https://host"\ntoken = {PLANT}\n',
        f'[[agents]]\ntoken = "{PLANT}"\ntoken = "{PLANT}"\n',
        f'[defaults]\ntoken = "{PLANT}"\n[[agents]]\nname = "a"\nurl = "https://host"\n',
        f'[agent]\ntoken = "{PLANT}"\n',
        f'token = "{PLANT}"\n',
        f'[timeouts]\nread_s = "http://me:{PLANT}@host"\n[[agents]]\nname="a"\nurl="http://a"\n',
    ],
)
def test_no_toml_error_shows_a_planted_secret(tmp_path, text):
    """Syntax errors quote no value either."""
    path = tmp_path / "fleet.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert PLANT not in everything_an_error_shows(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        f"http://me:{PLANT}@host",
        f'[[agents]]\ntoken = "{PLANT}"\n',
        f'[{{"name": "a", "url": "http://me:{PLANT}@host"}}',
        f'{{"name": "a", "url": "http://me:{PLANT}@host"}}',
        {"url": f"http://me:{PLANT}@host"},
        [f"http://me:{PLANT}@host"],
    ],
)
def test_a_source_that_is_none_is_not_repeated(source):
    """Handing the wrong thing to connect() shows nothing of it."""
    with pytest.raises(ConfigError) as caught:
        read_config(source, environ={})
    assert PLANT not in everything_an_error_shows(caught.value)


def test_a_literal_token_is_named_but_not_shown(tmp_path):
    """The error says where a token belongs."""
    path = tmp_path / "fleet.toml"
    path.write_text(f'[[agents]]\nname = "a"\nurl = "https://a"\ntoken = "{PLANT}"\n')
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert caught.value.found == "a literal token"
    assert "env:NAME" in str(caught.value)


def test_a_good_configuration_shows_no_secret():
    """Records, their dicts and copies of them."""
    agents = [
        {"name": "a", "url": "https://host", "token": "env:T"},
        {"name": "b", "url": f"https://me:{PLANT}@host:2"},
    ]
    config = read_config(agents, environ={"T": PLANT})
    for agent in config.agents:
        shown = [repr(agent), str(agent), str(asdict(agent)), repr(replace(agent, lanes=2))]
        shown += [repr(agent.authorization), repr(copy.deepcopy(agent))]
        assert PLANT not in " ".join(shown)
        with pytest.raises(TypeError):
            pickle.dumps(agent)
    assert PLANT not in repr(config) + repr(config.agents)
    assert config.agents[0].token is not None
    assert config.agents[0].token.reveal() == PLANT


def test_a_secret_is_masked_in_every_form():
    """repr, str, formatting, JSON, pickle, hash and copies."""
    secret = Secret(PLANT)
    forms = [repr(secret), str(secret), f"{secret}", f"{secret!r:>40}", f"{secret:>40}"]
    forms += ["%s %r" % (secret, secret), json.dumps([secret], default=str)]  # noqa: UP031  # old style is tested too
    assert PLANT not in "".join(forms)
    assert repr(secret) == "Secret('***')"
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)
    with pytest.raises(AttributeError):
        secret.value = "x"  # type: ignore[attr-defined]  # that is the point
    assert hash(secret) == hash(Secret("another"))
    assert secret == Secret(PLANT)
    assert secret != Secret("another")
    assert secret != PLANT


BAD_SECRETS = [
    "",
    5,
    None,
    f"{PLANT}\nb",
    f"{PLANT}\r",
    f"\0{PLANT}",
    f"{PLANT}\x7f",
    f"{PLANT}€",
    f" {PLANT}",
    f"{PLANT}\t",
    PLANT.encode(),
]


@pytest.mark.parametrize("text", BAD_SECRETS)
def test_a_secret_that_no_header_can_carry_is_refused(text):
    """And the refusal does not repeat it."""
    with pytest.raises(ConfigError) as caught:
        Secret(text)
    assert PLANT not in everything_an_error_shows(caught.value)


def test_a_record_with_credentials_in_its_url_is_refused_unseen():
    """AgentConfig is built from checked parts; read_config takes URLs apart."""
    with pytest.raises(ConfigError) as caught:
        AgentConfig(name="a", url=f"http://me:{PLANT}@host")
    shown = str(caught.value) + repr(caught.value)
    assert PLANT not in shown


@given(user=st.text(min_size=1), password=st.text())
def test_any_credentials_leave_the_url_whole_or_are_refused(user, password):
    """What a header can carry arrives as it was; nothing of it stays in the URL."""
    from urllib.parse import quote

    try:
        encoded = f"{quote(user, safe='')}:{quote(password, safe='')}"
    except UnicodeEncodeError:  # a lone surrogate cannot be in a URL
        return
    try:
        agent = read_config([{"name": "a", "url": f"http://{encoded}@host"}]).agents[0]
    except ConfigError:
        return
    assert agent.url == "http://host"
    assert agent.basic is not None
    assert agent.basic.reveal() == f"{user}:{password}"


@given(
    start=st.sampled_from(["http://me:", "https://me:", "http:/me:", "me:", "http://[me:", "x://"]),
    before=st.text("ab1:/?#[]@%\\ \t\n.é", max_size=6),
    after=st.text("ab1:/?#[]%\\ \t\n.é", max_size=6),
    host=st.text("ab1:/?#[]%. é", max_size=8),
)
def test_no_malformed_url_shows_its_password(start, before, after, host):
    """Whatever stands around it, what was before the last @ is neither shown nor kept."""
    url = f"{start}{before}{PLANT}{after}@{host}"
    try:
        shown = repr(read_config([{"name": "a", "url": url}]).agents)
    except ConfigError as error:
        shown = everything_an_error_shows(error)
    assert PLANT not in shown
