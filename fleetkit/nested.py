"""Nested event loops for analysts whose own cells call `asyncio.run`; opt-in, never load-bearing.

Why: the patches change asyncio for the whole process, and the archived one loses
queued cells on current kernels. May import `errors`. The trap: fleetkit itself
must work with and without; nothing here is imported by the core.
"""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Protocol

from fleetkit.errors import NestedAsyncioRefused


class World(Protocol):
    """What the decision depends on; a test gives its own."""

    def has(self, module: str) -> bool:
        """Whether a module can be imported."""

    def python(self) -> tuple[int, int]:
        """Major and minor version of Python."""

    def ipykernel(self) -> int | None:
        """Major version of the kernel in use, ``None`` outside of one."""

    def old_patch_is_on(self) -> bool:
        """Whether the archived nest_asyncio has patched this process already."""

    def foreign_loop(self) -> str | None:
        """The kind of the running loop where it is none of asyncio's own."""

    def apply(self, module: str) -> None:
        """Patch."""


class ThisProcess:
    """The world as it is."""

    def has(self, module: str) -> bool:
        """Whether a module can be imported."""
        return find_spec(module) is not None

    def python(self) -> tuple[int, int]:
        """Major and minor version of Python."""
        return sys.version_info[:2]

    def ipykernel(self) -> int | None:
        """Major version of the kernel in use."""
        if "ipykernel" not in sys.modules:
            return None
        return int(metadata.version("ipykernel").partition(".")[0])

    def old_patch_is_on(self) -> bool:
        """Whether the archived package, not its fork, has patched asyncio."""
        return hasattr(asyncio, "_nest_patched") and not hasattr(asyncio, "_nest_asyncio2")

    def foreign_loop(self) -> str | None:
        """The kind of the running loop where it is none of asyncio's own."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return None
        return None if isinstance(loop, asyncio.BaseEventLoop) else f"{type(loop).__module__}"

    def apply(self, module: str) -> None:
        """Patch the running loop, and asyncio with it."""
        import_module(module).apply()


def allow_nested_asyncio(world: World | None = None) -> str:
    """Let your own cells call `asyncio.run` inside a running loop.

    fleetkit does not need this. It takes the maintained ``nest_asyncio2`` when it is
    installed, the archived ``nest_asyncio`` only where that is sound, and otherwise
    refuses.

    Returns
    -------
    str
        What was done, in a sentence.

    Raises
    ------
    NestedAsyncioRefused
        With the reason and what to install.

    Examples
    --------
    >>> import fleetkit as fk
    >>> fk.allow_nested_asyncio()  # doctest: +SKIP
    'Nested event loops are allowed, by nest_asyncio2.'
    """
    world = world or ThisProcess()
    if world.old_patch_is_on():
        sound = _why_unsound(world) is None
        warning = "" if sound else f" Beware: {_why_unsound(world)}"
        return f"The archived nest_asyncio had patched this process already.{warning}"
    foreign = world.foreign_loop()
    if foreign is not None:
        msg = (
            f"Nested event loops are not allowed: this loop is {foreign}'s, and only asyncio's "
            "own can nest. Await instead of calling asyncio.run."
        )
        raise NestedAsyncioRefused(msg)
    if world.has("nest_asyncio2"):
        world.apply("nest_asyncio2")
        return "Nested event loops are allowed, by nest_asyncio2."
    reason = _why_unsound(world)
    if reason is None and world.has("nest_asyncio"):
        world.apply("nest_asyncio")
        return "Nested event loops are allowed, by nest_asyncio."
    msg = (
        f"Nested event loops are not allowed: {reason or 'nest_asyncio is not installed.'} "
        "Run `pip install nest-asyncio2`, or await instead of calling asyncio.run."
    )
    raise NestedAsyncioRefused(msg)


def _why_unsound(world: World) -> str | None:
    if world.python() >= (3, 14):
        return "the archived nest_asyncio breaks tasks and timeouts on Python 3.14."
    kernel = world.ipykernel()
    if kernel is not None and kernel >= 7:
        return f"the archived nest_asyncio loses queued cells on ipykernel {kernel}."
    return None
