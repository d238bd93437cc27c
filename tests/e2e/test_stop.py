"""Ctrl-C of `penstock up` while runs are executed: they are handed back, nothing has gone wrong, and nobody waits long."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.product import CLOCK, MODULES, STOP_SECONDS_MAX, Product

pytestmark = pytest.mark.anyio
OWN_WORKFLOWS = ("--workflows", "tests.e2e.workflows")
KILL_SECONDS_MAX = 7.0
"""A stage that hears of nothing but SIGKILL is given some time to."""


async def works(product: Product, project: dict[str, Any]) -> dict[str, Any]:
    """The run, once its last stage is under way."""
    view: dict[str, Any] = {}

    async def so() -> bool:
        (view_now,) = await product.projects(project["id"])
        view.update(view_now)
        return any(
            stage["name"] == "work" and stage["status"] == "running" for stage in view_now["stages_snapshot"]["stages"]
        )

    await product.until_so(so)
    run: dict[str, Any] = view["run"]
    return run


async def kinds(product: Product, project: dict[str, Any]) -> list[str]:
    async with product.client() as client:
        page = (await client.get(f"/v1/projects/{project['id']}/events")).json()
    return [event["metadata"]["type"] for event in page["events"]]


async def is_handed_back(product: Product, project: dict[str, Any], *, stages_done: int) -> None:
    """It goes on, under the same attempt."""
    assert (await works(product, project))["attempt"] == 1
    told = await kinds(product, project)
    assert (told.count("RunRequeued"), told.count("RunStarted")) == (1, 2)
    assert told.count("StageCompleted") == stages_done


async def cancelled(product: Product, project: dict[str, Any]) -> None:
    async with product.client() as client:
        assert (await client.post(f"/v1/projects/{project['id']}/cancel")).is_success


async def test_a_run_that_ctrl_c_stops_is_handed_back_and_no_attempt_is_counted(tmp_path: Path) -> None:
    """Although a client listens; and a second Ctrl-C, which waits no longer for stages, counts no attempt either."""
    first = Product(tmp_path / "data", *OWN_WORKFLOWS)
    await first.start()
    project = await first.submit(requirement="Work until somebody comes", workflow="patient")
    assert (await works(first, project))["attempt"] == 1
    stream = f"/v1/projects/{project['id']}/events/stream"
    async with first.client() as client, client.stream("GET", stream, params={"after": 0}) as answer:
        await anext(answer.aiter_lines())
        assert await first.stop() < STOP_SECONDS_MAX
    assert first.process.returncode == 0
    assert not any(first.pids(program) for program in MODULES)

    second = Product(first.folder, *OWN_WORKFLOWS, PENSTOCK_DRAIN_SECONDS="30")
    await second.start()
    await is_handed_back(second, project, stages_done=1)
    second.process.send_signal(signal.SIGINT)
    await CLOCK.sleep(1.5)
    assert second.process.returncode is None, "it lets stages end for 30 s"
    assert await second.stop() < STOP_SECONDS_MAX
    assert second.process.returncode == 0

    async with first:
        assert (await works(first, project))["attempt"] == 1
        await cancelled(first, project)


@pytest.mark.slow
async def test_a_stage_that_hears_of_nothing_is_killed_and_its_run_is_handed_back(tmp_path: Path) -> None:
    product = Product(tmp_path / "data", "--workflows", "tests.e2e.stubborn_workflow")
    await product.start()
    project = await product.submit(requirement="Work until somebody comes", workflow="stubborn")
    assert (await works(product, project))["attempt"] == 1
    assert await product.stop() < KILL_SECONDS_MAX
    assert product.process.returncode == 0
    async with product:
        await is_handed_back(product, project, stages_done=0)
        await cancelled(product, project)


async def test_a_drain_that_makes_no_sense_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    product = Product(tmp_path / "data", PENSTOCK_DRAIN_SECONDS="soon")
    await product.begin()
    assert await product.ended() == 1
    assert product.output == "penstock: PENSTOCK_DRAIN_SECONDS is 'soon': set it to a number from 0 to 105\n"
