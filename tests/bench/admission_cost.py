"""What one admission costs the orchestrator, however many runs wait and of however many tenants.

One admission is a whole turn of the orchestrator's own code over the embedded engine, whose store is another process:
one run has ended, one has been accepted, one is let in. The rows are measured in turns within one process, so that
whatever else the machine does meets all of them alike. The line behind the first runs is in the orchestrator's memory
only, because a million items would have to be written for each row; a grant of such a run costs the orchestrator
the same, and finds no item to change. All lines lie in one heap here, so they are kept from
the garbage collector (gc.freeze), which would charge any row for all of them. The orchestrator freezes only what it has
imported: what full collections of a long line cost it, one in millions of new objects, is not in these figures.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeVar, cast

from tests.bench.stores import engine_of, running_store
from tests.limits import set_limit

from penstock_backbone.embedded.engine import EmbeddedEngine
from penstock_backbone.ports import Tables
from penstock_backbone.records.limits import FLEET
from penstock_backbone.records.projects import ProjectItem, as_project, create_project
from penstock_backbone.records.runs import SUCCEEDED, RunItem
from penstock_backbone.records.tokens import as_token, enqueue_token, token_sort_key
from penstock_backbone.system import SystemChance, SystemClock, SystemIds
from penstock_backbone.telemetry import silent
from penstock_backbone.vocabulary import Item, Key, Outcome, Page, Query, TransactionOutcome, TransactionPart, Write
from penstock_orchestrator.domain.hints import Hints
from penstock_orchestrator.domain.token import Token
from penstock_orchestrator.handlers.admission import Admission
from penstock_orchestrator.main import COLLECT_AFTER_OBJECTS

ROWS = ((100, 1), (10_000, 1), (1_000_000, 1), (1_000_000, 100), (1_000_000, 10_000))
"""Waiting runs and tenants."""
WORKFLOWS = 3
FLEET_HELD = 64
TURNS = 150
SPELLS = 15


Figures = dict[str, float]
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one admission: requests to the store, items it answered with, and microseconds of the orchestrator's CPU."""

    port_calls: float
    items_read: float
    cpu_us: float


def costing() -> Figures:
    """cost_ratio_1e6_over_1e2: CPU of one admission with 1,000,000 runs waiting over that with 100, of one tenant.

    cost_ratio_1e4_tenants_over_1: with 10,000 tenants over one, 1,000,000 waiting. Both are medians over the rounds, of the two
    rows' spells of the same round. cost_us: the median spell with 100 runs waiting.
    """
    spells = _spells()
    _show(spells)
    return {
        "cost_us": _median(spells[100, 1]),
        "cost_ratio_1e6_over_1e2": _ratio(spells[1_000_000, 1], spells[100, 1]),
        "cost_ratio_1e4_tenants_over_1": _ratio(spells[1_000_000, 10_000], spells[1_000_000, 1]),
    }


def _spells() -> dict[tuple[int, int], list[Cost]]:
    """By waiting runs and tenants; the rows take turns, and a round has one spell of each."""
    old = gc.get_threshold()
    gc.set_threshold(COLLECT_AFTER_OBJECTS, 20, 20)
    try:
        with ExitStack() as stack:
            engines = [engine_of(stack.enter_context(running_store())) for _ in ROWS]
            return asyncio.run(_measured(engines))
    finally:
        gc.set_threshold(*old)


async def _measured(engines: Sequence[EmbeddedEngine]) -> dict[tuple[int, int], list[Cost]]:
    crowds = [_Crowd(engine, waiting, tenants) for engine, (waiting, tenants) in zip(engines, ROWS, strict=True)]
    try:
        for crowd in crowds:
            await crowd.gather()
        gc.collect()
        gc.freeze()
        rounds: list[list[Cost]] = [[await crowd.spell() for crowd in crowds] for _ in range(SPELLS + 1)][1:]
        return {row: list(costs) for row, costs in zip(ROWS, zip(*rounds, strict=True), strict=True)}
    finally:
        gc.unfreeze()
        for engine in engines:
            await engine.close()


def _median(spells: Sequence[Cost]) -> float:
    return statistics.median(cost.cpu_us for cost in spells)


def _ratio(spells: Sequence[Cost], others: Sequence[Cost]) -> float:
    """What else the machine does lasts longer than a round, and meets both alike."""
    return statistics.median(cost.cpu_us / other.cpu_us for cost, other in zip(spells, others, strict=True))


class _Crowd:
    """One orchestrator's admission with its line."""

    def __init__(self, engine: EmbeddedEngine, waiting: int, tenants: int) -> None:
        self._engine = engine
        self._waiting = waiting
        self._tenants = tenants
        self._numbers = 0
        self._tables = _Counting(engine.tables)
        self._admission = Admission(
            cast(Tables, self._tables), clock=SystemClock(), ids=SystemIds(), chance=SystemChance(), telemetry=silent()
        )

    async def gather(self) -> None:
        await self._engine.tables.write([set_limit(FLEET, limit=FLEET_HELD, at=1)])
        await self._admission.turn(Hints())
        for _ in range(self._waiting + FLEET_HELD):
            project = self._project()
            key = token_sort_key(project["tenant"], project["priority"], project["run_id"])
            token = enqueue_token(project, token=key, shard=0, at=project["at"])
            self._admission.shards.wait(Token.of(as_token({"sk": key, **token.item})))
        await self._admission.turn(Hints(limits=True))
        assert len(self._admission.shards[0].gate.held) == FLEET_HELD

    async def spell(self) -> Cost:
        gate = self._admission.shards[0].gate
        before = self._tables.calls, self._tables.items
        seconds = 0.0
        for _ in range(TURNS):
            ended = gate.held[next(iter(gate.held))]
            project = self._project()
            run = cast(RunItem, {"state": SUCCEEDED, "fence": ended.fence, "attempt": 1, "workflow": ended.workflow})
            hints = Hints(accepted={project["pk"]: project}, ended={ended.run: run})
            started = time.process_time()
            await self._admission.turn(hints)
            seconds += time.process_time() - started
            assert len(gate.held) == FLEET_HELD
        assert len(gate.waiting) == self._waiting
        calls, items = self._tables.calls - before[0], self._tables.items - before[1]
        return Cost(calls / TURNS, items / TURNS, seconds / TURNS * 1e6)

    def _project(self) -> ProjectItem:
        number = self._numbers
        self._numbers += 1
        put = create_project(
            f"prj_{number:08d}",
            tenant=f"tenant-{number % self._tenants}",
            name="bench",
            requirement="A run that only measures how fast the machinery around it is.",
            workflow=f"workflow-{number % WORKFLOWS}",
            priority=1 + number % 5,
            tags=[],
            run_id=f"run_{number:08d}",
            at=number,
            traceparent=None,
        )
        return as_project({"pk": put.key.pk, "sk": put.key.sk, **put.item})


class _Counting:
    """The tables, and how often they were asked and how many items they answered with."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.calls = 0
        self.items = 0

    async def get(self, keys: Sequence[Key]) -> list[Item | None]:
        items = await self._tables.get(keys)
        return self._counted(items, sum(item is not None for item in items))

    async def query(self, query: Query) -> Page:
        page = await self._tables.query(query)
        return self._counted(page, len(page.items))

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        return self._counted(await self._tables.write(writes))

    async def write_after(self, guard: Write, followers: Sequence[Write]) -> tuple[Outcome, list[Outcome]]:
        return self._counted(await self._tables.write_after(guard, followers))

    async def transact(self, parts: Sequence[TransactionPart]) -> TransactionOutcome:
        return self._counted(await self._tables.transact(parts))

    def _counted(self, answer: Answer, items: int = 0) -> Answer:
        self.calls += 1
        self.items += items
        return answer


def _show(spells: dict[tuple[int, int], list[Cost]]) -> None:
    """Medians over the rounds, and the cheapest spell, to which a busy machine adds least."""
    first = spells[ROWS[0]]
    sys.stdout.write(
        "     waiting    tenants  port calls  items read  CPU µs   ratio   least   ratio   of one admission\n"
    )
    for (waiting, tenants), costs in spells.items():
        calls = statistics.median(cost.port_calls for cost in costs)
        items = statistics.median(cost.items_read for cost in costs)
        least, least_of_first = (min(cost.cpu_us for cost in each) for each in (costs, first))
        sys.stdout.write(
            f"{waiting:12,} {tenants:10,} {calls:11.2f} {items:11.2f} {_median(costs):7.1f} "
            f"{_ratio(costs, first):7.3f} {least:7.1f} {least / least_of_first:7.3f}\n"
        )
