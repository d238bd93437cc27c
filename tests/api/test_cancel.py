"""Cancelling a project in every state of its run, and what it answers each time."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from tests.api.test_bad_input import assert_problem
from tests.api.world import World, submitted, world

from penstock_backbone.records.runs import story

pytestmark = pytest.mark.anyio

WORKFLOW = "agent_build"


async def cancel(client: httpx.AsyncClient, project: dict[str, Any], body: Any = None, **more: Any) -> httpx.Response:
    return await client.post(f"/v1/projects/{project['id']}/cancel", json=body, **more)


async def kinds(made: World, project: dict[str, Any]) -> list[str]:
    return [each["t"] for _, each in story(await made.run(project["run_id"]))]


async def test_a_run_that_nobody_has_enqueued_yet_is_over_and_cannot_be_enqueued_any_more() -> None:
    async with world(WORKFLOW) as (made, client):
        project = await submitted(client)
        answer = await cancel(client, project, {"reason": "A mistake."})
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        assert answer.json()["run"]["error"] == {"error": "Cancelled", "message": "A mistake.", "stage": None}
        with pytest.raises(AssertionError):
            await made.enqueue(project["id"])
        assert await kinds(made, project) == ["RunCancelled"]


async def test_a_waiting_run_is_over_at_once() -> None:
    async with world(WORKFLOW) as (made, client):
        project = await submitted(client)
        await made.enqueue(project["id"])
        answer = await cancel(client, project)
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        assert answer.json()["run"]["error"]["message"] == "Cancelled by its owner."
        assert (await client.get("/v1/projects?status=cancelled")).json()["projects"][0]["id"] == project["id"]
        assert await kinds(made, project) == ["RunQueued", "RunCancelled"]


async def test_of_a_run_that_executes_the_owner_is_asked_and_is_refused_at_its_next_commit() -> None:
    async with world(WORKFLOW) as (made, client):
        project = await submitted(client)
        claimed = await made.claim(await made.enqueue(project["id"]))
        for _ in range(2):
            answer = await cancel(client, project, {"reason": "enough"})
            assert (answer.status_code, answer.json()["status"]) == (202, "building")
            assert answer.json()["run"]["cancel_requested"] is True
        assert (await kinds(made, project))[-1] == "RunCancelRequested", "asked twice, said once"
        with pytest.raises(AssertionError):
            await made.succeed(claimed)


@pytest.mark.parametrize("end", ["succeed", "fail"])
async def test_what_is_over_cannot_be_cancelled(end: str) -> None:
    async with world(WORKFLOW) as (made, client):
        project = await submitted(client)
        claimed = await made.claim(await made.enqueue(project["id"]))
        await (made.succeed(claimed) if end == "succeed" else made.fail(claimed, error="E", message="m"))
        before = made.items_written
        assert_problem(await cancel(client, project), 409, "already-over")
        assert made.items_written == before


async def test_cancelling_again_gives_the_same_answer_and_writes_nothing() -> None:
    async with world(WORKFLOW) as (made, client):
        project = await submitted(client)
        first = (await cancel(client, project)).json()
        before = made.items_written
        again = await cancel(client, project, {"reason": "another"})
        assert (again.status_code, again.json()) == (200, first)
        assert made.items_written == before


@pytest.mark.parametrize("lost", ["lose_requests", "lose_responses"])
async def test_a_cancellation_whose_answer_is_lost_is_made_once(lost: str) -> None:
    async with world(WORKFLOW) as (made, client):
        project = await submitted(client)
        await made.enqueue(project["id"])
        getattr(made.tables, lost)["write"] = 2
        assert (await cancel(client, project)).status_code == 200
        assert await kinds(made, project) == ["RunQueued", "RunCancelled"]


async def test_many_at_once_make_one() -> None:
    async with world(WORKFLOW) as (made, client):
        project = await submitted(client)
        await made.claim(await made.enqueue(project["id"]))
        answers = await asyncio.gather(*(cancel(client, project) for _ in range(10)))
        assert {answer.status_code for answer in answers} == {202}
        assert (await kinds(made, project)).count("RunCancelRequested") == 1


async def test_a_project_of_somebody_else_does_not_exist() -> None:
    async with world(WORKFLOW) as (_, client):
        project = await submitted(client)
        assert_problem(await cancel(client, project, headers={"Penstock-Tenant": "stranger"}), 404, "not-found")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"reason": ""}, "#/reason"),
        ({"reason": "x" * 501}, "#/reason"),
        ({"reason": 7}, "#/reason"),
        ({"reason": "two\nlines"}, "#/reason"),
        ({"why": "enough"}, "#/why"),
        ([], "#"),
    ],
)
async def test_a_body_that_says_something_else_changes_nothing(body: Any, pointer: str) -> None:
    async with world(WORKFLOW) as (made, client):
        project = await submitted(client)
        before = made.items_written
        answer = await cancel(client, project, body)
        assert_problem(answer, 400, "invalid-request")
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
        assert made.items_written == before


async def test_a_body_that_is_not_json_changes_nothing() -> None:
    async with world(WORKFLOW) as (_, client):
        project = await submitted(client)
        answer = await client.post(
            f"/v1/projects/{project['id']}/cancel", content=b"{", headers={"Content-Type": "application/json"}
        )
        assert_problem(answer, 400, "not-json")


async def test_a_body_may_be_left_out() -> None:
    async with world(WORKFLOW) as (_, client):
        project = await submitted(client)
        assert (await client.post(f"/v1/projects/{project['id']}/cancel")).status_code == 200
