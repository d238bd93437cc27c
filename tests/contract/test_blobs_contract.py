"""Blobs: what was put comes back whole, or not at all, and no key leads out of its folder."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from penstock_backbone.engines import Engine
from penstock_backbone.errors import BlobCorrupt, BlobMissing, Invalid
from penstock_backbone.vocabulary import BlobRef

pytestmark = pytest.mark.anyio

HOSTILE = [
    "", "/", "/etc/passwd", "../up.txt", "a/../../up", "a/..", "a/./b", ".", "..", "a//b", "a/", "/a", "a\\b", "a b", "a\x00b",
    "a\nb", "a?b", "a#b", "a%2e%2e", "~", "é", "多", "a:b", "*", "a/" * 400 + "b", "x" * 2000, ".hidden", "a/.hidden/b",
]  # fmt: skip


@pytest.mark.parametrize(
    "data", [b"", b"text", bytes(range(256)) * 4096, "多语言".encode()], ids=["empty", "text", "MB", "utf8"]
)
async def test_what_was_put_comes_back_with_its_checksum(engine: Engine, pk: str, data: bytes) -> None:
    ref = await engine.blobs.put(f"{pk}/1/a-file_0.json", data)
    assert ref == BlobRef(f"{pk}/1/a-file_0.json", hashlib.sha256(data).hexdigest(), len(data))
    assert await engine.blobs.get(ref) == data


async def test_a_reference_is_enough_for_another_process(engine: Engine, connections: list[Engine], pk: str) -> None:
    ref = await engine.blobs.put(f"{pk}/a", b"x")
    assert await connections[0].blobs.get(ref) == b"x"


async def test_putting_the_same_again_is_no_harm(engine: Engine, pk: str) -> None:
    first = await engine.blobs.put(f"{pk}/a", b"x")
    assert await engine.blobs.put(f"{pk}/a", b"x") == first
    assert await engine.blobs.get(first) == b"x"


async def test_a_key_that_was_never_put_is_missing(engine: Engine, pk: str) -> None:
    ref = await engine.blobs.put(f"{pk}/a", b"x")
    with pytest.raises(BlobMissing):
        await engine.blobs.get(msgspec.structs.replace(ref, key=f"{pk}/b"))
    with pytest.raises(BlobMissing):
        await engine.blobs.get(msgspec.structs.replace(ref, key=f"{pk}x/a/b/c"))


async def test_a_file_that_is_not_what_the_reference_says_is_corrupt(engine: Engine, pk: str) -> None:
    ref = await engine.blobs.put(f"{pk}/a", b"text")
    for other in (
        msgspec.structs.replace(ref, sha256=hashlib.sha256(b"tex!").hexdigest()),
        msgspec.structs.replace(ref, sha256=""),
    ):
        with pytest.raises(BlobCorrupt):
            await engine.blobs.get(other)


@pytest.mark.parametrize("key", HOSTILE, ids=lambda key: ascii(key)[:30])
async def test_a_key_that_might_lead_elsewhere_is_refused(engine: Engine, key: str) -> None:
    with pytest.raises(Invalid):
        await engine.blobs.put(key, b"x")
    with pytest.raises(Invalid):
        await engine.blobs.get(BlobRef(key, "", 0))


async def test_keys_that_are_nearly_the_same_are_different_files(engine: Engine, pk: str) -> None:
    keys = [f"{pk}/a", f"{pk}/a.b", f"{pk}/b/a", f"{pk}/a-", f"{pk}/a_"]
    refs = [await engine.blobs.put(key, key.encode()) for key in keys]
    assert [await engine.blobs.get(ref) for ref in refs] == [key.encode() for key in keys]


async def test_a_key_is_written_once_and_the_same_content_again_is_the_same_write(engine: Engine) -> None:
    first = await engine.blobs.put("run_1/1/twice.txt", b"one")
    assert await engine.blobs.put("run_1/1/twice.txt", b"one") == first
    with pytest.raises(Invalid):
        await engine.blobs.put("run_1/1/twice.txt", b"two")
    assert await engine.blobs.get(first) == b"one"


async def test_a_file_of_another_size_than_recorded_is_corrupt(engine: Engine) -> None:
    ref = await engine.blobs.put("run_1/1/size.txt", b"three")
    with pytest.raises(BlobCorrupt):
        await engine.blobs.get(BlobRef(ref.key, ref.sha256, ref.size + 1))
