"""The OpenAPI 3.1 document: schemas from the answers' own types, every operation with every error it can give.

Written out here instead of collected from the handlers, because they read their parameters themselves so that
every error is a plain sentence; a test compares it with the routes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
from pydantic import BaseModel

from penstock_api import VERSION
from penstock_api.documentation.examples import EXAMPLES
from penstock_api.documentation.operations import OPERATIONS, Operation
from penstock_api.domain import views
from penstock_api.domain.limit_change import LimitChange
from penstock_api.domain.new_project import NewProject
from penstock_api.domain.wish_bodies import AnswerRequest, CancelRequest, PauseRequest, ResumeRequest, RetryRequest
from penstock_api.problems import KINDS, PROBLEM_MEDIA_TYPE, TYPE_PREFIX, Kind
from penstock_backbone.records.waits import ANSWER_BYTES_MAX

_DESCRIPTION = """\
Submit what you want built, see where it stands, follow it live, and fetch what it left behind.

A request is durable as soon as it is answered. Builds wait for a free slot in a fair order: `queue` says where.
Events have a gap-free `sequence` for each run; read on from any of them by REST, websocket or server-sent events.
Every error is a problem document (RFC 9457).

**Websocket**: `GET /v1/projects/{project_id}/stream?after=n` sends each event as one text message, the same envelopes
as below, and closes with 1000 after the last one. After 1012 or 1013 connect again with the last `sequence` you have.
With `&progress=1` there are messages of another kind between them, at most one a second, which say what running stages
tell of how far they have come: `{"progress": {"run_id": "run_…", "stages": {"NAME": {"fraction": 0.4, "line": "page 3"}}}}`.
They are no events: they have no `metadata` and no sequence, are not repeated, and each replaces the one before.
A browser's WebSocket cannot send `Penstock-Tenant`: there it is `&tenant=NAME`.

**Pages of another address** may change things and read answers where `PENSTOCK_ALLOWED_ORIGINS` lists theirs.

**Other names** than localhost, an IP address and `PENSTOCK_HOST` are those that `PENSTOCK_ALLOWED_HOSTS` lists.
"""
MAY_BE_LEFT_OUT = ("CancelRequest", "PauseRequest", "ResumeRequest", "RetryRequest", "SignalValue")
_VIEWS = (
    views.ProjectSummary, views.ProjectView, views.ProjectPage, views.EventPage, views.ArtifactList, views.TraceView,
    views.WorkflowList, views.BoardView, views.AdmissionView, views.LimitView, views.LimitPage, views.LimitChangePage, views.HealthView,
    views.ProblemView,
)  # fmt: skip


@cache
def openapi_document() -> bytes:
    return msgspec.json.encode(_document())


def _document() -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Penstock API",
            "version": VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "tags": [{"name": name} for name in dict.fromkeys(operation.tag for operation in OPERATIONS)],
        "paths": paths,
        "components": {"schemas": _schemas()},
    }


def _schemas() -> dict[str, Any]:
    _, schemas = msgspec.json.schema_components(_VIEWS, ref_template="#/components/schemas/{name}")
    for schema in schemas.values():
        schema.pop("title", None)
        if "required" in schema and "default" not in schema:
            schema["required"] = list(schema["required"])
    schemas["ProblemView"]["properties"]["type"]["enum"] = [TYPE_PREFIX + kind.name for kind in KINDS]
    # The default of an absent name is a derived one, not the empty text; of a limit's field, what it was before.
    schemas["NewProject"] = _body(NewProject, without_default=("name",))
    schemas["LimitChange"] = _body(LimitChange, without_default=tuple(LimitChange.model_fields))
    for model in (CancelRequest, PauseRequest, ResumeRequest):
        schemas[model.__name__] = _body(model, without_default=())
    for optional in (RetryRequest, AnswerRequest):
        absent = tuple(name for name, field in optional.model_fields.items() if not field.is_required())
        schemas[optional.__name__] = _body(optional, without_default=absent)
    # Pydantic's name for what `input` may hold.
    schemas["JsonValue"] = {"description": "Any JSON value."}
    schemas["SignalValue"] = {"description": f"Any JSON value of at most {ANSWER_BYTES_MAX} bytes."}
    return schemas


def _body(model: type[BaseModel], *, without_default: Sequence[str]) -> dict[str, Any]:
    body = model.model_json_schema(ref_template="#/components/schemas/{model}")
    body.pop("title")
    body.pop("$defs", None)
    for name, described in body.get("properties", {}).items():
        described.pop("title", None)
        if name in without_default:
            del described["default"]
    return body


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": list(operation.parameters),
        "responses": {**_successes(operation), **_problems(operation)},
    }
    if operation.description:
        described["description"] = operation.description
    if operation.body:
        examples = EXAMPLES["bodies"][operation.examples or operation.body]
        content = {"schema": _reference(operation.body), "examples": examples}
        required = operation.body not in MAY_BE_LEFT_OUT
        described["requestBody"] = {"required": required, "content": {"application/json": content}}
    return described


def _successes(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, description in operation.successes.items():
        if not status.startswith("2"):
            found[status] = {"description": description}
            continue
        content: dict[str, Any] = {"schema": operation.schema or _reference(operation.answer)}
        if example := EXAMPLES["answers"].get(operation.answer):
            content["example"] = example
        found[status] = {"description": description, "content": {operation.media_type: content}}
        if status == "201":
            found[status]["headers"] = {
                "Location": {"description": "The project's address.", "schema": {"type": "string"}}
            }
    return found


def _problems(operation: Operation) -> dict[str, Any]:
    by_status: dict[str, list[Kind]] = {}
    for kind in operation.problems:
        by_status.setdefault(str(kind.status), []).append(kind)
    return {status: _problem(kinds) for status, kinds in sorted(by_status.items())}


def _problem(kinds: list[Kind]) -> dict[str, Any]:
    examples = {
        kind.name: {
            "value": {
                "type": TYPE_PREFIX + kind.name,
                "title": kind.title,
                "status": kind.status,
                "instance": "/v1/projects",
                **EXAMPLES["problems"][kind.name],
            }
        }
        for kind in kinds
    }
    described: dict[str, Any] = {
        "description": "; ".join(kind.title for kind in kinds),
        "content": {PROBLEM_MEDIA_TYPE: {"schema": _reference("ProblemView"), "examples": examples}},
    }
    if kinds[0].status == 503:
        described["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return described


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
