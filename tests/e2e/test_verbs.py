"""A run waits for an approval, is paused, resumed and begun anew, while processes are killed; and holds no slot meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e import audit
from tests.e2e.product import Product

pytestmark = pytest.mark.anyio
OWN_WORKFLOWS = ("--workflows", "tests.e2e.workflows", "--limit", "1")


async def ask(client: httpx.AsyncClient, project: dict[str, Any], verb: str, **body: Any) -> dict[str, Any]:
    answer = await client.post(f"/v1/projects/{project['id']}/{verb}", json=body)
    assert answer.status_code in (200, 202), answer.text
    view: dict[str, Any] = answer.json()
    return view


async def until(product: Product, client: httpx.AsyncClient, project: dict[str, Any], status: str) -> dict[str, Any]:
    view: dict[str, Any] = {}

    async def so() -> bool:
        nonlocal view
        view = (await client.get(f"/v1/projects/{project['id']}")).json()
        return str(view["status"]) == status

    await product.until_so(so)
    return view


async def approved_after_a_wait(product: Product, *, kill: bool) -> None:
    """With a limit of one: another project is built while the first waits."""
    async with product.client() as client:
        waiting = await product.submit(requirement="Wait for an approval", workflow="reviewed")
        view = await until(product, client, waiting, "waiting")
        assert [(wait["stage"], wait["question"]) for wait in view["run"]["waits"]] == [
            ("review", "Shall it be delivered?")
        ]
        other = await product.submit(requirement="Take seven quick steps", workflow="seven_quick_steps")
        await until(product, client, other, "completed")
        if kill:
            await product.kill("runner")
            await product.kill("orchestrator")
        await ask(client, waiting, "approve", stage="review", by="Ada")
        await until(product, client, waiting, "completed")

        paused = await product.submit(requirement="Take seven steps, with a pause", workflow="seven_steps")
        await until(product, client, paused, "building")
        await ask(client, paused, "pause", reason="A pause.")
        done = (await until(product, client, paused, "paused"))["stages_snapshot"]["completed"]
        if kill:
            await product.kill("runner")
        await ask(client, paused, "resume")
        await until(product, client, paused, "completed")
        assert done < 7

        await ask(client, paused, "retry", from_stage="step_5")
        await until(product, client, paused, "completed")
        events = (await client.get(f"/v1/projects/{paused['id']}/events")).json()["events"]
        ran = [event["data"]["stage"] for event in events if event["metadata"]["type"] == "StageCompleted"]
        assert ran[-3:] == ["step_5", "step_6", "step_7"]
        assert [event["metadata"]["sequence"] for event in events] == list(range(1, len(events) + 1))
    await product.all_ended(waiting["id"], other["id"], paused["id"])


async def test_runs_wait_and_are_paused_and_begun_anew_through_kills(tmp_path: Path) -> None:
    async with Product(tmp_path / "data", *OWN_WORKFLOWS) as product:
        await approved_after_a_wait(product, kill=True)
    feed = audit.changes(tmp_path / "data")
    assert audit.most_granted(feed) == 1
    assert audit.tokens_left(feed) == set()


@pytest.mark.slow
async def test_a_timer_rings_although_everything_was_killed_meanwhile(tmp_path: Path) -> None:
    first = Product(tmp_path / "data", *OWN_WORKFLOWS)
    await first.start()
    async with first.client() as client:
        project = await first.submit(requirement="Take a nap of some seconds", workflow="napping")
        await until(first, client, project, "waiting")
    await first.kill_all()
    async with Product(tmp_path / "data", *OWN_WORKFLOWS) as second, second.client() as client:
        await until(second, client, project, "completed")
