"""Keeps worker processes warm for blocking stages, and replaces those that are spent, killed or crashed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass

from penstock_runner.adapters.workers.process import WorkerProcess
from penstock_runner.ports import Desk, Job, JobFailed, WorkerLost

JOBS_MAX = 200
"""Of one worker: what leaks slowly in the stages' code starts anew after so many."""
GROWN_BYTES_MAX = 512 * 1024 * 1024
"""A worker whose peak has grown by so much is replaced after its job."""
IDLE_MAX = 4
"""Workers that wait for work; those that a burst has needed beyond it end with the burst."""
PRELOADED = (
    "uvloop", "penstock_runner.bootstrap", "penstock_runner.loop_guard", "penstock_runner.stage_output",
    "penstock_runner.adapters.workers.child",
)  # fmt: skip
"""What the fork server imports once for all workers: what the main module needs, which each of them runs again. Never the
workflows: what they start when they are imported (threads, connections) must not be forked."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """`modules`: those of the blocking stages, which a worker imports before its first job."""

    workers_max: int
    memory_bytes: int
    modules: Sequence[str]


class WorkerPool:
    """Workers. A job has a process to itself, so that it can be ended, crash or leak without touching another."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(PRELOADED))
        self._places = asyncio.Semaphore(settings.workers_max)
        self._idle: list[WorkerProcess] = []
        self._busy: set[WorkerProcess] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._starting: asyncio.Task[WorkerProcess] | None = None

    def near(self) -> None:
        """One worker is started, unless one waits; the job that comes first takes it, even before it is ready."""
        if self._idle or self._starting is not None or len(self._busy) >= self._settings.workers_max:
            return
        self._starting = self._begin()
        self._starting.add_done_callback(self._is_warm)

    async def run(self, job: Job, desk: Desk) -> bytes:
        async with self._places:
            worker = await self._take()
            desk.begin()
            try:
                output = await worker.work(job, desk)
            except JobFailed as failed:
                self._give_back(worker, spent=failed.error == MemoryError.__name__)
                raise
            except WorkerLost:
                self._busy.discard(worker)
                self._end(worker)
                raise
            except BaseException:
                self._busy.discard(worker)
                await _whatever_comes(self._end(worker))
                raise
            self._give_back(worker, spent=False)
            return output

    async def close(self) -> None:
        """Nothing is left behind. Stages that still run are killed: whoever waited for them has gone."""
        for worker in (*self._idle, *self._busy):
            worker.kill()
        self._idle.clear()
        if (starting := self._starting) is not None:
            self._starting = None
            await asyncio.wait([starting])
            _kill_started(starting)
        if self._ending:
            await asyncio.wait(self._ending)

    async def _take(self) -> WorkerProcess:
        """The one that was used last, whose memory is warm."""
        worker = None
        while self._idle and worker is None:
            candidate = self._idle.pop()
            worker = candidate if candidate.alive else None
        if worker is None:
            worker = await self._start()
        self._busy.add(worker)
        return worker

    async def _start(self) -> WorkerProcess:
        """A caller that is cancelled meanwhile leaves nothing behind."""
        starting, self._starting = self._starting or self._begin(), None
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(_kill_started)
            raise

    def _begin(self) -> asyncio.Task[WorkerProcess]:
        return asyncio.create_task(
            WorkerProcess.started(self._context, self._settings.memory_bytes, self._settings.modules)
        )

    def _is_warm(self, started: asyncio.Task[WorkerProcess]) -> None:
        if self._starting is not started or started.cancelled():
            return
        self._starting = None
        if (error := started.exception()) is None:
            self._idle.append(started.result())
        else:
            _log.warning("No worker could be started ahead of its job: %r", error)

    def _give_back(self, worker: WorkerProcess, *, spent: bool) -> None:
        self._busy.discard(worker)
        spent = spent or worker.jobs >= JOBS_MAX or worker.grown_bytes >= GROWN_BYTES_MAX
        if worker.left:
            _log.info("A worker is replaced, because a stage has left this in it: %s.", worker.left)
        elif spent:
            _log.info(
                "A worker is replaced after %d jobs; it had grown by %d MB.", worker.jobs, worker.grown_bytes >> 20
            )
        if spent or worker.left or not worker.alive or len(self._idle) >= IDLE_MAX:
            self._end(worker)
        else:
            self._idle.append(worker)

    def _end(self, worker: WorkerProcess) -> asyncio.Task[None]:
        ending = asyncio.create_task(worker.end())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        return ending


async def _whatever_comes(ending: asyncio.Task[None]) -> None:
    """A caller that is cancelled once more waits all the same: what it frees next is only free when the worker is gone."""
    while not ending.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(ending)


def _kill_started(starting: asyncio.Task[WorkerProcess]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().kill()
