"""A run that is to be cancelled: its stages stop, its end is written, and nothing of it comes afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from typing import Any

from tests.runner.blocking_stages import WORKFLOWS
from tests.runner.faults import Faults
from tests.runner.rig import Rig, virtual
from tests.runner.stages import Word, stage, workflow
from tests.runner.test_blocking_runs import in_real_time

from penstock_backbone.records import verbs
from penstock_backbone.records.runs import CANCELLED, RUNNING, SUCCEEDED
from penstock_backbone.records.times import to_ms
from penstock_backbone.vocabulary import Refused, Written
from penstock_runner.authoring import StageContext
from penstock_runner.handlers.letting_go import CANCEL_SECONDS
from penstock_runner.handlers.wishes import LOOK_SECONDS

_, _, HANGS_LONG, _, _ = WORKFLOWS


async def ask(rig: Rig, run_id: str) -> None:
    """As the API does it."""
    while True:
        run = await rig.run(run_id)
        (outcome,) = await rig.engine.tables.write(
            [verbs.ask_to_cancel(run, reason="enough", at=to_ms(rig.clock.now()))]
        )
        if isinstance(outcome, Written):
            return
        assert isinstance(outcome, Refused)


async def until_running(rig: Rig, run_id: str) -> None:
    while (await rig.run(run_id))["state"] != RUNNING:
        await rig.clock.sleep(0.05)


@virtual
async def test_a_stage_that_works_for_an_hour_is_stopped_within_seconds(rig: Rig) -> None:
    stopped: list[str] = []

    async def long(context: StageContext) -> Word:
        try:
            await rig.clock.sleep(3600)
        except asyncio.CancelledError:
            stopped.append(context.stage)
            raise
        return Word(text="never")

    plain = workflow(
        stage("left", long, needs=()), stage("right", long, needs=()), stage("join", needs=("left", "right"))
    )
    run_id = await rig.submit(plain)
    rig.start(plain)
    await until_running(rig, run_id)
    await rig.clock.sleep(1)
    asked = rig.clock.monotonic()
    await ask(rig, run_id)
    await rig.until_ended(run_id, state=CANCELLED)
    assert rig.clock.monotonic() - asked <= LOOK_SECONDS + 0.5
    assert sorted(stopped) == ["left", "right"]
    assert (await rig.told(run_id))[-2:] == ["RunCancelRequested", "RunCancelled"]
    assert (await rig.story(run_id))[-1]["d"] == {"reason": "enough"}


@virtual
async def test_a_commit_that_comes_after_the_wish_is_not_written(rig: Rig) -> None:
    """The last stage is done a moment after somebody was told that the run will be cancelled: so it is."""

    async def short(context: StageContext) -> Word:
        await rig.clock.sleep(LOOK_SECONDS / 4)
        return Word(text="done")

    plain = workflow(stage("only", short))
    run_id = await rig.submit(plain)
    rig.start(plain)
    await until_running(rig, run_id)
    await ask(rig, run_id)
    await rig.until_ended(run_id, state=CANCELLED)
    run = await rig.run(run_id)
    assert run["results"] == {}


@virtual
async def test_finished_stages_keep_their_results(rig: Rig) -> None:
    async def long(context: StageContext) -> Word:
        await rig.clock.sleep(3600)
        return Word(text="never")

    plain = workflow(stage("first"), stage("second", long))
    run_id = await rig.submit(plain)
    rig.start(plain)
    await until_running(rig, run_id)
    await rig.clock.sleep(1)
    await ask(rig, run_id)
    await rig.until_ended(run_id, state=CANCELLED)
    assert list((await rig.run(run_id))["results"]) == ["first"]


@virtual
async def test_a_stage_that_will_not_stop_does_not_keep_the_run_from_ending(rig: Rig) -> None:
    async def stubborn(context: StageContext) -> Word:
        with contextlib.suppress(asyncio.CancelledError):
            await rig.clock.sleep(30)
        await rig.clock.sleep(30)
        return Word(text="at last")

    plain = workflow(stage("only", stubborn))
    run_id = await rig.submit(plain)
    rig.start(plain)
    await until_running(rig, run_id)
    await rig.clock.sleep(0.5)
    asked = rig.clock.monotonic()
    await ask(rig, run_id)
    await rig.until_ended(run_id, state=CANCELLED)
    assert rig.clock.monotonic() - asked <= LOOK_SECONDS + CANCEL_SECONDS + 0.5


@virtual
async def test_other_runs_of_the_same_runner_go_on(rig: Rig) -> None:
    async def slow(context: StageContext) -> Word:
        await rig.clock.sleep(10)
        return Word(text="done")

    plain = workflow(stage("only", slow))
    one, other = [await rig.submit(plain) for _ in range(2)]
    rig.start(plain)
    await until_running(rig, one)
    await ask(rig, one)
    await rig.until_ended(one, state=CANCELLED)
    await rig.until_ended(other, state=SUCCEEDED)


@in_real_time
async def test_a_stage_that_hangs_in_c_is_ended_with_its_worker(rig: Rig) -> None:
    run_id = await rig.submit(HANGS_LONG, requirement=os.devnull)
    rig.start(HANGS_LONG)
    await until_running(rig, run_id)
    await rig.clock.sleep(1)
    asked = rig.clock.monotonic()
    await ask(rig, run_id)
    await rig.until_ended(run_id, state=CANCELLED)
    assert rig.clock.monotonic() - asked < 5


@virtual
async def test_a_run_whose_last_stage_ends_while_it_is_being_cancelled_is_cancelled(rig: Rig) -> None:
    """Seed 90043167: its success was not written yet, and was written together with the end by cancelling. Both were
    refused for the wish to cancel, and nobody began the end anew: the runner went round in a hot loop."""
    faults = Faults(rig.engine)
    write = faults.tables.write

    async def answered_late(writes: Sequence[Any]) -> Any:
        outcomes = await write(writes)
        if any("results/quick" in getattr(each, "set", ()) for each in writes):
            await rig.clock.sleep(5)
        return outcomes

    async def slower(context: StageContext) -> Word:
        await rig.clock.sleep(0.5)
        return Word()

    faults.tables.write = answered_late  # type: ignore[method-assign]  # one answer comes late
    both = workflow(stage("quick", needs=()), stage("slower", slower, needs=()))
    run_id = await rig.submit(both)
    rig.start(both, faults=faults)
    await rig.until(lambda run: "quick" in run["results"], run_id)
    await rig.clock.sleep(1)
    await ask(rig, run_id)
    await rig.until_ended(run_id, state=CANCELLED)
