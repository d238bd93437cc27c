"""What agent_update is given, and what each of its stages hands on."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from penstock_runner.workflows.agent_build.documents import AgentDesign
from penstock_runner.workflows.building.documents import (
    FILE_BYTES_MAX,
    FILES_MAX,
    Document,
    Line,
    ProjectPlan,
    Requirement,
    SourceFile,
)

Area = Literal["tools", "prompts", "code"]
Path = Annotated[str, Field(max_length=200)]
CHANGES_MAX = 20


class UpdateOrder(BaseModel):
    """The input of a request: which package is to be changed. Either `project`, or `files`: text by path."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"anyOf": [{"required": ["project"]}, {"required": ["files"]}]},
    )

    project: Annotated[str, Field(min_length=1, max_length=60)] | None = None
    files: dict[Path, Annotated[str, Field(max_length=FILE_BYTES_MAX)]] | None = Field(
        default=None, min_length=1, max_length=FILES_MAX
    )

    @model_validator(mode="after")
    def _one_package(self) -> Self:
        if (self.project is None) == (self.files is None):
            raise ValueError(
                "give either `project`, the id of a project that agent_build or agent_update has finished, "
                "or `files`, the package's files by path"
            )
        return self


class UpdatePlan(ProjectPlan):
    """update_orchestrator: what the change is about. A model is asked for the first two fields; the rest are facts.

    `requirement` is what was asked for before and now, `version` the new one; `base` are the files as they were.
    """

    summary: Line
    touches: tuple[Area, ...] = Field(min_length=1, max_length=3)
    change: str
    requirement: str
    version: str
    base_version: str
    base_provenance: Line
    base: tuple[SourceFile, ...] = Field(max_length=FILES_MAX)


class RequirementsUpdate(Document):
    """requirements_update: the request taken apart, and the agent as it will be."""

    changes: tuple[Requirement, ...] = Field(min_length=1, max_length=CHANGES_MAX)
    not_covered: tuple[Line, ...] = Field(default=(), max_length=20)
    design: AgentDesign


class ChangeSet(Document):
    """`files` are new or replace the one of their path; `removed` are paths that are no longer there."""

    files: tuple[SourceFile, ...] = Field(default=(), max_length=FILES_MAX)
    removed: tuple[Path, ...] = Field(default=(), max_length=FILES_MAX)


class ToolUpdate(ChangeSet):
    """tool_update: tools and their tests."""


class PromptUpdate(ChangeSet):
    """prompt_update: prompts."""


class CodeUpdate(ChangeSet):
    """code_update: the agent, its command line, its tests and README."""
