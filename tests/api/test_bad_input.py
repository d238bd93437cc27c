"""Bad input gets a clear problem document, and nothing is written."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from tests.api.world import REQUIREMENT, world

from penstock_api.domain.new_project import BODY_BYTES_MAX

pytestmark = pytest.mark.anyio


def assert_problem(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """RFC 9457, with nothing that a reader would have to guess."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["type"] == f"urn:penstock:problem:{kind}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"].endswith((".", "?"))
    assert body["instance"] == answer.request.url.path
    for error in body.get("errors", []):
        assert error["message"]
        assert len({"pointer", "parameter", "header"} & error.keys()) == 1
    return body


BODIES: list[tuple[Any, str, str]] = [
    ({}, "#/requirement", "is required"),
    ({"requirement": "too short"}, "#/requirement", "must have 10 to 10,000 characters, and has 9"),
    ({"requirement": "   spaces   \n\n"}, "#/requirement", "must have 10 to 10,000 characters, and has 6"),
    ({"requirement": "长" * 10_001}, "#/requirement", "must have 10 to 10,000 characters, and has 10,001"),
    ({"requirement": 12345678901}, "#/requirement", "must be a string"),
    ({"requirement": None}, "#/requirement", "must be a string"),
    ({"requirement": "a form feed \f is not a newline"}, "#/requirement", "U+000C"),
    ({"requirement": "a null \0 ends nothing here"}, "#/requirement", "U+0000"),
    ({"requirement": REQUIREMENT, "priority": 0}, "#/priority", "must be from 1 to 5"),
    ({"requirement": REQUIREMENT, "priority": 6}, "#/priority", "must be from 1 to 5"),
    ({"requirement": REQUIREMENT, "priority": 10**30}, "#/priority", "must be from 1 to 5"),
    ({"requirement": REQUIREMENT, "priority": "3"}, "#/priority", "must be a whole number"),
    ({"requirement": REQUIREMENT, "priority": 2.5}, "#/priority", "must be a whole number"),
    ({"requirement": REQUIREMENT, "priority": True}, "#/priority", "must be a whole number"),
    ({"requirement": REQUIREMENT, "name": ""}, "#/name", "must have 1 to 200 characters"),
    ({"requirement": REQUIREMENT, "name": "   "}, "#/name", "must have 1 to 200 characters"),
    ({"requirement": REQUIREMENT, "name": "n" * 201}, "#/name", "and has 201"),
    ({"requirement": REQUIREMENT, "name": "\u200d" * 9}, "#/name", "must have 1 to 200 characters, and has 0"),
    ({"requirement": REQUIREMENT, "name": None}, "#/name", "must be a string"),
    ({"requirement": REQUIREMENT, "name": ["n"]}, "#/name", "must be a string"),
    ({"requirement": REQUIREMENT, "tags": "a"}, "#/tags", "must be a list of strings"),
    ({"requirement": REQUIREMENT, "tags": [1]}, "#/tags/0", "must be a string"),
    ({"requirement": REQUIREMENT, "tags": ["a", ""]}, "#/tags/1", "must have 1 to 50 characters"),
    ({"requirement": REQUIREMENT, "tags": ["t" * 51]}, "#/tags/0", "and has 51"),
    ({"requirement": REQUIREMENT, "tags": ["t"] * 21}, "#/tags", "at most 20"),
    ({"requirement": REQUIREMENT, "workflow": 1}, "#/workflow", "must be a string"),
    ({"requirement": REQUIREMENT, "workflow": ""}, "#/workflow", "must have 1 to 100 characters"),
    ({"requirement": REQUIREMENT, "input": [1]}, "#/input", "must be an object"),
    (
        {"requirement": REQUIREMENT, "input": {"text": "x" * 33_000}},
        "#/input",
        "may have 32,768 bytes as JSON, and has 33,011",
    ),
    ({"requirement": REQUIREMENT, "requirements": "x"}, "#/requirements", "is not a field of this request"),
    ({"requirement": REQUIREMENT, "a/b~c": 1}, "#/a~1b~0c", "is not a field of this request"),
    ([], "#", "must be an object"),
    ("text", "#", "must be an object"),
    (None, "#", "must be an object"),
]
UNPRINTABLE = [
    "\n", "\r", "\t", "\0", "\x1b", "\x7f", "\x85", "\u200b", "\u202e", "\u2028", "\u2029", "\ufeff", "\ue000", "\ufdd0",
    "\U000e0001", "\uffff",
]  # fmt: skip


@pytest.mark.parametrize(("body", "pointer", "message"), BODIES)
async def test_a_body_that_is_not_valid_is_explained(body: Any, pointer: str, message: str) -> None:
    async with world("agent_build") as (made, client):
        answer = await client.post("/v1/projects", content=json.dumps(body))
        problem = assert_problem(answer, 400, "invalid-request")
        assert [error["pointer"] for error in problem["errors"]] == [pointer]
        assert message in problem["errors"][0]["message"]
        assert message in problem["detail"]
        assert made.items_written == 0


async def test_control_and_separator_characters_are_refused_in_names_and_tags() -> None:
    async with world("agent_build") as (made, client):
        for character in UNPRINTABLE:
            body = {"requirement": REQUIREMENT, "name": f"a{character}b", "tags": ["fine", f"a{character}b"]}
            problem = assert_problem(await client.post("/v1/projects", json=body), 400, "invalid-request")
            assert [error["pointer"] for error in problem["errors"]] == ["#/name", "#/tags/1"]
            assert f"U+{ord(character):04X}" in problem["errors"][0]["message"]
            assert made.items_written == 0


async def test_everything_that_is_wrong_is_said_at_once() -> None:
    async with world("agent_build") as (made, client):
        body = {"requirement": "short", "priority": 9, "surprise": 1, "name": "a\nb"}
        problem = assert_problem(await client.post("/v1/projects", json=body), 400, "invalid-request")
        assert {error["pointer"] for error in problem["errors"]} == {
            "#/requirement",
            "#/priority",
            "#/surprise",
            "#/name",
        }
        assert "and 3 more" in problem["detail"]
        assert made.items_written == 0


async def test_a_flood_of_unknown_fields_gets_a_short_answer() -> None:
    async with world("agent_build") as (_, client):
        answer = await client.post("/v1/projects", json={f"field{number}": 1 for number in range(5_000)})
        assert_problem(answer, 400, "invalid-request")
        assert len(answer.content) < 2_000


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"requirement=Build", b'{"requirement": "Build me an agent"', b"\xff\xfe{}", b'{"requirement": "\\ud800 lone surrogate"}', b"[" * 50_000],
)  # fmt: skip
async def test_what_is_not_json_is_called_so(body: bytes) -> None:
    async with world("agent_build") as (made, client):
        answer = await client.post("/v1/projects", content=body, headers={"Content-Type": "application/json"})
        assert_problem(answer, 400, "not-json")
        assert made.items_written == 0


async def test_other_media_types_are_refused() -> None:
    async with world("agent_build") as (made, client):
        for media_type in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/json; charset=gbk",
        ]:
            body = b'{"requirement": "Build me an agent"}'
            answer = await client.post("/v1/projects", content=body, headers={"Content-Type": media_type})
            assert_problem(answer, 415, "unsupported-media-type")
            assert made.items_written == 0


async def test_a_body_over_256_kb_is_refused_whether_its_length_is_announced_or_not() -> None:
    async def in_pieces() -> Any:
        for _ in range(BODY_BYTES_MAX // 1024 + 1):
            yield b" " * 1024

    async with world("agent_build") as (made, client):
        headers = {"Content-Type": "application/json"}
        whole = await client.post("/v1/projects", content=b" " * (BODY_BYTES_MAX + 1), headers=headers)
        assert_problem(whole, 413, "too-large")
        assert_problem(await client.post("/v1/projects", content=in_pieces(), headers=headers), 413, "too-large")
        assert made.items_written == 0


async def test_a_body_of_just_256_kb_is_read() -> None:
    async with world("agent_build") as (_, client):
        body = b'{"requirement": "Build me an agent"}'
        answer = await client.post("/v1/projects", content=body + b" " * (BODY_BYTES_MAX - len(body)))
        assert answer.status_code == 201


async def test_an_unknown_workflow_lists_the_known_ones() -> None:
    async with world("agent_build", "report") as (made, client):
        body = {"requirement": REQUIREMENT, "workflow": "agent_bild"}
        problem = assert_problem(await client.post("/v1/projects", json=body), 400, "unknown-workflow")
        assert problem["known_workflows"] == ["agent_build", "report"]
        assert "agent_build, report" in problem["detail"]
        assert problem["errors"][0]["pointer"] == "#/workflow"
        assert made.items_written == 0


async def test_before_any_runner_has_started_the_client_is_told_to_come_again() -> None:
    async with world() as (made, client):
        answer = await client.post("/v1/projects", json={"requirement": REQUIREMENT})
        assert_problem(answer, 503, "no-runner")
        assert answer.headers["retry-after"] == "1"
        assert made.items_written == 0


async def test_a_key_must_be_short_and_printable() -> None:
    async with world("agent_build") as (made, client):
        for key in ["", "k" * 201, "a\tb", "schlüssel"]:
            headers = [(b"Idempotency-Key", key.encode("latin-1"))]
            answer = await client.post("/v1/projects", json={"requirement": REQUIREMENT}, headers=headers)
            problem = assert_problem(answer, 400, "invalid-request")
            assert problem["errors"][0]["header"] == "Idempotency-Key"
            assert made.items_written == 0


async def test_a_tenant_has_a_plain_name() -> None:
    async with world("agent_build") as (made, client):
        for tenant in ["", "A", "-a", "a_b", "a" * 41, "a#b", "ü"]:
            headers = [(b"Penstock-Tenant", tenant.encode("latin-1"))]
            for method, path in (("POST", "/v1/projects"), ("GET", "/v1/projects"), ("GET", "/v1/board")):
                body = {"requirement": REQUIREMENT} if method == "POST" else None
                answer = await client.request(method, path, json=body, headers=headers)
                assert_problem(answer, 400, "invalid-request")
            assert made.items_written == 0


ULID = "01KB5S6ZC1QG9VYH2N7D3T8XEM"


async def test_an_unknown_project_is_not_found() -> None:
    unknown = [f"prj_{ULID}", f"run_{ULID}", f"prj_{ULID.lower()}", "x", "%00", "prj_%2e%2e", "KEY%23default%23x"]
    async with world("agent_build") as (_, client):
        for identity in unknown:
            for path in ("", "/events", "/events/stream"):
                answer = await client.get(f"/v1/projects/{identity}{path}")
                assert answer.status_code == 404
                assert answer.json()["type"] == "urn:penstock:problem:not-found"


async def test_an_unknown_run_is_not_found() -> None:
    async with world("agent_build") as (_, client):
        for identity in (f"run_{ULID}", f"prj_{ULID}", "x"):
            for path in ("trace", "artifacts", "artifacts/a.txt", "artifacts/a/b.txt"):
                assert_problem(await client.get(f"/v1/runs/{identity}/{path}"), 404, "not-found")


async def test_a_query_that_cannot_be_meant_is_explained() -> None:
    async with world("agent_build") as (_, client):
        for query in [
            "limit=0",
            "limit=101",
            "limit=x",
            "limit=-1",
            "limit=1.5",
            "limit=",
            "limit=%D9%A3",
            "status=running",
            "status=",
        ]:
            problem = assert_problem(await client.get(f"/v1/projects?{query}"), 400, "invalid-request")
            assert problem["errors"][0]["parameter"] == query.split("=", maxsplit=1)[0]


async def test_a_bad_cursor_is_refused() -> None:
    async with world("agent_build") as (_, client):
        for cursor in ["abc", "AAAA", "%C3%BC", "..%2F..", "a" * 2_000]:
            for query in (f"cursor={cursor}", f"status=queued&cursor={cursor}"):
                answer = await client.get(f"/v1/projects?{query}")
                assert answer.status_code == 400, answer.text
                assert answer.json()["errors"][0]["parameter"] == "cursor"


async def test_after_must_be_a_sequence_number() -> None:
    async with world("agent_build") as (_, client):
        for after in ["-1", "x", "1.5", "99999999999"]:
            created = await client.post("/v1/projects", json={"requirement": REQUIREMENT})
            for path in ("/events", "/events/stream"):
                answer = await client.get(f"{created.headers['location']}{path}?after={after}")
                assert_problem(answer, 400, "invalid-request")
            answer = await client.get(
                f"{created.headers['location']}/events/stream", headers=[(b"Last-Event-ID", after.encode())]
            )
            assert_problem(answer, 400, "invalid-request")
