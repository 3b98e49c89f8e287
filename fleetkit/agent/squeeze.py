"""Compression of large replies: zstd where it can be had, else gzip.

Why: a year of trades is megabytes of repetition. May import `guard`; zstd comes
from Python 3.14, `backports.zstd` or `zstandard`, whichever is there.
The trap: compressing takes milliseconds per megabyte. It happens on a thread, or
`/health` would wait with everybody else.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from importlib import import_module
from typing import Final

SMALLEST: Final = 1_024  # bytes below which compression costs more than it saves
ON_THE_LOOP: Final = 16_384  # bytes up to which a thread costs more than it saves

Encoder = Callable[[bytes], bytes]


def encoders() -> dict[str, Encoder]:
    """What this installation can write, best first."""
    found: dict[str, Encoder] = {}
    zstd = _zstd()
    if zstd is not None:
        found["zstd"] = zstd
    found["gzip"] = _gzip
    return found


async def squeeze(
    body: bytes, accepted: bytes | None, known: dict[str, Encoder]
) -> tuple[bytes, str | None]:
    """A body as the caller likes it best, and the name of its encoding."""
    if len(body) < SMALLEST or not accepted:
        return body, None
    name = choose(accepted, known)
    if name is None:
        return body, None
    if len(body) <= ON_THE_LOOP:
        return known[name](body), name
    return await asyncio.to_thread(known[name], body), name


def choose(accepted: bytes, known: dict[str, Encoder]) -> str | None:
    """The encoding of an ``Accept-Encoding`` header, ``None`` for plain."""
    weights: dict[str, float] = {}
    for part in accepted.decode("latin-1").lower().split(","):
        name, _, parameters = part.strip().partition(";")
        weights[name.strip()] = _weight(parameters)
    default = weights.get("*", 0.0)
    # Ours come best first, and `max` keeps the first of equals.
    best = max(known, key=lambda name: weights.get(name, default), default=None)
    return best if best is not None and weights.get(best, default) > 0 else None


def _weight(parameters: str) -> float:
    key, _, value = parameters.strip().partition("=")
    if key.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body, compresslevel=5, mtime=0)


def _zstd() -> Encoder | None:
    for module in ("compression.zstd", "backports.zstd"):
        try:
            compress: Encoder = import_module(module).compress
        except ImportError:
            continue
        return compress
    try:
        zstandard = import_module("zstandard")
    except ImportError:
        return None
    # A compressor of its own for each body: one is not safe on two threads.
    return lambda body: bytes(zstandard.ZstdCompressor(level=3).compress(body))
