"""Stages whose code does what nobody expects: it costs them their attempt, and neither their run nor anybody else's."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
from typing import Self

import pytest
from pydantic import BaseModel
from tests.runner.rig import Rig, virtual
from tests.runner.stages import Word, nothing, stage, workflow
from tests.runner.test_execution import of_type

from penstock_backbone.records import verbs
from penstock_backbone.records.runs import CANCELLED, FAILED, SUCCEEDED, TIMED_OUT, WAITING
from penstock_runner.authoring import FinalError, RunFailure, StageContext, Workflow
from penstock_runner.handlers.failure_hook import HOOK_SECONDS_MAX
from penstock_runner.stage_output import StageOutput, speaker

HALF_A_PAIR = "caf\udce9.txt"
"""What Python makes of a file name that is not UTF-8, and models of an emoji that they cut in two."""


class Panic(BaseException):
    """As libraries written in Rust raise it."""


@pytest.mark.parametrize("kind", [Panic, KeyboardInterrupt])
def test_whatever_a_stage_raises_is_a_failed_attempt(kind: type[BaseException]) -> None:
    @virtual
    async def play(rig: Rig) -> None:
        async def panics(context: StageContext) -> Word:
            if context.attempt == 1:
                raise kind("at a bad moment")
            return Word()

        one = workflow(stage("try", panics))
        run_id = await rig.submit(one)
        rig.start(one)
        await rig.until_ended(run_id, state=SUCCEEDED)
        (failed,) = of_type(await rig.story(run_id), "StageFailed")
        assert (failed["error"], failed["message"]) == (kind.__name__, "at a bad moment")

    play()


@virtual
async def test_words_that_are_no_valid_unicode_are_shown_with_question_marks_and_harm_nobody(rig: Rig) -> None:
    async def reads(context: StageContext) -> Word:
        context.progress(0.5, HALF_A_PAIR)
        await rig.clock.sleep(3)
        return Word()

    async def asks(context: StageContext) -> Word:
        await context.approve(f"Delete {HALF_A_PAIR}?")
        return Word()

    both = workflow(stage("read", reads), stage("beside", nothing, needs=()), stage("ask", asks, needs=("read",)))
    run_id = await rig.submit(both)
    process = rig.start(both)
    await rig.until(lambda run: "progress" in run, run_id)
    assert (await rig.run(run_id)).get("progress") == {"read": [500, "caf?.txt"]}
    await rig.until(lambda run: run["state"] == WAITING, run_id)
    (asked,) = of_type(await rig.story(run_id), "StageWaiting")
    assert asked["question"] == "Delete caf?.txt?"
    session = process.runner.heartbeat.session
    assert session is not None
    assert not session.fenced
    await rig.answer(run_id, "ask", approved=True)
    await rig.until_ended(run_id, state=SUCCEEDED)


class Measure(BaseModel):
    value: float


@virtual
async def test_a_result_that_cannot_be_read_back_fails_the_stage_that_returned_it(rig: Rig) -> None:
    async def measures(context: StageContext) -> Measure:
        return Measure(value=math.nan)

    one = workflow(stage("measure", measures, output=Measure), stage("use"))
    run_id = await rig.submit(one)
    rig.start(one)
    await rig.until_ended(run_id, state=FAILED)
    (failed,) = of_type(await rig.story(run_id), "StageFailed")
    assert (failed["stage"], failed["error"]) == ("measure", "FinalError")
    assert failed["message"].startswith("the output cannot be read back from its JSON: value: Input should be a valid")


@virtual
async def test_a_measured_number_that_is_too_large_is_the_stages_error(rig: Rig) -> None:
    async def counts(context: StageContext) -> Word:
        context.usage.add(input_tokens=2**70)
        return Word()

    one = workflow(stage("count", counts, attempts_max=1))
    run_id = await rig.submit(one)
    rig.start(one)
    await rig.until_ended(run_id, state=FAILED)
    (failed,) = of_type(await rig.story(run_id), "StageFailed")
    assert failed["error"] == "ValueError"


def test_a_library_that_writes_bytes_to_the_standard_output_is_heard_too() -> None:
    said: list[str] = []
    stdout = StageOutput(sys.stdout)
    token = speaker.set(said.append)
    try:
        stdout.buffer.write("schön\n".encode())
        stdout.close()
        print("still here", file=stdout)  # its purpose
    finally:
        speaker.reset(token)
    assert said == ["schön", "still here"]
    assert not stdout.closed


class Stubborn:
    """A stage that ignores its end, until its test is over."""

    def __init__(self) -> None:
        self.released = asyncio.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.released.set()

    async def __call__(self, context: StageContext) -> Word:
        while not self.released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await self.released.wait()
        return Word(text="too late")


@virtual
async def test_a_stage_that_swallows_the_end_of_its_time_is_told_again_and_then_left_behind(rig: Rig) -> None:
    with Stubborn() as ignoring:
        stubborn = workflow(stage("try", ignoring, timeout_seconds=10), stage("after"))
        run_id = await rig.submit(stubborn)
        rig.start(stubborn)
        await rig.until(lambda run: "StageStarted" in str(run["facts"]), run_id)
        began = rig.clock.monotonic()
        await rig.until_ended(run_id, state=FAILED)
        assert rig.clock.monotonic() - began <= 10 + 5
    (failed,) = of_type(await rig.story(run_id), "StageFailed")
    assert (failed["error"], failed["final"]) == ("StageTimeout", True)
    assert failed["message"] == (
        "the stage took longer than 10 s, and its code does not end when it is cancelled: let CancelledError pass, "
        "or make it a plain def"
    )
    await rig.clock.sleep(1)
    assert list((await rig.run(run_id))["results"]) == []


@virtual
async def test_a_stage_that_swallows_the_end_of_its_time_once_is_tried_again(rig: Rig) -> None:
    async def retries_by_itself(context: StageContext) -> Word:
        if context.attempt == 2:
            return Word()
        try:
            await rig.clock.sleep(1000)
        except asyncio.CancelledError:
            await rig.clock.sleep(1000)
        return Word()

    one = workflow(stage("try", retries_by_itself, timeout_seconds=10))
    run_id = await rig.submit(one)
    rig.start(one)
    await rig.until_ended(run_id, state=SUCCEEDED)
    (failed,) = of_type(await rig.story(run_id), "StageFailed")
    assert (failed["error"], failed["final"]) == ("StageTimeout", False)
    assert failed["duration_ms"] <= 15_000


@pytest.mark.parametrize("timeout_seconds", [None, 5.0])
def test_a_hook_that_ignores_the_end_of_its_time_is_left_behind_and_its_run_ends(timeout_seconds: float | None) -> None:
    @virtual
    async def story(rig: Rig) -> None:
        with Stubborn() as ignoring:

            async def tell(context: StageContext, failure: RunFailure) -> None:
                await ignoring(context)

            async def fails(context: StageContext) -> Word:
                await rig.clock.sleep(10)
                raise FinalError("it cannot be done")

            stages = (stage("fails", fails),)
            failing = Workflow("sample", "1", stages, timeout_seconds=timeout_seconds, on_failure=tell)
            run_id = await rig.submit(failing)
            process = rig.start(failing)
            await rig.until_ended(run_id, state=TIMED_OUT if timeout_seconds else FAILED)
            assert rig.clock.monotonic() <= 10 + HOOK_SECONDS_MAX + 5
            assert process.runner.claims.executions == {}

    story()


@virtual
async def test_a_hook_that_ignores_a_cancel_keeps_the_run_from_its_end_for_seconds_only(rig: Rig) -> None:
    with Stubborn() as ignoring:
        told = asyncio.Event()

        async def tell(context: StageContext, failure: RunFailure) -> None:
            told.set()
            await ignoring(context)

        async def fails(context: StageContext) -> Word:
            raise FinalError("it cannot be done")

        failing = Workflow("sample", "1", (stage("fails", fails),), on_failure=tell)
        run_id = await rig.submit(failing)
        process = rig.start(failing)
        await told.wait()
        await rig.ask(run_id, lambda run: verbs.ask_to_cancel(run, reason="never mind", at=1))
        began = rig.clock.monotonic()
        await rig.until_ended(run_id, state=CANCELLED)
        assert rig.clock.monotonic() - began <= 8
        assert process.runner.claims.executions == {}
    await rig.clock.sleep(HOOK_SECONDS_MAX)
    assert (await rig.run(run_id))["state"] == CANCELLED


@virtual
async def test_the_other_runs_go_on_beside_a_stage_that_was_left_behind(rig: Rig) -> None:
    with Stubborn() as ignoring:
        stubborn = workflow(stage("try", ignoring, timeout_seconds=1, attempts_max=1), name="stubborn")
        fine = workflow(stage("only"), name="fine")
        run_ids = [await rig.submit(stubborn), await rig.submit(fine)]
        process = rig.start(stubborn, fine)
        await rig.until_ended(run_ids[0], state=FAILED)
        await rig.until_ended(run_ids[1], await rig.submit(fine), state=SUCCEEDED)
        process.stop.set()
        began = rig.clock.monotonic()
        await process.task
        assert rig.clock.monotonic() - began < 1
