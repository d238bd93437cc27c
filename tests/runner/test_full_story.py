"""A run whose story is full fails like any other: what runs beside stops first, and the hook is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.runner.rig import Rig, virtual
from tests.runner.stages import Word, says, stage, workflow
from tests.runner.test_cancel import ask
from tests.runner.test_execution import of_type
from tests.runner.test_fan_out import split

from penstock_backbone.records.runs import CANCELLED, FACTS_MAX, FAILED, RUNNING, fact, run_key
from penstock_backbone.vocabulary import Update
from penstock_runner.authoring import FinalError, RunFailure, Stage, StageContext, Workflow
from penstock_runner.handlers.journal import FACTS_RESERVED

FULL = FACTS_MAX - FACTS_RESERVED


async def nearly_full(rig: Rig, workflow: Workflow, room: int) -> str:
    """A run of it whose story has room for so many more facts, before it is claimed."""
    run_id = await rig.submit(workflow)
    facts = {f"facts/{number}": fact("RunRequeued", 0, reason="a long life") for number in range(3, FULL - room + 1)}
    await rig.engine.tables.write([Update(run_key(run_id), {**facts, "seq": FULL - room, "since": 3})])
    return run_id


async def fails_at_once(context: StageContext) -> Word:
    raise FinalError("it cannot be done")


async def fails_often(context: StageContext) -> Word:
    raise ValueError("not yet")


def beside(rig: Rig, seen: list[str]) -> Stage:
    """A stage that says in which state its run was when it had let go."""

    async def patient(context: StageContext) -> Word:
        try:
            await rig.clock.sleep(3600)
        finally:
            seen.append((await rig.run(context.run_id))["state"])
        return Word()

    return stage("patient", patient, needs=())


@pytest.mark.parametrize(
    "fills",
    [stage("fills", needs=()), stage("fills", fails_often, needs=(), attempts_max=2), stage("fills", fails_at_once, needs=())],
    ids=["finishes", "is tried again", "fails for good"],
)  # fmt: skip
def test_what_runs_beside_stops_before_the_run_is_over_and_then_the_hook_is_told(fills: Stage) -> None:
    full_beside_another(fills)


@virtual
async def full_beside_another(rig: Rig, fills: Stage) -> None:
    seen: list[str] = []
    told: list[RunFailure] = []

    async def tell(context: StageContext, failure: RunFailure) -> None:
        assert seen == [RUNNING]
        assert (await rig.run(context.run_id))["state"] == RUNNING
        context.progress(0.5, "nobody needs to know")
        told.append(failure)

    two = replace(workflow(beside(rig, seen), fills, stage("after", needs=("patient", "fills"))), on_failure=tell)
    run_id = await nearly_full(rig, two, room=4)
    process = rig.start(two)
    await rig.until_ended(run_id, state=FAILED)
    (ended,) = of_type(await rig.story(run_id), "RunFailed")
    assert told == [RunFailure(None, "StoryTooLong", ended["message"])]
    assert ended["error"] == "StoryTooLong"
    assert "The run's story is full" in ended["message"]
    assert (await rig.run(run_id))["seq"] == FULL + 1
    await rig.clock.sleep(1)
    assert not process.runner.claims.executions


@virtual
async def test_stages_whose_commits_travel_together_are_told_together_and_the_hook_once(rig: Rig) -> None:
    told: list[str] = []

    async def tell(context: StageContext, failure: RunFailure) -> None:
        told.append(failure.error)
        await rig.clock.sleep(2)

    async def second(context: StageContext) -> Word:
        await rig.clock.sleep(1)
        return Word()

    wide = replace(
        workflow(*(stage(f"s{n}", second, needs=()) for n in range(5)), stage("after", needs=("s0",))), on_failure=tell
    )
    run_id = await nearly_full(rig, wide, room=8)
    rig.start(wide)
    await rig.until_ended(run_id, state=FAILED)
    assert told == ["StoryTooLong"]
    assert (await rig.told(run_id))[-1] == "RunFailed"


@virtual
async def test_an_item_of_a_list_that_fills_the_story_ends_the_others_first(rig: Rig) -> None:
    seen: list[str] = []

    async def each(context: StageContext, page: object) -> Word:
        if context.idempotency_key.endswith(":0"):
            await rig.clock.sleep(1)
            raise ValueError("not yet")
        try:
            await rig.clock.sleep(3600)
        finally:
            seen.append((await rig.run(context.run_id))["state"])
        return Word()

    lists = workflow(split(3), stage("read", each, each="split.pages", attempts_max=2))
    run_id = await nearly_full(rig, lists, room=5)
    rig.start(lists)
    await rig.until_ended(run_id, state=FAILED)
    assert seen == [RUNNING, RUNNING]
    assert of_type(await rig.story(run_id), "RunFailed")[0]["error"] == "StoryTooLong"


@virtual
async def test_a_full_run_that_goes_on_after_a_wait_ends(rig: Rig) -> None:
    """It can neither begin its next stage nor rest, and asks neither again and again."""
    two = workflow(stage("waits", waits, needs=()), stage("after"))
    run_id = await nearly_full(rig, two, room=4)
    process = rig.start(two)
    await rig.until(lambda run: run["state"] == "waiting", run_id)
    await rig.signal(run_id, "go", '{"text": "on"}')
    await rig.until_ended(run_id, state=FAILED)
    assert (await rig.told(run_id))[-2:] == ["StageStarted waits", "RunFailed"]
    await rig.clock.sleep(1)
    assert not process.runner.claims.executions


async def waits(context: StageContext) -> Word:
    return await context.wait_for("go", Word)


@virtual
async def test_a_full_run_that_somebody_cancels_while_its_hook_is_told_is_cancelled(rig: Rig) -> None:
    told: list[str] = []

    async def tell(context: StageContext, failure: RunFailure) -> None:
        told.append(failure.error)
        await rig.clock.sleep(50)

    two = replace(workflow(stage("fills", says("hello")), stage("after")), on_failure=tell)
    run_id = await nearly_full(rig, two, room=3)
    rig.start(two)
    await rig.until(lambda run: bool(told), run_id)
    await ask(rig, run_id)
    await rig.until_ended(run_id, state=CANCELLED)
    assert told == ["StoryTooLong"]
