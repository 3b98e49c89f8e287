"""The widget of a sheet: what goes out, what is kept in its state, what it takes for a message."""

from __future__ import annotations

import re

import pytest

from fleetkit.panels.sheet import STATIC, Sheet, one_module
from fleetkit.panels.sheet_model import Column, Rows, Table
from tests.support.recorded_comms import RecordedFront

COLUMNS = (Column("account", "account", "id"), Column("pnl", "pnl", "money"))
BLOCKS = (Table("rows", "Rows", COLUMNS),)


def shown(pnl):
    return {"rows": Rows({7100001: (7100001, pnl)})}


@pytest.fixture
def front(monkeypatch):
    return RecordedFront.instead(monkeypatch)


def saved_as_sent(front, sheet):
    return [
        data["state"]["saved"]
        for comm_id, kind, data, _ in front.messages
        if kind == "comm_msg" and comm_id == sheet.model_id and "saved" in data.get("state", {})
    ]


def test_one_message_for_each_change_and_none_without(front):
    """Whole at first, then what changed, numbered without a gap."""
    sheet = Sheet(BLOCKS, print)
    assert sheet.show(shown(1.0), 1.0) > 0
    assert sheet.show(shown(1.0), 2.0) == 0
    assert sheet.show(shown(2.0), 3.0) > 0
    sheet.show_all(shown(2.0), 4.0)
    kinds = [(message["kind"], message["version"]) for message in front.custom(sheet)]
    assert kinds == [("full", 1), ("patch", 2), ("full", 3)]


def test_nothing_shown_is_in_the_state(front):
    """What a notebook saves has the structure only."""
    sheet = Sheet(BLOCKS, print)
    sheet.show(shown(1.0), 1.0)
    assert sheet.get_state()["saved"] is None
    assert "7100001" not in str([data.get("state") for _, _, data, _ in front.messages])


def test_kept_state_is_everything_but_not_with_every_tick(front):
    """Asked for, it is what is shown now; sent unasked every ten seconds at most."""
    sheet = Sheet(BLOCKS, print, save_state=True)
    for tick in range(81):
        sheet.show(shown(float(tick)), 100.0 + tick / 4)
    sent = saved_as_sent(front, sheet)
    assert [message["blocks"]["rows"]["rows"][0][1] for message in sent] == [0.0, 40.0, 80.0]
    sheet.show(shown(81.0), 120.25)
    assert sheet.get_state()["saved"]["blocks"]["rows"]["rows"] == [[7100001, 81.0]]
    assert sheet.get_state()["saved"]["version"] == sheet.version


@pytest.mark.parametrize(
    "message",
    [
        None,
        "hello",
        {"view": "a"},
        {"kind": "sell", "view": "a"},
        {"kind": "hello", "view": 7},
        {"kind": "hello", "view": "a" * 81},
        {"kind": "visible", "view": "a", "visible": "yes"},
        {"kind": "select", "block": "rows", "keys": [True]},
        {"kind": "select", "block": "rows", "keys": [{}]},
        {"kind": "act", "block": "rows", "key": 1.5},
    ],
)
def test_what_is_no_message_of_ours_is_not_passed_on(front, message):
    """A page is no more trusted than an agent."""
    heard = []
    sheet = Sheet(BLOCKS, heard.append)
    front.send(sheet, message)
    assert heard == []


def test_messages_are_passed_on_as_they_are(front):
    """With their kind, and nothing else that came along."""
    heard = []
    sheet = Sheet(BLOCKS, heard.append)
    front.send(sheet, {"kind": "select", "block": "rows", "keys": [7100001, "a"]})
    front.send(sheet, {"kind": "hello", "view": "v", "extra": 1})
    assert heard == [
        {"kind": "select", "block": "rows", "keys": [7100001, "a"]},
        {"kind": "hello", "view": "v"},
    ]


def test_the_parts_of_the_module_are_one_module():
    """Every part is in it once; what they import of each other is gone, the default stays."""
    module = one_module(STATIC / "sheet")
    assert not re.search(r"^\s*import\b", module, flags=re.M)
    assert re.findall(r"^export .*", module, flags=re.M) == ["export default () => {"]
    names = re.findall(r"^(?:const|let|class|function) (\w+)", module, flags=re.M)
    assert len(names) == len(set(names))
    for file in (STATIC / "sheet").glob("*.js"):
        text = file.read_text(encoding="utf-8")
        assert text.splitlines()[0] in module, file.name
        assert len(text.splitlines()) < 400, file.name
