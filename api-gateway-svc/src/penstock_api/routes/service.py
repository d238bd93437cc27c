"""What can be built, who waits, and whether this process is well."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get
from msgspec import Raw

from penstock_api.domain.views import HealthView, WorkflowList, WorkflowStage, WorkflowView
from penstock_api.parts import parts_of
from penstock_api.principal import tenant_of
from penstock_api.problems import unavailable
from penstock_api.routes.projects import answer


@get("/v1/workflows")
async def list_workflows(request: Request[Any, Any, Any]) -> Response[bytes]:
    known = await parts_of(request).catalog.known()
    workflows = [
        WorkflowView(
            name=name,
            version=known[name]["version"],
            stages=[
                WorkflowStage(name=stage["name"], title=stage.get("title") or None) for stage in known[name]["stages"]
            ],
            input_schema=Raw(known[name]["input_schema"]) if "input_schema" in known[name] else None,
        )
        for name in sorted(known)
    ]
    return answer(WorkflowList(workflows=workflows))


@get("/v1/board")
async def get_board(request: Request[Any, Any, Any]) -> Response[bytes]:
    return answer(await parts_of(request).projects.board(tenant_of(request.headers)))


@get("/healthz")
async def healthz() -> Response[bytes]:
    """The process runs and its loop turns: no I/O, so that a slow store does not get the API killed."""
    return answer(HealthView(status="ok"))


@get("/readyz")
async def readyz(request: Request[Any, Any, Any]) -> Response[bytes]:
    obstacle = await parts_of(request).readiness.obstacle()
    if obstacle is not None:
        raise unavailable(obstacle)
    return answer(HealthView(status="ready"))
