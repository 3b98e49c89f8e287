"""Labels: phases, groups of at most two, and what may be written into them."""

from __future__ import annotations

import sqlite3
import string
import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetkit.errors import LabelError
from fleetkit.model import Label
from fleetkit.store import all_labels, load_labels, set_phase, set_vs_group
from fleetkit.store.schema import migrate


def empty_store():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    return connection


@pytest.fixture
def store():
    connection = empty_store()
    yield connection
    connection.close()


def test_an_account_nobody_labelled_has_no_row(store):
    """All others have the default label."""
    assert all_labels(store) == {}


def test_phase_and_group_are_set_apart(store):
    """Setting one leaves the other as it was."""
    set_phase(store, 7, "R")
    set_vs_group(store, 7, "duel")
    set_phase(store, 7, "WIN")
    set_vs_group(store, 8, "duel")
    assert all_labels(store) == {7: Label("WIN", "duel"), 8: Label("F1", "duel")}


def test_the_empty_string_clears(store):
    """A phase goes back to its default, a group is left."""
    set_phase(store, 7, "R")
    set_vs_group(store, 7, "duel")
    set_phase(store, 7, "  ")
    set_vs_group(store, 7, "")
    assert all_labels(store) == {7: Label("F1", "")}


def test_a_third_account_is_refused_by_name(store):
    """The error names the two that share the group, and says what to do."""
    set_vs_group(store, 1, "duel")
    set_vs_group(store, 2, "duel")
    with pytest.raises(LabelError, match=r"pairs accounts 1 and 2, so 3 cannot join.*Clear"):
        set_vs_group(store, 3, "duel")
    assert 3 not in all_labels(store)
    set_vs_group(store, 1, "duel")  # it is there already
    set_vs_group(store, 1, "")
    set_vs_group(store, 3, "duel")
    assert {account for account, label in all_labels(store).items() if label.vs_group} == {2, 3}


def test_loading_labels_is_all_or_nothing(store):
    """One mistake, and nothing has changed."""
    load_labels(store, "phase", {1: "F1", 2: "F2", 3: "Q"})
    before = all_labels(store)
    for bad in ({1: "R", 2: "a\nb"}, {1: "R", 0: "R"}, {1: "R", 2: "x" * 65}, {1: "R", 2: None}):
        with pytest.raises(LabelError):
            load_labels(store, "phase", bad)
    with pytest.raises(LabelError, match="would hold accounts 1, 2 and 3"):
        load_labels(store, "vs_group", {1: "g", 2: "g", 3: "g"})
    with pytest.raises(LabelError, match="no label 'group'"):
        load_labels(store, "group", {1: "g"})  # type: ignore[arg-type]  # that is the point
    assert all_labels(store) == before


def test_loading_may_swap_groups(store):
    """Only the end counts, not the order of the mapping."""
    load_labels(store, "vs_group", {1: "a", 2: "a", 3: "b", 4: "b"})
    load_labels(store, "vs_group", {1: "b", 3: "a"})
    groups = {account: label.vs_group for account, label in all_labels(store).items()}
    assert groups == {1: "b", 2: "a", 3: "a", 4: "b"}


@pytest.mark.parametrize(
    "text", ["a\nb", "a\x00b", "a\tb", "a\x85b", "a\u200bb", "a\u202eb", "a\u2028b", "a\ud800b"]
)
def test_characters_that_do_not_show_are_refused(store, text):
    """Two groups that look the same must be the same."""
    for write in (set_phase, set_vs_group):
        with pytest.raises(LabelError, match="control or invisible"):
            write(store, 7, text)
    assert all_labels(store) == {}


@pytest.mark.parametrize("account", [0, -1, 2**63, True, "7", 7.0, None])
def test_what_is_no_account_is_refused(store, account):
    """Zero is what a disconnected terminal says, not an account."""
    with pytest.raises(LabelError):
        set_phase(store, account, "R")


def test_accounts_may_come_from_a_frame(store):
    """The index of a frame holds NumPy's integers."""
    set_phase(store, np.int64(7), "R")
    assert all_labels(store) == {7: Label("R")}


def test_text_is_one_form_for_one_look(store):
    """Spaces around are dropped; composed and decomposed characters are one."""
    set_vs_group(store, 1, " caf\u00e9 ")
    set_vs_group(store, 2, "cafe\u0301")
    with pytest.raises(LabelError):
        set_vs_group(store, 3, "caf\u00e9")


GROUPS = st.sampled_from(["", "a", "b", " b ", "c"])
ACCOUNTS = st.integers(min_value=1, max_value=6)


@given(
    st.lists(
        st.one_of(
            st.tuples(ACCOUNTS, GROUPS),
            st.dictionaries(ACCOUNTS, GROUPS, min_size=1),
        )
    )
)
def test_a_group_never_holds_more_than_two(steps):
    """Over any sequence of writes: refused means unchanged, accepted means as asked."""
    connection = empty_store()
    expected: dict[int, str] = {}
    for step in steps:
        changes = dict([step]) if isinstance(step, tuple) else step
        wanted = expected | {account: group.strip() for account, group in changes.items()}
        crowded = max(Counter(filter(None, wanted.values())).values(), default=0) > 2
        try:
            if isinstance(step, tuple):
                set_vs_group(connection, *step)
            else:
                load_labels(connection, "vs_group", step)
        except LabelError:
            assert crowded
        else:
            assert not crowded
            expected = wanted
        assert {a: label.vs_group for a, label in all_labels(connection).items()} == expected
    connection.close()


@given(st.text(max_size=80))
def test_a_phase_is_kept_as_typed_or_refused(text):
    """Nothing is silently cut or changed but surrounding space and composition."""
    connection = empty_store()
    try:
        set_phase(connection, 7, text)
    except LabelError:
        assert all_labels(connection) == {}
        plain = set(string.ascii_letters + string.digits + " ")
        assert not set(text) <= plain or len(text.strip()) > 64
    else:
        phase = unicodedata.normalize("NFC", text.strip()) or "F1"
        assert all_labels(connection) == {7: Label(phase)}
    connection.close()
