"""The operations as the OpenAPI document lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock_api.domain.projects import STATUSES
from penstock_api.parameters import (
    CURSOR_CHARS_MAX,
    EVENTS_LIMIT_DEFAULT,
    EVENTS_LIMIT_MAX,
    IDEMPOTENCY_KEY_CHARS_MAX,
    PAGE_LIMIT_DEFAULT,
    PAGE_LIMIT_MAX,
    SEQUENCE_MAX,
)
from penstock_api.problems import (
    ALREADY_OVER,
    ANSWERED_BEFORE,
    ARTIFACT_LOST,
    BAD_CURSOR,
    FOREIGN_PAGE,
    INPUT_MISFIT,
    INTERNAL,
    INVALID,
    KEY_REUSED,
    LIMIT_CHANGED,
    NO_RUNNER,
    NOT_ASKED_FOR,
    NOT_FOUND,
    NOT_JSON,
    NOT_OVER_YET,
    RUN_FULL,
    TOO_LARGE,
    TOO_MANY_STREAMS,
    TRACES_ELSEWHERE,
    UNAVAILABLE,
    UNKNOWN_HOST,
    UNKNOWN_WORKFLOW,
    UNSUPPORTED_MEDIA_TYPE,
    Kind,
)
from penstock_backbone.records.waits import SIGNAL_NAME_PATTERN

Parameter = dict[str, Any]

ULID = "[0-9A-HJKMNP-TV-Z]{26}"
EVERYWHERE = (UNKNOWN_HOST, INTERNAL, UNAVAILABLE)
WITH_BODIES = (INVALID, NOT_JSON, FOREIGN_PAGE, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE)


@dataclass(frozen=True, slots=True)
class Operation:
    """`answer` names the schema of the successes; `schema` stands for it where the answer is not JSON.
    `examples` names those of the body, where they are not the ones of its schema."""

    name: str
    method: str
    path: str
    tag: str
    summary: str
    successes: Mapping[str, str]
    answer: str = ""
    problems: tuple[Kind, ...] = EVERYWHERE
    parameters: tuple[Parameter, ...] = ()
    body: str = ""
    examples: str = ""
    description: str = ""
    media_type: str = "application/json"
    schema: Mapping[str, Any] | None = None


def _path(name: str, schema: dict[str, Any], description: str = "") -> Parameter:
    described = {"description": description} if description else {}
    return {"name": name, "in": "path", "required": True, **described, "schema": schema}


def _query(name: str, description: str, schema: dict[str, Any]) -> Parameter:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _header(name: str, description: str, schema: dict[str, Any]) -> Parameter:
    return {"name": name, "in": "header", "description": description, "schema": schema}


PROJECT_ID = _path("project_id", {"type": "string", "pattern": f"^prj_{ULID}$"})
RUN_ID = _path("run_id", {"type": "string", "pattern": f"^run_{ULID}$"})
_TENANT_NAME: dict[str, Any] = {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,39}$", "default": "default"}
TENANT = _header("Penstock-Tenant", "Whose projects these are.", _TENANT_NAME)
TENANT_OF_STREAM = _query("tenant", "The same, for browsers: their EventSource sends no header.", _TENANT_NAME)
IDEMPOTENCY_KEY = _header(
    "Idempotency-Key",
    "Makes repeating safe: the same key with the same body gives the project that it made the first time.",
    {"type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_CHARS_MAX},
)
IF_NONE_MATCH = _header("If-None-Match", "The ETag of an earlier answer.", {"type": "string"})
KIND = _path("kind", {"type": "string", "enum": ["tenant", "workflow", "resource"]})
NAME = _path("name", {"type": "string"}, "The tenant, the workflow, or a resource's `sort:name`.")
SIGNAL_NAME = _path("name", {"type": "string", "pattern": f"^{SIGNAL_NAME_PATTERN}$"})
CURSOR = _query(
    "cursor", "The next_cursor of the page before.", {"type": "string", "minLength": 1, "maxLength": CURSOR_CHARS_MAX}
)
AFTER = _query(
    "after",
    "Only events beyond this sequence.",
    {"type": "integer", "minimum": 0, "maximum": SEQUENCE_MAX, "default": 0},
)
LAST_EVENT_ID = _header(
    "Last-Event-ID",
    "As browsers send it when they reconnect; counts more than `after`.",
    {"type": "integer", "minimum": 0},
)


def _limit(default: int, maximum: int) -> Parameter:
    schema = {"type": "integer", "minimum": 1, "maximum": maximum, "default": default}
    return _query("limit", "At most so many.", schema)


def _of_scope(name: str, path: str, parameters: tuple[Parameter, ...], examples: str) -> tuple[Operation, ...]:
    """Look, change, and look at the changes: fleet and shards have addresses of their own, because they have no name."""
    missing = (NOT_FOUND,) if parameters else ()
    return (
        Operation(
            f"get{name}Limit", "get", path, "Limits", "A limit, as it stands",
            {"200": "The limit."}, "LimitView", (*missing, *EVERYWHERE), parameters,
        ),
        Operation(
            f"change{name}Limit", "put", path, "Limits", "Change a limit, pause, or go on",
            {"200": "In force from the next decision on."}, "LimitView",
            (*WITH_BODIES, *missing, LIMIT_CHANGED, *EVERYWHERE),
            (*parameters, TENANT), body="LimitChange", examples=examples,
            description="Lower than what runs: nothing is stopped, and nothing is admitted until fewer run.",
        ),
        Operation(
            f"list{name}LimitChanges", "get", f"{path}/changes", "Limits", "Who changed it, when, from what to what",
            {"200": "The latest first."}, "LimitChangePage", (INVALID, BAD_CURSOR, *missing, *EVERYWHERE),
            (*parameters, _limit(PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX), CURSOR),
        ),
    )  # fmt: skip


def _wish(  # noqa: PLR0917  # in the order of Operation's fields
    name: str,
    path: str,
    summary: str,
    successes: Mapping[str, str],
    body: str,
    refusals: tuple[Kind, ...],
    description: str,
    parameters: tuple[Parameter, ...] = (),
) -> Operation:
    problems = (*WITH_BODIES, NOT_FOUND, *refusals, *EVERYWHERE)
    return Operation(
        name, "post", f"/v1/projects/{{project_id}}/{path}", "Projects", summary, successes, "ProjectView", problems,
        (PROJECT_ID, *parameters, TENANT), body=body, description=description,
    )  # fmt: skip


OPERATIONS = (
    Operation(
        "submitProject", "post", "/v1/projects", "Projects", "Submit a project",
        {"201": "Accepted durably; its run waits for a slot.", "200": "The key had made this project before."},
        "ProjectSummary",
        (*WITH_BODIES, UNKNOWN_WORKFLOW, KEY_REUSED, INPUT_MISFIT, *EVERYWHERE, NO_RUNNER),
        (TENANT, IDEMPOTENCY_KEY),
        body="NewProject",
        description="A repetition with the same Idempotency-Key also carries the header `Idempotency-Replayed: true`.",
    ),
    Operation(
        "listProjects", "get", "/v1/projects", "Projects", "List projects, newest first",
        {"200": "A page."}, "ProjectPage", (INVALID, BAD_CURSOR, *EVERYWHERE),
        (
            TENANT,
            _query("status", "Only these. The list may be a moment behind.", {"type": "string", "enum": list(STATUSES)}),
            _limit(PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX),
            CURSOR,
        ),
    ),
    Operation(
        "getProject", "get", "/v1/projects/{project_id}", "Projects", "A project, its run, its stages, its place in the queue",
        {"200": "The project."}, "ProjectView", (INVALID, NOT_FOUND, *EVERYWHERE), (PROJECT_ID, TENANT),
    ),
    Operation(
        "cancelProject", "post", "/v1/projects/{project_id}/cancel", "Projects", "Cancel it",
        {
            "200": "It is over: nobody executed it, or it had been cancelled before.",
            "202": "Its runner was asked to stop it, within seconds; nothing else can become of it.",
        },
        "ProjectView",
        (*WITH_BODIES, NOT_FOUND, ALREADY_OVER, *EVERYWHERE), (PROJECT_ID, TENANT), body="CancelRequest",
        description="The body may be left out. Finished stages and their files stay; repeating it is safe.",
    ),
    _wish(
        "pauseProject", "pause", "Pause it",
        {"200": "It holds no slot, until it is resumed.", "202": "Its runner begins nothing new, and then it is paused."},
        "PauseRequest", (ALREADY_OVER,),
        "The body may be left out. Stages under way come to their end first. Repeating it is safe.",
    ),
    _wish(
        "resumeProject", "resume", "Resume it", {"200": "It goes on: at its old place in the line, if it had stopped."},
        "ResumeRequest", (ALREADY_OVER,), "The body may be left out. A run that is not paused stays as it is.",
    ),
    _wish(
        "retryProject", "retry", "Begin it anew after its end", {"200": "It is queued again."},
        "RetryRequest", (ALREADY_OVER, NOT_OVER_YET, RUN_FULL, INPUT_MISFIT),
        "What has finished counts, without `from_stage` and what needs it. The body may be left out. Repeating it is safe.",
    ),
    _wish(
        "approveProject", "approve", "Approve what a stage asks", {"200": "The stage goes on."},
        "AnswerRequest", (ALREADY_OVER, NOT_ASKED_FOR, ANSWERED_BEFORE, RUN_FULL), "Repeating it is safe.",
    ),
    _wish(
        "rejectProject", "reject", "Reject what a stage asks", {"200": "The stage hears of it, and fails by default."},
        "AnswerRequest", (ALREADY_OVER, NOT_ASKED_FOR, ANSWERED_BEFORE, RUN_FULL), "Repeating it is safe.",
    ),
    _wish(
        "signalProject", "signals/{name}", "Send it a signal", {"200": "The run has it, and keeps it for who waits later."},
        "SignalValue", (ALREADY_OVER, ANSWERED_BEFORE, RUN_FULL),
        "The first value of a signal stands. No body at all is null.", (SIGNAL_NAME,),
    ),
    Operation(
        "getEvents", "get", "/v1/projects/{project_id}/events", "Events", "What has happened, in order",
        {"200": "The events beyond `after`."}, "EventPage", (INVALID, NOT_FOUND, *EVERYWHERE),
        (PROJECT_ID, TENANT, AFTER, _limit(EVENTS_LIMIT_DEFAULT, EVENTS_LIMIT_MAX)),
    ),
    Operation(
        "streamEvents", "get", "/v1/projects/{project_id}/events/stream", "Events", "What happens, as it happens",
        {"200": "Server-sent events: `id` is the sequence, `data` the envelope; `event: end` after the last one, upon which a browser closes, or it would connect again; `event: progress` "
         "between them, at most once a second and without an id, with what running stages say of how far they have come."},
        problems=(INVALID, NOT_FOUND, TOO_MANY_STREAMS, *EVERYWHERE),
        parameters=(PROJECT_ID, TENANT, TENANT_OF_STREAM, AFTER, LAST_EVENT_ID),
        media_type="text/event-stream", schema={"type": "string"},
        description="A reconnecting browser resumes by itself. The websocket at `/v1/projects/{project_id}/stream` sends the same, with progress only after `progress=1`.",
    ),
    Operation(
        "getAdmission", "get", "/v1/runs/{run_id}/admission", "Runs", "Why a run waits, and for how long",
        {"200": "Its place, what blocks it, who holds that, and when it may start."}, "AdmissionView",
        (INVALID, NOT_FOUND, *EVERYWHERE), (RUN_ID, TENANT),
    ),
    Operation(
        "getTrace", "get", "/v1/runs/{run_id}/trace", "Runs", "Where a run's time went",
        {"200": "The spans of its trace, oldest first."}, "TraceView",
        (INVALID, NOT_FOUND, TRACES_ELSEWHERE, *EVERYWHERE), (RUN_ID, TENANT),
        description="Empty where the request's own `traceparent` said that its trace is not sampled.",
    ),
    Operation(
        "listArtifacts", "get", "/v1/runs/{run_id}/artifacts", "Runs", "The files a run has left so far",
        {"200": "By name."}, "ArtifactList", (INVALID, NOT_FOUND, ARTIFACT_LOST, *EVERYWHERE), (RUN_ID, TENANT),
    ),
    Operation(
        "getArtifact", "get", "/v1/runs/{run_id}/artifacts/{name}", "Runs", "One file",
        {"200": "Its bytes, checked against its checksum.", "304": "It is still what `If-None-Match` names."},
        problems=(INVALID, NOT_FOUND, ARTIFACT_LOST, *EVERYWHERE),
        parameters=(RUN_ID, _path("name", {"type": "string"}), TENANT, IF_NONE_MATCH),
        media_type="application/octet-stream", schema={"type": "string", "format": "binary"},
        description="The name may hold slashes, as in `package/README.md`.",
    ),
    Operation(
        "listLimits", "get", "/v1/limits", "Limits", "How many may run, by scope",
        {"200": "Every scope that somebody has said something about, and the fleet."}, "LimitPage",
        (INVALID, BAD_CURSOR, *EVERYWHERE), (_limit(PAGE_LIMIT_MAX, PAGE_LIMIT_MAX), CURSOR),
    ),
    *_of_scope("Fleet", "/v1/limits/fleet", (), "FleetChange"),
    *_of_scope("Shards", "/v1/limits/shards", (), "ShardsChange"),
    *_of_scope("", "/v1/limits/{kind}/{name}", (KIND, NAME), "ScopeChange"),
    Operation(
        "listWorkflows", "get", "/v1/workflows", "Service", "What can be built",
        {"200": "As the runners announced it."}, "WorkflowList",
    ),
    Operation(
        "getBoard", "get", "/v1/board", "Service", "Who waits, and in which order",
        {"200": "The tenant's queue."}, "BoardView", (INVALID, *EVERYWHERE), (TENANT,),
    ),
    Operation(
        "healthz", "get", "/healthz", "Service", "Is this process alive?", {"200": "Yes."}, "HealthView", (UNKNOWN_HOST, INTERNAL)
    ),
    Operation(
        "readyz", "get", "/readyz", "Service", "Can this process do its work?", {"200": "Yes."}, "HealthView"
    ),
)  # fmt: skip
