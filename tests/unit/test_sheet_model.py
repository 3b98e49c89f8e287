"""Patches of a sheet: applied to what was there they give what is there now, and they are small."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetkit.panels.sheet_model import (
    Column,
    Drawing,
    Line,
    Note,
    Picture,
    Rows,
    Segment,
    Table,
    first_message,
    in_slots,
    next_message,
)

COLUMNS = (
    Column("account", "account", "id"),
    Column("firm", "firm"),
    Column("pnl", "pnl", "money"),
    Column("price", "price", "price"),
    Column("age", "age", "age"),
)
TABLE = Table("rows", "Rows", COLUMNS)
BLOCKS = (Note("problem"), Line("line", "Line"), TABLE, Picture("picture", "Picture"))

figures = st.one_of(st.none(), st.floats(-1e6, 1e6), st.just(math.nan))
values = st.tuples(
    st.integers(1, 9), st.sampled_from(["a", "b", None]), figures, figures, st.floats(0, 100)
)
tables = st.builds(
    Rows,
    st.dictionaries(st.integers(1, 12), values, max_size=8),
    st.frozensets(st.integers(1, 12), max_size=4),
)
lines = st.lists(
    st.builds(Segment, st.sampled_from(["x", "y"]), since=st.none() | st.floats(0, 9)), max_size=3
).map(tuple)
contents = st.fixed_dictionaries(
    {"problem": st.none() | st.just("no"), "line": lines, "rows": tables},
    optional={"picture": st.builds(Drawing, st.just("<svg/>"), st.sampled_from(["up", "down"]))},
)


class Browser:
    """What the module does with messages, line by line."""

    def __init__(self, message: dict[str, Any]) -> None:
        message = json.loads(json.dumps(message, allow_nan=False))
        self.blocks = message["blocks"]
        self.version = message["version"]

    def apply(self, message: dict[str, Any]) -> None:
        message = json.loads(json.dumps(message, allow_nan=False))
        assert message["base"] == self.version
        self.version = message["version"]
        for name, content in message["blocks"].items():
            if name == "rows" and "keys" not in content:
                self._patch(self.blocks[name], content)
            else:
                self.blocks[name] = content

    @staticmethod
    def _patch(table: dict[str, Any], patch: dict[str, Any]) -> None:
        gone = set(patch.get("remove", ()))
        kept = [slot for slot, key in enumerate(table["keys"]) if key not in gone]
        table["keys"] = [table["keys"][slot] for slot in kept]
        table["rows"] = [table["rows"][slot] for slot in kept]
        for key, row in patch.get("add", ()):
            table["keys"].append(key)
            table["rows"].append(row)
        for group in patch.get("set", ()):
            for place, column in enumerate(group["c"]):
                for slot, value in zip(group["s"], group["v"][place], strict=True):
                    table["rows"][slot][column] = value
        table["selected"] = patch.get("selected", table["selected"])


def close_to(found: Any, wanted: Any) -> bool:
    """Equal, but for moments that are within what is not worth sending."""
    if isinstance(found, float) and isinstance(wanted, float):
        return abs(found - wanted) <= 0.2 + 1e-9
    if isinstance(found, list) and isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(close_to, found, wanted))
    if isinstance(found, dict) and isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(
            close_to(found[name], wanted[name]) for name in found
        )
    return bool(found == wanted)


@given(st.lists(contents, min_size=2, max_size=6))
def test_patches_give_what_a_full_message_would(shown):
    """Whatever changes, comes and goes: the browser ends with what a new view would get."""
    current = shown[0]
    browser = Browser(first_message(1, 0.0, current, BLOCKS))
    for after in shown[1:]:
        message = next_message(browser.version + 1, 1.0, current, after, BLOCKS)
        if message is not None:
            browser.apply(message)
            current = in_slots(current, after)
    whole = Browser(first_message(9, 1.0, in_slots(current, shown[-1]), BLOCKS))
    assert close_to(browser.blocks, whole.blocks)


@given(contents)
def test_nothing_new_sends_nothing(shown):
    """The same contents are no message."""
    assert next_message(2, 1.0, shown, shown, BLOCKS) is None


def test_only_changed_cells_are_sent_column_by_column():
    """Rows that changed in the same columns share one group."""
    before = {key: (key, "firm", 1.0, 1.1, 5.0) for key in range(4)}
    after = before | {key: (key, "firm", 2.0 + key, 1.1, 5.0) for key in (1, 3)}
    message = next_message(2, 7.0, {"rows": Rows(before)}, {"rows": Rows(after)}, BLOCKS)
    assert message == {
        "kind": "patch",
        "version": 2,
        "base": 1,
        "now": 7.0,
        "blocks": {"rows": {"set": [{"c": [2], "s": [1, 3], "v": [[3.0, 5.0]]}]}},
    }


def test_what_nobody_would_see_is_not_sent():
    """Less than a digit of money, a moment that moved by noise."""
    before = {1: (1, "firm", 1.001, 1.1, 5.0)}
    after = {1: (1, "firm", 1.0014, 1.1, 5.04)}
    assert next_message(2, 7.0, {"rows": Rows(before)}, {"rows": Rows(after)}, BLOCKS) is None


def test_what_json_does_not_know_is_unknown():
    """NaN and infinities become null."""
    rows = Rows({1: (1, None, math.nan, math.inf, 5.0)})
    message = first_message(1, 0.0, {"rows": rows}, BLOCKS)
    assert message["blocks"]["rows"]["rows"] == [[1, None, None, None, 5.0]]


@pytest.mark.parametrize(
    ("count", "most_kb", "first_kb"), [(69, 2.3, 28), (1000, 17, 182), (5000, 82, 847)]
)
def test_a_fleet_fits_on_the_wire(count, most_kb, first_kb):
    """15 columns, every fifth row with six new figures: below what the prototype needed."""
    chance = random.Random(7)
    columns = (
        Column("account", "account", "id"),
        Column("status", "status", "word"),
        Column("source", "source", "word"),
        Column("age", "age", "age"),
        Column("firm", "firm"),
        Column("phase", "phase"),
        *(Column(f"figure{n}", f"figure {n}", "money") for n in range(8)),
        Column("why", "why"),
    )
    block = (Table("rows", "Rows", columns),)

    def row(key, age):
        figures = [round(chance.uniform(-9e4, 9e4), 2) for _ in range(8)]
        return (key, "connected", "live", age, f"Firm {key % 17}", f"F{key % 5}", *figures, None)

    before = {7100000 + n: row(7100000 + n, 1.5) for n in range(count)}
    after = dict(before)
    for key in chance.sample(list(before), count // 5):
        fresh = row(key, 9.5)
        after[key] = (*before[key][:3], 9.5, *before[key][4:6], *fresh[6:11], *before[key][11:])
    patch = next_message(2, 1.0, {"rows": Rows(before)}, {"rows": Rows(after)}, block)
    assert len(msgspec.json.encode(patch)) <= most_kb * 1000
    assert (
        len(msgspec.json.encode(first_message(1, 0.0, {"rows": Rows(before)}, block)))
        <= first_kb * 1000
    )
