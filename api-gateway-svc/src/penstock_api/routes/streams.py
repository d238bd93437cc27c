"""/v1/projects/{id}/stream and …/events/stream: events as they happen, from any sequence on."""

from __future__ import annotations

from typing import Any

from litestar import Request, WebSocket, get, websocket
from litestar.connection import ASGIConnection
from litestar.params import FromPath
from litestar.types import ASGIApp

from penstock_api.edge import refuse
from penstock_api.parameters import after_of, project_id_of, resume_after, wants_progress
from penstock_api.parts import parts_of
from penstock_api.principal import tenant_of_stream
from penstock_api.problems import as_problem, not_found
from penstock_api.push.hub import Subscription
from penstock_api.push.socket import serve
from penstock_api.push.sse import EventStream
from penstock_backbone.records.projects import ProjectItem


@get("/v1/projects/{project_id:str}/events/stream")
async def stream_events(request: Request[Any, Any, Any], project_id: FromPath[str]) -> ASGIApp:
    after = resume_after(request.query_params, request.headers)
    return EventStream(parts_of(request).hub, await _project(request, project_id), after)


@websocket("/v1/projects/{project_id:str}/stream")
async def websocket_events(socket: WebSocket[Any, Any, Any], project_id: FromPath[str]) -> None:
    try:
        after, progress = after_of(socket.query_params), wants_progress(socket.query_params)
        project = await _project(socket, project_id)
        async with parts_of(socket).hub.subscribe(project, after) as subscription:
            await _serve(socket, subscription, progress=progress)
    except Exception as error:
        if socket.connection_state != "init":
            raise
        # Closing without having accepted: edge.py turns it into a problem document.
        refuse(socket.scope, as_problem(socket, error))
        await socket.close()


async def _serve(socket: WebSocket[Any, Any, Any], subscription: Subscription, *, progress: bool) -> None:
    await socket.accept()
    await serve(socket, subscription, progress=progress)


async def _project(connection: ASGIConnection[Any, Any, Any, Any], project_id: str) -> ProjectItem:
    tenant = tenant_of_stream(connection.headers, connection.query_params)
    project = await parts_of(connection).projects.find(tenant, project_id_of(project_id))
    if project is None:
        raise not_found("project")
    return project
