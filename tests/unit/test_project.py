"""The project's own files agree with each other."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import fleetkit as fk

ROOT = Path(__file__).resolve().parents[2]
PROJECT_TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(PROJECT_TEXT)["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TOP_LEVEL = {
    "fleetkit", "notebooks", "tests",
    "environment.yml", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE",
}  # fmt: skip
CONDA_NAMES = {"tzdata": "python-tzdata", "matplotlib": "matplotlib-base"}
FORMATTED = re.compile(r"^ +(\".*\"),( *# \S.*)?$")


def requirements(lines: list[str]) -> dict[str, SpecifierSet]:
    found = {}
    for line in lines:
        requirement = Requirement(line)
        assert requirement.name not in found, f"{requirement.name} is named twice"
        found[requirement.name] = requirement.specifier
    return found


def project_requirements() -> dict[str, SpecifierSet]:
    """Everything that fleetkit and its extras ask for, under conda's names."""
    lines = list(PROJECT["dependencies"])
    for extra in PROJECT["optional-dependencies"].values():
        lines += [line for line in extra if not line.startswith("fleetkit[")]
    return {CONDA_NAMES.get(name, name): bounds for name, bounds in requirements(lines).items()}


def conda_requirements() -> tuple[dict[str, SpecifierSet], list[str]]:
    """What the environment asks for, and the lines of its pip section."""
    lines = [line for line in ENVIRONMENT["dependencies"] if isinstance(line, str)]
    (pip,) = (line["pip"] for line in ENVIRONMENT["dependencies"] if isinstance(line, dict))
    found = requirements(lines)
    assert found.pop("python") == SpecifierSet(PROJECT["requires-python"])
    assert found.pop("pip") == SpecifierSet()
    return found, pip


def test_conda_users_get_the_same_environment():
    """environment.yml and pyproject.toml name the same packages with the same bounds."""
    conda, pip = conda_requirements()
    own = [line for line in pip if not line.startswith("-e")]
    assert conda | requirements(own) == project_requirements()


def test_conda_installs_this_checkout_and_nothing_else_from_pypi():
    """The pip section is fleetkit itself and what conda-forge lacks on some system."""
    _, pip = conda_requirements()
    assert "-e ." in pip
    assert [Requirement(line).name for line in pip if line != "-e ."] == ["playwright", "uvloop"]
    assert ENVIRONMENT["channels"] == ["conda-forge"]


def test_extras_of_a_conda_package_are_packages_of_their_own():
    """conda knows no extras: what httpx[http2] brings is in the list by name."""
    asked = [Requirement(line) for line in PROJECT["dependencies"]]
    assert {(r.name, *sorted(r.extras)) for r in asked if r.extras} == {("httpx", "http2")}
    assert "h2" in conda_requirements()[0]


def test_every_dependency_says_why_it_is_there():
    """One comment a line, for what is always installed and for the extras."""
    section = PROJECT_TEXT.split("\ndependencies = [\n")[1].split("\n[project.scripts]")[0]
    lines = [FORMATTED.match(line) for line in section.splitlines()]
    found = {match[1].strip('"'): match[2] for match in lines if match}
    expected = list(PROJECT["dependencies"])
    expected += [line for extra in PROJECT["optional-dependencies"].values() for line in extra]
    for line in expected:
        if not line.startswith("fleetkit["):
            assert found.get(line), f"{line} has no comment"


def test_the_test_extra_brings_the_demo():
    """The two commands of the README are enough: the tests need the simulated fleet."""
    (own,) = (r for r in map(Requirement, PROJECT["optional-dependencies"]["test"])
              if r.name == "fleetkit")  # fmt: skip
    assert "demo" in own.extras


def test_the_top_level_is_tidy():
    """Beside the package, notebooks and tests only the few files everybody expects."""
    visible = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()}
    assert visible - ignored == TOP_LEVEL


def test_versions_agree():
    """The package, the project and the changelog speak of one version."""
    assert PROJECT["version"] == fk.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in changelog
    assert PROJECT["version"] in changelog


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_hold_no_outputs(path: Path):
    """What is stored is what was written, not what one machine answered."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
        assert cell["metadata"] == {}
    assert "widgets" not in notebook["metadata"]


def test_there_are_notebooks():
    """The test above has something to look at."""
    assert "01_tour.ipynb" in [path.name for path in NOTEBOOKS]


def test_the_checks_are_a_program_that_parses():
    """.ci/run can be started as it is."""
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_the_checks_run_every_tool():
    """Format, lint, types, layers, then the tests."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    tools = ["ruff check", "ruff format --check", "mypy", "lint-imports", "-m pytest"]
    places = [script.index(f".venv/bin/{tool}" if tool[0] != "-" else tool) for tool in tools]
    assert places == sorted(places)
    assert "set -euo pipefail" in script
