"""/v1/runs: why a run waits, where its time went, and what it left behind."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Request, Response, get
from litestar.params import FromPath

from penstock_api.domain.artifacts import artifact_list
from penstock_api.domain.views import SpanView, TraceView
from penstock_api.parameters import run_id_of
from penstock_api.parts import parts_of
from penstock_api.principal import tenant_of
from penstock_api.problems import TRACES_ELSEWHERE, Problem, not_found
from penstock_api.routes.projects import answer
from penstock_backbone.records.runs import RunItem


@get("/v1/runs/{run_id:str}/trace")
async def get_trace(request: Request[Any, Any, Any], run_id: FromPath[str]) -> Response[bytes]:
    run = await _run(request, run_id)
    traceparent = run.get("traceparent")
    trace_id = traceparent.split("-")[1] if traceparent else None
    store = parts_of(request).telemetry.store
    if store is None:
        raise Problem(
            TRACES_ELSEWHERE,
            "Traces are not kept here, but sent to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names: "
            f"look there for the trace {trace_id}.",
            trace_id=trace_id,
        )
    spans = await asyncio.to_thread(store.trace, trace_id) if trace_id else []
    return answer(TraceView(trace_id=trace_id, spans=[SpanView(**span) for span in spans]))


@get("/v1/runs/{run_id:str}/admission")
async def get_admission(request: Request[Any, Any, Any], run_id: FromPath[str]) -> Response[bytes]:
    view = await parts_of(request).projects.admission(tenant_of(request.headers), run_id_of(run_id))
    if view is None:
        raise not_found("run")
    return answer(view)


@get("/v1/runs/{run_id:str}/artifacts")
async def list_artifacts(request: Request[Any, Any, Any], run_id: FromPath[str]) -> Response[bytes]:
    run = await _run(request, run_id)
    return answer(artifact_list(run_id, await parts_of(request).artifacts.of(run)))


@get("/v1/runs/{run_id:str}/artifacts/{name:path}")
async def get_artifact(request: Request[Any, Any, Any], run_id: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """Whatever a workflow made is handed out as bytes to save, never as something a browser would run."""
    artifacts = parts_of(request).artifacts
    files = await artifacts.of(await _run(request, run_id))
    found = files.get(name.removeprefix("/"))
    if found is None:
        raise not_found("artifact of this run")
    _, artifact = found
    etag = f'"{artifact.sha256}"'
    file_name = artifact.name.rpartition("/")[2]
    headers = {
        "ETag": etag,
        "Content-Disposition": f'attachment; filename="{file_name}"',
        "X-Content-Type-Options": "nosniff",
    }
    if request.headers.get("If-None-Match") == etag:
        return Response(b"", status_code=304, headers=headers)
    data = await artifacts.fetch(artifact)
    return Response(data, headers=headers, media_type="application/octet-stream")


async def _run(request: Request[Any, Any, Any], run_id: str) -> RunItem:
    run = await parts_of(request).projects.find_run(tenant_of(request.headers), run_id_of(run_id))
    if run is None:
        raise not_found("run")
    return run
