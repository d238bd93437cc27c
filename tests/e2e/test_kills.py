"""kill -9 of anything, at any time: everything finishes, nothing finished runs again, no slot is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import audit
from tests.e2e.kill_campaign import campaign
from tests.e2e.product import CLOCK, Product
from tests.e2e.workflows import EFFECTS_FILE, STAGES

from penstock_backbone.records.runs import story

pytestmark = pytest.mark.anyio
LIMIT = 5
RUNS = 12
OWN_WORKFLOWS = ("--workflows", "tests.e2e.workflows", "--limit", str(LIMIT))


async def submit_many(product: Product, workflow: str = "seven_steps") -> list[str]:
    bodies = [{"requirement": f"Take seven steps, number {number}", "workflow": workflow} for number in range(RUNS)]
    return [project["id"] for project in await asyncio.gather(*(product.submit(**body) for body in bodies))]


def check_everything(product: Product, projects: list[dict[str, Any]]) -> None:
    """After the product has ended."""
    assert [project["status"] for project in projects] == ["completed"] * RUNS
    feed = audit.changes(product.folder)
    assert audit.most_held(feed) == LIMIT
    assert audit.tokens_left(feed) == set()
    assert [broken for run in audit.runs(feed) for broken in audit.broken_promises(run)] == []


async def test_after_a_kill_of_the_runner_runs_go_on_where_they_were(tmp_path: Path) -> None:
    async with Product(tmp_path / "data", *OWN_WORKFLOWS) as product:
        ids = await submit_many(product)
        await product.some_stages_done(*ids)
        await product.kill("runner")
        projects = await product.all_ended(*ids)
    check_everything(product, projects)
    assert any(run["attempt"] > 1 for run in audit.runs(audit.changes(product.folder)))
    assert "runner-1 was killed by SIGKILL: starting it again" in product.output


async def replaced(product: Product, runner: int) -> None:
    """Stops it in good order, and waits until another has taken its place."""
    os.kill(runner, signal.SIGTERM)
    await product.until(lambda: runner not in product.pids("runner") and len(product.pids("runner")) == 2)


async def test_a_rolling_restart_of_all_runners_loses_and_repeats_nothing_and_counts_no_attempt(tmp_path: Path) -> None:
    """With the patience of a deployment. The second that Ctrl-C has is not always enough on a machine that is busy."""
    effects = tmp_path / "effects"
    environment = {"PENSTOCK_DRAIN_SECONDS": "30", EFFECTS_FILE: str(effects)}
    async with Product(tmp_path / "data", "--runners", "2", *OWN_WORKFLOWS, **environment) as product:
        ids = await submit_many(product, "seven_noted_steps")
        await product.some_stages_done(*ids)
        for victim in product.pids("runner"):
            await replaced(product, victim)
        projects = await product.all_ended(*ids)
    check_everything(product, projects)
    runs = audit.runs(audit.changes(product.folder))
    assert {run["attempt"] for run in runs} == {1}
    begun = effects.read_text().split()
    assert len(begun) == len(set(begun)) == RUNS * STAGES
    assert any(fact["t"] == "RunRequeued" for run in runs for _, fact in story(run))


@pytest.mark.slow
@pytest.mark.parametrize("program", ["orchestrator", "api", "store"])
async def test_after_a_kill_of_another_process_everything_finishes(tmp_path: Path, program: str) -> None:
    async with Product(tmp_path / "data", *OWN_WORKFLOWS) as product:
        ids = await submit_many(product)
        await product.some_stages_done(*ids)
        await product.kill(program)
        projects = await product.all_ended(*ids)
    check_everything(product, projects)


@pytest.mark.slow
async def test_one_process_after_another_is_killed_and_everything_finishes(tmp_path: Path) -> None:
    async with Product(tmp_path / "data", "--runners", "2", *OWN_WORKFLOWS) as product:
        ids = await submit_many(product)
        for program in ("store", "runner", "orchestrator", "runner", "api", "store", "runner"):
            await CLOCK.sleep(0.7)
            await product.kill(program)
        projects = await product.all_ended(*ids)
    check_everything(product, projects)


async def test_after_a_kill_of_everything_the_next_up_finishes_it(tmp_path: Path) -> None:
    product = Product(tmp_path / "data", "--runners", "2", *OWN_WORKFLOWS)
    await product.start()
    ids = await submit_many(product)
    await product.some_stages_done(*ids)
    await product.kill_all()
    async with product:
        projects = await product.all_ended(*ids)
    check_everything(product, projects)


@pytest.mark.slow
async def test_a_killed_demo_is_finished_by_the_next_up(tmp_path: Path) -> None:
    demo = Product(tmp_path / "data", command="demo")
    await demo.begin()
    await demo.until(lambda: demo.output.count(" of 9)") > 20)
    await demo.kill_all()
    async with Product(tmp_path / "data") as product, product.client() as client:
        page = (await client.get("/v1/projects")).json()
        ids = [project["id"] for project in page["projects"]]
        projects = await product.all_ended(*ids)
    assert [project["status"] for project in projects] == ["completed"] * 10
    feed = audit.changes(product.folder)
    assert audit.most_held(feed) == LIMIT
    assert [broken for run in audit.runs(feed) for broken in audit.broken_promises(run)] == []


@pytest.mark.slow
async def test_a_short_campaign_of_kills_loses_nothing(tmp_path: Path) -> None:
    report = await campaign(tmp_path, kills=25, seed=3)
    assert report.complaints() == [], report
    assert statistics.median(each.ms for each in report.resumed) < 1000, report
