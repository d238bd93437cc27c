"""Puts one runner process together: the only file here that names real adapters."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from penstock_backbone.engines import Engine, EngineSettings, open_engine
from penstock_backbone.environment import drain_seconds, seconds
from penstock_backbone.errors import Fatal
from penstock_backbone.ports import Chance, Clock, Ids
from penstock_backbone.system import SystemChance, SystemClock, SystemIds
from penstock_backbone.telemetry import Telemetry, start
from penstock_runner.adapters.models.choosing import VARIABLES, choose
from penstock_runner.adapters.workers.pool import WorkerPool, WorkerSettings
from penstock_runner.domain.redaction import Redaction
from penstock_runner.handlers.runner import CAPACITY_DEFAULT, DRAIN_SECONDS, Runner
from penstock_runner.ports import Workers, World
from penstock_runner.registry import Loaded, Registry, installed_modules, load
from penstock_runner.workflows import built_in

CAPACITY_MAX = 1000
WORKER_MEMORY_MB_DEFAULT = 2048
WORKER_MEMORY_MB_MIN, WORKER_MEMORY_MB_MAX = 128, 1024 * 1024
DRAFT_PACE_SECONDS_MAX = 60.0
SERVICE = "workflow-runner"
WARM_AFTER_SECONDS = 5.0
"""A runner that has lived so long keeps a worker warm for its first blocking stage. Before, only a claimed run that has one
makes it start one: a runner that comes back from its death has better things to do."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the machine gives: time, ids, chance, where spans go, and where blocking stages run."""

    clock: Clock
    ids: Ids
    chance: Chance
    telemetry: Telemetry
    workers: Workers
    redact: Callable[[str], str] = field(default_factory=Redaction)


@dataclass(frozen=True, slots=True)
class Settings:
    """`capacity`: how many runs this process executes at once, and how many worker processes its blocking stages may
    have; `worker_memory_mb`: the address space of each. `drain_seconds`: how long stages may go on after SIGTERM. `session`: the id its supervisor chose for it.
    `draft_pace_seconds`: how long the offline drafter pretends to think, for people who watch it.
    `model`: what the environment says about the model that drafts (adapters/models/choosing.py).
    `must_confine`: generated code runs in a sandbox or not at all.
    """

    engine: EngineSettings
    capacity: int
    worker_memory_mb: int
    drain_seconds: float
    session: str | None
    draft_pace_seconds: float
    must_confine: bool
    otlp: bool
    model: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        capacity = environment.get("PENSTOCK_RUNNER_CAPACITY", str(CAPACITY_DEFAULT))
        if not capacity.isdecimal() or not 1 <= int(capacity) <= CAPACITY_MAX:
            raise Fatal(f"PENSTOCK_RUNNER_CAPACITY is {capacity!r}: set it to a number from 1 to {CAPACITY_MAX}")
        memory = environment.get("PENSTOCK_WORKER_MEMORY_MB", str(WORKER_MEMORY_MB_DEFAULT))
        if not memory.isdecimal() or not WORKER_MEMORY_MB_MIN <= int(memory) <= WORKER_MEMORY_MB_MAX:
            raise Fatal(
                f"PENSTOCK_WORKER_MEMORY_MB is {memory!r}: set it to a number from {WORKER_MEMORY_MB_MIN} "
                f"to {WORKER_MEMORY_MB_MAX}"
            )
        sandbox = environment.get("PENSTOCK_SANDBOX", "warn")
        if sandbox not in {"warn", "require"}:
            raise Fatal(
                f"PENSTOCK_SANDBOX is {sandbox!r}: set it to require (generated code never runs outside a sandbox) or warn"
            )
        return cls(
            engine=EngineSettings.from_environment(environment),
            capacity=int(capacity),
            worker_memory_mb=int(memory),
            session=environment.get("PENSTOCK_SESSION") or None,
            drain_seconds=drain_seconds(environment, DRAIN_SECONDS),
            draft_pace_seconds=seconds(environment, "PENSTOCK_DRAFT_PACE_SECONDS", 0.0, DRAFT_PACE_SECONDS_MAX),
            must_confine=sandbox == "require",
            otlp=bool(environment.get("OTEL_EXPORTER_OTLP_ENDPOINT")),
            model={name: environment[name] for name in VARIABLES if name in environment},
        )


def find_workflows(settings: Settings, modules: Iterable[str]) -> Loaded:
    """The built-in ones, those of installed packages, and those of the modules that were named. Raises Fatal."""
    clock = SystemClock()
    chosen = choose(settings.model, clock, SystemChance())
    ours = built_in(
        clock,
        chosen.drafter,
        settings.draft_pace_seconds,
        chosen.resources,
        must_confine=settings.must_confine,
    )
    return load(ours, (*installed_modules(), *modules))


def runner_on(
    engine: Engine,
    given: Surroundings,
    registry: Registry,
    *,
    capacity: int,
    first_session: str | None,
    drain_seconds: float = DRAIN_SECONDS,
) -> Runner:
    """The runner's work on any engine: the real ones, or a simulation's."""
    world = World(
        tables=engine.tables,
        queues=engine.queues,
        blobs=engine.blobs,
        clock=given.clock,
        ids=given.ids,
        chance=given.chance,
        telemetry=given.telemetry,
        workers=given.workers,
        redact=given.redact,
    )
    return Runner(
        world, registry, capacity=capacity, first_session=first_session, drain_seconds=drain_seconds
    )  # fmt: skip


async def _warm_later(workers: WorkerPool, clock: Clock) -> None:
    await clock.sleep(WARM_AFTER_SECONDS)
    workers.near()


@contextlib.asynccontextmanager
async def open_runner(settings: Settings, registry: Registry) -> AsyncIterator[Runner]:
    """Raises BackboneError with a sentence for people when the engine cannot be opened."""
    clock = SystemClock()
    engine = await open_engine(settings.engine, clock)
    spans = settings.engine.data / "spans.db" if settings.engine.engine == "embedded" else None
    telemetry = start(SERVICE, store_path=spans, otlp=settings.otlp)
    workers = WorkerPool(
        WorkerSettings(settings.capacity, settings.worker_memory_mb * 1024 * 1024, registry.blocking_modules())
    )
    given = Surroundings(clock, SystemIds(), SystemChance(), telemetry, workers, Redaction.of_environment(os.environ))
    warming = asyncio.create_task(_warm_later(workers, clock)) if registry.blocking_modules() else None
    try:
        yield runner_on(
            engine,
            given,
            registry,
            capacity=settings.capacity,
            first_session=settings.session,
            drain_seconds=settings.drain_seconds,
        )
    finally:
        if warming is not None:
            warming.cancel()
        await workers.close()
        telemetry.shutdown()
        await engine.close()
