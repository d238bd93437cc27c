"""What each stage of agent_build hands on: typed, bounded documents, whichever model drafts them."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

FILE_BYTES_MAX = 256 * 1024
FILES_MAX = 60
TOOLS_MAX = 12
OUTPUT_CHARS_MAX = 4000

Line = Annotated[str, Field(max_length=400)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class SourceFile(Document):
    """`path` is relative to the package's folder, with "/" between; assembly.py refuses one that escapes."""

    path: str = Field(max_length=200)
    text: str = Field(max_length=FILE_BYTES_MAX)


class ProjectPlan(Document):
    """orchestrator: what is built, for whom it speaks, and who drafts it."""

    package: Name
    title: Line
    language: str = Field(pattern=r"^[a-z]{2}$")
    requirement_sha256: Sha256
    requirement_chars: int = Field(ge=0)
    provenance: Line


class Requirement(Document):
    id: str
    text: Line


class Capability(Document):
    """A tool the requirement calls for, and the words of it that say so (none: it is a default)."""

    tool: Name
    words: tuple[Line, ...] = Field(default=(), max_length=20)


class RequirementsAnalysis(Document):
    """requirements_analysis: the requirement taken apart; `not_covered` says what this draft will not do."""

    requirements: tuple[Requirement, ...] = Field(min_length=1, max_length=40)
    keywords: tuple[Line, ...] = Field(default=(), max_length=20)
    capabilities: tuple[Capability, ...] = Field(min_length=1, max_length=TOOLS_MAX)
    not_covered: tuple[Line, ...] = Field(default=(), max_length=20)
    workflow_complexity: str = "single_agent"


class Component(Document):
    name: Line
    duty: Line
    uses: tuple[Line, ...] = ()


class SystemArchitecture(Document):
    """system_architecture: the parts and who uses whom; becomes architecture.json."""

    components: tuple[Component, ...] = Field(min_length=1, max_length=40)
    flow: tuple[Line, ...] = Field(max_length=40)
    interfaces: dict[str, Line]


class ToolChoice(Document):
    name: Name
    title: Line
    example: str = Field(max_length=1000)


class AgentDesign(Document):
    """agent_design: the agent itself; becomes spec.json. The first tool answers what no tool's words match."""

    role: Line
    tools: tuple[ToolChoice, ...] = Field(min_length=1, max_length=TOOLS_MAX)
    rules: tuple[Line, ...] = Field(max_length=20)


class ToolSet(Document):
    """tools_developer: the tools' sources and their tests."""

    files: tuple[SourceFile, ...] = Field(min_length=1, max_length=FILES_MAX)


class PromptSet(Document):
    """prompt_engineer: the prompts."""

    files: tuple[SourceFile, ...] = Field(min_length=1, max_length=FILES_MAX)


class AgentCode(Document):
    """agent_code_developer: the agent, its command line, its tests and its README."""

    files: tuple[SourceFile, ...] = Field(min_length=1, max_length=FILES_MAX)


class PackagedFile(Document):
    path: str
    size: int = Field(ge=0)
    sha256: Sha256


class Manifest(Document):
    """manifest.json: what is in the package and how it came to be. `files` lists all but the manifest itself."""

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


class AssemblyReport(Document):
    """agent_developer_manager: the package as it will be built, and what was checked in it."""

    manifest: Manifest
    checks: tuple[str, ...]


class TestReport(Document):
    """What the package's own tests said. `output` is the end of what they printed."""

    __test__: ClassVar[bool] = False  # pytest must not take this for a test class.

    passed: int = Field(ge=0)
    failed: int = Field(ge=0)
    duration_ms: int = Field(ge=0)
    output: str = Field(max_length=OUTPUT_CHARS_MAX)


class Deployment(Document):
    """agent_deployer: the built archives and the proof that the package works."""

    archive: PackagedFile
    wheel: PackagedFile
    tests: TestReport
    artifacts: int = Field(ge=1)
