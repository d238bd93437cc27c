"""/v1/limits: how many may run, by scope; changed while everything runs, each change on record."""

from __future__ import annotations

from typing import Any, assert_never

from litestar import Request, Response, get, put
from litestar.params import FromPath

from penstock_api.domain.limit_change import LimitChange, parse_limit_change, scope_of
from penstock_api.domain.new_project import Violation, Violations
from penstock_api.handlers.limits import Changed, Overtaken, Unreadable
from penstock_api.parameters import PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, cursor_of, limit_of
from penstock_api.parts import parts_of
from penstock_api.principal import tenant_of
from penstock_api.problems import LIMIT_CHANGED, Problem, not_found
from penstock_api.routes.bodies import json_body, refused_body
from penstock_api.routes.projects import answer
from penstock_backbone.records.limits import FLEET, SHARDS

JsonRequest = Request[Any, Any, Any]


@get("/v1/limits")
async def list_limits(request: JsonRequest) -> Response[bytes]:
    query = request.query_params
    limit = limit_of(query, PAGE_LIMIT_MAX, PAGE_LIMIT_MAX)
    return answer(await parts_of(request).limits.page(limit, cursor_of(query)))


@get("/v1/limits/fleet")
async def get_fleet_limit(request: JsonRequest) -> Response[bytes]:
    return answer(await parts_of(request).limits.one(FLEET))


@put("/v1/limits/fleet")
async def change_fleet_limit(request: JsonRequest) -> Response[bytes]:
    return await _change(request, FLEET)


@get("/v1/limits/fleet/changes")
async def list_fleet_limit_changes(request: JsonRequest) -> Response[bytes]:
    return await _changes(request, FLEET)


@get("/v1/limits/shards")
async def get_shards(request: JsonRequest) -> Response[bytes]:
    return answer(await parts_of(request).limits.one(SHARDS))


@put("/v1/limits/shards")
async def change_shards(request: JsonRequest) -> Response[bytes]:
    return await _change(request, SHARDS)


@get("/v1/limits/shards/changes")
async def list_shards_changes(request: JsonRequest) -> Response[bytes]:
    return await _changes(request, SHARDS)


@get("/v1/limits/{kind:str}/{name:str}")
async def get_limit(request: JsonRequest, kind: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    return answer(await parts_of(request).limits.one(_scope(kind, name)))


@put("/v1/limits/{kind:str}/{name:str}")
async def change_limit(request: JsonRequest, kind: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    return await _change(request, _scope(kind, name))


@get("/v1/limits/{kind:str}/{name:str}/changes")
async def list_limit_changes(request: JsonRequest, kind: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    return await _changes(request, _scope(kind, name))


async def _change(request: JsonRequest, scope: str) -> Response[bytes]:
    who = tenant_of(request.headers)
    wish = parse_limit_change(scope, await json_body(request))
    if not isinstance(wish, LimitChange):
        raise refused_body(wish)
    verdict = await parts_of(request).limits.change(scope, wish, who)
    match verdict:
        case Changed(limit):
            return answer(limit)
        case Overtaken(now):
            raise Problem(
                LIMIT_CHANGED,
                f"The limit of {now.scope} was changed by somebody else, to version {now.version}: "
                "GET it, and decide again.",
            )
        case Unreadable():
            why = "must be stated, because what stands there as the limit cannot be read, and would be taken for none"
            raise refused_body(Violations((Violation("#/limit", why),)))
        case _ as never:
            assert_never(never)


async def _changes(request: JsonRequest, scope: str) -> Response[bytes]:
    query = request.query_params
    limit = limit_of(query, PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX)
    return answer(await parts_of(request).limits.changes(scope, limit, cursor_of(query)))


def _scope(kind: str, name: str) -> str:
    scope = scope_of(kind, name)
    if scope is None:
        raise not_found("scope: use fleet, shards, tenant/<tenant>, workflow/<workflow> or resource/<sort>:<name>")
    return scope
