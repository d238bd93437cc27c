"""Leaves a proved package as artifacts: each file, the documents of all stages, a zip and a wheel."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from penstock_runner.authoring import StageContext
from penstock_runner.workflows.building.archive import source_archive, wheel, wheel_name
from penstock_runner.workflows.building.documents import Deployment, Document, TestReport
from penstock_runner.workflows.building.packaging import Package, as_json, packaged

ARCHIVE = "package.zip"
PACKAGE_FOLDER = "package/"


async def deliver(
    context: StageContext,
    package: Package,
    tests: TestReport,
    documents: Mapping[str, Document],
    more: Mapping[str, bytes] | None = None,
) -> Deployment:
    """`documents`: of the stages before, by stage; `more`: further artifacts by name."""
    archives = {ARCHIVE: source_archive(package), wheel_name(package): wheel(package)}
    artifacts = {f"{PACKAGE_FOLDER}{file.path}": file.text.encode() for file in package.files} | archives
    artifacts |= more or {}
    for stage, document in documents.items():
        artifacts[document_name(stage)] = _as_json(document)
    deployment = Deployment(
        archive=packaged(ARCHIVE, archives[ARCHIVE]),
        wheel=packaged(wheel_name(package), archives[wheel_name(package)]),
        tests=tests,
        artifacts=len(artifacts) + 1,
    )
    artifacts[document_name(context.stage)] = _as_json(deployment)
    # Not a TaskGroup: a FinalError inside an exception group would be taken for something to try again.
    await asyncio.gather(*(context.put_artifact(name, data) for name, data in artifacts.items()))
    return deployment


def document_name(stage: str) -> str:
    return f"documents/{stage}.json"


def _as_json(document: Document) -> bytes:
    return as_json(document.model_dump(mode="json")).encode()
