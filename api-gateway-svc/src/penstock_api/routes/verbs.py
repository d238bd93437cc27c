"""/v1/projects/…/VERB: what can be asked of a project's run."""

from __future__ import annotations

from typing import Any, TypeVar, assert_never

from litestar import Request, Response, post
from litestar.params import FromPath
from pydantic import BaseModel

from penstock_api.domain.new_project import NotJson, Violations
from penstock_api.domain.views import ViolationView
from penstock_api.domain.wish_bodies import (
    AnswerRequest,
    CancelRequest,
    PauseRequest,
    ResumeRequest,
    RetryRequest,
    parse_signal,
    parse_wish,
)
from penstock_api.domain.wishes import (
    ANSWERED,
    FULL,
    NOT_ASKED,
    NOT_FINISHED,
    NOT_OVER,
    OVER,
    Answer,
    Asked,
    Cancel,
    Done,
    Pause,
    Refusal,
    Resume,
    Retry,
    Signal,
    Wish,
)
from penstock_api.handlers.verbs import Misfit, NoSuchProject
from penstock_api.parameters import project_id_of
from penstock_api.parts import parts_of
from penstock_api.principal import tenant_of
from penstock_api.problems import (
    ALREADY_OVER,
    ANSWERED_BEFORE,
    INVALID,
    NOT_ASKED_FOR,
    NOT_OVER_YET,
    RUN_FULL,
    Problem,
    not_found,
    unavailable,
)
from penstock_api.routes.bodies import json_body, refused_body, refused_input
from penstock_api.routes.projects import answer

JsonRequest = Request[Any, Any, Any]
Body = TypeVar("Body", bound=BaseModel)

_KINDS = {
    OVER: ALREADY_OVER, NOT_OVER: NOT_OVER_YET, NOT_ASKED: NOT_ASKED_FOR, ANSWERED: ANSWERED_BEFORE, FULL: RUN_FULL,
}  # fmt: skip


@post("/v1/projects/{project_id:str}/cancel")
async def cancel_project(request: JsonRequest, project_id: FromPath[str]) -> Response[bytes]:
    body = await _body(request, CancelRequest)
    return await _done(request, project_id, Cancel(body.reason))


@post("/v1/projects/{project_id:str}/pause")
async def pause_project(request: JsonRequest, project_id: FromPath[str]) -> Response[bytes]:
    body = await _body(request, PauseRequest)
    return await _done(request, project_id, Pause(body.reason))


@post("/v1/projects/{project_id:str}/resume")
async def resume_project(request: JsonRequest, project_id: FromPath[str]) -> Response[bytes]:
    await _body(request, ResumeRequest)
    return await _done(request, project_id, Resume())


@post("/v1/projects/{project_id:str}/retry")
async def retry_project(request: JsonRequest, project_id: FromPath[str]) -> Response[bytes]:
    body = await _body(request, RetryRequest)
    return await _done(request, project_id, Retry(body.from_stage, body.edited))


@post("/v1/projects/{project_id:str}/approve")
async def approve_project(request: JsonRequest, project_id: FromPath[str]) -> Response[bytes]:
    body = await _body(request, AnswerRequest)
    return await _done(request, project_id, Answer(True, body.stage, body.wait, body.by, body.comment))


@post("/v1/projects/{project_id:str}/reject")
async def reject_project(request: JsonRequest, project_id: FromPath[str]) -> Response[bytes]:
    body = await _body(request, AnswerRequest)
    return await _done(request, project_id, Answer(False, body.stage, body.wait, body.by, body.comment))


@post("/v1/projects/{project_id:str}/signals/{name:str}")
async def signal_project(request: JsonRequest, project_id: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    text = parse_signal(name, await json_body(request))
    if not isinstance(text, str):
        raise refused_body(text)
    return await _done(request, project_id, Signal(name, text))


async def _body(request: JsonRequest, model: type[Body]) -> Body:
    found = parse_wish(model, await json_body(request))
    if isinstance(found, (NotJson, Violations)):
        raise refused_body(found)
    return found


async def _done(request: JsonRequest, project_id: str, wish: Wish) -> Response[bytes]:
    """The project as it stands then. Raises Problem."""
    tenant, project = tenant_of(request.headers), project_id_of(project_id)
    verdict = await parts_of(request).verbs.do(tenant, project, wish)
    match verdict:
        case Done():
            status = 200
        case Asked():
            status = 202
        case Refusal(kind, why):
            raise _refused(kind, why)
        case Misfit(violations):
            raise refused_input(violations)
        case NoSuchProject():
            raise not_found("project")
        case _ as never:
            assert_never(never)
    view = await parts_of(request).projects.detail(tenant, project)
    if view is None:
        raise not_found("project")
    return answer(view, status)


def _refused(kind: str, why: str) -> Problem:
    if kind == NOT_FINISHED:
        return Problem(INVALID, why, [ViolationView(pointer="#/from_stage", message="must be a finished stage")])
    known = _KINDS.get(kind)
    return Problem(known, why) if known is not None else unavailable(why)
