"""The simulator's process and its pipes.

Why: starting, asking and ending a child are one concern, whatever it is asked. May
import `errors`.
The trap: after a fork the child has the same pipes. It must neither speak into
them nor end its parent's fleet.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Any, Final, cast

import msgspec

from fleetkit.errors import DemoError

ANSWER_S: Final = 10.0
STOP_S: Final = 1.0  # to end by itself, before it is ended
TAIL: Final = 2_000  # characters of the child's complaints that an error shows


class Child:
    """The process and its pipes; every exchange is a command and its answer.

    Parameters
    ----------
    arguments
        Of ``python -m fleetkit.sim``.
    folder
        What it needs on disk, removed with it.
    """

    def __init__(self, arguments: list[str], folder: str | None = None) -> None:
        self._owner = os.getpid()
        self._folder = folder
        self._number = 0
        # A lock, though this house has one thread for what changes: a command
        # and its answer are one exchange over two pipes, it comes from cells,
        # widget callbacks and at exit, and what changes is another process.
        self._exchange = threading.Lock()
        # A pipe nobody reads would fill up. Closed in `stop`, so no context manager.
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - see above
        try:
            self._process = _spawn(arguments, self._complaints)
        except OSError as error:
            self._complaints.close()
            raise DemoError(f"The demo fleet could not be started: {error}.") from error
        self._input = cast("IO[bytes]", self._process.stdin)  # pipes, as `_spawn` asks for
        self._output = cast("IO[bytes]", self._process.stdout)

    @property
    def running(self) -> bool:
        """Whether this process may talk to it."""
        return os.getpid() == self._owner and self._process.poll() is None

    def first_line(self, timeout_s: float) -> bytes:
        """What it says when it is ready."""
        with self._exchange:
            return self._line(timeout_s)

    def ask(self, command: str, argument: object) -> Any:
        """Send one command; its answer."""
        if os.getpid() != self._owner:
            raise DemoError(
                "The demo fleet belongs to the parent process: start one in this process."
            )
        with self._exchange:
            if self._process.poll() is not None:
                raise DemoError(f"The demo fleet has ended: start another one.{self._tail()}")
            self._number += 1
            self._send({"id": self._number, command: argument})
            answer = self._answer()
        if "error" in answer:
            raise DemoError(f"The demo fleet refused {command}: {answer['error']}.")
        return answer[command]

    def stop(self) -> None:
        """End it; safe to call again, from any thread, and in a forked child."""
        if os.getpid() != self._owner:
            return  # a fork's copy: the fleet goes on serving the parent
        with contextlib.suppress(OSError, ValueError):
            self._input.close()  # the end of input is the order to end
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        # Whoever waits for an answer gets the end of the stream and lets go.
        with self._exchange:
            self._output.close()
            self._complaints.close()

    def _send(self, command: dict[str, object]) -> None:
        try:
            self._input.write(msgspec.json.encode(command) + b"\n")
            self._input.flush()
        except (OSError, ValueError) as error:
            raise DemoError(
                f"The demo fleet has ended: start another one.{self._tail()}"
            ) from error

    def _answer(self) -> dict[str, Any]:
        while True:
            answer: dict[str, Any] = msgspec.json.decode(self._line(ANSWER_S))
            # An older number is what an interrupted caller did not wait for.
            if answer.get("id") == self._number:
                return answer

    def _line(self, timeout_s: float) -> bytes:
        # Pipes have no read timeout on every system, but a child that is killed
        # closes its end. One that does not answer is of no use anyway.
        timer = threading.Timer(timeout_s, self._process.kill)
        timer.daemon = True
        timer.start()
        try:
            line = self._output.readline()
        finally:
            timer.cancel()
            timer.join()
        if not line.endswith(b"\n"):
            ended = self._process.wait() != -signal.SIGKILL
            what = "ended by itself" if ended else f"did not answer within {timeout_s:g} s"
            raise DemoError(f"The demo fleet {what}.{self._tail()}")
        return line

    def _tail(self) -> str:
        if self._complaints.closed:
            return ""
        self._process.poll()
        self._complaints.seek(0)
        text = self._complaints.read().decode(errors="replace").strip()[-TAIL:]
        return f" It said: {text}" if text else ""


def _spawn(arguments: list[str], complaints: IO[bytes]) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-m", "fleetkit.sim", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=complaints,
        # Found wherever this package was found, installed or not.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        # Away from the terminal's Ctrl-C, which interrupts a cell and not the fleet.
        start_new_session=True,
    )
