"""Puts a tool's drafted files together with what follows from the documents: its description and its project file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from penstock_runner.authoring import ProjectInput
from penstock_runner.workflows.building.documents import ProjectPlan, SourceFile
from penstock_runner.workflows.building.inspection import top_names
from penstock_runner.workflows.building.packaging import (
    VERSION_FIRST,
    Label,
    Package,
    Purpose,
    as_json,
    package_of,
    project_file,
)
from penstock_runner.workflows.tool_build.documents import FunctionDesign, Parameter, ToolDesign, ToolRequirements


@dataclass(frozen=True, slots=True)
class Drafts:
    """What was drafted before the README."""

    project: ProjectInput
    plan: ProjectPlan
    analysis: ToolRequirements
    design: ToolDesign


def sources(drafts: Drafts, code: Sequence[SourceFile]) -> tuple[SourceFile, ...]:
    """Everything that runs: `code`, tool.json and pyproject.toml."""
    plan = drafts.plan
    files = (*code, SourceFile(path=f"{plan.package}/tool.json", text=as_json(description(drafts))))
    return (*files, project_file(plan, VERSION_FIRST, [file.path for file in files]))


def assemble(drafts: Drafts, files: Sequence[SourceFile], stages: tuple[str, ...]) -> Package:
    names = [function.name for function in drafts.design.functions]
    return package_of(Label("tool", drafts.plan, stages, names), files)


def description(drafts: Drafts) -> dict[str, Any]:
    """tool.json. Its `functions` have the form in which agents are told what they may call."""
    analysis = drafts.analysis
    purpose = Purpose(drafts.project, drafts.plan, analysis.requirements, analysis.not_covered)
    return purpose.as_spec(VERSION_FIRST) | {"functions": [_function(function) for function in drafts.design.functions]}


def missing(drafts: Drafts, files: Sequence[SourceFile]) -> Iterator[str]:
    """What the design promises and the package's first module does not have, nor a command line."""
    path = f"{drafts.plan.package}/__init__.py"
    texts = {file.path: file.text for file in files}
    names = top_names(texts.get(path, ""))
    for function in drafts.design.functions:
        if function.name not in names:
            yield f"{path!r} must offer {function.name!r}, as the design says."
    main = f"{drafts.plan.package}/__main__.py"
    if "main" not in top_names(texts.get(main, "")):
        yield f"{main!r} must offer 'main'."


def _function(function: FunctionDesign) -> dict[str, Any]:
    return {
        "name": function.name,
        "description": function.description,
        "input_schema": {
            "type": "object",
            "properties": {one.name: _schema(one) for one in function.parameters},
            "required": [one.name for one in function.parameters if one.required],
        },
        "returns": function.returns,
        "errors": list(function.errors),
        "example": function.example,
    }


def _schema(parameter: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": parameter.type, "description": parameter.description}
    return schema | ({"items": {"type": parameter.items}} if parameter.type == "array" else {})
