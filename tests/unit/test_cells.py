"""Which cell is calling, without a kernel: what counts, and when there is none."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from contextvars import ContextVar
from types import FunctionType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetkit.cells import CallCounter, CellCall, current_cell, replay_key


def message(number: str = "m1", cell: object = "c1", kind: str = "execute_request") -> Any:
    return {"header": {"msg_id": number, "msg_type": kind}, "metadata": {"cellId": cell}}


def run_code(call):
    return call()


# What IPython's own function looks like from the inside: its name, and its module's.
in_a_cell = FunctionType(run_code.__code__, {"__name__": "IPython.core.interactiveshell"})


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A shell as ipykernel 6 has it: one header for whoever asks."""
    shell = SimpleNamespace(parent_header=message())
    interactive = SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", interactive)  # type: ignore[arg-type]  # stand-in
    return shell


def test_outside_of_a_notebook_there_is_no_cell(monkeypatch) -> None:
    """In a script, and where IPython is imported but runs nothing."""
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert current_cell() is None
    interactive = SimpleNamespace(get_ipython=lambda: None)
    monkeypatch.setitem(sys.modules, "IPython", interactive)  # type: ignore[arg-type]  # stand-in
    assert in_a_cell(current_cell) is None


def test_one_header_for_all_counts_only_inside_of_the_cell(shell) -> None:
    """Between two cells the header of the last one is still there, and means nothing."""
    shell.parent_header = message("six")
    assert current_cell() is None
    assert in_a_cell(current_cell) == CellCall("c1", "six", 0)
    assert in_a_cell(current_cell) == CellCall("c1", "six", 1)
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(current_cell()))
    in_a_cell(lambda: (thread.start(), thread.join()))
    assert answers == [None]


def test_a_header_of_its_own_context_counts_in_the_tasks_of_the_main_thread(shell) -> None:
    """ipykernel 7: the context is sure; a thread, even with its creator's context, is not."""
    shell._parent_header = ContextVar("parent_header")
    assert current_cell() is None
    shell._parent_header.set(message("seven"))
    assert current_cell() == CellCall("c1", "seven", 0)
    from contextvars import copy_context

    answers: list[object] = []
    context = copy_context()
    thread = threading.Thread(target=lambda: answers.append(context.run(current_cell)))
    thread.start()
    thread.join()
    assert answers == [None]


@pytest.mark.parametrize(
    "header",
    [
        {},
        None,
        "text",
        {"header": None, "metadata": None},
        message(cell=None),
        message(cell=""),
        message(cell=5),
        message(number=""),
        message(kind="comm_msg"),
        {"header": {"msg_id": "m", "msg_type": "execute_request"}},
    ],
)
def test_anything_else_is_no_cell(shell, header) -> None:
    """No id, another kind of message, a front end that sends something odd."""
    shell.parent_header = header
    assert in_a_cell(current_cell) is None


def test_calls_are_counted_for_each_execution_and_forgotten_in_the_end() -> None:
    """The least recently counted execution goes first; memory stays bounded."""
    counter = CallCounter(kept=2)
    assert [counter.count("a"), counter.count("b"), counter.count("a")] == [0, 0, 1]
    assert counter.count("c") == 0  # b is forgotten
    assert [counter.count("a"), counter.count("b")] == [2, 0]
    assert repr(counter) == "<CallCounter 2 executions>"


def test_threads_share_the_count() -> None:
    """No ordinal is given twice, and none is left out."""
    counter, given_out = CallCounter(), Counter[int]()
    lock = threading.Lock()

    def work() -> None:
        mine = [counter.count("m") for _ in range(500)]
        with lock:
            given_out.update(mine)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert given_out == Counter(range(2000))


parts = st.tuples(st.text(max_size=4), st.integers(0, 20), st.binary(max_size=4))


@given(first=parts, second=parts)
def test_a_key_stands_for_exactly_one_call(first, second) -> None:
    """Equal where all three are, and nowhere else, whatever the id contains."""
    assert (replay_key(*first) == replay_key(*second)) == (first == second)


def test_a_key_is_the_same_tomorrow() -> None:
    """It is on disk: another version of fleetkit must find it."""
    key = replay_key("cell", 1, b"intent")
    assert key == replay_key(CellCall("cell", "m", 1), 1, b"intent")
    assert key == "87c7b50c7f502d14542d5dea0798f3b40df193162ff25384b058145d4bd0e7a4"
