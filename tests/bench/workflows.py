"""The workflows that the benchmark runs: seven stages that do nothing, or wait 20 ms each.

Each stage notes its start and end on CLOCK_MONOTONIC, one clock for all processes of a machine, with a
single small append to the file that PENSTOCK_BENCH_TRACE names.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable

from pydantic import BaseModel
from tests.bench.figures import STAGE_SECONDS, STAGES

from penstock_runner.authoring import Stage, StageContext, Workflow

_trace = os.open(os.environ["PENSTOCK_BENCH_TRACE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


class Done(BaseModel):
    """A small result."""

    stage: int
    ok: bool = True


def _note(kind: str, run_id: str, stage: int) -> None:
    os.write(_trace, f"{time.monotonic_ns()} {kind} {run_id} {stage}\n".encode())  # this is the measurement


def _stage(number: int, seconds: float) -> Stage:
    async def run(context: StageContext) -> Done:
        _note("S", context.run_id, number)
        if seconds:
            await asyncio.sleep(seconds)  # noqa: TID251  # this is the workload
        _note("E", context.run_id, number)
        return Done(stage=number)

    function: Callable[[StageContext], Awaitable[BaseModel]] = run
    return Stage(f"stage_{number}", function, output=Done)


WORKFLOWS = (
    Workflow("bench_noop", version="1", stages=tuple(_stage(number, 0) for number in range(STAGES))),
    Workflow("bench_20ms", version="1", stages=tuple(_stage(number, STAGE_SECONDS) for number in range(STAGES))),
)
