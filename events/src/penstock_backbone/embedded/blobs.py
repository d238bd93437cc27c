"""Files in a folder: written beside, synced, then renamed, so that none is ever half there."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from pathlib import Path

from penstock_backbone.errors import BlobCorrupt, BlobMissing, Fatal, Invalid
from penstock_backbone.local.blob_keys import check_blob_key
from penstock_backbone.vocabulary import BlobRef


class FolderBlobs:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, key: str, data: bytes) -> BlobRef:
        path = self._folder / check_blob_key(key)
        try:
            written = await asyncio.to_thread(_write_once, path, data)
        except OSError as error:
            raise Fatal(
                f"the file {key!r} could not be written ({error}): free some space or check the rights"
            ) from error
        if not written:
            raise Invalid(f"the file {key!r} exists with other content: files are written once, so choose another key")
        return BlobRef(key, hashlib.sha256(data).hexdigest(), len(data))

    async def get(self, ref: BlobRef) -> bytes:
        path = self._folder / check_blob_key(ref.key)
        try:
            data = await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError as error:
            raise BlobMissing(f"there is no file {ref.key!r}") from error
        except OSError as error:
            raise Fatal(f"the file {ref.key!r} could not be read ({error}): check the folder's rights") from error
        if len(data) != ref.size or hashlib.sha256(data).hexdigest() != ref.sha256:
            raise BlobCorrupt(f"the file {ref.key!r} is not the one that was stored")
        return data


def _write_once(path: Path, data: bytes) -> bool:
    """False: something else stands there. The same content again is an earlier try of our own."""
    if path.exists():
        return path.read_bytes() == data
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        # What is half there would take the room that somebody frees.
        beside.unlink(missing_ok=True)
        raise
    return True
