"""Reading projects: one, many, and what happened to them."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from tests.api.world import STAGES, TestClock, submitted, world

from penstock_backbone.records.limits import write_board
from penstock_events.codec import Event, decode

pytestmark = pytest.mark.anyio


async def test_a_project_is_queued_building_and_completed() -> None:
    async with world("agent_build") as (made, client):
        project = await submitted(client)
        path = f"/v1/projects/{project['id']}"
        assert (await client.get(path)).json()["run"]["state"] == "queued"

        run = await made.enqueue(project["id"])
        queued = (await client.get(path)).json()
        assert (queued["status"], queued["run"]["queued_at"]) == ("queued", "2026-11-24T02:47:14.123Z")

        run = await made.claim(run)
        building = (await client.get(path)).json()
        assert (building["status"], building["run"]["state"], building["queue"]) == ("building", "running", None)
        assert building["run"]["workflow_version"] == "7"
        assert [stage["status"] for stage in building["stages_snapshot"]["stages"]] == ["running", "pending", "pending"]

        run = await made.succeed(run)
        completed = (await client.get(path)).json()
        assert completed["status"] == "completed"
        assert completed["run"] == {
            "id": project["run_id"], "state": "succeeded", "attempt": 1, "cancel_requested": False, "pause_requested": False, "waits": [], "workflow_version": "7",
            "queued_at": "2026-11-24T02:47:14.123Z", "started_at": "2026-11-24T02:47:19.123Z",
            "ended_at": "2026-11-24T02:47:20.123Z", "duration_ms": 9_000, "error": None,
        }  # fmt: skip


async def test_a_failed_project_says_why() -> None:
    async with world("agent_build") as (made, client):
        project = await submitted(client)
        run = await made.claim(await made.enqueue(project["id"]))
        await made.fail(run, stage=STAGES[0], error="Timeout", message="It took too long.")
        found = (await client.get(f"/v1/projects/{project['id']}")).json()
        assert found["status"] == "failed"
        assert found["run"]["error"] == {"error": "Timeout", "message": "It took too long.", "stage": STAGES[0]}


async def test_a_waiting_project_shows_its_place_and_never_an_invented_one() -> None:
    async with world("agent_build") as (made, client):
        first, second = await submitted(client), await submitted(client)
        for project in (first, second):
            await made.enqueue(project["id"])
        unknown = (await client.get(f"/v1/projects/{second['id']}")).json()["queue"]
        assert unknown == {"position": None, "waiting": None, "as_of": None}
        await made.real_tables.write(
            [write_board("default", waiting=9, held=5, places=[first["run_id"], second["run_id"]], at=1_000)]
        )
        known = (await client.get(f"/v1/projects/{second['id']}")).json()["queue"]
        assert known == {"position": 2, "waiting": 9, "as_of": "1970-01-01T00:00:01.000Z"}
        board = (await client.get("/v1/board")).json()
        assert (board["waiting"], board["held"]) == (9, 5)
        assert board["places"][1] == {"position": 2, "run_id": second["run_id"]}
        third = await submitted(client)
        far_back = (await client.get(f"/v1/projects/{third['id']}")).json()["queue"]
        assert (far_back["position"], far_back["waiting"]) == (None, 9)


async def test_a_board_that_nobody_has_drawn_is_empty() -> None:
    async with world("agent_build") as (_, client):
        assert (await client.get("/v1/board")).json() == {"waiting": None, "held": None, "places": [], "as_of": None}


async def test_pages_list_every_project_once_newest_first() -> None:
    clock = TestClock()
    async with world("agent_build", clock=clock) as (_, client):
        submitted_ids = []
        for number in range(25):
            clock.seconds += 0.001
            submitted_ids.append((await submitted(client, name=f"number {number}"))["id"])
        found: list[str] = []
        cursor = ""
        for _ in range(10):
            page = (await client.get(f"/v1/projects?limit=7{cursor}")).json()
            assert len(page["projects"]) <= 7
            found += [project["id"] for project in page["projects"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert found == submitted_ids[::-1]


async def test_a_page_has_twenty_projects_unless_asked_otherwise() -> None:
    async with world("agent_build") as (made, client):
        for _ in range(25):
            await submitted(client)
        made.tables.calls.clear()
        assert len((await client.get("/v1/projects")).json()["projects"]) == 20
        assert made.tables.calls == ["query", "get"]
        assert len((await client.get("/v1/projects?limit=100")).json()["projects"]) == 25


async def test_projects_are_listed_by_status() -> None:
    clock = TestClock()
    async with world("agent_build", clock=clock) as (made, client):
        ids = []
        for _ in range(6):
            clock.seconds += 1
            ids.append((await submitted(client))["id"])
        runs = [await made.enqueue(project_id) for project_id in ids]
        for run in runs[:4]:
            await made.claim(run)
        await made.succeed(await made.run(runs[0]["pk"]))
        for status, expected in {
            "queued": ids[4:], "building": ids[1:4], "completed": ids[:1], "failed": [], "cancelled": [],
        }.items():  # fmt: skip
            page = (await client.get(f"/v1/projects?status={status}")).json()
            assert [project["id"] for project in page["projects"]] == expected[::-1]
            assert {project["status"] for project in page["projects"]} <= {status}
        first = (await client.get("/v1/projects?status=building&limit=2")).json()
        rest = (await client.get(f"/v1/projects?status=building&limit=2&cursor={first['next_cursor']}")).json()
        assert [len(first["projects"]), len(rest["projects"]), rest["next_cursor"]] == [2, 1, None]


async def test_a_cursor_of_another_list_is_refused() -> None:
    async with world("agent_build") as (_, client):
        for _ in range(3):
            await submitted(client)
        cursor = (await client.get("/v1/projects?limit=1")).json()["next_cursor"]
        answer = await client.get(f"/v1/projects?limit=1&status=queued&cursor={cursor}")
        assert (answer.status_code, answer.json()["type"]) == (400, "urn:penstock:problem:bad-cursor")


async def test_a_tenant_sees_only_its_own() -> None:
    async with world("agent_build") as (made, client):
        mine = {"Penstock-Tenant": "mine"}
        answer = await client.post("/v1/projects", json={"requirement": "Build me an agent"}, headers=mine)
        project = answer.json()
        await made.enqueue(project["id"])
        paths = [
            f"/v1/projects/{project['id']}", f"/v1/projects/{project['id']}/events",
            f"/v1/projects/{project['id']}/events/stream", f"/v1/runs/{project['run_id']}/artifacts",
            f"/v1/runs/{project['run_id']}/trace",
        ]  # fmt: skip
        for path in paths:
            assert (await client.get(path)).status_code == 404
        assert (await client.get("/v1/projects")).json()["projects"] == []
        assert (await client.get("/v1/projects?status=queued")).json()["projects"] == []
        assert len((await client.get("/v1/projects", headers=mine)).json()["projects"]) == 1
        assert (await client.get(paths[0], headers=mine)).status_code == 200


async def test_events_are_read_in_order_from_any_sequence_on() -> None:
    async with world("agent_build") as (made, client):
        project = await submitted(client, tags=["t"])
        path = f"/v1/projects/{project['id']}/events"
        only = (await client.get(path)).json()
        assert ([event["metadata"]["type"] for event in only["events"]], only["after"]) == (["ProjectCreated"], 1)
        run = await made.succeed(await made.claim(await made.enqueue(project["id"])))
        everything = (await client.get(path)).json()
        assert [event["metadata"]["sequence"] for event in everything["events"]] == list(range(1, run["seq"] + 1))
        assert everything["ended"] is True
        read, after, ended = [], 0, False
        while not ended:
            page = (await client.get(f"{path}?after={after}&limit=2")).json()
            read += page["events"]
            after, ended = page["after"], page["ended"]
        assert read == everything["events"]
        beyond = (await client.get(f"{path}?after={run['seq']}")).json()
        assert beyond == {"events": [], "after": run["seq"], "ended": True}


async def test_events_are_those_that_subscribers_of_the_bus_understand() -> None:
    async with world("agent_build") as (made, client):
        project = await submitted(client)
        await made.succeed(await made.claim(await made.enqueue(project["id"])))
        page = await client.get(f"/v1/projects/{project['id']}/events")
        for event in page.json()["events"]:
            decoded = decode(json.dumps(event))
            assert isinstance(decoded, Event), decoded
            assert decoded.metadata.event_id == f"{project['run_id']}:{decoded.metadata.sequence}"
            assert isinstance(decoded.metadata.occurred_at, datetime)
