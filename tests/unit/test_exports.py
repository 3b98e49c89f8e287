"""The public face: a curated list of names, cheap to import, each of them documented."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from enum import Enum
from pathlib import Path

import pytest

import fleetkit

SOURCE = Path(fleetkit.__file__)
NEVER_ON_IMPORT = (
    "ipywidgets",
    "IPython",
    "matplotlib",
    "plotly",
    "anywidget",
    "jinja2",
    "uvicorn",
)


def type_checking_imports():
    """name → module, as type checkers see it."""
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_the_list_of_names_is_sorted_and_has_no_name_twice():
    """Constants first, then capitals, as the linter does."""
    in_order = sorted(set(fleetkit.__all__), key=lambda name: (not name.isupper(), name))
    assert fleetkit.__all__ == in_order
    assert dir(fleetkit) == sorted(fleetkit.__all__)


def test_every_name_can_be_had():
    """One by one, and all with a star."""
    for name in fleetkit.__all__:
        assert getattr(fleetkit, name) is not None
    everything = {}
    exec("from fleetkit import *", everything)  # a star import is not allowed in a function
    assert set(fleetkit.__all__) <= set(everything)


def test_type_checkers_see_the_same_names_in_the_same_places():
    """The lazy table and the imports for type checkers cannot drift."""
    seen = type_checking_imports()
    assert set(seen) == set(fleetkit.__all__) - {"__version__"}
    for name, module in seen.items():
        value = getattr(fleetkit, name)
        if inspect.ismodule(value):
            assert value.__name__ == f"{module}.{name}"
        else:
            assert value is getattr(__import__(module, fromlist=[name]), name)


def test_the_lazy_table_holds_each_name_once():
    """And only public ones."""
    table = [name for names in fleetkit._HOMES.values() for name in names]
    assert sorted(table) == sorted(set(table))
    assert set(table) <= set(fleetkit.__all__)


def test_an_unknown_name_is_an_attribute_error():
    """As of any module."""
    with pytest.raises(AttributeError, match="'fleetkit' has no attribute 'acounts'"):
        _ = fleetkit.acounts


def imported_by(code):
    """The modules that are there after some code, in a new interpreter."""
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_importing_imports_no_widget_and_no_plotting_library():
    """Neither `import fleetkit` nor `fleetkit.connect` costs a notebook's furniture."""
    modules = imported_by("import fleetkit; fleetkit.connect")
    assert "fleetkit.fleet" in modules
    tops = {module.partition(".")[0] for module in modules}
    assert not tops & set(NEVER_ON_IMPORT)


def test_the_bare_import_costs_nothing_at_all():
    """Names are imported when they are first used."""
    modules = imported_by("import fleetkit")
    assert not {"pandas", "httpx", "numpy", "asyncio"} & modules


def public_members(kind):
    return {
        name: member
        for name, member in vars(kind).items()
        if not name.startswith("_") and (callable(member) or isinstance(member, property))
    }


@pytest.mark.parametrize("name", fleetkit.__all__)
def test_every_public_name_says_what_it_is(name):
    """A docstring on it, and on each of its own public methods and properties."""
    value = getattr(fleetkit, name)
    if name == "__version__":
        return
    assert inspect.getdoc(value)
    if inspect.isclass(value) and not issubclass(value, Enum):
        for member_name, member in public_members(value).items():
            assert inspect.getdoc(member), f"{name}.{member_name}"


def test_both_faces_have_the_same_calls():
    """`fleet.x(...)` and `await fleet.aio.x(...)`, with one signature."""
    fleet, aio = public_members(fleetkit.Fleet), public_members(fleetkit.AioFleet)
    assert set(fleet) - {"aio", "panel"} == set(aio)  # a widget is made, not awaited
    for name in set(aio) - {"cache"}:
        plain, awaited = (inspect.signature(face[name]) for face in (fleet, aio))
        assert plain.parameters == awaited.parameters, name
    for call in fleet.values():
        kinds = [] if isinstance(call, property) else inspect.signature(call).parameters.values()
        assert all(p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in kinds)
