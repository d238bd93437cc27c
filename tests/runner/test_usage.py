"""What an attempt has used counts for its stage also when something cuts it off, and counts once."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel
from tests.runner.rig import Rig, virtual
from tests.runner.stages import Word, stage, workflow
from tests.runner.test_execution import hang, of_type

from penstock_api.domain.stages import snapshot
from penstock_backbone.records import verbs
from penstock_backbone.records.runs import CANCELLED, FAILED, QUEUED, RUNNING, SUCCEEDED, TIMED_OUT, WAITING, RunItem
from penstock_runner.authoring import FinalError, StageContext, Workflow


class Numbers(BaseModel):
    numbers: list[int]


class Asks:
    """A stage that asks a model, and then works until it is cut off, the first times."""

    def __init__(self, cuts: int = 1, *, fails: bool = False) -> None:
        self._cuts = cuts
        self._fails = fails

    async def __call__(self, context: StageContext, *_: Any) -> Word:
        context.usage.add(input_tokens=100, cost_microusd=7)
        self._cuts -= 1
        if self._cuts >= 0:
            return await hang(context)
        if self._fails:
            raise FinalError("it cannot be done")
        return Word()


def shown(run: RunItem) -> dict[str, int | None]:
    """What the API says of each stage."""
    return {view.name: view.usage.input_tokens if view.usage else None for view in snapshot(run, None).stages}


async def drained(rig: Rig, flow: Workflow, run_id: str, next_fence: int) -> None:
    process = rig.start(flow, drain_seconds=0.5)
    await rig.until(lambda run: run["state"] == RUNNING, run_id)
    await rig.clock.sleep(1)
    process.stop.set()
    await process.task
    assert (await rig.run(run_id))["state"] == QUEUED
    await rig.dispatch(run_id, next_fence)


@pytest.mark.parametrize("fails", [False, True])
def test_what_attempts_have_used_that_drains_cut_off_is_told_with_the_one_that_ends(*, fails: bool) -> None:
    @virtual
    async def story(rig: Rig) -> None:
        two = workflow(stage("only", Asks(cuts=2, fails=fails)), stage("after"))
        run_id = await rig.submit(two)
        await drained(rig, two, run_id, 2)
        assert shown(await rig.run(run_id)) == {"only": 100, "after": None}
        await drained(rig, two, run_id, 3)
        assert shown(await rig.run(run_id)) == {"only": 200, "after": None}
        rig.start(two)
        await rig.until_ended(run_id, state=FAILED if fails else SUCCEEDED)
        (told,) = of_type(await rig.story(run_id), "StageFailed" if fails else "StageCompleted")[:1]
        assert told["usage"] == {"input_tokens": 300, "cost_microusd": 21}
        run = await rig.run(run_id)
        assert run.get("spent") == {}
        assert shown(run) == {"only": 300, "after": None}

    story()


@pytest.mark.parametrize("state", [TIMED_OUT, CANCELLED])
def test_what_the_end_of_the_run_cuts_off_is_shown(state: str) -> None:
    @virtual
    async def story(rig: Rig) -> None:
        one = Workflow("sample", "1", (stage("only", Asks()),), timeout_seconds=60 if state == TIMED_OUT else None)
        run_id = await rig.submit(one)
        rig.start(one)
        await rig.clock.sleep(5)
        if state == CANCELLED:
            await rig.ask(run_id, lambda run: verbs.ask_to_cancel(run, reason="never mind", at=1))
        await rig.until_ended(run_id, state=state)
        assert shown(await rig.run(run_id)) == {"only": 100}

    story()


@virtual
async def test_a_stage_that_fails_does_not_hide_what_the_one_beside_it_has_used(rig: Rig) -> None:
    async def fails(context: StageContext) -> Word:
        await rig.clock.sleep(5)
        raise FinalError("it cannot be done")

    both = workflow(stage("asks", Asks(), needs=()), stage("fails", fails, needs=()))
    run_id = await rig.submit(both)
    rig.start(both)
    await rig.until_ended(run_id, state=FAILED)
    assert shown(await rig.run(run_id)) == {"asks": 100, "fails": None}


@virtual
async def test_what_was_used_before_a_wait_counts_although_the_stage_begins_anew(rig: Rig) -> None:
    async def asks(context: StageContext) -> Word:
        context.usage.add(input_tokens=100)
        await context.approve("Go on?")
        return Word()

    one = workflow(stage("only", asks))
    run_id = await rig.submit(one)
    rig.start(one)
    await rig.until(lambda run: run["state"] == WAITING, run_id)
    assert shown(await rig.run(run_id)) == {"only": 100}
    await rig.answer(run_id, "only", approved=True)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert of_type(await rig.story(run_id), "StageCompleted")[0]["usage"] == {"input_tokens": 200}


@virtual
async def test_the_items_of_a_list_that_are_cut_off_count_for_their_stage(rig: Rig) -> None:
    async def lists(context: StageContext) -> Numbers:
        return Numbers(numbers=[1, 2, 3])

    flow = workflow(
        stage("list", lists, output=Numbers),
        stage("each", Asks(cuts=2), needs=("list",), each="list.numbers", at_once=3),
    )
    run_id = await rig.submit(flow)
    await drained(rig, flow, run_id, 2)
    assert shown(await rig.run(run_id)) == {"list": None, "each": 200}
    rig.start(flow)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert shown(await rig.run(run_id)) == {"list": None, "each": 500}
