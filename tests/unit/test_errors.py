"""The tree of errors: drawn in the docstring, redrawn here from the classes."""

from __future__ import annotations

import inspect
import pickle
import textwrap

import pandas as pd
import pytest

import fleetkit
from fleetkit import errors


def drawn(kind, prefix=""):
    """A class and all below it, as the docstring draws them."""
    below = sorted(kind.__subclasses__(), key=lambda child: child.__name__)
    below = [child for child in below if child.__module__ == errors.__name__]
    lines = []
    for child in below:
        last = child is below[-1]
        lines.append(f"{prefix}{'└── ' if last else '├── '}{child.__name__}")
        lines += drawn(child, prefix + ("    " if last else "│   "))
    return lines


def every_error():
    return [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, Exception) and kind.__module__ == errors.__name__
    ]


def test_the_docstring_draws_the_tree():
    """Class for class, in order."""
    _, _, picture = errors.__doc__.partition("::\n")
    tree = textwrap.dedent(picture).strip()
    assert tree.splitlines() == ["FleetkitError", *drawn(errors.FleetkitError)]


def test_every_error_is_public_and_below_one_base():
    """`except fleetkit.FleetkitError` catches all of them."""
    for kind in every_error():
        assert issubclass(kind, errors.FleetkitError)
        assert getattr(fleetkit, kind.__name__) is kind
        assert kind.__name__ in fleetkit.__all__


def test_errors_also_are_what_python_calls_them():
    """Code that knows nothing of fleetkit can catch them, too."""
    for kind in (errors.ConfigError, errors.UsageError, errors.LabelError):
        assert issubclass(kind, ValueError)
    assert issubclass(errors.UnknownAccount, LookupError)
    for kind in (errors.LoopThreadBusy, errors.NestedAsyncioRefused):
        assert issubclass(kind, RuntimeError)


def below(kind):
    return [kind, *(deeper for child in kind.__subclasses__() for deeper in below(child))]


@pytest.mark.parametrize("kind", below(errors.AgentError), ids=lambda kind: kind.__name__)
def test_an_agents_error_carries_agent_and_account(kind):
    """So that code need not read sentences."""
    more = {"status_code": 500} if issubclass(kind, errors.AgentRefused) else {}
    error = kind("It broke.", agent="vps01", account=7, **more)
    assert (str(error), error.agent, error.account) == ("It broke.", "vps01", 7)
    assert kind("It broke.", agent="vps01", **more).account is None
    if more:
        assert error.status_code == 500
    if kind is errors.ContractError:
        assert error.json_path == "$"


def test_a_partial_result_names_what_is_missing():
    """Frame, accounts and a sentence for each."""
    frame = pd.DataFrame({"balance": [1.0]})
    reasons = {7: "It broke.", "vps02": "It never spoke."}
    error = errors.PartialResult("2 are missing.", frame=frame, reasons=reasons)
    assert error.missing == [7, "vps02"]
    assert error.reasons == reasons
    assert error.frame is frame


def test_a_configuration_mistake_says_where_what_and_what_would_do():
    """File, key, what was found, what is allowed."""
    error = errors.ConfigError(
        "Wrong.", file="fleet.toml", key="agents[2].url", found=5, allowed="a URL"
    )
    assert str(error) == "fleet.toml: agents[2].url: Wrong. Found 5. Allowed: a URL."
    assert str(errors.ConfigError("Wrong.")) == "Wrong."


def test_plain_errors_survive_a_trip_to_another_process():
    """Those without fields of their own."""
    for kind in (errors.FleetClosed, errors.UsageError, errors.StoreError):
        assert str(pickle.loads(pickle.dumps(kind("It broke.")))) == "It broke."


@pytest.mark.parametrize(
    "error",
    [
        errors.PartialResult("1 missing", frame=pd.DataFrame({"a": [1]}), reasons={7: "gone"}),
        errors.NotSupported("too old", agent="a", status_code=404, account=7),
        errors.ContractError("wrong", agent="a", json_path="$.x"),
        errors.ConfigError("wrong", file="f", key="k", found=1, allowed="2"),
        errors.UnknownAccount("who", account=7),
        errors.AgentBusy("queued", agent="a"),
    ],
)
def test_an_error_comes_back_from_another_process(error):
    """Pools pickle what their workers raise."""
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert back.__dict__.keys() == error.__dict__.keys()
