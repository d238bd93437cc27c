"""Ctrl-C of `penstock up` while runs are executed: they are handed back, nothing has gone wrong, and nobody waits long."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.product import CLOCK, STOP_SECONDS_MAX, Product

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


@pytest.mark.parametrize(
    ("workflow", "seconds_max"),
    [("patient", STOP_SECONDS_MAX), pytest.param("stubborn", KILL_SECONDS_MAX, marks=pytest.mark.slow)],
)
async def test_a_run_that_ctrl_c_stops_is_handed_back_and_no_attempt_is_counted(
    tmp_path: Path, workflow: str, seconds_max: float
) -> None:
    product = Product(tmp_path / "data", "--workflows", "tests.e2e.workflows,tests.e2e.stubborn_workflow")
    await product.start()
    project = await product.submit(requirement="Work until somebody comes", workflow=workflow)
    assert (await works(product, project))["attempt"] == 1
    assert await product.stop() < seconds_max
    assert product.process.returncode == 0
    async with product:
        assert (await works(product, project))["attempt"] == 1
        told = await kinds(product, project)
        assert (told.count("RunRequeued"), told.count("RunStarted")) == (1, 2)
        assert told.count("StageCompleted") == (1 if workflow == "patient" else 0)
        async with product.client() as client:
            assert (await client.post(f"/v1/projects/{project['id']}/cancel")).is_success


async def test_a_second_ctrl_c_waits_no_longer_for_stages_and_counts_no_attempt_either(tmp_path: Path) -> None:
    product = Product(tmp_path / "data", *OWN_WORKFLOWS, PENSTOCK_DRAIN_SECONDS="30")
    await product.start()
    project = await product.submit(requirement="Work until somebody comes", workflow="patient")
    await works(product, project)
    product.process.send_signal(signal.SIGINT)
    await CLOCK.sleep(1.5)
    assert product.process.returncode is None, "it lets stages end for 30 s"
    assert await product.stop() < STOP_SECONDS_MAX
    assert product.process.returncode == 0
    async with product:
        assert (await works(product, project))["attempt"] == 1


async def test_a_drain_that_makes_no_sense_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    product = Product(tmp_path / "data", PENSTOCK_DRAIN_SECONDS="soon")
    await product.begin()
    assert await product.ended() == 1
    assert product.output == "penstock: PENSTOCK_DRAIN_SECONDS is 'soon': set it to a number from 0 to 105\n"
