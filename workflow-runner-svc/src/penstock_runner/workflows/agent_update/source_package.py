"""Finds the package that is to be changed: another project's, or the files that came with the request."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from penstock_runner.authoring import FinalError, StageContext
from penstock_runner.workflows.agent_build.assembly import SPEC
from penstock_runner.workflows.agent_update.documents import UpdateOrder
from penstock_runner.workflows.building.delivery import PACKAGE_FOLDER
from penstock_runner.workflows.building.documents import FILE_BYTES_MAX, FILES_MAX, Manifest, SourceFile
from penstock_runner.workflows.building.drafting import plan_facts, project_of
from penstock_runner.workflows.building.inspection import PACKAGE_BYTES_MAX, unreadable, unsafe
from penstock_runner.workflows.building.packaging import MANIFEST

PROBLEMS_SHOWN = 5
_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})\.\d{1,6}")
_SORRY = "The package cannot be changed: "


async def facts_of_update(context: StageContext, provenance: str) -> dict[str, Any]:
    """What an UpdatePlan knows without a model. Raises FinalError for a package that cannot be changed."""
    order = context.input_as(UpdateOrder)
    if order.files is not None:
        files = [SourceFile(path=path, text=text) for path, text in sorted(order.files.items())]
    else:
        assert order.project is not None
        files = await _left_by(order.project, context)
    manifest = _manifest(next((file.text for file in files if file.path == MANIFEST), ""))
    documents = [file for file in files if file.path.endswith((".json", ".toml"))]
    if problems := list(unsafe(files)) or list(unreadable(documents)):
        raise FinalError(_SORRY + " ".join(problems[:PROBLEMS_SHOWN]))
    project = project_of(context)
    before = spec_of(manifest.name, files).get("requirement", "")
    whole = project.model_copy(update={"requirement": f"{before}\n\n{project.requirement}".strip()})
    return plan_facts(whole, provenance) | {
        "package": manifest.name,
        "title": manifest.title,
        "language": manifest.language,
        "change": project.requirement,
        "requirement": whole.requirement,
        "version": next_version(manifest.version),
        "base_version": manifest.version,
        "base_provenance": manifest.provenance,
        "base": tuple(files),
    }


def spec_of(package: str, files: Sequence[SourceFile]) -> dict[str, Any]:
    """The package's spec.json; {} where there is none that is an object."""
    for file in files:
        if file.path == f"{package}/{SPEC}":
            found = json.loads(file.text)
            return found if isinstance(found, dict) else {}
    return {}


def next_version(version: str) -> str:
    """The next minor one; 0.2.0 where the old one is no such number."""
    found = _VERSION.fullmatch(version)
    return f"{found[1]}.{int(found[2]) + 1}.0" if found else "0.2.0"


async def _left_by(project_id: str, context: StageContext) -> list[SourceFile]:
    """All files of the package that a project has made, as its manifest lists them."""

    async def text_of(path: str) -> str:
        data = await context.get_artifact(PACKAGE_FOLDER + path, of=project_id)
        return data.decode("utf-8", "replace")

    text = await text_of(MANIFEST)
    manifest = _manifest(text)
    sizes = [file.size for file in manifest.files]
    if len(sizes) >= FILES_MAX or sum(sizes) > PACKAGE_BYTES_MAX or max(sizes, default=0) > FILE_BYTES_MAX:
        raise FinalError(f"{_SORRY}it is larger than {FILES_MAX} files or {PACKAGE_BYTES_MAX} bytes.")
    texts = await asyncio.gather(*(text_of(file.path) for file in manifest.files))
    files = [SourceFile(path=file.path, text=text) for file, text in zip(manifest.files, texts, strict=True)]
    return [*files, SourceFile(path=MANIFEST, text=text)]


def _manifest(text: str) -> Manifest:
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError:
        raise FinalError(f"{_SORRY}it has no {MANIFEST} as agent_build writes it.") from None
    if manifest.kind != "agent":
        raise FinalError(f"{_SORRY}it is a {manifest.kind}, and agent_update changes agents.")
    return manifest
