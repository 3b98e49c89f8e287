"""The README cannot rot: what it shows is run, what it names exists."""

from __future__ import annotations

import argparse
import doctest
import inspect
import re
import subprocess
import sys

import pytest

import fleetkit as fk
from fleetkit.cli import command_parser
from fleetkit.demo_fleet import Demo
from fleetkit.fleet import AioFleet, AioFleetCache, Fleet, FleetCache
from tests.support.readme import README, ROOT, blocks, commands, table_below

CI_RUN = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
LINES_BEFORE_PATIENCE_ENDS = 30
NAMES = re.compile(r"fleet((?:\.\w+)+)")


def test_the_first_thirty_lines_show_a_whole_session():
    """A reader sees connecting, frames, a failure and the end without scrolling."""
    top = "\n".join(README.splitlines()[:LINES_BEFORE_PATIENCE_ENDS])
    assert "```pycon\n" in top
    assert ">>> fleet.close()\n```" in top


def test_the_session_prints_what_the_readme_says(nothing_left_behind):
    """Every line of the session is run and its output compared."""
    (session,) = blocks("pycon")
    test = doctest.DocTestParser().get_doctest(session, {}, "README", "README.md", 0)
    assert len(test.examples) >= 8
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    try:
        runner.run(test, out=said.append, clear_globs=False)
    finally:
        if "fleet" in test.globs:
            test.globs["fleet"].close()
        test.globs.clear()
    assert not runner.failures, "".join(said)


def test_the_examples_run():
    """Every example in Python is run as it stands, on one demo fleet after the other."""
    names = {"fk": fk}
    for example in blocks("python"):
        with fk.demo(accounts=12, seed=7) as fleet:
            exec(example, names | {"fleet": fleet})
            names |= {"Faults": fk.sim.Faults}
            assert fleet.accounts()["status"].eq("connected").all()


def test_the_two_commands_are_the_ones_the_checks_use():
    """What a newcomer types is what is checked, to the letter."""
    first, second = commands()
    assert first.endswith("&& .venv/bin/fleetkit demo")
    assert "-m venv .venv" in first
    assert ".[demo]" in first
    assert second.endswith(".venv/bin/python -m pytest")
    assert CI_RUN.rstrip().endswith(f'run "{second}"')


@pytest.mark.parametrize("name", [name for name in fk.__all__ if name != "__version__"])
def test_every_public_name_is_documented(name):
    """A name that is exported is named in the README."""
    assert re.search(rf"\b{name}\b", README), f"README.md does not mention {name}"


def test_every_public_call_is_documented():
    """A call of a fleet, its cache or its demo is named in the README."""
    for call in _public(Fleet) | {f"cache.{name}" for name in _public(FleetCache)}:
        assert f"fleet.{call}" in README, f"README.md does not mention fleet.{call}"


def test_every_command_and_option_is_documented():
    """A command of the command line is in the README's table, an option in its text."""
    (commands_action,) = (
        action
        for action in command_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    rows = {row[0].strip("`") for row in table_below("## Command line")}
    assert rows == {f"fleetkit {name}" for name in commands_action.choices}
    section = README.split("## Command line\n")[1].split("\n## ")[0]
    for option in ("--once", "--days", "--fleet", "--output", "--format table|csv|json|parquet"):
        assert option in section


def test_the_table_of_call_sites_names_what_exists():
    """Every fleetkit name beside an older call site can be called."""
    rows = table_below("## From the older aggregator design")
    assert len(rows) > 12
    for there, here in rows:
        assert "`" in here or here.startswith("nothing to call"), there
        for path in NAMES.findall(here):
            assert _exists(path), f"{there}: there is no fleet{path}"


def test_every_attribute_the_readme_names_exists():
    """No ``fleet.something`` anywhere in the README is a thing of the past."""
    assert [path for path in NAMES.findall(README) if not _exists(path)] == []


@pytest.mark.parametrize(
    "words", [fk.AccountStatus, fk.AgentStatus, fk.Source, fk.Binding, fk.Breaker, fk.Side]
)
def test_every_word_of_a_column_is_explained(words):
    """A status, source or state that a frame can show is in the README."""
    for word in words:
        assert f"`{word.value}`" in README


def test_defaults_in_the_text_are_the_real_ones():
    """Parameters in the table of calls have the defaults shown there."""
    calls = [row[0] for row in table_below("## Read")]
    shown_calls = re.findall(r"`fleet\.(\w+)\(((?:\w+=\w+(?:, )?)+)\)`", "\n".join(calls))
    assert len(shown_calls) >= 5
    for call, shown in shown_calls:
        real = inspect.signature(getattr(Fleet, call)).parameters
        for pair in shown.split(", "):
            name, default = pair.split("=")
            assert (
                f"{real[name].default:g}" == default
                if default.isdigit()
                else (repr(real[name].default) == default)
            ), f"{call}({pair})"


def test_links_inside_the_readme_lead_somewhere():
    """A relative link is a file, a fragment is a heading."""
    headings = {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in README.splitlines()
        if line.startswith("#")
    }
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("#"):
            assert target[1:] in headings
        elif "://" not in target:
            assert (ROOT / target).exists(), target


def test_the_module_behind_the_command_runs():
    """`python -m fleetkit.cli` is the `fleetkit` command."""
    answer = subprocess.run(
        [sys.executable, "-m", "fleetkit.cli", "--version"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert answer.stdout == f"fleetkit {fk.__version__}\n"


def _public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def _exists(path: str) -> bool:
    """Whether a dotted path below ``fleet`` exists, as far as classes tell."""
    kinds = {"cache": FleetCache, "aio": AioFleet}
    inner = {"cache": AioFleetCache}
    first, *rest = path.strip(".").split(".")
    if first == "toml":
        return True  # fleet.toml, a file
    if first == "demo":
        return not rest or rest[0] in {"faults", "agents"} or hasattr(Demo, rest[0])
    if first in kinds and rest:
        kind = kinds[first]
        if first == "aio" and rest[0] in inner and len(rest) > 1:
            return hasattr(inner[rest[0]], rest[1])
        return hasattr(kind, rest[0])
    return hasattr(Fleet, first)
