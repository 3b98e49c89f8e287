"""`Owner`: which process this is, told so that another process can see whether it lives.

Why: a process number alone is given anew, after a while and at every start of the
machine; with the moment the process started and the machine's boot it names one process
for good. May import nothing of fleetkit. The trap: a process that cannot be seen from
here (another container on the same files) is not therefore dead; only what is proven
counts, and everything else is called alive until its lease expires.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import Final

import msgspec

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_PID_NAMESPACE: Final = "/proc/self/ns/pid"
_STATE, _STARTED = 0, 19  # columns of /proc/<pid>/stat after the name in parentheses
_ENDED_STATES: Final = frozenset("ZXx")


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """One process, or a store in it. The empty text means "not known on this system"."""

    id: str
    pid: int
    started: str = ""
    boot_id: str = ""
    pid_namespace: str = ""

    def is_this_process(self) -> bool:
        """Whether it was made in this process and not in the one that forked it."""
        return self.pid == os.getpid()


def this_process() -> Owner:
    """A new owner for this process; a forked child must make its own."""
    pid = os.getpid()
    return Owner(
        id=f"{pid}-{secrets.token_hex(8)}",  # not `random`, whose state a fork copies
        pid=pid,
        started=_started(pid) or "",
        boot_id=_boot_id(),
        pid_namespace=_pid_namespace(),
    )


def is_alive(owner: Owner) -> bool:
    """Whether the owner's process may still run; ``False`` only where that is certain."""
    boot_id = _boot_id()
    if owner.boot_id and boot_id and owner.boot_id != boot_id:
        return False  # the machine was started anew
    if owner.pid_namespace != _pid_namespace():
        return True  # its number means another process here
    started = _started(owner.pid)
    if started is None:
        return False
    return not (started and owner.started) or started == owner.started


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return os.readlink(_PID_NAMESPACE)
    except (OSError, ValueError):
        return ""


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _QUERY_LIMITED_INFORMATION: Final = 0x1000
    _ERROR_INVALID_PARAMETER: Final = 87  # there is no such process

    def _started(pid: int) -> str | None:
        """When a process was made, "" when that is not told, ``None`` when there is none."""
        kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel32.OpenProcess.restype = wintypes.HANDLE
        handle = kernel32.OpenProcess(_QUERY_LIMITED_INFORMATION, False, pid)
        if not handle:
            return None if ctypes.get_last_error() == _ERROR_INVALID_PARAMETER else ""
        try:
            made, ended, kernel, user = (wintypes.FILETIME() for _ in range(4))
            if not kernel32.GetProcessTimes(
                wintypes.HANDLE(handle), *map(ctypes.byref, (made, ended, kernel, user))
            ):
                return ""
            if ended.dwLowDateTime or ended.dwHighDateTime:
                return None  # somebody only keeps its handle
            return f"{made.dwHighDateTime << 32 | made.dwLowDateTime}"
        finally:
            kernel32.CloseHandle(wintypes.HANDLE(handle))

else:

    def _started(pid: int) -> str | None:
        """When a process was made, "" when that is not told, ``None`` when there is none."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return "" if _exists(pid) else None
        except OSError:
            return ""
        columns = stat.rpartition(")")[2].split()  # its name may hold spaces and parentheses
        # Killed, and its parent has not looked yet: it does nothing any more.
        return None if columns[_STATE] in _ENDED_STATES else columns[_STARTED]

    def _exists(pid: int) -> bool:
        try:
            os.kill(pid, 0)  # not on Windows, where this ends the process
        except ProcessLookupError:
            return False
        except OSError:
            return True
        return True
