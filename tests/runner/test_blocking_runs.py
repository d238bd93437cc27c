"""Whole runs with blocking stages, in real time and with real worker processes."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Awaitable, Callable

from tests.runner.blocking_stages import WORKFLOWS, Found
from tests.runner.inline_workers import InlineWorkers
from tests.runner.rig import Rig, virtual
from tests.runner.stages import Word, stage, workflow
from tests.runner.test_execution import of_type

from penstock_backbone.memory import MemoryEngine
from penstock_backbone.records.results import decode_result
from penstock_backbone.records.runs import FAILED, RUNNING, SUCCEEDED, result_of
from penstock_backbone.system import SystemClock
from penstock_runner.adapters.workers.pool import WorkerPool, WorkerSettings
from penstock_runner.authoring import StageContext

BLOCKING, HANGS, HANGS_LONG, CRASHES, _ = WORKFLOWS


def in_real_time(test: Callable[[Rig], Awaitable[None]]) -> Callable[[], None]:
    async def play() -> None:
        rig = Rig()
        rig.clock = clock = SystemClock()  # type: ignore[assignment]  # the real one
        rig.engine = MemoryEngine(clock, rig.ids)
        rig.workers = pool = WorkerPool(WorkerSettings(8, 2 << 30, ("tests.runner.blocking_stages",)))
        try:
            async with asyncio.timeout(60):
                await test(rig)
        finally:
            for process in rig.processes:
                process.kill()
            await pool.close()
        rig.check_history()

    @functools.wraps(test)
    def wrapper() -> None:
        asyncio.run(play())

    del wrapper.__wrapped__  # pytest would look for the rig among its fixtures
    return wrapper


class CountingWorkers(InlineWorkers):
    def __init__(self) -> None:
        self.told = 0

    def near(self) -> None:
        self.told += 1


@virtual
async def test_a_claimed_run_says_that_a_blocking_stage_is_near_only_where_one_is(rig: Rig) -> None:
    rig.workers = counting = CountingWorkers()
    waiting = workflow(stage("only"), name="waiting")
    rig.start(waiting, BLOCKING)
    await rig.until_ended(await rig.submit(waiting), state=SUCCEEDED)
    assert counting.told == 0
    await rig.until_ended(await rig.submit(BLOCKING), state=SUCCEEDED)
    assert counting.told == 1


@in_real_time
async def test_a_run_of_blocking_stages_tells_the_same_story(rig: Rig) -> None:
    run_id = await rig.submit(BLOCKING)
    rig.start(BLOCKING)
    await rig.until_ended(run_id, state=SUCCEEDED)
    story = await rig.story(run_id)
    (_, plain) = of_type(story, "StageCompleted")
    assert plain["usage"] == {"input_tokens": 7, "cost_microusd": 2}
    assert [artifact["name"] for artifact in of_type(story, "RunSucceeded")[0]["artifacts"]] == ["notes/a.txt"]
    stored = result_of(await rig.run(run_id), "plain")
    assert isinstance(stored, str)
    assert Found.model_validate_json(bytes(decode_result(stored).output)).text == f"hello 3 {run_id}:plain"


@in_real_time
async def test_a_loop_in_c_is_ended_soon_after_its_time_and_its_slot_runs_the_next(rig: Rig) -> None:
    """The issue's figures: ended within 5 s, the next run within 1 s more, and the run beside it loses nothing."""
    begun: list[int] = []

    async def beside(context: StageContext) -> Word:
        begun.append(context.attempt)
        await rig.clock.sleep(4)
        return Word()

    steady = workflow(stage("beside", beside), name="steady")
    steady_id = await rig.submit(steady)
    rig.start(HANGS, BLOCKING, steady, capacity=2)
    await rig.until(lambda run: run["state"] == RUNNING, steady_id)
    hanging = await rig.submit(HANGS, requirement=os.devnull)
    following = await rig.submit(BLOCKING)
    await rig.until_ended(hanging, state=FAILED)
    await rig.until_ended(following, steady_id, state=SUCCEEDED)
    story = await rig.story(hanging)
    started, failed = [entry["at"] for entry in story if entry["d"].get("stage") == "hang"][:2]
    assert failed - started < 500 + 5000
    assert of_type(story, "RunFailed")[0]["error"] == "StageTimeout"
    taken = next(entry["at"] for entry in await rig.story(following) if entry["t"] == "RunStarted")
    assert taken - failed < 1000
    assert begun == [1]


@in_real_time
async def test_a_stage_that_crashes_each_time_fails_after_its_attempts_with_a_back_off_and_keeps_what_is_finished(
    rig: Rig,
) -> None:
    run_id = await rig.submit(CRASHES)
    rig.start(CRASHES)
    await rig.until_ended(run_id, state=FAILED)
    story = await rig.story(run_id)
    failures = of_type(story, "StageFailed")
    assert [failed["error"] for failed in failures] == ["WorkerLost"] * 3
    assert [failed.get("retry_in_ms") for failed in failures] == [100, 200, None]
    assert failures[0]["message"] == "the worker process of this stage was ended by SIGSEGV"
    assert set((await rig.run(run_id))["results"]) == {"first"}


@in_real_time
async def test_a_run_that_is_lost_ends_its_worker(rig: Rig) -> None:
    run_id = await rig.submit(CRASHES)
    process = rig.start(CRASHES, HANGS)
    await rig.until_ended(run_id)
    hanging = await rig.submit(HANGS, requirement=os.devnull)
    await rig.until(lambda run: "first" in run["results"], hanging)
    process.kill()
    pool = rig.workers
    assert isinstance(pool, WorkerPool)
    while pool._busy or pool._ending:
        await rig.clock.sleep(0.05)
