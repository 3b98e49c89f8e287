"""Python in a process of its own: for what patches, forks, interrupts or ends a process.

The trap: never sleep to give it time; wait for what the server saw of it, or read a
line that it prints.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BOUND_S = 30.0

PRELUDE = """\
import json, os, signal, sys, threading, time
import fleetkit as fk
AGENTS = json.loads(sys.argv[1])
def connect(**extra):
    return fk.connect([dict(agent, **extra) for agent in AGENTS], progress=False)
def say(*words):
    print(*words, flush=True)
"""


def command(script: str, *arguments: str, options: Sequence[str] = ()) -> list[str]:
    """What runs a script after the prelude."""
    code = PRELUDE + textwrap.dedent(script)
    return [sys.executable, "-W", "error", *options, "-c", code, *arguments]


def environment(**extra: str) -> dict[str, str]:
    """This process's environment, with the package importable."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **extra}


def outcome(script: str, *arguments: str, options: Sequence[str] = (), **extra: str) -> str:
    """Run a script to its end and return what it printed; its standard error must stay empty."""
    done = subprocess.run(
        command(script, *arguments, options=options),
        env=environment(**extra),
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr or done.stdout
    return done.stdout


@contextmanager
def running(script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A script that runs meanwhile; killed if it does not end by itself."""
    process = subprocess.Popen(
        command(script, *arguments),
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a script's end: return code, output, errors."""
    output, errors = process.communicate(timeout=BOUND_S)
    return process.returncode, output, errors
