"""Where the store's files are, and what kind of disk that is.

Why: the folder is read at `connect`, made private, and trading later asks
whether its locks can be trusted. May import `errors`.
The trap: "not a network file system" can be proven only where the system says
so; elsewhere the answer is ``None``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import platformdirs

FILE_NAME: Final = "fleetkit.db"
ORDERS_FILE_NAME: Final = "orders.db"
HOME_VARIABLE: Final = "FLEETKIT_HOME"
_MOUNTS: Final = Path("/proc/self/mountinfo")
_NETWORK_TYPES: Final = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
    }
)
_DRIVE_REMOTE: Final = 4  # GetDriveTypeW


def store_folder(home: Path | None, environ: Mapping[str, str]) -> Path:
    """The folder of the store: `home`, else ``FLEETKIT_HOME``, else the user's data."""
    if home is not None:
        return home
    configured = environ.get(HOME_VARIABLE, "").strip()
    if configured:
        return Path(configured).expanduser()
    return platformdirs.user_data_path("fleetkit", appauthor=False)


def make_private(path: Path) -> None:
    """Give the file, while it is still empty, the mode 0600.

    SQLite gives its ``-wal`` and ``-shm`` files the mode of the file itself. Nothing is
    opened here: closing it again would drop the locks of other connections.
    """
    if path.stat().st_size == 0:
        path.chmod(0o600)


def is_network_file_system(folder: Path) -> bool | None:
    """Whether `folder` is on a network file system; ``None`` where nobody says."""
    if sys.platform == "win32":
        return _is_remote_drive(folder)
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    return network_in_mounts(mounts, os.path.realpath(folder))


def network_in_mounts(mounts: str, folder: str) -> bool | None:
    """The same, from the text of Linux' ``mountinfo``."""
    best, answer = "", None
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        columns = left.split(" ")
        if len(columns) < 5 or not right:  # the mount point is the fifth column
            continue
        point = columns[4].replace("\\040", " ").rstrip("/")
        # A later line is mounted over an earlier one of the same point.
        if (folder == point or folder.startswith(f"{point}/")) and len(point) >= len(best):
            best, answer = point, _is_network_type(right.split(" ")[0])
    return answer


def _is_network_type(kind: str) -> bool:
    # A FUSE mount can be anything, and the ones people have (sshfs, rclone, s3) lock nothing.
    return kind in _NETWORK_TYPES or kind == "fuse" or kind.startswith("fuse.")


if sys.platform == "win32":
    import ctypes

    def _is_remote_drive(folder: Path) -> bool | None:
        drive = folder.resolve().anchor
        if drive.startswith("\\\\"):
            return True
        return bool(ctypes.windll.kernel32.GetDriveTypeW(drive) == _DRIVE_REMOTE)
