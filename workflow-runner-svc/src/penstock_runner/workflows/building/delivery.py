"""Leaves what was made as artifacts: each stage its document, and in the end each file of the proved package, a zip and a
wheel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from penstock_runner.authoring import StageContext
from penstock_runner.workflows.building.archive import source_archive, wheel, wheel_name
from penstock_runner.workflows.building.documents import Deployment, Document, TestReport
from penstock_runner.workflows.building.packaging import Package, as_json, packaged

ARCHIVE = "package.zip"
PACKAGE_FOLDER = "package/"

Left = TypeVar("Left", bound=Document)


def leaving(run: Callable[[StageContext], Awaitable[Left]]) -> Callable[[StageContext], Awaitable[Left]]:
    """The stage also leaves its document as an artifact: there to be read before the run ends, and if it fails."""

    async def run_and_leave(context: StageContext) -> Left:
        document = await run(context)
        await context.put_artifact(document_name(context.stage), _as_json(document))
        return document

    return run_and_leave


async def deliver(
    context: StageContext,
    package: Package,
    tests: TestReport,
    documents: int,
    more: Mapping[str, bytes] | None = None,
) -> Deployment:
    """`documents`: how many the stages before have left; `more`: further artifacts by name."""
    archives = {ARCHIVE: source_archive(package), wheel_name(package): wheel(package)}
    artifacts = {f"{PACKAGE_FOLDER}{file.path}": file.text.encode() for file in package.files} | archives
    artifacts |= more or {}
    deployment = Deployment(
        archive=packaged(ARCHIVE, archives[ARCHIVE]),
        wheel=packaged(wheel_name(package), archives[wheel_name(package)]),
        tests=tests,
        artifacts=len(artifacts) + documents + 1,
    )
    artifacts[document_name(context.stage)] = _as_json(deployment)
    # Not a TaskGroup: a FinalError inside an exception group would be taken for something to try again.
    await asyncio.gather(*(context.put_artifact(name, data) for name, data in artifacts.items()))
    return deployment


def document_name(stage: str) -> str:
    return f"documents/{stage}.json"


def _as_json(document: Document) -> bytes:
    return as_json(document.model_dump(mode="json")).encode()
