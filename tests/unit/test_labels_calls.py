"""Reading label files: JSON objects, paths, mappings, and every mistake in them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fleetkit.aio.label_files import read_labels
from fleetkit.errors import LabelError

WANTED = {7100001: "F2", 7100002: ""}
TEXT = '{"7100001": "F2", "7100002": ""}'


def test_labels_come_as_text_path_or_mapping(tmp_path):
    """All of them mean the same."""
    path = tmp_path / "labels.json"
    path.write_text(TEXT, encoding="utf-8")
    series = pd.Series(WANTED).to_dict()
    for source in (TEXT, f"\n {TEXT}", str(path), path, WANTED, json.loads(TEXT), series):
        assert read_labels(source, "phase") == WANTED
    assert read_labels({np.int64(7): "R"}, "vs_group") == {7: "R"}
    assert read_labels({}, "phase") == {}


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("{", "labels: expected a JSON object such as"),
        ("{7: 1}", "labels: expected a JSON object such as"),
        ('{"7": 1}', "labels: the phase of 7 must be text, not 1"),
        ('{"7": null}', "labels: the phase of 7 must be text, not None"),
        ('{"seven": "F1"}', "labels: 'seven' is no account number"),
        ('{"-7": "F1"}', "labels: '-7' is no account number"),
        ('{"7.0": "F1"}', "labels: '7.0' is no account number"),
        ({0: "F1"}, "labels: 0 is no account number"),
        ({None: "F1"}, "labels: None is no account number"),
        ({7: ["F1"]}, r"labels: the phase of 7 must be text, not \['F1'\]"),
        (b"{}", "a path, JSON text or a mapping, not as bytes"),
        (None, "a path, JSON text or a mapping, not as NoneType"),
        (pd.Series({7: "F1"}), "a path, JSON text or a mapping, not as Series"),
        ("nul\0.json", "expected a JSON object such as"),
        ('{"7": "\ud800"}', "expected a JSON object such as"),
        ("missing.json", "missing.json: cannot be read"),
        (Path("missing.json"), "missing.json: cannot be read"),
        ('{"7": ' + "[" * 100_000, "labels: expected a JSON object such as"),
    ],
)
def test_a_mistake_names_file_and_key(source, sentence):
    """Nothing is set, and nothing else than a LabelError comes out."""
    with pytest.raises(LabelError, match=sentence):
        read_labels(source, "phase")


@pytest.mark.parametrize("content", ["[]", "1", "", "\x00", '{"7": "F1"} x'])
def test_a_file_that_is_no_object_is_named(tmp_path, content):
    """With its path."""
    path = tmp_path / "labels.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(LabelError, match=r"labels\.json: expected a JSON object"):
        read_labels(path, "phase")


def test_only_phase_and_group_are_labels():
    """The sentence names both."""
    with pytest.raises(LabelError, match="'phase' or 'vs_group', not 'balance'"):
        read_labels({}, "balance")
