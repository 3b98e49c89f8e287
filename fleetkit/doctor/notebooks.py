"""Whether the notebook server beside this kernel is known to be safe.

Why: a panel trades as the person who looks at it, and a hole in the page around it is
a hole in every account. May import nothing of fleetkit.
The trap: it sees this environment only. Where the server runs in another one, its own
`doctor` must be asked there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import Final

SAFE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        # July and September 2026: GHSA-gx64-gj6p-pc4c, GHSA-pppj-hq3g-57pj and others.
        "jupyterlab": ("4.5.11", "4.6.6"),
        # GHSA-c3mw-737p-c7g2; 2.20 mended GHSA-fcw5-x6j4-ccmp, a script's way to the kernel.
        "jupyter_server": ("2.21.0",),
    }
)
"""The oldest version known to be safe, in each line that was mended; the newest line last."""


def notebook_advice(installed: Callable[[str], str] = version) -> list[str]:
    """A sentence for each package that is older than its safe versions.

    Parameters
    ----------
    installed
        The version of an installed package; raises `PackageNotFoundError`.
    """
    sentences = []
    for package, safe in SAFE.items():
        try:
            found = installed(package)
        except PackageNotFoundError:
            continue
        if not _is_safe(_numbers(found), [_numbers(each) for each in safe]):
            sentences.append(
                f"{package} {found} has known security holes: "
                f"pip install --upgrade '{package}>={safe[-1]}'."
            )
    return sentences


def _is_safe(found: tuple[int, ...], safe: list[tuple[int, ...]]) -> bool:
    """Whether it is as new as the mended version of its own line, or as the newest one."""
    return found >= safe[-1] or any(found[:2] == each[:2] and found >= each for each in safe)


def _numbers(text: str) -> tuple[int, ...]:
    """The release of a version as numbers; a pre-release counts as the one before it."""
    match = re.match(r"(\d+(?:\.\d+)*)(.*)", text)
    if match is None:
        return (0,)
    numbers = tuple(map(int, match[1].split(".")))
    is_early = re.match(r"[._-]?(a|b|rc|dev|alpha|beta|pre)", match[2]) is not None
    return (*numbers[:-1], numbers[-1] - 1) if is_early else numbers
