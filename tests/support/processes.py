"""Whose processes run, and programs in a terminal of their own.

The trap: Ctrl-C is the terminal's doing. It reaches every process of the foreground
group, so a test that sends one signal to one process tests something else.
"""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

CHUNK = 65_536
LAUNCHER = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


def processes_of(folder: Path) -> list[bytes]:
    """The command lines of what runs with this temporary folder in its environment."""
    mine = b"TMPDIR=" + os.fsencode(folder) + b"\0"
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mine in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes())
        except OSError:
            continue  # ended meanwhile, or another user's
    return found


class Terminal:
    """A program in a pseudo-terminal, as its foreground process."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._screen, program_side = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, *command],
            stdin=program_side,
            stdout=program_side,
            stderr=program_side,
            env=environment,
        )
        os.close(program_side)
        self.text = ""

    def wait_for(self, text: str, timeout_s: float = 30.0) -> None:
        """Read the screen until a text is on it."""
        while text not in self.text:
            readable, _, _ = select.select([self._screen], [], [], timeout_s)
            assert readable, f"no {text!r} within {timeout_s} s on: {self.text}"
            try:
                self.text += os.read(self._screen, CHUNK).decode(errors="replace")
            except OSError:  # the other side is closed
                raise AssertionError(f"ended before {text!r}: {self.text}") from None

    def type(self, keys: bytes) -> None:
        """Press keys; ``b"\\x03"`` is Ctrl-C."""
        os.write(self._screen, keys)

    def close_window(self) -> None:
        """Close the terminal; its programs are hung up on."""
        os.close(self._screen)
        self._screen = -1

    def end(self) -> None:
        """Whatever happened, nothing is left."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        if self._screen >= 0:
            os.close(self._screen)
