"""A real kernel and a front end that gives its cells ids: which cell is calling, and which not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

from tests.support.other_process import ROOT

BOUND_S = 30.0

pytestmark = pytest.mark.filterwarnings(
    # jupyter_client's own, not ours: it sets its sockets up outside of a loop.
    "ignore::DeprecationWarning:jupyter_client",
    "ignore::DeprecationWarning:zmq",
    "ignore::DeprecationWarning:traitlets",
)


class FrontEnd:
    """Runs cells as JupyterLab does: with the id of the cell in the message's metadata."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self.client = client

    def send(self, kind: str, content: dict[str, Any], metadata: dict[str, Any]) -> str:
        message = self.client.session.msg(kind, content, metadata=metadata)
        self.client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def printed(self, message_id: str) -> str:
        """Everything that a message made the kernel print, until it is idle again."""
        texts = []
        while True:
            message = self.client.get_iopub_msg(timeout=BOUND_S)
            if message["parent_header"].get("msg_id") != message_id:
                continue
            content = message["content"]
            if message["msg_type"] == "stream":
                texts.append(content["text"])
            elif message["msg_type"] == "error":
                texts.append("\n".join(content["traceback"]))
            elif content.get("execution_state") == "idle":
                return "".join(texts).strip()

    def run(self, code: str, cell: str | None = "c1") -> str:
        """Run a cell and return what it printed."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        return self.printed(
            self.send("execute_request", content, {} if cell is None else {"cellId": cell})
        )


@pytest.fixture(scope="module")
def front_end() -> Iterator[FrontEnd]:
    """One kernel for this module."""
    patch = pytest.MonkeyPatch()
    patch.setenv("PYTHONPATH", str(ROOT))
    manager, client = start_new_kernel(kernel_name="python3", startup_timeout=60)
    patch.undo()
    front_end = FrontEnd(client)
    front_end.run(
        "import asyncio, threading\n"
        "from fleetkit.cells import current_cell\n"
        "def call():\n"
        "    cell = current_cell()\n"
        "    return None if cell is None else (cell.cell_id, cell.ordinal)\n"
        "async def acall():\n"
        "    return call()"
    )
    yield front_end
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    manager.cleanup_resources()


def test_a_cell_s_calls_are_counted_and_begin_again_when_it_is_run_again(front_end) -> None:
    """The same cell, the same ordinals; another cell has its own."""
    code = "print(call(), call(), (lambda: call())())"
    expected = "('c1', 0) ('c1', 1) ('c1', 2)"
    assert [front_end.run(code), front_end.run(code)] == [expected, expected]
    assert front_end.run("print(call())", "c2") == "('c2', 0)"


def test_two_executions_of_a_cell_are_told_apart(front_end) -> None:
    """By the id of the message."""
    seen = {front_end.run("print(current_cell().message_id)") for _ in range(2)}
    assert len(seen) == 2


def test_without_an_id_there_is_no_cell(front_end) -> None:
    """A console, nbclient, an older front end."""
    assert front_end.run("print(call())", None) == "None"


def test_awaited_calls_and_tasks_are_their_cell_s(front_end) -> None:
    """Awaited, gathered, in the middle of a loop, through magics."""
    assert front_end.run("print(await acall(), call())") == "('c1', 0) ('c1', 1)"
    gathered = front_end.run("print(await asyncio.gather(acall(), acall()))")
    assert gathered == "[('c1', 0), ('c1', 1)]"
    assert front_end.run("%%capture shown\nprint(call())") == ""
    assert front_end.run("print(shown.stdout)", "c2") == "('c1', 0)"


def test_a_thread_has_no_cell(front_end) -> None:
    """Neither one of its own nor one that was given the cell's context."""
    code = (
        "found = []\n"
        "thread = threading.Thread(target=lambda: found.append(call()))\n"
        "thread.start(); thread.join()\n"
        "found.append(await asyncio.to_thread(call))\n"
        "print(found, call())"
    )
    assert front_end.run(code) == "[None, None] ('c1', 0)"


def test_a_task_that_outlives_its_cell_is_never_another_cell_s(front_end) -> None:
    """It runs on while the next cell does."""
    front_end.run(
        "late, go = [], asyncio.Event()\n"
        "async def wait():\n"
        "    await go.wait()\n"
        "    late.append(call())\n"
        "task = asyncio.ensure_future(wait())",
        "first",
    )
    shown = front_end.run("go.set(); await task; print(late, call())", "second")
    assert shown == "[('first', 0)] ('second', 0)"


def test_a_callback_of_a_widget_has_no_cell(front_end) -> None:
    """A message from a click is no execution, whichever cell made the button."""
    front_end.run(
        "from comm import get_comm_manager\n"
        "clicked = []\n"
        "def opened(comm, message):\n"
        "    clicked.append(call())\n"
        "    comm.on_msg(lambda message: clicked.append(call()))\n"
        "get_comm_manager().register_target('button', opened)"
    )
    comm = {"comm_id": "b1", "target_name": "button", "data": {}}
    front_end.printed(front_end.send("comm_open", comm, {"cellId": "c1"}))
    front_end.printed(front_end.send("comm_msg", {"comm_id": "b1", "data": {}}, {"cellId": "c1"}))
    assert front_end.run("print(clicked)") == "[None, None]"
