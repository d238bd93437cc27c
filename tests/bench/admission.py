"""The admission alone: what a decision costs, whoever and however many wait, and how soon a freed slot is given away."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import random  # noqa: TID251  # the benchmark throws its own dice, always from a seed
import statistics
import time
from collections import deque
from pathlib import Path

from tests.bench.stores import engine_of, running, running_store
from tests.limits import set_limit

from penstock_backbone.embedded.engine import EmbeddedEngine
from penstock_backbone.inventory import DISPATCH_QUEUE
from penstock_backbone.records.limits import FLEET, shared_scopes
from penstock_backbone.records.projects import create_project
from penstock_backbone.records.runs import SUCCEEDED, as_run, claim_run, end_run, fact, run_key
from penstock_backbone.records.times import to_ms
from penstock_backbone.records.tokens import GRANT, RELEASE, Operation, token_sort_key
from penstock_backbone.system import SystemChance, SystemClock, SystemIds
from penstock_backbone.telemetry import silent
from penstock_backbone.vocabulary import BATCH_ITEMS_MAX, Message, Put, Update, Write, Written
from penstock_orchestrator.bootstrap import Parts, Surroundings
from penstock_orchestrator.domain.decision import decide
from penstock_orchestrator.domain.gate import Gate
from penstock_orchestrator.domain.hints import Hints
from penstock_orchestrator.domain.limits import Limits
from penstock_orchestrator.domain.token import Token
from penstock_orchestrator.main import COLLECT_AFTER_OBJECTS

Figures = dict[str, float]

FLEET_HELD = 64
TOGETHER = 16
"""Runs that end between two decisions."""
DECISIONS = 400
REPETITIONS = 5
DISPATCH_SECONDS = 10.0


def deciding() -> Figures:
    """CPU of the pure decision: some runs end, as many are let in, it is applied, and as many new ones arrive.

    decide_per_s: pairs of one admission and one release a second, with 10,000 runs of 100 tenants waiting: the median
    of repetitions in one process, with the orchestrator's own setting of the garbage collector.
    """
    old = gc.get_threshold()
    gc.set_threshold(COLLECT_AFTER_OBJECTS, 20, 20)
    try:
        return {"decide_per_s": 1e6 / _microseconds_per_pair(10_000, 100)}
    finally:
        gc.set_threshold(*old)


def admitting(runs: int = 3_000) -> Figures:
    """admit_per_s: accepted projects, from the hint to run, token and committed grant, through the store's process."""
    with running_store() as data:
        return {"admit_per_s": asyncio.run(_admissions_per_second(data, runs))}


def handing_over(times: int = 500, limit: int = 5) -> Figures:
    """Milliseconds from the answer to a run's last write until the runner holds the message of the run let in instead.

    One run ends at a time, and the next when its successor is there: what several that end together wait is not in it. Store
    and orchestrator are processes of their own; the line is never empty. That is one step more than the grant.
    """
    with running_store() as data, running("penstock_orchestrator.main", data):
        waits = asyncio.run(_handovers(data, times, limit))
    return {
        "freed_to_granted_p50_ms": statistics.median(waits) * 1e3,
        "freed_to_granted_p99_ms": statistics.quantiles(waits, n=100, method="inclusive")[98] * 1e3,
    }


# --- the pure decision ----------------------------------------------------------------------------------


def _microseconds_per_pair(waiting: int, tenants: int) -> float:
    chance = random.Random(1)
    numbers = itertools.count()
    limits = Limits({FLEET: FLEET_HELD})
    gate = Gate(limits)

    def arrive() -> None:
        number = next(numbers)
        tenant, priority, run = f"tenant-{number % tenants}", chance.randint(1, 5), f"run_{number:08d}"
        workflow = f"workflow-{number % 3}"
        key, kind = token_sort_key(tenant, priority, run), shared_scopes(workflow, ())
        gate.wait(Token(number, run, key, run, tenant, workflow, (), kind, workflow, priority, 0))

    for _ in range(waiting + FLEET_HELD):
        arrive()
    for operation in decide(gate, limits, []).operations:
        gate.apply(operation)

    def spell() -> float:
        pairs = 0
        started = time.process_time()
        for _ in range(DECISIONS):
            ended = chance.sample(list(gate.held), TOGETHER)
            operations = decide(
                gate, limits, [Operation(RELEASE, key, gate.held[key].fence) for key in ended]
            ).operations
            for operation in operations:
                gate.apply(operation)
                pairs += operation.op == GRANT
            for _ in range(TOGETHER):
                arrive()
        return (time.process_time() - started) / pairs * 1e6

    spell()
    return statistics.median(spell() for _ in range(REPETITIONS))


# --- through the store -----------------------------------------------------------------------------------


async def _admissions_per_second(data: Path, runs: int) -> float:
    engine = engine_of(data)
    try:
        parts = Parts.on(engine, Surroundings(SystemClock(), SystemIds(), SystemChance(), silent()))
        await _write(engine, [set_limit(FLEET, limit=runs, at=1)])
        await parts.admission.turn(Hints())
        projects = [_project(number) for number in range(runs)]
        await _write(engine, projects)
        hints = Hints(projects={put.key.pk: put.item["run_id"] for put in projects})
        started = time.perf_counter()
        while not (await parts.admission.turn(hints)).finished:
            pass
        seconds = time.perf_counter() - started
        assert len(parts.admission.shards[0].gate.held) == runs
        return runs / seconds
    finally:
        await engine.close()


async def _handovers(data: Path, times: int, limit: int) -> list[float]:
    engine = engine_of(data)
    try:
        await _write(engine, [set_limit(FLEET, limit=limit, at=1)])
        await _write(engine, [_project(number) for number in range(times + 2 * limit)])
        granted: deque[Message] = deque()
        while len(granted) < limit:
            granted += await _granted(engine)
        waits = []
        for _ in range(times):
            await _execute(engine, granted.popleft())
            freed = time.perf_counter()
            granted += await _granted(engine)
            waits.append(time.perf_counter() - freed)
        return waits
    finally:
        await engine.close()


async def _granted(engine: EmbeddedEngine) -> list[Message]:
    messages = await engine.queues.receive(DISPATCH_QUEUE, 1, DISPATCH_SECONDS)
    if not messages:
        message = f"no run was let in within {DISPATCH_SECONDS:.0f} s"
        raise RuntimeError(message)
    return messages


async def _execute(engine: EmbeddedEngine, message: Message) -> None:
    """As a runner does it, without any work."""
    await engine.queues.delete(DISPATCH_QUEUE, [message.receipt])
    dispatched = json.loads(message.body)
    at = to_ms(SystemClock().now())
    (item,) = await engine.tables.get([run_key(dispatched["run"])])
    assert item is not None
    run, fence = as_run(item), dispatched["fence"]
    claim = claim_run(run, fence=fence, session="ses_bench", version="1", stages=["one"], first=["one"], at=at)
    await _write(engine, [claim])
    (item,) = await engine.tables.get([run_key(dispatched["run"])])
    assert item is not None
    run, last = as_run(item), fact("RunSucceeded", at, duration_ms=1)
    await _write(engine, [end_run(run, state=SUCCEEDED, fence=fence, seq=run["seq"], facts=[last], results={}, at=at)])


async def _write(engine: EmbeddedEngine, writes: list[Put] | list[Update]) -> None:
    for start in range(0, len(writes), BATCH_ITEMS_MAX):
        batch: list[Write] = list(writes[start : start + BATCH_ITEMS_MAX])
        outcomes = await engine.tables.write(batch)
        assert all(isinstance(outcome, Written) for outcome in outcomes), outcomes


def _project(number: int) -> Put:
    return create_project(
        f"prj_{number:06d}",
        tenant=f"tenant-{number % 10}",
        name=f"bench {number}",
        requirement="A run that only measures how fast the machinery around it is.",
        workflow="bench",
        priority=3,
        tags=[],
        run_id=f"run_{number:06d}",
        at=to_ms(SystemClock().now()),
        traceparent=None,
    )
