"""What the documents of all building workflows are made of: typed, bounded, whichever model drafts them."""

from __future__ import annotations

import keyword
import sys
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

FILE_BYTES_MAX = 256 * 1024
FILES_MAX = 60
TOOLS_MAX = 12
OUTPUT_CHARS_MAX = 4000

Line = Annotated[str, Field(max_length=400)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _importable(package: str) -> str:
    if package in sys.stdlib_module_names or keyword.iskeyword(package) or package in {"tests", "pytest"}:
        raise ValueError(f"{package} is a name that Python or the tests use, choose another")
    return package


class Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class SourceFile(Document):
    """`path` is relative to the package's folder, with "/" between; inspection.py refuses one that escapes."""

    path: str = Field(max_length=200)
    text: str = Field(max_length=FILE_BYTES_MAX)


class FileSet(Document):
    files: tuple[SourceFile, ...] = Field(min_length=1, max_length=FILES_MAX)


class ProjectPlan(Document):
    """The first stage's: what is built, for whom it speaks, and who drafts it. The last three fields are facts."""

    package: Annotated[Name, AfterValidator(_importable)]
    title: Line
    language: str = Field(pattern=r"^[a-z]{2}$")
    requirement_sha256: Sha256
    requirement_chars: int = Field(ge=0)
    provenance: Line


class Requirement(Document):
    id: str
    text: Line


class PackagedFile(Document):
    path: str
    size: int = Field(ge=0)
    sha256: Sha256


class Manifest(Document):
    """manifest.json: what is in the package and how it came to be. `files` lists all but the manifest itself."""

    kind: Literal["agent", "tool"] = "agent"
    name: Name
    version: str
    title: Line
    language: str
    entry_point: str
    provenance: Line
    requirement_sha256: Sha256
    stages: tuple[str, ...]
    tools: tuple[str, ...]
    prompts: tuple[str, ...]
    files: tuple[PackagedFile, ...]


class TestReport(Document):
    """What the package's own tests said. `output` is the end of what they printed."""

    __test__: ClassVar[bool] = False  # pytest must not take this for a test class.

    passed: int = Field(ge=0)
    failed: int = Field(ge=0)
    duration_ms: int = Field(ge=0)
    output: str = Field(max_length=OUTPUT_CHARS_MAX)


class AssemblyReport(Document):
    """The package as it will be delivered, and what was checked in it. `notes`: what the linter found untidy."""

    manifest: Manifest
    checks: tuple[str, ...]
    notes: tuple[Line, ...] = ()


class Deployment(Document):
    """The built archives and the proof that the package works."""

    archive: PackagedFile
    wheel: PackagedFile
    tests: TestReport
    artifacts: int = Field(ge=1)
