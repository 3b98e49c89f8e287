"""JupyterLab, Notebook 7 and Voila as an analyst starts them, on loopback, with nothing of the
analyst's own configuration.

The trap: the page says "idle" before there is a kernel, and a run-all sent then never runs.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "for-tests-only"
STARTING_S = 60.0
READY = """() => {
  const widget = window.jupyterapp?.shell.currentWidget;
  const kernel = widget?.sessionContext?.session?.kernel;
  return kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
}"""
PRIVATE = (
    "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR",
    "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR", "FLEETKIT_HOME",
)  # fmt: skip


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def write_notebook(path: Path, cells: Sequence[str]) -> Path:
    """Make a notebook of code cells."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in cells],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "voila": {"template": "fleetkit"},
        },
    )
    nbformat.write(notebook, path)
    return path


class Server:
    """A server of notebooks in a process group of its own."""

    def __init__(self, home: Path, arguments: Sequence[str], port: int, notebooks: Path) -> None:
        self.port = port
        self.notebooks = notebooks
        environment = dict(os.environ) | {"PYTHONPATH": str(ROOT)}
        for name in PRIVATE:
            folder = home / name.lower()
            folder.mkdir(parents=True, exist_ok=True)
            environment[name] = str(folder)
        quiet = home / "jupyterlab_settings_dir/@jupyterlab/apputils-extension"
        quiet.mkdir(parents=True, exist_ok=True)
        settings = {"fetchNews": "false", "checkForUpdates": False}
        (quiet / "notification.jupyterlab-settings").write_text(json.dumps(settings))
        self._log = (home / "server.log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._wait(home / "server.log")

    def _wait(self, log: Path) -> None:
        for _ in range(int(STARTING_S / 0.1)):
            if self._process.poll() is not None:
                raise AssertionError(f"the server ended: {log.read_text()[-2000:]}")
            if self._answers():
                return
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0.1)
        raise AssertionError(f"the server did not start: {log.read_text()[-2000:]}")

    def _answers(self) -> bool:
        # To connect is not enough: a port of loopback that nobody listens on can meet itself.
        asked = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            asked.request("GET", "/robots.txt")
            asked.getresponse()
        except (OSError, http.client.HTTPException):
            return False
        else:
            return True
        finally:
            asked.close()

    def stop(self) -> None:
        """End it and every kernel it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait(10)
        self._log.close()

    def write(self, name: str, cells: Sequence[str]) -> Path:
        """Make a notebook of code cells where the server looks for it."""
        return write_notebook(self.notebooks / name, cells)


class Lab(Server):
    """JupyterLab 4, or Notebook 7, which is made of it."""

    def __init__(self, home: Path, module: str = "jupyterlab") -> None:
        port, notebooks = free_port(), home / "notebooks"
        notebooks.mkdir(parents=True)
        self.is_lab = module == "jupyterlab"
        app = "LabApp" if self.is_lab else "JupyterNotebookApp"
        arguments = [
            module,
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={port}",
            "--ServerApp.port_retries=0",
            "--ServerApp.open_browser=False",
            "--ServerApp.allow_root=True",
            f"--IdentityProvider.token={TOKEN}",
            f"--{app}.expose_app_in_browser=True",
            f"--ServerApp.root_dir={notebooks}",
        ]
        super().__init__(home, arguments, port, notebooks)

    def address(self, name: str) -> str:
        """Where a notebook is opened, as somebody who may."""
        folder = "lab/tree" if self.is_lab else "notebooks"
        return f"http://127.0.0.1:{self.port}/{folder}/{name}?token={TOKEN}&reset"

    def open(self, page: Any, name: str) -> NotebookPage:
        """Open a notebook and wait for its kernel."""
        page.goto(self.address(name))
        opened = NotebookPage(page, self.notebooks / name)
        opened.wait_ready()
        return opened


class NotebookPage:
    """A notebook that is open in a page."""

    def __init__(self, page: Any, path: Path) -> None:
        self.page = page
        self.path = path

    def wait_ready(self) -> None:
        """Wait until its kernel is there and idle."""
        self.page.wait_for_function(READY, timeout=60_000)

    def command(self, name: str) -> None:
        """Execute a command of the application; some of them never answer."""
        self.page.evaluate(
            """name => Promise.race([
                window.jupyterapp.commands.execute(name),
                new Promise(done => setTimeout(done, 1000)),
            ])""",
            name,
        )

    def activate(self, cell: int) -> None:
        """Make a cell the active one, in command mode."""
        self.page.evaluate(
            """cell => {
                const notebook = window.jupyterapp.shell.currentWidget.content;
                notebook.activeCellIndex = cell;
                notebook.mode = 'command';
            }""",
            cell,
        )

    def run(self, cell: int) -> None:
        """Run one cell; does not wait for its end."""
        self.activate(cell)
        self.command("notebook:run-cell")

    def run_all(self) -> None:
        """Run all cells; does not wait for their end."""
        self.command("notebook:run-all-cells")

    def run_to_its_end(self, cell: int) -> str:
        """Run one cell, wait for it, and return what it printed."""
        self.run(cell)
        self.wait_ready()
        return self.printed(cell)

    def shut_down(self) -> None:
        """End its kernel; the page stays. Where the page is closed, nothing can be asked."""
        if not self.page.is_closed():
            self.command("kernelmenu:shutdown")

    def printed(self, cell: int) -> str:
        """What the outputs of a cell say."""
        return str(self.page.evaluate(
            """cell => {
                const cells = window.jupyterapp.shell.currentWidget.content.widgets;
                return cells[cell].outputArea.node.innerText;
            }""",
            cell,
        ))  # fmt: skip

    def restart(self) -> None:
        """Restart the kernel, as the menu does, without its question."""
        self.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
        )
        self.wait_ready()

    def cells(self) -> int:
        """How many cells there are."""
        return int(
            self.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets.length")
        )

    def save(self) -> dict[str, Any]:
        """Save the notebook; what is in its file then."""
        before = self.path.stat().st_mtime_ns
        self.command("docmanager:save")
        for _ in range(100):
            if self.path.stat().st_mtime_ns != before:
                break
            self.page.wait_for_timeout(50)
        saved: dict[str, Any] = json.loads(self.path.read_text())
        return saved


class Voila(Server):
    """Voila over one notebook."""

    def __init__(self, home: Path, notebook: Path) -> None:
        port = free_port()
        home.mkdir(parents=True, exist_ok=True)
        arguments = [
            "voila", str(notebook), f"--port={port}", "--Voila.ip=127.0.0.1", "--no-browser",
        ]  # fmt: skip
        super().__init__(home, arguments, port, notebook.parent)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"
