"""A repeated request is one project, whoever repeats it: the client, a proxy, or our own retry."""

from __future__ import annotations

import asyncio

import pytest
from tests.api.test_bad_input import assert_problem
from tests.api.world import REQUIREMENT, World, submitted, world

from penstock_backbone.inventory import BY_TENANT, PROJECTS
from penstock_backbone.vocabulary import Item, Query

pytestmark = pytest.mark.anyio

BODY = {"requirement": REQUIREMENT, "tags": ["a"]}


async def projects(made: World, tenant: str = "default") -> list[Item]:
    return list((await made.real_tables.query(Query(PROJECTS, tenant, index=BY_TENANT.name))).items)


async def test_the_same_key_and_body_give_the_same_project() -> None:
    async with world("agent_build") as (made, client):
        first = await client.post("/v1/projects", json=BODY, headers={"Idempotency-Key": "k"})
        again = await client.post("/v1/projects", json=BODY, headers={"Idempotency-Key": "k"})
        assert (first.status_code, again.status_code) == (201, 200)
        assert "idempotency-replayed" not in first.headers
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers["location"] == first.headers["location"]
        assert again.json() == first.json()
        assert len(await projects(made)) == 1


async def test_a_body_that_is_spelled_differently_is_the_same_body() -> None:
    async with world("agent_build") as (made, client):
        spelled = b'{"tags": ["a"], "priority": 3,\n "requirement": "' + REQUIREMENT.encode() + b'"}'
        headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
        assert (await client.post("/v1/projects", json=BODY, headers={"Idempotency-Key": "k"})).status_code == 201
        assert (await client.post("/v1/projects", content=spelled, headers=headers)).status_code == 200
        assert len(await projects(made)) == 1


@pytest.mark.parametrize(
    "other", [{"requirement": REQUIREMENT + "!"}, {"priority": 2}, {"tags": []}, {"name": "n"}, {"tags": ["a", "b"]}]
)
async def test_the_same_key_with_another_body_is_a_conflict(other: dict[str, object]) -> None:
    async with world("agent_build") as (made, client):
        first = await client.post("/v1/projects", json=BODY, headers={"Idempotency-Key": "k"})
        written = made.items_written
        answer = await client.post("/v1/projects", json=BODY | other, headers={"Idempotency-Key": "k"})
        problem = assert_problem(answer, 409, "idempotency-key-reused")
        assert first.json()["id"] in problem["detail"]
        assert made.items_written == written


async def test_a_replay_tells_how_far_the_project_has_come() -> None:
    async with world("agent_build") as (made, client):
        first = await client.post("/v1/projects", json=BODY, headers={"Idempotency-Key": "k"})
        await made.succeed(await made.claim(await made.enqueue(first.json()["id"])))
        again = await client.post("/v1/projects", json=BODY, headers={"Idempotency-Key": "k"})
        assert again.json() == first.json() | {"status": "completed"}


async def test_twenty_identical_requests_at_once_are_one_project() -> None:
    async with world("agent_build") as (made, client):
        answers = await asyncio.gather(
            *(client.post("/v1/projects", json=BODY, headers={"Idempotency-Key": "k"}) for _ in range(20))
        )
        assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert len(await projects(made)) == 1


async def test_keys_of_different_tenants_have_nothing_to_do_with_each_other() -> None:
    async with world("agent_build") as (made, client):
        for tenant in ("one", "two"):
            headers = {"Idempotency-Key": "k", "Penstock-Tenant": tenant}
            assert (await client.post("/v1/projects", json=BODY, headers=headers)).status_code == 201
            assert len(await projects(made, tenant)) == 1


async def test_without_a_key_two_requests_are_two_projects() -> None:
    async with world("agent_build") as (made, client):
        await submitted(client)
        await submitted(client)
        assert len(await projects(made)) == 2


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k"}])
@pytest.mark.parametrize("lost", ["lose_requests", "lose_responses"])
async def test_an_answer_lost_on_the_way_from_the_store_makes_no_second_project(
    headers: dict[str, str], lost: str
) -> None:
    async with world("agent_build") as (made, client):
        await submitted(client, name="before")
        getattr(made.tables, lost).update({"write": 2, "transact": 2})
        answer = await client.post("/v1/projects", json=BODY, headers=headers)
        assert answer.status_code == 201, answer.text
        stored = [project for project in await projects(made) if project["name"] != "before"]
        assert [project["pk"] for project in stored] == [answer.json()["id"]]


async def test_a_store_that_stays_away_is_a_503_that_may_be_repeated() -> None:
    async with world("agent_build") as (made, client):
        await submitted(client)
        made.tables.lose_responses["transact"] = 3
        headers = {"Idempotency-Key": "k"}
        answer = await client.post("/v1/projects", json=BODY, headers=headers)
        assert_problem(answer, 503, "unavailable")
        assert answer.headers["retry-after"] == "1"
        again = await client.post("/v1/projects", json=BODY, headers=headers)
        assert again.status_code == 200
        assert len(await projects(made)) == 2


async def test_a_replay_succeeds_even_when_its_workflow_has_gone() -> None:
    async with world("agent_build") as (made, client):
        first = await client.post("/v1/projects", json=BODY, headers={"Idempotency-Key": "k"})
        made.api.parts.catalog._known = {}
        made.engine.storage._partitions.clear()
        again = await client.post("/v1/projects", json=BODY, headers={"Idempotency-Key": "k"})
        assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
        other = await client.post("/v1/projects", json=BODY | {"priority": 1}, headers={"Idempotency-Key": "k"})
        assert_problem(other, 409, "idempotency-key-reused")
        new = await client.post("/v1/projects", json=BODY, headers={"Idempotency-Key": "new"})
        assert_problem(new, 503, "no-runner")
