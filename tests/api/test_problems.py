"""Every error is a problem document, the unexpected one included, and none says more than it should."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest
from tests.api.test_bad_input import assert_problem
from tests.api.world import REQUIREMENT, TestClock, submitted, world

from penstock_backbone.errors import Fatal
from penstock_backbone.vocabulary import Item, Key, Write

pytestmark = pytest.mark.anyio


async def test_an_unknown_address_says_where_the_addresses_are() -> None:
    async with world("agent_build") as (_, client):
        for path in ("/", "/v1", "/v1/nowhere", "/v1/projects/a/b/c", "/docs/secret.txt", "/docs/..%2fpage.html"):
            assert_problem(await client.get(path), 404, "not-found")


async def test_a_wrong_method_names_the_right_ones() -> None:
    async with world("agent_build") as (made, client):
        for method, path in (
            ("DELETE", "/v1/projects"), ("PUT", "/v1/projects"), ("POST", "/healthz"), ("PATCH", "/v1/board"),
        ):  # fmt: skip
            problem = assert_problem(await client.request(method, path), 405, "method-not-allowed")
            assert "GET" in problem["detail"]
        assert made.items_written == 0


async def test_an_unexpected_error_is_logged_under_an_id_and_tells_nothing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def explode(keys: Sequence[Key]) -> list[Item | None]:
        raise RuntimeError("the password is hunter2")

    async with world("agent_build") as (made, client):
        project = await submitted(client)
        monkeypatch.setattr(made.tables, "get", explode)
        with caplog.at_level(logging.ERROR):
            answer = await client.get(f"/v1/projects/{project['id']}")
        problem = assert_problem(answer, 500, "internal")
        assert "hunter2" not in answer.text
        assert "RuntimeError" not in answer.text
        assert problem["request_id"].startswith("req_")
        assert problem["request_id"] in caplog.text
        assert "hunter2" in caplog.text


async def test_a_store_that_refuses_for_good_is_an_unexpected_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(writes: Sequence[Write]) -> None:
        raise Fatal("the disk of the store is full: make room")

    async with world("agent_build") as (made, client):
        await submitted(client)
        monkeypatch.setattr(made.tables, "write", refuse)
        answer = await client.post("/v1/projects", json={"requirement": REQUIREMENT})
        assert_problem(answer, 500, "internal")
        assert "disk" not in answer.text


@pytest.mark.parametrize("path", ["/v1/projects", "/v1/board", "/v1/workflows", "/readyz"])
async def test_a_store_that_is_away_is_a_503_with_a_time_to_come_again(path: str) -> None:
    async with world("agent_build") as (made, client):
        made.tables.lose_requests.update({"query": 9, "get": 9})
        answer = await client.get(path)
        assert_problem(answer, 503, "unavailable")
        assert answer.headers["retry-after"] == "1"


async def test_health_needs_no_store_and_readiness_asks_it_once_a_second() -> None:
    clock = TestClock()
    async with world(clock=clock) as (made, client):
        made.tables.lose_requests.update({"query": 1})
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        assert made.tables.calls == []
        for _ in range(5):
            assert "storage" in assert_problem(await client.get("/readyz"), 503, "unavailable")["detail"]
        assert len(made.tables.calls) == 1
        clock.seconds += 1.1
        assert "No runner" in assert_problem(await client.get("/readyz"), 503, "unavailable")["detail"]
        await made.announce("agent_build")
        clock.seconds += 1.1
        assert (await client.get("/readyz")).json() == {"status": "ready"}


async def test_workflows_are_listed_as_they_were_announced() -> None:
    async with world("report", "agent_build") as (_, client):
        workflows = (await client.get("/v1/workflows")).json()["workflows"]
        assert [(workflow["name"], workflow["version"]) for workflow in workflows] == [
            ("agent_build", "7"),
            ("report", "7"),
        ]
        assert workflows[0]["stages"][0] == {"name": "analysis", "title": "Analysis"}
