"""A frontend that follows a project gets each event once, in order, whatever happens to the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.e2e.followers import by_sse, by_websocket
from tests.e2e.product import CLOCK, Product

pytestmark = pytest.mark.anyio
OWN_WORKFLOWS = ("--workflows", "tests.e2e.workflows")
SEVEN_STEPS = {"requirement": "Take seven steps, one by one", "workflow": "seven_steps"}


def numbers(events: list[dict[str, Any]]) -> list[int]:
    return [event["metadata"]["sequence"] for event in events]


@pytest.fixture(scope="module")
async def product(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Product]:
    """For all who leave it as they found it."""
    async with Product(tmp_path_factory.mktemp("running") / "data", *OWN_WORKFLOWS) as running:
        yield running


async def test_followers_miss_nothing_and_repeat_nothing_when_the_api_is_killed(product: Product) -> None:
    project = await product.submit(**SEVEN_STEPS)
    followers = asyncio.gather(by_sse(product, project["id"]), by_websocket(product, project["id"]))
    await CLOCK.sleep(0.4)
    await product.kill("api")
    sse, websocket = await followers
    async with product.client() as client:
        page = (await client.get(f"/v1/projects/{project['id']}/events")).json()
    assert numbers(sse) == list(range(1, len(sse) + 1))
    assert sse == websocket == page["events"]
    assert page["ended"] is True


async def test_one_trace_leads_from_the_post_to_the_last_stage(product: Product) -> None:
    async with product.client() as client:
        project = await product.submit(**SEVEN_STEPS)
        await product.all_ended(project["id"])
        await CLOCK.sleep(1.0)
        trace = (await client.get(f"/v1/runs/{project['run_id']}/trace")).json()
        events = (await client.get(f"/v1/projects/{project['id']}/events")).json()["events"]
    services = {span["service"] for span in trace["spans"]}
    names = " ".join(span["name"] for span in trace["spans"])
    assert {"penstock-api", "penstock-orchestrator", "workflow-runner"} == services
    assert all(f"step_{number}" in names for number in range(1, 8)), names
    assert {event["metadata"]["traceparent"].split("-")[1] for event in events} == {trace["trace_id"]}
