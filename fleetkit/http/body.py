"""The body of a reply, whole and decompressed, or a refusal.

Why: what an agent sends is hostile until decoded, and 20 kB of gzip can be 20 MB
of zeros, 20 kB of zstd 600 MB. May import httpx and httpcore only. The trap: a limit
that is checked after decompressing comes too late, so the body goes through in slices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import httpcore
import httpx

MAX_BODY_BYTES = 256 << 20  # 100,000 trades are 27 MB
SLICE_BYTES = 16 << 10  # deflate makes at most 1,032 bytes of one: 16 MB between two checks
ZSTD_SLICE_BYTES = 512  # four bytes can stand for a block of 128 kB: 16 MB between two checks

_ZSTD_OF_NOTHING: Final = bytes.fromhex("28b52ffd2000010000")  # a whole frame, and empty


class TooLarge(Exception):
    """More than `MAX_BODY_BYTES`."""


def accepted_codings() -> bytes:
    """What this installation can decompress, as an ``Accept-Encoding`` header, best first.

    httpx undoes zstd where it finds the package for it; it is asked by giving it some.
    """
    headers = {"content-encoding": "zstd"}
    undone = httpx.Response(200, headers=headers, content=_ZSTD_OF_NOTHING).content
    return b"gzip" if undone else b"zstd, gzip"


async def read_body(response: httpcore.Response) -> bytes:
    """Everything the agent sends as this reply's body, as it travels."""
    chunks: list[bytes] = []
    size = 0
    stream = response.stream
    assert not isinstance(stream, (list, tuple))  # narrows for mypy
    async for chunk in stream:  # type: ignore[union-attr]  # async connections give async streams
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise TooLarge
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def decompressed(response: httpcore.Response, body: bytes, coding: bytes) -> bytes:
    """The body behind its content coding; an unknown coding leaves it as it is."""
    if b"," in coding:
        # Each one multiplies what a slice can become.
        msg = "it is compressed more than once"
        raise httpx.DecodingError(msg)
    decoder = httpx.Response(200, headers=response.headers, stream=_Slices(body, coding))
    return _bounded(decoder.iter_bytes())


def _bounded(pieces: Iterable[bytes]) -> bytes:
    chunks: list[bytes] = []
    size = 0
    for chunk in pieces:
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise TooLarge
        chunks.append(chunk)
    return b"".join(chunks)


class _Slices(httpx.SyncByteStream):
    def __init__(self, body: bytes, coding: bytes) -> None:
        self._body = body
        self._step = ZSTD_SLICE_BYTES if coding == b"zstd" else SLICE_BYTES

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self._body), self._step):
            yield self._body[start : start + self._step]
