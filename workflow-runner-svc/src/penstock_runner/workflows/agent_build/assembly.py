"""Puts the drafted files together with what follows from the documents: spec, architecture, project file, manifest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from penstock_runner.authoring import ProjectInput
from penstock_runner.workflows.agent_build.documents import (
    AgentDesign,
    Manifest,
    PackagedFile,
    ProjectPlan,
    RequirementsAnalysis,
    SourceFile,
    SystemArchitecture,
)

VERSION = "0.1.0"
MANIFEST = "manifest.json"
PYTHON_REQUIRED = ">=3.11"


@dataclass(frozen=True, slots=True)
class Drafts:
    """Everything the model has drafted; `files` are the tools, prompts and code."""

    project: ProjectInput
    plan: ProjectPlan
    analysis: RequirementsAnalysis
    architecture: SystemArchitecture
    design: AgentDesign
    files: tuple[SourceFile, ...]


@dataclass(frozen=True, slots=True)
class Package:
    """`files` in the order of their paths, the manifest among them."""

    manifest: Manifest
    files: tuple[SourceFile, ...]


def assemble(drafts: Drafts, stages: tuple[str, ...]) -> Package:
    """Nothing is checked here: inspection.py says what is wrong with the result."""
    plan = drafts.plan
    name = plan.package
    files = [
        *drafts.files,
        SourceFile(path=f"{name}/spec.json", text=as_json(_spec(drafts))),
        SourceFile(path=f"{name}/architecture.json", text=as_json(drafts.architecture.model_dump(mode="json"))),
        SourceFile(path="pyproject.toml", text=_project_file(plan)),
    ]
    files.sort(key=lambda file: file.path)
    manifest = Manifest(
        name=name,
        version=VERSION,
        title=plan.title,
        language=plan.language,
        entry_point=f"{name}.__main__:main",
        provenance=plan.provenance,
        requirement_sha256=plan.requirement_sha256,
        stages=stages,
        tools=tuple(tool.name for tool in drafts.design.tools),
        prompts=tuple(file.path for file in files if file.path.startswith(f"{name}/prompts/")),
        files=tuple(packaged(file.path, file.text.encode()) for file in files),
    )
    files.append(SourceFile(path=MANIFEST, text=as_json(manifest.model_dump(mode="json"))))
    files.sort(key=lambda file: file.path)
    return Package(manifest, tuple(files))


def packaged(path: str, data: bytes) -> PackagedFile:
    return PackagedFile(path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest())


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def _spec(drafts: Drafts) -> dict[str, Any]:
    plan = drafts.plan
    return {
        "package": plan.package,
        "version": VERSION,
        "title": plan.title,
        "language": plan.language,
        "provenance": plan.provenance,
        "requirement": drafts.project.requirement,
        "requirements": [point.model_dump(mode="json") for point in drafts.analysis.requirements],
        "not_covered": list(drafts.analysis.not_covered),
        **drafts.design.model_dump(mode="json"),
    }


def _project_file(plan: ProjectPlan) -> str:
    """JSON strings without control characters are TOML strings, too."""
    title = json.dumps("".join(sign for sign in plan.title if sign.isprintable()), ensure_ascii=False)
    command = plan.package.replace("_", "-")
    return f"""[project]
name = "{command}"
version = "{VERSION}"
description = {title}
readme = "README.md"
requires-python = "{PYTHON_REQUIRED}"

[project.optional-dependencies]
test = ["pytest>=8"]

[project.scripts]
{command} = "{plan.package}.__main__:main"

[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[tool.setuptools]
packages = ["{plan.package}", "{plan.package}.tools"]

[tool.setuptools.package-data]
{plan.package} = ["*.json", "prompts/*.md"]

[tool.pytest.ini_options]
pythonpath = ["."]
testpaths = ["tests"]
"""
