"""Prints what a no-op stage costs the runner: `python -m tests.runner.measure_stages [SPANS_FILE]`. Nothing is asserted.

200 runs of seven stages over the in-memory engine; the engine's own share is measured by repeating its writes alone.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop
from tests.runner.inline_workers import InlineWorkers
from tests.runner.rig import Rig, registry
from tests.runner.stages import in_a_row

from penstock_backbone.memory import MemoryEngine
from penstock_backbone.records.runs import SUCCEEDED
from penstock_backbone.system import SystemChance, SystemClock, SystemIds
from penstock_backbone.telemetry import silent, start
from penstock_backbone.vocabulary import Outcome, Write
from penstock_runner.handlers.runner import Runner
from penstock_runner.main import COLLECT_AFTER_OBJECTS
from penstock_runner.ports import World

RUNS = 200
STAGES = 7
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Timed:
    """The tables, with the CPU time that they take by themselves."""

    def __init__(self, engine: MemoryEngine) -> None:
        self._tables = engine.tables
        self.get = engine.tables.get
        self.query = engine.tables.query
        self.write_after = engine.tables.write_after
        self.transact = engine.tables.transact
        self.seconds = 0.0
        self.calls = 0

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        began = time.process_time()
        outcomes = await self._tables.write(writes)
        self.seconds += time.process_time() - began
        self.calls += 1
        return outcomes


async def all_ended(rig: Rig, run_ids: list[str]) -> bool:
    """Begins with the last, which seldom ends first."""
    for run_id in reversed(run_ids):
        if (await rig.run(run_id))["state"] != SUCCEEDED:
            return False
    return True


async def measure(*, spans: Path | None) -> None:
    rig = Rig()
    rig.clock = SystemClock()  # type: ignore[assignment]  # real time is what is measured
    rig.engine = engine = MemoryEngine(rig.clock, SystemIds())
    workflow = in_a_row(STAGES)
    tables = Timed(engine)
    telemetry = start("workflow-runner", store_path=spans, otlp=False) if spans else silent()
    world = World(
        tables, engine.queues, engine.blobs, rig.clock, SystemIds(), SystemChance(), telemetry, InlineWorkers()
    )
    run_ids = [await rig.submit(workflow, traceparent=TRACEPARENT) for _ in range(RUNS)]
    runner = Runner(world, registry(workflow), capacity=50, first_session=None)
    stop, hurry = asyncio.Event(), asyncio.Event()
    began, cpu = time.perf_counter(), time.process_time()
    serving = asyncio.create_task(runner.run(stop, hurry))
    while not await all_ended(rig, run_ids):
        await rig.clock.sleep(0.005)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - began
    stop.set()
    await serving
    telemetry.shutdown()
    stages = RUNS * STAGES
    print(  # noqa: T201  # the figures are for whoever runs it
        f"{'with spans' if spans else 'silent':10} {stages / wall:7.0f} stages/s"
        f"   {cpu / stages * 1e6:5.0f} µs CPU a stage, of which the engine {tables.seconds / stages * 1e6:4.0f},"
        f" the runner {(cpu - tables.seconds) / stages * 1e6:4.0f}; {tables.calls / RUNS:.2f} writes a run"
    )


if __name__ == "__main__":
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS, 20, 20)
    for _ in range(3):
        uvloop.run(measure(spans=None))
        if len(sys.argv) > 1:
            uvloop.run(measure(spans=Path(sys.argv[1])))
