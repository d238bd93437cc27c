"""POST /v1/projects on its good days."""

from __future__ import annotations

import json

import pytest
from tests.api.world import REQUIREMENT, TestClock, submitted, world

from penstock_api.domain.new_project import DERIVED_NAME_CHARS_MAX, derived_name
from penstock_backbone.records.projects import project_key
from penstock_backbone.telemetry import start

pytestmark = pytest.mark.anyio


async def test_an_accepted_project_has_an_address_an_id_and_a_place_in_the_store() -> None:
    async with world("agent_build") as (made, client):
        answer = await client.post(
            "/v1/projects", json={"requirement": REQUIREMENT, "name": "Refunds", "priority": 1, "tags": ["a", "b"]}
        )
        assert answer.status_code == 201
        body = answer.json()
        assert answer.headers["location"] == f"/v1/projects/{body['id']}"
        assert body == {
            "id": body["id"], "name": "Refunds", "workflow": "agent_build", "priority": 1, "tags": ["a", "b"],
            "status": "queued", "created_at": "2026-11-24T02:47:13.123Z", "run_id": body["run_id"],
        }  # fmt: skip
        (item,) = await made.real_tables.get([project_key(body["id"])])
        assert item is not None
        assert item["requirement"] == REQUIREMENT
        assert item["tenant"] == "default"


async def test_the_input_for_the_workflow_is_kept_as_it_was_given_and_is_part_of_what_a_key_stands_for() -> None:
    async with world("agent_build") as (made, client):
        asked = {"requirement": REQUIREMENT, "input": {"pages": 1.5, "nested": {"a": [None, "做"]}}}
        first = await client.post("/v1/projects", json=asked, headers={"Idempotency-Key": "order 8"})
        (item,) = await made.real_tables.get([project_key(first.json()["id"])])
        assert item is not None
        assert json.loads(item["input"]) == asked["input"]
        again = await client.post("/v1/projects", json=asked, headers={"Idempotency-Key": "order 8"})
        assert again.json()["id"] == first.json()["id"]
        other = await client.post(
            "/v1/projects", json=asked | {"input": {"pages": 2}}, headers={"Idempotency-Key": "order 8"}
        )
        assert other.status_code == 409


async def test_what_is_left_out_has_a_default() -> None:
    async with world("agent_build") as (_, client):
        body = await submitted(client)
        assert body["name"] == "Build me an agent that reads refund requests and drafts an…"
        assert (body["workflow"], body["priority"], body["tags"]) == ("agent_build", 3, [])


async def test_one_port_call_accepts_a_project_with_and_without_a_key() -> None:
    async with world("agent_build") as (made, client):
        await submitted(client)
        made.tables.calls.clear()
        await submitted(client)
        assert made.tables.calls == ["write"]
        made.tables.calls.clear()
        answer = await client.post(
            "/v1/projects", json={"requirement": REQUIREMENT}, headers={"Idempotency-Key": "order 7"}
        )
        assert answer.status_code == 201
        assert made.tables.calls == ["transact"]


async def test_a_requirement_keeps_its_lines_and_tabs_in_any_language() -> None:
    async with world("agent_build") as (_, client):
        body = await submitted(client, requirement="\ufeff做一个智能助手:\r\n\t读取退款申请👩‍💻\r并起草回复。  ")
        detail = (await client.get(f"/v1/projects/{body['id']}")).json()
        assert detail["requirement"] == "\ufeff做一个智能助手:\n\t读取退款申请👩‍💻\n并起草回复。"
        assert body["name"] == "做一个智能助手: 读取退款申请👩‍💻 并起草回复。"


@pytest.mark.parametrize("length", [10, 10_000])
async def test_the_limits_of_a_requirement_are_inside(length: int) -> None:
    async with world("agent_build") as (_, client):
        await submitted(client, requirement="长" * length)


@pytest.mark.parametrize(
    "name",
    [
        "می\u200cخواهم",
        "क्\u200dष",
        "👩\u200d💻 helper",
        "\U0001fae8 shaking",
        "\U0001fae9 of next year",
        "\U000323b0 a rare name",
    ],
    ids=["Persian", "Hindi", "joined emoji", "emoji of 2022", "emoji of 2024", "letter of 2025"],
)
async def test_names_and_tags_are_spelt_as_people_spell_them_with_letters_younger_than_this_python(name: str) -> None:
    async with world("agent_build") as (_, client):
        body = await submitted(client, name=name, tags=[name])
        assert (body["name"], body["tags"]) == (name, [name])


async def test_the_limits_of_names_and_tags_are_inside() -> None:
    async with world("agent_build") as (_, client):
        body = await submitted(client, name="n" * 200, tags=["t" * 50] * 20, priority=5)
        assert (len(body["name"]), len(body["tags"])) == (200, 20)


@pytest.mark.parametrize(
    "media_type", ["application/json", "application/json; charset=UTF-8", "application/x+json", None]
)
async def test_json_may_be_announced_in_several_ways(media_type: str | None) -> None:
    async with world("agent_build") as (_, client):
        body = '{"requirement": "做一个智能助手读取退款申请"}'.encode()
        headers = {"Content-Type": media_type} if media_type else {}
        assert (await client.post("/v1/projects", content=body, headers=headers)).status_code == 201


async def test_a_workflow_announced_a_moment_ago_is_accepted_at_once() -> None:
    clock = TestClock()
    async with world("agent_build", clock=clock) as (made, client):
        await submitted(client)
        await made.announce("new_kind")
        await submitted(client, workflow="new_kind")


async def test_the_catalog_is_read_once_in_five_seconds() -> None:
    clock = TestClock()
    async with world("agent_build", clock=clock) as (made, client):
        for _ in range(5):
            await submitted(client)
        assert made.tables.calls.count("query") == 1
        clock.seconds += 5.1
        await submitted(client)
        assert made.tables.calls.count("query") == 2


async def test_the_trace_of_the_request_goes_with_the_project() -> None:
    telemetry = start("api", store_path=None, otlp=False)
    trace = "0af7651916cd43dd8448eb211c80319c"
    async with world("agent_build", telemetry=telemetry) as (made, client):
        answer = await client.post(
            "/v1/projects",
            json={"requirement": REQUIREMENT},
            headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"},
        )
        (item,) = await made.real_tables.get([project_key(answer.json()["id"])])
        assert item is not None
        assert item["traceparent"].startswith(f"00-{trace}-")
        assert "b7ad6b7169203331" not in item["traceparent"]


@pytest.mark.parametrize(
    ("requirement", "name"),
    [
        ("Write a poem", "Write a poem"),
        ("  Write\n\ta   poem  ", "Write a poem"),
        ("word " * 40, "word " * 11 + "word…"),
        ("字" * 100, "字" * (DERIVED_NAME_CHARS_MAX - 1) + "…"),
        ("short " + "x" * 100, "short " + "x" * (DERIVED_NAME_CHARS_MAX - 7) + "…"),
        ("\u200b" * 20, "Untitled"),
        ("\u200d " * 20, "Untitled"),
        ("می‌خواهم کتاب بخوانم", "می‌خواهم کتاب بخوانم"),
    ],
)
def test_a_name_is_made_of_the_first_words(requirement: str, name: str) -> None:
    assert derived_name(requirement) == name
    assert len(name) <= DERIVED_NAME_CHARS_MAX
