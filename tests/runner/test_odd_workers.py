"""What a blocking stage does to its process, the next one that gets the process does not find."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import multiprocessing.process
import os
import threading
from pathlib import Path
from typing import Any, cast

import pytest
from tests.runner import odd_blocking_stages as odd
from tests.runner.odd_blocking_stages import Seen
from tests.runner.test_workers import MEMORY_BYTES, Desk, ended_after, job, until_gone, with_workers, workers

from penstock_backbone.system import SystemClock
from penstock_runner.adapters.workers.pool import WorkerPool
from penstock_runner.adapters.workers.process import WorkerProcess
from penstock_runner.authoring import BlockingFunction
from penstock_runner.ports import JobFailed

PATIENCE_SECONDS = 10.0


async def seen(pool: WorkerPool, run: BlockingFunction, desk: Desk | None = None) -> Seen:
    return Seen.model_validate_json(await pool.run(job(run, output=Seen), desk or Desk()))


@with_workers
async def test_a_stage_that_leaves_nothing_behind_leaves_its_worker_to_the_next(pool: WorkerPool) -> None:
    assert await seen(pool, odd.looks) == await seen(pool, odd.looks)


@with_workers
async def test_the_current_folder_and_the_environment_are_put_back(pool: WorkerPool) -> None:
    before = await seen(pool, odd.looks)
    for run in (odd.goes_elsewhere, odd.sets_the_environment):
        assert (await seen(pool, run)).pid == before.pid
        assert await seen(pool, odd.looks) == before


@pytest.mark.parametrize(
    ("run", "left"),
    [
        (odd.closes_its_output, "another standard output"),
        (odd.closes_the_files_of_its_output, "another standard output"),
        (odd.sends_its_output_elsewhere, "another standard output"),
        (odd.leaves_a_thread, "threads"),
        (odd.leaves_a_child, "processes"),
        (odd.leaves_an_alarm, "another handling of signals"),
        (odd.ignores_the_end, "another handling of signals"),
    ],
)
def test_a_worker_in_which_a_stage_has_left_something_is_replaced(
    run: BlockingFunction, left: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def story() -> None:
        async with workers() as pool, asyncio.timeout(60):
            before = await seen(pool, run)
            desk = Desk()
            after = await seen(pool, odd.looks, desk)
            assert (after.text, after.pid == before.pid) == (f"{Path.cwd()} None 1", False)
            assert [text for _, text in desk.said] == ["can be heard"]
            await SystemClock().sleep(0.2)
            assert desk.usage.total is None
            if before.text:
                await until_gone(int(before.text))

    asyncio.run(story())
    assert f"A worker is replaced, because a stage has left this in it: {left}." in caplog.messages


@with_workers
async def test_a_stage_that_forks_has_one_result_and_the_next_job_another(pool: WorkerPool) -> None:
    desk = Desk()
    assert (await seen(pool, odd.forks, desk)).text == "of the parent"
    assert [text for _, text in desk.said] == ["from the child"]
    assert (await seen(pool, odd.looks)).text.startswith(f"{Path.cwd()} ")


@with_workers
async def test_whatever_a_plain_function_raises_is_told_with_its_name(pool: WorkerPool) -> None:
    for run, error, message, final in [
        (odd.panics, "Panic", "at a bad moment", False),
        (odd.puts_text, "TypeError", "an artifact is bytes, and not str", False),
        (odd.puts_too_much, "FinalError", "The artifact big has 94371840 bytes, and 67108864 are possible.", True),
    ]:
        with pytest.raises(JobFailed) as failed:
            await pool.run(job(run, output=Seen), Desk())
        assert (failed.value.error, str(failed.value), failed.value.final) == (error, message, final)


@with_workers
async def test_words_that_are_no_valid_unicode_are_shown_with_question_marks(pool: WorkerPool) -> None:
    desk = Desk()
    await seen(pool, odd.says_what_is_no_unicode, desk)
    assert desk.came == [(0.5, "caf?.txt")]
    assert [text for _, text in desk.said] == ["caf?.txt"]


def test_what_a_stage_has_started_in_a_session_of_its_own_ends_with_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with workers() as pool, asyncio.timeout(60):
            await ended_after(pool, odd.waits_for_a_child_in_a_session_of_its_own, tmp_path / "pid")
            await until_gone(int((tmp_path / "pid").read_text()))

    asyncio.run(story())


@with_workers
async def test_the_files_of_workers_that_are_gone_are_closed(pool: WorkerPool) -> None:
    def opened() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # a look, and no path

    await seen(pool, odd.leaves_a_child)
    before = opened()
    for _ in range(6):
        await seen(pool, odd.leaves_a_child)
    await seen(pool, odd.looks)
    assert opened() <= before + 6


class SlowContext:
    """Makes processes whose start takes as long as the test wants."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self.begun, self.may_go_on = threading.Event(), threading.Event()

    def Process(self, **given: Any) -> Any:  # noqa: N802  # multiprocessing's own name
        process = self._context.Process(**given)
        start = process.start

        def slow() -> None:
            del vars(process)["start"]
            self.begun.set()
            self.may_go_on.wait(PATIENCE_SECONDS)
            start()

        vars(process)["start"] = slow
        return process


def test_a_worker_that_ends_while_another_starts_does_not_disturb_the_start() -> None:
    """Each start looks at all processes that are not closed."""

    async def story() -> None:
        slow = SlowContext()
        context: Any = multiprocessing.get_context("forkserver")
        ended = await WorkerProcess.started(context, MEMORY_BYTES, ())
        starting = asyncio.create_task(WorkerProcess.started(cast(Any, slow), MEMORY_BYTES, ()))
        await asyncio.to_thread(slow.begun.wait, PATIENCE_SECONDS)
        ending = asyncio.create_task(ended.end())
        while ended.alive:
            await SystemClock().sleep(0.01)
        await SystemClock().sleep(0.1)
        assert ended._process in multiprocessing.process._children  # type: ignore[attr-defined]  # what a start looks through
        slow.may_go_on.set()
        await ending
        assert ended._process not in multiprocessing.process._children  # type: ignore[attr-defined]  # what a start looks through
        await (await starting).end()

    asyncio.run(story())
