"""Which cell is calling: so that a cell that is run again does not send its orders again.

Why: a front end gives each cell an id that stays when the cell is run again; the id, the
place of the call within the cell and the order itself are the key of that order.
May import nothing of fleetkit; IPython only where a kernel has imported it already.
The trap: a wrong cell is worse than none. Callbacks, threads and tasks may run while
*another* cell does, and kernels keep the last cell's header when nothing runs; wherever
it is not sure that this code runs for that cell, there is no cell.
"""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Mapping
from contextvars import ContextVar
from functools import cache
from hashlib import sha256
from types import FrameType
from typing import Any, Final

import msgspec

EXECUTIONS_KEPT: Final = 256  # whose calls are counted; a notebook runs one or a few at a time
_RUNS_CELLS: Final = ("IPython.core.interactiveshell", "run_code")


class CellCall(msgspec.Struct, frozen=True):
    """One call that a cell makes.

    Attributes
    ----------
    cell_id : str
        The front end's id of the cell, the same each time it is run.
    message_id : str
        This execution of it.
    ordinal : int
        How many calls this execution made before this one.
    """

    cell_id: str
    message_id: str
    ordinal: int


class CallCounter:
    """Counts the calls of each execution. Any thread may ask."""

    def __init__(self, kept: int = EXECUTIONS_KEPT) -> None:
        self._kept = kept
        self._next: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<CallCounter {len(self._next)} executions>"

    def count(self, message_id: str) -> int:
        """The ordinal of a call in the execution of that message: 0, 1, 2, …"""
        with self._lock:
            ordinal = self._next.pop(message_id, 0)
            self._next[message_id] = ordinal + 1  # the last one counted is forgotten last
            if len(self._next) > self._kept:
                self._next.popitem(last=False)
        return ordinal


def current_cell() -> CellCall | None:
    """The cell that this thread runs just now, and which call of it this is.

    Ask once for each call, on the caller's own thread, before anything waits.

    Returns
    -------
    CellCall or None
        ``None`` outside of notebooks, where the front end gives no ids, in threads and
        widget callbacks, and wherever it is not sure.
    """
    identity = _identity(_parent_message())
    if identity is None:
        return None
    return CellCall(*identity, _calls().count(identity[1]))


def replay_key(cell: CellCall | str, ordinal: int, intent_bytes: bytes) -> str:
    """What tells an order of a cell that is run again from a new one.

    Parameters
    ----------
    cell
        The cell, or its id.
    ordinal
        Of the call within its execution.
    intent_bytes
        The order as it is asked for, without anything that differs from run to run.
    """
    cell_id = cell if isinstance(cell, str) else cell.cell_id
    digest = sha256()
    for part in (cell_id.encode(errors="surrogatepass"), str(ordinal).encode(), intent_bytes):
        digest.update(len(part).to_bytes(8, "big"))  # so that no part can run into the next
        digest.update(part)
    return digest.hexdigest()


@cache
def _calls() -> CallCounter:
    """One for the process, as the kernel is: fleets come and go while a cell runs."""
    return CallCounter()


def _parent_message() -> object:
    """The message that made this code run, or ``None`` where that is not sure."""
    interactive = sys.modules.get("IPython")
    shell = interactive.get_ipython() if interactive is not None else None
    if shell is None:
        return None
    inside = _runs_a_cell()
    context = getattr(shell, "_parent_header", None)
    if isinstance(context, ContextVar):
        # ipykernel 7: the context, and so every task a cell starts, knows its own message.
        # A thread has its creator's context at times, and its calls come in any order.
        sure = inside or threading.current_thread() is threading.main_thread()
        return context.get(None) if sure else None
    # Before 7 there is one header for all, the last one's: it is the cell's while that runs.
    return getattr(shell, "parent_header", None) if inside else None


def _runs_a_cell() -> bool:
    """Whether this thread, right here, is inside of a cell's code."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if (frame.f_globals.get("__name__"), frame.f_code.co_name) == _RUNS_CELLS:
            return True
        frame = frame.f_back
    return False


def _identity(message: object) -> tuple[str, str] | None:
    """Cell id and message id of an execution, ``None`` of any other message."""
    header, metadata = _mapping(message, "header"), _mapping(message, "metadata")
    cell_id, message_id = metadata.get("cellId"), header.get("msg_id")
    if header.get("msg_type") != "execute_request":
        return None
    if not (isinstance(cell_id, str) and cell_id and isinstance(message_id, str) and message_id):
        return None
    return cell_id, message_id


def _mapping(message: object, key: str) -> Mapping[str, Any]:
    part = message.get(key) if isinstance(message, Mapping) else None
    return part if isinstance(part, Mapping) else {}
