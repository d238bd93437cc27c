"""The Blobs port over S3: write once, checked on the way in and on the way out."""

from __future__ import annotations

import base64
import hashlib
from functools import partial

from botocore.exceptions import BotoCoreError

from penstock_backbone.aws.calls import Calls, Service
from penstock_backbone.aws.errors import Absent, AlreadyThere, InConflict
from penstock_backbone.aws.patience import ATTEMPTS_MAX, Patience
from penstock_backbone.aws.settings import Names
from penstock_backbone.errors import BlobCorrupt, BlobMissing, Invalid, Retryable
from penstock_backbone.local.blob_keys import check_blob_key
from penstock_backbone.vocabulary import BlobRef

_CHECKSUM = "sha256"
"""The object's own metadata holds the hex digest: HEAD tells it everywhere, without special rights or modes."""


class AwsBlobs:
    def __init__(self, calls: Calls, names: Names, patience: Patience) -> None:
        self._calls = calls
        self._bucket = names.bucket
        self._patience = patience

    async def put(self, key: str, data: bytes) -> BlobRef:
        """Never replaces: a file that is there already must hold the same bytes, as after a lost answer."""
        check_blob_key(key)
        digest = hashlib.sha256(data)
        ref = BlobRef(key, digest.hexdigest(), len(data))
        for attempt in range(ATTEMPTS_MAX):
            try:
                await self._calls.call(
                    Service.BLOBS,
                    "put_object",
                    Bucket=self._bucket,
                    Key=key,
                    Body=data,
                    IfNoneMatch="*",
                    ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
                    Metadata={_CHECKSUM: ref.sha256},
                )
            except AlreadyThere:
                await self._check_same(ref)
            except InConflict:
                await self._patience.pause(attempt)
                continue
            return ref
        raise Retryable(f"another writer was storing the file {key!r} for {ATTEMPTS_MAX} tries: try again")

    async def get(self, ref: BlobRef) -> bytes:
        check_blob_key(ref.key)
        try:
            data = await self._calls.on_thread(partial(self._read_here, ref.key))
        except Absent as error:
            raise BlobMissing(f"there is no file {ref.key!r}") from error
        if len(data) != ref.size or hashlib.sha256(data).hexdigest() != ref.sha256:
            raise BlobCorrupt(f"the file {ref.key!r} is not the one that was stored")
        return data

    async def _check_same(self, ref: BlobRef) -> None:
        answer = await self._calls.call(Service.BLOBS, "head_object", Bucket=self._bucket, Key=ref.key)
        if answer.get("Metadata", {}).get(_CHECKSUM) != ref.sha256 or answer.get("ContentLength") != ref.size:
            raise Invalid(f"the file {ref.key!r} exists with other content: files are written once, choose a new key")

    def _read_here(self, key: str) -> bytes:
        """On a thread: the body is read from the connection after the answer."""
        answer = self._calls.call_here(Service.BLOBS, "get_object", Bucket=self._bucket, Key=key)
        try:
            data: bytes = answer["Body"].read()
        except BotoCoreError as error:
            raise self._calls.sorted(error, "s3 get_object") from error
        return data
