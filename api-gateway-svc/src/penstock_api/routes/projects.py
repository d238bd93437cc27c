"""/v1/projects: submit, list, look at one, and read its events."""

from __future__ import annotations

from typing import Any, assert_never

import msgspec
from litestar import Request, Response, get, post
from litestar.enums import MediaType
from litestar.params import FromPath

from penstock_api.domain.new_project import NewProject, parse_new_project
from penstock_api.domain.projects import summary
from penstock_api.domain.views import ViolationView
from penstock_api.edge import traceparent_of
from penstock_api.handlers.accept import (
    Accepted,
    InputMisfit,
    KeyReused,
    NothingAnnounced,
    Replayed,
    Submission,
    UnknownWorkflow,
)
from penstock_api.parameters import (
    EVENTS_LIMIT_DEFAULT,
    EVENTS_LIMIT_MAX,
    PAGE_LIMIT_DEFAULT,
    PAGE_LIMIT_MAX,
    after_of,
    cursor_of,
    idempotency_key_of,
    limit_of,
    project_id_of,
    status_filter,
)
from penstock_api.parts import parts_of
from penstock_api.principal import tenant_of
from penstock_api.problems import KEY_REUSED, NO_RUNNER, UNKNOWN_WORKFLOW, Problem, not_found, unavailable
from penstock_api.routes.bodies import json_body, refused_body, refused_input

JsonRequest = Request[Any, Any, Any]
_encode = msgspec.json.Encoder().encode


def answer(view: msgspec.Struct, status_code: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    return Response(_encode(view), status_code=status_code, headers=headers, media_type=MediaType.JSON)


@post("/v1/projects")
async def submit_project(request: JsonRequest) -> Response[bytes]:
    tenant = tenant_of(request.headers)
    key = idempotency_key_of(request.headers)
    project = await _new_project(request)
    submission = Submission(tenant, project, key, traceparent_of(request.scope))
    verdict = await parts_of(request).acceptance.accept(submission)
    match verdict:
        case Accepted(item):
            return answer(summary(item, None), 201, {"Location": f"/v1/projects/{item['pk']}"})
        case Replayed(item, run):
            headers = {"Location": f"/v1/projects/{item['pk']}", "Idempotency-Replayed": "true"}
            return answer(summary(item, run), 200, headers)
        case KeyReused(project_id):
            detail = (
                f"This Idempotency-Key has made {project_id} from another request: use a new key for a new request."
            )
            raise Problem(KEY_REUSED, detail, [ViolationView(header="Idempotency-Key", message="was used before")])
        case UnknownWorkflow(known):
            message = f"must be one of {', '.join(known)}"
            raise Problem(
                UNKNOWN_WORKFLOW,
                f"No runner can execute the workflow {project.workflow!r}: it {message}.",
                [ViolationView(pointer="#/workflow", message=message)],
                known_workflows=list(known),
            )
        case InputMisfit(violations):
            raise refused_input(violations)
        case NothingAnnounced():
            raise unavailable("Nothing can be built before a runner has started: try again in a second.", NO_RUNNER)
        case _ as never:
            assert_never(never)


@get("/v1/projects")
async def list_projects(request: JsonRequest) -> Response[bytes]:
    query = request.query_params
    page = await parts_of(request).projects.page(
        tenant_of(request.headers),
        status_filter(query),
        limit_of(query, PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX),
        cursor_of(query),
    )
    return answer(page)


@get("/v1/projects/{project_id:str}")
async def get_project(request: JsonRequest, project_id: FromPath[str]) -> Response[bytes]:
    tenant = tenant_of(request.headers)
    view = await parts_of(request).projects.detail(tenant, project_id_of(project_id))
    if view is None:
        raise not_found("project")
    return answer(view)


@get("/v1/projects/{project_id:str}/events")
async def get_events(request: JsonRequest, project_id: FromPath[str]) -> Response[bytes]:
    query = request.query_params
    tenant = tenant_of(request.headers)
    after, limit = after_of(query), limit_of(query, EVENTS_LIMIT_DEFAULT, EVENTS_LIMIT_MAX)
    page = await parts_of(request).projects.events(tenant, project_id_of(project_id), after, limit)
    if page is None:
        raise not_found("project")
    return answer(page)


async def _new_project(request: JsonRequest) -> NewProject:
    """Raises Problem with everything that is wrong with the body."""
    parsed = parse_new_project(await json_body(request))
    if isinstance(parsed, NewProject):
        return parsed
    raise refused_body(parsed)
