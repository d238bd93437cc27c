"""What a stage may do wrong, and what follows: another attempt, or the end of the run."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel
from tests.runner.rig import Rig, virtual
from tests.runner.stages import Word, stage, workflow
from tests.runner.test_execution import of_type
from tests.runner.test_fan_out import split

from penstock_backbone.records.runs import FAILED, SUCCEEDED, RunItem
from penstock_backbone.records.waits import open_waits
from penstock_runner.authoring import FinalError, StageContext


@virtual
async def test_a_failed_attempt_is_repeated_after_a_back_off_that_doubles(rig: Rig) -> None:
    begun: list[float] = []

    async def third_time_lucky(context: StageContext) -> Word:
        begun.append(rig.clock.monotonic())
        if context.attempt < 3:
            context.usage.add(input_tokens=100 * context.attempt)
            raise ConnectionError(f"attempt {context.attempt}")
        return Word()

    one = workflow(stage("try", third_time_lucky, attempts_max=3, backoff_seconds=4.0))
    run_id = await rig.submit(one)
    rig.start(one)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert [round(after - before) for before, after in itertools.pairwise(begun)] == [4, 8]
    story = await rig.story(run_id)
    assert [(f["attempt"], f["error"], f["message"], f["final"], f["retry_in_ms"]) for f in of_type(story, "StageFailed")] == [
        (1, "ConnectionError", "attempt 1", False, 4000), (2, "ConnectionError", "attempt 2", False, 8000),
    ]  # fmt: skip
    assert [started["attempt"] for started in of_type(story, "StageStarted")] == [1, 2, 3]
    assert [failed["usage"] for failed in of_type(story, "StageFailed")] == [
        {"input_tokens": 100},
        {"input_tokens": 200},
    ]
    assert "usage" not in of_type(story, "StageCompleted")[0]
    assert of_type(story, "StageCompleted")[0]["attempt"] == 3


@virtual
async def test_a_stage_fails_for_good_after_its_last_attempt(rig: Rig) -> None:
    async def never_works(context: StageContext) -> Word:
        raise ValueError("x" * 5000 + "\udce4")

    one = workflow(stage("try", never_works, attempts_max=2))
    run_id = await rig.submit(one)
    rig.start(one)
    await rig.until_ended(run_id, state=FAILED)
    story = await rig.story(run_id)
    assert [failed["final"] for failed in of_type(story, "StageFailed")] == [False, True]
    (ended,) = of_type(story, "RunFailed")
    assert (ended["stage"], ended["error"], ended["message"]) == ("try", "ValueError", "x" * 2000)


@virtual
async def test_a_final_error_is_not_tried_again(rig: Rig) -> None:
    async def hopeless(context: StageContext) -> Word:
        raise FinalError("the requirement contradicts itself")

    one = workflow(stage("try", hopeless, attempts_max=5))
    run_id = await rig.submit(one)
    rig.start(one)
    await rig.until_ended(run_id, state=FAILED)
    assert len(of_type(await rig.story(run_id), "StageFailed")) == 1


@virtual
async def test_an_error_that_the_stage_calls_final_is_not_tried_again(rig: Rig) -> None:
    async def refused(context: StageContext) -> Word:
        raise PermissionError("the key was revoked")

    one = workflow(stage("try", refused, attempts_max=5, final_errors=(OSError,)))
    run_id = await rig.submit(one)
    rig.start(one)
    await rig.until_ended(run_id, state=FAILED)
    assert [failed["final"] for failed in of_type(await rig.story(run_id), "StageFailed")] == [True]


@virtual
async def test_a_result_that_json_cannot_hold_is_an_error_of_the_author(rig: Rig) -> None:
    class Loose(BaseModel):
        value: Any = None

    async def wrong(context: StageContext) -> Loose:
        return Loose(value=object())

    one = workflow(stage("try", wrong, output=Loose))
    run_id = await rig.submit(one)
    rig.start(one)
    await rig.until_ended(run_id, state=FAILED)
    (failed,) = of_type(await rig.story(run_id), "StageFailed")
    assert failed["message"].startswith("the output cannot be written as JSON: Unable to serialize unknown type")


@virtual
async def test_a_stage_that_hangs_is_ended_by_its_timeout_and_tried_again(rig: Rig) -> None:
    async def hangs_once(context: StageContext) -> Word:
        if context.attempt == 1:
            await rig.clock.sleep(100_000)
        return Word()

    one = workflow(stage("try", hangs_once, timeout_seconds=90, backoff_seconds=0))
    run_id = await rig.submit(one)
    rig.start(one)
    await rig.until_ended(run_id, state=SUCCEEDED)
    (failed,) = of_type(await rig.story(run_id), "StageFailed")
    assert (failed["error"], failed["message"]) == ("StageTimeout", "the stage took longer than 90 s")
    assert 90_000 <= failed["duration_ms"] <= 90_500


@virtual
async def test_a_stage_that_answers_its_timeout_with_a_result_has_failed_all_the_same(rig: Rig) -> None:
    async def stubborn(context: StageContext) -> Word:
        try:
            await rig.clock.sleep(100_000)
        except asyncio.CancelledError:
            return Word(text="too late")
        return Word()

    one = workflow(stage("try", stubborn, timeout_seconds=5, attempts_max=1), stage("after"))
    run_id = await rig.submit(one)
    rig.start(one)
    await rig.until_ended(run_id, state=FAILED)
    assert of_type(await rig.story(run_id), "RunFailed")[0]["error"] == "StageTimeout"


@virtual
async def test_a_stage_that_exits_or_cancels_itself_fails_alone(rig: Rig) -> None:
    async def exits(context: StageContext) -> Word:
        sys.exit(3)

    async def cancels(context: StageContext) -> Word:
        raise asyncio.CancelledError

    first = workflow(stage("try", exits, attempts_max=1), name="exits")
    second = workflow(stage("try", cancels, attempts_max=1), name="cancels")
    run_ids = [await rig.submit(first), await rig.submit(second)]
    rig.start(first, second)
    await rig.until_ended(*run_ids, state=FAILED)
    errors = [of_type(await rig.story(run_id), "RunFailed")[0]["error"] for run_id in run_ids]
    assert errors == ["SystemExit", "StageCancelled"]


@virtual
async def test_tasks_of_a_stage_may_fail_in_a_group_of_their_own(rig: Rig) -> None:
    """A TaskGroup of Python 3.11 that one of its tasks fails leaves its task counted as cancelled."""

    async def fails(context: StageContext) -> None:
        await rig.clock.sleep(1)
        raise ValueError("in a task")

    async def in_a_group(context: StageContext) -> Word:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails(context))
        return Word()

    async def catches(context: StageContext) -> Word:
        with contextlib.suppress(ExceptionGroup):
            await in_a_group(context)
        await rig.clock.sleep(1)
        return Word()

    failing = workflow(stage("try", in_a_group, attempts_max=2), name="failing")
    catching = workflow(stage("try", catches), stage("after"), name="catching")
    run_ids = [await rig.submit(failing), await rig.submit(catching)]
    rig.start(failing, catching)
    await rig.until_ended(run_ids[0], state=FAILED)
    await rig.until_ended(run_ids[1], state=SUCCEEDED)
    assert [failed["attempt"] for failed in of_type(await rig.story(run_ids[0]), "StageFailed")] == [1, 2]


@virtual
async def test_a_stage_that_cancels_its_own_task_and_does_not_wait_for_it_goes_on(rig: Rig) -> None:
    async def cancels(context: StageContext) -> Word:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        return Word()

    two = workflow(stage("try", cancels), stage("after"))
    run_id = await rig.submit(two)
    rig.start(two)
    await rig.until_ended(run_id, state=SUCCEEDED)


@virtual
async def test_an_error_whose_words_cannot_be_had_is_the_failure_of_its_attempt(rig: Rig) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    async def fails(context: StageContext) -> Word:
        raise Mute

    one = workflow(stage("try", fails, attempts_max=2))
    run_id = await rig.submit(one)
    rig.start(one)
    await rig.until_ended(run_id, state=FAILED)
    failures = of_type(await rig.story(run_id), "StageFailed")
    assert [failure["error"] for failure in failures] == ["Mute", "Mute"]
    assert failures[0]["message"] == "(its own words cannot be had: RuntimeError)"


@virtual
async def test_a_stage_that_was_left_counted_as_cancelled_is_ended_all_the_same(rig: Rig) -> None:
    ended: list[int] = []

    async def fails() -> None:
        raise ValueError("in a task")

    async def waits(context: StageContext, number: int) -> Word:
        with contextlib.suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(fails())
        if number == 1:
            await rig.clock.sleep(5)
            raise FinalError("it cannot be read")
        try:
            await rig.clock.sleep(100_000)
        finally:
            ended.append(number)
        return Word()

    class Numbers(BaseModel):
        all: list[int] = [0, 1, 2]

    async def lists(context: StageContext) -> Numbers:
        return Numbers()

    two = workflow(stage("list", lists, output=Numbers), stage("try", waits, each="list.all"))
    run_id = await rig.submit(two)
    rig.start(two)
    await rig.until_ended(run_id, state=FAILED)
    assert ended == [0, 2]


@virtual
async def test_a_result_of_another_type_is_an_error_of_the_author(rig: Rig) -> None:
    class Number(BaseModel):
        value: int = 1

    async def wrong(context: StageContext) -> Number:
        return Number()

    one = workflow(stage("try", wrong))
    run_id = await rig.submit(one)
    rig.start(one)
    await rig.until_ended(run_id, state=FAILED)
    (failed,) = of_type(await rig.story(run_id), "StageFailed")
    assert failed["message"] == "the stage returned Number instead of Word"


@virtual
@pytest.mark.parametrize("how", ["drained", "killed"])
@pytest.mark.parametrize("each", [None, "split.pages"])
async def test_a_runner_that_ends_during_a_back_off_gives_nobody_more_attempts(
    rig: Rig, how: str, each: str | None
) -> None:
    """Neither a stage nor an item of a list."""

    async def never_works(context: StageContext, *_: object) -> Word:
        raise ConnectionError(f"attempt {context.attempt}")

    def has_failed(times: int, run: RunItem) -> bool:
        return [told["t"] for told in run["facts"].values()].count("StageFailed") == times

    bad = stage("try", never_works, attempts_max=3, backoff_seconds=4.0, each=each)
    two = workflow(split(1), bad)
    run_id = await rig.submit(two)
    for fence in (2, 3):
        process = rig.start(two)
        await rig.until(partial(has_failed, fence - 1), run_id)
        assert list(open_waits(await rig.run(run_id), now=0)) == [], "nobody waits for it, whatever his clock says"
        if how == "drained":
            process.stop.set()
            await process.task
            await rig.dispatch(run_id, fence)
        else:
            process.kill()
            await rig.requeue(run_id, process.session)
    rig.start(two)
    await rig.until_ended(run_id, state=FAILED)
    story = await rig.story(run_id)
    assert [(failed["attempt"], failed["final"]) for failed in of_type(story, "StageFailed")] == [
        (1, False), (2, False), (3, True),
    ]  # fmt: skip
