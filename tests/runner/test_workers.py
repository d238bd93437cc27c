"""Blocking stages run in processes of their own: what one does to its process, no other stage feels."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from pydantic import BaseModel
from tests.runner import blocking_stages
from tests.runner.blocking_stages import Found

from penstock_backbone.system import SystemClock
from penstock_events.facts import Artifact
from penstock_runner.adapters.workers import pool as pool_module
from penstock_runner.adapters.workers.pool import WorkerPool, WorkerSettings
from penstock_runner.adapters.workers.process import KILL_SECONDS
from penstock_runner.authoring import BlockingFunction, FinalError, ProjectInput, Stage
from penstock_runner.domain.usage import UsageTotal
from penstock_runner.ports import Job, JobFailed, WorkerLost

MEMORY_BYTES = 2 << 30


class Desk:
    """A runner's side over dicts."""

    def __init__(self) -> None:
        self.usage = UsageTotal()
        self.files: dict[str, bytes] = {}
        self.said: list[tuple[int, str]] = []
        self.begun = 0
        self.came: list[tuple[float | None, str]] = []

    def progress(self, fraction: float | None, line: str = "") -> None:
        self.came.append((fraction, line))

    def begin(self) -> None:
        self.begun += 1

    def output_text(self, stage: str) -> bytes:
        if stage != "first":
            raise FinalError(f"there is no {stage}")
        return b'{"text":"hello"}'

    async def put_artifact(self, name: str, data: bytes) -> Artifact:
        self.files[name] = data
        return Artifact(name=name, size=len(data), sha256="0" * 64)

    async def get_artifact(self, name: str, of: str | None = None) -> bytes:
        return self.files[name] if of is None else f"{name} of {of}".encode()

    def say(self, level: int, text: str) -> None:
        self.said.append((level, text))


def job(run: BlockingFunction, requirement: str = "", output: type[BaseModel] = Found) -> Job:
    stage = Stage("look", run, output)
    return Job(
        stage, "run_1", "prj_1", "acme", 1, ProjectInput(name="A project", requirement=requirement), "run_1:look"
    )


@contextlib.asynccontextmanager
async def workers(workers_max: int = 4, modules: tuple[str, ...] = ()) -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(WorkerSettings(workers_max, MEMORY_BYTES, modules))
    try:
        yield pool
    finally:
        await pool.close()


def with_workers(test: Callable[[WorkerPool], Awaitable[None]]) -> Callable[[], None]:
    async def play() -> None:
        async with workers() as pool, asyncio.timeout(60):
            await test(pool)

    @functools.wraps(test)
    def wrapper() -> None:
        asyncio.run(play())

    del wrapper.__wrapped__  # pytest would look for the pool among its fixtures
    return wrapper


async def pid_of(pool: WorkerPool) -> int:
    return Found.model_validate_json(await pool.run(job(blocking_stages.first), Desk())).pid


@with_workers
async def test_a_plain_function_has_the_same_context_in_a_process_of_its_own(pool: WorkerPool) -> None:
    desk = Desk()
    found = Found.model_validate_json(await pool.run(job(blocking_stages.plain), desk))
    assert found.text == "hello 3 run_1:look"
    assert found.pid != os.getpid()
    assert desk.files == {"notes/a.txt": b"abc"}
    assert desk.usage.total == {"input_tokens": 7, "cost_microusd": 2}
    assert desk.said == [(logging.INFO, "looking at A project")]
    assert desk.begun == 1
    assert desk.came == [(0.5, "half-way"), (None, "nobody knows")]


@with_workers
async def test_a_plain_function_reads_the_files_of_another_project(pool: WorkerPool) -> None:
    found = Found.model_validate_json(await pool.run(job(blocking_stages.reads_another), Desk()))
    assert found.text == "theirs.txt of prj_other"


@with_workers
async def test_a_worker_is_kept_warm_for_the_next_job(pool: WorkerPool) -> None:
    assert await pid_of(pool) == await pid_of(pool)


@with_workers
async def test_whatever_a_stage_prints_is_heard_line_by_line_until_its_end(pool: WorkerPool) -> None:
    desk = Desk()
    await pool.run(job(blocking_stages.prints), desk)
    assert sorted(text for _, text in desk.said) == [
        "from C", "from Python", "from a child", "from a library", "without an end",
    ]  # fmt: skip


@with_workers
async def test_megabytes_without_a_line_end_are_cut(pool: WorkerPool) -> None:
    desk = Desk()
    await pool.run(job(blocking_stages.prints_much), desk)
    assert sum(len(text) for _, text in desk.said) <= 16 * 1024


@with_workers
async def test_what_the_stage_raises_is_told_with_its_name(pool: WorkerPool) -> None:
    for run, error, message, final in [
        (blocking_stages.raises, "ValueError", "not yet", False),
        (blocking_stages.refuses, "FinalError", "never", True),
        (
            blocking_stages.raises_several,
            "ExceptionGroup",
            "two calls (2 sub-exceptions): OSError: no route; FinalError: no such account",
            True,
        ),
        (blocking_stages.asks_wrongly, "FinalError", "there is no unheard_of", True),
    ]:
        with pytest.raises(JobFailed) as failed:
            await pool.run(job(run), Desk())
        assert (failed.value.error, str(failed.value), failed.value.final) == (error, message, final)


@with_workers
async def test_where_the_stage_raised_it_is_told_for_its_log(pool: WorkerPool) -> None:
    with pytest.raises(JobFailed) as failed:
        await pool.run(job(blocking_stages.raises), Desk())
    trace = failed.value.trace
    assert trace.startswith(f'Traceback (most recent call last):\n  File "{blocking_stages.__file__}"')
    assert trace.endswith("ValueError: not yet\n")
    with pytest.raises(JobFailed) as refused:
        await pool.run(job(blocking_stages.refuses), Desk())
    assert refused.value.trace == ""


@with_workers
async def test_a_crash_is_the_failure_of_one_stage_and_of_no_other(pool: WorkerPool) -> None:
    beside = asyncio.create_task(pool.run(job(blocking_stages.prints), Desk()))
    with pytest.raises(WorkerLost, match=r"^the worker process of this stage was ended by SIGSEGV$"):
        await pool.run(job(blocking_stages.crashes), Desk())
    with pytest.raises(WorkerLost, match=r"^the worker process of this stage ended with exit code 3$"):
        await pool.run(job(blocking_stages.exits), Desk())
    assert Found.model_validate_json(await beside).pid
    assert await pid_of(pool)


@with_workers
async def test_a_stage_that_wants_too_much_memory_fails_and_its_worker_is_replaced(pool: WorkerPool) -> None:
    before = await pid_of(pool)
    with pytest.raises(JobFailed) as failed:
        await pool.run(job(blocking_stages.eats_memory), Desk())
    assert failed.value.error == "MemoryError"
    assert await pid_of(pool) != before


@with_workers
async def test_a_worker_that_has_grown_is_replaced(pool: WorkerPool) -> None:
    grown = Found.model_validate_json(await pool.run(job(blocking_stages.grows), Desk())).pid
    assert await pid_of(pool) != grown


@with_workers
async def test_a_worker_is_replaced_after_a_number_of_jobs(pool: WorkerPool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool_module, "JOBS_MAX", 3)
        pids = [await pid_of(pool) for _ in range(4)]
    assert len(set(pids[:3])) == 1
    assert pids[3] != pids[0]


async def until_written(path: Path) -> str:
    while not (text := read(path)):
        await SystemClock().sleep(0.01)
    return text


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def is_running(pid: int) -> bool:
    """A process that has ended and waits to be looked at counts as gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def until_gone(pid: int) -> None:
    """A signal that was sent takes a moment to arrive."""
    async with asyncio.timeout(1):
        while is_running(pid):
            await SystemClock().sleep(0.01)


async def ended_after(pool: WorkerPool, run: BlockingFunction, path: Path) -> float:
    """Cancels the job once it has written `path`; the seconds until nothing of it runs any more."""
    clock = SystemClock()
    task = asyncio.create_task(pool.run(job(run, str(path)), Desk()))
    await until_written(path)
    began = clock.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return clock.monotonic() - began


@pytest.mark.parametrize("run", [blocking_stages.hangs_in_c, blocking_stages.hangs_with_a_child])
def test_a_stage_that_hangs_in_c_or_in_a_child_is_gone_within_seconds_and_others_lose_nothing(
    tmp_path: Path, run: BlockingFunction
) -> None:
    async def story() -> None:
        async with workers() as pool, asyncio.timeout(60):
            kept = await pid_of(pool)
            busy = asyncio.create_task(pool.run(job(run, str(tmp_path / "other")), Desk()))
            await until_written(tmp_path / "other")
            assert await ended_after(pool, run, tmp_path / "pid") < KILL_SECONDS + 2
            await until_gone(int(read(tmp_path / "pid")))
            assert not busy.done()
            busy.cancel()
            began = SystemClock().monotonic()
            assert await pid_of(pool) != kept
            assert SystemClock().monotonic() - began < 1

    asyncio.run(story())


def test_a_caller_that_is_cancelled_twice_still_waits_until_its_worker_is_gone(tmp_path: Path) -> None:
    """Seed 3000: a list was cancelled once more while its workers were being ended, and its run freed its slot."""

    async def story() -> None:
        async with workers() as pool, asyncio.timeout(60):
            task = asyncio.create_task(pool.run(job(blocking_stages.hangs_in_c, str(tmp_path / "pid")), Desk()))
            pid = int(await until_written(tmp_path / "pid"))
            task.cancel()
            await SystemClock().sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until_gone(pid)

    asyncio.run(story())


def test_a_stage_that_is_ended_may_clean_up(tmp_path: Path) -> None:
    async def story() -> None:
        async with workers() as pool, asyncio.timeout(60):
            assert await ended_after(pool, blocking_stages.cleans_up, tmp_path / "place") < KILL_SECONDS

    asyncio.run(story())
    assert (tmp_path / "place").read_text() == "cleaned up"


def test_a_job_waits_for_a_place_and_its_time_begins_with_the_place(tmp_path: Path) -> None:
    async def story() -> None:
        async with workers(workers_max=1) as pool, asyncio.timeout(60):
            first = asyncio.create_task(pool.run(job(blocking_stages.cleans_up, str(tmp_path / "place")), Desk()))
            await until_written(tmp_path / "place")
            desk = Desk()
            second = asyncio.create_task(pool.run(job(blocking_stages.first), desk))
            await SystemClock().sleep(0.1)
            assert desk.begun == 0
            first.cancel()
            assert Found.model_validate_json(await second).text == "hello"

    asyncio.run(story())


def test_a_warm_worker_waits_for_a_blocking_stage_that_is_near(tmp_path: Path) -> None:
    async def story() -> None:
        async with workers(modules=("tests.runner.blocking_stages", "no.such.module")) as pool, asyncio.timeout(60):
            pool.near()
            pool.near()
            while not pool._idle:
                await SystemClock().sleep(0.01)
            (waiting,) = pool._idle
            pool.near()
            assert await pid_of(pool) == waiting._process.pid
            assert pool._idle == [waiting]

    asyncio.run(story())


def test_a_job_takes_the_worker_that_is_being_started_for_it() -> None:
    async def story() -> None:
        async with workers(modules=("tests.runner.blocking_stages",)) as pool, asyncio.timeout(60):
            pool.near()
            pids = await asyncio.gather(pid_of(pool), pid_of(pool))
            assert len(pool._idle) == len(set(pids)) == 2

    asyncio.run(story())


def test_a_worker_that_is_being_started_when_the_pool_closes_ends_with_it() -> None:
    async def story() -> None:
        async with workers(modules=("tests.runner.blocking_stages",)) as pool:
            pool.near()
            starting = pool._starting
            assert starting is not None
        await until_gone(starting.result()._pid or 0)

    asyncio.run(story())


def test_the_temporary_files_of_a_stage_that_is_killed_go_with_its_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, begun = tmp_path / "tmp", tmp_path / "begun"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))

    async def play() -> None:
        async with workers() as pool, asyncio.timeout(60):
            running = asyncio.create_task(pool.run(job(blocking_stages.leaves_files, str(begun)), Desk()))
            await until_written(begun)
            assert [*place.glob("worker-*/*/large")]
            running.cancel()
            while [*place.glob("worker-*")]:
                await SystemClock().sleep(0.02)

    asyncio.run(play())
