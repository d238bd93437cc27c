"""Runs that are paused, take too long, or are begun anew after their end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.runner.rig import Rig, virtual
from tests.runner.stages import Word, stage, workflow
from tests.runner.test_waits import LONG, asks, resting, waiting_for_go

from penstock_backbone.records import verbs
from penstock_backbone.records.runs import FAILED, PAUSED, QUEUED, SUCCEEDED, TIMED_OUT, RunItem
from penstock_backbone.vocabulary import Write
from penstock_runner.authoring import RunFailure, StageContext, Workflow
from penstock_runner.handlers.letting_go import CANCEL_SECONDS
from penstock_runner.handlers.wishes import LOOK_SECONDS


async def to_be_paused(rig: Rig) -> str:
    """A run in the first of two stages that take a minute each, of which somebody has asked that it be paused."""

    async def works(context: StageContext) -> Word:
        await rig.clock.sleep(60)
        return Word()

    one = workflow(stage("one", works), stage("two", works))
    run_id = await rig.submit(one)
    rig.start(one)
    await rig.clock.sleep(5)
    await rig.ask(run_id, lambda run: verbs.ask_to_pause(run, reason="not now", at=1))
    return run_id


@virtual
async def test_a_paused_run_ends_its_stage_and_begins_nothing_new(rig: Rig) -> None:
    run_id = await to_be_paused(rig)
    run = await resting(rig, run_id, PAUSED)
    assert list(run["results"]) == ["one"]
    assert "pause" not in run
    assert run["attempt"] == 0
    await rig.clock.sleep(LONG)
    await rig.ask(run_id, lambda run: verbs.resume(run, at=2))
    await rig.until_ended(run_id, state=SUCCEEDED)
    rig.check_history()


@virtual
async def test_a_pause_that_is_withdrawn_in_time_changes_nothing(rig: Rig) -> None:
    run_id = await to_be_paused(rig)
    await rig.clock.sleep(5)
    await rig.ask(run_id, lambda run: verbs.withdraw_pause(run, at=2))
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert "RunPaused" not in await rig.told(run_id)


@virtual
async def test_a_cooperative_stage_stops_at_its_own_checkpoint_and_begins_anew(rig: Rig) -> None:
    begun: list[float] = []

    async def works(context: StageContext) -> Word:
        begun.append(rig.clock.monotonic())
        for _ in range(60):
            await rig.clock.sleep(1)
            await context.checkpoint()
        return Word()

    one = workflow(stage("one", works))
    run_id = await rig.submit(one)
    rig.start(one)
    await rig.clock.sleep(5)
    asked = rig.clock.monotonic()
    await rig.ask(run_id, lambda run: verbs.ask_to_pause(run, reason="not now", at=1))
    await resting(rig, run_id, PAUSED)
    assert rig.clock.monotonic() - asked <= LOOK_SECONDS + 2
    await rig.ask(run_id, lambda run: verbs.resume(run, at=2))
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert len(begun) == 2


@virtual
async def test_a_run_that_takes_too_long_is_timed_out_and_its_hook_is_told(rig: Rig) -> None:
    told: list[RunFailure] = []

    async def hook(_: StageContext, failure: RunFailure) -> None:
        told.append(failure)

    async def works(context: StageContext) -> Word:
        await rig.clock.sleep(LONG)
        return Word()

    one = Workflow("sample", "1", (stage("one"), stage("two", works)), timeout_seconds=90, on_failure=hook)
    run_id = await rig.submit(one)
    rig.start(one)
    began = rig.clock.monotonic()
    await rig.until_ended(run_id, state=TIMED_OUT)
    assert rig.clock.monotonic() - began == pytest.approx(90, abs=CANCEL_SECONDS)
    assert (await rig.story(run_id))[-1]["d"] == {"timeout_ms": 90_000}
    assert [failure.error for failure in told] == ["RunTimedOut"]


@virtual
async def test_the_time_of_a_run_counts_while_it_waits_and_while_it_is_lost(rig: Rig) -> None:
    one = Workflow("sample", "1", (stage("one"), stage("wait", waiting_for_go)), timeout_seconds=3600)
    run_id = await rig.submit(one)
    rig.start(one)
    run = await resting(rig, run_id)
    assert run["due"] == run["started_at"] + 3_600_000
    await rig.clock.sleep(3600)
    assert await rig.ring() == {run_id}
    await rig.until_ended(run_id, state=TIMED_OUT)


def retry(from_stage: str | None = None, **edited: str) -> Callable[[RunItem], Write]:
    return lambda run: verbs.retry(run, from_stage=from_stage, edited=edited, forget=(), digest="d", at=9)


@virtual
async def test_a_retry_goes_on_after_the_finished_stages(rig: Rig) -> None:
    ran: list[str] = []
    broken = [True]

    def notes(name: str) -> Callable[[StageContext], Awaitable[Word]]:
        async def run(context: StageContext) -> Word:
            ran.append(name)
            if name == "b" and broken[0]:
                raise RuntimeError("no")
            return Word(text=context.project.requirement)

        return run

    one = workflow(*(stage(name, notes(name), attempts_max=1) for name in "abc"))
    run_id = await rig.submit(one)
    rig.start(one)
    await rig.until_ended(run_id, state=FAILED)
    broken[0] = False
    await rig.ask(run_id, retry(requirement="Something else, please."))
    await rig.until(lambda run: run["state"] == SUCCEEDED, run_id)
    assert ran == ["a", "b", "b", "c"]
    run = await rig.run(run_id)
    assert "Build me an agent" in str(run["results"]["a"])
    assert "Something else" in str(run["results"]["c"])
    await rig.ask(run_id, retry("b"))
    await rig.until(lambda run: run["state"] == SUCCEEDED and run["fence"] > 4, run_id)
    assert ran == ["a", "b", "b", "c", "b", "c"]
    started = [entry["d"] for entry in await rig.story(run_id) if entry["t"] == "RunStarted"]
    assert [each.get("cleared") for each in started] == [None, None, ["b", "c"]]
    assert [each["attempt"] for each in started] == [1, 1, 1]
    rig.check_history()


@virtual
async def test_a_runner_that_drains_hands_a_paused_run_over_as_paused(rig: Rig) -> None:
    async def works(context: StageContext) -> Word:
        await rig.clock.sleep(3)
        return Word()

    one = workflow(stage("one", works), stage("two", works))
    run_id = await rig.submit(one)
    process = rig.start(one)
    await rig.clock.sleep(1)
    await rig.ask(run_id, lambda run: verbs.ask_to_pause(run, reason="not now", at=1))
    process.stop.set()
    await rig.until(lambda run: run["state"] in (PAUSED, QUEUED), run_id)
    assert (await rig.run(run_id))["state"] == PAUSED
    await asyncio.wait([process.task])


@virtual
async def test_a_stage_that_a_retry_clears_asks_again(rig: Rig) -> None:
    one = asks()
    run_id = await rig.submit(one)
    rig.start(one)
    await resting(rig, run_id)
    await rig.answer(run_id, "review", approved=True, by="Ada")
    await rig.until_ended(run_id, state=SUCCEEDED)
    await rig.ask(run_id, retry("draft"))
    await resting(rig, run_id)
    await rig.answer(run_id, "review", approved=False, by="Bob")
    await rig.until_ended(run_id, state=FAILED)
