"""Async stages that would take their runner's process down, or keep it from ending."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time

from tests.runner.stages import Word, stage, workflow

from penstock_runner.authoring import StageContext


async def exits() -> None:
    sys.exit(3)


async def exits_in_a_task(context: StageContext) -> Word:
    await asyncio.gather(exits())
    return Word()


async def is_interrupted_in_a_task(context: StageContext) -> Word:
    async def interrupted() -> None:
        raise KeyboardInterrupt

    await asyncio.create_task(interrupted())
    return Word()


async def hangs_in_a_thread(context: StageContext) -> Word:
    context.log.info("it hangs")
    await asyncio.to_thread(time.sleep, 1000)  # noqa: TID251  # it blocks, which is its purpose
    return Word()


async def ignores_its_end(context: StageContext) -> Word:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


WORKFLOWS = (
    workflow(stage("only", exits_in_a_task, attempts_max=1), name="exits"),
    workflow(stage("only", is_interrupted_in_a_task, attempts_max=1), name="interrupted"),
    workflow(stage("thread", hangs_in_a_thread, needs=()), stage("ignores", ignores_its_end, needs=()), name="stays"),
    workflow(stage("only"), name="fine"),
)
