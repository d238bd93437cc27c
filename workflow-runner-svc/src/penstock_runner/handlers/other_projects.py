"""Files that other projects of the same tenant have left, for stages that build on them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from penstock_backbone.records.projects import as_project, project_key
from penstock_backbone.records.results import StoredArtifact, StoredResult, decode_result, files_by_name
from penstock_backbone.records.runs import SUCCEEDED, RunItem, as_run, result_of, run_key, stage_order
from penstock_backbone.vocabulary import BlobRef, Item, Key
from penstock_runner.authoring import FinalError
from penstock_runner.handlers.patience import repeated
from penstock_runner.ports import World

PROJECTS_MAX = 100
"""That one run may read from."""


class OtherProjects:
    def __init__(self, world: World, tenant: str) -> None:
        self._world = world
        self._tenant = tenant
        self._files: dict[str, Mapping[str, tuple[str, StoredArtifact]]] = {}

    async def get(self, project_id: str, name: str) -> bytes:
        """Raises FinalError where there is no such file, nor ever will be."""
        if project_id not in self._files:
            if len(self._files) == PROJECTS_MAX:
                raise FinalError(f"The run reads files of more than {PROJECTS_MAX} other projects.")
            self._files[project_id] = await self._files_of(project_id)
        found = self._files[project_id].get(name)
        if found is None:
            raise FinalError(f"The project {project_id} has left no file {name:.200}.")
        return await self._blob(found[1].ref)

    async def _files_of(self, project_id: str) -> Mapping[str, tuple[str, StoredArtifact]]:
        item = await self._item(project_key(project_id)) if project_id else None
        project = as_project(item) if item is not None else None
        # Another tenant's project is none: who asks must not even learn that it is there.
        if project is None or project["tenant"] != self._tenant:
            raise FinalError(f"There is no project {project_id:.60}: give the id of one of your own.")
        item = await self._item(run_key(project["run_id"]))
        run = as_run(item) if item is not None else None
        if run is None or run["state"] != SUCCEEDED:
            state = "waiting" if run is None else run["state"]
            raise FinalError(
                f"The project {project_id} has not succeeded (it is {state}), so its files cannot be used."
            )
        results = await asyncio.gather(*(self._result(run, stage) for stage in run["results"]))
        return files_by_name(stage_order(run), dict(zip(run["results"], results, strict=True)))

    async def _result(self, run: RunItem, stage: str) -> StoredResult:
        stored = result_of(run, stage)
        return decode_result(await self._blob(stored) if isinstance(stored, BlobRef) else stored)

    async def _item(self, key: Key) -> Item | None:
        (item,) = await repeated(self._world, lambda: self._world.tables.get([key]))
        return item

    async def _blob(self, ref: BlobRef) -> bytes:
        return await repeated(self._world, lambda: self._world.blobs.get(ref))
