"""The Litestar application: its routes, and problem documents for whatever goes wrong in them."""

from __future__ import annotations

from functools import cache

from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp

from penstock_api.domain.new_project import BODY_BYTES_MAX
from penstock_api.edge import Edge
from penstock_api.hosts import Hosts
from penstock_api.origins import Origins
from penstock_api.parts import Parts
from penstock_api.problems import allowed_methods, problem_response
from penstock_api.routes import documentation, limits, projects, runs, service, streams, verbs

ROUTES = (
    projects.submit_project,
    projects.list_projects,
    projects.get_project,
    projects.get_events,
    verbs.cancel_project,
    verbs.pause_project,
    verbs.resume_project,
    verbs.retry_project,
    verbs.approve_project,
    verbs.reject_project,
    verbs.signal_project,
    streams.stream_events,
    streams.websocket_events,
    runs.get_admission,
    runs.get_trace,
    runs.list_artifacts,
    runs.get_artifact,
    limits.list_limits,
    limits.get_fleet_limit,
    limits.change_fleet_limit,
    limits.list_fleet_limit_changes,
    limits.get_shards,
    limits.change_shards,
    limits.list_shards_changes,
    limits.get_limit,
    limits.change_limit,
    limits.list_limit_changes,
    service.list_workflows,
    service.get_board,
    service.healthz,
    service.readyz,
    documentation.get_openapi,
    documentation.get_documentation,
    documentation.get_documentation_asset,
)


def create_application(parts: Parts, origins: Origins, hosts: Hosts) -> ASGIApp:
    routing = _routing()
    methods = {
        route.path_format: allowed_methods(route.methods) for route in routing.routes if isinstance(route, HTTPRoute)
    }
    return Edge(routing, parts, origins, hosts, methods)


@cache
def _routing() -> Litestar:
    """Takes 80 ms to make and knows no parts, so that a process that makes many applications makes it once.

    Litestar's own OpenAPI pages load from elsewhere, and its logging is about to go: both are left out.
    """
    return Litestar(
        route_handlers=list(ROUTES),
        exception_handlers={Exception: problem_response},
        logging_config=None,
        openapi_config=None,
        request_max_body_size=BODY_BYTES_MAX,
    )
