"""A real kernel: cells that call, cells that await, interrupts, threads, what a notebook shows."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel
from nbclient import NotebookClient

from tests.support.other_process import ROOT
from tests.support.raw_server import Exchange, RawServer, base_agent

BOUND_S = 30.0
TRIES = 3  # the quickest counts: a busy machine is late by itself
PLANT = "pl4nted-kern3l-t0ken"

pytestmark = pytest.mark.filterwarnings(
    # jupyter_client's own, not ours: it sets its sockets up outside of a loop.
    "ignore::DeprecationWarning:jupyter_client",
    "ignore::DeprecationWarning:zmq",
    "ignore::DeprecationWarning:traitlets",
)


async def hang(exchange: Exchange) -> None:
    await exchange.hang()


class Kernel:
    """A kernel and its client."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager, self.client = manager, client

    def start(self, code: str) -> str:
        """Begin to run a cell."""
        # An error must not make the kernel drop the cells that follow.
        return str(self.client.execute(code, stop_on_error=False))

    def end(self, cell: str) -> dict[str, Any]:
        """Wait for a cell's reply."""
        while True:
            reply = self.client.get_shell_msg(timeout=BOUND_S)
            if reply["parent_header"].get("msg_id") == cell:
                content: dict[str, Any] = reply["content"]
                return content

    def printed(self, cell: str) -> str:
        """Wait for the end of a cell and return what it printed and showed."""
        texts = []
        while True:
            message = self.client.get_iopub_msg(timeout=BOUND_S)
            if message["parent_header"].get("msg_id") != cell:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                texts.append(content["text"])
            elif kind in ("execute_result", "display_data"):
                texts.append(json.dumps(content["data"]))
            elif kind == "error":
                texts.append("\n".join(content["traceback"]))
            elif kind == "status" and content["execution_state"] == "idle":
                return "".join(texts)

    def run(self, code: str) -> str:
        """Run a cell that must succeed, and return what it shows."""
        cell = self.start(code)
        shown = self.printed(cell)
        reply = self.end(cell)
        assert reply["status"] == "ok", shown
        return shown


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """One kernel for this module, with a store of its own."""
    home = tmp_path_factory.mktemp("kernel-home")
    patch = pytest.MonkeyPatch()
    patch.setenv("PYTHONPATH", str(ROOT))
    patch.setenv("FLEETKIT_HOME", str(home))
    patch.setenv("PLANTED", PLANT)
    manager, client = start_new_kernel(kernel_name="python3", startup_timeout=60)
    patch.undo()
    kernel = Kernel(manager, client)
    kernel.run("import asyncio, gc, os, threading, fleetkit as fk")
    yield kernel
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    manager.cleanup_resources()


def connect(kernel: Kernel, server: RawServer, **extra: Any) -> None:
    kernel.run(f"fleet = fk.connect({server.agents(**extra)!r})")


def test_cells_call_and_await(kernel: Kernel) -> None:
    """While the kernel's loop runs: called, awaited, gathered, from a thread; one connection."""
    with RawServer(agents=3) as server:
        connect(kernel, server)
        kernel.run("assert set(fleet.accounts()['status']) == {'connected'}")
        kernel.run("assert len(await fleet.aio.accounts(refresh=True)) == 3")
        kernel.run("assert len(await asyncio.gather(*[fleet.aio.positions()] * 1)) == 1")
        kernel.run("await asyncio.to_thread(fleet.accounts, True)")
        kernel.run("t = threading.Thread(target=fleet.accounts, args=(True,)); t.start(); t.join()")
        assert server.seen.connections == 3
        assert "3 of 3" in kernel.run("fleet")
        assert kernel.run("fleet.close()") == ""
        server.wait_until_left()


@pytest.mark.parametrize("cell", ["fleet.accounts()", "await fleet.aio.accounts()"])
def test_interrupting_a_cell(kernel: Kernel, cell: str) -> None:
    """Within half a second the kernel is idle and the agent's socket closed; the fleet works."""
    took_s = []
    for _ in range(TRIES):
        with RawServer(hang, agents=3) as server:
            connect(kernel, server)
            running = kernel.start(cell)
            server.wait_for_requests(3)
            started = time.perf_counter()
            kernel.manager.interrupt_kernel()
            reply = kernel.end(running)
            server.wait_until_left()
            took_s.append(time.perf_counter() - started)
            assert reply["status"] == "error"
            assert reply["ename"] in ("KeyboardInterrupt", "CancelledError")
            server.script = base_agent
            kernel.run("assert set(fleet.accounts()['status']) == {'connected'}")
            kernel.run("assert len(await fleet.aio.accounts(refresh=True)) == 3")
            kernel.run("fleet.close()")
            server.wait_until_left()
    assert min(took_s) < 0.5, took_s


def test_cells_queued_behind_an_interrupted_one_are_answered(kernel: Kernel) -> None:
    """The kernel stays in step with its front end."""
    with RawServer(hang) as server:
        connect(kernel, server)
        first = kernel.start("fleet.accounts()")
        server.wait_for_requests(1)
        kernel.manager.interrupt_kernel()
        assert kernel.end(first)["status"] == "error"
        assert "4" in kernel.run("2 + 2")
        kernel.run("fleet.close()")


def test_rerunning_the_connect_cell(kernel: Kernel) -> None:
    """Ten times, shown each time, so that the kernel's history holds them: nothing leaks."""
    with RawServer(agents=3) as server:
        connect(kernel, server)
        kernel.run(
            "def count():\n"
            "    links = []\n"
            "    for name in os.listdir('/proc/self/fd'):\n"
            "        try:\n"
            "            links.append(os.readlink(f'/proc/self/fd/{name}'))\n"
            "        except OSError:\n"
            "            pass\n"
            "    ours = [link for link in links if 'socket:' in link or 'kernel-home' in link]\n"
            "    return len(ours), threading.active_count()"
        )
        kernel.run("fleet.accounts()")
        connect(kernel, server)  # from the second on, SQLite keeps one handle in reserve
        kernel.run("fleet.accounts()")
        before = kernel.run("print(count())")
        for _ in range(10):
            connect(kernel, server)
            kernel.run("fleet")
            kernel.run("fleet.accounts()")
        assert kernel.run("print(count())") == before
        server.wait(lambda seen: seen.open == 3)
        kernel.run("fleet.close()")
        server.wait_until_left()


def test_nothing_is_printed_but_what_is_asked_for(kernel: Kernel) -> None:
    """A quick call shows no bar; a slow one with `progress=False` shows none either."""

    async def slow(exchange: Exchange) -> None:
        import asyncio

        await asyncio.wait({asyncio.ensure_future(exchange.peer.gone.wait())}, timeout=0.8)
        await base_agent(exchange)

    with RawServer(slow) as server:
        kernel.run(f"fleet = fk.connect({server.agents()!r}, progress=False)")
        assert kernel.run("frame = fleet.accounts()") == ""
        kernel.run(f"fleet = fk.connect({server.agents()!r})")
        assert "reading agents" in kernel.run("frame = fleet.accounts(refresh=True)")
        kernel.run("fleet.close()")


def test_nested_loops_lose_no_cell(kernel: Kernel) -> None:
    """After `allow_nested_asyncio` a cell may call asyncio.run, and queued cells still run."""
    with RawServer() as server:
        connect(kernel, server)
        assert "allowed, by nest_asyncio2" in kernel.run("print(fk.allow_nested_asyncio())")
        cells = [kernel.start("asyncio.run(fleet.aio.accounts(refresh=True))") for _ in range(3)]
        cells.append(kernel.start("len(fleet.accounts(refresh=True))"))
        cells.append(kernel.start("len(await fleet.aio.accounts(refresh=True))"))
        assert [kernel.end(cell)["status"] for cell in cells] == ["ok"] * 5
        assert len(server.requests) == 5
        kernel.run("fleet.close()")
        server.wait_until_left()


def test_a_notebook_shows_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs at DEBUG, verbose tracebacks with all their locals, frames and reprs."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PLANTED", PLANT)

    async def misbehaving(exchange: Exchange) -> None:
        if exchange.request.path == "/accounts":
            await base_agent(exchange)
        else:
            quoted = exchange.request.headers.get("authorization", "")
            await exchange.reply({"detail": f"not with {quoted}"}, status=500)

    with RawServer(misbehaving, h2c=True) as server:
        agents = server.agents(token="env:PLANTED", http2="h2c")
        cells = [
            "%xmode Verbose\nimport logging, fleetkit as fk\n"
            "logging.basicConfig(level=logging.DEBUG)",
            f"fleet = fk.connect({agents!r})",
            "fleet",
            "fleet.accounts()",
            "fleet.agents()",
            "fleet.doctor()",
            "fleet.positions()",
            "await fleet.aio.trades()",
            "fleet.quote(7100001, 'EURUSD')",
            "fleet.reconnect()",
            "fleet._target.config.agents",
            "vars(fleet._target.gateways['a0'].link.http)",
            "%tb",
            "fleet.close()",
        ]
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        NotebookClient(notebook, timeout=60, allow_errors=True).execute()
        assert {r.headers["authorization"] for r in server.requests} == {f"Bearer {PLANT}"}
    text = json.dumps([cell["outputs"] for cell in notebook.cells])
    assert text.count('"output_type": "error"') >= 4, "the failing cells must fail"
    assert "PartialResult" in text
    assert "not with Bearer ***" in text
    assert PLANT not in text
    assert "hpack" not in text
