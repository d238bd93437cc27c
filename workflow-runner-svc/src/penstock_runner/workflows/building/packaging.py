"""Puts a package's files together with what follows from them: its project file and its manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

from penstock_runner.authoring import ProjectInput
from penstock_runner.workflows.building.documents import Manifest, PackagedFile, ProjectPlan, Requirement, SourceFile

VERSION_FIRST = "0.1.0"
MANIFEST = "manifest.json"
PROJECT_FILE = "pyproject.toml"
PYTHON_REQUIRED = ">=3.11"


@dataclass(frozen=True, slots=True)
class Package:
    """`files` in the order of their paths, the manifest among them."""

    manifest: Manifest
    files: tuple[SourceFile, ...]


@dataclass(frozen=True, slots=True)
class Label:
    """What a manifest says that the files do not."""

    kind: Literal["agent", "tool"]
    plan: ProjectPlan
    stages: Sequence[str]
    tools: Sequence[str]
    version: str = VERSION_FIRST


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a package was made for."""

    project: ProjectInput
    plan: ProjectPlan
    requirements: Sequence[Requirement]
    not_covered: Sequence[str]

    def as_spec(self, version: str) -> dict[str, Any]:
        """The head of the JSON file that describes the package to programs."""
        return {
            "package": self.plan.package,
            "version": version,
            "title": self.plan.title,
            "language": self.plan.language,
            "provenance": self.plan.provenance,
            "requirement": self.project.requirement,
            "requirements": [point.model_dump(mode="json") for point in self.requirements],
            "not_covered": list(self.not_covered),
        }


def package_of(label: Label, files: Iterable[SourceFile]) -> Package:
    """Adds the manifest. Nothing is checked here: inspection.py says what is wrong with the result."""
    plan = label.plan
    inside = sorted(files, key=lambda file: file.path)
    manifest = Manifest(
        kind=label.kind,
        name=plan.package,
        version=label.version,
        title=plan.title,
        language=plan.language,
        entry_point=f"{plan.package}.__main__:main",
        provenance=plan.provenance,
        requirement_sha256=plan.requirement_sha256,
        stages=tuple(label.stages),
        tools=tuple(label.tools),
        prompts=tuple(file.path for file in inside if file.path.startswith(f"{plan.package}/prompts/")),
        files=tuple(packaged(file.path, file.text.encode()) for file in inside),
    )
    inside.append(SourceFile(path=MANIFEST, text=as_json(manifest.model_dump(mode="json"))))
    return Package(manifest, tuple(sorted(inside, key=lambda file: file.path)))


def packaged(path: str, data: bytes) -> PackagedFile:
    return PackagedFile(path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest())


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def project_file(plan: ProjectPlan, version: str, paths: Iterable[str]) -> SourceFile:
    """pyproject.toml of a package with these files; the folders and the kinds of files that are installed follow from them.

    JSON strings without control characters are TOML strings, too.
    """
    title = json.dumps("".join(sign for sign in plan.title if sign.isprintable()), ensure_ascii=False)
    command = plan.package.replace("_", "-")
    # What is no path inside, such as "a/.", is inspection.py's to refuse.
    inside = [path for path in map(PurePosixPath, paths) if path.parts[:1] == (plan.package,) and len(path.parts) > 1]
    folders = {".".join(path.parent.parts) for path in inside if path.suffix == ".py"}
    data = {str(path.relative_to(plan.package).with_name(f"*{path.suffix}")) for path in inside if path.suffix != ".py"}
    text = f"""[project]
name = "{command}"
version = "{version}"
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
packages = {json.dumps(sorted(folders))}

[tool.setuptools.package-data]
{plan.package} = {json.dumps(sorted(data))}

[tool.pytest.ini_options]
pythonpath = ["."]
testpaths = ["tests"]
"""
    return SourceFile(path=PROJECT_FILE, text=text)
