"""What a run leaves behind, and where its time went."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tests.api.test_bad_input import assert_problem
from tests.api.world import REQUIREMENT, STAGES, World, submitted, world

from penstock_backbone.records.results import StoredArtifact, encode_result
from penstock_backbone.records.runs import RunItem
from penstock_backbone.telemetry import context_from, start
from penstock_backbone.vocabulary import BlobRef

pytestmark = pytest.mark.anyio


async def stored(made: World, run: RunItem, stage: str, name: str, data: bytes) -> StoredArtifact:
    ref = await made.engine.blobs.put(f"{run['pk']}/1/{stage}/{name}", data)
    return StoredArtifact(name, ref.key, ref.sha256, ref.size)


async def with_artifacts(made: World, project_id: str) -> RunItem:
    """`report.md` is put by two stages; the first stage's result is so large that it is a blob itself."""
    run = await made.claim(await made.enqueue(project_id))
    early = [
        await stored(made, run, STAGES[0], "report.md", b"draft"),
        await stored(made, run, STAGES[0], "a/b.py", b"x=1"),
    ]
    late = [await stored(made, run, STAGES[2], "report.md", b"final")]
    large = await made.engine.blobs.put(f"{run['pk']}/1/{STAGES[0]}.json", encode_result(b"{}", early))
    results: dict[str, str | BlobRef] = {
        STAGES[2]: encode_result(b"{}", late).decode(),
        STAGES[1]: encode_result(b"{}").decode(),
        STAGES[0]: large,
    }
    return await made.succeed(run, results)


async def test_artifacts_are_listed_by_name_and_the_last_stage_wins() -> None:
    async with world("agent_build") as (made, client):
        project = await submitted(client)
        run = await with_artifacts(made, project["id"])
        answer = await client.get(f"/v1/runs/{run['pk']}/artifacts")
        assert answer.json()["artifacts"] == [
            {
                "name": name, "stage": stage, "size": len(data), "sha256": hashlib.sha256(data).hexdigest(),
                "href": f"/v1/runs/{run['pk']}/artifacts/{name}",
            }
            for name, stage, data in (("a/b.py", STAGES[0], b"x=1"), ("report.md", STAGES[2], b"final"))
        ]  # fmt: skip


async def test_an_artifact_is_downloaded_as_a_file_to_save() -> None:
    async with world("agent_build") as (made, client):
        run = await with_artifacts(made, (await submitted(client))["id"])
        for artifact in (await client.get(f"/v1/runs/{run['pk']}/artifacts")).json()["artifacts"]:
            answer = await client.get(artifact["href"])
            assert hashlib.sha256(answer.content).hexdigest() == artifact["sha256"]
            assert answer.headers["content-disposition"].startswith("attachment")
            assert answer.headers["x-content-type-options"] == "nosniff"
            again = await client.get(artifact["href"], headers={"If-None-Match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")


async def test_a_run_without_results_has_no_artifacts() -> None:
    async with world("agent_build") as (made, client):
        project = await submitted(client)
        await made.enqueue(project["id"])
        assert (await client.get(f"/v1/runs/{project['run_id']}/artifacts")).json() == {"artifacts": []}
        assert_problem(await client.get(f"/v1/runs/{project['run_id']}/artifacts/x"), 404, "not-found")


async def test_a_name_cannot_lead_out_of_the_run() -> None:
    async with world("agent_build") as (made, client):
        run = await with_artifacts(made, (await submitted(client))["id"])
        for name in ("../report.md", "%2e%2e/report.md", "/etc/passwd", "a%00"):
            assert (await client.get(f"/v1/runs/{run['pk']}/artifacts/{name}")).status_code == 404


async def test_a_file_that_its_storage_lost_or_spoiled_is_not_handed_out() -> None:
    async with world("agent_build") as (made, client):
        run = await with_artifacts(made, (await submitted(client))["id"])
        made.engine.blobs._files[f"{run['pk']}/1/{STAGES[2]}/report.md"] = b"spoiled"
        assert_problem(await client.get(f"/v1/runs/{run['pk']}/artifacts/report.md"), 500, "artifact-lost")
        del made.engine.blobs._files[f"{run['pk']}/1/{STAGES[0]}.json"]
        assert_problem(await client.get(f"/v1/runs/{run['pk']}/artifacts"), 500, "artifact-lost")


async def test_a_trace_holds_the_request_and_what_followed(tmp_path: Path) -> None:
    telemetry = start("penstock-api", store_path=tmp_path / "spans.db", otlp=False)
    async with world("agent_build", telemetry=telemetry) as (made, client):
        project = await submitted(client)
        run = await made.enqueue(project["id"])
        stage = telemetry.tracer.start_span("stage analysis", context=context_from(run["traceparent"]))
        stage.end()
        telemetry.shutdown()
        trace = (await client.get(f"/v1/runs/{project['run_id']}/trace")).json()
        assert trace["trace_id"] == run["traceparent"].split("-")[1]
        assert [span["name"] for span in trace["spans"]] == ["POST /v1/projects", "stage analysis"]
        request, work = trace["spans"]
        assert work["parent_id"] == request["span_id"]
        assert request["attributes"]["http.response.status_code"] == 201
        assert request["attributes"]["http.route"] == "/v1/projects"


async def test_a_request_whose_own_trace_is_not_sampled_leaves_no_spans(tmp_path: Path) -> None:
    telemetry = start("penstock-api", store_path=tmp_path / "spans.db", otlp=False)
    trace = "0af7651916cd43dd8448eb211c80319c"
    unsampled = {"traceparent": f"00-{trace}-b7ad6b7169203331-00"}
    async with world("agent_build", telemetry=telemetry) as (made, client):
        answer = await client.post("/v1/projects", json={"requirement": REQUIREMENT}, headers=unsampled)
        run = await made.enqueue(answer.json()["id"])
        telemetry.shutdown()
        found = (await client.get(f"/v1/runs/{run['pk']}/trace")).json()
    assert found == {"trace_id": trace, "spans": []}


async def test_spans_are_named_by_their_route_and_health_checks_leave_none(tmp_path: Path) -> None:
    telemetry = start("penstock-api", store_path=tmp_path / "spans.db", otlp=False)
    trace = "0af7651916cd43dd8448eb211c80319c"
    parent = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    async with world("agent_build", telemetry=telemetry) as (_, client):
        project = await submitted(client)
        for path in (f"/v1/projects/{project['id']}", "/v1/projects/x", "/nowhere", "/healthz", "/readyz", "/docs"):
            await client.get(path, headers=parent)
        telemetry.shutdown()
        assert telemetry.store is not None
        spans = telemetry.store.trace(trace)
    assert [(span["name"], span["attributes"]["http.response.status_code"]) for span in spans] == [
        ("GET /v1/projects/{project_id}", 200),
        ("GET /v1/projects/{project_id}", 404),
        ("GET", 404),
    ]


async def test_where_a_collector_has_the_traces_the_api_says_so() -> None:
    telemetry = start("penstock-api", store_path=None, otlp=False)
    async with world("agent_build", telemetry=telemetry) as (made, client):
        project = await submitted(client)
        run = await made.enqueue(project["id"])
        problem = assert_problem(await client.get(f"/v1/runs/{run['pk']}/trace"), 404, "traces-elsewhere")
        assert problem["trace_id"] == run["traceparent"].split("-")[1]
        assert problem["trace_id"] in problem["detail"]
