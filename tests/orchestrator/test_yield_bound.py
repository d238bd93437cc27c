"""The promise, with real orchestrator and runner in virtual time: no slot of one's own means a stage of waiting, not a run."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from tests.limits import set_limit
from tests.runner.rig import NoChance, Rig, completions, virtual
from tests.runner.stages import Word, stage, workflow

from penstock_backbone.records.limits import FLEET
from penstock_backbone.records.projects import create_project
from penstock_backbone.records.runs import SUCCEEDED
from penstock_backbone.records.times import to_ms
from penstock_backbone.telemetry import silent
from penstock_orchestrator.bootstrap import Parts, Surroundings, direct_host
from penstock_runner.authoring import StageContext

STAGES = 5
STAGE_SECONDS = 60.0
ASIDE_SECONDS = 5.0
"""For hints, looks and claims."""


async def submit(rig: Rig, tenant: str, name: str) -> str:
    run_id = rig.ids.new("run")
    put = create_project(
        rig.ids.new("prj"), tenant=tenant, name="A project", requirement="Build me an agent.", workflow=name, priority=3,
        tags=[], run_id=run_id, at=to_ms(rig.clock.now()), traceparent=None,
    )  # fmt: skip
    await rig.engine.tables.write([put])
    return run_id


async def started_after(rig: Rig, *, yields: bool) -> float:
    """The seconds until the run of a tenant without a slot begins, while another tenant's two runs hold all there are."""

    async def works(context: StageContext) -> Word:
        await rig.clock.sleep(STAGE_SECONDS)
        return Word()

    long = workflow(*(stage(f"s{number}", works) for number in range(STAGES)), name="long")
    await rig.engine.tables.write([set_limit(FLEET, limit=2, at=1, yields=yields)])
    given = Surroundings(rig.clock, rig.ids, NoChance(), silent())
    host = asyncio.create_task(direct_host(Parts.on(rig.engine, given), rig.engine, given).run())
    try:
        rig.start(long, capacity=8)
        loud = []
        for _ in range(3):
            loud.append(await submit(rig, "loud", "long"))
            await rig.clock.sleep(20)
        quiet = await submit(rig, "quiet", "long")
        began = rig.clock.monotonic()
        await rig.clock.sleep(1)
        await rig.until(lambda run: "started_at" in run, quiet)
        seconds = rig.clock.monotonic() - began
        await rig.until_ended(*loud, quiet, state=SUCCEEDED)
    finally:
        host.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await host
    for run_id in (*loud, quiet):
        assert completions(await rig.story(run_id)) == [f"s{number}" for number in range(STAGES)]
        assert (await rig.run(run_id))["attempt"] == 1
    asked = [(await rig.told(run_id)).count("RunYieldRequested") for run_id in loud]
    assert asked == ([1, 0, 0] if yields else [0, 0, 0])
    return seconds


@pytest.mark.parametrize("stages", [1, STAGES])
def test_a_tenant_without_a_slot_waits_for_a_stage_where_runs_yield_and_for_a_run_where_they_do_not(
    stages: int,
) -> None:
    yields = stages == 1

    @virtual
    async def story(rig: Rig) -> None:
        seconds = await started_after(rig, yields=yields)
        assert seconds <= stages * STAGE_SECONDS + ASIDE_SECONDS
        if not yields:
            assert seconds > (stages - 2) * STAGE_SECONDS

    story()
