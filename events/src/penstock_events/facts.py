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
    """Execution began, or began again after an interruption (`attempt` > 1), with these stages to do. `cleared` are
    stages that had finished and run again, because somebody retried the run from the first of them."""

    fence: int = Field(ge=1)
    attempt: int = Field(ge=1)
    workflow_version: str
    stages: tuple[str, ...]
    cleared: tuple[str, ...] | None = None


class StageStarted(Fact):
    stage: str
    attempt: int = Field(ge=1)


class StageCompleted(Fact):
    """The stage's result is durable; it runs again only when somebody retries the run from it."""

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


class StageWaiting(Fact):
    """The stage goes on when its wait is over, and begins anew then: at the time `until`, when `signal` arrives, or when
    somebody answers `question`. `kind`: timer, signal, approval or retry; accept others. With a signal or a question,
    `until` is when it stops waiting for it."""

    stage: str
    wait: str
    kind: str
    signal: str | None = None
    question: str | None = None
    until: str | None = None


class RunWaiting(Fact):
    """All that is left of the run waits, so it holds no slot. `until`: when it goes on by itself, if it does."""

    stages: tuple[str, ...]
    until: str | None = None


class SignalReceived(Fact):
    """Somebody sent the run a signal; its value is kept with the run."""

    signal: str
    size: int = Field(ge=0)


class ApprovalAnswered(Fact):
    """Somebody approved or rejected what a stage asks."""

    stage: str
    wait: str
    approved: bool
    by: str | None = None
    comment: str | None = None


class RunPauseRequested(Fact):
    """Somebody wants the run paused; whoever executes it begins nothing new, and then it is paused."""

    reason: str


class RunPaused(Fact):
    """The run holds no slot and stays as it is until somebody resumes it."""

    reason: str


class RunYieldRequested(Fact):
    """A tenant holds no slot and the fleet is full: whoever executes the run begins nothing new, and then it waits again."""

    reason: str


class RunResumed(Fact):
    """The run goes on: it waits for a token again, if it had none. `reason`: resumed, signal, approval or timer."""

    reason: str


class RunRetried(Fact):
    """Somebody began a run anew that was over. Its finished stages count, without `from_stage` and what comes after it."""

    from_stage: str | None = None
    edited: bool = False


class RunTimedOut(Fact):
    """The run took longer than its workflow allows, counted from its first start."""

    timeout_ms: int = Field(ge=0)


class RunRequeued(Fact):
    """The run waits again and will resume after its last finished stage: its runner was lost or stopped, or it yielded."""

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
        StageWaiting, RunWaiting, SignalReceived, ApprovalAnswered, RunPauseRequested, RunPaused, RunResumed,
        RunRetried, RunTimedOut, RunYieldRequested,
    )
}  # fmt: skip
"""Every fact by its type name, which is also EventBridge's detail-type."""
