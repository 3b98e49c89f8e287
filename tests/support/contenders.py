"""Several processes on one store that start at the same moment.

The trap: one that is still importing takes part in no contest, so all report ready
before the first of them is let go.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

PROLOGUE = """
import sys
from decimal import Decimal
from pathlib import Path
from fleetkit.errors import LabelError
from fleetkit.store import *
print("ready", flush=True)
sys.stdin.readline()
store = Store(Path(sys.argv[1]), busy_timeout_s=60)
number = int(sys.argv[2])
"""


def start(script: str, folder: Path, number: int = 0) -> subprocess.Popen[str]:
    """A process that says ``ready`` and waits for a line; ``store`` and ``number`` are there."""
    return subprocess.Popen(
        [sys.executable, "-c", PROLOGUE + script, str(folder), str(number)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def let_go(process: subprocess.Popen[str]) -> None:
    """Let a process begin that is ready."""
    assert process.stdin
    process.stdin.write("go\n")
    process.stdin.flush()


def answers_of_many(script: str, folder: Path, count: int = 4) -> list[str]:
    """Start processes, let them go at once, and collect every word they print."""
    with ExitStack() as stack:
        processes = [stack.enter_context(start(script, folder, n)) for n in range(count)]
        for process in processes:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            let_go(process)
        words = [process.communicate(timeout=90)[0].split() for process in processes]
        assert [process.returncode for process in processes] == [0] * count
    return list(chain.from_iterable(words))
