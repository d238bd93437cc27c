"""What stands in a run's `results` for a finished stage: its output and the files it left, in one JSON envelope.

    {"output": <the stage's result, as its pydantic model dumped it>,
     "artifacts": [[name, blob key, sha256, size], …],          absent when there are none
     "usage": {"input_tokens": 3, …}}                           only of an item of a list, until its stage is finished

The envelope stands in the item up to RESULT_INLINE_BYTES_MAX; a larger one is a blob, and the item holds its
[key, sha256, size] (records.runs.result_of). Whoever wants a file of a run looks its name up here, because
the key of its blob is nobody else's business; RunSucceeded lists names, sizes and checksums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from penstock_backbone.errors import BlobCorrupt
from penstock_backbone.vocabulary import BlobRef


class StoredArtifact(msgspec.Struct, frozen=True, array_like=True):
    """A file by the name the author gave it, and where it is."""

    name: str
    key: str
    sha256: str
    size: int

    @property
    def ref(self) -> BlobRef:
        return BlobRef(self.key, self.sha256, self.size)


class StoredResult(msgspec.Struct, frozen=True):
    """`output` is JSON text, still to be validated by the stage's model."""

    output: msgspec.Raw
    artifacts: tuple[StoredArtifact, ...] = ()
    usage: dict[str, int] | None = None


_decoder = msgspec.json.Decoder(StoredResult)


def encode_result(
    output: bytes, artifacts: Sequence[StoredArtifact] = (), usage: Mapping[str, int] | None = None
) -> bytes:
    """`output` is the JSON text of the stage's result in UTF-8; it is taken as it is."""
    text = b'{"output":' + output
    if artifacts:
        text += b',"artifacts":' + msgspec.json.encode(artifacts)
    if usage:
        text += b',"usage":' + msgspec.json.encode(usage)
    return text + b"}"


def decode_result(stored: str | bytes) -> StoredResult:
    """Raises BlobCorrupt when the text is not such an envelope."""
    try:
        return _decoder.decode(stored)
    except msgspec.MsgspecError as error:
        raise BlobCorrupt(f"a stored stage result cannot be read: {error}") from error


def files_by_name(order: Sequence[str], results: Mapping[str, StoredResult]) -> dict[str, tuple[str, StoredArtifact]]:
    """Name → (stage, file); of a name that several stages have put, the last one's file stands."""
    return {
        artifact.name: (stage, artifact) for stage in order if stage in results for artifact in results[stage].artifacts
    }
