"""Files in a folder: written beside, synced, then renamed, so that none is ever half there."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from pathlib import Path

from penstock_backbone.errors import BlobCorrupt, BlobMissing, Fatal
from penstock_backbone.local.blob_keys import check_blob_key
from penstock_backbone.vocabulary import BlobRef


class FolderBlobs:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, key: str, data: bytes) -> BlobRef:
        path = self._folder / check_blob_key(key)
        try:
            await asyncio.to_thread(_write, path, data)
        except OSError as error:
            raise Fatal(
                f"the file {key!r} could not be written ({error}): free some space or check the rights"
            ) from error
        return BlobRef(key, hashlib.sha256(data).hexdigest(), len(data))

    async def get(self, ref: BlobRef) -> bytes:
        path = self._folder / check_blob_key(ref.key)
        try:
            data = await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError as error:
            raise BlobMissing(f"there is no file {ref.key!r}") from error
        except OSError as error:
            raise Fatal(f"the file {ref.key!r} could not be read ({error}): check the folder's rights") from error
        if hashlib.sha256(data).hexdigest() != ref.sha256:
            raise BlobCorrupt(f"the file {ref.key!r} is not the one that was stored")
        return data


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
