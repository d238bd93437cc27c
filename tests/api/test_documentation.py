"""The documentation is complete, true, and comes from nowhere else."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar.handlers import HTTPRouteHandler
from tests.api.world import submitted, world

from penstock_api.application import ROUTES
from penstock_api.documentation.examples import EXAMPLES
from penstock_api.documentation.openapi import openapi_document
from penstock_api.problems import KINDS, METHOD_NOT_ALLOWED

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
UNDOCUMENTED = {("get", "/openapi.json"), ("get", "/docs"), ("get", "/docs/{asset}")}


async def openapi() -> dict[str, Any]:
    async with world() as (_, client):
        answer = await client.get("/openapi.json")
        assert answer.headers["content-type"] == "application/json"
        document: dict[str, Any] = answer.json()
        return document


async def test_the_version_is_known_where_no_distribution_is_installed_as_in_the_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> Any:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata.Distribution, "from_name", missing)
    openapi_document.cache_clear()
    try:
        version = (await openapi())["info"]["version"]
    finally:
        openapi_document.cache_clear()
    assert version == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


async def test_every_route_is_documented_and_nothing_else() -> None:
    documented = {(method, path) for path, methods in (await openapi())["paths"].items() for method in methods}
    served = {
        (method.lower(), re.sub(r":\w+}", "}", path))
        for route in ROUTES
        if isinstance(route, HTTPRouteHandler)
        for method in route.http_methods
        for path in route.paths
    }
    assert documented | UNDOCUMENTED == served


async def test_every_reference_leads_somewhere_and_every_operation_has_a_500() -> None:
    document = await openapi()
    assert document["openapi"] == "3.1.0"
    references = set(re.findall(r"'\$ref': '([^']+)'", str(document)))
    assert references == {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    for methods in document["paths"].values():
        for operation in methods.values():
            problem = operation["responses"]["500"]["content"]["application/problem+json"]
            assert problem["schema"] == {"$ref": "#/components/schemas/ProblemView"}
            assert problem["examples"]


async def test_every_kind_of_problem_has_an_example_and_is_named_by_an_operation() -> None:
    document = await openapi()
    assert {kind.name for kind in KINDS} == EXAMPLES["problems"].keys()
    named = set(re.findall(r"urn:penstock:problem:([a-z-]+)', 'title'", str(document["paths"])))
    assert {kind.name for kind in KINDS} - named == {METHOD_NOT_ALLOWED.name}, "no documented method is a wrong one"


async def test_the_documented_requests_are_accepted_and_the_answers_have_the_documented_fields() -> None:
    schemas = (await openapi())["components"]["schemas"]
    async with world("agent_build", "agent_update", "tool_build") as (made, client):
        for example in EXAMPLES["requests"].values():
            await submitted(client, **example["value"])
        project = await submitted(client)
        await made.succeed(await made.claim(await made.enqueue(project["id"])))
        base = f"/v1/projects/{project['id']}"
        run = f"/v1/runs/{project['run_id']}"
        answers = {
            "ProjectView": base, "ProjectPage": "/v1/projects", "EventPage": f"{base}/events",
            "ArtifactList": f"{run}/artifacts", "WorkflowList": "/v1/workflows", "BoardView": "/v1/board",
            "AdmissionView": f"{run}/admission", "LimitView": "/v1/limits/fleet", "LimitPage": "/v1/limits", "LimitChangePage": "/v1/limits/fleet/changes",
            "HealthView": "/readyz",
        }  # fmt: skip
        for name, path in answers.items():
            answer = (await client.get(path)).json()
            assert answer.keys() == schemas[name]["properties"].keys(), name
            assert EXAMPLES["answers"][name].keys() == answer.keys(), name
            assert set(schemas[name]["required"]) == answer.keys(), name


def with_bodies(document: dict[str, Any], project_id: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, address and body of every operation that has one."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if "requestBody" in operation:
                address = path.format(project_id=project_id, kind="tenant", name="acme")
                yield method, address, operation["requestBody"]


async def test_every_example_of_a_body_is_one_that_its_address_takes() -> None:
    async with world("agent_build", "tool_build", "agent_update") as (made, client):
        project = await submitted(client)
        await made.fail(await made.claim(await made.enqueue(project["id"])), error="broken", message="It broke.")
        for method, address, body in with_bodies(await openapi(), project["id"]):
            for name, example in body["content"]["application/json"]["examples"].items():
                answer = await client.request(method, address, json=example["value"])
                assert answer.status_code in {200, 201, 409}, (method, address, name, answer.text)


async def test_a_body_that_may_be_left_out_is_not_required_and_every_other_is() -> None:
    async with world() as (_, client):
        for method, address, body in with_bodies(await openapi(), "prj_01KB5S6ZC1QG9VYH2N7D3T8XEM"):
            refused = (await client.request(method, address)).status_code == 400
            assert body["required"] == refused, (method, address)


async def test_a_file_that_is_still_the_same_is_documented_as_it_is_answered_without_a_body() -> None:
    operation = (await openapi())["paths"]["/v1/runs/{run_id}/artifacts/{name}"]["get"]
    assert "content" not in operation["responses"]["304"]
    assert "If-None-Match" in [parameter["name"] for parameter in operation["parameters"]]


async def test_the_limits_are_in_the_schema_of_the_body() -> None:
    body = (await openapi())["components"]["schemas"]["NewProject"]
    assert body["additionalProperties"] is False
    assert body["required"] == ["requirement"]
    fields = body["properties"]
    assert (fields["requirement"]["minLength"], fields["requirement"]["maxLength"]) == (10, 10_000)
    assert (fields["priority"]["minimum"], fields["priority"]["maximum"], fields["priority"]["default"]) == (1, 5, 3)
    assert (fields["tags"]["maxItems"], fields["tags"]["items"]["maxLength"]) == (20, 50)
    assert fields["workflow"]["default"] == "agent_build"
    assert "default" not in fields["name"]


async def test_the_page_and_all_it_loads_come_from_this_process() -> None:
    async with world() as (_, client):
        page = await client.get("/docs")
        assert page.headers["content-type"].startswith("text/html")
        assert "default-src 'self'" in page.headers["content-security-policy"]
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert len(loaded) == 6
        for address in loaded:
            assert address.startswith("/")
            assert not address.startswith("//")
            assert (await client.get(address)).status_code == 200
        for own in ("/docs/page.js", "/docs/page.css", "/docs/icon.svg"):
            text = (await client.get(own)).text.replace('xmlns="http://www.w3.org/2000/svg"', "")
            assert not re.search(r"https?:|//[a-z]", text.replace("// ", ""))
        styles = (await client.get("/docs/swagger-ui.css")).text
        assert not re.search(r"url\(\s*['\"]?(https?:)?//", styles)
        assert "@import" not in styles
