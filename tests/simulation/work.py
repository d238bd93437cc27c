"""What the stages of the simulated workflows do: they take time, fail, hang, resist being stopped, and put files.

What an attempt does depends on its seed, run, stage and number alone, whatever else happens in the world.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from random import Random  # noqa: TID251  # the simulation's chance is seeded
from typing import Any

from pydantic import BaseModel
from tests.runner.inline_workers import InlineWorkers
from tests.simulation.machine import Process, here, stream_of

from penstock_runner.adapters.workers.process import KILL_SECONDS
from penstock_runner.authoring import HERE_SECONDS, BlockingContext, FinalError, RunFailure, StageContext
from penstock_runner.ports import Desk, Job, WorkerLost

PAGES_MAX = 5
HANG_SECONDS = 3600.0
RESIST_SECONDS_MAX = 1.0
"""By the clock of its process. A cancelled run waits longer than this for its stages."""


class Output(BaseModel):
    text: str


class Pages(BaseModel):
    pages: list[int]


def _chance(process: Process, context: StageContext | BlockingContext | Job, what: str) -> Random:
    key = context.idempotency_key.partition(":")[2]
    return stream_of(process.seed, what, context.project.name, key, context.attempt)


# --- on the loop -----------------------------------------------------------------------------------


async def _alone(context: StageContext) -> BaseModel:
    return await _work(context)


async def _of_item(context: StageContext, item: int) -> BaseModel:
    return await _work(context, str(item))


async def _asks(context: StageContext) -> BaseModel:
    await context.approve("Shall it go on?")
    return await _work(context)


async def _is_paid(context: StageContext) -> BaseModel:
    await context.wait_for("paid", Output)
    return await _work(context)


async def _rests(context: StageContext) -> BaseModel:
    await context.sleep(HERE_SECONDS + 2.0)
    return await _work(context)


async def _work(context: StageContext, text: str = "") -> BaseModel:
    process = here()
    chance = _chance(process, context, "work")
    with process.diary.attempt(process, context.idempotency_key):
        await _take_time(process, chance)
        if chance.random() < 0.02:
            await _cancelled_from_within(process)
    lot = chance.random()
    if 0.06 <= lot < 0.12:
        await context.put_artifact(f"{context.stage}.txt", b"file")
    return _outcome(context.stage, chance, lot, text)


async def _take_time(process: Process, chance: Random) -> None:
    """Some attempts take far too long, where there is a limit; some resist being stopped for a moment."""
    try:
        await process.clock.sleep(_seconds(chance))
    except asyncio.CancelledError:
        if chance.random() < 0.3:
            process.diary.note("a stage resisted its end (77)")
            await process.clock.sleep(RESIST_SECONDS_MAX * chance.random())
        raise


def _seconds(chance: Random) -> float:
    lot = chance.random()
    if lot > 0.97:
        return chance.uniform(6.0, 14.0)
    return chance.uniform(0.05, 1.5)


async def _cancelled_from_within(process: Process) -> None:
    process.diary.note("a stage was cancelled from within (66)")
    inner = process.loop.create_future()
    inner.cancel()
    await inner


def _outcome(stage: str, chance: Random, lot: float, text: str) -> BaseModel:
    if lot < 0.02:
        raise FinalError("it cannot be built")
    if lot < 0.06:
        raise RuntimeError("it did not work this time")
    if stage == "choose":
        return Pages(pages=list(range(chance.randint(0, PAGES_MAX))))
    return Output(text=text + "x" * (3000 if lot > 0.9 else 10))


# --- in a worker -----------------------------------------------------------------------------------


def _blocking(context: BlockingContext) -> BaseModel:
    return _at_once(context)


def _blocking_of_item(context: BlockingContext, item: int) -> BaseModel:
    return _at_once(context, str(item))


def _at_once(context: BlockingContext, text: str = "") -> BaseModel:
    """The time that it takes is its worker's."""
    chance = _chance(here(), context, "work")
    lot = chance.random()
    if 0.06 <= lot < 0.12:
        context.put_artifact(f"{context.stage}.txt", b"file")
    return _outcome(context.stage, chance, lot, text)


class SimulatedWorkers:
    """Worker processes: they take time, crash, hang until they are killed, and die with their runner."""

    def __init__(self, process: Process, count: int) -> None:
        self._process = process
        self._places = asyncio.Semaphore(count)
        self._inline = InlineWorkers()
        self.near = self._inline.near

    async def run(self, job: Job, desk: Desk) -> bytes:
        """Whoever is cancelled waits for the end of the worker, which is asked, and killed when it does not listen."""
        process = self._process
        async with self._places:
            desk.begin()
            with process.diary.attempt(process, job.idempotency_key):
                chance = _chance(process, job, "worker")
                try:
                    await self._busy(process, chance)
                except asyncio.CancelledError:
                    ending = asyncio.ensure_future(process.clock.sleep(KILL_SECONDS * chance.random()))
                    while not ending.done():
                        with suppress(asyncio.CancelledError):
                            await asyncio.shield(ending)
                    raise
                return await self._inline.answer(job, desk)

    @staticmethod
    async def _busy(process: Process, chance: Random) -> None:
        lot = chance.random()
        await process.clock.sleep(HANG_SECONDS if lot > 0.96 else _seconds(chance))
        if lot < 0.03:
            process.diary.note("a worker was lost (73)")
            raise WorkerLost("the worker was killed")


# --- when a run fails ------------------------------------------------------------------------------


async def told_of_failure(context: StageContext, failure: RunFailure) -> None:
    process = here()
    chance = _chance(process, context, "hook")
    process.diary.hook_begins(process, context.run_id, failure)
    await process.clock.sleep(chance.uniform(0.2, 5.0))
    if chance.random() < 0.2:
        process.diary.hook_failed(context.run_id)
        raise RuntimeError("nobody could be told")
    process.diary.hook_returned(context.run_id)


FUNCTIONS: Mapping[tuple[bool, bool], Callable[..., Any]] = {
    (False, False): _alone,
    (False, True): _of_item,
    (True, False): _blocking,
    (True, True): _blocking_of_item,
}
"""By whether it is blocking, and whether it is for each item of a list."""
WAITERS: Mapping[str, Callable[..., Any]] = {"approval": _asks, "signal": _is_paid, "time": _rests}
