"""The package after the change: the base with every change set put on it, and what follows from the new design."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic import ValidationError

from penstock_runner.workflows.agent_build.assembly import ARCHITECTURE, SPEC
from penstock_runner.workflows.agent_build.documents import AgentDesign, Component, SystemArchitecture
from penstock_runner.workflows.agent_update.documents import ChangeSet, RequirementsUpdate, UpdatePlan
from penstock_runner.workflows.agent_update.source_package import spec_of
from penstock_runner.workflows.building.documents import SourceFile
from penstock_runner.workflows.building.packaging import (
    MANIFEST,
    PROJECT_FILE,
    Label,
    Package,
    as_json,
    package_of,
    project_file,
)


def assemble(
    plan: UpdatePlan, update: RequirementsUpdate, sets: Sequence[ChangeSet], stages: tuple[str, ...]
) -> Package:
    """The project file and the manifest are written anew; spec and architecture follow from the design."""
    texts = {file.path: file.text for file in plan.base}
    for changes in sets:
        texts = {path: text for path, text in texts.items() if path not in changes.removed}
        texts |= {file.path: file.text for file in changes.files}
    texts[f"{plan.package}/{SPEC}"] = as_json(_spec(plan, update))
    architecture = f"{plan.package}/{ARCHITECTURE}"
    if architecture in texts:
        texts[architecture] = _architecture(texts[architecture], update.design)
    files = [SourceFile(path=path, text=text) for path, text in texts.items() if path not in {MANIFEST, PROJECT_FILE}]
    files.append(project_file(plan, plan.version, [file.path for file in files]))
    tools = [tool.name for tool in update.design.tools]
    return package_of(Label("agent", plan, stages, tools, plan.version), files)


def _spec(plan: UpdatePlan, update: RequirementsUpdate) -> dict[str, object]:
    before = spec_of(plan.package, plan.base)
    points = [*before.get("requirements", []), *(point.model_dump(mode="json") for point in update.changes)]
    told = {
        "package": plan.package,
        "version": plan.version,
        "title": plan.title,
        "language": plan.language,
        "provenance": plan.provenance,
        "requirement": plan.requirement,
        "requirements": points,
        "not_covered": list(update.not_covered),
    }
    return before | told | update.design.model_dump(mode="json")


def _architecture(text: str, design: AgentDesign) -> str:
    """The parts of tools that are gone go, and new tools get one. One that has another shape stays as it is."""
    try:
        found = SystemArchitecture.model_validate(json.loads(text))
    except ValidationError:
        return text
    names = [tool.name for tool in design.tools]
    known = {part.name: part for part in found.components}
    former = {name for part in found.components if part.name == "agent" for name in part.uses if name != "model"}
    gone = former - set(names)
    components = [
        part.model_copy(update={"uses": (*names, "model")}) if part.name == "agent" else part
        for part in found.components
        if part.name not in gone
    ]
    components += [Component(name=tool.name, duty=tool.title) for tool in design.tools if tool.name not in known]
    return as_json(found.model_copy(update={"components": tuple(components)}).model_dump(mode="json"))
