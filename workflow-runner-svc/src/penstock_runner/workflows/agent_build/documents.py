"""What each stage of agent_build hands on."""

from __future__ import annotations

from pydantic import Field

from penstock_runner.workflows.building.documents import (
    TOOLS_MAX,
    Document,
    FileSet,
    Line,
    Name,
    Requirement,
)


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


class ToolSet(FileSet):
    """tools_developer: the tools' sources and their tests."""


class PromptSet(FileSet):
    """prompt_engineer: the prompts."""


class AgentCode(FileSet):
    """agent_code_developer: the agent, its command line, its tests and its README."""
