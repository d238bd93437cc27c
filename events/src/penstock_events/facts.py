"""The facts of a run's story, as frozen models: what happened, in the past tense.

Money is in micro-dollars, durations in milliseconds, sizes in bytes. A number that was not measured
is absent (None), never invented. New optional fields may be added to a version; readers ignore fields
they do not know and must accept unknown values in the open string fields.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field


class Fact(BaseModel):
    """`version` rises when a reader of the old shape would misread the new one (see upcasters.py)."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    version: ClassVar[int] = 1


class Usage(BaseModel):
    """What a stage really consumed, as its model reported it."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    input_tokens: int | None = Field(default=None, ge=0)
    output_tokens: int | None = Field(default=None, ge=0)
    tool_calls: int | None = Field(default=None, ge=0)
    cost_microusd: int | None = Field(default=None, ge=0)


class Artifact(BaseModel):
    """A file that a run left behind; fetch it through the API by its name."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    name: str
    size: int = Field(ge=0)
    sha256: str


class ProjectCreated(Fact):
    """A request was accepted durably; its first run will be queued next."""

    name: str
    workflow: str
    priority: int = Field(ge=1, le=5)
    tags: tuple[str, ...] = ()


class RunQueued(Fact):
    """The run waits for a token."""

    workflow: str
    priority: int = Field(ge=1, le=5)


class RunAdmitted(Fact):
    """A runner holds the run under this fence: it was granted a token and took it up."""

    fence: int = Field(ge=1)
    waited_ms: int = Field(ge=0)


class RunStarted(Fact):
    """Execution began, or began again after an interruption (`attempt` > 1), with these stages to do."""

    fence: int = Field(ge=1)
    attempt: int = Field(ge=1)
    workflow_version: str
    stages: tuple[str, ...]


class StageStarted(Fact):
    stage: str
    attempt: int = Field(ge=1)


class StageCompleted(Fact):
    """The stage's result is durable; it will never run again."""

    stage: str
    attempt: int = Field(ge=1)
    duration_ms: int = Field(ge=0)
    output_bytes: int = Field(ge=0)
    usage: Usage | None = None


class StageFailed(Fact):
    """One attempt failed. `final` False: it will be tried again after `retry_in_ms`. `usage` is what it cost all the same."""

    stage: str
    attempt: int = Field(ge=1)
    duration_ms: int = Field(ge=0)
    error: str
    message: str
    final: bool
    retry_in_ms: int | None = None
    usage: Usage | None = None


class RunRequeued(Fact):
    """The runner was lost; the run waits again and will resume after its last finished stage."""

    reason: str


class RunSucceeded(Fact):
    duration_ms: int = Field(ge=0)
    artifacts: tuple[Artifact, ...] = ()


class RunFailed(Fact):
    """`stage` None: the run as a whole failed (for example: interrupted too often)."""

    stage: str | None = None
    error: str
    message: str


class RunCancelRequested(Fact):
    """Somebody wants the run ended; whoever executes it stops, and then it is cancelled."""

    reason: str


class RunCancelled(Fact):
    reason: str


FACTS: dict[str, type[Fact]] = {
    model.__name__: model
    for model in (
        ProjectCreated, RunQueued, RunAdmitted, RunStarted, StageStarted, StageCompleted, StageFailed,
        RunRequeued, RunSucceeded, RunFailed, RunCancelRequested, RunCancelled,
    )
}  # fmt: skip
"""Every fact by its type name, which is also EventBridge's detail-type."""
