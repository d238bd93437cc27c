"""Puts the drafted files of an agent together with what follows from the documents: spec and architecture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from penstock_runner.authoring import ProjectInput
from penstock_runner.workflows.agent_build.documents import AgentDesign, RequirementsAnalysis, SystemArchitecture
from penstock_runner.workflows.building.documents import ProjectPlan, SourceFile
from penstock_runner.workflows.building.packaging import (
    VERSION_FIRST,
    Label,
    Package,
    Purpose,
    as_json,
    package_of,
    project_file,
)

SPEC = "spec.json"
ARCHITECTURE = "architecture.json"


@dataclass(frozen=True, slots=True)
class Drafts:
    """Everything the model has drafted; `files` are the tools, prompts and code."""

    project: ProjectInput
    plan: ProjectPlan
    analysis: RequirementsAnalysis
    architecture: SystemArchitecture
    design: AgentDesign
    files: tuple[SourceFile, ...]


def assemble(drafts: Drafts, stages: tuple[str, ...]) -> Package:
    plan = drafts.plan
    files = [
        *drafts.files,
        SourceFile(path=f"{plan.package}/{SPEC}", text=as_json(spec(drafts))),
        SourceFile(path=f"{plan.package}/{ARCHITECTURE}", text=as_json(drafts.architecture.model_dump(mode="json"))),
    ]
    files.append(project_file(plan, VERSION_FIRST, [file.path for file in files]))
    return package_of(Label("agent", plan, stages, [tool.name for tool in drafts.design.tools]), files)


def spec(drafts: Drafts) -> dict[str, Any]:
    analysis = drafts.analysis
    purpose = Purpose(drafts.project, drafts.plan, analysis.requirements, analysis.not_covered)
    return purpose.as_spec(VERSION_FIRST) | drafts.design.model_dump(mode="json")
