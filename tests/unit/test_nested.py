"""`allow_nested_asyncio`: which package, when, and why not. Patching itself is a story test."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import dataclass, field

import pytest

import fleetkit as fk
from fleetkit.nested import ThisProcess, allow_nested_asyncio


@dataclass
class GivenWorld:
    """A world in which everything is as a test says."""

    modules: set[str] = field(default_factory=lambda: {"nest_asyncio", "nest_asyncio2"})
    version: tuple[int, int] = (3, 11)
    kernel: int | None = None
    patched: bool = False
    loop: str | None = None
    applied: list[str] = field(default_factory=list)

    def has(self, module: str) -> bool:
        return module in self.modules

    def python(self) -> tuple[int, int]:
        return self.version

    def ipykernel(self) -> int | None:
        return self.kernel

    def old_patch_is_on(self) -> bool:
        return self.patched

    def foreign_loop(self) -> str | None:
        return self.loop

    def apply(self, module: str) -> None:
        self.applied.append(module)


@pytest.mark.parametrize("version", [(3, 11), (3, 14)])
@pytest.mark.parametrize("kernel", [None, 6, 7])
def test_the_maintained_package_is_taken_wherever_it_is(
    version: tuple[int, int], kernel: int | None
) -> None:
    """nest_asyncio2 is sound everywhere."""
    world = GivenWorld(version=version, kernel=kernel)
    assert "nest_asyncio2" in allow_nested_asyncio(world)
    assert world.applied == ["nest_asyncio2"]


@pytest.mark.parametrize("kernel", [None, 6])
def test_the_archived_one_where_it_is_sound(kernel: int | None) -> None:
    """Before Python 3.14, outside of kernels and in old ones."""
    world = GivenWorld(modules={"nest_asyncio"}, version=(3, 13), kernel=kernel)
    assert allow_nested_asyncio(world).endswith("by nest_asyncio.")
    assert world.applied == ["nest_asyncio"]


@pytest.mark.parametrize(
    ("world", "reason"),
    [
        (GivenWorld(modules={"nest_asyncio"}, kernel=7), "loses queued cells on ipykernel 7"),
        (GivenWorld(modules={"nest_asyncio"}, version=(3, 14)), "Python 3.14"),
        (GivenWorld(modules=set()), "not installed"),
        (GivenWorld(loop="uvloop"), "uvloop's"),
    ],
)
def test_otherwise_it_is_refused_with_the_reason(world: GivenWorld, reason: str) -> None:
    """Nothing is patched, and the sentence says what to do instead."""
    with pytest.raises(fk.NestedAsyncioRefused, match=reason) as caught:
        allow_nested_asyncio(world)
    assert "wait" in str(caught.value)
    assert world.applied == []


@pytest.mark.parametrize(
    ("world", "warned"),
    [
        (GivenWorld(patched=True), False),
        (GivenWorld(patched=True, kernel=7), True),
        (GivenWorld(patched=True, version=(3, 14)), True),
    ],
)
def test_a_patch_that_is_on_already_is_said(world: GivenWorld, warned: bool) -> None:
    """It cannot be taken back; where it is unsound, the sentence warns."""
    sentence = allow_nested_asyncio(world)
    assert "had patched this process already" in sentence
    assert ("Beware" in sentence) is warned
    assert world.applied == []


def test_this_process_is_seen_as_it_is() -> None:
    """Versions, modules, and no patch in the process of these tests."""
    world = ThisProcess()
    assert world.python() == sys.version_info[:2]
    assert world.has("nest_asyncio2")
    assert not world.has("no_such_package")
    assert world.ipykernel() is None or world.ipykernel() >= 6
    assert not world.old_patch_is_on()
    assert world.foreign_loop() is None

    async def inside() -> str | None:
        return world.foreign_loop()

    assert asyncio.run(inside()) is None


def test_real_patches_are_told_apart() -> None:
    """The fork's patch is not taken for the archived one's, and uvloop is refused untouched."""
    script = """
import asyncio, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import nest_asyncio, uvloop
import fleetkit as fk
from fleetkit.nested import ThisProcess
async def under_uvloop():
    try:
        fk.allow_nested_asyncio()
    except fk.NestedAsyncioRefused as error:
        print("refused", "uvloop" in str(error), hasattr(asyncio, "_nest_patched"))
uvloop.run(under_uvloop())
print(fk.allow_nested_asyncio())
print(fk.allow_nested_asyncio())
print(ThisProcess().old_patch_is_on())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout.splitlines() == [
        "refused True False",
        "Nested event loops are allowed, by nest_asyncio2.",
        "Nested event loops are allowed, by nest_asyncio2.",
        "False",
    ], done.stderr
