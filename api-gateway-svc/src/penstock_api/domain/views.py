"""How projects, runs, stages and events look from outside: the API's answers, and the source of its schemas.

Times are ISO 8601 in UTC with milliseconds, durations are milliseconds. What is not known is null, never invented.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Raw, Struct

from penstock_backbone.records.limits import HOLDERS_MAX

StageStatus = Literal["pending", "running", "retrying", "waiting", "completed", "failed", "cancelled", "skipped"]


class StageUsage(Struct, frozen=True, kw_only=True):
    """What the stage's models reported; a number that they did not report is null. Money in micro-dollars."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    tool_calls: int | None = None
    cost_microusd: int | None = None


class Failure(Struct, frozen=True, kw_only=True):
    error: Annotated[str, Meta(description="A short name for the kind of error.")]
    message: str
    stage: str | None = None


class StageProgress(Struct, frozen=True, kw_only=True):
    """What a running stage said last of how far it has come: a hint that no event tells of."""

    fraction: Annotated[float | None, Meta(description="From 0 to 1; null where the stage does not know.")]
    line: str


class StageView(Struct, frozen=True, kw_only=True):
    """`started_at`, `attempt`, `duration_ms` and `error` are those of the latest attempt; `usage` is that of all."""

    name: str
    title: str | None
    status: Annotated[
        StageStatus,
        Meta(
            description="retrying: an attempt failed and the next will follow. waiting: for a time, a signal or an "
            "answer, see run.waits. cancelled: it was under way when the run "
            "ended. skipped: the run ended before it began."
        ),
    ]
    attempt: int
    started_at: str | None
    completed_at: str | None
    duration_ms: int | None
    error: Failure | None
    usage: StageUsage | None
    progress: StageProgress | None = None


class StagesSnapshot(Struct, frozen=True, kw_only=True):
    """`total` is null while nobody knows the workflow's stages."""

    total: int | None
    completed: int
    stages: list[StageView]


class QueuePlace(Struct, frozen=True, kw_only=True):
    """Where a queued project stands among its tenant's. `position` 1 is next; null: too far back, or not yet counted."""

    position: int | None
    waiting: int | None
    as_of: str | None


class WaitView(Struct, frozen=True, kw_only=True):
    """What a stage waits for. `until`: when it goes on by itself, or stops waiting."""

    stage: str
    wait: Annotated[str, Meta(description="Its name within the stage.")]
    kind: Annotated[str, Meta(description="timer, signal, approval, retry; accept others.")]
    signal: str | None
    question: str | None
    since: str
    until: str | None


class RunView(Struct, frozen=True, kw_only=True):
    id: str
    state: Annotated[
        str,
        Meta(description="queued, running, waiting, paused, succeeded, failed, cancelled, timed_out; accept others."),
    ]
    attempt: Annotated[int, Meta(description="How often execution began; above 1 after an interruption.")]
    cancel_requested: Annotated[bool, Meta(description="Its runner was asked to stop it: it will be cancelled.")]
    pause_requested: Annotated[bool, Meta(description="Its runner was asked to pause it, after the stages under way.")]
    waits: Annotated[list[WaitView], Meta(description="What its stages wait for; empty for a run that is over.")]
    workflow_version: str | None
    queued_at: str | None
    started_at: str | None
    ended_at: str | None
    duration_ms: int | None
    error: Failure | None


class ProjectSummary(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    workflow: str
    priority: int
    tags: list[str]
    status: Annotated[
        str, Meta(description="queued, building, waiting, paused, completed, failed, cancelled; accept others.")
    ]
    created_at: str
    run_id: str


class ProjectView(ProjectSummary, frozen=True, kw_only=True):
    requirement: str
    run: RunView
    stages_snapshot: StagesSnapshot
    queue: Annotated[QueuePlace | None, Meta(description="Only while the project is queued.")]


class ProjectPage(Struct, frozen=True, kw_only=True):
    projects: list[ProjectSummary]
    next_cursor: Annotated[str | None, Meta(description="For the next page; null on the last one.")]


class EventMetadata(Struct, frozen=True, kw_only=True):
    """`sequence` counts the run's events from 1 without gaps. `event_id` is the same however often an event arrives."""

    event_id: str
    type: str
    version: int
    tenant: str
    project_id: str
    run_id: str
    sequence: int
    occurred_at: str
    cause_id: str | None = None
    traceparent: str | None = None


class EventEnvelope(Struct, frozen=True, kw_only=True):
    """The same envelope that travels on the bus. Accept types and fields that you do not know."""

    metadata: EventMetadata
    data: dict[str, Any]


class EventPage(Struct, frozen=True, kw_only=True):
    events: list[EventEnvelope]
    after: Annotated[int, Meta(description="Give this as `after` to read on.")]
    ended: Annotated[bool, Meta(description="True when the run has ended: nothing follows unless it is retried.")]


class ArtifactView(Struct, frozen=True, kw_only=True):
    name: str
    stage: str
    size: Annotated[int, Meta(description="Bytes.")]
    sha256: str
    href: str


class ArtifactList(Struct, frozen=True, kw_only=True):
    artifacts: list[ArtifactView]


class SpanView(Struct, frozen=True, kw_only=True):
    name: str
    service: str
    span_id: str
    parent_id: str | None
    start_ms: Annotated[float, Meta(description="Milliseconds since 1970 UTC.")]
    duration_ms: float
    status: Annotated[str, Meta(description="unset, ok or error.")]
    error: str | None
    attributes: dict[str, Any]


class TraceView(Struct, frozen=True, kw_only=True):
    trace_id: str | None
    spans: list[SpanView]


class WorkflowStage(Struct, frozen=True, kw_only=True):
    name: str
    title: str | None


class WorkflowView(Struct, frozen=True, kw_only=True):
    """`input_schema`: the JSON Schema of a request's `input`; null: anything fits, or its runners have not said."""

    name: str
    version: str
    stages: list[WorkflowStage]
    input_schema: Raw | None


class WorkflowList(Struct, frozen=True, kw_only=True):
    workflows: list[WorkflowView]


class BoardPlace(Struct, frozen=True, kw_only=True):
    position: int
    run_id: str


class BoardView(Struct, frozen=True, kw_only=True):
    """The tenant's queue as the orchestrator last drew it; null while it has drawn none."""

    waiting: int | None
    held: int | None
    places: list[BoardPlace]
    as_of: str | None


class LeaseEnd(Struct, frozen=True, kw_only=True):
    """A holder whose runner is not heard of: when its lease ends, its run goes to another runner, and its slot is free."""

    run_id: str
    silent_ms: Annotated[int | None, Meta(description="For how long, as seen from here; null: its lease has ended.")]
    ends_in_ms: Annotated[int, Meta(description="If it stays silent; the sweep sees it a moment later.")]


class BlockerView(Struct, frozen=True, kw_only=True):
    """A scope that lets nothing more in. `held` counts everybody's runs; `holders` names some of the tenant's own."""

    scope: Annotated[str, Meta(description="fleet, tenant/<tenant>, workflow/<workflow> or resource/<sort>:<name>.")]
    reason: Annotated[
        Literal["limit", "paused", "unreadable"],
        Meta(description="unreadable: its limit is damaged, so it may let nothing in; state it anew."),
    ]
    limit: int | None
    held: int | None
    holders: Annotated[list[str], Meta(max_length=HOLDERS_MAX)]
    next_lease_end: Annotated[
        LeaseEnd | None, Meta(description="The first of `holders` that will be lost; null: none, or see below.")
    ]
    next_lease_end_unknown: Annotated[
        str | None, Meta(description="Why that is not known; null when it is, and when it is paused.")
    ]


class StartEstimate(Struct, frozen=True, kw_only=True):
    """From now: half of such runs start within `p50_ms`, nine in ten within `p90_ms`, if nothing is changed."""

    p50_ms: int
    p90_ms: int
    measured_runs: Annotated[int, Meta(description="Of how many runs of the workflow the durations were used.")]


class AdmissionView(Struct, frozen=True, kw_only=True):
    """Why a run waits. What is only said of a waiting run is null, or empty, otherwise."""

    run_id: str
    state: Annotated[str, Meta(description="As the run's; granted: it has its slot, and waits for a runner.")]
    priority: int
    position: Annotated[
        int | None, Meta(description="In its tenant's line, which goes by priority and age; null: too far back.")
    ]
    waiting: Annotated[int | None, Meta(description="How many of the tenant wait.")]
    blocked_by: Annotated[list[BlockerView], Meta(description="Empty: it only waits for its turn.")]
    unserved: Annotated[
        str | None,
        Meta(
            description="That no runner serves its workflow, or the version that it began with; others are let in meanwhile. "
            "Null: one does, or none is there at all."
        ),
    ]
    start: StartEstimate | None
    start_unknown: Annotated[str | None, Meta(description="Why there is no estimate; null when there is one.")]
    yielding: Annotated[
        bool,
        Meta(description="It runs, and will give its slot back at its next checkpoint, because a tenant has none."),
    ]
    as_of: str | None


class StatedView(Struct, frozen=True, kw_only=True):
    """`weight` and `min_share` are null for what is not a tenant, and `yields` for what is not the fleet."""

    limit: Annotated[int | None, Meta(description="Null: no limit of its own.")]
    weight: int | None
    min_share: int | None
    paused: bool
    yields: Annotated[
        bool | None, Meta(description="Whether runs are asked to give their slots back to tenants that hold none.")
    ]


class LimitView(StatedView, frozen=True, kw_only=True):
    """`version` is null while nobody has said anything about the scope.

    A paused scope drains: what runs goes on, and nothing is admitted. Once nothing runs there any more it is drained.
    """

    scope: Annotated[
        str, Meta(description="fleet, shards, tenant/<tenant>, workflow/<workflow> or resource/<sort>:<name>.")
    ]
    state: Literal["open", "draining", "drained"]
    held: Annotated[
        int,
        Meta(
            description="How many of its runs hold a slot, as the orchestrator last drew it; for shards, how many there are."
        ),
    ]
    limit_unknown: Annotated[
        str | None,
        Meta(description="Why the limit is not known, where what stands there cannot be read; null otherwise."),
    ]
    version: str | None
    changed_at: str | None


class LimitPage(Struct, frozen=True, kw_only=True):
    limits: list[LimitView]
    next_cursor: Annotated[str | None, Meta(description="For the next page; null on the last one.")]


class LimitChangeView(Struct, frozen=True, kw_only=True):
    change: Annotated[str, Meta(description="The version that it made.")]
    who: str
    at: str
    old: Annotated[StatedView | None, Meta(description="Null: nobody had said anything about the scope.")]
    new: StatedView


class LimitChangePage(Struct, frozen=True, kw_only=True):
    """The latest first."""

    changes: list[LimitChangeView]
    next_cursor: Annotated[str | None, Meta(description="For the next page; null on the last one.")]


class HealthView(Struct, frozen=True, kw_only=True):
    status: str


class ViolationView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of `pointer` (into the body), `parameter` (of the query) and `header` says where."""

    message: str
    pointer: str | None = None
    parameter: str | None = None
    header: str | None = None


class ProblemView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457, for every error."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[ViolationView] = []
    known_workflows: list[str] | None = None
    trace_id: str | None = None
    request_id: Annotated[str | None, Meta(description="Quote it when you report an unexpected error.")] = None
