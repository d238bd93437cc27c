"""What the finished stages of one run have left: their outputs, and the files they put."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence

from penstock_backbone.records.results import StoredArtifact, decode_result, encode_result
from penstock_backbone.records.runs import RESULT_INLINE_BYTES_MAX, RunItem, result_of
from penstock_backbone.vocabulary import BlobRef
from penstock_events.facts import Artifact
from penstock_runner.authoring import FinalError
from penstock_runner.domain.output import artifact_bytes
from penstock_runner.handlers.patience import repeated
from penstock_runner.ports import World

ARTIFACTS_MAX = 128
"""Of one run: RunSucceeded lists them all and stays under 64 KB."""
CROWDED_INLINE_BYTES_MAX = 256
"""About what it takes to say where a blob is."""
ARTIFACT_NAME_CHARS_MAX = 200
ARTIFACT_VERSIONS_MAX = 100
_NAME_SEGMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


class Shelf:
    """`fence` is part of every key, so that a runner that lost the run cannot touch the files of its successor.
    `is_crowded`: with so many bytes more, the run's item would hold so much that it should keep no more than it must."""

    def __init__(self, world: World, run_id: str, fence: int, is_crowded: Callable[[int], bool]) -> None:
        self._world = world
        self._is_crowded = is_crowded
        self._coming: dict[str, int] = {}
        self._run_id = run_id
        self._fence = fence
        self._outputs: dict[str, bytes] = {}
        self._artifacts: dict[str, Sequence[StoredArtifact]] = {}
        self._usages: dict[str, dict[str, int] | None] = {}
        self._names: set[str] = set()
        self._versions: dict[str, list[str]] = {}
        self._loaded = False

    async def load(self, run: RunItem) -> None:
        """For a run that resumes; once. Raises BlobMissing or BlobCorrupt: a result that cannot be trusted."""
        if self._loaded:
            return
        for stage in run["results"]:
            result = result_of(run, stage)
            stored = decode_result(await self._read(result) if isinstance(result, BlobRef) else result)
            self.add(stage, bytes(stored.output), stored.artifacts, stored.usage)
        self._loaded = True

    def add(
        self, stage: str, output: bytes, artifacts: Sequence[StoredArtifact], usage: dict[str, int] | None = None
    ) -> None:
        """`stage`, or an item of it, has finished."""
        self._coming.pop(stage, None)
        self._outputs[stage] = output
        self._usages[stage] = usage
        if artifacts:
            self._artifacts[stage] = artifacts
            self._names.update(artifact.name for artifact in artifacts)

    def text_of(self, stage: str) -> bytes | None:
        """The JSON text of its output; None: it has not finished."""
        return self._outputs.get(stage)

    def left_by(self, name: str) -> tuple[Sequence[StoredArtifact], dict[str, int] | None]:
        """The files and the usage of what has finished under this name."""
        return self._artifacts.get(name, ()), self._usages[name]

    async def store_result(
        self, stage: str, output: bytes, artifacts: Sequence[StoredArtifact], usage: dict[str, int] | None = None
    ) -> str | BlobRef:
        """What goes into the run's item: the envelope, or where it is."""
        data = encode_result(output, artifacts, usage)
        crowded = self._is_crowded(sum(self._coming.values()) + len(data))
        if len(data) <= (CROWDED_INLINE_BYTES_MAX if crowded else RESULT_INLINE_BYTES_MAX):
            self._coming[stage] = len(data)
            return data.decode()
        key = f"{self._run_id}/{self._fence}/{stage}.json"
        return await repeated(self._world, lambda: self._world.blobs.put(key, data))

    async def put(self, name: str, data: bytes) -> StoredArtifact:
        problem = name_problem(name)
        if problem is not None:
            raise FinalError(problem)
        data = artifact_bytes(name, data)
        self._names.add(name)
        if len(self._names) > ARTIFACTS_MAX:
            raise FinalError(f"The run puts more than {ARTIFACTS_MAX} artifacts: put an archive instead.")
        key = self._key(name, hashlib.sha256(data).hexdigest())
        ref = await repeated(self._world, lambda: self._world.blobs.put(key, data))
        return StoredArtifact(name, ref.key, ref.sha256, ref.size)

    async def get(self, name: str, own: Mapping[str, StoredArtifact], order: Sequence[str]) -> bytes:
        """`own`: what the attempt that asks has put itself. `order`: the workflow's stages; later ones win."""
        artifact = own.get(name) or self._by_name(order).get(name)
        if artifact is None:
            raise FinalError(f"There is no artifact {name:.200}: no finished stage has put it, nor this one.")
        return await self._read(artifact.ref)

    def artifacts(self, order: Sequence[str]) -> list[Artifact]:
        """All files of the run by name; one that several stages have put is the last one's."""
        found = self._by_name(order)
        return [Artifact(name=name, size=found[name].size, sha256=found[name].sha256) for name in sorted(found)]

    async def _read(self, ref: BlobRef) -> bytes:
        return await repeated(self._world, lambda: self._world.blobs.get(ref))

    def _by_name(self, order: Sequence[str]) -> dict[str, StoredArtifact]:
        return {artifact.name: artifact for stage in order for artifact in self._artifacts.get(stage, ())}

    def _key(self, name: str, sha256: str) -> str:
        """Blobs are written once: other bytes under a name this fence has used go to a folder of their own, so that
        neither a repeated attempt nor a late write can spoil what a finished stage has put."""
        versions = self._versions.setdefault(name, [])
        if sha256 not in versions:
            if len(versions) == ARTIFACT_VERSIONS_MAX:
                raise FinalError(
                    f"The artifact {name} was put {ARTIFACT_VERSIONS_MAX} times, each time with other bytes."
                )
            versions.append(sha256)
        number = versions.index(sha256) + 1
        folder = "artifacts" if number == 1 else f"artifacts.{number}"
        return f"{self._run_id}/{self._fence}/{folder}/{name}"


def name_problem(name: str) -> str | None:
    """Why a file may not have this name, in one plain sentence."""
    if len(name) <= ARTIFACT_NAME_CHARS_MAX and all(_NAME_SEGMENT.fullmatch(part) for part in name.split("/")):
        return None
    return (
        f"The artifact name {name[:60]!r} cannot be used: a name is a relative path of at most "
        f"{ARTIFACT_NAME_CHARS_MAX} letters, digits and '._-', and no part of it begins with a dot."
    )
