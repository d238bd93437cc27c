"""Finds and fetches the files of a run."""

from __future__ import annotations

import asyncio

from penstock_backbone.ports import Blobs
from penstock_backbone.records.results import StoredArtifact, StoredResult, decode_result, files_by_name
from penstock_backbone.records.runs import RunItem, finished_stages, result_of, stage_order
from penstock_backbone.vocabulary import BlobRef


class Artifacts:
    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def of(self, run: RunItem) -> dict[str, tuple[str, StoredArtifact]]:
        """Name → (stage, file), from the stages finished so far. Raises BlobMissing or BlobCorrupt."""
        stages = sorted(finished_stages(run))
        results = await asyncio.gather(*(self._result(run, stage) for stage in stages))
        return files_by_name(stage_order(run), dict(zip(stages, results, strict=True)))

    async def fetch(self, artifact: StoredArtifact) -> bytes:
        return await self._blobs.get(artifact.ref)

    async def _result(self, run: RunItem, stage: str) -> StoredResult:
        stored = result_of(run, stage)
        return decode_result(await self._blobs.get(stored) if isinstance(stored, BlobRef) else stored)
