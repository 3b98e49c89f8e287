"""Compressed replies: what is asked for, what is undone, and what a bomb may cost."""

from __future__ import annotations

import gzip
import json
import random
import sys
import zlib
from typing import Any

import httpx
import pytest
import respx
import zstandard

import fleetkit as fk
from fleetkit.http import body

URL = "http://127.0.0.1:8001"
ACCOUNT = {"account_number": 7100012, "balance": 100450.25, "status": "connected"}


def decompressed(content: bytes, coding: str) -> bytes:
    response = body.httpcore.Response(200, headers=[(b"content-encoding", coding.encode())])
    return body.decompressed(response, content, coding.encode())


@respx.mock
def test_a_request_says_what_can_be_undone() -> None:
    """zstd before gzip, and no coding that could come without a bound."""
    route = respx.get(f"{URL}/accounts").respond(json=ACCOUNT)
    with fk.connect([{"name": "a", "url": URL}]) as fleet:
        fleet.accounts()
    assert route.calls.last.request.headers["accept-encoding"] == "zstd, gzip"


def test_without_the_package_for_it_zstd_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """httpx leaves it compressed then, and is seen to."""
    monkeypatch.delitem(sys.modules["httpx._decoders"].SUPPORTED_DECODERS, "zstd")
    assert body.accepted_codings() == b"gzip"


@respx.mock
def test_a_compressed_reply_of_any_size_is_read() -> None:
    """One that goes through many slices, and one in several zstd frames."""
    dice = random.Random(7)
    note = "".join(chr(dice.randint(32, 126)) for _ in range(50_000))
    plain = json.dumps({**ACCOUNT, "note": note}).encode()
    half = len(plain) // 2
    packer = zstandard.ZstdCompressor()
    frames = packer.compress(plain[:half]) + packer.compress(plain[half:])
    for content, coding in (
        (packer.compress(plain), "zstd"),
        (frames, "ZSTD"),
        (gzip.compress(plain), "gzip"),
    ):
        assert len(content) > body.SLICE_BYTES
        reply = httpx.Response(
            200, stream=httpx.ByteStream(content), headers={"content-encoding": coding}
        )
        respx.get(f"{URL}/accounts").mock(return_value=reply)
        with fk.connect([{"name": "a", "url": URL}]) as fleet:
            assert fleet.accounts()["balance"].tolist() == [100450.25]


@pytest.mark.parametrize("content", [b"this is no zstd", zstandard.compress(bytes(99_999))[:-3]])
def test_zstd_that_cannot_be_undone_is_an_error(content: bytes) -> None:
    """Damaged, or cut off."""
    with pytest.raises(httpx.DecodingError):
        decompressed(content, "zstd")


def gzip_bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(128)) + packer.flush()


def zstd_bomb() -> bytes:
    packer = zstandard.ZstdCompressor().compressobj()
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(1_024)) + packer.flush()


def zstd_swarm() -> bytes:
    """Many small bombs, one frame each: the decoder works through all that a slice has."""
    return zstandard.compress(bytes(1 << 20)) * 1_024


@pytest.mark.parametrize(
    ("make", "coding"), [(gzip_bomb, "gzip"), (zstd_bomb, "zstd"), (zstd_swarm, "zstd")]
)
def test_a_bomb_is_never_unpacked_whole(
    make: Any, coding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What some kB would become is noticed while it is a few MB."""
    monkeypatch.setattr(body, "MAX_BODY_BYTES", 1 << 20)
    bomb = make()
    seen, made = 0, [0]

    class Counting(body._Slices):
        def __iter__(self) -> Any:
            nonlocal seen
            for piece in super().__iter__():
                seen += len(piece)
                yield piece

    bounded = body._bounded

    def measured(pieces: Any) -> bytes:
        def passing() -> Any:
            for piece in pieces:
                made.append(len(piece))
                yield piece

        return bounded(passing())

    monkeypatch.setattr(body, "_Slices", Counting)
    monkeypatch.setattr(body, "_bounded", measured)
    with pytest.raises(body.TooLarge):
        decompressed(bomb, coding)
    assert seen <= body.SLICE_BYTES < len(bomb)
    assert max(made) <= 17 << 20
